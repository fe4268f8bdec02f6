//! Numbers as lines have them: four decimals at most, added up without loss.

use std::fmt;
use std::ops::Add;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// How many of the smallest parts make one.
const ONE: i128 = 10_000;
/// Whole part beyond which a text is no number of a line: a thousand sums of it still fit.
const MAX: i128 = i128::MAX / ONE / 1000;

/// A number with four decimals, exact: figures of lines are sums, and sums of sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal {
    /// In ten-thousandths.
    parts: i128,
}

/// A text that is no number, or one beyond all figures of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a number")]
pub struct NotADecimal;

// === impl Decimal ===

impl Decimal {
    /// From a whole number.
    #[must_use]
    pub fn from_integer(number: u64) -> Self {
        Self { parts: i128::from(number) * ONE }
    }

    /// From thousandths, such as ms of a time in seconds.
    #[must_use]
    pub fn from_thousandths(thousandths: u64) -> Self {
        Self { parts: i128::from(thousandths) * (ONE / 1000) }
    }

    /// `sum / count`, rounded half up; `None` for a count of 0.
    #[must_use]
    pub fn ratio(sum: u64, count: u64) -> Option<Self> {
        let (sum, count) = (i128::from(sum) * ONE, i128::from(count));
        (count > 0).then(|| Self { parts: (sum + count / 2) / count })
    }

    /// The nearest number that a float can hold; for statistics, not for sums.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "what the function is for")]
    pub fn to_f64(self) -> f64 {
        self.parts as f64 / ONE as f64
    }

    /// The number where it is whole and not below zero.
    #[must_use]
    pub fn to_integer(self) -> Option<u64> {
        if self.parts % ONE == 0 { u64::try_from(self.parts / ONE).ok() } else { None }
    }
}

impl Add for Decimal {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { parts: self.parts.saturating_add(other.parts) }
    }
}

impl FromStr for Decimal {
    type Err = NotADecimal;

    /// Reads `12`, `12.5`, `-0.25`; decimals beyond the fourth are rounded, half away from zero.
    fn from_str(text: &str) -> Result<Self, NotADecimal> {
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
        let (whole, decimals) = match digits.split_once('.') {
            Some((whole, decimals)) if !decimals.is_empty() => (whole, decimals),
            Some(_) => return Err(NotADecimal),
            None => (digits, ""),
        };
        let all_digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !all_digits(whole) || !all_digits(decimals) {
            return Err(NotADecimal);
        }
        let whole: i128 = whole.parse().ok().filter(|whole| *whole <= MAX).ok_or(NotADecimal)?;
        let mut parts = whole * ONE;
        let mut worth = ONE / 10;
        for digit in decimals.bytes().take(4) {
            parts += i128::from(digit - b'0') * worth;
            worth /= 10;
        }
        parts += i128::from(decimals.as_bytes().get(4).is_some_and(|digit| *digit >= b'5'));
        Ok(Self { parts: if negative { -parts } else { parts } })
    }
}

impl fmt::Display for Decimal {
    /// As many decimals as it takes, none where it is whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, mut decimals) = (self.parts / ONE, (self.parts % ONE).unsigned_abs());
        if self.parts < 0 {
            f.write_str("-")?;
        }
        write!(f, "{}", whole.unsigned_abs())?;
        if decimals == 0 {
            return Ok(());
        }
        let mut width = 4;
        while decimals % 10 == 0 {
            decimals /= 10;
            width -= 1;
        }
        write!(f, ".{decimals:0width$}")
    }
}

impl Serialize for Decimal {
    /// As an integer where it is one.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.to_integer() {
            Some(number) => serializer.serialize_u64(number),
            None => serializer.serialize_f64(self.to_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", "0")]
    #[case("06.771", "6.771")]
    #[case("208.667", "208.667")]
    #[case("1.56", "1.56")]
    #[case("-0.5", "-0.5")]
    #[case("1.00005", "1.0001")]
    #[case("1.99995", "2")]
    #[case("12.3400", "12.34")]
    #[case("99999999999999999999", "99999999999999999999")]
    fn reads(#[case] text: &str, #[case] written: &str) {
        assert_eq!(text.parse::<Decimal>().unwrap().to_string(), written);
    }

    #[rstest]
    #[case("")]
    #[case("-")]
    #[case(".5")]
    #[case("5.")]
    #[case("1.2.3")]
    #[case("+1")]
    #[case("1e3")]
    #[case(" 1")]
    #[case("9999999999999999999999999999999999")]
    fn refuses(#[case] text: &str) {
        assert_eq!(text.parse::<Decimal>(), Err(NotADecimal));
    }

    #[rstest]
    #[case(1, 3, "0.3333")]
    #[case(2, 3, "0.6667")]
    #[case(1560, 1000, "1.56")]
    fn ratios(#[case] sum: u64, #[case] count: u64, #[case] written: &str) {
        assert_eq!(Decimal::ratio(sum, count).unwrap().to_string(), written);
        assert_eq!(Decimal::ratio(sum, 0), None);
    }

    proptest! {
        #[test]
        fn written_and_read_again(parts in any::<i64>()) {
            let number = Decimal { parts: i128::from(parts) };
            prop_assert_eq!(number.to_string().parse(), Ok(number));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[-+.0-9e ]{0,50}") {
            let _ = text.parse::<Decimal>();
        }
    }
}
