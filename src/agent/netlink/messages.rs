//! The rtnetlink messages a report is made of (rtnetlink(7)): links, addresses, routes.
//!
//! | message | fixed part | attributes read |
//! |---|---|---|
//! | RTM_NEWLINK | `struct ifinfomsg`, 16 bytes: family, type at 2, index at 4, flags at 8 | IFLA_IFNAME, IFLA_ADDRESS, IFLA_MASTER, IFLA_LINKINFO, IFLA_STATS64 |
//! | RTM_NEWADDR | `struct ifaddrmsg`, 8 bytes: family, prefix length, flags, scope, index at 4 | IFA_LOCAL, IFA_ADDRESS |
//! | RTM_NEWROUTE | `struct rtmsg`, 12 bytes: family, destination length, …, table at 4, type at 7, flags at 8 | RTA_GATEWAY, RTA_PRIORITY, RTA_TABLE, RTA_MULTIPATH |

use std::net::Ipv4Addr;

use super::attributes::{attributes, ipv4, split_header, text, u8_at, u16_at, u32_at, u64_at};

const AF_INET: u8 = 2;

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const RTM_NEWROUTE: u16 = 24;
const RTM_GETROUTE: u16 = 26;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_STATS64: u16 = 23;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_SLAVE_KIND: u16 = 4;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RT_SCOPE_UNIVERSE: u8 = 0;

const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_MULTIPATH: u16 = 9;
const RTA_TABLE: u16 = 15;
const RT_TABLE_MAIN: u32 = 254;
const RTN_UNICAST: u8 = 1;
const RTNH_F_DEAD: u32 = 1;
const RTNH_F_LINKDOWN: u32 = 16;
/// `struct rtnexthop`: length, flags, hops, index.
const RTNEXTHOP: usize = 8;

/// A question to the kernel: message type and payload.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) kind: u16,
    pub(super) payload: Vec<u8>,
}

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) index: u32,
    pub(super) name: String,
    /// IFF_UP and its like (netdevice(7)).
    pub(super) flags: u32,
    /// The hardware address, where it is an Ethernet-like one.
    pub(super) mac: Option<[u8; 6]>,
    /// The index of the bridge or bond that it is part of.
    pub(super) master: Option<u32>,
    /// What a virtual one is, such as `vlan`; empty for hardware.
    pub(super) kind: String,
    /// What its master is, such as `bridge`.
    pub(super) slave_kind: String,
    pub(super) stats: Stats,
}

/// What a report needs of `struct rtnl_link_stats64` (linux/if_link.h).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Stats {
    pub(super) rx_packets: u64,
    pub(super) tx_packets: u64,
    pub(super) rx_bytes: u64,
    pub(super) tx_bytes: u64,
    pub(super) rx_errors: u64,
    pub(super) tx_errors: u64,
    pub(super) rx_dropped: u64,
    pub(super) multicast: u64,
    pub(super) rx_missed_errors: u64,
}

/// One global IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) index: u32,
    pub(super) ip: Ipv4Addr,
    /// 0 to 32.
    pub(super) prefix: u8,
}

/// One default route of the main table that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Route {
    /// Lower is preferred.
    pub(super) metric: u32,
    /// `None` where the next hop is on the link itself, or no IPv4 address.
    pub(super) gateway: Option<Ipv4Addr>,
}

pub(super) fn links_request() -> Request {
    Request { kind: RTM_GETLINK, payload: vec![0; 16] }
}

pub(super) fn addresses_request() -> Request {
    Request { kind: RTM_GETADDR, payload: vec![AF_INET, 0, 0, 0, 0, 0, 0, 0] }
}

pub(super) fn routes_request() -> Request {
    Request { kind: RTM_GETROUTE, payload: vec![AF_INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] }
}

pub(super) fn parse_link(kind: u16, payload: &[u8]) -> Option<Link> {
    if kind != RTM_NEWLINK {
        return None;
    }
    let (header, rest) = split_header(payload, 16)?;
    let mut link = Link { index: u32_at(header, 4)?, flags: u32_at(header, 8)?, ..Link::default() };
    for (kind, value) in attributes(rest) {
        match kind {
            IFLA_IFNAME => link.name = text(value),
            IFLA_ADDRESS => link.mac = value.try_into().ok(),
            IFLA_MASTER => link.master = u32_at(value, 0).filter(|master| *master != 0),
            IFLA_LINKINFO => {
                for (kind, value) in attributes(value) {
                    match kind {
                        IFLA_INFO_KIND => link.kind = text(value),
                        IFLA_INFO_SLAVE_KIND => link.slave_kind = text(value),
                        _ => {}
                    }
                }
            }
            IFLA_STATS64 => link.stats = parse_stats(value).unwrap_or_default(),
            _ => {}
        }
    }
    (!link.name.is_empty()).then_some(link)
}

/// The fields in the order of the kernel's structure, which only ever grows at its end.
fn parse_stats(value: &[u8]) -> Option<Stats> {
    let field = |number: usize| u64_at(value, number * 8);
    Some(Stats {
        rx_packets: field(0)?,
        tx_packets: field(1)?,
        rx_bytes: field(2)?,
        tx_bytes: field(3)?,
        rx_errors: field(4)?,
        tx_errors: field(5)?,
        rx_dropped: field(6)?,
        multicast: field(8)?,
        rx_missed_errors: field(15)?,
    })
}

/// `None` for any but a global IPv4 address.
pub(super) fn parse_address(kind: u16, payload: &[u8]) -> Option<Address> {
    let (header, rest) = split_header(payload, 8)?;
    let is_ours =
        kind == RTM_NEWADDR && u8_at(header, 0)? == AF_INET && u8_at(header, 3)? == RT_SCOPE_UNIVERSE;
    if !is_ours {
        return None;
    }
    let find =
        |wanted: u16| attributes(rest).find(|(kind, _)| *kind == wanted).and_then(|(_, value)| ipv4(value));
    // On a point-to-point link IFA_ADDRESS is the other end (rtnetlink(7)).
    let ip = find(IFA_LOCAL).or_else(|| find(IFA_ADDRESS))?;
    Some(Address { index: u32_at(header, 4)?, ip, prefix: u8_at(header, 1)?.min(32) })
}

/// `None` for any but a default route of the main table whose link is there.
pub(super) fn parse_route(kind: u16, payload: &[u8]) -> Option<Route> {
    let (header, rest) = split_header(payload, 12)?;
    let is_default =
        u8_at(header, 0)? == AF_INET && u8_at(header, 1)? == 0 && u8_at(header, 7)? == RTN_UNICAST;
    if kind != RTM_NEWROUTE || !is_default || u32_at(header, 8)? & (RTNH_F_DEAD | RTNH_F_LINKDOWN) != 0 {
        return None;
    }
    let mut table = u32::from(u8_at(header, 4)?);
    let mut route = Route { metric: 0, gateway: None };
    for (kind, value) in attributes(rest) {
        match kind {
            RTA_TABLE => table = u32_at(value, 0)?,
            RTA_PRIORITY => route.metric = u32_at(value, 0)?,
            RTA_GATEWAY => route.gateway = ipv4(value),
            RTA_MULTIPATH => route.gateway = first_hop(value),
            _ => {}
        }
    }
    (table == RT_TABLE_MAIN).then_some(route)
}

/// The gateway of the first hop of a route over several links.
fn first_hop(value: &[u8]) -> Option<Ipv4Addr> {
    let length = usize::from(u16_at(value, 0)?);
    attributes(value.get(RTNEXTHOP..length)?)
        .find(|(kind, _)| *kind == RTA_GATEWAY)
        .and_then(|(_, value)| ipv4(value))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::attributes::push;
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        push(&mut out, kind, value);
        out
    }

    fn stats(length: usize) -> Vec<u8> {
        (0..25_u64).flat_map(|n| (n + 100).to_ne_bytes()).take(length * 8).collect()
    }

    fn link_header() -> Vec<u8> {
        let mut header = vec![0_u8; 16];
        header[4..8].copy_from_slice(&7_u32.to_ne_bytes());
        header[8..12].copy_from_slice(&0x1003_u32.to_ne_bytes());
        header
    }

    #[rstest]
    #[case::linux_3(23)]
    #[case::linux_6(25)]
    fn link_of(#[case] fields: usize) {
        let mut info = attribute(IFLA_INFO_KIND, b"vlan\0");
        info.extend(attribute(IFLA_INFO_SLAVE_KIND, b"bridge\0"));
        let payload = [
            link_header(),
            attribute(IFLA_IFNAME, b"eth0.100\0"),
            attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]),
            attribute(IFLA_MASTER, &9_u32.to_ne_bytes()),
            // A newer kernel's attribute of a shape nobody knows.
            attribute(4242, &[1, 2, 3]),
            attribute(IFLA_LINKINFO | 0x8000, &info),
            attribute(IFLA_STATS64, &stats(fields)),
        ]
        .concat();
        let link = parse_link(RTM_NEWLINK, &payload).unwrap();
        let expected = Link {
            index: 7,
            name: "eth0.100".into(),
            flags: 0x1003,
            mac: Some([2, 0, 0, 0, 0, 1]),
            master: Some(9),
            kind: "vlan".into(),
            slave_kind: "bridge".into(),
            stats: Stats {
                rx_packets: 100,
                tx_packets: 101,
                rx_bytes: 102,
                tx_bytes: 103,
                rx_errors: 104,
                tx_errors: 105,
                rx_dropped: 106,
                multicast: 108,
                rx_missed_errors: 115,
            },
        };
        assert_eq!(link, expected);
    }

    #[test]
    fn no_prefix_of_a_message_panics() {
        let link =
            [link_header(), attribute(IFLA_IFNAME, b"e\0"), attribute(IFLA_STATS64, &stats(25))].concat();
        let address = [vec![AF_INET, 24, 0, 0, 2, 0, 0, 0], attribute(IFA_LOCAL, &[10, 0, 0, 1])].concat();
        let route = [vec![AF_INET; 12], attribute(RTA_MULTIPATH, &[16, 0, 0, 0])].concat();
        for message in [link, address, route] {
            for length in 0..message.len() {
                let cut = &message[..length];
                for kind in [RTM_NEWLINK, RTM_NEWADDR, RTM_NEWROUTE] {
                    let _ = (parse_link(kind, cut), parse_address(kind, cut), parse_route(kind, cut));
                }
            }
        }
    }

    #[rstest]
    #[case::ethernet(AF_INET, 0, &[(IFA_ADDRESS, [10, 0, 0, 9]), (IFA_LOCAL, [10, 0, 0, 9])], Some([10, 0, 0, 9]))]
    #[case::point_to_point(AF_INET, 0, &[(IFA_ADDRESS, [10, 0, 0, 1]), (IFA_LOCAL, [10, 0, 0, 9])], Some([10, 0, 0, 9]))]
    #[case::link_scope(AF_INET, 253, &[(IFA_LOCAL, [169, 254, 0, 9])], None)]
    #[case::ipv6(10, 0, &[(IFA_LOCAL, [0, 0, 0, 9])], None)]
    fn address(
        #[case] family: u8,
        #[case] scope: u8,
        #[case] given: &[(u16, [u8; 4])],
        #[case] ip: Option<[u8; 4]>,
    ) {
        let mut payload = vec![family, 24, 0, scope];
        payload.extend(3_u32.to_ne_bytes());
        payload.extend(given.iter().flat_map(|(kind, value)| attribute(*kind, value)));
        let expected = ip.map(|ip| Address { index: 3, ip: ip.into(), prefix: 24 });
        assert_eq!(parse_address(RTM_NEWADDR, &payload), expected);
    }

    fn route_message(destination: u8, table: u8, flags: u32, rest: &[Vec<u8>]) -> Vec<u8> {
        let mut payload = vec![AF_INET, destination, 0, 0, table, 3, 0, RTN_UNICAST];
        payload.extend(flags.to_ne_bytes());
        payload.extend(rest.concat());
        payload
    }

    fn hops() -> Vec<u8> {
        let mut hop = vec![16, 0, 0, 0, 2, 0, 0, 0];
        hop.extend(attribute(RTA_GATEWAY, &[10, 0, 0, 2]));
        attribute(RTA_MULTIPATH, &hop)
    }

    #[rstest]
    #[case::plain(0, 254, 0, &[attribute(RTA_GATEWAY, &[10, 0, 0, 1]), attribute(RTA_PRIORITY, &600_u32.to_ne_bytes())], Some((600, Some([10, 0, 0, 1]))))]
    #[case::on_link(0, 254, 0, &[], Some((0, None)))]
    #[case::multipath(0, 254, 0, &[hops()], Some((0, Some([10, 0, 0, 2]))))]
    #[case::long_table_number(0, 252, 0, &[attribute(RTA_TABLE, &254_u32.to_ne_bytes())], Some((0, None)))]
    #[case::other_table(0, 252, 0, &[attribute(RTA_TABLE, &1000_u32.to_ne_bytes())], None)]
    #[case::not_default(24, 254, 0, &[], None)]
    #[case::cable_out(0, 254, RTNH_F_LINKDOWN, &[attribute(RTA_GATEWAY, &[10, 0, 0, 1])], None)]
    fn route(
        #[case] destination: u8,
        #[case] table: u8,
        #[case] flags: u32,
        #[case] rest: &[Vec<u8>],
        #[case] expected: Option<(u32, Option<[u8; 4]>)>,
    ) {
        let route = parse_route(RTM_NEWROUTE, &route_message(destination, table, flags, rest));
        assert_eq!(route.map(|route| (route.metric, route.gateway.map(|ip| ip.octets()))), expected);
    }
}
