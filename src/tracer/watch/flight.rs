//! How many units went into a decoder and never came out.
//!
//! `in − out` counts what is still inside as well: a decoder that reorders or runs in several threads holds a
//! dozen pictures at any moment. What is inside is told by time: pictures come out in the order of presentation,
//! so a unit that is to be shown later than the newest picture that came out is on its way, and one that was to
//! be shown earlier never comes. So losses are known while they happen, and a user who changes channel, which is
//! how most sessions end, does not turn a full decoder into a dozen failures.
//!
//! Live streams are timed by their arrival, and where that is uneven presentation times may fall from one picture to the
//! next. Then they tell nothing of the order, and only more units than a decoder holds are known to be lost.
//!
//! One thread feeds, one takes out, and a third reads now and then. All of it is atomics. A reader that comes
//! between two steps sees too few losses, never too many, for totals that were told cannot be taken back.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many units back the presentation times are known: more than any decoder holds (16 reordered, 16 threads).
const REMEMBERED: usize = 128;

/// More than any decoder holds at once.
const HELD: u64 = 32;

/// Shown at no known time: counts as on its way until the decoder is empty.
const UNKNOWN: u64 = u64::MAX;

/// Never comes out: the decoder said so.
const FAILED: u64 = u64::MAX - 1;

/// Marks the time of a unit that went in when it was too late already. Times of 292 years do not occur.
const BEHIND: u64 = 1 << 63;

/// What is inside one decoder.
#[derive(Debug)]
pub(super) struct Flight {
    /// Units that went in.
    fed: AtomicU64,
    /// Their presentation times in ns, by number modulo [`REMEMBERED`].
    times: [AtomicU64; REMEMBERED],
    /// Units before this number belong to an earlier segment.
    segment: AtomicU64,
    /// Frames that came out.
    came: AtomicU64,
    /// The newest presentation time that came out of this segment, plus one; 0 where none has.
    newest: AtomicU64,
    /// Units that were too late when they went in, and those of them that came out all the same
    /// or of which the decoder itself says what became of them.
    behind_fed: AtomicU64,
    behind_done: AtomicU64,
    /// Units whose loss is nobody's fault: thrown away by a flush.
    excused: AtomicU64,
    /// Segments that went in and that came out.
    segments_in: AtomicU64,
    segments_out: AtomicU64,
    /// Nothing is inside: the end of the stream has come out.
    drained: AtomicBool,
    /// Plays backwards: presentation times fall.
    backwards: AtomicBool,
    /// Presentation times of this segment have fallen: they do not tell what is inside.
    disordered: AtomicBool,
}

impl Default for Flight {
    fn default() -> Self {
        Self {
            fed: AtomicU64::new(0),
            times: [const { AtomicU64::new(UNKNOWN) }; REMEMBERED],
            segment: AtomicU64::new(0),
            came: AtomicU64::new(0),
            newest: AtomicU64::new(0),
            behind_fed: AtomicU64::new(0),
            behind_done: AtomicU64::new(0),
            excused: AtomicU64::new(0),
            segments_in: AtomicU64::new(0),
            segments_out: AtomicU64::new(0),
            drained: AtomicBool::new(false),
            backwards: AtomicBool::new(false),
            disordered: AtomicBool::new(false),
        }
    }
}

impl Flight {
    /// A unit goes in, to be shown at `time` ns; `behind` if the sink has said that this is too late. One that
    /// is not expected to come out must not be told.
    pub(super) fn feed(&self, time: Option<u64>, behind: bool) {
        let number = self.fed.load(Ordering::Relaxed);
        let behind = behind && time.is_some();
        // One that was to be shown before what came out already, and it has only now gone in.
        if !self.awaits_segment() {
            self.see_order(time);
        }
        if let Some(slot) = self.slot(number) {
            slot.store(time.map_or(UNKNOWN, |t| t | if behind { BEHIND } else { 0 }), Ordering::Relaxed);
        }
        if behind {
            self.behind_fed.fetch_add(1, Ordering::Relaxed);
        }
        self.drained.store(false, Ordering::Relaxed);
        self.fed.store(number + 1, Ordering::Release);
    }

    /// A frame comes out, to be shown at `time` ns.
    pub(super) fn emerge(&self, time: Option<u64>) {
        self.account(time);
        self.see_order(time);
        self.came.fetch_add(1, Ordering::Relaxed);
        if let Some(time) = time {
            self.newest.fetch_max(time.saturating_add(1), Ordering::Release);
        }
    }

    fn see_order(&self, time: Option<u64>) {
        if time.is_some_and(|time| time < self.newest.load(Ordering::Relaxed)) {
            self.disordered.store(true, Ordering::Relaxed);
        }
    }

    /// What became of the unit to be shown at `time` ns is known: it came out, or the decoder says it dropped it.
    pub(super) fn account(&self, time: Option<u64>) {
        let Some(time) = time else { return };
        if self.behind_fed.load(Ordering::Relaxed) <= self.behind_done.load(Ordering::Relaxed) {
            return;
        }
        let known = self.times.iter().find(|slot| slot.load(Ordering::Relaxed) == time | BEHIND);
        if let Some(slot) = known {
            slot.store(time, Ordering::Relaxed);
            self.behind_done.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The unit that went in last never comes out.
    pub(super) fn fail(&self) {
        if let Some(slot) = self.fed().checked_sub(1).and_then(|number| self.slot(number)) {
            slot.store(FAILED, Ordering::Relaxed);
        }
    }

    /// A segment goes in: what follows may be timed anew. What is inside comes out before it.
    pub(super) fn segment_in(&self, backwards: bool) {
        self.segment.store(self.fed.load(Ordering::Relaxed), Ordering::Relaxed);
        self.backwards.store(backwards, Ordering::Relaxed);
        self.segments_in.fetch_add(1, Ordering::Release);
    }

    /// The segment comes out.
    pub(super) fn segment_out(&self) {
        self.newest.store(0, Ordering::Relaxed);
        self.disordered.store(false, Ordering::Relaxed);
        let entered = self.segments_in.load(Ordering::Acquire);
        self.segments_out.store(entered, Ordering::Release);
    }

    /// The decoder is emptied without its pictures being shown. `late` as for [`Flight::missing`].
    pub(super) fn flush(&self, late: u64) {
        let inside = self.inside(late);
        self.excused.fetch_add(inside, Ordering::Relaxed);
        self.segment.store(self.fed.load(Ordering::Relaxed), Ordering::Relaxed);
        self.newest.store(0, Ordering::Relaxed);
        self.disordered.store(false, Ordering::Relaxed);
    }

    /// What went in so far is not expected to come out, but for the unit that is about to.
    pub(super) fn excuse_all_but_one(&self) {
        self.excused.store(self.fed().saturating_sub(1), Ordering::Relaxed);
    }

    /// The end of the stream has come out: nothing is inside any more.
    pub(super) fn drain(&self) {
        self.drained.store(true, Ordering::Relaxed);
    }

    /// Frames that came out.
    pub(super) fn came(&self) -> u64 {
        self.came.load(Ordering::Relaxed)
    }

    /// Units that went in.
    pub(super) fn fed(&self) -> u64 {
        self.fed.load(Ordering::Acquire)
    }

    /// Units that were too late when they went in, never came out, and were not said to be dropped.
    ///
    /// A decoder that is behind may skip pictures inside its codec, of which it posts no QoS message.
    pub(super) fn skipped(&self) -> u64 {
        let fed = self.behind_fed.load(Ordering::Acquire);
        let came = self.behind_done.load(Ordering::Relaxed);
        let inside = if self.drained.load(Ordering::Relaxed) {
            0
        } else if self.disordered.load(Ordering::Relaxed) {
            HELD
        } else {
            self.coming(self.fed(), true)
        };
        fed.saturating_sub(inside).saturating_sub(came)
    }

    /// Units that never came out, apart from the `late` ones that the decoder gave up for lateness.
    pub(super) fn missing(&self, late: u64) -> u64 {
        // In this order a unit on the move is at worst taken for one that is inside.
        let fed = self.fed();
        let inside = self.inside_of(fed, late);
        let came = self.came();
        let excused = self.excused.load(Ordering::Relaxed);
        fed.saturating_sub(came).saturating_sub(excused).saturating_sub(late).saturating_sub(inside)
    }

    fn inside(&self, late: u64) -> u64 {
        self.inside_of(self.fed(), late)
    }

    fn inside_of(&self, fed: u64, late: u64) -> u64 {
        if self.drained.load(Ordering::Relaxed) {
            return 0;
        }
        let came = self.came();
        let excused = self.excused.load(Ordering::Relaxed);
        let most = fed.saturating_sub(came).saturating_sub(excused).saturating_sub(late);
        if self.awaits_segment() || self.backwards.load(Ordering::Relaxed) {
            return most;
        }
        let coming = if self.disordered.load(Ordering::Relaxed) { HELD } else { self.coming(fed, false) };
        most.min(coming)
    }

    /// A segment went in and has not come out.
    fn awaits_segment(&self) -> bool {
        self.segments_out.load(Ordering::Acquire) < self.segments_in.load(Ordering::Acquire)
    }

    /// Units of this segment that are to be shown after all that came out; of those, the ones `behind` only.
    fn coming(&self, fed: u64, behind: bool) -> u64 {
        let newest = self.newest.load(Ordering::Acquire);
        let segment = self.segment.load(Ordering::Relaxed);
        let oldest = fed.saturating_sub(REMEMBERED as u64).max(segment);
        let coming = (oldest..fed)
            .filter_map(|number| self.slot(number))
            .map(|slot| slot.load(Ordering::Relaxed))
            .filter(|time| *time != FAILED)
            .filter(|time| {
                *time == UNKNOWN || ((time & !BEHIND) >= newest && (!behind || time & BEHIND != 0))
            })
            .count();
        coming as u64
    }

    fn slot(&self, number: u64) -> Option<&AtomicU64> {
        let index = usize::try_from(number % REMEMBERED as u64).ok()?;
        self.times.get(index)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const FRAME: u64 = 40_000_000;

    fn flight(fed: &[u64], came: &[u64]) -> Flight {
        let flight = Flight::default();
        flight.segment_in(false);
        flight.segment_out();
        for &n in fed {
            flight.feed(Some(n * FRAME), false);
        }
        for &n in came {
            flight.emerge(Some(n * FRAME));
        }
        flight
    }

    #[rstest]
    #[case::nothing(&[], &[], 0, 0)]
    #[case::all_out(&[0, 1, 2], &[0, 1, 2], 0, 0)]
    #[case::reordered_inside(&[0, 3, 1, 2, 6, 4, 5], &[0, 1, 2], 0, 0)]
    #[case::overtaken_is_lost(&[0, 1, 2, 3], &[0, 1, 3], 0, 1)]
    #[case::late_is_no_failure(&[0, 1, 2, 3], &[0, 1, 3], 1, 0)]
    #[case::late_and_lost(&[0, 1, 2, 3, 4], &[0, 4], 2, 1)]
    #[case::first_lost(&[0, 1, 2], &[1, 2], 0, 1)]
    #[case::last_not_yet_known(&[0, 1, 2], &[0, 1], 0, 0)]
    fn knows_what_is_lost_in_mid_play(
        #[case] fed: &[u64],
        #[case] came: &[u64],
        #[case] late: u64,
        #[case] missing: u64,
    ) {
        assert_eq!(flight(fed, came).missing(late), missing);
    }

    #[test]
    fn the_end_settles_what_was_inside() {
        let flight = flight(&[0, 1, 2, 3], &[0, 1]);
        assert_eq!(flight.missing(0), 0);
        flight.drain();
        assert_eq!(flight.missing(0), 2);
        assert_eq!(flight.missing(1), 1);
    }

    #[test]
    fn a_flush_excuses_what_is_inside_and_nothing_else() {
        let flight = flight(&[0, 1, 2, 3, 4], &[0, 2]);
        flight.flush(0);
        assert_eq!(flight.missing(0), 1);
        // After a seek backwards times are low again.
        flight.segment_in(false);
        flight.segment_out();
        flight.feed(Some(0), false);
        flight.emerge(Some(0));
        flight.drain();
        assert_eq!(flight.missing(0), 1);
    }

    #[test]
    fn a_new_segment_may_start_its_times_anew() {
        let flight = flight(&[10, 11, 12], &[10]);
        flight.segment_in(false);
        flight.feed(Some(0), false);
        assert_eq!(flight.missing(0), 0);
        flight.emerge(Some(11 * FRAME));
        flight.emerge(Some(12 * FRAME));
        flight.segment_out();
        assert_eq!(flight.missing(0), 0);
        flight.emerge(Some(0));
        assert_eq!(flight.missing(0), 0);
    }

    #[test]
    fn times_that_fall_do_not_tell_what_is_lost() {
        let flight = flight(&[0, 1], &[0, 1]);
        // The jitter of the network: timed before what was shown already, it comes all the same.
        flight.feed(Some(FRAME / 2), false);
        assert_eq!(flight.missing(0), 0);
        flight.emerge(Some(FRAME / 2));
        for n in 2..2 + HELD + 1 {
            flight.feed(Some(n * FRAME), false);
        }
        flight.emerge(Some((2 + HELD) * FRAME));
        assert_eq!(flight.missing(0), 0, "all may still be inside");
        flight.feed(Some((3 + HELD) * FRAME), false);
        flight.feed(Some((4 + HELD) * FRAME), false);
        assert_eq!(flight.missing(0), 2, "more than any decoder holds");
        flight.drain();
        assert_eq!(flight.missing(0), 2 + HELD);
    }

    #[test]
    fn without_times_only_the_end_tells() {
        let flight = Flight::default();
        for _ in 0..5 {
            flight.feed(None, false);
        }
        flight.emerge(Some(0));
        flight.emerge(Some(FRAME));
        assert_eq!(flight.missing(0), 0);
        flight.drain();
        assert_eq!(flight.missing(0), 3);
    }

    #[test]
    fn what_is_skipped_while_behind_is_told_apart() {
        let flight = flight(&[0, 1], &[0, 1]);
        for n in 2..6 {
            flight.feed(Some(n * FRAME), n < 5);
        }
        flight.emerge(Some(3 * FRAME));
        assert_eq!(flight.skipped(), 1, "2 was overtaken, 4 may still come");
        flight.emerge(Some(5 * FRAME));
        assert_eq!((flight.skipped(), flight.missing(flight.skipped())), (2, 0));
    }

    #[test]
    fn headers_before_the_first_sound_are_no_failures() {
        let flight = flight(&[0, 0, 0, 1], &[]);
        flight.excuse_all_but_one();
        flight.emerge(Some(FRAME));
        flight.drain();
        assert_eq!(flight.missing(0), 0);
    }

    #[test]
    fn a_unit_that_the_decoder_gives_up_fails_at_once() {
        let flight = flight(&[0, 1, 2, 3], &[0, 1]);
        assert_eq!(flight.missing(0), 0, "two are on their way");
        flight.fail();
        flight.fail();
        assert_eq!(flight.missing(0), 1, "told twice, it is one unit");
        flight.emerge(Some(2 * FRAME));
        assert_eq!(flight.missing(0), 1);
    }

    proptest! {
        /// Whatever is lost, at any moment no more is told than that, and at the end all of it.
        #[test]
        fn never_too_many_and_exact_at_the_end(
            lost in prop::collection::vec(prop::bool::weighted(0.2), 1..300),
            depth in 1..20_usize,
        ) {
            let flight = Flight::default();
            flight.segment_in(false);
            flight.segment_out();
            let mut told = 0;
            let mut gone = 0;
            for n in 0..lost.len() {
                flight.feed(Some(n as u64 * FRAME), false);
                if let Some(out) = n.checked_sub(depth) {
                    if lost[out] { gone += 1; } else { flight.emerge(Some(out as u64 * FRAME)); }
                }
                let missing = flight.missing(0);
                prop_assert!(missing >= told && missing <= gone);
                told = missing;
            }
            for (out, is_lost) in lost.iter().enumerate().skip(lost.len().saturating_sub(depth)) {
                if *is_lost {
                    gone += 1;
                } else {
                    flight.emerge(Some(out as u64 * FRAME));
                }
            }
            flight.drain();
            prop_assert_eq!(flight.missing(0), gone);
        }
    }
}
