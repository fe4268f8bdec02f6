//! What is counted in a session.

use serde::{Deserialize, Serialize};

/// `counters`: totals since the session opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counters {
    /// All video tracks together.
    pub video: Frames,
    /// All audio tracks together.
    pub audio: Frames,
    /// Bytes of the stream that entered the demuxer, or the decoder where there is no demuxer.
    pub bytes: u64,
    /// Continuity-counter errors of the transport stream, strictly counted (H.222.0 §2.4.3.3).
    pub discontinuities: u64,
    /// Estimate of the transport packets lost in those gaps.
    pub lost_packets: u64,
    /// Counter jumps exactly at the first packet of an HLS fragment; never part of `discontinuities`.
    pub fragment_jumps: u64,
    /// How often packets could not be found any more (ETSI TR 101 290, 1.1).
    pub sync_losses: u64,
    /// Packets with a wrong sync byte (1.2).
    pub sync_byte_errors: u64,
    /// Packets that whoever received them had flagged as erroneous (2.1).
    pub transport_errors: u64,
    /// Packets whose payload is scrambled.
    pub scrambled_packets: u64,
    /// Whether `discontinuities` could be counted at all.
    pub ts: TsView,
    /// What happened on the way to a stream that comes by RTP; absent for any other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtp: Option<Rtp>,
    /// Where the playhead is, in ms; absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// How long the stream is, in ms; absent for a live stream or while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// How much is buffered ahead of the playhead, in ms; absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<u64>,
    /// Pictures rendered a second over the last period; absent while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fps: Option<f64>,
}

/// `counters.rtp`: all RTP streams of the session together. Times in µs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rtp {
    /// Packets that arrived.
    pub received: u64,
    /// Packets that were missing when a later one arrived, by their sequence numbers (RFC 3550).
    pub missing: u64,
    /// Of those: packets that arrived after all.
    pub recovered: u64,
    /// How often some were missing, however many.
    pub gaps: u64,
    /// Packets that arrived behind a later one.
    pub reordered: u64,
    /// Packets that had arrived already.
    pub duplicates: u64,
    /// Interarrival jitter (RFC 3550 §6.4.1), now.
    pub jitter: u64,
    /// The greatest so far.
    pub jitter_max: u64,
    /// Delay factor of the media delivery index (RFC 4445 §3.1): the greatest of all seconds so far.
    pub delay_factor: u64,
    /// Media loss rate of that index (§3.2): packets lost or out of order in the worst second so far.
    pub media_loss: u64,
}

/// Frames of one kind of medium.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(default)]
pub struct Frames {
    /// Left the decoder, whole or in part.
    pub decoded: u64,
    /// Given up for lateness, by the decoder or the sink.
    pub dropped: u64,
    /// Went into the decoder and never came out for another reason than lateness, or came out flagged corrupted.
    pub failed: u64,
    /// Of `decoded`: those that came out flagged corrupted. They are in `failed` too.
    pub corrupted: u64,
    /// Lost before the decoder: presentation-time slots that no frame filled.
    pub lost: u64,
}

/// Whether transport-stream bytes can be seen in this session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TsView {
    /// The stream is no transport stream, as far as is known.
    #[default]
    None,
    /// Transport-stream packets are seen and counted.
    Seen,
    /// It is a transport stream, but its bytes never pass where they could be seen (a hardware demuxer).
    Unavailable,
}
