//! An address that can be asked over HTTP.

use std::fmt;

use thiserror::Error;

/// An absolute `http:` or `https:` URL with a host (RFC 3986 §3), exactly as it was written.
///
/// `Display` and `Debug` leave out what may be a secret, user-info and query; use [`HttpUrl::as_str`] to make
/// a request.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    text: String,
    /// Where the scheme ends, `://` included.
    authority: usize,
    /// Where the host begins, behind any user-info.
    host: usize,
    /// Where the authority ends.
    pub(super) path: usize,
}

/// Why a text is no such URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HttpUrlError {
    /// Neither `http://` nor `https://`.
    #[error("it does not begin with http:// or https://")]
    Scheme,
    /// Nothing between `//` and the path.
    #[error("it names no host")]
    NoHost,
    /// The host holds what no host can.
    #[error("its host holds a character that no host can hold")]
    BadHost,
    /// Behind the colon stands no number from 1 to 65535.
    #[error("its port is not a number from 1 to 65535")]
    Port,
    /// A space, a control character, a `"`, `<`, `>`, `\`, `^`, a backquote, `{`, `|` or `}` that would have to
    /// be written as %XX.
    #[error("it holds a character that has to be written as %XX")]
    Character,
}

impl HttpUrl {
    /// Checks a URL.
    ///
    /// # Errors
    /// See [`HttpUrlError`].
    pub fn parse(text: &str) -> Result<Self, HttpUrlError> {
        let authority = ["http://", "https://"]
            .into_iter()
            .find(|scheme| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)))
            .map(str::len)
            .ok_or(HttpUrlError::Scheme)?;
        if text.chars().any(|c| c.is_control() || c.is_whitespace() || r#""<>\^`{|}"#.contains(c)) {
            return Err(HttpUrlError::Character);
        }
        let rest = text.get(authority..).unwrap_or_default();
        let path = rest.find(['/', '?', '#']).map_or(text.len(), |at| authority + at);
        let host =
            text.get(authority..path).and_then(|a| a.rfind('@')).map_or(authority, |at| authority + at + 1);
        check_host(text.get(host..path).unwrap_or_default())?;
        Ok(Self { text: text.to_owned(), authority, host, path })
    }

    /// The URL as it was written, secrets included: for a request, never for a log.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a request would be encrypted.
    #[must_use]
    pub const fn is_https(&self) -> bool {
        self.authority == "https://".len()
    }

    /// Host and port as written.
    #[must_use]
    pub fn host_and_port(&self) -> &str {
        self.text.get(self.host..self.path).unwrap_or_default()
    }

    /// Whether a user name stands before the host.
    #[must_use]
    pub const fn has_user_info(&self) -> bool {
        self.host > self.authority
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.text.get(..self.authority).unwrap_or_default();
        let user = if self.has_user_info() { "…@" } else { "" };
        let rest = self.text.get(self.path..).unwrap_or_default();
        let (shown, hidden) = rest.find(['?', '#']).map_or((rest, ""), |at| rest.split_at(at));
        let hidden = match hidden.chars().next() {
            Some('?') => "?…",
            Some(_) => "#…",
            None => "",
        };
        write!(f, "{scheme}{user}{}{shown}{hidden}", self.host_and_port())
    }
}

impl fmt::Debug for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HttpUrl({self})")
    }
}

fn check_host(text: &str) -> Result<(), HttpUrlError> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(HttpUrlError::BadHost)?;
        address.parse::<std::net::Ipv6Addr>().map_err(|_| HttpUrlError::BadHost)?;
        (address, port)
    } else {
        let at = text.find(':').unwrap_or(text.len());
        let (host, port) = text.split_at(at);
        if host.chars().any(|c| !(c.is_alphanumeric() || "-._~%".contains(c))) {
            return Err(HttpUrlError::BadHost);
        }
        (host, port)
    };
    if host.is_empty() {
        return Err(HttpUrlError::NoHost);
    }
    match port.strip_prefix(':') {
        None if port.is_empty() => Ok(()),
        None => Err(HttpUrlError::BadHost),
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse::<u16>() {
            Ok(1..) => Ok(()),
            // "http://host:/" has the scheme's own port (RFC 3986 §3.2.3).
            _ if digits.is_empty() => Ok(()),
            _ => Err(HttpUrlError::Port),
        },
        Some(_) => Err(HttpUrlError::Port),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("http://stats.example.net/drop")]
    #[case::no_path("https://stats.example.net")]
    #[case::port("http://10.0.0.1:8080/drop?k=v&w=x")]
    #[case::empty_port("http://host:/drop")]
    #[case::ipv6("http://[2001:db8::1]:8080/drop")]
    #[case::capitals("HTTPS://Stats.Example.NET/")]
    #[case::user_info("http://box:secret@host/drop")]
    #[case::international("http://статистика.example/drop")]
    fn good(#[case] text: &str) {
        assert_eq!(HttpUrl::parse(text).unwrap().as_str(), text);
    }

    #[rstest]
    #[case::empty("", HttpUrlError::Scheme)]
    #[case::other_scheme("ftp://host/", HttpUrlError::Scheme)]
    #[case::no_scheme("stats.example.net/drop", HttpUrlError::Scheme)]
    #[case::no_host("http:///drop", HttpUrlError::NoHost)]
    #[case::only_port("http://:80/", HttpUrlError::NoHost)]
    #[case::only_user("http://box@/", HttpUrlError::NoHost)]
    #[case::port_word("http://host:http/", HttpUrlError::Port)]
    #[case::port_zero("http://host:0/", HttpUrlError::Port)]
    #[case::port_large("http://host:65536/", HttpUrlError::Port)]
    #[case::port_signed("http://host:+80/", HttpUrlError::Port)]
    #[case::space("http://host/a b", HttpUrlError::Character)]
    #[case::placeholder("http://{host}/", HttpUrlError::Character)]
    #[case::newline("http://host/\r\nX: y", HttpUrlError::Character)]
    #[case::bad_ipv6("http://[::g]/", HttpUrlError::BadHost)]
    #[case::comma("http://a,b/", HttpUrlError::BadHost)]
    fn bad(#[case] text: &str, #[case] error: HttpUrlError) {
        assert_eq!(HttpUrl::parse(text), Err(error));
    }

    #[rstest]
    #[case("http://box:secret@host:80/drop?key=secret", "http://…@host:80/drop?…")]
    #[case("https://host#secret", "https://host#…")]
    #[case("https://host/drop", "https://host/drop")]
    fn shows_no_secret(#[case] text: &str, #[case] shown: &str) {
        let url = HttpUrl::parse(text).unwrap();
        assert_eq!(url.to_string(), shown);
        assert_eq!(format!("{url:?}"), format!("HttpUrl({shown})"));
    }

    proptest! {
        #[test]
        fn any_text_is_taken_as_it_is_or_refused(text in "(https?://)?\\PC{0,40}") {
            if let Ok(url) = HttpUrl::parse(&text) {
                prop_assert_eq!(url.as_str(), text.as_str());
                prop_assert!(!url.host_and_port().is_empty());
                prop_assert!(text.contains(url.host_and_port()));
            }
        }
    }
}
