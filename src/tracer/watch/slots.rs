//! Presentation-time slots that no frame filled.

/// A step in time longer than this is a splice or a wrong clock, not a loss; in ns.
const LONGEST_GAP: u64 = 10_000_000_000;

/// Counts the empty slots between frames as they come out of a decoder.
#[derive(Debug)]
pub(super) struct Slots {
    rule: Rule,
    last: Option<u64>,
}

/// What an empty slot looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// Frames start a whole number of frames apart. Pulled-down film steps by 1½, and streams of variable rate
    /// by anything; neither has lost a frame.
    Picture,
    /// A frame starts where the one before it ended; frames differ in length.
    Sound,
}

impl Slots {
    pub(super) const fn new(rule: Rule) -> Self {
        Self { rule, last: None }
    }

    /// What comes next has nothing to do with what was: a flush, a segment.
    pub(super) const fn reset(&mut self) {
        self.last = None;
    }

    /// A frame shown at `time` for `duration`, both in ns; gives the empty slots before it.
    pub(super) fn frame(&mut self, time: Option<u64>, duration: Option<u64>) -> u64 {
        let Some(time) = time else { return 0 };
        let length = duration.unwrap_or(0);
        let next = match self.rule {
            Rule::Picture => time,
            Rule::Sound => time.saturating_add(length),
        };
        let Some(last) = self.last.replace(next) else { return 0 };
        let step = time.saturating_sub(last);
        if length == 0 || step > LONGEST_GAP {
            return 0;
        }
        let frames = step.saturating_add(length / 2) / length;
        match self.rule {
            Rule::Picture if step.abs_diff(frames.saturating_mul(length)) > length / 5 => 0,
            Rule::Picture => frames.saturating_sub(1),
            Rule::Sound => frames,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const FRAME: u64 = 40_000_000;

    #[rstest]
    #[case::none_missing(&[0, 40, 80, 120], 0)]
    #[case::one_missing(&[0, 40, 120], 1)]
    #[case::two_gaps(&[0, 80, 120, 240], 3)]
    #[case::clock_rounding(&[0, 41, 79, 161], 1)]
    #[case::pulled_down(&[0, 60, 100, 160], 0)]
    #[case::backwards(&[100, 40, 80], 0)]
    #[case::splice(&[0, 20_000, 20_040], 0)]
    fn counts_empty_slots(#[case] times: &[u64], #[case] lost: u64) {
        let mut slots = Slots::new(Rule::Picture);
        let sum: u64 = times.iter().map(|ms| slots.frame(Some(ms * 1_000_000), Some(FRAME))).sum();
        assert_eq!(sum, lost);
    }

    #[rstest]
    #[case::contiguous(&[(0, 20), (20, 10), (30, 20)], 0)]
    #[case::clock_rounding(&[(0, 21), (21, 21), (43, 21)], 0)]
    #[case::one_missing(&[(0, 20), (40, 20)], 1)]
    #[case::three_missing(&[(0, 20), (80, 20), (100, 20)], 3)]
    fn counts_gaps_between_sounds(#[case] frames: &[(u64, u64)], #[case] lost: u64) {
        let mut slots = Slots::new(Rule::Sound);
        let ns = |ms| Some(ms * 1_000_000);
        let sum: u64 = frames.iter().map(|&(time, length)| slots.frame(ns(time), ns(length))).sum();
        assert_eq!(sum, lost);
    }

    #[test]
    fn a_reset_forgives_the_gap() {
        let mut slots = Slots::new(Rule::Picture);
        slots.frame(Some(0), Some(FRAME));
        slots.reset();
        assert_eq!(slots.frame(Some(10 * FRAME), Some(FRAME)), 0);
    }

    #[test]
    fn without_a_duration_nothing_is_known() {
        let mut slots = Slots::new(Rule::Picture);
        assert_eq!(slots.frame(Some(0), None) + slots.frame(Some(10 * FRAME), None), 0);
        assert_eq!(slots.frame(None, Some(FRAME)), 0);
    }

    proptest! {
        #[test]
        fn empty_and_filled_slots_make_up_the_time(filled in prop::collection::btree_set(0..200_u64, 2..100)) {
            let mut slots = Slots::new(Rule::Picture);
            let lost: u64 = filled.iter().map(|n| slots.frame(Some(n * FRAME), Some(FRAME))).sum();
            let span = filled.last().unwrap() - filled.first().unwrap() + 1;
            prop_assert_eq!(lost + filled.len() as u64, span);
        }
    }
}
