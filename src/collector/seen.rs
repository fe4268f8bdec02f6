//! Which numbers of a sequence have come: repetitions are told from news, and what is missing is counted.

use serde::{Deserialize, Serialize};

/// Most gaps that are remembered. Beyond them the oldest is taken for lost: what would fill it counts as a
/// repetition.
const MAX_RANGES: usize = 64;

/// The numbers that have come, as ranges from lowest to highest, both ends included.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    ranges: Vec<(u32, u32)>,
    /// Numbers in gaps that are not remembered any more.
    #[serde(default)]
    given_up: u64,
}

// === impl Seen ===

impl Seen {
    /// Takes a number; `false` where it was there before.
    pub(crate) fn note(&mut self, number: u32) -> bool {
        let next = self.ranges.partition_point(|(_, last)| *last < number);
        if self.ranges.get(next).is_some_and(|(first, _)| *first <= number) {
            return false;
        }
        if self.given_up > 0 && next == 0 {
            return false;
        }
        let joins_before = next.checked_sub(1).filter(|before| {
            self.ranges.get(*before).is_some_and(|(_, last)| last.checked_add(1) == Some(number))
        });
        let joins_after =
            self.ranges.get(next).is_some_and(|(first, _)| number.checked_add(1) == Some(*first));
        match (joins_before, joins_after) {
            (Some(before), true) => {
                let (_, last) = self.ranges.remove(next);
                self.set(before, |range| range.1 = last);
            }
            (Some(before), false) => self.set(before, |range| range.1 = number),
            (None, true) => self.set(next, |range| range.0 = number),
            (None, false) => self.ranges.insert(next, (number, number)),
        }
        if self.ranges.len() > MAX_RANGES {
            let (first, last) = self.ranges.remove(0);
            if let Some(next) = self.ranges.first_mut() {
                self.given_up += u64::from(next.0 - last - 1);
                next.0 = first;
            }
        }
        true
    }

    /// Whether a number has come.
    pub(crate) fn has(&self, number: u32) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&number))
    }

    /// How many are missing between 0 and the highest.
    pub(crate) fn missing(&self) -> u64 {
        let Some((_, highest)) = self.ranges.last() else { return 0 };
        let there: u64 = self.ranges.iter().map(|(first, last)| u64::from(last - first) + 1).sum();
        u64::from(*highest) + 1 - there + self.given_up
    }

    /// Whether all from 0 to the highest have come.
    pub(crate) fn is_whole(&self) -> bool {
        self.missing() == 0
    }

    fn set(&mut self, index: usize, change: impl FnOnce(&mut (u32, u32))) {
        if let Some(range) = self.ranges.get_mut(index) {
            change(range);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn too_many_gaps_give_up_the_oldest() {
        let mut seen = Seen::default();
        for number in (0..200).step_by(2) {
            assert!(seen.note(number));
        }
        assert_eq!(seen.ranges.len(), MAX_RANGES);
        assert_eq!(seen.missing(), 99);
        assert!(!seen.note(1), "given up, and so not news");
        assert!(seen.note(197));
        assert_eq!(seen.missing(), 98);
        assert!(seen.note(u32::MAX) && !seen.note(u32::MAX));
    }

    proptest! {
        #[test]
        fn is_a_set(numbers in prop::collection::vec(0_u32..60, 0..120)) {
            let (mut seen, mut model) = (Seen::default(), BTreeSet::new());
            for number in numbers {
                prop_assert_eq!(seen.note(number), model.insert(number));
            }
            let missing = model.last().map_or(0, |last| *last as usize + 1 - model.len());
            prop_assert_eq!(seen.missing(), missing as u64);
            prop_assert!((0..60).all(|number| seen.has(number) == model.contains(&number)));
        }
    }
}
