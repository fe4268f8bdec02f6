//! One datagram.

use thiserror::Error;

/// Bytes of a header without contributing sources or extension.
const FIXED: usize = 12;

/// What a header says that is of interest here (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// 0 to 127; [`super::MP2T`] for transport streams.
    pub payload_type: u8,
    /// The marker: for transport streams set where the timestamp is discontinuous (RFC 2250 §2).
    pub marker: bool,
    /// Counts datagrams, modulo 2¹⁶.
    pub sequence: u16,
    /// In ticks of the payload type's clock, modulo 2³².
    pub timestamp: u32,
    /// The synchronisation source: names the sender.
    pub ssrc: u32,
}

/// A datagram, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'p> {
    /// Its header.
    pub header: Header,
    /// What it carries, without padding.
    pub payload: &'p [u8],
}

/// Why bytes are no RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    /// It ends within its header.
    #[error("an RTP packet of {0} bytes ends in its header")]
    Short(usize),
    /// Only version 2 is in use.
    #[error("version {0} of RTP is not known; only 2 is")]
    Version(u8),
    /// RTCP that shares the port (RFC 5761 §4), not media.
    #[error("packet type {0} is RTCP, not RTP")]
    Control(u8),
    /// More padding than payload, or none where there should be some.
    #[error("{0} bytes of padding do not fit")]
    Padding(u8),
}

// === impl Packet ===

impl<'p> Packet<'p> {
    /// Takes a datagram apart.
    ///
    /// # Errors
    /// Where it is no RTP packet, or ends too soon.
    pub fn parse(bytes: &'p [u8]) -> Result<Self, PacketError> {
        let short = || PacketError::Short(bytes.len());
        let (fixed, mut rest) = bytes.split_first_chunk::<FIXED>().ok_or_else(short)?;
        let [flags, kind, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3] = *fixed;
        if flags >> 6 != 2 {
            return Err(PacketError::Version(flags >> 6));
        }
        if matches!(kind, 192..=223) {
            return Err(PacketError::Control(kind));
        }
        let sources = usize::from(flags & 0x0f) * 4;
        rest = rest.get(sources..).ok_or_else(short)?;
        if flags & 0x10 != 0 {
            let ([_, _, high, low], behind) = rest.split_first_chunk::<4>().ok_or_else(short)?;
            let words = usize::from(u16::from_be_bytes([*high, *low]));
            rest = behind.get(words * 4..).ok_or_else(short)?;
        }
        if flags & 0x20 != 0 {
            let padding = rest.last().copied().unwrap_or_default();
            let end = rest.len().checked_sub(usize::from(padding)).filter(|_| padding > 0);
            rest = end.and_then(|end| rest.get(..end)).ok_or(PacketError::Padding(padding))?;
        }
        let header = Header {
            payload_type: kind & 0x7f,
            marker: kind & 0x80 != 0,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([i0, i1, i2, i3]),
        };
        Ok(Self { header, payload: rest })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const PLAIN: [u8; 14] = [0x80, 33, 0x12, 0x34, 0, 0, 0, 90, 0xde, 0xad, 0xbe, 0xef, b'T', b'S'];

    fn with(flags: u8, rest: &[u8]) -> Vec<u8> {
        let mut bytes = PLAIN[..FIXED].to_vec();
        bytes[0] = flags;
        bytes.extend_from_slice(rest);
        bytes
    }

    #[test]
    fn a_plain_packet() {
        let packet = Packet::parse(&PLAIN).unwrap();
        let header = Header {
            payload_type: super::super::MP2T,
            marker: false,
            sequence: 0x1234,
            timestamp: 90,
            ssrc: 0xdead_beef,
        };
        assert_eq!(packet, Packet { header, payload: b"TS" });
        let mut marked = PLAIN;
        marked[1] |= 0x80;
        assert_eq!(Packet::parse(&marked).unwrap().header, Header { marker: true, ..header });
    }

    #[rstest]
    #[case::two_sources(with(0x82, b"aaaabbbbTS"), Ok("TS"))]
    #[case::an_extension(with(0x90, b"xx\x00\x02eeeeeeeeTS"), Ok("TS"))]
    #[case::an_empty_extension(with(0x90, b"xx\x00\x00TS"), Ok("TS"))]
    #[case::padding(with(0xa0, b"TS\x00\x00\x03"), Ok("TS"))]
    #[case::nothing_but_padding(with(0xa0, b"\x00\x02"), Ok(""))]
    #[case::nothing_at_all(with(0x80, b""), Ok(""))]
    #[case::empty(Vec::new(), Err(PacketError::Short(0)))]
    #[case::half_a_header(PLAIN[..11].to_vec(), Err(PacketError::Short(11)))]
    #[case::sources_missing(with(0x8f, b"aaaa"), Err(PacketError::Short(16)))]
    #[case::extension_missing(with(0x90, b"xx\x00"), Err(PacketError::Short(15)))]
    #[case::extension_cut(with(0x90, b"xx\x00\x02eeee"), Err(PacketError::Short(20)))]
    #[case::a_transport_packet(with(0x47, b"TS"), Err(PacketError::Version(1)))]
    #[case::too_much_padding(with(0xa0, b"TS\x04"), Err(PacketError::Padding(4)))]
    #[case::padding_of_none(with(0xa0, b"TS\x00"), Err(PacketError::Padding(0)))]
    #[case::padding_of_nothing(with(0xa0, b""), Err(PacketError::Padding(0)))]
    fn shapes(#[case] bytes: Vec<u8>, #[case] expected: Result<&str, PacketError>) {
        assert_eq!(Packet::parse(&bytes).map(|packet| packet.payload), expected.map(str::as_bytes));
    }

    #[test]
    fn control_packets_on_the_same_port_are_none() {
        let mut report = PLAIN;
        report[1] = 200;
        assert_eq!(Packet::parse(&report), Err(PacketError::Control(200)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(packet) = Packet::parse(&bytes) {
                prop_assert!(packet.payload.len() + FIXED <= bytes.len());
            }
        }
    }
}
