//! Speed and duplex of a link: ethtool over generic netlink (linux/ethtool_netlink.h, since Linux 5.6), and where
//! that knows nothing, `/sys/class/net/NAME/speed` and `duplex`.
//!
//! A link that is down, and most wireless ones, have neither; that is no error.

use std::path::Path;
use std::{fmt, io};

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader,
    NetlinkMessage, NetlinkPayload, NetlinkSerializable, NlaBuffer, NlasIterator, parse_u16, parse_u32,
};
use nix::libc;
use rtnetlink::sys::protocols::NETLINK_GENERIC;
use rtnetlink::sys::{Socket, SocketAddr};
use stbeacon_core::stb::Duplex;

/// The family that knows all families (linux/genetlink.h).
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;

const ETHTOOL_MSG_LINKMODES_GET: u8 = 4;
const ETHTOOL_A_LINKMODES_HEADER: u16 = 1;
const ETHTOOL_A_LINKMODES_SPEED: u16 = 5;
const ETHTOOL_A_LINKMODES_DUPLEX: u16 = 6;
const ETHTOOL_A_HEADER_DEV_NAME: u16 = 2;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
const ETHTOOL_FLAG_COMPACT_BITSETS: u32 = 1;

/// `struct genlmsghdr`: command, version, two bytes reserved.
const GENL_HEADER: usize = 4;

/// The kernel makes no answer longer than 32 KiB.
const DATAGRAM: usize = 32 * 1024;

/// SPEED_UNKNOWN is all ones (linux/ethtool.h).
const SPEED_UNKNOWN: u32 = u32::MAX;
const DUPLEX_FULL: u8 = 1;

/// What a link runs at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LinkMode {
    /// In Mbit/s; 0 while unknown.
    pub(crate) speed: u32,
    /// Half while unknown.
    pub(crate) duplex: Duplex,
}

/// Asks for [`LinkMode`]s.
pub(crate) struct LinkModes {
    /// `None` where the kernel does not speak ethtool over netlink.
    ethtool: Option<Ethtool>,
}

/// A socket to the generic families.
struct Ethtool {
    socket: Socket,
    sequence: u32,
    /// The number that this boot's kernel gave the family.
    family: u16,
}

/// A message of a generic family: header and attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Generic {
    family: u16,
    command: u8,
    attributes: Vec<u8>,
}

// === impl LinkModes ===

impl LinkModes {
    /// Finds out whether the kernel speaks ethtool over netlink.
    pub(crate) fn open() -> Self {
        let ethtool = Ethtool::open();
        if let Err(error) = &ethtool {
            log::debug!("no ethtool over netlink ({error}); link speeds come from /sys/class/net");
        }
        Self { ethtool: ethtool.ok() }
    }

    /// What the link of this name runs at. The answer is there at once.
    pub(crate) fn mode(&mut self, name: &str) -> LinkMode {
        let asked = self.ethtool.as_mut().and_then(|ethtool| ethtool.mode(name).ok());
        asked.filter(|mode| mode.speed != 0).unwrap_or_else(|| from_sysfs(Path::new("/sys/class/net"), name))
    }
}

impl fmt::Debug for LinkModes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkModes").field("ethtool", &self.ethtool.is_some()).finish()
    }
}

// === impl Ethtool ===

impl Ethtool {
    fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_GENERIC)?;
        socket.bind_auto()?;
        let mut ethtool = Self { socket, sequence: 0, family: 0 };
        let name = attribute(CTRL_ATTR_FAMILY_NAME, b"ethtool\0".to_vec());
        let answer = ethtool.ask(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, name)?;
        ethtool.family = attributes(&answer.attributes)
            .find(|attribute| attribute.kind() == CTRL_ATTR_FAMILY_ID)
            .and_then(|attribute| parse_u16(attribute.value()).ok())
            .ok_or_else(|| io::Error::other("the kernel names no number for the ethtool family"))?;
        Ok(ethtool)
    }

    fn mode(&mut self, name: &str) -> io::Result<LinkMode> {
        let answer = self.ask(self.family, ETHTOOL_MSG_LINKMODES_GET, link_modes_request(name))?;
        Ok(parse_link_modes(&answer.attributes))
    }

    /// Asks for one thing. The kernel puts the answer into the socket before it takes the question as sent:
    /// what is not there then never comes, and is not waited for.
    fn ask(&mut self, family: u16, command: u8, attributes: Vec<u8>) -> io::Result<Generic> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut request = NetlinkMessage::from(Generic { family, command, attributes });
        request.header.flags = NLM_F_REQUEST;
        request.header.sequence_number = self.sequence;
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
        loop {
            let mut bytes = Vec::with_capacity(DATAGRAM);
            self.socket.recv(&mut bytes, libc::MSG_DONTWAIT)?;
            let answer = NetlinkMessage::<Generic>::deserialize(&bytes).map_err(io::Error::other)?;
            if answer.header.sequence_number != self.sequence {
                continue;
            }
            return match answer.payload {
                NetlinkPayload::InnerMessage(answer) => Ok(answer),
                NetlinkPayload::Error(error) => Err(error.to_io()),
                _ => Err(io::Error::other("the kernel answers with neither data nor an error")),
            };
        }
    }
}

// === impl Generic ===

impl From<Generic> for NetlinkPayload<Generic> {
    fn from(message: Generic) -> Self {
        Self::InnerMessage(message)
    }
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        GENL_HEADER + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let message = [self.command, 1, 0, 0].into_iter().chain(self.attributes.iter().copied());
        for (to, from) in buffer.iter_mut().zip(message) {
            *to = from;
        }
    }
}

impl NetlinkDeserializable for Generic {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        match payload {
            [command, _version, _, _, attributes @ ..] => {
                Ok(Self { family: header.message_type, command: *command, attributes: attributes.to_vec() })
            }
            _ => Err(DecodeError::from("shorter than struct genlmsghdr")),
        }
    }
}

/// What is malformed ends the list.
fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

fn attribute(kind: u16, value: Vec<u8>) -> Vec<u8> {
    let attribute = DefaultNla::new(kind, value);
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

fn link_modes_request(name: &str) -> Vec<u8> {
    let mut header = attribute(ETHTOOL_A_HEADER_DEV_NAME, format!("{name}\0").into_bytes());
    // Without it the answer spells out the name of every mode there is.
    header.extend(attribute(ETHTOOL_A_HEADER_FLAGS, ETHTOOL_FLAG_COMPACT_BITSETS.to_ne_bytes().to_vec()));
    attribute(ETHTOOL_A_LINKMODES_HEADER | NLA_F_NESTED, header)
}

fn parse_link_modes(bytes: &[u8]) -> LinkMode {
    let mut mode = LinkMode::default();
    for attribute in attributes(bytes) {
        match attribute.kind() {
            ETHTOOL_A_LINKMODES_SPEED => {
                let speed = parse_u32(attribute.value()).ok();
                mode.speed = speed.filter(|speed| *speed != SPEED_UNKNOWN).unwrap_or(0);
            }
            ETHTOOL_A_LINKMODES_DUPLEX => mode.duplex = duplex(attribute.value() == [DUPLEX_FULL]),
            _ => {}
        }
    }
    mode.known()
}

/// The files say -1, or cannot be read at all, where the driver does not know (sysfs-class-net).
fn from_sysfs(class: &Path, name: &str) -> LinkMode {
    let read = |file: &str| std::fs::read_to_string(class.join(name).join(file)).unwrap_or_default();
    let speed = read("speed").trim().parse().unwrap_or(0);
    LinkMode { speed, duplex: duplex(read("duplex").trim() == "full") }.known()
}

const fn duplex(is_full: bool) -> Duplex {
    if is_full { Duplex::Full } else { Duplex::Half }
}

impl LinkMode {
    /// A duplex without a speed is left over from before the cable was pulled.
    fn known(self) -> Self {
        if self.speed == 0 { Self::default() } else { self }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::gigabit(1000, 1, LinkMode { speed: 1000, duplex: Duplex::Full })]
    #[case::half(10, 0, LinkMode { speed: 10, duplex: Duplex::Half })]
    #[case::duplex_unknown(100, 0xff, LinkMode { speed: 100, duplex: Duplex::Half })]
    #[case::link_down(u32::MAX, 0xff, LinkMode::default())]
    #[case::stale_duplex(u32::MAX, 1, LinkMode::default())]
    fn link_modes(#[case] speed: u32, #[case] duplex: u8, #[case] mode: LinkMode) {
        let attributes = [
            attribute(ETHTOOL_A_LINKMODES_SPEED, speed.to_ne_bytes().to_vec()),
            attribute(4242, vec![1, 2, 3]),
            attribute(ETHTOOL_A_LINKMODES_DUPLEX, vec![duplex]),
        ];
        assert_eq!(parse_link_modes(&attributes.concat()), mode);
    }

    #[test]
    fn messages_are_framed_for_the_kernel() {
        let sent = Generic { family: 21, command: 4, attributes: link_modes_request("eth0") };
        let mut message = NetlinkMessage::from(sent.clone());
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        let expected: &[&[u8]] = &[
            &44_u32.to_ne_bytes(),
            &21_u16.to_ne_bytes(),
            &[0; 10],
            &[4, 1, 0, 0],
            &24_u16.to_ne_bytes(),
            &0x8001_u16.to_ne_bytes(),
            &9_u16.to_ne_bytes(),
            &2_u16.to_ne_bytes(),
            b"eth0\0\0\0\0",
            &8_u16.to_ne_bytes(),
            &3_u16.to_ne_bytes(),
            &1_u32.to_ne_bytes(),
        ];
        // The last attribute is within the nest.
        assert_eq!(bytes, expected.concat());
        let read = NetlinkMessage::<Generic>::deserialize(&bytes).unwrap();
        assert_eq!(read.payload, NetlinkPayload::InnerMessage(sent));
    }

    #[rstest]
    #[case::gigabit(Some("1000\n"), Some("full\n"), LinkMode { speed: 1000, duplex: Duplex::Full })]
    #[case::down(Some("-1\n"), Some("unknown\n"), LinkMode::default())]
    #[case::unreadable(None, None, LinkMode::default())]
    #[case::stale_duplex(Some("-1\n"), Some("full\n"), LinkMode::default())]
    fn sysfs(#[case] speed: Option<&str>, #[case] duplex: Option<&str>, #[case] mode: LinkMode) {
        let class = tempfile::tempdir().unwrap();
        std::fs::create_dir(class.path().join("eth0")).unwrap();
        for (file, text) in [("speed", speed), ("duplex", duplex)] {
            if let Some(text) = text {
                std::fs::write(class.path().join("eth0").join(file), text).unwrap();
            }
        }
        assert_eq!(from_sysfs(class.path(), "eth0"), mode);
    }
}
