//! What the address of a stream tells of it.

/// An address, taken apart as far as lines have keys for it. Whatever is missing is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) protocol: String,
    pub(super) host: String,
    pub(super) port: String,
    /// First segment of the path, where there is more than one.
    pub(super) app: String,
    /// Last segment of the path; of a manifest the last two.
    pub(super) name: String,
    /// `am`: L HLS, D DASH, P progressive, U multicast or UDP.
    pub(super) format: &'static str,
}

impl Stream {
    pub(super) fn parse(url: &str) -> Self {
        let bare = url.split(['?', '#']).next().unwrap_or_default();
        let Some((protocol, rest)) = bare.split_once("://") else {
            return Self { name: bare.rsplit('/').next().unwrap_or_default().to_owned(), ..Self::default() };
        };
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        // Players write multicast groups as `@group`, others put a user's name there: neither is the host.
        let host = authority.rsplit('@').next().unwrap_or_default();
        let (host, port) = split_port(host);
        let path = path.trim_matches('/');
        let is_manifest = is_manifest(path);
        let name = if is_manifest { last_two(path) } else { path.rsplit('/').next().unwrap_or_default() };
        let app = path.split_once('/').map_or("", |(first, _)| first);
        let is = |names: &[&str]| names.iter().any(|name| protocol.eq_ignore_ascii_case(name));
        let format = match () {
            () if is(&["udp", "rtp", "srt", "dvb"]) => "U",
            () if !is(&["http", "https", "file", "ftp"]) => "",
            () if ends(path, ".mpd") => "D",
            () if ends(path, ".m3u8") || ends(path, ".m3u") => "L",
            () if is_manifest => "",
            () => "P",
        };
        let [protocol, host, port, app, name] = [protocol, host, port, app, name].map(str::to_owned);
        Self { protocol, host, port, app, name, format }
    }
}

fn is_manifest(path: &str) -> bool {
    ends(path, ".m3u8") || ends(path, ".mpd") || ends(path, "manifest")
}

fn ends(path: &str, suffix: &str) -> bool {
    let (path, suffix) = (path.as_bytes(), suffix.as_bytes());
    path.len()
        .checked_sub(suffix.len())
        .and_then(|at| path.get(at..))
        .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

fn last_two(path: &str) -> &str {
    let mut slashes = path.rmatch_indices('/').skip(1);
    slashes.next().and_then(|(at, _)| path.get(at + 1..)).unwrap_or(path)
}

/// An IPv6 address has colons of its own, and brackets around it.
fn split_port(host: &str) -> (&str, &str) {
    let after_bracket = host.rfind(']').map_or(0, |at| at + 1);
    let port = host.get(after_bracket..).and_then(|rest| rest.rfind(':')).map(|at| at + after_bracket);
    let (host, port) = port.map_or((host, ""), |at| host.split_at(at));
    let port = port.trim_start_matches(':');
    let is_port = port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (host.trim_start_matches('[').trim_end_matches(']'), if is_port { port } else { "" })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::hls("https://a.example/live/ch1/index.m3u8?t=1", ["https", "a.example", "", "live", "ch1/index.m3u8", "L"])]
    #[case::dash("http://a.example:8080/x.mpd", ["http", "a.example", "8080", "", "x.mpd", "D"])]
    #[case::smooth("http://a.example/v.ism/Manifest", ["http", "a.example", "", "v.ism", "v.ism/Manifest", ""])]
    #[case::progressive("http://u:p@a.example/vod/f.mp4", ["http", "a.example", "", "vod", "f.mp4", "P"])]
    #[case::multicast("udp://@239.1.1.1:1234", ["udp", "239.1.1.1", "1234", "", "", "U"])]
    #[case::ipv6("rtp://[ff02::1]:5004", ["rtp", "ff02::1", "5004", "", "", "U"])]
    #[case::file("file:///media/f.ts", ["file", "", "", "media", "f.ts", "P"])]
    #[case::no_port("udp://239.1.1.1:88888/", ["udp", "239.1.1.1", "", "", "", "U"])]
    #[case::a_word_for_a_port("http://a.example:http/", ["http", "a.example", "", "", "", "P"])]
    #[case::none("", ["", "", "", "", "", ""])]
    #[case::no_address("channel/5", ["", "", "", "", "5", ""])]
    fn takes_addresses_apart(#[case] url: &str, #[case] expected: [&str; 6]) {
        let Stream { protocol, host, port, app, name, format } = Stream::parse(url);
        assert_eq!([&protocol, &host, &port, &app, &name, format], expected);
    }
}
