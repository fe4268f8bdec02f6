//! The clocks of the box: the only place that reads them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};
use stbeacon_core::sleep::Reading;
use stbeacon_core::time::{Millis, WallAnchor};

/// When this program was built, in UNIX seconds: see `build.rs`.
const BUILD_EPOCH: &str = env!("STBEACON_BUILD_EPOCH");

/// Now, on the clock that goes on in suspend and is never stepped.
pub(crate) fn now() -> Millis {
    // The clock has been there since Linux 2.6.39, and reading it cannot fail otherwise (clock_gettime(2)).
    let Ok(time) = clock_gettime(ClockId::CLOCK_BOOTTIME) else { return Millis(0) };
    let millis = Duration::from(time).as_millis();
    Millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

/// Both clocks that tell whether the box has slept.
pub(crate) fn reading() -> Reading {
    let monotonic = || {
        let time = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
        Millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    };
    Reading { before: monotonic(), boottime: now(), after: monotonic() }
}

/// What the calendar says now; `None` while it stands before this program was built, that is, was never set.
pub(crate) fn wall_anchor() -> Option<WallAnchor> {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    is_sane(unix.as_secs(), build_epoch())
        .then(|| WallAnchor { at: now(), unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX) })
}

fn build_epoch() -> u64 {
    BUILD_EPOCH.parse().unwrap_or(0)
}

const fn is_sane(unix_secs: u64, build_epoch: u64) -> bool {
    unix_secs >= build_epoch
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::never_set(0, false)]
    #[case::long_before(1_700_000_000, false)]
    #[case::just_before(1_799_999_999, false)]
    #[case::built_this_second(1_800_000_000, true)]
    #[case::after(1_900_000_000, true)]
    fn set_or_not(#[case] unix: u64, #[case] sane: bool) {
        assert_eq!(is_sane(unix, 1_800_000_000), sane);
    }

    #[test]
    fn time_goes_on() {
        let first = now();
        std::thread::sleep(Duration::from_millis(5));
        assert!(now().since(first) >= Millis(5));
        assert!(wall_anchor().is_some(), "the clock of the machine that runs the tests is set");
    }
}
