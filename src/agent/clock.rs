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

/// `2026-03-01T12:34:56.789Z`, for a log.
pub(crate) fn utc_text(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

fn build_epoch() -> u64 {
    BUILD_EPOCH.parse().unwrap_or(0)
}

const fn is_sane(unix_secs: u64, build_epoch: u64) -> bool {
    unix_secs >= build_epoch
}

/// Year, month, day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts in eras of 400 years (146 097 days) from a 1 March, so that the leap day comes last in its year.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::epoch(0, "1970-01-01T00:00:00.000Z")]
    #[case::leap_day(951_782_400_000, "2000-02-29T00:00:00.000Z")]
    #[case::year_end(1_767_225_599_999, "2025-12-31T23:59:59.999Z")]
    #[case::no_leap_century(4_107_542_400_000, "2100-03-01T00:00:00.000Z")]
    fn utc(#[case] unix_ms: u64, #[case] text: &str) {
        assert_eq!(utc_text(UNIX_EPOCH + Duration::from_millis(unix_ms)), text);
    }

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
