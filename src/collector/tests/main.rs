//! The real program over real HTTP: what the agent sends goes in, questions come out; it is stopped, killed, and fed
//! what nobody should send.

// Helpers outside of a test function are tests too: what they cannot do fails the test.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod alerts;
mod browser;
mod clickhouse;
mod connector;
mod faults;
mod filters;
mod golden;
mod harness;
mod hostile;
mod openapi;
mod page;
mod questions;
mod store;
mod tls;
