//! The players' socket: connections, and the datagrams that come over them.
//!
//! Each connection has a task that reads, checks and decodes; the daemon's one loop takes what comes of it. What
//! the loop does not take in time stays in the sockets.

mod manners;

use std::cell::RefCell;
use std::io;
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::time::Duration;

use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};
use stbeacon_core::player::{Event, MAX_DATAGRAM, Message, Reply, SessionEvent};
use stbeacon_core::session::Peer;
use stbeacon_core::time::Millis;
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::Sender;

pub(crate) use self::manners::Complaints;

use self::manners::{Conduct, Guests, MAX_MALFORMED};
use crate::clock;
use crate::daemon::Input;

/// What comes from a player.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly all are the largest, messages: none allocates")]
pub(crate) enum FromPlayer {
    /// It is there.
    Connected(Connection),
    /// It says something.
    Message(Message),
    /// It sent what is no message.
    Malformed,
    /// It is gone, or was sent away; the last that comes of it.
    Gone,
}

/// A player's connection, to write to.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    stream: Rc<UnixStream>,
    /// The process at its other end, as the kernel says (SO_PEERCRED); 0 if it is in another pid namespace.
    pub(crate) pid: i32,
    /// Its user, as the kernel says; 65534 if that is none in this user namespace.
    pub(crate) uid: u32,
}

/// What all connections have in common.
#[derive(Debug, Default)]
struct House {
    guests: RefCell<Guests>,
    complaints: RefCell<Complaints>,
}

/// Who is turned away may come again at once, without end; so often a second that costs something at most.
const PAUSE: Duration = Duration::from_millis(5);

/// What one read of a socket gave.
enum Datagram {
    Whole(usize),
    TooLong(usize),
    End,
}

/// Takes connections for as long as the daemon runs.
pub(crate) async fn accept(listener: UnixListener, inputs: Sender<Input>) {
    let house = Rc::new(House::default());
    let mut number = 0;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                log::warn!("cannot take a player's connection: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let credentials = match stream.peer_cred() {
            Ok(credentials) => credentials,
            Err(error) => {
                // Who cannot be told from others cannot be kept from their sessions either.
                log::warn!("a player is turned away: the kernel does not say who it is: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (pid, uid) = (credentials.pid().unwrap_or(0), credentials.uid());
        let entered = house.guests.borrow_mut().enter(clock::now(), pid, uid);
        if let Err(full) = entered {
            if house.complaints.borrow_mut().due(clock::now(), pid) {
                log::warn!("player {pid} of user {uid} is turned away: {full}");
            }
            drop(stream);
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        number += 1;
        let connection = Connection { stream: Rc::new(stream), pid, uid };
        let (peer, inputs, house) = (Peer(number), inputs.clone(), Rc::clone(&house));
        tokio::task::spawn_local(async move {
            // The loop is gone only when the program ends.
            let _ = serve(peer, connection, &inputs, &house).await;
            house.guests.borrow_mut().leave(pid, uid);
        });
    }
}

/// Reads one connection to its end. An error means that nobody listens any more.
async fn serve(
    peer: Peer,
    connection: Connection,
    inputs: &Sender<Input>,
    house: &House,
) -> Result<(), tokio::sync::mpsc::error::SendError<Input>> {
    inputs.send(Input::Player(peer, FromPlayer::Connected(connection.clone()))).await?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    let mut conduct = Conduct::default();
    let mut complain = |what: &dyn std::fmt::Display| {
        let now = clock::now();
        if house.complaints.borrow_mut().due(now, connection.pid) {
            log::warn!("player {} sent a malformed datagram: {what}", connection.pid);
        }
        let stays = conduct.malformed(now);
        if !stays {
            log::warn!(
                "player {} sent more than {MAX_MALFORMED} malformed datagrams in a minute and is \
                        disconnected",
                connection.pid
            );
        }
        stays
    };
    loop {
        let mut stays = true;
        let mut is_malformed = false;
        let mut opens = false;
        match connection.read(&mut buffer).await {
            Ok(Datagram::Whole(length)) => match Message::decode(buffer.get(..length).unwrap_or_default()) {
                Ok(message) => {
                    opens = matches!(message.event, Event::Session(_, SessionEvent::Open(_)));
                    inputs.send(Input::Player(peer, FromPlayer::Message(message))).await?;
                }
                Err(error) if error.is_ignorable() => log::debug!("player {}: {error}", connection.pid),
                Err(error) => (is_malformed, stays) = (true, complain(&error)),
            },
            Ok(Datagram::TooLong(length)) => {
                (is_malformed, stays) =
                    (true, complain(&format_args!("{length} bytes, more than {MAX_DATAGRAM}")));
            }
            Ok(Datagram::End) => break,
            Err(error) => {
                log::debug!("player {}: {error}", connection.pid);
                break;
            }
        }
        if is_malformed {
            inputs.send(Input::Player(peer, FromPlayer::Malformed)).await?;
        }
        if !stays {
            break;
        }
        let wait = house.guests.borrow_mut().take(clock::now(), connection.pid, opens);
        if wait > Millis(0) {
            tokio::time::sleep(Duration::from_millis(wait.0)).await;
        }
    }
    inputs.send(Input::Player(peer, FromPlayer::Gone)).await
}

// === impl Connection ===

impl Connection {
    /// Tells the player something. One that does not read has it lost: it is never waited for.
    pub(crate) fn tell(&self, at: Millis, reply: &Reply) {
        let mut datagram = Vec::new();
        reply.encode(at, &mut datagram);
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        if let Err(error) = send(self.stream.as_raw_fd(), &datagram, flags) {
            log::debug!("player {} was not told {reply:?}: {}", self.pid, error.desc());
        }
    }

    /// Ends the connection; what the player was told before reaches it all the same.
    pub(crate) fn hang_up(&self) {
        // One that is gone already needs no more.
        let _ = shutdown(self.stream.as_raw_fd(), Shutdown::Both);
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<Datagram> {
        loop {
            self.stream.readable().await?;
            match self.stream.try_io(Interest::READABLE, || receive(&self.stream, buffer)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

/// With MSG_TRUNC the length is the datagram's own, even if the buffer was too short for it (recv(2)).
fn receive(stream: &UnixStream, buffer: &mut [u8]) -> io::Result<Datagram> {
    let mut receive_one = || recv(stream.as_raw_fd(), buffer, MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT);
    let mut length = receive_one()?;
    if length == 0 {
        // An empty datagram looks like the end; only the end comes again.
        length = match receive_one() {
            Ok(0) => return Ok(Datagram::End),
            Ok(length) => length,
            Err(nix::errno::Errno::EAGAIN) => return Ok(Datagram::Whole(0)),
            Err(error) => return Err(error.into()),
        };
    }
    if length > buffer.len() { Ok(Datagram::TooLong(length)) } else { Ok(Datagram::Whole(length)) }
}
