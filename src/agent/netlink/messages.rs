//! What a report needs of the rtnetlink messages (rtnetlink(7)): links, addresses, routes.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkInfo, LinkMessage, Stats64};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteNextHop, RouteNextHopFlags,
    RouteType,
};

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

// === impl Link ===

impl Link {
    /// `None` for one without a name.
    pub(super) fn read(message: LinkMessage) -> Option<Self> {
        let mut link =
            Self { index: message.header.index, flags: message.header.flags.bits(), ..Self::default() };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Address(address) => link.mac = address.try_into().ok(),
                LinkAttribute::Controller(master) => link.master = (master != 0).then_some(master),
                LinkAttribute::Stats64(stats) => link.stats = Stats::from(stats),
                LinkAttribute::LinkInfo(infos) => {
                    for info in infos {
                        match info {
                            LinkInfo::Kind(kind) => link.kind = kind.to_string(),
                            LinkInfo::PortKind(kind) => link.slave_kind = kind.to_string(),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        (!link.name.is_empty()).then_some(link)
    }
}

impl From<Stats64> for Stats {
    fn from(stats: Stats64) -> Self {
        Self {
            rx_packets: stats.rx_packets,
            tx_packets: stats.tx_packets,
            rx_bytes: stats.rx_bytes,
            tx_bytes: stats.tx_bytes,
            rx_errors: stats.rx_errors,
            tx_errors: stats.tx_errors,
            rx_dropped: stats.rx_dropped,
            multicast: stats.multicast,
            rx_missed_errors: stats.rx_missed_errors,
        }
    }
}

// === impl Address ===

impl Address {
    /// `None` for any but a global IPv4 address.
    pub(super) fn read(message: &AddressMessage) -> Option<Self> {
        let header = &message.header;
        if header.family != AddressFamily::Inet || header.scope != AddressScope::Universe {
            return None;
        }
        let (mut local, mut address) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Local(IpAddr::V4(ip)) => local = Some(*ip),
                AddressAttribute::Address(IpAddr::V4(ip)) => address = Some(*ip),
                _ => {}
            }
        }
        // On a point-to-point link IFA_ADDRESS is the other end (rtnetlink(7)).
        let ip = local.or(address)?;
        Some(Self { index: header.index, ip, prefix: header.prefix_len.min(32) })
    }
}

// === impl Route ===

impl Route {
    /// `None` for any but a default route of the main table whose link is there.
    pub(super) fn read(message: &RouteMessage) -> Option<Self> {
        let header = &message.header;
        let is_default = header.address_family == AddressFamily::Inet
            && header.destination_prefix_length == 0
            && header.kind == RouteType::Unicast;
        if !is_default || header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown) {
            return None;
        }
        let mut table = u32::from(header.table);
        let mut route = Self { metric: 0, gateway: None };
        for attribute in &message.attributes {
            match attribute {
                RouteAttribute::Table(number) => table = *number,
                RouteAttribute::Priority(metric) => route.metric = *metric,
                RouteAttribute::MultiPath(hops) => {
                    route.gateway = gateway(&hops.iter().find(|hop| is_usable(hop))?.attributes);
                }
                _ => {}
            }
        }
        route.gateway = route.gateway.or_else(|| gateway(&message.attributes));
        (table == u32::from(RouteHeader::RT_TABLE_MAIN)).then_some(route)
    }
}

/// Each hop of a route over several links has flags of its own (rtnexthop in rtnetlink(7)).
fn is_usable(hop: &RouteNextHop) -> bool {
    !hop.flags.intersects(RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown)
}

fn gateway(attributes: &[RouteAttribute]) -> Option<Ipv4Addr> {
    attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(RouteAddress::Inet(ip)) => Some(*ip),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::link::{InfoKind, InfoPortKind, LinkFlags};
    use rstest::rstest;

    use super::*;

    #[test]
    fn link() {
        let mut message = LinkMessage::default();
        message.header.index = 7;
        message.header.flags = LinkFlags::Up | LinkFlags::Broadcast;
        let mut stats = Stats64::default();
        stats.rx_packets = 100;
        stats.tx_packets = 101;
        stats.rx_bytes = 102;
        stats.tx_bytes = 103;
        stats.rx_errors = 104;
        stats.tx_errors = 105;
        stats.rx_dropped = 106;
        stats.multicast = 108;
        stats.rx_missed_errors = 115;
        message.attributes = vec![
            LinkAttribute::IfName("eth0.100".into()),
            LinkAttribute::Mtu(1500),
            LinkAttribute::Address(vec![2, 0, 0, 0, 0, 1]),
            LinkAttribute::Controller(9),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vlan),
                LinkInfo::PortKind(InfoPortKind::Other("ovs".into())),
            ]),
            LinkAttribute::Stats64(stats),
        ];
        let expected = Link {
            index: 7,
            name: "eth0.100".into(),
            flags: 0x3,
            mac: Some([2, 0, 0, 0, 0, 1]),
            master: Some(9),
            kind: "vlan".into(),
            slave_kind: "ovs".into(),
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
        assert_eq!(Link::read(message), Some(expected));
        assert_eq!(Link::read(LinkMessage::default()), None);
    }

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 9));
    const THERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

    #[rstest]
    #[case::ethernet(AddressFamily::Inet, 0, &[AddressAttribute::Address(HERE), AddressAttribute::Local(HERE)], Some(HERE))]
    #[case::point_to_point(AddressFamily::Inet, 0, &[AddressAttribute::Address(THERE), AddressAttribute::Local(HERE)], Some(HERE))]
    #[case::without_local(AddressFamily::Inet, 0, &[AddressAttribute::Address(HERE)], Some(HERE))]
    #[case::link_scope(AddressFamily::Inet, 253, &[AddressAttribute::Local(HERE)], None)]
    #[case::ipv6(AddressFamily::Inet6, 0, &[AddressAttribute::Local(HERE)], None)]
    fn address(
        #[case] family: AddressFamily,
        #[case] scope: u8,
        #[case] attributes: &[AddressAttribute],
        #[case] ip: Option<IpAddr>,
    ) {
        let mut message = AddressMessage::default();
        message.header.family = family;
        message.header.scope = scope.into();
        message.header.index = 3;
        message.header.prefix_len = 24;
        message.attributes = attributes.to_vec();
        let read = Address::read(&message);
        assert_eq!(read.as_ref().map(|address| IpAddr::V4(address.ip)), ip);
        assert!(read.is_none_or(|address| address.index == 3 && address.prefix == 24));
    }

    fn via(last: u8) -> RouteAttribute {
        RouteAttribute::Gateway(RouteAddress::Inet(Ipv4Addr::new(10, 0, 0, last)))
    }

    fn hop(flags: RouteNextHopFlags, last: u8) -> RouteNextHop {
        let mut hop = RouteNextHop::default();
        hop.flags = flags;
        hop.attributes = vec![via(last)];
        hop
    }

    const UP: RouteNextHopFlags = RouteNextHopFlags::empty();
    const DOWN: RouteNextHopFlags = RouteNextHopFlags::Linkdown;

    #[rstest]
    #[case::plain(0, 254, RouteFlags::empty(), vec![via(1), RouteAttribute::Priority(600)], Some((600, Some(1))))]
    #[case::on_link(0, 254, RouteFlags::empty(), vec![], Some((0, None)))]
    #[case::multipath(0, 254, RouteFlags::empty(), vec![RouteAttribute::MultiPath(vec![hop(UP, 2), hop(UP, 3)])], Some((0, Some(2))))]
    #[case::first_hop_down(0, 254, RouteFlags::empty(), vec![RouteAttribute::MultiPath(vec![hop(DOWN, 2), hop(UP, 3)])], Some((0, Some(3))))]
    #[case::every_hop_down(0, 254, RouteFlags::empty(), vec![RouteAttribute::MultiPath(vec![hop(DOWN, 2)])], None)]
    #[case::long_table_number(0, 252, RouteFlags::empty(), vec![RouteAttribute::Table(254)], Some((0, None)))]
    #[case::other_table(0, 252, RouteFlags::empty(), vec![RouteAttribute::Table(1000)], None)]
    #[case::not_default(24, 254, RouteFlags::empty(), vec![], None)]
    #[case::cable_out(0, 254, RouteFlags::Linkdown, vec![via(1)], None)]
    fn route(
        #[case] destination: u8,
        #[case] table: u8,
        #[case] flags: RouteFlags,
        #[case] attributes: Vec<RouteAttribute>,
        #[case] expected: Option<(u32, Option<u8>)>,
    ) {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = destination;
        message.header.table = table;
        message.header.kind = RouteType::Unicast;
        message.header.flags = flags;
        message.attributes = attributes;
        let read = Route::read(&message).map(|route| (route.metric, route.gateway));
        let expected =
            expected.map(|(metric, last)| (metric, last.map(|last| Ipv4Addr::new(10, 0, 0, last))));
        assert_eq!(read, expected);
    }
}
