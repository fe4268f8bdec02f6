//! Where the playhead is between two moments at which the player tells it.

use super::fact::Head;
use crate::time::Millis;

/// A told playhead this near to the expected one is the same motion, told more exactly.
const SAME_MOTION: i64 = 1_000_000;

/// After the start or a seek the first told playhead says where it really came to, if it is this near.
const SAME_SEEK: i64 = 10_000_000;

/// The playhead: moves while it plays, and is put right when the player tells it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Playhead {
    head: Head,
    /// Play-back rate in thousandths; ms of time × this = µs of stream.
    rate: i64,
    /// Not told yet since the start or the last seek.
    fresh: bool,
    /// Never told at all.
    unknown: bool,
}

/// How the playhead went through a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Motion {
    pub(super) from: Head,
    pub(super) to: Head,
}

impl Playhead {
    pub(super) const fn new() -> Self {
        Self { head: Head(0), rate: 1000, fresh: true, unknown: true }
    }

    pub(super) const fn now(&self) -> Head {
        self.head
    }

    pub(super) fn set_rate(&mut self, rate: f64) {
        let thousandths = (rate * 1000.0).round().clamp(-1e6, 1e6);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "clamped to a million, and never NaN: checked on entry"
        )]
        let thousandths = thousandths as i64;
        self.rate = thousandths;
    }

    /// A seek, or whatever else moves it without playing.
    pub(super) fn put(&mut self, head: Head) {
        self.head = head.clamped();
        self.fresh = true;
        self.unknown = false;
    }

    /// Where it will have come to after `elapsed`.
    pub(super) fn expected(&self, elapsed: Millis, plays: bool) -> Head {
        if !plays {
            return self.head;
        }
        let elapsed = i64::try_from(elapsed.0).unwrap_or(i64::MAX);
        Head(self.head.0.saturating_add(elapsed.saturating_mul(self.rate))).clamped()
    }

    /// Lets `elapsed` go by, with the playhead that was told at its end, if any.
    pub(super) fn go(&mut self, elapsed: Millis, plays: bool, told: Option<Head>) -> Motion {
        let expected = self.expected(elapsed, plays);
        let Some(told) = told.map(Head::clamped) else {
            let from = std::mem::replace(&mut self.head, expected);
            return Motion { from, to: expected };
        };
        let drift = told.0.saturating_sub(expected.0);
        if !plays {
            // A pause or a stall moves nothing; small differences are put right once it plays.
            let from = self.head;
            if self.unknown || drift.abs() > SAME_MOTION {
                self.head = told;
                self.unknown = false;
            }
            return Motion { from, to: from };
        }
        let near =
            if self.unknown { true } else { drift.abs() <= if self.fresh { SAME_SEEK } else { SAME_MOTION } };
        let motion = match (near, self.fresh) {
            // It began a little aside of where it was thought to.
            (true, true) => {
                let from = Head(self.head.0.saturating_add(drift)).clamped();
                Motion { from, to: told }
            }
            // What has been played is not unplayed by a clock that was a little fast.
            (true, false) => {
                let to = if self.rate < 0 { told.min(self.head) } else { told.max(self.head) };
                Motion { from: self.head, to }
            }
            // Moved without a word: played on to where it was expected, and is somewhere else now.
            (false, _) => Motion { from: self.head, to: expected },
        };
        self.head = if near { motion.to } else { told };
        if elapsed.0 > 0 {
            (self.fresh, self.unknown) = (false, false);
        }
        motion
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const fn ms(ms: i64) -> Head {
        Head(ms * 1000)
    }

    #[rstest]
    #[case::nothing_told(500, None, (10_000, 10_500), 10_500)]
    #[case::as_expected(500, Some(10_500), (10_000, 10_500), 10_500)]
    #[case::a_little_ahead(500, Some(10_600), (10_000, 10_600), 10_600)]
    #[case::a_little_behind(500, Some(10_400), (10_000, 10_400), 10_400)]
    #[case::behind_what_was_played(100, Some(9_900), (10_000, 10_000), 10_000)]
    #[case::moved_without_a_word(500, Some(60_000), (10_000, 10_500), 60_000)]
    fn while_it_plays(
        #[case] elapsed: u64,
        #[case] told: Option<i64>,
        #[case] played: (i64, i64),
        #[case] now: i64,
    ) {
        let mut head = Playhead::new();
        head.put(ms(9_500));
        head.go(Millis(500), true, Some(ms(10_000)));
        let motion = head.go(Millis(elapsed), true, told.map(ms));
        assert_eq!(motion, Motion { from: ms(played.0), to: ms(played.1) });
        assert_eq!(head.now(), ms(now));
    }

    #[test]
    fn a_seek_to_a_key_frame_began_where_the_picture_did() {
        let mut head = Playhead::new();
        head.put(ms(60_000));
        let motion = head.go(Millis(500), true, Some(ms(58_900)));
        assert_eq!(motion, Motion { from: ms(58_400), to: ms(58_900) });
    }

    #[test]
    fn a_live_stream_begins_anywhere() {
        let mut head = Playhead::new();
        let motion = head.go(Millis(500), true, Some(ms(7_200_000)));
        assert_eq!(motion, Motion { from: ms(7_199_500), to: ms(7_200_000) });
    }

    #[test]
    fn backwards_it_stops_at_the_beginning() {
        let mut head = Playhead::new();
        head.put(ms(1_000));
        head.set_rate(-4.0);
        assert_eq!(head.go(Millis(200), true, None), Motion { from: ms(1_000), to: ms(200) });
        assert_eq!(head.go(Millis(200), true, None), Motion { from: ms(200), to: ms(0) });
    }

    #[test]
    fn paused_it_stays_but_for_a_jump() {
        let mut head = Playhead::new();
        head.put(ms(1_000));
        head.go(Millis(500), false, Some(ms(1_300)));
        assert_eq!(head.now(), ms(1_000));
        head.go(Millis(500), false, Some(ms(9_000)));
        assert_eq!(head.now(), ms(9_000));
    }
}
