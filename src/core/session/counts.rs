//! Totals that may fall back to zero, made to never do so.

use serde::{Deserialize, Serialize};

use crate::player::{Counters, Frames, Rtp, TsView};

/// What was counted in a session so far: only ever grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// All video tracks together.
    pub video: Frames,
    /// All audio tracks together.
    pub audio: Frames,
    /// Bytes of the stream that entered the demuxer.
    pub bytes: u64,
    /// Continuity-counter errors.
    pub discontinuities: u64,
    /// Estimate of the transport packets lost.
    pub lost_packets: u64,
    /// Counter jumps at the first packet of a fragment.
    pub fragment_jumps: u64,
    /// How often packets of the transport stream could not be found any more.
    #[serde(default)]
    pub sync_losses: u64,
    /// Transport packets with a wrong sync byte.
    #[serde(default)]
    pub sync_byte_errors: u64,
    /// Transport packets flagged as erroneous.
    #[serde(default)]
    pub transport_errors: u64,
    /// Transport packets whose payload is scrambled.
    #[serde(default)]
    pub scrambled_packets: u64,
    /// Whether transport packets were seen.
    pub ts: TsView,
    /// What happened on the way to a stream that comes by RTP.
    #[serde(default)]
    pub rtp: Rtp,
}

/// Adds up a player's totals across the elements that keep them.
///
/// A total that falls is a replaced element that counts anew: what the old one had stays counted, and the new
/// one's total is added to it. Each total is followed by itself, since elements are replaced one by one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counting {
    sum: Counts,
    last: Counts,
    /// The next totals are where counting starts, not something counted.
    adopt_next: bool,
}

impl Counting {
    /// Starts from whatever the player tells first: its earlier totals are reported already.
    pub(super) fn from_next() -> Self {
        Self { adopt_next: true, ..Self::default() }
    }

    pub(super) const fn starts_from_next(&self) -> bool {
        self.adopt_next
    }

    pub(super) const fn sum(&self) -> &Counts {
        &self.sum
    }

    pub(super) fn update(&mut self, counters: &Counters) {
        let new = Counts::from(counters);
        if std::mem::take(&mut self.adopt_next) {
            self.last = new;
        }
        let last = self.last.totals();
        for ((sum, last), new) in self.sum.totals_mut().into_iter().zip(last).zip(new.totals()) {
            let grown = if new >= last { new - last } else { new };
            *sum = sum.saturating_add(grown);
        }
        if new.ts != TsView::None {
            self.sum.ts = new.ts;
        }
        let (worst, now) = (&mut self.sum.rtp, &new.rtp);
        worst.jitter = now.jitter;
        worst.jitter_max = worst.jitter_max.max(now.jitter_max);
        worst.delay_factor = worst.delay_factor.max(now.delay_factor);
        worst.media_loss = worst.media_loss.max(now.media_loss);
        self.last = new;
    }
}

impl Counts {
    const fn totals(&self) -> [u64; 24] {
        let Self { video: v, audio: a, rtp: r, .. } = self;
        [
            v.decoded,
            v.dropped,
            v.failed,
            v.corrupted,
            v.lost,
            a.decoded,
            a.dropped,
            a.failed,
            a.corrupted,
            a.lost,
            self.bytes,
            self.discontinuities,
            self.lost_packets,
            self.fragment_jumps,
            self.sync_losses,
            self.sync_byte_errors,
            self.transport_errors,
            self.scrambled_packets,
            r.received,
            r.missing,
            r.recovered,
            r.gaps,
            r.reordered,
            r.duplicates,
        ]
    }

    const fn totals_mut(&mut self) -> [&mut u64; 24] {
        let Self { video: v, audio: a, rtp: r, .. } = self;
        [
            &mut v.decoded,
            &mut v.dropped,
            &mut v.failed,
            &mut v.corrupted,
            &mut v.lost,
            &mut a.decoded,
            &mut a.dropped,
            &mut a.failed,
            &mut a.corrupted,
            &mut a.lost,
            &mut self.bytes,
            &mut self.discontinuities,
            &mut self.lost_packets,
            &mut self.fragment_jumps,
            &mut self.sync_losses,
            &mut self.sync_byte_errors,
            &mut self.transport_errors,
            &mut self.scrambled_packets,
            &mut r.received,
            &mut r.missing,
            &mut r.recovered,
            &mut r.gaps,
            &mut r.reordered,
            &mut r.duplicates,
        ]
    }
}

impl From<&Counters> for Counts {
    fn from(counters: &Counters) -> Self {
        Self {
            video: counters.video,
            audio: counters.audio,
            bytes: counters.bytes,
            discontinuities: counters.discontinuities,
            lost_packets: counters.lost_packets,
            fragment_jumps: counters.fragment_jumps,
            sync_losses: counters.sync_losses,
            sync_byte_errors: counters.sync_byte_errors,
            transport_errors: counters.transport_errors,
            scrambled_packets: counters.scrambled_packets,
            ts: counters.ts,
            rtp: counters.rtp.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn bytes(bytes: u64) -> Counters {
        Counters { bytes, ..Counters::default() }
    }

    #[rstest]
    #[case::grows(&[5, 9], 9)]
    #[case::element_replaced(&[5, 2], 7)]
    #[case::replaced_twice(&[5, 2, 1, 4], 11)]
    #[case::back_to_zero_and_on(&[5, 0, 3], 8)]
    #[case::near_the_limit(&[u64::MAX, 1], u64::MAX)]
    fn sums_across_replacements(#[case] told: &[u64], #[case] sum: u64) {
        let mut counting = Counting::default();
        for &total in told {
            counting.update(&bytes(total));
        }
        assert_eq!(counting.sum().bytes, sum);
    }

    #[test]
    fn what_was_reported_before_is_not_counted_again() {
        let mut counting = Counting::from_next();
        counting.update(&bytes(1_000));
        counting.update(&bytes(1_010));
        assert_eq!(counting.sum().bytes, 10);
    }

    #[test]
    fn of_what_is_no_total_the_worst_is_kept() {
        let mut counting = Counting::default();
        for (jitter, media_loss) in [(3, 1), (9, 0), (5, 7), (4, 2)] {
            let rtp = Rtp { jitter, jitter_max: jitter, media_loss, received: 10, ..Rtp::default() };
            counting.update(&Counters { rtp: Some(rtp), ..Counters::default() });
        }
        let expected = Rtp { jitter: 4, jitter_max: 9, media_loss: 7, received: 10, ..Rtp::default() };
        assert_eq!(counting.sum().rtp, expected);
    }

    proptest! {
        #[test]
        fn never_shrinks_and_equals_the_sum_of_rises(told in prop::collection::vec(0..1_000_u64, 1..50)) {
            let mut counting = Counting::default();
            let mut expected = 0;
            let mut last = 0;
            for total in told {
                let before = counting.sum().bytes;
                counting.update(&bytes(total));
                prop_assert!(counting.sum().bytes >= before);
                expected += if total >= last { total - last } else { total };
                last = total;
            }
            prop_assert_eq!(counting.sum().bytes, expected);
        }
    }
}
