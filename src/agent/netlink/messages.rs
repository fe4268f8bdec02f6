//! What a report needs of the rtnetlink messages (rtnetlink(7)): links, addresses, routes.

use std::net::Ipv4Addr;

use netlink_packet_core::Emitable as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressHeader, AddressScope};
use netlink_packet_route::link::{LinkHeader, Stats64};
use netlink_packet_route::route::{RouteFlags, RouteHeader, RouteNextHopFlags, RouteType};
use nix::libc;

use super::wire::{attributes, number, text};

/// `struct rtnexthop` (linux/rtnetlink.h): its own length with what follows, flags, weight, link.
const NEXT_HOP: usize = 8;

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
    /// Of the body of RTM_NEWLINK. `None` for one without a name.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let header = LinkHeader::parse(body).ok()?;
        let mut link = Self { index: header.index, flags: header.flags.bits(), ..Self::default() };
        for (kind, value) in attributes(body.get(header.buffer_len()..)?) {
            match kind {
                libc::IFLA_IFNAME => link.name = text(value),
                libc::IFLA_ADDRESS => link.mac = value.try_into().ok(),
                libc::IFLA_MASTER => link.master = number(value).filter(|master| *master != 0),
                libc::IFLA_STATS64 => link.stats = Stats64::parse(value).map(Stats::from).unwrap_or_default(),
                libc::IFLA_LINKINFO => {
                    for (kind, value) in attributes(value) {
                        match kind {
                            libc::IFLA_INFO_KIND => link.kind = text(value),
                            libc::IFLA_INFO_SLAVE_KIND => link.slave_kind = text(value),
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
    /// Of the body of RTM_NEWADDR. `None` for any but a global IPv4 address.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let header = AddressHeader::parse(body).ok()?;
        if header.family != AddressFamily::Inet || header.scope != AddressScope::Universe {
            return None;
        }
        let (mut local, mut address) = (None, None);
        for (kind, value) in attributes(body.get(header.buffer_len()..)?) {
            match kind {
                libc::IFA_LOCAL => local = ipv4(value),
                libc::IFA_ADDRESS => address = ipv4(value),
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
    /// Of the body of RTM_NEWROUTE. `None` for any but a default route of the main table whose link is there.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let header = RouteHeader::parse(body).ok()?;
        let is_default = header.address_family == AddressFamily::Inet
            && header.destination_prefix_length == 0
            && header.kind == RouteType::Unicast;
        if !is_default || header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown) {
            return None;
        }
        let mut table = u32::from(header.table);
        let mut route = Self { metric: 0, gateway: None };
        let own = body.get(header.buffer_len()..)?;
        for (kind, value) in attributes(own) {
            match kind {
                libc::RTA_TABLE => table = number(value).unwrap_or(table),
                libc::RTA_PRIORITY => route.metric = number(value).unwrap_or_default(),
                libc::RTA_MULTIPATH => {
                    let (_, attributes) = hops(value).find(|(flags, _)| is_usable(*flags))?;
                    route.gateway = gateway(attributes);
                }
                _ => {}
            }
        }
        route.gateway = route.gateway.or_else(|| gateway(own));
        (table == u32::from(RouteHeader::RT_TABLE_MAIN)).then_some(route)
    }
}

/// The next hops of a route over several links: flags, and attributes. What is malformed ends the list.
fn hops(mut bytes: &[u8]) -> impl Iterator<Item = (RouteNextHopFlags, &[u8])> {
    std::iter::from_fn(move || {
        let [low, high, flags, ..] = *bytes.first_chunk::<NEXT_HOP>()?;
        let length = usize::from(u16::from_ne_bytes([low, high]));
        let attributes = bytes.get(NEXT_HOP..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((RouteNextHopFlags::from_bits_retain(flags), attributes))
    })
}

/// Each hop has flags of its own (rtnexthop in rtnetlink(7)).
fn is_usable(flags: RouteNextHopFlags) -> bool {
    !flags.intersects(RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown)
}

fn gateway(bytes: &[u8]) -> Option<Ipv4Addr> {
    attributes(bytes).find_map(|(kind, value)| if kind == libc::RTA_GATEWAY { ipv4(value) } else { None })
}

/// `None` for an address of another family.
fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    // The library's encoder is a second opinion on what is read here.
    use std::net::IpAddr;

    use netlink_packet_core::{DefaultNla, Emitable};
    use netlink_packet_route::address::{AddressAttribute, AddressMessage};
    use netlink_packet_route::link::{
        InfoKind, InfoPortKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
    };
    use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteNextHop};
    use rstest::rstest;

    use super::*;

    fn bytes(message: &impl Emitable) -> Vec<u8> {
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        bytes
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        bytes(&DefaultNla::new(kind, value.to_vec()))
    }

    fn link_of(attributes: &[Vec<u8>]) -> Vec<u8> {
        [bytes(&LinkHeader::default()), attributes.concat()].concat()
    }

    /// A link whose kernel tells one more thing than any kernel of today, or tells it in another way.
    #[rstest]
    #[case::unknown_attribute(attribute(4242, &[1, 2, 3]))]
    #[case::unknown_nest(attribute(4242 | 0x8000, &attribute(1, &[1])))]
    #[case::wider_number(attribute(libc::IFLA_MTU, &[0; 8]))]
    #[case::alias_in_latin_1(attribute(libc::IFLA_IFALIAS, b"Fernsehger\xe4t\0"))]
    #[case::vendor_took_a_number(attribute(libc::IFLA_XDP, &[1]))]
    #[case::families_in_another_shape(attribute(libc::IFLA_AF_SPEC, &attribute(2, &[0; 3])))]
    #[case::master_of_another_width(attribute(libc::IFLA_MASTER, &[1; 8]))]
    #[case::wider_number_in_a_nest(attribute(libc::IFLA_LINKINFO, &attribute(2, &attribute(1, &[0; 8]))))]
    fn no_attribute_costs_an_interface(#[case] extra: Vec<u8>) {
        let stats: Vec<u8> = (0..25_u64).flat_map(u64::to_ne_bytes).collect();
        let body =
            link_of(&[attribute(libc::IFLA_IFNAME, b"eth0\0"), extra, attribute(libc::IFLA_STATS64, &stats)]);
        let link = Link::read(&body).unwrap();
        let expected = Stats { multicast: 8, rx_missed_errors: 15, ..link.stats };
        assert_eq!((link.name.as_str(), link.master, link.stats), ("eth0", None, expected));
    }

    #[rstest]
    #[case::linux_3(23)]
    #[case::linux_6(25)]
    #[case::one_that_counts_more(40)]
    fn counters_of_any_kernel(#[case] fields: u64) {
        let stats: Vec<u8> = (0..fields).flat_map(u64::to_ne_bytes).collect();
        let body = link_of(&[attribute(libc::IFLA_IFNAME, b"eth0\0"), attribute(libc::IFLA_STATS64, &stats)]);
        let stats = Link::read(&body).unwrap().stats;
        assert_eq!((stats.rx_packets, stats.tx_errors, stats.rx_missed_errors), (0, 5, 15));
    }

    #[test]
    fn a_name_of_any_bytes_is_a_name() {
        let body = link_of(&[attribute(libc::IFLA_IFNAME, b"et\xe40\0")]);
        assert_eq!(Link::read(&body).unwrap().name, "et\u{fffd}0");
    }

    #[test]
    fn what_a_link_is_is_read_beside_what_is_malformed() {
        let info = [
            attribute(libc::IFLA_INFO_KIND, b"vlan\0"),
            attribute(libc::IFLA_INFO_DATA, &[0xff; 40]),
            attribute(libc::IFLA_INFO_SLAVE_KIND, b"bridge\0"),
        ];
        let nest = attribute(libc::IFLA_LINKINFO | 0x8000, &info.concat());
        let link = Link::read(&link_of(&[attribute(libc::IFLA_IFNAME, b"eth0.7\0"), nest])).unwrap();
        assert_eq!((link.kind.as_str(), link.slave_kind.as_str()), ("vlan", "bridge"));
    }

    #[test]
    fn no_prefix_of_a_message_panics() {
        let multipath = RouteAttribute::MultiPath(vec![hop(UP, 2), hop(DOWN, 3)]);
        let mut route = RouteMessage::default();
        route.attributes = vec![via(1), multipath];
        let mut address = AddressMessage::default();
        address.attributes = vec![AddressAttribute::Local(HERE)];
        let link = link_of(&[attribute(libc::IFLA_LINKINFO, &attribute(libc::IFLA_INFO_KIND, b"vlan\0"))]);
        for body in [bytes(&route), bytes(&address), link] {
            for length in 0..body.len() {
                let _ = Link::read(&body[..length]);
                let _ = Address::read(&body[..length]);
                let _ = Route::read(&body[..length]);
            }
        }
    }

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
        assert_eq!(Link::read(&bytes(&message)), Some(expected));
        assert_eq!(Link::read(&bytes(&LinkMessage::default())), None);
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
        let read = Address::read(&bytes(&message));
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
        let read = Route::read(&bytes(&message)).map(|route| (route.metric, route.gateway));
        let expected =
            expected.map(|(metric, last)| (metric, last.map(|last| Ipv4Addr::new(10, 0, 0, last))));
        assert_eq!(read, expected);
    }
}
