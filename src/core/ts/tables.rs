//! What the tables say: programmes, and what their streams are.

use std::fmt;

use serde::Serialize;

/// A programme association section (H.222.0 §2.4.4.3).
#[derive(Debug, Clone, Copy)]
pub(super) struct Pat<'s> {
    /// Of which stream, and which version.
    pub(super) version: (u16, u8),
    programmes: &'s [u8],
}

/// A programme map section (H.222.0 §2.4.4.8).
#[derive(Debug, Clone, Copy)]
pub(super) struct Pmt<'s> {
    pub(super) programme: u16,
    /// The section's: two sections with the same say the same.
    pub(super) checksum: u32,
    streams: &'s [u8],
}

/// What a programme map says of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) pid: u16,
    pub(super) kind: StreamKind,
    /// It is there all the time: pictures or sound, other than sound for the few (TR 101 290, note to 1.6).
    pub(super) is_steady: bool,
}

/// What a programme's stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamKind {
    /// `stream_type` of the programme map (H.222.0 table 2-34).
    pub stream_type: u8,
    /// Pictures, sound or other.
    pub medium: Medium,
    /// The format's usual name; `"private data"` and the like where only that is known.
    pub name: &'static str,
}

/// What kind of medium a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Teletext, subtitles, splice information, data.
    Other,
}

/// The table of a programme association section.
pub(super) const PAT: u8 = 0;
/// Of a conditional access section.
pub(super) const CAT: u8 = 1;
/// Of a programme map section.
pub(super) const PMT: u8 = 2;

/// Bytes of a long section's header, and of its checksum.
const HEADER: usize = 8;
const CHECKSUM: usize = 4;

/// What is between header and checksum of a long section that is in force.
fn body(section: &[u8]) -> Option<(&[u8; HEADER], &[u8])> {
    let (header, rest) = section.split_first_chunk()?;
    let [_, syntax, _, _, _, version, _, _] = header;
    let is_current = version & 1 != 0;
    let body = rest.get(..rest.len().checked_sub(CHECKSUM)?)?;
    (is_current && syntax & 0x80 != 0).then_some((header, body))
}

fn pid(high: u8, low: u8) -> u16 {
    u16::from_be_bytes([high & 0x1f, low])
}

/// As many bytes as a 12-bit length before them says, and what is behind.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([high, low], rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes([high & 0x0f, *low])))
}

// === impl Pat ===

impl<'s> Pat<'s> {
    /// Reads a section whose table and checksum are right. `None` if it is not in force yet, or too short.
    pub(super) fn parse(section: &'s [u8]) -> Option<Self> {
        let ([_, _, _, high, low, version, _, _], programmes) = body(section)?;
        Some(Self { version: (u16::from_be_bytes([*high, *low]), version >> 1 & 0x1f), programmes })
    }

    /// The programmes, and the PIDs of their maps.
    pub(super) fn maps(self) -> impl Iterator<Item = (u16, u16)> + 's {
        self.programmes.chunks_exact(4).filter_map(|entry| match *entry {
            // Number 0 is the network information's.
            [0, 0, ..] => None,
            [a, b, high, low] => Some((u16::from_be_bytes([a, b]), pid(high, low))),
            _ => None,
        })
    }
}

// === impl Pmt ===

impl<'s> Pmt<'s> {
    /// As [`Pat::parse`].
    pub(super) fn parse(section: &'s [u8]) -> Option<Self> {
        let ([_, _, _, high, low, ..], body) = body(section)?;
        let (_descriptors, streams) = counted(body.get(2..)?)?;
        let checksum = u32::from_be_bytes(*section.last_chunk()?);
        Some(Self { programme: u16::from_be_bytes([*high, *low]), checksum, streams })
    }

    pub(super) fn streams(self) -> impl Iterator<Item = Listed> + 's {
        let mut rest = self.streams;
        std::iter::from_fn(move || {
            let ([stream_type, high, low], behind) = rest.split_first_chunk()?;
            let (descriptors, next) = counted(behind)?;
            rest = next;
            let kind = StreamKind::of(*stream_type, descriptors);
            let is_steady = kind.medium != Medium::Other && !is_for_the_few(descriptors);
            Some(Listed { pid: pid(*high, *low), kind, is_steady })
        })
    }
}

/// Tags and contents of a loop of descriptors.
fn descriptors(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let ([tag, length], behind) = rest.split_first_chunk()?;
        let (content, next) = behind.split_at_checked(usize::from(*length))?;
        rest = next;
        Some((*tag, content))
    })
}

/// Whether sound is for those who see or hear badly, or an effect (ISO 639 language descriptor, type above 0).
fn is_for_the_few(all: &[u8]) -> bool {
    const LANGUAGE: u8 = 0x0a;
    descriptors(all).any(|(tag, content)| tag == LANGUAGE && content.get(3).is_some_and(|kind| *kind > 0))
}

// === impl StreamKind ===

impl StreamKind {
    /// By the type of the stream, and where that is private, by its descriptors (EN 300 468 §6.1).
    fn of(stream_type: u8, all: &[u8]) -> Self {
        use Medium::{Audio, Other, Video};
        let (medium, name) = match stream_type {
            0x01 => (Video, "MPEG-1 video"),
            0x02 => (Video, "MPEG-2 video"),
            0x03 => (Audio, "MPEG-1 audio"),
            0x04 => (Audio, "MPEG-2 audio"),
            0x05 => (Other, "private sections"),
            0x06 => {
                let known = descriptors(all).find_map(|(tag, _)| match tag {
                    0x56 => Some((Other, "teletext")),
                    0x59 => Some((Other, "subtitles")),
                    0x6a => Some((Audio, "AC-3")),
                    0x7a => Some((Audio, "E-AC-3")),
                    0x7b => Some((Audio, "DTS")),
                    0x7c => Some((Audio, "AAC")),
                    _ => None,
                });
                known.unwrap_or((Other, "private data"))
            }
            0x0b..=0x0d => (Other, "DSM-CC"),
            0x0f => (Audio, "AAC"),
            0x10 => (Video, "MPEG-4 video"),
            0x11 => (Audio, "AAC LATM"),
            0x15 => (Other, "metadata"),
            0x1b => (Video, "H.264"),
            0x24 => (Video, "H.265"),
            0x33 => (Video, "H.266"),
            0x42 => (Video, "AVS"),
            0x81 => (Audio, "AC-3"),
            0x82 => (Other, "subtitles"),
            0x86 => (Other, "splice information"),
            0x87 => (Audio, "E-AC-3"),
            _ => (Other, "other"),
        };
        Self { stream_type, medium, name }
    }
}

impl fmt::Display for StreamKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::testing::{pat_section, pmt_section};
    use super::*;

    #[test]
    fn programmes_and_streams() {
        let section = pat_section(3, &[(0, 0x10), (1, 0x100), (2, 0x1ffe)]);
        let pat = Pat::parse(&section).unwrap();
        assert_eq!((pat.version, pat.maps().collect::<Vec<_>>()), ((1, 3), vec![(1, 0x100), (2, 0x1ffe)]));
        let section = pmt_section(7, 0x101, &[(0x1b, 0x101), (0x0f, 0x102), (0x06, 0x103)]);
        let pmt = Pmt::parse(&section).unwrap();
        let streams: Vec<_> = pmt.streams().map(|s| (s.pid, s.kind.name, s.is_steady)).collect();
        assert_eq!(pmt.programme, 7);
        assert_eq!(streams, [(0x101, "H.264", true), (0x102, "AAC", true), (0x103, "private data", false)]);
    }

    #[rstest]
    #[case::ac3(0x06, &[0x6a, 1, 0], Medium::Audio, "AC-3")]
    #[case::subtitles_behind_another(0x06, &[0x52, 1, 9, 0x59, 0], Medium::Other, "subtitles")]
    #[case::torn(0x06, &[0x6a, 9, 0], Medium::Other, "private data")]
    #[case::private_type(0xf0, &[], Medium::Other, "other")]
    fn names(#[case] of: u8, #[case] all: &[u8], #[case] medium: Medium, #[case] name: &'static str) {
        assert_eq!(StreamKind::of(of, all), StreamKind { stream_type: of, medium, name });
    }

    #[rstest]
    #[case(&[0x0a, 4, b'e', b'n', b'g', 0], false)]
    #[case(&[0x0a, 4, b'e', b'n', b'g', 3], true)]
    #[case(&[0x0a, 3, b'e', b'n', b'g'], false)]
    fn sound_for_the_few(#[case] all: &[u8], #[case] expected: bool) {
        assert_eq!(is_for_the_few(all), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(pat) = Pat::parse(&bytes) {
                prop_assert!(pat.maps().count() <= bytes.len() / 4);
            }
            if let Some(pmt) = Pmt::parse(&bytes) {
                prop_assert!(pmt.streams().count() <= bytes.len() / 5);
            }
        }
    }
}
