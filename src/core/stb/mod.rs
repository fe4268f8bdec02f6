//! The STB statistics report: types that can only hold a valid one, their exact encoding, a lenient decoder.
//!
//! A request's body is one bare JSON array of reports ([`encode_batch`]). Each has `type` and `timestamp` (UNIX
//! seconds), and its fields in the order in which the stock boxes' examples have them. All numbers are
//! integers, nothing is `null`, no string is left out: receivers refuse a whole batch for less. What is unknown
//! is `0` or `""`. What the stock format has no field for stands in one object, `qoe`, and only if it was asked
//! for; a third `type` is never sent.
//!
//! | media field | meaning |
//! |---|---|
//! | `url` | what was played |
//! | `avg_bitrate` | bit/s: bytes that entered the demuxer × 8 / playing time |
//! | `begin`, `end` | UNIX seconds of play-back start and end |
//! | `discontinuties` | continuity-counter errors of the transport stream; so misspelt on the wire |
//! | `id`, `proto` | content id, and the TV protocol that started the stream |
//! | `video`, `audio` | `frames_decoded`, `frames_dropped` (late), `frames_failed` (decode errors) |
//!
//! A report is measured before it is known what time it is: a box without a battery-backed clock plays before it
//! has asked the network. [`Measured`] holds monotonic time, and [`Measured::stamp`] makes it a [`Report`].
//!
//! ```
//! use std::net::Ipv4Addr;
//! use stbeacon_core::stb::{Duplex, InterfaceStat, Measured, Network, decode_batch, encode_batch};
//! use stbeacon_core::time::{Millis, WallAnchor};
//!
//! let network = Network {
//!     name: "eth0".to_owned(),
//!     speed: 100,
//!     duplex: Duplex::Full,
//!     ip: Some(Ipv4Addr::new(192, 0, 2, 7)),
//!     ..Network::default()
//! };
//! let anchor = WallAnchor { at: Millis(60_000), unix_ms: 1_700_000_060_000 };
//! let report = Measured::Network { at: Millis(5_000), network }.stamp(&anchor);
//! assert_eq!(report.timestamp(), 1_700_000_005);
//!
//! let body = encode_batch(std::slice::from_ref(&report));
//! assert_eq!(decode_batch(&body)?.reports, [report]);
//! # Ok::<(), stbeacon_core::stb::DecodeError>(())
//! ```

mod decode;
mod kept;
mod lenient;
mod measured;
mod qoe;
mod redact;
mod report;
#[cfg(feature = "schema")]
mod schema;
mod wire;

use std::borrow::Borrow;

use serde::Serializer;

pub use self::decode::{DecodeError, Decoded, Received, Skipped, decode_batch, receive_batch};
pub use self::kept::Kept;
pub use self::measured::{Measured, MediaOptions};
pub use self::qoe::{AgentAnswers, AgentDrops, AgentFigures, PerMedium, Qoe, RtpFigures};
pub use self::redact::redact;
pub use self::report::{
    Duplex, FrameCounts, InterfaceStat, Media, MediaReport, Network, NetworkReport, Report, Span,
};
#[cfg(feature = "schema")]
pub use self::schema::batch_schema;

/// The body of a request: one bare JSON array.
#[must_use]
pub fn encode_batch<R: Borrow<Report>>(reports: &[R]) -> Vec<u8> {
    let mut body = Vec::new();
    encode_batch_into(&mut body, reports);
    body
}

/// Appends the body of a request to `buffer`: one bare JSON array.
pub fn encode_batch_into<R: Borrow<Report>>(buffer: &mut Vec<u8>, reports: &[R]) {
    let start = buffer.len();
    let mut serializer = serde_json::Serializer::new(&mut *buffer);
    let written = serializer.collect_seq(reports.iter().map(Borrow::borrow));
    // Objects with constant keys, integers and strings, written to memory: nothing in it can fail.
    debug_assert!(written.is_ok());
    if written.is_err() {
        buffer.truncate(start);
        buffer.extend_from_slice(b"[]");
    }
}

#[cfg(test)]
mod tests;
