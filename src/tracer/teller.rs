//! Tells the daemon what happens, and keeps what it must be told again when it comes back.
//!
//! The tracer runs the daemon's own session state machine on its own events. Its totals are what a restarted
//! daemon is given to go on from, so both always agree.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;

use stbeacon_core::player::{
    Buffering, CloseReason, Event, Hello, Message, PlayerState, Reply, SessionEvent, SessionId,
};
use stbeacon_core::session::{Peer, Sessions, Snapshot, Totals};
use stbeacon_core::sleep::Sleep;
use stbeacon_core::time::Millis;

use crate::link::Link;

/// How many sessions that ended while no daemon listened are kept for it.
const MAX_KEPT: usize = 16;

/// The local state machine has one connection.
const SELF: Peer = Peer(0);

/// What was told, what is to be told, and the way there.
#[derive(Debug)]
pub(crate) struct Teller {
    hello: Hello,
    sessions: Sessions,
    live: BTreeMap<SessionId, Live>,
    kept: VecDeque<Snapshot>,
    link: Link,
    datagram: Vec<u8>,
}

/// What a session's totals do not hold.
#[derive(Debug, Default)]
struct Live {
    state: Option<PlayerState>,
    waiting: Option<Buffering>,
}

impl Teller {
    pub(crate) fn new(hello: Hello, socket: PathBuf) -> Self {
        Self {
            hello,
            sessions: Sessions::new(),
            live: BTreeMap::new(),
            kept: VecDeque::new(),
            link: Link::new(socket),
            datagram: Vec::new(),
        }
    }

    /// The connection, to be polled.
    pub(crate) const fn link(&self) -> &Link {
        &self.link
    }

    /// Whether there is anything a daemon should hear of.
    pub(crate) fn has_news(&self) -> bool {
        !self.live.is_empty() || !self.kept.is_empty()
    }

    /// Something happened in a session at `at`.
    pub(crate) fn tell(&mut self, now: Millis, at: Millis, id: &SessionId, event: SessionEvent) {
        self.connect(now, true);
        self.note(now, at, id, &event);
        let was_up = self.link.is_up();
        let closes = matches!(event, SessionEvent::Close(_));
        let may_wait = !matches!(event, SessionEvent::Counters(_));
        self.send(now, at, Event::Session(id.clone(), event), may_wait);
        if closes {
            self.forget(id, !was_up || !self.link.is_up());
        }
    }

    /// The books of `old` are closed: by the daemon, or by a sleep that began at `slept` and that no daemon heard of.
    /// What plays on is told to the next one as `new`, from zero.
    pub(crate) fn renew(&mut self, now: Millis, old: &SessionId, new: &SessionId, slept: Option<Millis>) {
        let Some(snapshot) = self.snapshot(now, old) else { return };
        let Live { state, waiting } = self.live.remove(old).unwrap_or_default();
        self.note(now, slept.unwrap_or(now), old, &SessionEvent::Close(CloseReason::Stop));
        self.forget(old, slept.is_some());

        self.note(now, now, new, &SessionEvent::Open(snapshot.open));
        // It was joined before: the time to a first picture is the old session's figure.
        let totals = Totals {
            join: snapshot.first_frame.map(|_| Millis(0)),
            started: snapshot.totals.started,
            bitrate: snapshot.totals.bitrate,
            ..Totals::default()
        };
        self.note(now, now, new, &SessionEvent::Resume(totals));
        self.note(now, now, new, &SessionEvent::Tags(snapshot.tags));
        if let Some(state) = state {
            self.note(now, now, new, &SessionEvent::State(state));
        }
        if let Some(buffering) = waiting {
            self.note(now, now, new, &SessionEvent::Buffering(buffering));
        }
    }

    /// The box slept. A daemon that listens sees so for itself, and has our books closed where that was long. Where none
    /// does, gives the sessions that have ended with it, to be renewed.
    pub(crate) fn handle_sleep(&mut self, sleep: &Sleep) -> Vec<SessionId> {
        if !sleep.is_long() {
            self.sessions.handle_sleep(sleep);
        } else if !self.link.is_up() {
            // What was opened later has not slept.
            let slept = self.sessions.live(sleep.to).filter(|session| session.opened < sleep.to);
            return slept.map(|session| session.id).collect();
        }
        Vec::new()
    }

    /// Connects where it is time, writes what waits, and gives the sessions whose books the daemon has closed, with the
    /// time of the last counters that are in them.
    pub(crate) fn poll(&mut self, now: Millis) -> Vec<(SessionId, Millis)> {
        let mut reported = Vec::new();
        self.link.flush(now);
        while let Some(Reply::Reported { session, counted }) = self.link.receive(now) {
            self.link.say_farewell(now);
            reported.push((session, counted));
        }
        self.link.expire(now);
        if reported.is_empty() {
            self.connect(now, self.has_news());
        }
        reported
    }

    fn connect(&mut self, now: Millis, wanted: bool) {
        if wanted && self.link.try_connect(now) {
            self.introduce(now);
        }
    }

    /// Tells a daemon that knows nothing what it must know.
    fn introduce(&mut self, now: Millis) {
        self.send(now, now, Event::Hello(self.hello.clone()), true);
        for snapshot in std::mem::take(&mut self.kept) {
            if !self.link.is_up() {
                self.kept.push_back(snapshot);
                continue;
            }
            let (id, at) = (snapshot.id.clone(), snapshot.at);
            let reason = snapshot.closed.unwrap_or(CloseReason::Stop);
            self.recount(now, &snapshot);
            self.send(now, at, Event::Session(id, SessionEvent::Close(reason)), true);
        }
        let live: Vec<_> = self.sessions.live(now).collect();
        for snapshot in live {
            self.recount(now, &snapshot);
            let Some(Live { state, waiting }) = self.live.get(&snapshot.id) else { continue };
            let events = [state.map(SessionEvent::State), waiting.map(SessionEvent::Buffering)];
            for event in events.into_iter().flatten() {
                self.send(now, now, Event::Session(snapshot.id.clone(), event), true);
            }
        }
    }

    /// A session from its beginning to the moment of the snapshot.
    fn recount(&mut self, now: Millis, snapshot: &Snapshot) {
        let id = &snapshot.id;
        let mut events = vec![
            (snapshot.opened, SessionEvent::Open(snapshot.open.clone())),
            (snapshot.at, SessionEvent::Resume(snapshot.totals.clone())),
            (snapshot.at, SessionEvent::Tags(snapshot.tags.clone())),
        ];
        if let Some(error) = &snapshot.error {
            events.push((snapshot.at, SessionEvent::Error(error.clone())));
        }
        events.push((snapshot.at, SessionEvent::Counters(snapshot.latest)));
        for (at, event) in events {
            self.send(now, at, Event::Session(id.clone(), event), true);
        }
    }

    /// Takes an event into our own books.
    fn note(&mut self, now: Millis, at: Millis, id: &SessionId, event: &SessionEvent) {
        match event {
            SessionEvent::Open(_) => {
                self.live.insert(id.clone(), Live::default());
            }
            SessionEvent::State(state) => self.amend(id, |live| live.state = Some(*state)),
            SessionEvent::Buffering(buffering) => {
                let waiting = Some(*buffering).filter(|b| b.percent < 100);
                self.amend(id, |live| live.waiting = waiting);
            }
            _ => {}
        }
        let message = Message { at, event: Event::Session(id.clone(), event.clone()) };
        // Refused is only what makes no sense, such as an event after the close: the daemon refuses it too.
        let _ = self.sessions.handle_message(now, SELF, message);
    }

    fn amend(&mut self, id: &SessionId, change: impl FnOnce(&mut Live)) {
        if let Some(live) = self.live.get_mut(id) {
            change(live);
        }
    }

    /// The session is over; `keep` it where no daemon heard so.
    fn forget(&mut self, id: &SessionId, keep: bool) {
        self.live.remove(id);
        while let Some(snapshot) = self.sessions.poll_snapshot() {
            if keep {
                self.kept.push_back(snapshot);
                if self.kept.len() > MAX_KEPT {
                    self.kept.pop_front();
                }
            }
        }
    }

    fn snapshot(&self, now: Millis, id: &SessionId) -> Option<Snapshot> {
        self.sessions.live(now).find(|snapshot| snapshot.id == *id)
    }

    fn send(&mut self, now: Millis, at: Millis, event: Event, may_wait: bool) {
        if self.link.is_up() {
            Message { at, event }.encode_bounded(&mut self.datagram);
            self.link.send(now, &self.datagram, may_wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

    use nix::sys::socket::{
        AddressFamily, Backlog, MsgFlags, SockFlag, SockType, UnixAddr, accept, bind, listen, recv, send,
        socket,
    };
    use stbeacon_core::player::{Counters, PlayerState};

    use super::*;

    /// The far end: a real socket that somebody listens on, or not yet.
    struct Daemon {
        listener: OwnedFd,
        connection: Option<OwnedFd>,
    }

    impl Daemon {
        fn listen(path: &std::path::Path) -> Self {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
            bind(listener.as_raw_fd(), &UnixAddr::new(path).unwrap()).unwrap();
            listen(&listener, Backlog::new(4).unwrap()).unwrap();
            Self { listener, connection: None }
        }

        /// All that was told since the last time, as `type` or `type:session`.
        fn heard(&mut self) -> Vec<String> {
            if let Ok(fd) = accept(self.listener.as_raw_fd()) {
                // SAFETY: accept gave a new descriptor that nobody else owns.
                #[allow(unsafe_code)]
                let connection = unsafe { OwnedFd::from_raw_fd(fd) };
                self.connection = Some(connection);
            }
            let Some(connection) = &self.connection else { return Vec::new() };
            let mut datagram = [0; 8192];
            let mut heard = Vec::new();
            while let Ok(length) = recv(connection.as_raw_fd(), &mut datagram, MsgFlags::MSG_DONTWAIT) {
                if length == 0 {
                    break;
                }
                let text = String::from_utf8(datagram[..length].to_vec()).unwrap();
                let field = |name: &str| {
                    let rest = text.split(&format!("\"{name}\":\"")).nth(1)?;
                    Some(rest.split('"').next().unwrap().to_owned())
                };
                let kind = field("type").unwrap();
                heard.push(field("session").map_or(kind.clone(), |session| format!("{kind}:{session}")));
            }
            heard
        }

        fn report(&self, id: &SessionId) {
            let mut datagram = Vec::new();
            Reply::Reported { session: id.clone(), counted: Millis(1_000) }.encode(Millis(1), &mut datagram);
            let connection = self.connection.as_ref().unwrap();
            send(connection.as_raw_fd(), &datagram, MsgFlags::empty()).unwrap();
        }
    }

    fn id(id: &str) -> SessionId {
        SessionId::try_new(id).unwrap()
    }

    fn play(teller: &mut Teller, now: u64, session: &str) {
        let events = [
            SessionEvent::Open(stbeacon_core::player::Open::default()),
            SessionEvent::State(PlayerState::Playing),
            SessionEvent::FirstFrame,
            SessionEvent::Counters(Counters { bytes: 7, ..Counters::default() }),
        ];
        for event in events {
            teller.tell(Millis(now), Millis(now), &id(session), event);
        }
    }

    #[test]
    fn what_happened_while_no_daemon_listened_is_told_when_one_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("player.sock");
        let mut teller = Teller::new(Hello::default(), path.clone());
        play(&mut teller, 1_000, "a");
        teller.tell(Millis(2_000), Millis(2_000), &id("a"), SessionEvent::Close(CloseReason::End));
        play(&mut teller, 3_000, "b");

        let mut daemon = Daemon::listen(&path);
        teller.poll(Millis(60_000));
        let told = ["hello", "open:a", "resume:a", "tags:a", "counters:a", "close:a"];
        let told = [&told[..], &["open:b", "resume:b", "tags:b", "counters:b", "state:b"]].concat();
        assert_eq!(daemon.heard(), told);
        teller.poll(Millis(60_500));
        assert_eq!(daemon.heard(), [""; 0], "once");
    }

    #[test]
    fn a_sleep_that_no_daemon_heard_of_parts_a_session_or_pauses_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("player.sock");
        let mut teller = Teller::new(Hello::default(), path.clone());
        play(&mut teller, 1_000, "a");
        let nap = Sleep { from: Millis(2_000), to: Millis(12_000) };
        assert_eq!(teller.handle_sleep(&nap), []);
        let paused = teller.snapshot(Millis(13_000), &id("a")).unwrap().totals;
        assert_eq!((paused.playing, paused.paused), (Millis(2_000), Millis(10_000)));

        let sleep = Sleep { from: Millis(13_000), to: Millis(90_000) };
        assert_eq!(teller.handle_sleep(&sleep), [id("a")]);
        teller.renew(Millis(90_100), &id("a"), &id("b"), Some(sleep.from));
        assert_eq!(teller.kept.front().map(|kept| kept.at), Some(Millis(13_000)));
        let anew = teller.snapshot(Millis(91_100), &id("b")).unwrap();
        assert_eq!((anew.opened, anew.totals.playing), (Millis(90_100), Millis(1_000)));

        let mut daemon = Daemon::listen(&path);
        teller.poll(Millis(200_000));
        let told = ["hello", "open:a", "resume:a", "tags:a", "counters:a", "close:a"];
        let told = [&told[..], &["open:b", "resume:b", "tags:b", "counters:b", "state:b"]].concat();
        assert_eq!(daemon.heard(), told);
        // From here on it is the daemon's business.
        let sleep = Sleep { from: Millis(200_000), to: Millis(290_000) };
        assert_eq!(teller.handle_sleep(&sleep), []);
    }

    #[test]
    fn no_more_than_the_last_sessions_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("player.sock");
        let mut teller = Teller::new(Hello::default(), path.clone());
        for n in 0..MAX_KEPT as u64 + 3 {
            let name = n.to_string();
            play(&mut teller, n, &name);
            teller.tell(Millis(n), Millis(n), &id(&name), SessionEvent::Close(CloseReason::Stop));
        }
        let mut daemon = Daemon::listen(&path);
        teller.poll(Millis(60_000));
        let closed: Vec<_> = daemon.heard().into_iter().filter(|told| told.starts_with("close")).collect();
        assert_eq!(closed.len(), MAX_KEPT);
        assert_eq!(closed[0], "close:3");
    }

    #[test]
    fn a_reported_session_goes_on_as_another_at_the_next_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("player.sock");
        let mut daemon = Daemon::listen(&path);
        let mut teller = Teller::new(Hello::default(), path.clone());
        play(&mut teller, 1_000, "a");
        assert_eq!(daemon.heard(), ["hello", "open:a", "state:a", "first_frame:a", "counters:a"]);

        daemon.report(&id("a"));
        let reported = teller.poll(Millis(2_000));
        assert_eq!(reported, [(id("a"), Millis(1_000))]);
        teller.renew(Millis(2_000), &id("a"), &id("b"), None);
        let counters = SessionEvent::Counters(Counters { bytes: 1, ..Counters::default() });
        teller.tell(Millis(2_100), Millis(2_100), &id("b"), counters);
        assert_eq!(daemon.heard(), [""; 0], "nothing more for one that is about to stop");

        drop(daemon);
        std::fs::remove_file(&path).unwrap();
        let mut daemon = Daemon::listen(&path);
        teller.poll(Millis(2_200));
        teller.poll(Millis(60_000));
        assert_eq!(daemon.heard(), ["hello", "open:b", "resume:b", "tags:b", "counters:b", "state:b"]);
    }
}
