//! A socket that datagrams of a stream come to.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockType, SockaddrStorage, bind, recvmsg,
    setsockopt, socket, sockopt,
};

/// Asked of the kernel, which gives as much as it may: two seconds of 16 Mbit/s.
const RECEIVE_BUFFER: usize = 4 << 20;

/// It, and what the kernel says of it.
#[derive(Debug)]
pub(super) struct Socket {
    socket: UdpSocket,
    /// Room for what comes along with a datagram.
    control: Vec<u8>,
    /// Datagrams dropped, modulo 2³².
    overflows: u32,
}

// === impl Socket ===

impl Socket {
    /// Binds to the address; joins it if it is a multicast group.
    pub(super) fn open(address: SocketAddr, interface: Option<&str>) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(family, SockType::Datagram, flags, None)?;
        // A group may be listened to by several.
        if address.ip().is_multicast() {
            setsockopt(&fd, sockopt::ReuseAddr, &true)?;
        }
        setsockopt(&fd, sockopt::RcvBuf, &RECEIVE_BUFFER)?;
        setsockopt(&fd, sockopt::RxqOvfl, &1)?;
        bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
        let socket = UdpSocket::from(fd);
        match address.ip() {
            IpAddr::V4(group) if group.is_multicast() => {
                let own = interface.map_or(Ok(Ipv4Addr::UNSPECIFIED), address_of)?;
                socket.join_multicast_v4(&group, &own)?;
            }
            IpAddr::V6(group) if group.is_multicast() => {
                socket.join_multicast_v6(&group, interface.map_or(Ok(0), index_of)?)?;
            }
            _ => {}
        }
        Ok(Self { socket, control: nix::cmsg_space!(u32), overflows: 0 })
    }

    /// The length of the next datagram; `None` if there is none.
    pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut slices = [IoSliceMut::new(buffer)];
        let received =
            recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, Some(&mut self.control), MsgFlags::empty());
        match received {
            Ok(message) => {
                for control in message.cmsgs()? {
                    if let ControlMessageOwned::RxqOvfl(count) = control {
                        self.overflows = count;
                    }
                }
                Ok(Some(message.bytes))
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) const fn overflows(&self) -> u64 {
        self.overflows as u64
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn index_of(interface: &str) -> io::Result<u32> {
    if_nametoindex(interface).map_err(|_| no_such(interface))
}

fn address_of(interface: &str) -> io::Result<Ipv4Addr> {
    index_of(interface)?;
    let own = getifaddrs()?.filter(|one| one.interface_name == interface);
    let mut own = own.filter_map(|one| Some(one.address?.as_sockaddr_in()?.ip()));
    own.next().ok_or_else(|| io::Error::other(format!("interface {interface} has no IPv4 address")))
}

fn no_such(interface: &str) -> io::Error {
    io::Error::other(format!("there is no interface {interface}; `ip link` lists them"))
}
