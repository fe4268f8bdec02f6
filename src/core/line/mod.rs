//! Media Analytics lines: what each key means, which keys a line carries, how a line is written and read.
//!
//! One line is one GET request without a body, `HOST PATH ? k=v ~ k=v …`:
//!
//! * [`keys`] is the dictionary, one table for all the rest.
//! * [`config`] reads an operator's file: which keys, in which order, with which limits.
//! * [`encode`] makes lines of it and of what a session knows, in parts where they are too long.
//! * [`decode`] takes lines apart again, and puts parts together.
//! * [`value`] has the types of values that have an inside.

pub mod config;
pub mod decode;
pub mod encode;
mod escape;
pub mod keys;
pub mod value;
