//! Sockets to the kernel.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{
    ErrorBuffer, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP,
    NetlinkBuffer,
};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, setsockopt,
    socket, sockopt,
};
use nix::sys::time::TimeVal;
use tokio::io::unix::AsyncFd;

use super::messages::Request;

/// The kernel never makes a dump's datagram longer (NLMSG_GOODSIZE, and 32 KiB for links since Linux 3.10).
const BUFFER: usize = 64 * 1024;

/// `struct nlmsghdr`: length, type, flags, sequence number, port (linux/netlink.h).
const HEADER: usize = 16;

/// The kernel answers at once; who waits longer than this, in seconds, waits for something that is broken.
const PATIENCE: i64 = 2;

/// A dump that the table changed under is asked for again this often.
const INTERRUPTED: u32 = 3;

/// A socket for questions to one part of the kernel.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: u32,
    buffer: Vec<u8>,
}

/// How far an answer has come.
enum Progress {
    More,
    Done,
    /// The table changed meanwhile; what was told may be in part the old one.
    Interrupted,
}

// === impl Socket ===

impl Socket {
    /// To the routing tables: links, addresses, routes.
    pub(crate) fn route() -> io::Result<Self> {
        Self::open(SockProtocol::NetlinkRoute)
    }

    /// To the generic families, ethtool among them.
    pub(super) fn generic() -> io::Result<Self> {
        Self::open(SockProtocol::NetlinkGeneric)
    }

    fn open(protocol: SockProtocol) -> io::Result<Self> {
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE, 0))?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 0))?;
        Ok(Self { fd, sequence: 0, buffer: vec![0; BUFFER] })
    }

    /// Asks for a whole table, and hands out type and payload of each message.
    ///
    /// After an interruption everything comes again: what comes later stands.
    pub(super) fn dump(&mut self, request: &Request, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        for _ in 0..INTERRUPTED {
            self.send(request, NLM_F_REQUEST | NLM_F_DUMP)?;
            if self.receive_all(&mut each)? {
                break;
            }
        }
        Ok(())
    }

    /// Asks for one thing, and hands out type and payload of the answer.
    pub(super) fn ask(&mut self, request: &Request, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        self.send(request, NLM_F_REQUEST)?;
        let length = recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::empty())?;
        read_datagram(self.buffer.get(..length).unwrap_or_default(), self.sequence, &mut each)?;
        Ok(())
    }

    fn send(&mut self, request: &Request, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = HEADER + request.payload.len();
        let mut message = NetlinkBuffer::new(vec![0; HEADER]);
        message.set_length(u32::try_from(length).map_err(io::Error::other)?);
        message.set_message_type(request.kind);
        message.set_flags(flags);
        message.set_sequence_number(self.sequence);
        let mut message = message.into_inner();
        message.extend_from_slice(&request.payload);
        sendto(self.fd.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        Ok(())
    }

    /// Whether the answer is of one piece.
    fn receive_all(&mut self, each: &mut impl FnMut(u16, &[u8])) -> io::Result<bool> {
        let mut whole = true;
        loop {
            // With MSG_TRUNC the length is the datagram's own: nothing is cut without notice (recv(2)).
            let length = recv(self.fd.as_raw_fd(), &mut self.buffer, MsgFlags::MSG_TRUNC)?;
            let datagram = self.buffer.get(..length).ok_or_else(|| {
                io::Error::other(format!("netlink answer of {length} bytes, more than {BUFFER}"))
            })?;
            match read_datagram(datagram, self.sequence, each)? {
                Progress::More => {}
                Progress::Interrupted => whole = false,
                Progress::Done => return Ok(whole),
            }
        }
    }
}

/// Hands out the messages of one datagram that answer the question of this `sequence`.
fn read_datagram(mut bytes: &[u8], sequence: u32, each: &mut impl FnMut(u16, &[u8])) -> io::Result<Progress> {
    let mut progress = Progress::More;
    while let Ok(message) = NetlinkBuffer::new_checked(bytes) {
        let payload = message.payload();
        if message.sequence_number() == sequence {
            match message.message_type() {
                NLMSG_DONE => return Ok(Progress::Done),
                NLMSG_ERROR => {
                    let code = ErrorBuffer::new_checked(payload).ok().and_then(|error| error.code());
                    return match code {
                        Some(code) => Err(io::Error::from_raw_os_error(code.get().saturating_abs())),
                        None => Ok(Progress::Done),
                    };
                }
                NLMSG_NOOP => {}
                kind => each(kind, payload),
            }
            if message.flags() & NLM_F_DUMP_INTR != 0 {
                progress = Progress::Interrupted;
            }
        }
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX).next_multiple_of(4);
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(progress)
}

/// Wakes whenever the kernel says that links, addresses or routes have changed.
///
/// What has changed is not read from the notifications: they may be lost when there are many (ENOBUFS), and a
/// fresh dump tells the same in one place.
#[derive(Debug)]
pub(crate) struct Monitor {
    fd: AsyncFd<OwnedFd>,
}

// === impl Monitor ===

impl Monitor {
    /// RTMGRP_LINK, RTMGRP_IPV4_IFADDR and RTMGRP_IPV4_ROUTE (linux/rtnetlink.h).
    const GROUPS: u32 = 0x1 | 0x10 | 0x40;

    /// Starts listening; needs a tokio reactor.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let fd = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, Self::GROUPS))?;
        // Deprecated for descriptors that somebody else may close; this one is owned.
        #[allow(deprecated)]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd })
    }

    /// Returns once anything has changed since the last call.
    ///
    /// # Errors
    /// Where the socket has failed for good.
    pub(crate) async fn changed(&self) -> io::Result<()> {
        let mut guard = self.fd.readable().await?;
        // Only that something came matters: one byte of each datagram is taken, the rest of it is thrown away.
        let mut byte = [0];
        loop {
            match recv(self.fd.get_ref().as_raw_fd(), &mut byte, MsgFlags::MSG_DONTWAIT) {
                Ok(_) | Err(Errno::EINTR | Errno::ENOBUFS) => {}
                Err(Errno::EAGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        guard.clear_ready();
        Ok(())
    }
}
