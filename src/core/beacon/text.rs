//! Numbers and lists as lines have them.

use std::fmt::Write;

/// Puts a comma between the elements of a list.
#[derive(Debug, Default)]
pub(super) struct Comma {
    second: bool,
}

impl Comma {
    pub(super) fn before<'a>(&mut self, out: &'a mut String) -> &'a mut String {
        if std::mem::replace(&mut self.second, true) {
            out.push(',');
        }
        out
    }
}

/// A whole number; nothing at all where there is none.
pub(super) fn push_some(number: Option<u64>, out: &mut String) {
    if let Some(number) = number {
        push(number, out);
    }
}

pub(super) fn push(number: u64, out: &mut String) {
    // Writing to a string cannot fail.
    let _ = write!(out, "{number}");
}

/// A number counted in units of 10^-`decimals`, without zeros at the end.
pub(super) fn push_fixed(number: u128, decimals: u32, out: &mut String) {
    let unit = 10_u128.pow(decimals);
    let (whole, mut fraction) = (number / unit, number % unit);
    let _ = write!(out, "{whole}");
    if fraction == 0 {
        return;
    }
    let mut width = usize::try_from(decimals).unwrap_or_default();
    while fraction % 10 == 0 {
        fraction /= 10;
        width -= 1;
    }
    let _ = write!(out, ".{fraction:0width$}");
}

/// Milliseconds as seconds with all three decimals.
pub(super) fn push_seconds(ms: u64, out: &mut String) {
    let _ = write!(out, "{}.{:03}", ms / 1000, ms % 1000);
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, 4, "0")]
    #[case(10_000, 4, "1")]
    #[case(12_345, 4, "1.2345")]
    #[case(5, 4, "0.0005")]
    #[case(120, 2, "1.2")]
    fn decimals_as_needed(#[case] number: u128, #[case] decimals: u32, #[case] text: &str) {
        let mut out = String::new();
        push_fixed(number, decimals, &mut out);
        assert_eq!(out, text);
    }
}
