//! Tells the daemon what happens, and keeps what it must be told again when it comes back.
//!
//! The tracer runs the daemon's own session state machine on its own events. Its totals are what a restarted
//! daemon is given to go on from, so both always agree.

use std::collections::{BTreeMap, VecDeque};

use stbeacon_core::player::{
    Buffering, CloseReason, Event, Hello, Message, PlayerState, Reply, SessionEvent, SessionId,
};
use stbeacon_core::session::{Peer, Sessions, Snapshot, Totals};
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
    pub(crate) fn new(hello: Hello) -> Self {
        Self {
            hello,
            sessions: Sessions::new(),
            live: BTreeMap::new(),
            kept: VecDeque::new(),
            link: Link::new(),
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

    /// The daemon has closed the books of `old`. What plays on is told to its successor as `new`, from zero.
    pub(crate) fn renew(&mut self, now: Millis, old: &SessionId, new: &SessionId) {
        let Some(snapshot) = self.snapshot(now, old) else { return };
        let Live { state, waiting } = self.live.remove(old).unwrap_or_default();
        self.note(now, now, old, &SessionEvent::Close(CloseReason::Stop));
        self.forget(old, false);

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

    /// Connects where it is time, writes what waits, and gives the sessions whose books the daemon has closed.
    pub(crate) fn poll(&mut self, now: Millis) -> Vec<SessionId> {
        let mut reported = Vec::new();
        self.link.flush(now);
        while let Some(Reply::Reported(id)) = self.link.receive(now) {
            self.link.say_farewell(now);
            reported.push(id);
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
