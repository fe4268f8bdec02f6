//! URLs without what may be a secret in them.

/// A URL without user-info, query and fragment.
///
/// Any scheme, and texts that are no valid URLs: where it cannot be told for certain what is host and what is
/// password, everything behind the scheme is left out, for a password that is shown is worse than a host that
/// is not.
///
/// ```
/// use stbeacon_core::stb::redact;
///
/// assert_eq!(redact("http://user:password@host:8080/a/b.ts?token=x#t=1"), "http://host:8080/a/b.ts");
/// assert_eq!(redact("udp://@239.1.1.1:1234"), "udp://239.1.1.1:1234");
/// ```
#[must_use]
pub fn redact(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => {
            let shown = hierarchical(rest).unwrap_or_default();
            format!("{scheme}://{shown}")
        }
        _ => opaque(url).to_owned(),
    }
}

/// A text for people, with every URL in it redacted.
pub(super) fn redact_text(text: &str) -> String {
    const QUOTES: &[char] = &['"', '\'', '`', '<', '>', '(', ')', '[', ']', '“', '”', '‘', '’', '«', '»'];
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(char::is_whitespace) {
        if !word.contains("://") {
            out.push_str(word);
            continue;
        }
        let inner = word.trim_end();
        let space = word.get(inner.len()..).unwrap_or_default();
        let bare = inner.trim_start_matches(QUOTES);
        let (open, bare) = inner.split_at(inner.len() - bare.len());
        let closed = bare.trim_end_matches(QUOTES);
        let (bare, close) = bare.split_at(closed.len());
        out.push_str(open);
        out.push_str(&redact(bare));
        out.push_str(close);
        out.push_str(space);
    }
    out
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
}

/// What may be shown of what follows `://`: host, port and path; `None` where that is not certain.
fn hierarchical(rest: &str) -> Option<&str> {
    let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    if tail.starts_with('\\') {
        return None;
    }
    // A password that holds a "?" would end the authority early: "user:pass?word@host".
    if tail.starts_with(['?', '#']) && tail.contains('@') {
        return None;
    }
    let host = authority.rfind('@').map_or(authority, |at| authority.get(at + 1..).unwrap_or_default());
    // And so would one that holds a "/": "user:pass/word@host" has a "port" that is none.
    if !is_host_and_port(host) {
        return None;
    }
    let from = authority.len() - host.len();
    let to = rest.find(['?', '#']).unwrap_or(rest.len());
    rest.get(from..to)
}

fn is_host_and_port(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => {
                return address.chars().all(|c| c.is_ascii_hexdigit() || ":.%".contains(c)) && is_port(port);
            }
            None => return false,
        },
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    !host.chars().any(|c| c.is_whitespace() || c.is_control()) && is_port(port)
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').unwrap_or(text).bytes().all(|b| b.is_ascii_digit())
}

/// What may be shown of a text that is no URL with a host: a path, most likely.
fn opaque(text: &str) -> &str {
    let end = text.find(['?', '#']).unwrap_or(text.len());
    let (shown, hidden) = text.split_at(end);
    if hidden.contains('@') {
        return "";
    }
    shown.rfind('@').map_or(shown, |at| shown.get(at + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::plain("http://host/a/b.m3u8", "http://host/a/b.m3u8")]
    #[case::empty("", "")]
    #[case::query("https://host/a?token=s3cret", "https://host/a")]
    #[case::query_without_path("https://host?token=s3cret", "https://host")]
    #[case::fragment("https://host/a#s3cret", "https://host/a")]
    #[case::user("rtsp://box:s3cret@cam.local:554/live", "rtsp://cam.local:554/live")]
    #[case::user_only("rtsp://s3cret@cam/live", "rtsp://cam/live")]
    #[case::several_ats("http://a@b:s3cret@host/x", "http://host/x")]
    #[case::slash_in_password("http://box:s3/cret@host/x", "http://")]
    #[case::question_in_password("http://box:s3?cret@host/x", "http://")]
    #[case::question_after_digits("http://box:12?s3cret@host/x", "http://")]
    #[case::backslashes("http:\\\\box:s3cret@host\\x", "host\\x")]
    #[case::backslash_in_password("http://box:s3\\cret@host/x", "http://")]
    #[case::at_in_path("http://host/@channel/live@1080p.ts", "http://host/@channel/live@1080p.ts")]
    #[case::at_in_query("http://host/a?mail=a@b", "http://host/a")]
    #[case::ipv6("http://box:s3cret@[2001:db8::1]:80/a", "http://[2001:db8::1]:80/a")]
    #[case::multicast("udp://@239.1.1.1:1234", "udp://239.1.1.1:1234")]
    #[case::multicast_options("udp://239.1.1.1:1234?iface=eth0", "udp://239.1.1.1:1234")]
    #[case::file("file:///media/film.ts", "file:///media/film.ts")]
    #[case::path("/media/film.ts", "/media/film.ts")]
    #[case::relative("film.ts?x", "film.ts")]
    #[case::dvb("dvb://1.2.3", "dvb://1.2.3")]
    #[case::no_scheme("box:s3cret@host/a", "host/a")]
    #[case::no_slashes("rtsp:box:s3cret@host/a", "host/a")]
    #[case::no_scheme_odd("box:s3?cret@host/a", "")]
    #[case::prefixed("icy:http://box:s3cret@host/a?s3cret", "host/a")]
    #[case::nested("hls+http://box:s3cret@host/a?s3cret", "hls+http://host/a")]
    #[case::international("http://бокс:s3cret@хост.рф/а", "http://хост.рф/а")]
    #[case::only_scheme("http://", "http://")]
    fn table(#[case] url: &str, #[case] shown: &str) {
        assert_eq!(redact(url), shown);
    }

    #[rstest]
    #[case("Not Found", "Not Found")]
    #[case("Could not open \"http://u:s3@h/a?t=s3\" (404)", "Could not open \"http://h/a\" (404)")]
    #[case("a://u:s3@h/a?s3\tb://h?s3\n", "a://h/a\tb://h\n")]
    #[case("x 1 @ y ? z", "x 1 @ y ? z")]
    fn text_table(#[case] text: &str, #[case] shown: &str) {
        assert_eq!(redact_text(text), shown);
    }

    proptest! {
        /// Whatever else the URL is made of, what stands before the last `@` of the authority, or behind the
        /// first `?` or `#`, is not shown.
        #[test]
        fn never_shows_a_password_or_a_query(
            scheme in "(|[a-z][a-z0-9+.-]{0,5}:(//)?)",
            user in "[ -~&&[^0-9/\\\\?#]]{0,8}",
            noise in "[ -~&&[^Z/\\\\?#]]{0,8}",
            host in "[a-z0-9.]{0,8}(:[0-9]{1,5})?",
            path in "(/[ -~&&[^Z]]{0,12})?",
            query in "([?#][ -~&&[^Z]]{0,12}ZZZ[ -~&&[^Z]]{0,12})?",
        ) {
            let url = format!("{scheme}{user}:ZZZ{noise}@{host}{path}{query}");
            prop_assert!(!redact(&url).contains("ZZZ"), "{url} shows {}", redact(&url));
            if scheme.ends_with("://") && !url.contains(' ') {
                let text = redact_text(&format!("cannot open '{url}'."));
                prop_assert!(!text.contains("ZZZ"), "{url} shows {text}");
            }
        }

        /// Characters that end an authority too early for a parser do not make a password visible.
        #[test]
        fn never_shows_a_broken_password(
            user in "[a-z]{1,8}",
            before in "[a-z?#\\\\]{1,8}",
            after in "[a-z/?#\\\\]{0,8}",
            path in "(/[a-z]{0,8})?",
        ) {
            let url = format!("http://{user}:{before}ZZZ{after}@host{path}");
            prop_assert!(!redact(&url).contains("ZZZ"), "{url} shows {}", redact(&url));
        }
    }
}
