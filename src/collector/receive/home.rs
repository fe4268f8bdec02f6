//! Where a connection comes from, in words: put together once for all that comes by it.

use std::net::IpAddr;

/// Whose connection it is.
#[derive(Debug)]
pub(crate) struct Home {
    pub(crate) address: IpAddr,
    /// The same as text.
    pub(super) name: String,
    /// The network that it is in.
    pub(super) subnet: String,
}

// === impl Home ===

impl Home {
    pub(crate) fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, name: address.to_string(), subnet: subnet(address) }
    }
}

/// The network that an address is in.
pub(super) fn subnet(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(address) => {
            let [a, b, c, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}::/48")
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("192.0.2.77", "192.0.2.0/24")]
    #[case("::ffff:192.0.2.77", "192.0.2.0/24")]
    #[case("2001:db8:7:1::1", "2001:db8:7::/48")]
    fn networks(#[case] address: &str, #[case] network: &str) {
        assert_eq!(subnet(address.parse().unwrap()), network);
    }
}
