//! The parts of a stream, and what happened in each.

use crate::line::encode::Pen;
use crate::session::{Head, Span};

/// How many parts are told apart in one line; further ones count in the last.
const MAX_BUCKETS: usize = 1000;

/// How a stream is divided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Division {
    /// Parts of a stream whose length is known.
    pub(super) count: u32,
    /// Length of a part of a live stream, in ms.
    pub(super) length: u64,
    /// Length of the stream in ms, where it is known and the stream is not live.
    pub(super) duration: Option<u64>,
}

/// What happened in one part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Bucket {
    /// Stream played, in µs.
    pub(super) played: u64,
    pub(super) pauses: u64,
    pub(super) paused: u64,
    pub(super) seeks: u64,
    pub(super) forward: u64,
    pub(super) backward: u64,
    pub(super) seeking: u64,
    pub(super) rebuffers: u64,
    pub(super) rebuffering: u64,
    pub(super) resumes: u64,
    pub(super) resuming: u64,
    pub(super) full_screen: u64,
}

/// All parts in which something happened.
#[derive(Debug, Clone, Default)]
pub(super) struct Buckets {
    /// Sorted by their numbers, which begin at 1.
    parts: Vec<(u32, Bucket)>,
}

impl Division {
    /// The border below a point and the one above it, in µs, and the number of the part between them.
    fn part(&self, at: i64) -> (u32, i64, i64) {
        let at = i128::from(at.max(0));
        let border = |n: i128| match self.duration {
            // Rounded up: the first µs of a part is in it.
            Some(duration) => {
                let (whole, count) = (i128::from(duration) * 1000, i128::from(self.count.max(1)));
                (n * whole + count - 1) / count
            }
            None => n * i128::from(self.length.max(1)) * 1000,
        };
        let index = match self.duration {
            Some(duration) => {
                let whole = i128::from(duration.max(1)) * 1000;
                (at * i128::from(self.count.max(1)) / whole).min(i128::from(self.count.max(1)) - 1)
            }
            None => at / (i128::from(self.length.max(1)) * 1000),
        };
        let is_last = self.duration.is_some() && index + 1 == i128::from(self.count.max(1));
        let narrow = |border: i128| i64::try_from(border).unwrap_or(i64::MAX);
        let above = if is_last { i64::MAX } else { narrow(border(index + 1)) };
        (u32::try_from(index).unwrap_or(u32::MAX - 1) + 1, narrow(border(index)), above)
    }

    pub(super) fn number(&self, head: Head) -> u32 {
        self.part(head.0).0
    }

    /// Length of one part, in µs.
    fn part_length(&self) -> u64 {
        match self.duration {
            Some(duration) => duration.saturating_mul(1000) / u64::from(self.count.max(1)),
            None => self.length.saturating_mul(1000),
        }
        .max(1)
    }
}

impl Buckets {
    pub(super) fn clear(&mut self) {
        self.parts.clear();
    }

    /// The part in which something at `head` happens.
    pub(super) fn at(&mut self, division: &Division, head: Head) -> &mut Bucket {
        self.numbered(division.number(head))
    }

    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &(u32, Bucket)> {
        self.parts.iter()
    }

    fn numbered(&mut self, number: u32) -> &mut Bucket {
        let full = self.parts.len() >= MAX_BUCKETS;
        let index = match self.parts.binary_search_by_key(&number, |part| part.0) {
            Ok(index) => index,
            Err(index) if full => index.min(MAX_BUCKETS - 1),
            Err(index) => {
                self.parts.insert(index, (number, Bucket::default()));
                index
            }
        };
        #[expect(clippy::indexing_slicing, reason = "found or inserted right above")]
        &mut self.parts[index].1
    }

    /// Puts a stretch in which the playhead moved where it belongs, cut at every border it runs over.
    pub(super) fn play(&mut self, division: &Division, span: &Span) {
        let (from, to) = (span.head_from.0, span.head_to.0);
        let (whole, time) = (to.abs_diff(from), span.length().0);
        // Time up to a point is in proportion to the stream up to it, so that the parts add up to the whole.
        let time_until = |gone: u64| {
            let part = u128::from(time) * u128::from(gone) / u128::from(whole.max(1));
            u64::try_from(part).unwrap_or(time)
        };
        let mut gone = 0;
        let mut at = from;
        for _ in 0..MAX_BUCKETS {
            // Backwards, a point on a border is in the part below it.
            let inside = if to < from { at - 1 } else { at };
            let (number, below, above) = division.part(inside);
            let next = if to < from { below.max(to) } else { above.min(to) };
            let step = next.abs_diff(at);
            let is_last = gone + step >= whole;
            let upto = if is_last { time } else { time_until(gone + step) };
            self.spend(number, step, upto - time_until_or_zero(gone, &time_until), span.full_screen);
            gone += step;
            at = next;
            if is_last {
                return;
            }
        }
        // More parts than are told apart: the rest is in the one it has come to.
        let number = division.part(at).0;
        self.spend(number, whole - gone, time - time_until(gone), span.full_screen);
    }

    fn spend(&mut self, number: u32, played: u64, time: u64, full_screen: bool) {
        let bucket = self.numbered(number);
        bucket.played = bucket.played.saturating_add(played);
        if full_screen {
            bucket.full_screen = bucket.full_screen.saturating_add(time);
        }
    }

    /// `1:3,4:1`: the parts in which `value` is not zero.
    #[inline]
    pub(super) fn write<'p>(&self, value: impl Fn(&Bucket) -> u64, out: Pen<'p>) -> Pen<'p> {
        out.list(|mut out| {
            for (number, bucket) in &self.parts {
                let value = value(bucket);
                if value > 0 {
                    out = out.number_and(u64::from(*number), b':').number_and(value, b',');
                }
            }
            out
        })
    }

    /// `1:1,2:0.56`: how much of each part was played, to two decimals.
    #[inline(never)]
    pub(super) fn write_plays<'p>(&self, division: &Division, out: Pen<'p>) -> Pen<'p> {
        let length = division.part_length();
        out.list(|mut out| {
            for (number, bucket) in &self.parts {
                let hundredths = hundredths(bucket.played, length);
                if hundredths > 0 {
                    out = out.number_and(u64::from(*number), b':').fixed_and::<2>(hundredths, b',');
                }
            }
            out
        })
    }
}

/// `part` / `whole` in hundredths, rounded half up.
fn hundredths(part: u64, whole: u64) -> u128 {
    match part.checked_mul(100).and_then(|part| part.checked_add(whole / 2)) {
        Some(part) => (part / whole).into(),
        None => (u128::from(part) * 100 + u128::from(whole / 2)) / u128::from(whole),
    }
}

fn time_until_or_zero(gone: u64, time_until: &impl Fn(u64) -> u64) -> u64 {
    if gone == 0 { 0 } else { time_until(gone) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::line::encode::written;
    use crate::session::{Activity, Gauges};
    use crate::time::Millis;

    const VOD: Division = Division { count: 4, length: 1, duration: Some(100_000) };
    const LIVE: Division = Division { count: 4, length: 900_000, duration: None };

    fn span(time: u64, from: i64, to: i64) -> Span {
        Span {
            from: Millis(1000),
            to: Millis(1000 + time),
            activity: Activity::Playing,
            head_from: Head(from * 1000),
            head_to: Head(to * 1000),
            anchor: Head(from * 1000),
            paused_for_ad: false,
            loading_ad: false,
            full_screen: true,
            joined: true,
            gauges: Gauges::default(),
        }
    }

    #[rstest]
    #[case::first(VOD, 0, 1)]
    #[case::before_a_border(VOD, 24_999, 1)]
    #[case::on_a_border(VOD, 25_000, 2)]
    #[case::the_very_end(VOD, 100_000, 4)]
    #[case::beyond(VOD, 900_000, 4)]
    #[case::live(LIVE, 900_000, 2)]
    fn numbers_parts_from_one(#[case] division: Division, #[case] ms: u64, #[case] number: u32) {
        assert_eq!(division.number(Head::from_ms(ms)), number);
    }

    #[rstest]
    #[case::inside(span(10_000, 0, 10_000), &[(1, 10_000_000, 10_000)])]
    #[case::over_a_border(span(10_000, 20_000, 30_000), &[(1, 5_000_000, 5_000), (2, 5_000_000, 5_000)])]
    #[case::fast(span(1_000, 20_000, 60_000), &[(1, 5_000_000, 125), (2, 25_000_000, 625), (3, 10_000_000, 250)])]
    #[case::backwards(span(1_000, 30_000, 20_000), &[(1, 5_000_000, 500), (2, 5_000_000, 500)])]
    #[case::standing(span(1_000, 30_000, 30_000), &[(2, 0, 1_000)])]
    #[case::up_to_a_border(span(1_000, 24_000, 25_000), &[(1, 1_000_000, 1_000)])]
    #[case::backwards_from_a_border(span(1_000, 25_000, 24_000), &[(1, 1_000_000, 1_000)])]
    #[case::backwards_to_the_beginning(span(1_000, 500, 0), &[(1, 500_000, 1_000)])]
    fn cuts_at_borders(#[case] span: Span, #[case] expected: &[(u32, u64, u64)]) {
        let mut buckets = Buckets::default();
        buckets.play(&VOD, &span);
        let found: Vec<_> = buckets.iter().map(|(n, b)| (*n, b.played, b.full_screen)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_jump_over_a_million_parts_neither_hangs_nor_loses_anything() {
        let mut buckets = Buckets::default();
        let division = Division { count: 1, length: 1, duration: None };
        buckets.play(&division, &span(3_000, 0, 1_000_000_000));
        assert!(buckets.parts.len() <= MAX_BUCKETS);
        let sum = |of: fn(&Bucket) -> u64| buckets.iter().map(|(_, bucket)| of(bucket)).sum::<u64>();
        assert_eq!((sum(|b| b.played), sum(|b| b.full_screen)), (1_000_000_000_000, 3_000));
    }

    #[test]
    fn writes_what_is_not_nothing() {
        let mut buckets = Buckets::default();
        buckets.play(&VOD, &span(39_000, 0, 39_000));
        buckets.at(&VOD, Head::from_ms(80_000)).pauses = 3;
        assert_eq!(written(|out| buckets.write_plays(&VOD, out)), "1:1,2:0.56");
        assert_eq!(written(|out| buckets.write(|bucket| bucket.pauses, out)), "4:3");
    }
}
