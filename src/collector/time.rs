//! Calendar time: what a collector books under. Pure; [`now`] alone reads a clock.

use std::ops::{Add, Sub};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds in a minute.
pub(crate) const MINUTE: u64 = 60_000;
/// Milliseconds in an hour.
pub(crate) const HOUR: u64 = 60 * MINUTE;
/// Milliseconds in a day.
pub(crate) const DAY: u64 = 24 * HOUR;

/// How far ahead of ours a box's clock may be and still be believed, in ms.
pub(crate) const AHEAD: u64 = 5 * MINUTE;
/// How long ago something may have happened and still be believed, in ms: boxes keep what they could not send for a
/// week, more where they are told to.
pub(crate) const LONG_AGO: u64 = 30 * DAY;
/// Most time that one message may book, in ms: what goes beyond counts from its end.
pub(crate) const LONGEST: u64 = 48 * HOUR;

/// Milliseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct UnixMs(pub(crate) u64);

/// Minutes since 1970: where figures are added up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Minute(pub(crate) u64);

/// What the clock says.
pub(crate) fn now() -> UnixMs {
    #[cfg(debug_assertions)]
    if let Some(now) = fake() {
        return now;
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A fake clock, for tests alone and not in what is released: a file that holds ms since 1970.
#[cfg(debug_assertions)]
fn fake() -> Option<UnixMs> {
    static FILE: std::sync::LazyLock<Option<std::ffi::OsString>> =
        std::sync::LazyLock::new(|| std::env::var_os("STBEACON_TEST_CLOCK"));
    std::fs::read_to_string(FILE.as_ref()?).ok()?.trim().parse().ok().map(UnixMs)
}

// === impl UnixMs ===

impl UnixMs {
    /// From UNIX seconds.
    pub(crate) const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// The minute that it lies in.
    pub(crate) const fn minute(self) -> Minute {
        Minute(self.0 / MINUTE)
    }

    /// From `earlier` until this, in ms; 0 where `earlier` is later.
    pub(crate) const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for UnixMs {
    type Output = Self;

    fn add(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

impl Sub<u64> for UnixMs {
    type Output = Self;

    fn sub(self, ms: u64) -> Self {
        Self(self.0.saturating_sub(ms))
    }
}

// === impl Minute ===

impl Minute {
    /// When it begins.
    pub(crate) const fn start(self) -> UnixMs {
        UnixMs(self.0.saturating_mul(MINUTE))
    }
}
