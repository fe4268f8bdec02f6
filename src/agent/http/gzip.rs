//! Compressed request bodies, for as long as the server takes them.
//!
//! Nothing tells beforehand whether a server takes them (RFC 9110 §12.5.3 has it say so only in its answers): it is
//! tried with the first body, and the same body goes again as it is where the answer may mean that it does not.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Shorter bodies do not become shorter by it.
const WORTH_IT: usize = 256;

/// What is known of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gzip {
    /// Nobody wants it tried.
    Off,
    /// Not known yet.
    Untried,
    /// It has taken one.
    Taken,
    /// It has refused one, and taken the same uncompressed.
    Refused,
}

impl Gzip {
    pub(super) const fn new(is_wanted: bool) -> Self {
        if is_wanted { Self::Untried } else { Self::Off }
    }

    /// The body as it is to be sent; `None` if as it is.
    pub(super) fn compress(self, body: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if matches!(self, Self::Off | Self::Refused) || body.len() < WORTH_IT {
            return Ok(None);
        }
        let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::default());
        encoder.write_all(body)?;
        encoder.finish().map(Some)
    }

    /// A compressed body had this answer; whether the same has to go again uncompressed.
    pub(super) fn handle_answer(&mut self, status: u16) -> bool {
        match (status, *self) {
            (200..=299, _) => {
                *self = Self::Taken;
                false
            }
            // 400 is also what a server says to a body that it cannot make sense of for any other reason.
            (415, _) | (400, Self::Untried) => true,
            _ => false,
        }
    }

    /// The same body had this answer uncompressed. Whether it was the compression that the server did not like.
    pub(super) fn handle_plain_answer(&mut self, status: u16) -> bool {
        let was_it = (200..300).contains(&status);
        if was_it {
            *self = Self::Refused;
        }
        was_it
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use rstest::rstest;

    use super::*;

    #[test]
    fn what_is_compressed_comes_out_again() {
        let body = b"[{\"type\":\"network\"}]".repeat(100);
        let compressed = Gzip::Untried.compress(&body).unwrap().unwrap();
        assert!(compressed.len() < body.len() / 10);
        let mut out = Vec::new();
        GzDecoder::new(&compressed[..]).read_to_end(&mut out).unwrap();
        assert_eq!(out, body);
        for gzip in [Gzip::Off, Gzip::Refused] {
            assert_eq!(gzip.compress(&body).unwrap(), None);
        }
        assert_eq!(Gzip::Taken.compress(b"[]").unwrap(), None, "not worth it");
    }

    #[rstest]
    #[case::taken(Gzip::Untried, 200, false, Gzip::Taken)]
    #[case::not_understood(Gzip::Untried, 415, true, Gzip::Untried)]
    #[case::perhaps_not_understood(Gzip::Untried, 400, true, Gzip::Untried)]
    #[case::another_reason(Gzip::Taken, 400, false, Gzip::Taken)]
    #[case::no_longer(Gzip::Taken, 415, true, Gzip::Taken)]
    #[case::busy(Gzip::Untried, 503, false, Gzip::Untried)]
    fn answers(#[case] mut gzip: Gzip, #[case] status: u16, #[case] again: bool, #[case] then: Gzip) {
        assert_eq!((gzip.handle_answer(status), gzip), (again, then));
    }

    #[test]
    fn it_is_refused_only_where_the_same_is_taken_without() {
        let mut gzip = Gzip::Untried;
        assert!(!gzip.handle_plain_answer(400));
        assert_eq!(gzip, Gzip::Untried);
        assert!(gzip.handle_plain_answer(204));
        assert_eq!(gzip, Gzip::Refused);
    }
}
