//! What one element has counted, and sums of that.

use stbeacon_core::player::{Counters, Frames, Rtp, TsView};

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
    /// How often packets could not be found any more.
    pub(crate) sync_losses: u64,
    /// Packets with a wrong sync byte.
    pub(crate) sync_byte_errors: u64,
    /// Packets flagged as erroneous.
    pub(crate) transport_errors: u64,
    /// Packets whose payload is scrambled.
    pub(crate) scrambled_packets: u64,
    /// Pictures that a sink showed.
    pub(crate) rendered: u64,
    /// Transport packets seen.
    pub(crate) packets: u64,
    /// RTP packets that arrived.
    pub(crate) rtp_received: u64,
    /// RTP packets that were missing when a later one arrived.
    pub(crate) rtp_missing: u64,
    /// Of those, what arrived after all.
    pub(crate) rtp_recovered: u64,
    /// How often RTP packets were missing.
    pub(crate) rtp_gaps: u64,
    /// RTP packets that arrived behind a later one.
    pub(crate) rtp_reordered: u64,
    /// RTP packets that had arrived already.
    pub(crate) rtp_duplicates: u64,
}

/// What RTP streams tell that is no total; in µs but for the last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Gauges {
    pub(crate) jitter: u64,
    pub(crate) jitter_max: u64,
    pub(crate) delay_factor: u64,
    pub(crate) media_loss: u64,
}

impl Gauges {
    /// The worse of each.
    pub(crate) fn worse(self, other: Self) -> Self {
        Self {
            jitter: self.jitter.max(other.jitter),
            jitter_max: self.jitter_max.max(other.jitter_max),
            delay_factor: self.delay_factor.max(other.delay_factor),
            media_loss: self.media_loss.max(other.media_loss),
        }
    }
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
            sync_losses: f(self.sync_losses, other.sync_losses),
            sync_byte_errors: f(self.sync_byte_errors, other.sync_byte_errors),
            transport_errors: f(self.transport_errors, other.transport_errors),
            scrambled_packets: f(self.scrambled_packets, other.scrambled_packets),
            rendered: f(self.rendered, other.rendered),
            packets: f(self.packets, other.packets),
            rtp_received: f(self.rtp_received, other.rtp_received),
            rtp_missing: f(self.rtp_missing, other.rtp_missing),
            rtp_recovered: f(self.rtp_recovered, other.rtp_recovered),
            rtp_gaps: f(self.rtp_gaps, other.rtp_gaps),
            rtp_reordered: f(self.rtp_reordered, other.rtp_reordered),
            rtp_duplicates: f(self.rtp_duplicates, other.rtp_duplicates),
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

    /// As the protocol has it; what is no sum is left out but for `gauges`.
    pub(crate) fn counters(&self, gauges: Gauges) -> Counters {
        let rtp = Rtp {
            received: self.rtp_received,
            missing: self.rtp_missing,
            recovered: self.rtp_recovered,
            gaps: self.rtp_gaps,
            reordered: self.rtp_reordered,
            duplicates: self.rtp_duplicates,
            jitter: gauges.jitter,
            jitter_max: gauges.jitter_max,
            delay_factor: gauges.delay_factor,
            media_loss: gauges.media_loss,
        };
        Counters {
            video: self.video,
            audio: self.audio,
            // Where there is no demuxer, the stream is what the decoders are fed.
            bytes: if self.demuxed > 0 { self.demuxed } else { self.fed },
            discontinuities: self.discontinuities,
            lost_packets: self.lost_packets,
            fragment_jumps: self.fragment_jumps,
            sync_losses: self.sync_losses,
            sync_byte_errors: self.sync_byte_errors,
            transport_errors: self.transport_errors,
            scrambled_packets: self.scrambled_packets,
            ts: if self.packets > 0 { TsView::Seen } else { TsView::None },
            rtp: (self.rtp_received > 0).then_some(rtp),
            ..Counters::default()
        }
    }
}
