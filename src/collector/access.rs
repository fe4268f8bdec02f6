//! Who may ask, and who may send.

use std::net::IpAddr;
use std::path::Path;

use axum::http::uri::Authority;
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
    /// Names that it is called by besides those of loopback.
    hosts: Vec<String>,
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
        Ok(Self { good, asks_boxes, hosts: Vec::new() })
    }

    /// The same, called by these names as well.
    pub(crate) fn called(self, hosts: Vec<String>) -> Self {
        Self { hosts, ..self }
    }

    /// Whether one who asks calls it by a name that is its own. A page of another site can make its own name lead to this
    /// machine (DNS rebinding) and have a browser here ask in its place; where a password is needed it gains nothing
    /// by that. Browsers always say which name they ask (RFC 9110, 7.2).
    pub(crate) fn is_called(&self, headers: &HeaderMap) -> bool {
        self.is_configured() || headers.get_all(header::HOST).iter().all(|host| self.is_own(host.as_bytes()))
    }

    fn is_own(&self, host: &[u8]) -> bool {
        let Ok(authority) = Authority::try_from(host) else { return false };
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        address.is_ok_and(|address| address.to_canonical().is_loopback())
            || name == "localhost"
            || name.ends_with(".localhost")
            || self.hosts.iter().any(|own| own.eq_ignore_ascii_case(&name))
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
    #[case("localhost:8480", true)]
    #[case("LOCALHOST", true)]
    #[case("box.localhost", true)]
    #[case("127.0.0.1:8480", true)]
    #[case("127.1.2.3", true)]
    #[case("[::1]:8480", true)]
    #[case("[::ffff:127.0.0.1]", true)]
    #[case("qoe.example.net", true)]
    #[case("QOE.example.net.:443", true)]
    #[case("192.0.2.1", false)]
    #[case("evil.example:8480", false)]
    #[case("localhost.evil.example", false)]
    #[case("127.0.0.1.evil.example", false)]
    #[case("a b", false)]
    fn what_it_is_called(#[case] host: &'static str, #[case] own: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        let open = Access::default().called(vec!["qoe.example.net".to_owned()]);
        assert_eq!(open.is_called(&headers), own);
        assert!(open.is_called(&HeaderMap::new()), "no browser");
        headers.append(header::HOST, HeaderValue::from_static("evil.example"));
        assert!(!open.is_called(&headers), "all of them");
        assert!(access("ada:s3cret", 0o600).unwrap().is_called(&headers), "a password says who may");
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
