//! The real binary: its command line, its daemon, its look at the interfaces.

// Helpers outside of a test function are tests too: what they cannot do fails the test.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used)]

mod beacons;
mod cli;
mod common;
mod completions;
mod daemon;
mod elements;
mod enable_tracer;
mod gzip;
mod netlink;
mod provisioning;
mod service;
mod spool;
mod status;
mod tls;
mod trust;
mod ts;
mod uplink;
