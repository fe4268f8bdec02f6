//! Points on the box's monotonic clock, and how they become calendar time at the edge.
//!
//! Everything in this crate that depends on time takes a [`Millis`]. Only the programs around it read clocks.

use std::fmt;
use std::ops::{Add, Sub};

use serde::{Deserialize, Serialize};

/// Milliseconds of `CLOCK_BOOTTIME`: since the box booted, suspend included, never stepped (clock_gettime(2)).
///
/// Also used for the length of time between two such points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The largest point in time there is; sorts after every timer.
    pub const MAX: Self = Self(u64::MAX);

    /// From whole seconds; stays at [`Millis::MAX`] where that would overflow.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// The time from `earlier` until this point; zero where `earlier` is in fact later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Millis {
    type Output = Self;

    fn add(self, rhs: Self) -> Self {
        Self(self.0.saturating_add(rhs.0))
    }
}

impl Sub for Millis {
    type Output = Self;

    fn sub(self, rhs: Self) -> Self {
        self.since(rhs)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03} s", self.0 / 1000, self.0 % 1000)
    }
}

/// What calendar time the monotonic clock stood at when it was last compared: `unix_ms` at `at`.
///
/// One anchor is taken for each report that is stamped, so that a step of the calendar clock between two
/// reports cannot put the end of a session before its beginning: both come from the same anchor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallAnchor {
    /// The monotonic point.
    pub at: Millis,
    /// UNIX time at that point, in ms.
    pub unix_ms: u64,
}

impl WallAnchor {
    /// UNIX seconds, rounded down, of a monotonic point; 0 for what lies before 1970.
    #[must_use]
    pub const fn unix_secs(&self, at: Millis) -> u64 {
        let ms = if at.0 >= self.at.0 {
            self.unix_ms.saturating_add(at.0 - self.at.0)
        } else {
            self.unix_ms.saturating_sub(self.at.0 - at.0)
        };
        ms / 1000
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::same_moment(5_000, 1_700_000_000)]
    #[case::later(6_999, 1_700_000_001)]
    #[case::earlier(3_999, 1_699_999_998)]
    #[case::before_boot(0, 1_699_999_995)]
    fn anchor_maps_both_ways(#[case] at: u64, #[case] secs: u64) {
        let anchor = WallAnchor { at: Millis(5_000), unix_ms: 1_700_000_000_000 };
        assert_eq!(anchor.unix_secs(Millis(at)), secs);
    }
}
