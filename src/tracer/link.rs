//! The connection to the daemon: never waits, gives up early, comes back later.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, UnixAddr, connect, recv, send, shutdown, socket,
};
use stbeacon_core::player::{DEFAULT_SOCKET, MAX_DATAGRAM, Reply, SOCKET_ENV};
use stbeacon_core::time::Millis;

/// The first wait after a failed attempt; doubled with each further one.
const FIRST_BACKOFF: Millis = Millis(500);

/// The longest wait between two attempts.
const MAX_BACKOFF: Millis = Millis(30_000);

/// How many datagrams wait for a slow daemon; one more, and it is told all afresh later.
const MAX_WAITING: usize = 256;

/// How long a daemon that has closed our books may take to go.
const FAREWELL: Millis = Millis(2_000);

/// The descriptor of this process's connection, or -1: a forked child closes its copy, or the daemon would not
/// see its parent go.
pub(crate) static DESCRIPTOR: AtomicI32 = AtomicI32::new(-1);

/// Ends the connection without waiting for any lock.
pub(crate) fn cut() {
    let descriptor = DESCRIPTOR.load(Ordering::Relaxed);
    if descriptor >= 0 {
        let _ = shutdown(descriptor, Shutdown::Both);
    }
}

/// A connection that comes and goes.
#[derive(Debug)]
pub(crate) struct Link {
    path: PathBuf,
    state: State,
    backoff: Millis,
}

#[derive(Debug)]
enum State {
    Down { retry: Millis },
    Up(Connection),
}

#[derive(Debug)]
struct Connection {
    socket: OwnedFd,
    waiting: VecDeque<Vec<u8>>,
    /// The daemon is about to stop: nothing is told it any more, and at this time we hang up.
    farewell: Option<Millis>,
}

impl Link {
    /// To the daemon that listens at `path`; nothing is tried yet.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path, state: State::Down { retry: Millis(0) }, backoff: FIRST_BACKOFF }
    }

    /// Whether messages reach a daemon now.
    pub(crate) const fn is_up(&self) -> bool {
        matches!(&self.state, State::Up(connection) if connection.farewell.is_none())
    }

    /// The socket to poll, and whether there is something to write.
    pub(crate) fn socket(&self) -> Option<(BorrowedFd<'_>, bool)> {
        match &self.state {
            State::Up(connection) => Some((connection.socket.as_fd(), !connection.waiting.is_empty())),
            State::Down { .. } => None,
        }
    }

    /// When [`Link::try_connect`] or [`Link::expire`] next has something to do.
    pub(crate) const fn timeout(&self) -> Option<Millis> {
        match &self.state {
            State::Down { retry } => Some(*retry),
            State::Up(connection) => connection.farewell,
        }
    }

    /// Connects, if it is time to. `true` where the connection is new: the daemon knows nothing yet.
    pub(crate) fn try_connect(&mut self, now: Millis) -> bool {
        let State::Down { retry } = self.state else { return false };
        if now < retry {
            return false;
        }
        match open(&self.path) {
            Ok(socket) => {
                DESCRIPTOR.store(socket.as_raw_fd(), Ordering::Relaxed);
                self.state = State::Up(Connection { socket, waiting: VecDeque::new(), farewell: None });
                true
            }
            Err(_) => {
                self.state = State::Down { retry: now + self.backoff };
                self.backoff = (self.backoff + self.backoff).min(MAX_BACKOFF);
                false
            }
        }
    }

    /// Hands over one datagram. One that `may_wait` stays until the daemon reads; another is left out then.
    pub(crate) fn send(&mut self, now: Millis, datagram: &[u8], may_wait: bool) {
        let State::Up(connection) = &mut self.state else { return };
        if connection.farewell.is_some() {
            return;
        }
        let sent =
            if connection.waiting.is_empty() { connection.write(datagram) } else { Err(Errno::EAGAIN) };
        match sent {
            Ok(()) => self.backoff = FIRST_BACKOFF,
            Err(Errno::EAGAIN) if !may_wait => {}
            Err(Errno::EAGAIN) if connection.waiting.len() < MAX_WAITING => {
                connection.waiting.push_back(datagram.to_vec());
            }
            Err(_) => self.hang_up(now),
        }
    }

    /// Writes what waits, as far as the daemon takes it.
    pub(crate) fn flush(&mut self, now: Millis) {
        let State::Up(connection) = &mut self.state else { return };
        while let Some(datagram) = connection.waiting.pop_front() {
            match connection.write(&datagram) {
                Ok(()) => {}
                Err(Errno::EAGAIN) => {
                    connection.waiting.push_front(datagram);
                    return;
                }
                Err(_) => return self.hang_up(now),
            }
        }
    }

    /// The daemon's next word, if there is one.
    pub(crate) fn receive(&mut self, now: Millis) -> Option<Reply> {
        let mut datagram = [0; MAX_DATAGRAM];
        loop {
            let State::Up(connection) = &self.state else { return None };
            match recv(connection.socket.as_raw_fd(), &mut datagram, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => return None,
                Err(Errno::EINTR) => {}
                Ok(0) | Err(_) => {
                    self.hang_up(now);
                    return None;
                }
                Ok(length) => {
                    // A word we do not know is from a newer daemon and not for us.
                    let reply = datagram.get(..length).map(Reply::decode);
                    if let Some(Ok((_, reply))) = reply {
                        return Some(reply);
                    }
                }
            }
        }
    }

    /// The daemon is about to stop: what happens from here on is for its successor.
    pub(crate) fn say_farewell(&mut self, now: Millis) {
        if let State::Up(connection) = &mut self.state {
            connection.waiting.clear();
            connection.farewell.get_or_insert(now + FAREWELL);
        }
    }

    /// Hangs up on a daemon that said it would stop and did not.
    pub(crate) fn expire(&mut self, now: Millis) {
        if matches!(&self.state, State::Up(Connection { farewell: Some(end), .. }) if *end <= now) {
            self.hang_up(now);
        }
    }

    fn hang_up(&mut self, now: Millis) {
        DESCRIPTOR.store(-1, Ordering::Relaxed);
        self.state = State::Down { retry: now + self.backoff };
        self.backoff = (self.backoff + self.backoff).min(MAX_BACKOFF);
    }
}

impl Connection {
    fn write(&self, datagram: &[u8]) -> Result<(), Errno> {
        loop {
            match send(self.socket.as_raw_fd(), datagram, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL) {
                Err(Errno::EINTR) => {}
                // A full queue at the far end and no buffer space are both "later".
                Err(Errno::ENOBUFS) => return Err(Errno::EAGAIN),
                other => return other.map(drop),
            }
        }
    }
}

/// Where the daemon listens.
pub(crate) fn socket_path() -> PathBuf {
    let path = std::env::var_os(SOCKET_ENV).filter(|path| !path.is_empty());
    path.map_or_else(|| DEFAULT_SOCKET.into(), PathBuf::from)
}

fn open(path: &Path) -> Result<OwnedFd, Errno> {
    let address = UnixAddr::new(path)?;
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None)?;
    connect(socket.as_raw_fd(), &address)?;
    Ok(socket)
}
