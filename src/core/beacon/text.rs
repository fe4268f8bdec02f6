//! Fields of lists as lines have them.

use std::borrow::Cow;

use crate::line::encode::Pen;
use crate::line::value::FIELD_ESCAPE;

/// A whole number; nothing at all where there is none.
pub(super) fn push_some(number: Option<u64>, out: Pen<'_>) -> Pen<'_> {
    match number {
        Some(number) => out.number(number),
        None => out,
    }
}

/// A text; nothing at all where there is none.
pub(super) fn push_text<'p>(text: Option<&String>, out: Pen<'p>) -> Pen<'p> {
    out.text(text.map_or("", String::as_str))
}

/// A text as it is within a list of fields: what separates those is [`FIELD_ESCAPE`].
pub(super) fn field(text: &str) -> Cow<'_, str> {
    let separators = [':', ','];
    if text.contains(separators) {
        text.replace(separators, FIELD_ESCAPE.encode_utf8(&mut [0; 4])).into()
    } else {
        text.into()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    #[rstest]
    #[case("", "")]
    #[case("a.example", "a.example")]
    #[case(":a,,é:", "~a~~é~")]
    fn a_field_has_no_separators(#[case] text: &str, #[case] field: &str) {
        assert_eq!(super::field(text), field);
    }
}
