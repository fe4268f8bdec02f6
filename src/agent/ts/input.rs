//! Where the stream comes from.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::socket::Socket;
use crate::cli::Failure;

/// What the user named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    Stdin,
    Network { is_rtp: bool, address: SocketAddr, interface: Option<String> },
}

/// The same, open.
#[derive(Debug)]
pub(super) struct Input {
    from: From,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum From {
    File(File),
    Stdin(io::Stdin),
    Network(Socket),
}

/// What there is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'i> {
    /// Of a file any number, of the network a datagram's.
    Bytes(&'i [u8]),
    /// For the moment.
    Nothing,
    End,
}

/// Bytes read at once. No datagram is longer.
const BUFFER: usize = 1 << 16;

/// How long is waited before the caller has a chance to end it, in ms.
const PATIENCE: u8 = 100;

// === impl Source ===

impl Source {
    pub(super) fn parse(text: &OsStr, interface: Option<String>) -> Result<Self, Failure> {
        if text == "-" {
            return Self::local(Self::Stdin, interface);
        }
        let Some((scheme, rest)) = text.to_str().and_then(|text| text.split_once("://")) else {
            return Self::local(Self::File(text.into()), interface);
        };
        let is_rtp = match scheme {
            "udp" => false,
            "rtp" => true,
            _ => return Err(Failure::usage(format!("{scheme}:// is not read; there are udp:// and rtp://"))),
        };
        let wrong = || {
            Failure::usage(format!(
                "{scheme}://{rest} is no address and port, such as {scheme}://@239.1.1.1:5000 or {scheme}://@:5000"
            ))
        };
        let place = rest.trim_start_matches('@').trim_end_matches('/');
        let address = match place.strip_prefix(':') {
            Some(port) => {
                (IpAddr::V4(Ipv4Addr::UNSPECIFIED), port.parse::<u16>().map_err(|_| wrong())?).into()
            }
            None => place.parse::<SocketAddr>().map_err(|_| wrong())?,
        };
        if address.port() == 0 {
            return Err(wrong());
        }
        if interface.is_some() && !address.ip().is_multicast() {
            return Err(Failure::usage(format!(
                "--interface is for multicast groups; {} is none",
                address.ip()
            )));
        }
        Ok(Self::Network { is_rtp, address, interface })
    }

    fn local(source: Self, interface: Option<String>) -> Result<Self, Failure> {
        match interface {
            Some(_) => Err(Failure::usage("--interface is for multicast groups")),
            None => Ok(source),
        }
    }

    pub(super) const fn is_network(&self) -> bool {
        matches!(self, Self::Network { .. })
    }

    pub(super) const fn is_rtp(&self) -> bool {
        matches!(self, Self::Network { is_rtp: true, .. })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Stdin => f.write_str("standard input"),
            Self::Network { is_rtp: false, address, .. } => write!(f, "udp://{address}"),
            Self::Network { is_rtp: true, address, .. } => write!(f, "rtp://{address}"),
        }
    }
}

// === impl Input ===

impl Input {
    pub(super) fn open(source: &Source) -> Result<Self, Failure> {
        let cannot = |error: io::Error| Failure::input(format!("{source}: {error}"));
        let from = match source {
            Source::File(path) => From::File(File::open(path).map_err(cannot)?),
            Source::Stdin => From::Stdin(io::stdin()),
            Source::Network { address, interface, .. } => {
                From::Network(Socket::open(*address, interface.as_deref()).map_err(cannot)?)
            }
        };
        Ok(Self { from, buffer: vec![0; BUFFER] })
    }

    /// Waits for more, for a moment.
    pub(super) fn next(&mut self) -> io::Result<Piece<'_>> {
        let Self { from, buffer } = self;
        let read = match from {
            From::File(file) => file.read(buffer),
            From::Stdin(stdin) => {
                if !is_ready(&*stdin)? {
                    return Ok(Piece::Nothing);
                }
                stdin.lock().read(buffer)
            }
            From::Network(socket) => {
                if !is_ready(&*socket)? {
                    return Ok(Piece::Nothing);
                }
                let length = socket.receive(buffer)?;
                return Ok(length.map_or(Piece::Nothing, |length| {
                    Piece::Bytes(buffer.get(..length).unwrap_or_default())
                }));
            }
        };
        match read {
            Ok(0) => Ok(Piece::End),
            Ok(length) => Ok(Piece::Bytes(buffer.get(..length).unwrap_or_default())),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Piece::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Datagrams that arrived and were dropped, for this program was too slow to read them.
    pub(super) const fn overflows(&self) -> u64 {
        match &self.from {
            From::Network(socket) => socket.overflows(),
            From::File(_) | From::Stdin(_) => 0,
        }
    }
}

fn is_ready(what: &impl AsFd) -> io::Result<bool> {
    match poll(&mut [PollFd::new(what.as_fd(), PollFlags::POLLIN)], PollTimeout::from(PATIENCE)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::file("a:b.ts", "a:b.ts")]
    #[case::stdin("-", "standard input")]
    #[case::group("udp://@239.1.1.1:5000", "udp://239.1.1.1:5000")]
    #[case::without_at("udp://239.1.1.1:5000/", "udp://239.1.1.1:5000")]
    #[case::any("rtp://@:5004", "rtp://0.0.0.0:5004")]
    #[case::six("udp://@[ff15::1]:5000", "udp://[ff15::1]:5000")]
    fn what_is_read(#[case] text: &str, #[case] name: &str) {
        assert_eq!(Source::parse(OsStr::new(text), None).unwrap().to_string(), name);
    }

    #[rstest]
    #[case::scheme("http://h/", None, "http:// is not read")]
    #[case::no_port("udp://239.1.1.1", None, "no address and port")]
    #[case::name("udp://example.net:5000", None, "no address and port")]
    #[case::port_zero("udp://@:0", None, "no address and port")]
    #[case::interface_of_a_file("a.ts", Some("eth0"), "multicast")]
    #[case::interface_of_one_host("udp://127.0.0.1:5000", Some("eth0"), "127.0.0.1 is none")]
    fn what_is_not(#[case] text: &str, #[case] interface: Option<&str>, #[case] part: &str) {
        let failure = Source::parse(OsStr::new(text), interface.map(str::to_owned)).unwrap_err();
        assert_eq!(failure.code, crate::cli::USAGE);
        assert!(failure.message.contains(part), "{}", failure.message);
    }
}
