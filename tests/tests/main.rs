//! Whole programs against each other.
//!
//! What they need is built by `cargo xtask test`: the daemon, the tracer (once more with the test panic), the
//! test elements.

#![forbid(unsafe_code)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "every line here is a test; what is not as it should be is to end it"
)]

mod clips;
mod clock;
mod commands;
mod continuity;
mod exactness;
mod examples;
mod faults;
mod identity;
mod lines;
mod losses;
mod netlink;
mod outages;
mod resets;
mod rtp;
mod service;
mod stalls;
mod streams;
mod suspend;
mod threads;
mod torture;
mod vendor;
