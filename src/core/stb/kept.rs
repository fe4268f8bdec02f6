//! Measurements as bytes that are kept until it is known what time it is.
//!
//! One line, `BEGIN END SESSION`: the monotonic times in ms (the same one twice for a network interface), and the
//! session's id or nothing. Then the report as [`encode_batch`] makes it, its times left at 0.

use super::{Measured, Report, decode_batch, encode_batch};
use crate::player::SessionId;
use crate::time::{Millis, WallAnchor};

/// A measurement that was kept, and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// What was measured.
    pub measured: Measured,
    /// The session that it is of; `None` for a network interface.
    pub session: Option<SessionId>,
}

// === impl Kept ===

impl Kept {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let begin = match &self.measured {
            Measured::Network { at, .. } => *at,
            Measured::Media { begin, .. } => *begin,
        };
        let session = self.session.as_ref().map_or("", SessionId::as_str);
        let mut bytes = format!("{} {} {session}\n", begin.0, self.measured.at().0).into_bytes();
        // Every monotonic time is 0 by this calendar.
        let nowhen = WallAnchor { at: Millis::MAX, unix_ms: 0 };
        bytes.extend(encode_batch(&[self.measured.clone().stamp(&nowhen)]));
        bytes
    }

    /// From bytes; `None` if they are nothing that was encoded here.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let (head, body) = bytes.split_at_checked(end)?;
        let mut words = std::str::from_utf8(head).ok()?.splitn(3, ' ');
        let begin = Millis(words.next()?.parse().ok()?);
        let end = Millis(words.next()?.parse().ok()?);
        let session = words.next().filter(|session| !session.is_empty());
        let session = session.map(SessionId::try_new).transpose().ok()?;
        let measured = match decode_batch(body).ok()?.reports.pop()? {
            Report::Network(report) => Measured::Network { at: end, network: report.network },
            Report::Media(report) => Measured::Media { begin, end, media: report.media },
        };
        Some(Self { measured, session })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stb::{FrameCounts, InterfaceStat, Media, Network, Qoe};

    fn media(url: String, n: u64) -> Media {
        let frames = FrameCounts { frames_decoded: n, frames_dropped: n / 3, frames_failed: 1 };
        let qoe =
            (n % 2 == 0).then(|| Box::new(Qoe { session: url.clone(), rebuffers: n, ..Qoe::default() }));
        Media { url, avg_bitrate: n, video: frames, qoe, ..Media::default() }
    }

    #[test]
    fn the_format_is_pinned() {
        let network = Network { name: "eth0".to_owned(), ..Network::default() };
        let kept = Kept { measured: Measured::Network { at: Millis(1_234), network }, session: None };
        insta::assert_snapshot!(String::from_utf8(kept.encode()).unwrap());
        let media = media("udp://239.1.1.1:1234".to_owned(), 7);
        let measured = Measured::Media { begin: Millis(5), end: Millis(60_005), media };
        let kept = Kept { measured, session: Some(SessionId::try_new("41-1 a").unwrap()) };
        insta::assert_snapshot!(String::from_utf8(kept.encode()).unwrap());
    }

    proptest! {
        #[test]
        fn what_is_kept_is_what_was_measured(
            begin in 0..u64::MAX / 2, length in 0..1_000_000_u64, url in ".{0,60}", n in 0..1_u64 << 53, session in "[a-z0-9 -]{1,20}",
        ) {
            let end = Millis(begin + length);
            let measured = Measured::Media { begin: Millis(begin), end, media: media(url.clone(), n) };
            let kept = Kept { measured, session: SessionId::try_new(session).ok() };
            prop_assert_eq!(Kept::decode(&kept.encode()), Some(kept));
            let stat = InterfaceStat { received_bytes: n, ..InterfaceStat::default() };
            let network = Network { name: url, stat, ..Network::default() };
            let kept = Kept { measured: Measured::Network { at: end, network }, session: None };
            prop_assert_eq!(Kept::decode(&kept.encode()), Some(kept));
        }

        #[test]
        fn anything_can_be_decoded(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Kept::decode(&bytes);
            let _ = Kept::decode(&[b"1 2 \n[", &bytes[..]].concat());
        }
    }
}
