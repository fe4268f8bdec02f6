//! Random numbers that keep boxes from acting in step; none of them guards anything.

use std::hash::{BuildHasher, RandomState};

/// Uniform over all of `u64`.
pub(crate) fn uniform() -> u64 {
    // Each hasher has a key of its own that the operating system's random numbers are in.
    RandomState::new().hash_one(())
}

/// 128 random bits.
pub(crate) fn bits() -> u128 {
    u128::from(uniform()) << 64 | u128::from(uniform())
}
