//! How long to wait before the next attempt.

use std::time::UNIX_EPOCH;

use crate::time::Millis;

/// Full-jitter exponential backoff: the delay after the n-th failure in a row is uniform up to `base` × 2ⁿ⁻¹, capped.
///
/// It begins at [`Backoff::floor`], or at a tenth of that upper end. Of a fleet whose delays began at nothing, twice
/// as many as on average would come in the first moments after an outage: a box whose delay is about to end has just
/// as often begun a new, short one. With a tenth it is 1.8 times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Never shorter: a name server's own time-out must be over before it is asked again.
    pub floor: Millis,
    /// Upper end of the first delay.
    pub base: Millis,
    /// Upper end of any delay.
    pub cap: Millis,
}

impl Backoff {
    /// The delay before the next attempt after `failures` in a row (from 1), given a uniform random number.
    #[must_use]
    pub fn delay(&self, failures: u32, random: u64) -> Millis {
        let doublings = failures.saturating_sub(1).min(32);
        let top = self.base.0.saturating_mul(1 << doublings).min(self.cap.0).max(self.floor.0);
        let bottom = self.floor.0.max(top / 10);
        Millis(bottom + scale(top - bottom, random))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { floor: Millis(1_000), base: Millis(10_000), cap: Millis(600_000) }
    }
}

/// Uniform in [0, `range`), given a number that is uniform over all of `u64`.
pub(super) fn scale(range: u64, random: u64) -> u64 {
    let product = u128::from(range) * u128::from(random);
    u64::try_from(product >> 64).unwrap_or(range)
}

/// The delay that a `Retry-After` header asks for: seconds or an HTTP date (RFC 9110 §10.2.3).
///
/// A date needs the calendar time, in UNIX seconds; without it, and for anything else, `None`.
#[must_use]
pub fn retry_after(value: &str, unix_now: Option<u64>) -> Option<Millis> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(value.parse().map_or(Millis::MAX, Millis::from_secs));
    }
    let then = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Millis::from_secs(then.saturating_sub(unix_now?)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::seconds("120", Some(1_000), Some(120_000))]
    #[case::spaces(" 7 ", None, Some(7_000))]
    #[case::zero("0", None, Some(0))]
    #[case::absurd("99999999999999999999999", None, Some(u64::MAX))]
    #[case::date("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_717), Some(60_000))]
    #[case::date_past("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_999), Some(0))]
    #[case::date_rfc850("Sunday, 06-Nov-94 08:49:37 GMT", Some(784_111_776), Some(1_000))]
    #[case::date_asctime("Sun Nov  6 08:49:37 1994", Some(784_111_770), Some(7_000))]
    #[case::date_without_clock("Sun, 06 Nov 1994 08:49:37 GMT", None, None)]
    #[case::negative("-5", Some(0), None)]
    #[case::fraction("1.5", Some(0), None)]
    #[case::empty("", Some(0), None)]
    #[case::word("soon", Some(0), None)]
    fn retry_after_table(#[case] value: &str, #[case] now: Option<u64>, #[case] delay: Option<u64>) {
        assert_eq!(retry_after(value, now), delay.map(Millis));
    }

    #[rstest]
    #[case(1, 0, 1_000)]
    #[case(1, u64::MAX, 9_999)]
    #[case(2, u64::MAX, 19_999)]
    #[case(3, u64::MAX / 2, 21_999)]
    #[case(7, 0, 60_000)]
    #[case(7, u64::MAX, 599_999)]
    #[case(u32::MAX, u64::MAX, 599_999)]
    fn delays(#[case] failures: u32, #[case] random: u64, #[case] delay: u64) {
        assert_eq!(Backoff::default().delay(failures, random), Millis(delay));
    }

    proptest! {
        #[test]
        fn a_delay_is_within_its_limits(floor: u16, base: u32, cap: u32, failures: u32, random: u64) {
            let [floor, base, cap] = [floor.into(), base.into(), cap.into()].map(Millis);
            let delay = Backoff { floor, base, cap }.delay(failures, random);
            prop_assert!(delay >= floor && delay <= cap.max(floor));
        }
    }
}
