//! The harness.
#![forbid(unsafe_code)]
