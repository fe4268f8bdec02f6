//! The daemon's end of the player protocol, held by a test.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};
use stbeacon_core::player::{
    CloseReason, Counters, Event, MAX_DATAGRAM, Message, Open, SessionEvent, SessionId,
};
use tempfile::TempDir;

use crate::{Error, wait};

/// What a connection of our own says.
const MARK: &[u8] = b"mark";

/// How often the threads look whether the socket was dropped.
const LOOK: Duration = Duration::from_millis(20);

/// Listens where the daemon would, and keeps every message.
#[derive(Debug)]
pub struct PlayerSocket {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    _dir: Option<TempDir>,
}

/// One message, and which connection it came from.
#[derive(Debug, Clone)]
pub struct Heard {
    /// Connections are numbered from 0.
    pub connection: usize,
    /// When it came.
    pub at: Instant,
    /// The datagram.
    pub raw: String,
    /// The same, read.
    pub message: Message,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    heard: Vec<Heard>,
    opened: usize,
    ended: usize,
    /// Connections of our own, see [`PlayerSocket::finish`]; not in the two above.
    marks: usize,
    bad: Vec<String>,
}

/// What was heard of one session.
#[derive(Debug, Clone, Default)]
pub struct Session {
    /// What it opened with.
    pub open: Open,
    /// How often it was opened.
    pub opens: usize,
    /// The last totals.
    pub counters: Counters,
    /// How it was closed, each time that it was.
    pub closes: Vec<CloseReason>,
    /// Everything, in order.
    pub events: Vec<SessionEvent>,
}

// === impl PlayerSocket ===

impl PlayerSocket {
    /// Listens in a directory of its own.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn listen() -> Result<Self, Error> {
        let dir = tempfile::tempdir().map_err(|e| Error::io("no temporary directory", e))?;
        let mut socket = Self::listen_at(&dir.path().join("player.sock"))?;
        socket._dir = Some(dir);
        Ok(socket)
    }

    /// Listens at `path`, which is removed first.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn listen_at(path: &Path) -> Result<Self, Error> {
        let fail = |e| Error::io(format!("cannot listen at {}", path.display()), e);
        let _ = fs::remove_file(path);
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).map_err(fail)?;
        socket.bind(&SockAddr::unix(path).map_err(fail)?).map_err(fail)?;
        socket.listen(64).map_err(fail)?;
        socket.set_read_timeout(Some(LOOK)).map_err(fail)?;
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(&socket, &shared)
        });
        Ok(Self { path: path.to_owned(), shared, thread: Some(thread), _dir: None })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All messages so far.
    #[must_use]
    pub fn heard(&self) -> Vec<Heard> {
        self.lock().heard.clone()
    }

    /// The sessions so far, in the order in which they were first opened.
    #[must_use]
    pub fn sessions(&self) -> Vec<(SessionId, Session)> {
        let mut sessions: Vec<(SessionId, Session)> = Vec::new();
        for heard in &self.lock().heard {
            let Event::Session(id, event) = &heard.message.event else { continue };
            let known = sessions.iter().position(|(known, _)| known == id);
            let at = known.unwrap_or_else(|| {
                sessions.push((id.clone(), Session::default()));
                sessions.len() - 1
            });
            if let Some((_, session)) = sessions.get_mut(at) {
                session.take(event);
            }
        }
        sessions
    }

    /// How many connections were made, and how many of them have ended.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        let inner = self.lock();
        (inner.opened, inner.ended)
    }

    /// Waits until the player has gone and everything it sent is here, then gives its sessions.
    ///
    /// # Errors
    /// After `limit`, or if a datagram was no message of the protocol.
    pub fn finish(&self, limit: Duration) -> Result<Vec<(SessionId, Session)>, Error> {
        // Connections are accepted in the order in which they are made: once ours is through, so are all of the
        // player's, also those that it made and left at its very end.
        let marks = self.lock().marks;
        let fail = |e| Error::io(format!("cannot connect to {}", self.path.display()), e);
        let mark = Socket::new(Domain::UNIX, Type::SEQPACKET, None).map_err(fail)?;
        mark.connect(&SockAddr::unix(&self.path).map_err(fail)?).map_err(fail)?;
        mark.send(MARK).map_err(fail)?;
        drop(mark);
        wait::until("the player's connection to end", limit, || {
            let inner = self.lock();
            (inner.marks > marks && inner.opened > 0 && inner.opened == inner.ended).then_some(())
        })
        .map_err(|e| e.with_log("heard", &self.log()))?;
        if let Some(bad) = self.lock().bad.first() {
            return Err(Error::new(format!("not a message of the protocol: {bad}")));
        }
        Ok(self.sessions())
    }

    /// Waits for the one session that a player made, closed, and gives it.
    ///
    /// # Errors
    /// As [`PlayerSocket::finish`], or if there was not exactly one session, or it was not closed once.
    pub fn only_session(&self, limit: Duration) -> Result<Session, Error> {
        let sessions = self.finish(limit)?;
        match <[_; 1]>::try_from(sessions) {
            Ok([(_, session)]) if session.opens == 1 && session.closes.len() == 1 => Ok(session),
            _ => {
                Err(Error::new("not exactly one session, opened and closed once")
                    .with_log("heard", &self.log()))
            }
        }
    }

    /// All messages as they came.
    #[must_use]
    pub fn log(&self) -> String {
        let lines: Vec<_> =
            self.lock().heard.iter().map(|h| format!("{}: {}", h.connection, h.raw)).collect();
        lines.join("\n")
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock()
    }
}

impl Drop for PlayerSocket {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = fs::remove_file(&self.path);
    }
}

// === impl Session ===

impl Session {
    fn take(&mut self, event: &SessionEvent) {
        match event {
            SessionEvent::Open(open) => {
                self.open = open.clone();
                self.opens += 1;
            }
            SessionEvent::Counters(counters) => self.counters = *counters,
            SessionEvent::Close(reason) => self.closes.push(*reason),
            _ => {}
        }
        self.events.push(event.clone());
    }
}

// === the threads ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn accept(socket: &Socket, shared: &Arc<Shared>) {
    let mut readers = Vec::new();
    while !shared.stopped() {
        // `SO_RCVTIMEO` ends this wait too (socket(7)).
        let Ok((peer, _)) = socket.accept() else { continue };
        let number = {
            let mut inner = shared.lock();
            inner.opened += 1;
            inner.opened - 1
        };
        let shared = Arc::clone(shared);
        readers.push(thread::spawn(move || {
            let is_mark = read(&peer, number, &shared);
            let mut inner = shared.lock();
            if is_mark {
                inner.opened -= 1;
                inner.marks += 1;
            } else {
                inner.ended += 1;
            }
        }));
    }
    for reader in readers {
        let _ = reader.join();
    }
}

/// Reads a connection to its end. True if it was one of our own.
fn read(mut peer: &Socket, connection: usize, shared: &Shared) -> bool {
    let _ = peer.set_read_timeout(Some(LOOK));
    // One byte more than is allowed, so that a datagram that is too long is seen to be.
    let mut datagram = [0; MAX_DATAGRAM + 1];
    while !shared.stopped() {
        let length = match peer.read(&mut datagram) {
            Ok(0) => return false,
            Ok(length) => length,
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => continue,
            Err(_) => return false,
        };
        let bytes = datagram.get(..length).unwrap_or_default();
        if bytes == MARK {
            return true;
        }
        let raw = String::from_utf8_lossy(bytes).into_owned();
        match Message::decode(bytes) {
            Ok(message) => {
                shared.lock().heard.push(Heard { connection, at: Instant::now(), raw, message });
            }
            Err(error) => shared.lock().bad.push(format!("{error}: {raw}")),
        }
    }
    false
}
