//! What the agent, the tracer and the collector share: pure code without sockets, clock, files or threads.
//!
//! Time is an argument ([`time::Millis`]): `handle_*` takes in, `poll_*` gives out, `poll_timeout` says when to
//! come back.

#![forbid(unsafe_code)]

pub mod beacon;
pub mod elements;
pub mod heartbeat;
pub mod line;
pub mod player;
pub mod provisioning;
pub mod rtp;
pub mod session;
pub mod sleep;
pub mod spool;
pub mod stb;
pub mod time;
pub mod ts;
pub mod uplink;
