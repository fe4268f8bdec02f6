//! Numbers and lists as lines have them.

use crate::line::encode::{Text, power_of_ten};

/// Puts a comma between the elements of a list.
#[derive(Debug, Default)]
pub(super) struct Comma {
    second: bool,
}

impl Comma {
    pub(super) fn before<'a>(&mut self, out: &'a mut Text) -> &'a mut Text {
        if std::mem::replace(&mut self.second, true) {
            out.push(',');
        }
        out
    }
}

/// A whole number; nothing at all where there is none.
pub(super) fn push_some(number: Option<u64>, out: &mut Text) {
    if let Some(number) = number {
        push(number, out);
    }
}

#[inline]
pub(super) fn push(number: u64, out: &mut Text) {
    out.push_number(number);
}

pub(super) fn push_wide(number: u128, out: &mut Text) {
    match u64::try_from(number) {
        Ok(number) => push(number, out),
        Err(_) => out.push_str(itoa::Buffer::new().format(number)),
    }
}

/// Whole numbers with colons between them.
#[inline]
pub(super) fn push_fields<const COUNT: usize>(numbers: [u64; COUNT], out: &mut Text) {
    for (n, number) in numbers.into_iter().enumerate() {
        if n > 0 {
            out.push(':');
        }
        push(number, out);
    }
}

/// A number counted in units of 10^-`DECIMALS`, up to eight of them, without zeros at the end.
pub(super) fn push_fixed<const DECIMALS: usize>(number: u128, out: &mut Text) {
    let unit = const { power_of_ten(DECIMALS) };
    let fraction = match u64::try_from(number) {
        Ok(number) => {
            push(number / unit, out);
            number % unit
        }
        Err(_) => {
            push_wide(number / u128::from(unit), out);
            u64::try_from(number % u128::from(unit)).unwrap_or_default()
        }
    };
    out.push_decimals::<DECIMALS>(fraction);
}

/// Milliseconds as seconds with all three decimals.
pub(super) fn push_seconds(ms: u64, out: &mut Text) {
    push(ms / 1000, out);
    out.push('.');
    out.push_digits::<3>(ms % 1000);
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn written(write: impl FnOnce(&mut Text)) -> String {
        let mut out = Text::new();
        write(&mut out);
        out.as_str().to_owned()
    }

    #[rstest]
    #[case(0, "0")]
    #[case(10_000, "1")]
    #[case(12_345, "1.2345")]
    #[case(5, "0.0005")]
    #[case(1_020_300, "102.03")]
    #[case(u128::MAX, "34028236692093846346337460743176821.1455")]
    fn decimals_as_needed(#[case] number: u128, #[case] text: &str) {
        assert_eq!(written(|out| push_fixed::<4>(number, out)), text);
    }

    #[rstest]
    #[case(0, "0.000")]
    #[case(1_020, "1.020")]
    #[case(u64::MAX, "18446744073709551.615")]
    fn seconds_have_three_decimals(#[case] ms: u64, #[case] text: &str) {
        assert_eq!(written(|out| push_seconds(ms, out)), text);
    }

    #[test]
    fn whole_numbers() {
        assert_eq!(written(|out| push_fields([0, 9, 10, u64::MAX], out)), "0:9:10:18446744073709551615");
        assert_eq!(written(|out| push_wide(u128::MAX, out)), u128::MAX.to_string());
    }
}
