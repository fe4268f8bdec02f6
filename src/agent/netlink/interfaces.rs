//! What a report says of the interfaces, from what the kernel says of them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use stbeacon_core::provisioning::Glob;
use stbeacon_core::stb::{InterfaceStat, Network};

use super::ethtool::LinkMode;
use super::messages::{Address, Link, Route, Stats};

/// The administrator has switched it on (netdevice(7)).
const IFF_UP: u32 = 0x1;
const IFF_LOOPBACK: u32 = 0x8;

/// Virtual interfaces that are a box's way to the network all the same: a VLAN, the bridge or bond over its
/// ports, a dialled line, a modem, and the ports of a switch chip, which only look virtual.
const KINDS_REPORTED: [&str; 8] = ["vlan", "bridge", "bond", "team", "ppp", "wwan", "rmnet", "dsa"];

/// Masters that speak for their ports; a port of its own would count everything twice.
const MASTERS: [&str; 4] = ["bridge", "bond", "team", "ovs"];

/// Bridges that containers and virtual machines hang on, by the names that their makers give them.
const CONTAINER_BRIDGES: [&str; 8] = ["docker", "virbr", "lxcbr", "lxdbr", "incusbr", "cni", "podman", "br-"];

/// The interfaces of the box at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Interfaces {
    links: BTreeMap<u32, Link>,
    /// By interface, in the kernel's order: the first is the primary one.
    addresses: BTreeMap<u32, Vec<Address>>,
    /// The default route of lowest metric.
    route: Option<Route>,
}

/// Which interfaces are reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Where not empty, any interface that matches one of these, and no other.
    patterns: Vec<Glob>,
}

// === impl Selection ===

impl Selection {
    pub(crate) const fn new(patterns: Vec<Glob>) -> Self {
        Self { patterns }
    }

    /// Whether a running interface is reported. Given patterns decide alone, so that `veth*` or `lo` can be
    /// asked for.
    fn takes(&self, link: &Link) -> bool {
        if !self.patterns.is_empty() {
            return self.patterns.iter().any(|pattern| pattern.matches(&link.name));
        }
        let is_hardware = link.kind.is_empty();
        let is_reported_kind = KINDS_REPORTED.contains(&link.kind.as_str());
        let is_container_bridge =
            link.kind == "bridge" && CONTAINER_BRIDGES.iter().any(|name| link.name.starts_with(name));
        let is_port = link.master.is_some()
            && (link.slave_kind.is_empty() || MASTERS.contains(&link.slave_kind.as_str()));
        link.flags & IFF_LOOPBACK == 0
            && (is_hardware || is_reported_kind)
            && !is_container_bridge
            && !is_port
    }
}

// === impl Interfaces ===

impl Interfaces {
    pub(super) fn add_link(&mut self, link: Link) {
        self.links.insert(link.index, link);
    }

    pub(super) fn add_address(&mut self, address: Address) {
        self.addresses.entry(address.index).or_default().push(address);
    }

    pub(super) fn add_route(&mut self, route: Route) {
        if self.route.as_ref().is_none_or(|known| route.metric < known.metric) {
            self.route = Some(route);
        }
    }

    /// The running interfaces that are selected, in the order in which the kernel made them. The names whose
    /// link's speed is to be known are asked for by `mode_of`.
    pub(crate) fn reported(
        &self,
        selection: &Selection,
        mut mode_of: impl FnMut(&str) -> LinkMode,
    ) -> Vec<Network> {
        let running = self.links.values().filter(|link| link.flags & IFF_UP != 0 && selection.takes(link));
        running
            .map(|link| {
                let stat = InterfaceStat::from(link.stats);
                let Some(address) = self.addresses.get(&link.index).and_then(|all| all.first()) else {
                    // What has no address is on no way to any gateway, and says nothing of its link either.
                    return Network { name: link.name.clone(), stat, ..Network::default() };
                };
                let LinkMode { speed, duplex } = mode_of(&link.name);
                Network {
                    name: link.name.clone(),
                    speed: speed.into(),
                    duplex,
                    ip: Some(address.ip),
                    netmask: Some(netmask(address.prefix)),
                    gateway: self.route.as_ref().and_then(|route| route.gateway),
                    stat,
                }
            })
            .collect()
    }

    /// The box's own hardware address: that of the first Ethernet-like interface, hardware and eth before others.
    ///
    /// Not that of whatever leads to the network at the moment: a server knows the box by one address, with or
    /// without its cable.
    pub(crate) fn box_mac(&self) -> Option<[u8; 6]> {
        self.links
            .values()
            .filter(|link| link.flags & IFF_LOOPBACK == 0)
            .filter_map(|link| link.mac.filter(|mac| *mac != [0; 6]).map(|mac| (link, mac)))
            .min_by_key(|(link, _)| (!link.kind.is_empty(), !link.name.starts_with('e'), link.index))
            .map(|(_, mac)| mac)
    }

    /// Whether an address or the default route is another one than in `before`: what was out of reach then may
    /// not be now.
    pub(crate) fn leads_elsewhere_than(&self, before: &Self) -> bool {
        self.addresses != before.addresses || self.route != before.route
    }

    /// What has changed since `before`, one line each, for the log.
    pub(crate) fn changes_since(&self, before: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        for (index, link) in &self.links {
            let name = &link.name;
            let Some(old) = before.links.get(index) else {
                lines.push(format!("interface {name} is there, {}", up_or_down(link)));
                continue;
            };
            if old.name != *name {
                lines.push(format!("interface {} is now named {name}", old.name));
            }
            if up_or_down(old) != up_or_down(link) {
                lines.push(format!("interface {name} is {}", up_or_down(link)));
            }
            let (ip, old_ip) = (self.ip_of(*index), before.ip_of(*index));
            if ip != old_ip {
                lines.push(match ip {
                    Some(ip) => format!("interface {name} has address {ip}"),
                    None => format!("interface {name} has no address any more"),
                });
            }
        }
        for (index, link) in &before.links {
            if !self.links.contains_key(index) {
                lines.push(format!("interface {} is gone", link.name));
            }
        }
        let gateway = |at: &Self| at.route.as_ref().map(|route| route.gateway);
        if gateway(self) != gateway(before) {
            lines.push(match gateway(self) {
                Some(Some(ip)) => format!("the default route leads over {ip}"),
                Some(None) => "the default route leads over a link without gateway".to_owned(),
                None => "there is no default route any more".to_owned(),
            });
        }
        lines
    }

    fn ip_of(&self, index: u32) -> Option<Ipv4Addr> {
        self.addresses.get(&index).and_then(|addresses| addresses.first()).map(|address| address.ip)
    }
}

impl From<Stats> for InterfaceStat {
    fn from(stats: Stats) -> Self {
        Self {
            received_bytes: stats.rx_bytes,
            // As /proc/net/dev folds them (net/core/net-procfs.c).
            received_discard_packets: stats.rx_dropped.saturating_add(stats.rx_missed_errors),
            received_error_packets: stats.rx_errors,
            received_multicast_packets: stats.multicast,
            received_total_packets: stats.rx_packets,
            sent_bytes: stats.tx_bytes,
            sent_error_packets: stats.tx_errors,
            sent_total_packets: stats.tx_packets,
        }
    }
}

fn up_or_down(link: &Link) -> &'static str {
    if link.flags & IFF_UP == 0 { "down" } else { "up" }
}

/// `255.255.255.0` for 24.
fn netmask(prefix: u8) -> Ipv4Addr {
    let bits = u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0);
    Ipv4Addr::from(bits)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use stbeacon_core::stb::Duplex;

    use super::*;

    fn link(name: &str, kind: &str, slave_kind: &str) -> Link {
        Link {
            index: 2,
            name: name.into(),
            flags: IFF_UP,
            mac: Some([2, 0, 0, 0, 0, 1]),
            master: (!slave_kind.is_empty()).then_some(9),
            kind: kind.into(),
            slave_kind: slave_kind.trim_start_matches('?').into(),
            stats: Stats::default(),
        }
    }

    #[rstest]
    #[case::hardware("eth0", "", "", true)]
    #[case::wireless("wlan0", "", "", true)]
    #[case::vlan("eth0.100", "vlan", "", true)]
    #[case::bridge("br0", "bridge", "", true)]
    #[case::dialled("ppp0", "ppp", "", true)]
    #[case::switch_port("lan1", "dsa", "", true)]
    #[case::bridge_port("eth1", "", "bridge", false)]
    #[case::bond_port("eth1", "", "bond", false)]
    #[case::port_of_an_old_kernel("eth1", "", "?", false)]
    #[case::in_a_vrf("eth1", "", "vrf", true)]
    #[case::container_end("veth12", "veth", "", false)]
    #[case::tunnel("tun0", "tun", "", false)]
    #[case::vpn("wg0", "wireguard", "", false)]
    #[case::docker("docker0", "bridge", "", false)]
    #[case::docker_network("br-0123456789ab", "bridge", "", false)]
    #[case::virtual_machines("virbr0", "bridge", "", false)]
    fn by_default(#[case] name: &str, #[case] kind: &str, #[case] slave_kind: &str, #[case] reported: bool) {
        assert_eq!(Selection::default().takes(&link(name, kind, slave_kind)), reported);
    }

    #[rstest]
    #[case("veth*", "veth12", true)]
    #[case("eth0,wlan?", "wlan1", true)]
    #[case("eth0,wlan?", "eth1", false)]
    #[case("lo", "lo", true)]
    fn by_pattern(#[case] patterns: &str, #[case] name: &str, #[case] reported: bool) {
        let link = Link { flags: IFF_UP | IFF_LOOPBACK, ..link(name, "veth", "") };
        assert_eq!(Selection::new(Glob::list(patterns)).takes(&link), reported);
    }

    #[test]
    fn loopback_and_what_is_down_is_left_out() {
        let mut interfaces = Interfaces::default();
        interfaces.add_link(Link { index: 1, flags: IFF_UP | IFF_LOOPBACK, ..link("lo", "", "") });
        interfaces.add_link(Link { index: 2, flags: 0, ..link("eth1", "", "") });
        interfaces.add_link(Link { index: 3, ..link("eth0", "", "") });
        let selection = Selection::default();
        let names: Vec<_> = interfaces
            .reported(&selection, |_| LinkMode::default())
            .into_iter()
            .map(|network| network.name)
            .collect();
        assert_eq!(names, ["eth0"]);
    }

    fn address(index: u32, last: u8) -> Address {
        Address { index, ip: Ipv4Addr::new(192, 168, 1, last), prefix: 24 }
    }

    #[test]
    fn the_first_address_and_the_best_route_count() {
        let mut interfaces = Interfaces::default();
        interfaces.add_link(link("eth0", "", ""));
        interfaces.add_link(Link { index: 3, ..link("wlan0", "", "") });
        interfaces.add_address(address(2, 5));
        interfaces.add_address(address(2, 6));
        for (metric, last) in [(600, 9), (100, 1), (200, 7)] {
            interfaces.add_route(Route { metric, gateway: Some(Ipv4Addr::new(192, 168, 1, last)) });
        }
        let selection = Selection::default();
        let reported = interfaces.reported(&selection, |_| LinkMode { speed: 100, duplex: Duplex::Full });
        let expected = Network {
            name: "eth0".into(),
            speed: 100,
            duplex: Duplex::Full,
            ip: Some(Ipv4Addr::new(192, 168, 1, 5)),
            netmask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            gateway: Some(Ipv4Addr::new(192, 168, 1, 1)),
            stat: InterfaceStat::default(),
        };
        let without_address = Network { name: "wlan0".into(), ..Network::default() };
        assert_eq!(reported, [expected, without_address]);
    }

    #[test]
    fn each_counter_has_its_field() {
        let stats = Stats {
            rx_packets: 1,
            tx_packets: 2,
            rx_bytes: 3,
            tx_bytes: 4,
            rx_errors: 5,
            tx_errors: 6,
            rx_dropped: 70,
            multicast: 8,
            rx_missed_errors: 7,
        };
        let expected = InterfaceStat {
            received_bytes: 3,
            received_discard_packets: 77,
            received_error_packets: 5,
            received_multicast_packets: 8,
            received_total_packets: 1,
            sent_bytes: 4,
            sent_error_packets: 6,
            sent_total_packets: 2,
        };
        assert_eq!(InterfaceStat::from(stats), expected);
    }

    #[rstest]
    #[case(0, "0.0.0.0")]
    #[case(8, "255.0.0.0")]
    #[case(23, "255.255.254.0")]
    #[case(32, "255.255.255.255")]
    fn netmasks(#[case] prefix: u8, #[case] mask: &str) {
        assert_eq!(netmask(prefix).to_string(), mask);
    }

    #[test]
    fn the_box_is_known_by_its_first_ethernet() {
        let mut interfaces = Interfaces::default();
        assert_eq!(interfaces.box_mac(), None);
        let mac = |last: u8| Some([2, 0, 0, 0, 0, last]);
        interfaces.add_link(Link { index: 1, flags: IFF_LOOPBACK, mac: Some([0; 6]), ..link("lo", "", "") });
        interfaces.add_link(Link { index: 2, mac: mac(2), ..link("br0", "bridge", "") });
        assert_eq!(interfaces.box_mac(), mac(2));
        interfaces.add_link(Link { index: 3, mac: mac(3), ..link("wlan0", "", "") });
        assert_eq!(interfaces.box_mac(), mac(3));
        interfaces.add_link(Link { index: 4, mac: mac(4), ..link("eth0", "", "") });
        assert_eq!(interfaces.box_mac(), mac(4));
    }

    #[test]
    fn changes_are_told() {
        let mut before = Interfaces::default();
        before.add_link(Link { flags: 0, ..link("eth0", "", "") });
        before.add_link(Link { index: 3, ..link("wlan0", "", "") });
        let mut after = Interfaces::default();
        after.add_link(link("lan0", "", ""));
        after.add_link(Link { index: 4, ..link("ppp0", "", "") });
        after.add_address(address(2, 5));
        after.add_route(Route { metric: 0, gateway: Some(Ipv4Addr::new(192, 168, 1, 1)) });
        assert_eq!(
            after.changes_since(&before),
            [
                "interface eth0 is now named lan0",
                "interface lan0 is up",
                "interface lan0 has address 192.168.1.5",
                "interface ppp0 is there, up",
                "interface wlan0 is gone",
                "the default route leads over 192.168.1.1",
            ]
        );
        assert_eq!(after.changes_since(&after), Vec::<String>::new());
    }
}
