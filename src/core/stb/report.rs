//! The reports, as types that cannot hold what no receiver would take.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::qoe::Qoe;

/// One report: an independent measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// Of a network interface.
    Network(NetworkReport),
    /// Of a play-back.
    Media(MediaReport),
}

/// A stamped measurement of a network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkReport {
    /// UNIX seconds at which it was measured.
    pub timestamp: u64,
    /// What was measured.
    pub network: Network,
}

/// A stamped measurement of a play-back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaReport {
    /// UNIX seconds at which it was measured; the end of [`MediaReport::span`] in what this agent makes.
    pub timestamp: u64,
    /// When it played.
    pub span: Span,
    /// What was measured.
    pub media: Media,
}

/// A network interface at one moment. Counters are totals since the interface came up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Network {
    /// Its name in the kernel.
    pub name: String,
    /// In Mbit/s; 0 if unknown.
    pub speed: u64,
    /// Half if unknown.
    pub duplex: Duplex,
    /// Its first global IPv4 address; `""` on the wire if it has none.
    pub ip: Option<Ipv4Addr>,
    /// The mask of that address.
    pub netmask: Option<Ipv4Addr>,
    /// The box's active gateway.
    pub gateway: Option<Ipv4Addr>,
    /// Traffic.
    pub stat: InterfaceStat,
}

/// Whether both ends may send at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Duplex {
    /// They may.
    Full,
    /// They may not, or it is not known.
    #[default]
    Half,
}

/// Traffic of an interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct InterfaceStat {
    /// Bytes received.
    pub received_bytes: u64,
    /// Packets discarded on reception.
    pub received_discard_packets: u64,
    /// Reception errors.
    pub received_error_packets: u64,
    /// Multicast packets received.
    pub received_multicast_packets: u64,
    /// Packets received.
    pub received_total_packets: u64,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Transmission errors.
    pub sent_error_packets: u64,
    /// Packets sent.
    pub sent_total_packets: u64,
}

/// A play-back, without its times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Media {
    /// What was played.
    pub url: String,
    /// In bit/s: bytes that entered the demuxer × 8 / playing time.
    pub avg_bitrate: u64,
    /// Continuity-counter errors of the transport stream.
    pub discontinuities: u64,
    /// The content's id inside `proto`; `""` if unknown.
    pub id: String,
    /// The TV protocol that started the stream; `""` if unknown.
    pub proto: String,
    /// Pictures.
    pub video: FrameCounts,
    /// Sound.
    pub audio: FrameCounts,
    /// In bit/s; what some devices add on HLS sessions. This agent does not.
    pub adaptive_bandwidth: Option<u64>,
    /// What the stock format has no field for; only if asked for.
    pub qoe: Option<Box<Qoe>>,
}

/// Frames of one kind of medium.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
pub struct FrameCounts {
    /// Frames that left the decoder, whole or in part.
    pub frames_decoded: u64,
    /// Late frames, given up by the decoder or the sink.
    pub frames_dropped: u64,
    /// Decode errors.
    pub frames_failed: u64,
}

/// From a beginning to an end that is not before it, in UNIX seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Span {
    begin: u64,
    end: u64,
}

// === impl Report ===

impl Report {
    /// UNIX seconds at which it was measured.
    #[must_use]
    pub const fn timestamp(&self) -> u64 {
        match self {
            Self::Network(report) => report.timestamp,
            Self::Media(report) => report.timestamp,
        }
    }
}

// === impl Span ===

impl Span {
    /// A span; `None` where the end is before the beginning.
    #[must_use]
    pub const fn new(begin: u64, end: u64) -> Option<Self> {
        if begin <= end { Some(Self { begin, end }) } else { None }
    }

    /// UNIX seconds at which it begins.
    #[must_use]
    pub const fn begin(&self) -> u64 {
        self.begin
    }

    /// UNIX seconds at which it ends.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }
}
