//! Calendar time as text, for a log.

use std::time::{SystemTime, UNIX_EPOCH};

/// `2026-03-01T12:34:56.789Z`, as a log has it.
pub(crate) fn utc_text(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
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
    use std::time::Duration;

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
}
