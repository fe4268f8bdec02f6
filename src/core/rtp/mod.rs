//! What happened on the way to a packet stream: RTP's own figures (RFC 3550) and the media delivery index (RFC 4445).
//!
//! [`Packet::parse`] reads a datagram, [`Receiver`] follows one stream's sequence numbers and jitter, and [`Mdi`] looks
//! at when how many bytes arrived, with or without RTP around them.

mod mdi;
mod packet;
mod rate;
mod receiver;

pub use self::mdi::{Index, Mdi};
pub use self::packet::{Header, Packet, PacketError};
pub use self::rate::Rate;
pub use self::receiver::{Counts, MAX_DROPOUT, MAX_MISORDER, Place, Receiver};

/// Ticks per second of the timestamps of MPEG-2 transport streams and most video (RFC 2250 §3.4, RFC 3551 §5).
pub const VIDEO_CLOCK: u32 = 90_000;

/// The static payload type of MPEG-2 transport streams (RFC 3551 §6).
pub const MP2T: u8 = 33;
