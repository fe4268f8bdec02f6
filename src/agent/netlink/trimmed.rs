//! A socket that hands on only the attributes that are read here.
//!
//! One attribute of an unexpected shape makes the decoder refuse the whole message, and with it the interface:
//! a nested one that a vendor numbered for himself, a number that has become wider, an alias that is no UTF-8
//! (IFLA_IFALIAS holds any bytes). A link is told with about sixty attributes, and five are read.

use std::io;
use std::task::{Context, Poll};

use bytes::BufMut;
use netlink_packet_core::{DefaultNla, Emitable, NetlinkBuffer, NlasIterator};
use nix::libc;
use rtnetlink::sys::{AsyncSocket, Socket, SocketAddr, TokioSocket};

/// The kernel makes no datagram longer than 32 KiB (NLMSG_GOODSIZE, and since Linux 4.9 what a dump may grow to).
const DATAGRAM: usize = 64 * 1024;

/// `struct nlmsghdr` (linux/netlink.h).
const HEADER: usize = 16;

/// The sizes of what stands before the attributes: `struct ifinfomsg`, `ifaddrmsg` and `rtmsg`.
const LINK: usize = 16;
const ADDRESS: usize = 8;
const ROUTE: usize = 12;

/// An attribute that is read.
struct Wanted {
    kind: u16,
    shape: Shape,
}

/// What the value of an attribute must be to be handed on.
enum Shape {
    /// The decoder takes any length.
    Any,
    Bytes(&'static [usize]),
    /// Text up to a NUL; what is no UTF-8 is replaced.
    Text,
    Nest(&'static [Wanted]),
}

const IN_LINK: &[Wanted] = &[
    Wanted { kind: libc::IFLA_IFNAME, shape: Shape::Text },
    Wanted { kind: libc::IFLA_ADDRESS, shape: Shape::Any },
    Wanted { kind: libc::IFLA_MASTER, shape: Shape::Bytes(&[4]) },
    Wanted { kind: libc::IFLA_LINKINFO, shape: Shape::Nest(IN_LINKINFO) },
    Wanted { kind: libc::IFLA_STATS64, shape: Shape::Any },
];
const IN_LINKINFO: &[Wanted] = &[
    Wanted { kind: libc::IFLA_INFO_KIND, shape: Shape::Text },
    Wanted { kind: libc::IFLA_INFO_SLAVE_KIND, shape: Shape::Text },
];
const IN_ADDRESS: &[Wanted] = &[
    Wanted { kind: libc::IFA_ADDRESS, shape: Shape::Bytes(&[4, 16]) },
    Wanted { kind: libc::IFA_LOCAL, shape: Shape::Bytes(&[4, 16]) },
];
const IN_ROUTE: &[Wanted] = &[
    Wanted { kind: libc::RTA_GATEWAY, shape: Shape::Bytes(&[4, 16]) },
    Wanted { kind: libc::RTA_PRIORITY, shape: Shape::Bytes(&[4]) },
    Wanted { kind: libc::RTA_TABLE, shape: Shape::Bytes(&[4]) },
    Wanted { kind: libc::RTA_MULTIPATH, shape: Shape::Any },
];

/// A socket to the kernel, to be polled by tokio.
pub(super) struct Trimmed(TokioSocket);

// === impl Trimmed ===

impl AsyncSocket for Trimmed {
    fn socket_ref(&self) -> &Socket {
        self.0.socket_ref()
    }

    fn socket_mut(&mut self) -> &mut Socket {
        self.0.socket_mut()
    }

    fn new(protocol: isize) -> io::Result<Self> {
        TokioSocket::new(protocol).map(Self)
    }

    fn poll_send(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.0.poll_send(cx, buf)
    }

    fn poll_send_to(&self, cx: &mut Context<'_>, buf: &[u8], addr: &SocketAddr) -> Poll<io::Result<usize>> {
        self.0.poll_send_to(cx, buf, addr)
    }

    fn poll_recv<B: BufMut>(&self, cx: &mut Context<'_>, buf: &mut B) -> Poll<io::Result<()>> {
        self.poll_recv_from(cx, buf).map_ok(|_| ())
    }

    fn poll_recv_from<B: BufMut>(&self, cx: &mut Context<'_>, buf: &mut B) -> Poll<io::Result<SocketAddr>> {
        self.poll_recv_from_full(cx).map_ok(|(datagram, address)| {
            buf.put_slice(&datagram);
            address
        })
    }

    fn poll_recv_from_full(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Vec<u8>, SocketAddr)>> {
        let mut datagram = Vec::with_capacity(DATAGRAM);
        self.0.poll_recv_from(cx, &mut datagram).map_ok(|address| (trim(&datagram), address))
    }
}

/// The same messages with the wanted attributes alone.
pub(super) fn trim(mut datagram: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(datagram.len());
    while let Ok(message) = NetlinkBuffer::new_checked(datagram) {
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
        out.extend(trim_message(datagram.get(..length).unwrap_or_default(), message.message_type()));
        out.resize(out.len().next_multiple_of(4), 0);
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    out
}

fn trim_message(message: &[u8], kind: u16) -> Vec<u8> {
    let (fixed, wanted) = match kind {
        libc::RTM_NEWLINK | libc::RTM_DELLINK => (LINK, IN_LINK),
        libc::RTM_NEWADDR | libc::RTM_DELADDR => (ADDRESS, IN_ADDRESS),
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => (ROUTE, IN_ROUTE),
        _ => return message.to_vec(),
    };
    let Some((head, attributes)) = message.split_at_checked(HEADER + fixed) else { return message.to_vec() };
    let mut out = head.to_vec();
    out.extend(trim_attributes(attributes, wanted));
    let length = u32::try_from(out.len()).unwrap_or(u32::MAX);
    NetlinkBuffer::new(&mut out).set_length(length);
    out
}

/// What is malformed ends the list.
fn trim_attributes(attributes: &[u8], wanted: &[Wanted]) -> Vec<u8> {
    let kept: Vec<_> = NlasIterator::new(attributes)
        .map_while(Result::ok)
        .filter_map(|attribute| {
            let wanted = wanted.iter().find(|wanted| wanted.kind == attribute.kind())?;
            Some(DefaultNla::new(wanted.kind, wanted.shape.fit(attribute.value())?))
        })
        .collect();
    let kept = kept.as_slice();
    let mut out = vec![0; kept.buffer_len()];
    kept.emit(&mut out);
    out
}

// === impl Shape ===

impl Shape {
    fn fit(&self, value: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Any => Some(value.to_vec()),
            Self::Bytes(lengths) => lengths.contains(&value.len()).then(|| value.to_vec()),
            Self::Text => {
                let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
                let mut text = String::from_utf8_lossy(text).into_owned().into_bytes();
                text.push(0);
                Some(text)
            }
            Self::Nest(wanted) => Some(trim_attributes(value, wanted)),
        }
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
    use netlink_packet_route::RouteNetlinkMessage;
    use netlink_packet_route::link::{LinkAttribute, LinkInfo, LinkMessage};
    use rstest::rstest;

    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let attribute = DefaultNla::new(kind, value.to_vec());
        let mut out = vec![0; attribute.buffer_len()];
        attribute.emit(&mut out);
        out
    }

    fn message(kind: u16, fixed: usize, attributes: &[u8]) -> Vec<u8> {
        let mut out = vec![0; HEADER + fixed];
        out.extend(attributes);
        let length = u32::try_from(out.len()).unwrap();
        let mut buffer = NetlinkBuffer::new(&mut out);
        buffer.set_length(length);
        buffer.set_message_type(kind);
        out
    }

    fn decode(bytes: &[u8]) -> Option<RouteNetlinkMessage> {
        match NetlinkMessage::deserialize(bytes).ok()?.payload {
            NetlinkPayload::InnerMessage(message) => Some(message),
            other => panic!("{other:?}"),
        }
    }

    fn link(message: RouteNetlinkMessage) -> LinkMessage {
        match message {
            RouteNetlinkMessage::NewLink(link) => link,
            other => panic!("{other:?}"),
        }
    }

    /// A link whose kernel tells one more thing than any kernel of today.
    fn link_with(extra: &[u8]) -> Vec<u8> {
        let stats: Vec<u8> = (0..25_u64).flat_map(u64::to_ne_bytes).collect();
        let bytes =
            [attribute(libc::IFLA_IFNAME, b"eth0\0"), extra.to_vec(), attribute(libc::IFLA_STATS64, &stats)];
        message(libc::RTM_NEWLINK, LINK, &bytes.concat())
    }

    /// The second column says whether the decoder alone would have kept the interface.
    #[rstest]
    #[case::unknown_attribute(attribute(4242, &[1, 2, 3]), true)]
    #[case::unknown_nest(attribute(4242 | 0x8000, &attribute(1, &[1])), true)]
    #[case::wider_number(attribute(libc::IFLA_MTU, &[0; 8]), false)]
    #[case::narrower_number(attribute(libc::IFLA_GROUP, &[0; 2]), false)]
    #[case::alias_in_latin_1(attribute(libc::IFLA_IFALIAS, b"Fernsehger\xe4t\0"), false)]
    #[case::vendor_took_a_number(attribute(libc::IFLA_XDP, &[1]), false)]
    #[case::families_in_another_shape(attribute(libc::IFLA_AF_SPEC, &attribute(2, &[0; 3])), false)]
    #[case::wider_number_in_a_nest(
        attribute(
            libc::IFLA_LINKINFO,
            &[
                attribute(libc::IFLA_INFO_KIND, b"vlan\0"),
                attribute(libc::IFLA_INFO_DATA, &attribute(1, &[0; 8])),
            ]
            .concat()
        ),
        false
    )]
    #[case::master_of_another_width(attribute(libc::IFLA_MASTER, &[0; 8]), false)]
    fn no_attribute_costs_an_interface(#[case] extra: Vec<u8>, #[case] alone: bool) {
        let bytes = link_with(&extra);
        assert_eq!(decode(&bytes).is_some(), alone);
        let link = link(decode(&trim(&bytes)).unwrap());
        let name = link.attributes.iter().any(|known| *known == LinkAttribute::IfName("eth0".into()));
        let stats = link.attributes.iter().any(
            |known| matches!(known, LinkAttribute::Stats64(stats) if stats.multicast == 8 && stats.rx_missed_errors == 15),
        );
        assert!(name && stats, "{link:?}");
    }

    #[rstest]
    #[case::linux_3(23)]
    #[case::linux_6(25)]
    #[case::one_that_counts_more(40)]
    fn counters_of_any_kernel(#[case] fields: u64) {
        let stats: Vec<u8> = (0..fields).flat_map(u64::to_ne_bytes).collect();
        let bytes = message(libc::RTM_NEWLINK, LINK, &attribute(libc::IFLA_STATS64, &stats));
        let link = link(decode(&trim(&bytes)).unwrap());
        let [LinkAttribute::Stats64(stats)] = link.attributes.as_slice() else { panic!("{link:?}") };
        assert_eq!((stats.rx_packets, stats.tx_errors, stats.rx_missed_errors), (0, 5, 15));
    }

    #[test]
    fn a_name_of_any_bytes_is_a_name() {
        let bytes = message(libc::RTM_NEWLINK, LINK, &attribute(libc::IFLA_IFNAME, b"et\xe40\0"));
        assert!(decode(&bytes).is_none());
        let link = link(decode(&trim(&bytes)).unwrap());
        assert_eq!(link.attributes, [LinkAttribute::IfName("et\u{fffd}0".into())]);
    }

    #[test]
    fn what_a_link_is_stays() {
        let info = [
            attribute(libc::IFLA_INFO_KIND, b"vlan\0"),
            attribute(libc::IFLA_INFO_DATA, &[0xff; 40]),
            attribute(libc::IFLA_INFO_SLAVE_KIND, b"bridge\0"),
        ];
        let nest = attribute(libc::IFLA_LINKINFO | 0x8000, &info.concat());
        let link = link(decode(&trim(&message(libc::RTM_NEWLINK, LINK, &nest))).unwrap());
        let [LinkAttribute::LinkInfo(info)] = link.attributes.as_slice() else { panic!("{link:?}") };
        let [LinkInfo::Kind(kind), LinkInfo::PortKind(port)] = info.as_slice() else { panic!("{info:?}") };
        assert_eq!((kind.to_string().as_str(), port.to_string().as_str()), ("vlan", "bridge"));
    }

    #[test]
    fn each_message_of_a_datagram_is_trimmed() {
        let datagram = [
            link_with(&attribute(libc::IFLA_MTU, &[0; 8])),
            message(libc::RTM_NEWADDR, ADDRESS, &attribute(libc::IFA_LOCAL, &[10, 0, 0, 1])),
            message(libc::RTM_NEWNEIGH, 12, &attribute(1, &[1; 8])),
            vec![0xff; 5],
        ]
        .concat();
        let trimmed = trim(&datagram);
        let mut rest = trimmed.as_slice();
        let mut kinds = Vec::new();
        while let Ok(message) = NetlinkBuffer::new_checked(rest) {
            kinds.push(message.message_type());
            assert!(decode(rest).is_some());
            rest = &rest[message.length() as usize..];
        }
        assert_eq!(kinds, [libc::RTM_NEWLINK, libc::RTM_NEWADDR, libc::RTM_NEWNEIGH]);
        assert_eq!(rest, [0_u8; 0]);
    }

    #[test]
    fn no_prefix_of_a_datagram_panics() {
        let datagram =
            link_with(&attribute(libc::IFLA_LINKINFO, &attribute(libc::IFLA_INFO_KIND, b"vlan\0")));
        for length in 0..datagram.len() {
            let mut cut = datagram[..length].to_vec();
            assert!(trim(&cut).is_empty(), "the header promises more than {length} bytes");
            if length >= HEADER {
                NetlinkBuffer::new(&mut cut).set_length(u32::try_from(length).unwrap());
                let _ = decode(&trim(&cut));
            }
        }
    }
}
