//! How a value is written in a line, and read again.
//!
//! The separator of keys is written as its stand-in; then each byte of UTF-8 but unreserved characters (RFC 3986
//! §2.3) and `: , ; ( ) / * @ ! '` as `%XX`.

use std::borrow::Cow;
use std::ops::Range;

use super::config::Separators;
use super::encode::Pen;

/// What a value is written with as it is.
pub(super) const PLAIN: [bool; 256] = plain();

/// Why a written value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A `%` without two hexadecimal digits.
    Escape,
    /// Bytes that are not UTF-8.
    Utf8,
    /// A character that is always written as `%XX`.
    Raw(char),
}

/// Whether a value may have this byte as it is.
fn is_plain(byte: u8) -> bool {
    PLAIN.get(usize::from(byte)).copied().unwrap_or(false)
}

/// Turns a value, which is where `at` is in `room`, into what is written; gives the place behind it, `None` where there
/// is too little room. `value` is a buffer for values that need it.
#[inline(never)]
pub(super) fn escape_in_place(
    room: &mut [u8],
    at: Range<usize>,
    value: &mut Vec<u8>,
    separators: &Separators,
) -> Option<usize> {
    let raw = room.get(at.clone())?;
    if separators.keep_all(raw) {
        return Some(at.end);
    }
    value.clear();
    value.extend_from_slice(raw);
    let whole = room.len();
    let left = push_escaped(value, separators, Pen::new(room.get_mut(at.start..)?)).left();
    (left > 0).then(|| whole - left)
}

/// Writes a value as it is written in a line.
pub(super) fn push_escaped<'r>(value: &[u8], separators: &Separators, mut out: Pen<'r>) -> Pen<'r> {
    let mut run = 0;
    let mut at = 0;
    while let Some(length) = value.get(at..).and_then(|rest| rest.iter().position(|b| !separators.keep(*b))) {
        at += length;
        let byte = value.get(at).copied().unwrap_or_default();
        let before = at.checked_sub(1).and_then(|before| value.get(before)).copied();
        let is_separator = byte == separators.param();
        if is_separator || !is_plain(byte) || separators.would_mislead(before, byte) {
            out = out.bytes(value.get(run..at).unwrap_or_default());
            run = at + 1;
            out = if is_separator { out.text(separators.stand_in()) } else { push_hex(byte, out) };
        }
        at += 1;
    }
    out.bytes(value.get(run..).unwrap_or_default())
}

/// The value that was written; on a fault also where in `raw` it is, in bytes.
pub(super) fn unescaped<'r>(raw: &'r str, separators: &Separators) -> Result<Cow<'r, str>, (usize, Fault)> {
    let first = separators.stand_in().as_bytes().first().copied();
    let is_simple = |byte: &u8| is_plain(*byte) && Some(*byte) != first;
    let Some(simple) = raw.bytes().position(|byte| !is_simple(&byte)) else { return Ok(Cow::Borrowed(raw)) };
    if let Some((at, c)) = raw.char_indices().find(|(_, c)| is_never_raw(*c)) {
        return Err((at, Fault::Raw(c)));
    }
    let mut value = Vec::with_capacity(raw.len());
    value.extend_from_slice(raw.as_bytes().get(..simple).unwrap_or_default());
    let mut rest = raw.as_bytes().get(simple..).unwrap_or_default();
    while !rest.is_empty() {
        let (byte, length) = next(rest, separators).ok_or((raw.len() - rest.len(), Fault::Escape))?;
        value.push(byte);
        rest = rest.get(length..).unwrap_or_default();
    }
    String::from_utf8(value).map(Cow::Owned).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        (written_length(raw, valid, separators), Fault::Utf8)
    })
}

/// The most of `raw`, in bytes, that is whole characters of the value and at most `limit`.
pub(super) fn whole_characters(raw: &str, limit: usize, separators: &Separators) -> usize {
    let mut end = 0;
    let mut at = 0;
    let mut continued = 0;
    while let Some((byte, length)) = raw.as_bytes().get(at..).and_then(|rest| next(rest, separators)) {
        at += length;
        if at > limit {
            break;
        }
        continued = match byte {
            0xc0..=0xdf => 1,
            0xe0..=0xef => 2,
            0xf0..=0xff => 3,
            0x80..=0xbf => continued - i32::from(continued > 0),
            _ => 0,
        };
        if continued == 0 {
            end = at;
        }
    }
    end
}

/// How many bytes of `raw` the first `decoded` bytes of its value take.
pub(super) fn written_length(raw: &str, decoded: usize, separators: &Separators) -> usize {
    let mut at = 0;
    for _ in 0..decoded {
        let Some((_, length)) = raw.as_bytes().get(at..).and_then(|rest| next(rest, separators)) else {
            break;
        };
        at += length;
    }
    at
}

/// The next byte of the value, and how many bytes it is written with; `None` at the end and at a broken escape.
fn next(rest: &[u8], separators: &Separators) -> Option<(u8, usize)> {
    let stand_in = separators.stand_in().as_bytes();
    // The first byte alone tells most of them apart, without a call.
    if rest.first() == stand_in.first() && rest.starts_with(stand_in) {
        return Some((separators.param(), separators.stand_in().len()));
    }
    match rest {
        [b'%', high, low, ..] => Some((hex(*high)? << 4 | hex(*low)?, 3)),
        [b'%', ..] | [] => None,
        [byte, ..] => Some((*byte, 1)),
    }
}

/// These, space and what cannot be seen are always escaped; so is `%`, with which escapes begin.
fn is_never_raw(c: char) -> bool {
    match c {
        '&' | '=' | '?' | '#' | '+' | '\0'..=' ' | '\x7f' => true,
        '!'..='~' => false,
        _ => c.is_control() || c.is_whitespace(),
    }
}

fn push_hex(byte: u8, out: Pen<'_>) -> Pen<'_> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.marks([b'%', digit(byte >> 4), digit(byte & 15)])
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[allow(
    clippy::indexing_slicing,
    reason = "constant evaluation has no other access; a wrong index cannot build"
)]
const fn plain() -> [bool; 256] {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"-._~:,;()/*@!'";
    while let [first, others @ ..] = rest {
        table[*first as usize] = true;
        rest = others;
    }
    let mut byte = 0_u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = true;
        }
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::line::encode::written;

    fn escaped(value: &str, separators: &Separators) -> String {
        written(|out| push_escaped(value.as_bytes(), separators, out))
    }

    #[rstest]
    #[case::unreserved("aZ09-._", "aZ09-._")]
    #[case::kept(":,;()/@*!'", ":,;()/@*!'")]
    #[case::always_escaped("%&=?#+ ", "%25%26%3D%3F%23%2B%20")]
    #[case::others("\"<>[]{}|\\^`$", "%22%3C%3E%5B%5D%7B%7D%7C%5C%5E%60%24")]
    #[case::utf8("é機🎬", "%C3%A9%E6%A9%9F%F0%9F%8E%AC")]
    #[case::control("\n\0\u{7f}", "%0A%00%7F")]
    #[case::separator("a~b~~", "a*@*b*@**@*")]
    #[case::size("1920*1080", "1920*1080")]
    #[case::mail("box@example.net", "box@example.net")]
    #[case::stand_in("*@*", "*%40*")]
    #[case::stand_in_and_separator("*@*~", "*%40**@*")]
    #[case::beginning_of_one("*@~", "*%40*@*")]
    #[case::end_of_one("~@*", "*@*@*")]
    #[case::between("*~@*~*", "**@*@**@**")]
    fn on_the_wire(#[case] value: &str, #[case] raw: &str) {
        let separators = Separators::default();
        assert_eq!(escaped(value, &separators), raw);
        assert_eq!(unescaped(raw, &separators).as_deref(), Ok(value));
    }

    #[rstest]
    #[case::cut_escape("ab%4", 2, Fault::Escape)]
    #[case::no_hex("%zz", 0, Fault::Escape)]
    #[case::lone_percent("50%", 2, Fault::Escape)]
    #[case::not_utf8("*@*%C3%28", 3, Fault::Utf8)]
    #[case::half_a_character("a%E6%A9", 1, Fault::Utf8)]
    #[case::equals("a=b", 1, Fault::Raw('='))]
    #[case::space("a b", 1, Fault::Raw(' '))]
    #[case::newline("a\n", 1, Fault::Raw('\n'))]
    fn broken(#[case] raw: &str, #[case] at: usize, #[case] fault: Fault) {
        assert_eq!(unescaped(raw, &Separators::default()), Err((at, fault)));
    }

    #[rstest]
    #[case("abc", 2, 2)]
    #[case("a%C3%A9b", 6, 1)]
    #[case("a%C3%A9b", 7, 7)]
    #[case("%F0%9F%8E%AC", 11, 0)]
    #[case("a*@*b", 3, 1)]
    #[case("a*@*b", 4, 4)]
    #[case("abc", 99, 3)]
    fn cut_between_characters(#[case] raw: &str, #[case] limit: usize, #[case] length: usize) {
        assert_eq!(whole_characters(raw, limit, &Separators::default()), length);
    }

    fn separators() -> impl Strategy<Value = Separators> {
        ("[~&!$*@'+]", "[-._~()/*@!']{1,4}")
            .prop_filter_map("a pair", |(param, stand_in)| Separators::new(&param, &stand_in).ok())
    }

    proptest! {
        #[test]
        fn any_value_is_read_as_it_was(value in any::<String>(), separators in separators()) {
            let raw = escaped(&value, &separators);
            prop_assert!(raw.is_ascii());
            prop_assert!(!raw.as_bytes().contains(&separators.param()));
            prop_assert!(!raw.contains(['=', '&', '?', '#', '+', ' ']));
            prop_assert_eq!(unescaped(&raw, &separators), Ok(Cow::Owned(value)));
        }

        /// Eight bytes at a time or one by one, the same bytes are kept.
        #[test]
        fn a_look_at_many_bytes_is_a_look_at_each(value in "[+-<]{0,40}|[0-9;=a-zé*]{0,40}", separators in separators()) {
            let one_by_one = value.bytes().all(|byte| separators.keep(byte));
            prop_assert_eq!(separators.keep_all(value.as_bytes()), one_by_one);
        }

        #[test]
        fn a_value_in_place_is_written_like_any_other(value in any::<String>(), separators in separators()) {
            let mut room = format!("é~ {value}").into_bytes();
            let at = "é~ ".len()..room.len();
            room.resize(room.len() * 8 + 9, b'#');
            let end = escape_in_place(&mut room, at, &mut b"old".to_vec(), &separators).unwrap();
            let expected = format!("é~ {}", escaped(&value, &separators));
            prop_assert_eq!(&room[..end], expected.as_bytes());
        }

        /// Dense in what could be taken for something else.
        #[test]
        fn any_knot_is_read_as_it_was(value in "[-*@~.%!'&+4026]{0,12}", separators in separators()) {
            let raw = escaped(&value, &separators);
            prop_assert_eq!(unescaped(&raw, &separators), Ok(Cow::Owned(value)));
        }

        #[test]
        fn a_cut_value_is_the_beginning_of_the_whole(value in "[*@~é機a🎬]{0,9}", limit in 0..60_usize, separators in separators()) {
            let raw = escaped(&value, &separators);
            let length = whole_characters(&raw, limit, &separators);
            prop_assert!(length <= limit);
            let cut = unescaped(&raw[..length], &separators).unwrap();
            prop_assert!(value.starts_with(&*cut));
        }

        #[test]
        fn any_text_is_read_or_refused(raw in "\\PC{0,30}", separators in separators()) {
            if let Err((at, _)) = unescaped(&raw, &separators) {
                prop_assert!(at < raw.len());
            }
        }
    }
}
