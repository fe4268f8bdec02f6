//! Bodies of requests, within bounds of size and time.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, StatusCode, header};
use flate2::read::MultiGzDecoder;
use thiserror::Error;

/// Most bytes of a body on the wire.
const MAX_WIRE: usize = 2 * 1024 * 1024;
/// Most bytes of a body that was compressed.
const MAX_PLAIN: u64 = 8 * 1024 * 1024;
/// How long a client may take to send one.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there is no body.
#[derive(Debug, Error)]
pub(crate) enum NoBody {
    #[error("the body is larger than {MAX_WIRE} bytes, or was cut off")]
    TooLarge,
    #[error("the body is larger than {MAX_PLAIN} bytes when it is no longer compressed")]
    Bomb,
    #[error("the body did not come within {} s", PATIENCE.as_secs())]
    TooSlow,
    #[error("the body is not gzip: {0}")]
    NotGzip(#[from] io::Error),
    #[error("content coding {0:?} is not known; gzip is")]
    Coding(String),
}

// === impl NoBody ===

impl NoBody {
    /// What it is answered with.
    pub(crate) const fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge | Self::Bomb => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::NotGzip(_) => StatusCode::BAD_REQUEST,
            Self::Coding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        }
    }
}

/// Reads a body, and unpacks it.
pub(crate) async fn read(headers: &HeaderMap, body: Body) -> Result<Bytes, NoBody> {
    let coding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?"));
    let is_gzip = match coding {
        None | Some("" | "identity") => false,
        Some("gzip" | "x-gzip") => true,
        Some(other) => return Err(NoBody::Coding(other.chars().take(40).collect())),
    };
    let bytes = tokio::time::timeout(PATIENCE, to_bytes(body, MAX_WIRE)).await;
    let bytes = bytes.map_err(|_| NoBody::TooSlow)?.map_err(|_| NoBody::TooLarge)?;
    if is_gzip { unpacked(&bytes) } else { Ok(bytes) }
}

fn unpacked(bytes: &[u8]) -> Result<Bytes, NoBody> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes).take(MAX_PLAIN + 1).read_to_end(&mut plain)?;
    if plain.len() as u64 > MAX_PLAIN {
        return Err(NoBody::Bomb);
    }
    Ok(plain.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn packed(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn unpacks_within_bounds() {
        assert_eq!(unpacked(&packed(b"[]")).unwrap(), "[]");
        assert!(matches!(unpacked(b"[]"), Err(NoBody::NotGzip(_))));
        let whole = packed(&[b' '; 1000]);
        assert!(matches!(unpacked(whole.get(..whole.len() - 9).unwrap()), Err(NoBody::NotGzip(_))));
        let bomb = packed(&vec![0; usize::try_from(MAX_PLAIN).unwrap() + 1]);
        assert!(bomb.len() < MAX_WIRE);
        assert!(matches!(unpacked(&bomb), Err(NoBody::Bomb)));
    }
}
