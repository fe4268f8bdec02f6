//! The books: which pipelines run, and what was told of them.
//!
//! Pure but for the socket: nothing here calls GStreamer, so the lock around it is never held while something
//! else is waited for.

use std::collections::HashMap;

use stbeacon_core::player::{
    Buffering, COUNTERS_PERIOD, CloseReason, Counters, Hello, Open, PlayerState, SessionEvent, SessionId,
};
use stbeacon_core::sleep::SleepWatch;
use stbeacon_core::time::Millis;

use crate::clock;
use crate::link::{Link, socket_path};
use crate::process::Process;
use crate::run::Run;
use crate::teller::Teller;

/// Where a session's books were closed.
#[derive(Debug, Clone, Copy)]
struct Closed {
    /// The time of the last counters that are in them.
    counted: Millis,
    /// When the box fell asleep, if that ended it.
    slept: Option<Millis>,
}

/// All pipelines with a session, by address. An entry goes when its session ends or its pipeline does.
#[derive(Debug)]
pub(crate) struct Hub {
    runs: HashMap<usize, Run>,
    teller: Teller,
    sleep: SleepWatch,
}

impl Hub {
    pub(crate) fn new(hello: Hello) -> Self {
        Self {
            runs: HashMap::new(),
            teller: Teller::new(hello, socket_path()),
            sleep: SleepWatch::new(clock::reading()),
        }
    }

    /// Whether any session needs counting now.
    pub(crate) fn plays(&self) -> bool {
        self.runs.values().any(Run::counts)
    }

    pub(crate) const fn link(&self) -> &Link {
        self.teller.link()
    }

    /// Whether there is anything a daemon should hear of.
    pub(crate) fn has_news(&self) -> bool {
        self.teller.has_news()
    }

    /// The runs, to be sampled.
    pub(crate) fn runs(&self) -> impl Iterator<Item = (usize, &Run)> {
        self.runs.iter().map(|(key, run)| (*key, run))
    }

    pub(crate) fn run(&mut self, key: usize) -> Option<&mut Run> {
        self.runs.get_mut(&key)
    }

    /// A session begins; one that the pipeline had before is closed first.
    pub(crate) fn open(&mut self, now: Millis, key: usize, run: Run, at: Millis, open: Open) {
        self.close(now, key, CloseReason::Stop);
        self.teller.tell(now, at, &run.id, SessionEvent::Open(open));
        self.runs.insert(key, run);
    }

    /// The session ends; the counters must have been told.
    pub(crate) fn close(&mut self, now: Millis, key: usize, otherwise: CloseReason) {
        let Some(run) = self.runs.remove(&key) else { return };
        if !run.ended {
            let reason = if run.failed { CloseReason::Error } else { otherwise };
            self.teller.tell(now, now, &run.id, SessionEvent::Close(reason));
        }
    }

    /// The stream came to its end: the session does too, and what comes after is not counted.
    pub(crate) fn end(&mut self, now: Millis, key: usize) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        if !std::mem::replace(&mut run.ended, true) {
            let reason = if run.failed { CloseReason::Error } else { CloseReason::End };
            self.teller.tell(now, now, &run.id, SessionEvent::Close(reason));
        }
    }

    /// Something happened in a session.
    pub(crate) fn tell(&mut self, now: Millis, at: Millis, key: usize, event: SessionEvent) {
        if let Some(run) = self.runs.get(&key).filter(|run| !run.ended) {
            self.teller.tell(now, at, &run.id, event);
        }
    }

    /// The user-visible state, told when it changes.
    pub(crate) fn state(&mut self, now: Millis, key: usize, state: PlayerState) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        if run.state.replace(state) != Some(state) {
            self.tell(now, now, key, SessionEvent::State(state));
        }
    }

    /// What the probes saw since the last time, in the order in which it happened.
    pub(crate) fn harvest(&mut self, now: Millis, key: usize, serial: u64) {
        let Some(run) = self.runs.get_mut(&key).filter(|run| run.serial == serial) else { return };
        let events = run.harvest(now);
        for (at, event) in events {
            self.tell(now, at, key, event);
        }
    }

    /// The buffer's level as the application hears it, told when it changes.
    pub(crate) fn buffering(&mut self, now: Millis, key: usize, percent: u8) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        let before = std::mem::replace(&mut run.wait.percent, percent);
        if percent == 100 {
            run.wait.played = now;
        }
        // Through several bins the same level comes several times, and while it fills up, every percent.
        let is_turn = (before < 100) != (percent < 100);
        if is_turn || (before != percent && now.since(run.wait.told) >= COUNTERS_PERIOD) {
            run.wait.told = now;
            // From here on it is the buffer that says when it is over.
            run.wait.stalled = false;
            self.tell(now, now, key, SessionEvent::Buffering(Buffering { percent }));
        }
    }

    /// The application paused it.
    pub(crate) fn pause(&mut self, now: Millis, key: usize) {
        let Some(run) = self.runs.get_mut(&key) else { return };
        // Many players pause by themselves until the buffer is full. Should it stay paused then, it was the
        // user after all; the ticker sees to that.
        run.wait.paused = run.wait.percent < 100;
        if !run.wait.paused {
            self.state(now, key, PlayerState::Paused);
        }
    }

    /// It plays.
    pub(crate) fn play(&mut self, now: Millis, key: usize) {
        if let Some(run) = self.runs.get_mut(&key) {
            run.wait.paused = false;
            run.wait.played = now;
        }
        self.state(now, key, PlayerState::Playing);
    }

    /// What time alone brings: a stall, a pause that was no waiting.
    pub(crate) fn pass(&mut self, now: Millis, key: usize, serial: u64) {
        let Some(run) = self.runs.get_mut(&key).filter(|run| run.serial == serial) else { return };
        if let Some(since) = run.stall(now) {
            self.tell(now, since, key, SessionEvent::Buffering(Buffering { percent: 0 }));
        } else if run.wait.paused && run.wait.percent == 100 && now.since(run.wait.played) > COUNTERS_PERIOD {
            run.wait.paused = false;
            self.state(now, key, PlayerState::Paused);
        }
    }

    /// Another stream has taken this one's place without a stop between; its own totals start from zero.
    pub(crate) fn replace(&mut self, now: Millis, key: usize, at: Millis, id: SessionId, url: String) {
        let Some(run) = self.runs.get(&key) else { return };
        let (state, serial) = (run.state, run.serial);
        self.count(now, key, serial);
        let Some(run) = self.runs.remove(&key) else { return };
        if !run.ended {
            self.teller.tell(now, at, &run.id, SessionEvent::Close(CloseReason::Replaced));
        }
        let next = run.succeed(id, url.clone());
        self.teller.tell(now, at, &next.id, SessionEvent::Open(Open { url, ..Open::default() }));
        self.runs.insert(key, next);
        if let Some(state) = state {
            self.state(now, key, state);
        }
    }

    /// Totals as they stand.
    pub(crate) fn count(&mut self, now: Millis, key: usize, serial: u64) {
        let Some(run) = self.runs.get_mut(&key).filter(|run| run.serial == serial) else { return };
        let counters: Counters = run.count(now);
        self.tell(now, now, key, SessionEvent::Counters(counters));
    }

    /// Looks after the connection.
    pub(crate) fn poll(&mut self, process: &Process, now: Millis) {
        for (old, counted) in self.teller.poll(now) {
            self.renew(process, now, &old, Closed { counted, slept: None });
        }
    }

    /// Sees whether the box has slept since the last time; before anything else that is due.
    pub(crate) fn look_for_sleep(&mut self, process: &Process) {
        let Some(sleep) = self.sleep.look(clock::reading()) else { return };
        for old in self.teller.handle_sleep(&sleep) {
            let closed = Closed { counted: Millis::MAX, slept: Some(sleep.from) };
            self.renew(process, clock::boottime(), &old, closed);
        }
    }

    /// The books of a session are closed, and it plays on: from zero, as another.
    fn renew(&mut self, process: &Process, now: Millis, old: &SessionId, closed: Closed) {
        let Some((&key, run)) = self.runs.iter_mut().find(|(_, run)| run.id == *old) else { return };
        let Some(new) = process.next_session() else { return };
        run.restart(closed.counted);
        run.id = new;
        let serial = run.serial;
        self.teller.renew(now, old, &run.id, closed.slept);
        // What came too late for the old one's report stands in the new one's totals from its beginning.
        self.count(now, key, serial);
    }
}
