//! Speed and duplex of a link: ethtool over generic netlink (linux/ethtool_netlink.h, since Linux 5.6), and where
//! that knows nothing, `/sys/class/net/NAME/speed` and `duplex`.
//!
//! A link that is down, and most wireless ones, have neither; that is no error.

use std::io;
use std::path::Path;

use stbeacon_core::stb::Duplex;

use super::attributes::{attributes, push, u8_at, u16_at, u32_at};
use super::messages::Request;
use super::socket::Socket;

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
const NLA_F_NESTED: u16 = 0x8000;

/// `struct genlmsghdr`: command, version, two bytes reserved.
const GENL_HEADER: usize = 4;

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
#[derive(Debug)]
pub(crate) struct LinkModes {
    /// The socket and the number that this boot's kernel gave the family; `None` where it has none.
    ethtool: Option<(Socket, u16)>,
}

// === impl LinkModes ===

impl LinkModes {
    /// Finds out whether the kernel speaks ethtool over netlink.
    pub(crate) fn open() -> Self {
        let ethtool = Socket::generic().and_then(|mut socket| {
            let family = resolve(&mut socket)?;
            Ok((socket, family))
        });
        if let Err(error) = &ethtool {
            log::debug!("no ethtool over netlink ({error}); link speeds come from /sys/class/net");
        }
        Self { ethtool: ethtool.ok() }
    }

    /// What the link of this name runs at.
    pub(crate) fn mode(&mut self, name: &str) -> LinkMode {
        let asked = self.ethtool.as_mut().and_then(|(socket, family)| ask(socket, *family, name).ok());
        asked.filter(|mode| mode.speed != 0).unwrap_or_else(|| from_sysfs(Path::new("/sys/class/net"), name))
    }
}

fn resolve(socket: &mut Socket) -> io::Result<u16> {
    let mut payload = vec![CTRL_CMD_GETFAMILY, 1, 0, 0];
    push(&mut payload, CTRL_ATTR_FAMILY_NAME, b"ethtool\0");
    let mut family = None;
    socket.ask(&Request { kind: GENL_ID_CTRL, payload }, |_, payload| {
        family = attributes(payload.get(GENL_HEADER..).unwrap_or_default())
            .find(|(kind, _)| *kind == CTRL_ATTR_FAMILY_ID)
            .and_then(|(_, value)| u16_at(value, 0));
    })?;
    family.ok_or_else(|| io::Error::other("the kernel names no number for the ethtool family"))
}

fn ask(socket: &mut Socket, family: u16, name: &str) -> io::Result<LinkMode> {
    let mut mode = LinkMode::default();
    socket.ask(&Request { kind: family, payload: link_modes_request(name) }, |_, payload| {
        mode = parse_link_modes(payload);
    })?;
    Ok(mode)
}

fn link_modes_request(name: &str) -> Vec<u8> {
    let mut header = Vec::new();
    push(&mut header, ETHTOOL_A_HEADER_DEV_NAME, format!("{name}\0").as_bytes());
    // Without it the answer spells out the name of every mode there is.
    push(&mut header, ETHTOOL_A_HEADER_FLAGS, &ETHTOOL_FLAG_COMPACT_BITSETS.to_ne_bytes());
    let mut payload = vec![ETHTOOL_MSG_LINKMODES_GET, 1, 0, 0];
    push(&mut payload, ETHTOOL_A_LINKMODES_HEADER | NLA_F_NESTED, &header);
    payload
}

fn parse_link_modes(payload: &[u8]) -> LinkMode {
    let mut mode = LinkMode::default();
    for (kind, value) in attributes(payload.get(GENL_HEADER..).unwrap_or_default()) {
        match kind {
            ETHTOOL_A_LINKMODES_SPEED => {
                mode.speed = u32_at(value, 0).filter(|speed| *speed != SPEED_UNKNOWN).unwrap_or(0);
            }
            ETHTOOL_A_LINKMODES_DUPLEX => mode.duplex = duplex(u8_at(value, 0) == Some(DUPLEX_FULL)),
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
        let mut payload = vec![ETHTOOL_MSG_LINKMODES_GET, 1, 0, 0];
        push(&mut payload, ETHTOOL_A_LINKMODES_SPEED, &speed.to_ne_bytes());
        push(&mut payload, ETHTOOL_A_LINKMODES_DUPLEX, &[duplex]);
        assert_eq!(parse_link_modes(&payload), mode);
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
