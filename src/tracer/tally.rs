//! What one element has counted, and sums of that.

use stbeacon_core::player::{Counters, Frames, TsView};

/// Totals of one watched element since it was made, or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Pictures.
    pub(crate) video: Frames,
    /// Audio frames.
    pub(crate) audio: Frames,
    /// Bytes that entered an outermost demuxer.
    pub(crate) demuxed: u64,
    /// Bytes that entered a decoder.
    pub(crate) fed: u64,
    /// Continuity-counter errors.
    pub(crate) discontinuities: u64,
    /// Estimate of the transport packets lost.
    pub(crate) lost_packets: u64,
    /// Counter jumps at a fragment's first packet.
    pub(crate) fragment_jumps: u64,
    /// Pictures that a sink showed.
    pub(crate) rendered: u64,
    /// Transport packets seen.
    pub(crate) packets: u64,
}

impl Tally {
    /// Field by field.
    pub(crate) fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        let frames = |a: Frames, b: Frames| Frames {
            decoded: f(a.decoded, b.decoded),
            dropped: f(a.dropped, b.dropped),
            failed: f(a.failed, b.failed),
            corrupted: f(a.corrupted, b.corrupted),
            lost: f(a.lost, b.lost),
        };
        Self {
            video: frames(self.video, other.video),
            audio: frames(self.audio, other.audio),
            demuxed: f(self.demuxed, other.demuxed),
            fed: f(self.fed, other.fed),
            discontinuities: f(self.discontinuities, other.discontinuities),
            lost_packets: f(self.lost_packets, other.lost_packets),
            fragment_jumps: f(self.fragment_jumps, other.fragment_jumps),
            rendered: f(self.rendered, other.rendered),
            packets: f(self.packets, other.packets),
        }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// What has come since `base`; nothing where a total fell.
    pub(crate) fn since(self, base: Self) -> Self {
        self.zip(base, u64::saturating_sub)
    }

    /// The greater of each: totals that are told never fall.
    pub(crate) fn at_least(self, told: Self) -> Self {
        self.zip(told, u64::max)
    }

    /// As the protocol has it; what is no sum is left out.
    pub(crate) fn counters(&self) -> Counters {
        Counters {
            video: self.video,
            audio: self.audio,
            // Where there is no demuxer, the stream is what the decoders are fed.
            bytes: if self.demuxed > 0 { self.demuxed } else { self.fed },
            discontinuities: self.discontinuities,
            lost_packets: self.lost_packets,
            fragment_jumps: self.fragment_jumps,
            ts: if self.packets > 0 { TsView::Seen } else { TsView::None },
            ..Counters::default()
        }
    }
}
