//! Where values are written: a buffer that keeps its room, and knows whether anything in it may need escaping.

use std::fmt;

use crate::line::config::Separators;

/// Room to begin with: a line is seldom longer than that.
const ROOM: usize = 4096;

/// "00000000", the digit that comes first in the lowest byte.
const ZEROS: u64 = 0x3030_3030_3030_3030;

/// A value as it is written: its text, unescaped.
///
/// Numbers and what stands between them are a line's daily bread. They are written eight bytes at a time into room
/// that is there already, and are known not to need escaping without a look at them.
#[derive(Debug, Default)]
pub struct Text {
    /// UTF-8 up to `end`; behind that there is room.
    bytes: Vec<u8>,
    end: usize,
    /// Whether something was written since [`Text::begin`] that is not known to be kept as it is.
    doubtful: bool,
}

// === impl Text ===

impl Text {
    /// An empty one, without room yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), end: 0, doubtful: false }
    }

    /// Appends any text.
    #[inline]
    pub fn push_str(&mut self, text: &str) {
        self.doubtful = true;
        self.copy(text.as_bytes());
    }

    /// Appends a word of this program: letters, digits and what stands between them in lists.
    #[inline]
    pub fn push_word(&mut self, word: &'static str) {
        debug_assert!(word.bytes().all(Separators::is_usual), "{word}");
        self.copy(word.as_bytes());
    }

    /// Appends one character.
    #[inline]
    pub fn push(&mut self, c: char) {
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => {
                self.doubtful |= !Separators::is_usual(byte);
                self.byte(byte);
            }
            _ => self.push_str(c.encode_utf8(&mut [0; 4])),
        }
    }

    /// Appends a whole number.
    #[inline]
    pub fn push_number(&mut self, number: u64) {
        // Most figures of most lines are 0.
        if let Ok(digit @ 0..10) = u8::try_from(number) {
            self.byte(b'0' + digit);
        } else {
            self.push_long(number);
        }
    }

    /// Appends the last `COUNT` digits of a number, with zeros in front and up to eight of them.
    #[inline]
    pub fn push_digits<const COUNT: usize>(&mut self, number: u64) {
        let digits = (ZEROS | digits(number % const { power_of_ten(COUNT) })) >> (8 * (8 - COUNT));
        self.eight(digits, COUNT);
    }

    /// Appends `number` / 10^`COUNT`, which is less than one, as decimals behind a dot, without zeros at the end;
    /// nothing at all for 0.
    #[inline]
    pub fn push_decimals<const COUNT: usize>(&mut self, number: u64) {
        let digits = digits(number % const { power_of_ten(COUNT) }) >> (8 * (8 - COUNT));
        if digits != 0 {
            self.byte(b'.');
            let length = 8 - (digits.leading_zeros() / 8) as usize;
            self.eight(ZEROS | digits, length);
        }
    }

    /// How many bytes there are.
    #[must_use]
    #[inline]
    pub const fn len(&self) -> usize {
        self.end
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// All of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.get(0)
    }

    /// What is behind `start`; nothing where that is within a character.
    pub(in crate::line) fn get(&self, start: usize) -> &str {
        // Only characters were written.
        std::str::from_utf8(self.bytes(start)).unwrap_or_default()
    }

    #[inline]
    pub(in crate::line) fn bytes(&self, start: usize) -> &[u8] {
        self.bytes.get(start..self.end).unwrap_or_default()
    }

    #[inline]
    pub(in crate::line) const fn truncate(&mut self, length: usize) {
        if length < self.end {
            self.end = length;
        }
    }

    /// A value begins.
    #[inline]
    pub(super) const fn begin(&mut self) {
        self.doubtful = false;
    }

    /// Whether something in the value may have to be escaped, whatever the separators of a configuration; see
    /// [`Separators::keep_usual`].
    #[inline]
    pub(super) const fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// Appends the first `length` of eight ASCII characters, the first of them in the lowest byte; the others are
    /// overwritten by what comes next.
    #[inline]
    pub(super) fn eight(&mut self, eight: u64, length: usize) {
        let eight = eight.to_le_bytes();
        match self.bytes.get_mut(self.end..).and_then(<[u8]>::first_chunk_mut) {
            Some(room) => {
                *room = eight;
                self.end += length.min(8);
            }
            None => self.copy_slowly(eight.get(..length).unwrap_or(&eight)),
        }
    }

    #[inline]
    fn byte(&mut self, byte: u8) {
        match self.bytes.get_mut(self.end) {
            Some(room) => {
                *room = byte;
                self.end += 1;
            }
            None => self.copy_slowly(&[byte]),
        }
    }

    /// Appends bytes of whole characters.
    #[inline]
    pub(super) fn copy(&mut self, text: &[u8]) {
        let room = self.end.checked_add(text.len()).and_then(|end| self.bytes.get_mut(self.end..end));
        match room {
            Some(room) => {
                room.copy_from_slice(text);
                self.end += text.len();
            }
            None => self.copy_slowly(text),
        }
    }

    /// Makes room, and copies then.
    #[cold]
    #[inline(never)]
    fn copy_slowly(&mut self, text: &[u8]) {
        let end = self.end + text.len();
        self.bytes.resize((2 * end).max(ROOM), 0);
        if let Some(room) = self.bytes.get_mut(self.end..end) {
            room.copy_from_slice(text);
            self.end = end;
        }
    }

    fn push_long(&mut self, number: u64) {
        const EIGHT: u64 = 100_000_000;
        if number >= EIGHT {
            self.push_long(number / EIGHT);
            self.eight(ZEROS | digits(number % EIGHT), 8);
        } else {
            let digits = digits(number);
            let leading = (digits.trailing_zeros() / 8).min(7);
            self.eight((ZEROS | digits) >> (8 * leading), 8 - leading as usize);
        }
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

/// 10^`exponent`.
pub(crate) const fn power_of_ten(mut exponent: usize) -> u64 {
    let mut power = 1;
    while exponent > 0 {
        power *= 10;
        exponent -= 1;
    }
    power
}

/// The eight digits of a number below 10^8, the first in the lowest byte: all of them at once, halves of halves.
#[inline]
const fn digits(number: u64) -> u64 {
    // Four digits in each half, then two in each quarter, then one in each byte. The products divide by 100 and
    // by 10, exactly in these ranges.
    let fours = (number / 10_000) | (number % 10_000) << 32;
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds + ((fours - 100 * hundreds) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens + ((twos - 10 * tens) << 8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn written(write: impl FnOnce(&mut Text)) -> String {
        let mut text = Text::new();
        write(&mut text);
        text.as_str().to_owned()
    }

    #[rstest]
    #[case(0)]
    #[case(9)]
    #[case(10)]
    #[case(99_999_999)]
    #[case(100_000_000)]
    #[case(10_000_000_000_000_000)]
    #[case(9_999_999_999_999_999)]
    #[case(u64::MAX)]
    fn borders(#[case] number: u64) {
        assert_eq!(written(|out| out.push_number(number)), number.to_string());
    }

    #[test]
    fn all_of_four_digits() {
        for number in 0..10_000_u64 {
            assert_eq!(
                written(|out| out.push_digits::<8>(number * 10_000 + number)),
                format!("{number:04}{number:04}")
            );
        }
    }

    #[rstest]
    #[case(0, "")]
    #[case(1, ".0001")]
    #[case(5000, ".5")]
    #[case(1230, ".123")]
    #[case(1234, ".1234")]
    fn decimals_as_needed(#[case] number: u64, #[case] expected: &str) {
        assert_eq!(written(|out| out.push_decimals::<4>(number)), expected);
    }

    #[test]
    fn room_is_made_wherever_it_ends() {
        for length in 0..20 {
            let mut text = Text::new();
            text.push_number(0);
            while text.len() < ROOM - length {
                text.push('-');
            }
            text.push_number(1_234_567_890_123);
            text.push_str("é");
            text.push_number(7);
            assert!(text.as_str().ends_with("-1234567890123é7"), "{length}");
        }
    }

    #[rstest]
    #[case::figures(|out: &mut Text| out.push_number(123), false)]
    #[case::between(|out: &mut Text| ",:;.-()".chars().for_each(|c| out.push(c)), false)]
    #[case::letter(|out: &mut Text| out.push('P'), false)]
    #[case::stand_in(|out: &mut Text| out.push('*'), true)]
    #[case::text(|out: &mut Text| out.push_str("a"), true)]
    #[case::character(|out: &mut Text| out.push('é'), true)]
    fn doubt(#[case] write: fn(&mut Text), #[case] doubtful: bool) {
        let mut text = Text::new();
        text.begin();
        write(&mut text);
        assert_eq!(text.is_doubtful(), doubtful);
    }

    proptest! {
        #[test]
        fn any_number(number in any::<u64>(), shift in 0..64_u32) {
            let number = number >> shift;
            prop_assert_eq!(written(|out| out.push_number(number)), number.to_string());
        }

        #[test]
        fn any_pieces(pieces in prop::collection::vec("\\PC{0,9}", 0..30)) {
            let mut text = Text::new();
            pieces.iter().for_each(|piece| text.push_str(piece));
            prop_assert_eq!(text.as_str(), pieces.concat());
        }
    }
}
