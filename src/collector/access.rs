//! Who may ask, and who may send.

use std::path::Path;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::secrets;

/// What clients have to show.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    /// Values of `Authorization` that are good; none lets everybody in.
    good: Vec<Vec<u8>>,
    /// Boxes have to show one, too.
    asks_boxes: bool,
}

// === impl Access ===

impl Access {
    /// Reads a file that only its owner may open: a line each, `USER:PASSWORD` for basic, `bearer TOKEN` for bearer
    /// authentication.
    ///
    /// # Errors
    /// Says which file and line, and what is wrong.
    pub(crate) fn read(file: &Path, asks_boxes: bool) -> Result<Self, String> {
        let text = String::from_utf8(secrets::read(file)?)
            .map_err(|_| format!("{}: not UTF-8 text", file.display()))?;
        let mut good = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let value = match line.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => {
                    format!("Bearer {}", token.trim())
                }
                _ if line.contains(':') => format!("Basic {}", STANDARD.encode(line)),
                _ => {
                    let place = format!("{}:{}", file.display(), index + 1);
                    return Err(format!("{place}: expected USER:PASSWORD or bearer TOKEN"));
                }
            };
            good.push(value.into_bytes());
        }
        if good.is_empty() {
            return Err(format!("{}: no USER:PASSWORD and no bearer TOKEN in it", file.display()));
        }
        Ok(Self { good, asks_boxes })
    }

    /// Whether there is anything to show.
    pub(crate) fn is_configured(&self) -> bool {
        !self.good.is_empty()
    }

    /// Whether one who asks may.
    pub(crate) fn lets_in(&self, headers: &HeaderMap) -> bool {
        if self.good.is_empty() {
            return true;
        }
        let Some(shown) = headers.get(header::AUTHORIZATION) else { return false };
        let shown = normal(shown.as_bytes());
        // All are compared, whichever it is.
        self.good.iter().fold(false, |found, good| found | is_same(good, &shown))
    }

    /// Whether a box may send.
    pub(crate) fn lets_box_in(&self, headers: &HeaderMap) -> bool {
        !self.asks_boxes || self.lets_in(headers)
    }
}

/// With the scheme as it is written here.
fn normal(shown: &[u8]) -> Vec<u8> {
    for scheme in ["Basic ", "Bearer "] {
        if let Some((head, rest)) = shown.split_at_checked(scheme.len()) {
            if head.eq_ignore_ascii_case(scheme.as_bytes()) {
                return [scheme.as_bytes(), rest.trim_ascii()].concat();
            }
        }
    }
    shown.to_vec()
}

/// Takes as long wherever the difference is.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |sum, (one, other)| sum | (one ^ other));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn access(text: &str, mode: u32) -> Result<Access, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("users");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        Access::read(&file, false)
    }

    #[rstest]
    // "ada:s3cret"
    #[case(Some("Basic YWRhOnMzY3JldA=="), true)]
    #[case(Some("basic YWRhOnMzY3JldA=="), true)]
    #[case(Some("Bearer t0ken"), true)]
    #[case(Some("Bearer t0keN"), false)]
    #[case(Some("Bearer t0ken1"), false)]
    #[case(Some("Basic YWRhOnMzY3JldB=="), false)]
    #[case(Some(""), false)]
    #[case(None, false)]
    fn who_is_let_in(#[case] shown: Option<&'static str>, #[case] good: bool) {
        let access = access("# who may ask\nada:s3cret\nbearer t0ken\n", 0o600).unwrap();
        let mut headers = HeaderMap::new();
        if let Some(shown) = shown {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_static(shown));
        }
        assert_eq!(access.lets_in(&headers), good);
        assert!(access.lets_box_in(&headers));
    }

    #[rstest]
    #[case("ada:s3cret", 0o644, "chmod 600")]
    #[case("ada", 0o600, "users:1: expected USER:PASSWORD")]
    #[case("# nobody\n", 0o600, "no USER:PASSWORD")]
    fn bad_files(#[case] text: &str, #[case] mode: u32, #[case] error: &str) {
        let told = access(text, mode).unwrap_err();
        assert!(told.contains(error) && !told.contains("s3cret"), "{told}");
    }
}
