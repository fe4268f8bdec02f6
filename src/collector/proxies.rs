//! Balancers before the collector, and whom they speak for.
//!
//! A balancer adds the address that it was called from to `X-Forwarded-For`, at the end; what was there before it came
//! from whoever called. So the header is read from its end, and only as far as those speak that are known to be balancers:
//! the first that is none is the box.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;

use crate::networks::Network;

/// Where a proxy says whom it speaks for.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// Those that are believed.
#[derive(Debug, Default)]
pub(crate) struct Proxies(Vec<Network>);

// === impl Proxies ===

impl Proxies {
    pub(crate) fn new(networks: Vec<Network>) -> Self {
        Self(networks)
    }

    /// Who sent a request that came from `peer`: itself, unless it is a proxy.
    pub(crate) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        // The headers in their order are one list (RFC 9110, 5.3).
        let told = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let mut told: Vec<_> = if self.believes(client) { told.collect() } else { Vec::new() };
        while self.believes(client) {
            let Some(next) = told.pop().and_then(address) else { break };
            client = next;
        }
        client
    }

    fn believes(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

/// With a port or without; "unknown", say, is none.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    address.ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn proxies() -> Proxies {
        Proxies::new(["10.0.0.0/8", "2001:db8::7"].map(|network| network.parse().unwrap()).into())
    }

    fn client(peer: &str, told: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in told {
            headers.append(FORWARDED_FOR, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        proxies().client(peer.parse().unwrap(), &headers).to_string()
    }

    #[rstest]
    #[case::nobody_is_between("192.0.2.1", &[], "192.0.2.1")]
    #[case::a_box_says_what_it_likes("192.0.2.1", &["198.51.100.7"], "192.0.2.1")]
    #[case::a_proxy_for_a_box("10.0.0.1", &["192.0.2.1"], "192.0.2.1")]
    #[case::what_the_box_said_before("10.0.0.1", &["198.51.100.7, 192.0.2.1"], "192.0.2.1")]
    #[case::two_proxies("10.0.0.1", &["198.51.100.7, 192.0.2.1, 10.9.9.9"], "192.0.2.1")]
    #[case::in_two_headers("10.0.0.1", &["198.51.100.7", "192.0.2.1,10.9.9.9"], "192.0.2.1")]
    #[case::a_proxy_for_itself("10.0.0.1", &[], "10.0.0.1")]
    #[case::proxies_alone("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3")]
    #[case::who_cannot_be_told("10.0.0.1", &["192.0.2.1, unknown"], "10.0.0.1")]
    #[case::no_text("10.0.0.1", &["\u{fc}"], "10.0.0.1")]
    #[case::with_a_port("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1")]
    #[case::version_6("2001:db8::7", &["2001:db8::8"], "2001:db8::8")]
    #[case::version_6_in_brackets("2001:db8::7", &["[2001:db8::8]"], "2001:db8::8")]
    #[case::version_6_with_a_port("2001:db8::7", &["[2001:db8::8]:4711"], "2001:db8::8")]
    #[case::version_4_in_6("::ffff:10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1")]
    fn who_it_is(#[case] peer: &str, #[case] told: &[&str], #[case] expected: &str) {
        assert_eq!(client(peer, told), expected);
    }

    proptest! {
        /// Whatever a box writes there, a proxy in front of it tells its address.
        #[test]
        fn a_box_cannot_be_another(said in "[0-9a-f.:, x]{0,40}") {
            prop_assert_eq!(client("10.0.0.1", &[&said, "192.0.2.1"]), "192.0.2.1");
            prop_assert_eq!(client("10.0.0.1", &[&format!("{said},192.0.2.1")]), "192.0.2.1");
            prop_assert_eq!(client("192.0.2.1", &[&said]), "192.0.2.1");
        }
    }
}
