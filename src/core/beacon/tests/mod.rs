//! Channels as an endpoint sees them.

mod harness;
mod history;
mod laws;
mod oracle;
mod schedule;
mod wire;
