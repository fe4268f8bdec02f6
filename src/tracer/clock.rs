//! The two clocks that are read.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use stbeacon_core::sleep::Reading;
use stbeacon_core::time::Millis;

/// `CLOCK_BOOTTIME` now: what every message is stamped with.
pub(crate) fn boottime() -> Millis {
    read(ClockId::CLOCK_BOOTTIME)
}

/// `CLOCK_MONOTONIC` now: for probes. The C library reads it without a system call on every kernel with a vDSO,
/// which older ones do not offer for `CLOCK_BOOTTIME`; a sink reads it too, for each buffer it synchronises.
pub(crate) fn monotonic() -> Millis {
    read(ClockId::CLOCK_MONOTONIC)
}

/// The same, as fine as it is told.
pub(crate) fn precise() -> Duration {
    let Ok(time) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return Duration::ZERO };
    let secs = u64::try_from(time.tv_sec()).unwrap_or(0);
    Duration::new(secs, u32::try_from(time.tv_nsec()).unwrap_or(0))
}

/// Both, to tell whether the box has slept.
pub(crate) fn reading() -> Reading {
    Reading { before: monotonic(), boottime: boottime(), after: monotonic() }
}

/// The `CLOCK_BOOTTIME` of a recent [`monotonic`] point.
pub(crate) fn to_boottime(monotonic: Millis) -> Millis {
    boottime() - self::monotonic().since(monotonic)
}

fn read(clock: ClockId) -> Millis {
    let Ok(time) = clock_gettime(clock) else { return Millis(0) };
    let secs = u64::try_from(time.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(time.tv_nsec()).unwrap_or(0);
    Millis(secs.saturating_mul(1000) + nanos / 1_000_000)
}
