//! Where values are written: the room behind a place in a line.

/// "00000000", the digit that comes first in the lowest byte.
const ZEROS: u64 = 0x3030_3030_3030_3030;
/// The same for four digits.
const FOUR_ZEROS: u32 = 0x3030_3030;

/// A place in a line, and the room behind it.
///
/// Each method writes something and gives back the place behind it: a pen goes by value, in two registers, and numbers
/// are written eight bytes at a time.
///
/// The room is what it is. A pen that comes to its end has none any more, and nothing that is written with it then
/// counts; who made the room sees that the pen came back [without any](Pen::is_out), makes more, and has all of it
/// written anew. So there is one look at the room for what goes into one word, and none at how it might grow.
#[must_use = "what is written counts in the pen that is given back"]
#[derive(Debug)]
pub struct Pen<'r>(&'r mut [u8]);

// === impl Pen ===

impl<'r> Pen<'r> {
    /// At the beginning of `room`.
    #[inline]
    pub const fn new(room: &'r mut [u8]) -> Self {
        Self(room)
    }

    /// Writes any text, as it is.
    #[inline(never)]
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// Writes ASCII characters.
    #[inline]
    pub fn marks<const COUNT: usize>(self, marks: [u8; COUNT]) -> Self {
        debug_assert!(marks.is_ascii(), "{marks:?}");
        match self.0.split_first_chunk_mut() {
            Some((place, rest)) => {
                *place = marks;
                Self(rest)
            }
            None => Self::out(),
        }
    }

    /// Writes a 1, or nothing at all.
    #[inline]
    pub fn flag(self, on: bool) -> Self {
        if on { self.marks(*b"1") } else { self }
    }

    /// Writes a whole number.
    pub fn number(self, number: u64) -> Self {
        // Most figures of most lines are 0.
        if let Ok(digit @ 0..10) = u8::try_from(number) {
            return self.marks([b'0' + digit]);
        }
        if let Ok(short @ 0..10_000) = u16::try_from(number) {
            let (digits, length) = without_zeros(u64::from(four_digits(short.into())) << 32);
            return self.eight(digits, length);
        }
        self.long(number)
    }

    /// Writes a whole number and an ASCII character behind it: most of a line's lists is that.
    #[inline]
    pub fn number_and(self, number: u64, mark: u8) -> Self {
        match u8::try_from(number) {
            Ok(digit @ 0..10) => self.marks([b'0' + digit, mark]),
            _ => self.longer_and(number, mark),
        }
    }

    /// The same for two digits or more.
    #[inline(never)]
    fn longer_and(self, number: u64, mark: u8) -> Self {
        let digits = match u16::try_from(number) {
            Ok(short @ 0..10_000) => u64::from(four_digits(short.into())) << 32,
            _ if number < 10_000_000 => eight_digits(number),
            _ => return self.long(number).marks([mark]),
        };
        let (digits, length) = without_zeros(digits);
        self.eight(behind(digits, length, mark), length + 1)
    }

    /// Writes a whole number that may be a very large sum.
    pub fn wide(self, number: u128) -> Self {
        match u64::try_from(number) {
            Ok(number) => self.number(number),
            Err(_) => self.text(itoa::Buffer::new().format(number)),
        }
    }

    /// Writes a number counted in units of 10^-`DECIMALS`, up to four of them, without zeros at the end.
    pub fn fixed<const DECIMALS: usize>(self, number: u128) -> Self {
        let unit = const { power_of_ten(DECIMALS) };
        match u64::try_from(number) {
            Ok(number) => self.number(number / unit).decimals::<DECIMALS>(number % unit),
            Err(_) => self.fixed_wide::<DECIMALS>(number),
        }
    }

    /// The same, and an ASCII character behind it.
    #[inline]
    pub fn fixed_and<const DECIMALS: usize>(self, number: u128, mark: u8) -> Self {
        let unit = const { power_of_ten(DECIMALS) };
        match u64::try_from(number) {
            Ok(number) if number % unit == 0 => self.number_and(number / unit, mark),
            _ => self.fixed::<DECIMALS>(number).marks([mark]),
        }
    }

    #[cold]
    fn fixed_wide<const DECIMALS: usize>(self, number: u128) -> Self {
        let unit = const { power_of_ten(DECIMALS) };
        let rest = u64::try_from(number % u128::from(unit)).unwrap_or_default();
        self.wide(number / u128::from(unit)).decimals::<DECIMALS>(rest)
    }

    /// Writes milliseconds as seconds with all three decimals.
    pub fn seconds(self, ms: u64) -> Self {
        let (pen, decimals) = self.whole_seconds(ms);
        pen.eight(decimals, 4)
    }

    /// The same, and an ASCII character behind it.
    pub fn seconds_and(self, ms: u64, mark: u8) -> Self {
        let (pen, decimals) = self.whole_seconds(ms);
        pen.eight(behind(decimals, 4, mark), 5)
    }

    /// Writes the elements of a list, where `write` puts a comma behind each: the last one is taken back.
    #[inline]
    pub fn list(self, write: impl for<'p> FnOnce(Pen<'p>) -> Pen<'p>) -> Self {
        let Self(room) = self;
        let left = write(Pen(&mut *room)).left();
        if left == 0 {
            return Self::out();
        }
        let written = room.len() - left;
        Self(room.get_mut(written.saturating_sub(1)..).unwrap_or_default())
    }

    /// Whether it has come to the end of its room: what was written does not count.
    #[must_use]
    #[inline]
    pub const fn is_out(&self) -> bool {
        self.left() == 0
    }

    /// Bytes of room behind it.
    #[must_use]
    #[inline]
    pub const fn left(&self) -> usize {
        self.0.len()
    }

    /// One without room.
    #[inline]
    pub(in crate::line) fn out() -> Self {
        Self(Default::default())
    }

    /// Writes bytes of whole characters.
    #[inline]
    pub(crate) fn bytes(self, bytes: &[u8]) -> Self {
        match self.0.split_at_mut_checked(bytes.len()) {
            Some((place, rest)) => {
                place.copy_from_slice(bytes);
                Self(rest)
            }
            None => Self::out(),
        }
    }

    /// Writes the first `length` of eight ASCII characters, the first of them in the lowest byte; the others are
    /// overwritten by what comes next.
    #[inline]
    fn eight(self, eight: u64, length: usize) -> Self {
        let Self(room) = self;
        // More room than is written, so that the compiler sees that `length` is in it.
        let Some([place @ .., _, _, _, _, _, _, _, _]) = room.first_chunk_mut::<16>() else {
            return Self::out();
        };
        *place = eight.to_le_bytes();
        Self(room.get_mut(length..).unwrap_or_default())
    }

    /// Writes a number of five digits or more.
    fn long(self, number: u64) -> Self {
        const EIGHT: u64 = 100_000_000;
        if number < EIGHT {
            let (digits, length) = without_zeros(eight_digits(number));
            self.eight(digits, length)
        } else {
            self.number(number / EIGHT).eight(eight_digits(number % EIGHT) | ZEROS, 8)
        }
    }

    /// Writes what is in front of the dot; gives the dot and the decimals, four characters.
    #[inline]
    fn whole_seconds(self, ms: u64) -> (Self, u64) {
        const DOT: u32 = (b'0' ^ b'.') as u32;
        // Four digits, the first of which is 0 and becomes the dot.
        let decimals = (four_digits((ms % 1000) as u32) | FOUR_ZEROS) ^ DOT;
        (self.number(ms / 1000), decimals.into())
    }

    /// Writes `number` / 10^`COUNT`, which is less than one, as decimals behind a dot; nothing at all for 0.
    #[inline]
    fn decimals<const COUNT: usize>(self, number: u64) -> Self {
        const { assert!(COUNT <= 4, "more decimals than a line has") };
        let digits = four_digits((number % 10_000) as u32) >> (8 * (4 - COUNT));
        if digits == 0 {
            return self;
        }
        let length = 4 - (digits.leading_zeros() / 8) as usize;
        self.eight(u64::from(digits | FOUR_ZEROS) << 8 | u64::from(b'.'), length + 1)
    }
}

/// 10^`exponent`.
const fn power_of_ten(mut exponent: usize) -> u64 {
    let mut power = 1;
    while exponent > 0 {
        power *= 10;
        exponent -= 1;
    }
    power
}

/// `mark` behind `length` characters, fewer than eight.
#[inline]
const fn behind(characters: u64, length: usize, mark: u8) -> u64 {
    characters | (mark as u64) << (8 * length)
}

/// Written digits without the zeros in front, for a number that is not 0, and how many they are.
#[inline]
const fn without_zeros(digits: u64) -> (u64, usize) {
    let zeros = digits.trailing_zeros() / 8;
    ((digits | ZEROS) >> (8 * zeros), 8 - zeros as usize)
}

/// The four digits of a number below 10^4, the first in the lowest byte: halves first, both at once then.
#[inline]
const fn four_digits(number: u32) -> u32 {
    // The products divide by 100 and by 10, exactly in these ranges; what is taken off again is the quotient's share
    // in both places.
    let hundreds = (number * 5243) >> 19;
    let twos = (number << 16) - ((100 << 16) - 1) * hundreds;
    let tens = ((twos * 103) >> 10) & 0x000f_000f;
    (twos << 8) - ((10 << 8) - 1) * tens
}

/// The eight digits of a number below 10^8, in the same way.
#[inline]
const fn eight_digits(number: u64) -> u64 {
    let fours = (number << 32) - ((10_000 << 32) - 1) * (number / 10_000);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = (fours << 16) - ((100 << 16) - 1) * hundreds;
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    (twos << 8) - ((10 << 8) - 1) * tens
}

/// What `write` writes, for tests and for those who want no line.
///
/// `write` is called again with more room as long as it comes out without any.
pub fn written(write: impl Fn(Pen<'_>) -> Pen<'_>) -> String {
    let mut room = Vec::new();
    let length = write_all(&mut room, 64, write);
    room.truncate(length);
    // Only characters were written.
    String::from_utf8(room).unwrap_or_default()
}

/// Has `write` write into `room`, which is made as large as it takes, at least `least`; how many bytes it is.
#[inline]
pub(super) fn write_all(
    room: &mut Vec<u8>,
    least: usize,
    mut write: impl FnMut(Pen<'_>) -> Pen<'_>,
) -> usize {
    loop {
        let whole = room.len();
        let left = write(Pen::new(room)).left();
        if left > 0 {
            return whole - left;
        }
        make_room(room, least);
    }
}

/// Makes it twice as large as it was, and at least `least`.
#[cold]
pub(super) fn make_room(room: &mut Vec<u8>, least: usize) {
    room.resize((2 * room.len()).max(least), 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0)]
    #[case(9)]
    #[case(10)]
    #[case(9_999)]
    #[case(10_000)]
    #[case(9_999_999)]
    #[case(10_000_000)]
    #[case(99_999_999)]
    #[case(100_000_000)]
    #[case(1_000_000_000_000)]
    #[case(10_000_000_000_000_000)]
    #[case(9_999_999_999_999_999)]
    #[case(u64::MAX)]
    fn borders(#[case] number: u64) {
        assert_eq!(written(|pen| pen.number(number)), number.to_string());
        assert_eq!(written(|pen| pen.number_and(number, b':')), format!("{number}:"));
    }

    #[test]
    fn all_of_four_digits() {
        for number in 0..10_000_u64 {
            let pairs = [(number, 1), (number * 10_000 + number, 1), (number, 10_000)];
            for number in pairs.map(|(number, times)| number * times) {
                assert_eq!(written(|pen| pen.number_and(number, b',')), format!("{number},"));
            }
            assert_eq!(written(|pen| pen.seconds(number)), format!("{}.{:03}", number / 1000, number % 1000));
        }
    }

    #[rstest]
    #[case(0, "0")]
    #[case(10_000, "1")]
    #[case(12_345, "1.2345")]
    #[case(15_000, "1.5")]
    #[case(1_230, "0.123")]
    #[case(5, "0.0005")]
    #[case(1_020_300, "102.03")]
    #[case(u128::MAX, "34028236692093846346337460743176821.1455")]
    fn decimals_as_needed(#[case] number: u128, #[case] text: &str) {
        assert_eq!(written(|pen| pen.fixed::<4>(number)), text);
        assert_eq!(written(|pen| pen.fixed_and::<4>(number, b':')), format!("{text}:"));
    }

    #[rstest]
    #[case(0, "0")]
    #[case(27, "0.27")]
    #[case(50, "0.5")]
    #[case(1_206, "12.06")]
    fn hundredths(#[case] number: u128, #[case] text: &str) {
        assert_eq!(written(|pen| pen.fixed::<2>(number)), text);
    }

    #[rstest]
    #[case(0, "0.000")]
    #[case(1_020, "1.020")]
    #[case(u64::MAX, "18446744073709551.615")]
    fn seconds_have_three_decimals(#[case] ms: u64, #[case] text: &str) {
        assert_eq!(written(|pen| pen.seconds(ms)), text);
        assert_eq!(written(|pen| pen.seconds_and(ms, b'-')), format!("{text}-"));
    }

    #[test]
    fn a_list_has_commas_between_elements_alone() {
        let list =
            |count| written(|pen| pen.list(|pen| (0..count).fold(pen, |pen, n| pen.number_and(n, b','))));
        assert_eq!([0, 1, 3].map(list), ["", "0", "0,1,2"]);
    }

    /// Wherever the room ends, what fits is right, and what does not is told.
    #[test]
    fn room_ends_anywhere() {
        fn write(pen: Pen<'_>) -> Pen<'_> {
            let pen =
                pen.number(7).number_and(1_234_567_890_123, b':').text("é").seconds(1_234).fixed::<4>(5);
            pen.list(|pen| pen.number_and(12, b',').number_and(34_567, b',')).marks(*b"()").wide(u128::MAX)
        }

        let whole = written(write);
        for length in 0..whole.len() + 20 {
            let mut room = vec![b'#'; length];
            let left = write(Pen::new(&mut room)).left();
            assert!(left == 0 || length - left == whole.len(), "{length}");
            assert!(left > 0 || length < whole.len() + 16, "{length}");
            if left > 0 {
                assert_eq!(room[..length - left], *whole.as_bytes(), "{length}");
            }
        }
    }

    proptest! {
        #[test]
        fn any_number(number in any::<u64>(), shift in 0..64_u32) {
            let number = number >> shift;
            prop_assert_eq!(written(|pen| pen.number(number)), number.to_string());
            prop_assert_eq!(written(|pen| pen.number_and(number, b';')), format!("{number};"));
        }

        #[test]
        fn any_pieces(pieces in prop::collection::vec("\\PC{0,9}", 0..30)) {
            let text = written(|pen| pieces.iter().fold(pen, |pen, piece| pen.text(piece)));
            prop_assert_eq!(text, pieces.concat());
        }
    }
}
