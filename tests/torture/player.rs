//! A player that lives through kills of the agent, as the tracer does: it connects again, and tells again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use stbeacon_core::player::{
    CloseReason, Counters, Event, Frames, Message, Open, PlayerState, SessionEvent, SessionId,
};
use stbeacon_core::session::Totals;
use stbeacon_core::time::Millis;

use crate::show::boottime;

/// Between two messages.
const PACE: Duration = Duration::from_millis(3);

/// The thread that tells.
#[derive(Debug)]
pub(super) struct Teller {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The player is killed: nothing is said of its long session any more.
    dies: AtomicBool,
    is_over: AtomicBool,
}

/// What is told, and to whom.
struct Voice {
    path: PathBuf,
    socket: Option<Socket>,
    /// Number of the long session.
    long: u64,
    frames: u64,
}

// === impl Teller ===

impl Teller {
    pub(super) fn start(socket: PathBuf) -> Self {
        let shared = Arc::new(Shared::default());
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || tell(Voice { path: socket, socket: None, long: 0, frames: 0 }, &shared)
        });
        Self { shared, thread: Some(thread) }
    }

    /// The player is killed now; another one starts at once.
    pub(super) fn die(&self) {
        self.shared.dies.store(true, Ordering::SeqCst);
    }

    /// Ends the player in order: its long session is closed.
    pub(super) fn finish(mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn tell(mut voice: Voice, shared: &Shared) {
    let mut number = 0_u64;
    while !shared.is_over.load(Ordering::SeqCst) {
        if shared.dies.swap(false, Ordering::SeqCst) {
            voice.socket = None;
            voice.long += 1;
            voice.frames = 0;
        }
        number += 1;
        voice.short_session(number);
        voice.frames += 1;
        let (long, counters) = (voice.long_id(), counters(voice.frames));
        voice.say(&long, SessionEvent::Counters(counters));
    }
    let long = voice.long_id();
    voice.say(&long, SessionEvent::Close(CloseReason::End));
}

// === impl Voice ===

impl Voice {
    fn short_session(&mut self, number: u64) {
        let id = format!("short-{number}");
        let url = format!("udp://session/{id}");
        self.say(&id, SessionEvent::Open(Open { url, ..Open::default() }));
        self.say(&id, SessionEvent::State(PlayerState::Playing));
        self.say(&id, SessionEvent::FirstFrame);
        self.say(&id, SessionEvent::Counters(counters(number)));
        self.say(&id, SessionEvent::Close(CloseReason::End));
    }

    fn long_id(&self) -> String {
        format!("long-{}", self.long)
    }

    /// Sends, and connects first where nobody listened any more. What fails is not said again: the next is.
    fn say(&mut self, session: &str, event: SessionEvent) {
        thread::sleep(PACE);
        if self.socket.is_none() {
            self.connect();
        }
        let Ok(id) = SessionId::try_new(session) else { return };
        self.send(id, event);
    }

    fn connect(&mut self) {
        let Some(socket) = connected(&self.path) else { return };
        self.socket = Some(socket);
        let Ok(id) = SessionId::try_new(self.long_id()) else { return };
        let url = format!("udp://session/{id}");
        self.send(id.clone(), SessionEvent::Open(Open { url, ..Open::default() }));
        let totals = Totals { started: true, ..Totals::default() };
        self.send(id.clone(), SessionEvent::Resume(totals));
        self.send(id.clone(), SessionEvent::State(PlayerState::Playing));
        self.send(id, SessionEvent::Counters(counters(self.frames)));
    }

    fn send(&mut self, id: SessionId, event: SessionEvent) {
        let at = boottime().map_or(Millis(0), Millis);
        let mut datagram = Vec::new();
        Message { at, event: Event::Session(id, event) }.encode(&mut datagram);
        if self.socket.as_ref().is_some_and(|socket| socket.send(&datagram).is_err()) {
            self.socket = None;
        }
    }
}

fn connected(path: &Path) -> Option<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None).ok()?;
    socket.connect(&SockAddr::unix(path).ok()?).ok()?;
    Some(socket)
}

/// Totals of a session: as many pictures.
fn counters(frames: u64) -> Counters {
    Counters {
        video: Frames { decoded: frames, ..Frames::default() },
        bytes: frames * 1_000,
        ..Counters::default()
    }
}
