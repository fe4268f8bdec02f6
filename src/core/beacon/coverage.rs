//! Which parts of a stream have been played at least once.

use crate::session::Head;

/// How many separate parts are kept; beyond that the smallest gap between two counts as played.
const MAX_PARTS: usize = 128;

/// The union of the stretches of stream that were played.
#[derive(Debug, Clone, Default)]
pub(super) struct Coverage {
    /// Sorted, without overlap; ends excluded.
    parts: Vec<(i64, i64)>,
    /// Length of all of them, in µs, gaps that were given up not included.
    total: u64,
}

impl Coverage {
    /// In whole ms.
    pub(super) const fn ms(&self) -> u64 {
        self.total / 1000
    }

    /// Adds the stretch between two points, whichever comes first.
    pub(super) fn add(&mut self, a: Head, b: Head) {
        let (low, high) = (a.0.min(b.0), a.0.max(b.0));
        if low == high {
            return;
        }
        let first = self.parts.partition_point(|&(_, end)| end < low);
        let last = self.parts.partition_point(|&(start, _)| start <= high).max(first);
        let touched = self.parts.get(first..last).unwrap_or_default();
        let known: i64 = touched.iter().map(|&(start, end)| end.min(high) - start.max(low)).sum();
        let start = touched.first().map_or(low, |part| part.0.min(low));
        let end = touched.last().map_or(high, |part| part.1.max(high));
        self.parts.splice(first..last, [(start, end)]);
        self.total = self.total.saturating_add((high - low - known).unsigned_abs());
        if self.parts.len() > MAX_PARTS {
            self.close_smallest_gap();
        }
    }

    fn close_smallest_gap(&mut self) {
        let gaps = self.parts.iter().zip(self.parts.iter().skip(1)).map(|(one, next)| next.0 - one.1);
        let smallest = gaps.enumerate().min_by_key(|&(_, gap)| gap).map(|(i, _)| i);
        let Some(i) = smallest else { return };
        if i + 1 < self.parts.len() {
            let (_, end) = self.parts.remove(i + 1);
            if let Some(part) = self.parts.get_mut(i) {
                part.1 = end;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn ms(parts: &[(i64, i64)]) -> u64 {
        let mut coverage = Coverage::default();
        parts.iter().for_each(|&(a, b)| coverage.add(Head(a * 1000), Head(b * 1000)));
        coverage.ms()
    }

    #[rstest]
    #[case::nothing(&[(5, 5)], 0)]
    #[case::apart(&[(0, 10), (20, 30)], 20)]
    #[case::again(&[(0, 10), (0, 10)], 10)]
    #[case::overlap(&[(0, 10), (5, 15)], 15)]
    #[case::over_several(&[(0, 10), (20, 30), (40, 50), (5, 45)], 50)]
    #[case::backwards(&[(30, 10), (10, 20)], 20)]
    #[case::touching(&[(0, 10), (10, 20)], 20)]
    fn counts_once(#[case] parts: &[(i64, i64)], #[case] expected: u64) {
        assert_eq!(ms(parts), expected);
    }

    #[test]
    fn stays_bounded() {
        let mut coverage = Coverage::default();
        (0..10_000).for_each(|n| coverage.add(Head(n * 10_000), Head(n * 10_000 + 4_000)));
        assert!(coverage.parts.len() <= MAX_PARTS);
        assert_eq!(coverage.ms(), 40_000);
    }

    proptest! {
        #[test]
        fn agrees_with_a_map_of_every_millisecond(parts in prop::collection::vec((0..500_i64, 0..500_i64), 0..60)) {
            let mut played = [false; 500];
            for &(a, b) in &parts {
                (a.min(b)..a.max(b)).for_each(|i| played[usize::try_from(i).unwrap()] = true);
            }
            let expected = played.iter().filter(|played| **played).count();
            prop_assert_eq!(ms(&parts), u64::try_from(expected).unwrap());
        }
    }
}
