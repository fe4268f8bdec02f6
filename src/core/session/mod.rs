//! The session state machine: from a player's messages to the figures of each playback.
//!
//! [`Sessions`] takes messages in with the time at which they came, and gives a [`Snapshot`] out whenever a
//! session has ended, or is due for a report while it runs. What it survives, because boxes do it:
//! a close without an open, a player that is killed, several players and several pipelines in one, a stream
//! that replaces another without a stop, hours of pause, seek storms, totals that fall back to zero, its own
//! restart in mid-play, time that runs backwards.
//!
//! Every output of the project is a projection of a [`Snapshot`]; nothing is counted twice. An output that needs
//! to know when things happened follows the journal ([`Sessions::poll_entry`]), whose spans add up to the totals.

mod ads;
mod counts;
mod fact;
mod figures;
mod head;
mod told;
mod totals;

use std::collections::{BTreeMap, VecDeque};

use thiserror::Error;

pub use self::counts::Counts;
pub use self::fact::{Activity, AdRecord, Entry, Fact, Gauges, Head, Span};
pub use self::totals::{Phase, RateTime, Snapshot, Totals};

use self::figures::Session;
use crate::player::{
    CloseReason, Dimensions, Event, Measures, Message, Open, SessionEvent, SessionId, Share,
};
use crate::sleep::Sleep;
use crate::time::Millis;

/// How many sessions one connection may have open; one more is refused.
pub const MAX_SESSIONS_PER_PEER: usize = 64;

/// How many closed sessions are remembered, to know one that is opened again.
const REMEMBERED: usize = 64;

/// A message that says it is older than its session by more than this is nonsense, not merely late.
const OLDER_THAN_SESSION: Millis = Millis::from_secs(60);

/// A player's connection, numbered by the daemon; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(pub u64);

/// All sessions of the box.
#[derive(Debug, Default)]
pub struct Sessions {
    live: BTreeMap<SessionId, Live>,
    /// Sessions whose books are closed, oldest first; a player may open one again after a lost connection.
    reported: VecDeque<SessionId>,
    /// Between two reports of a running session; `None` reports only at the end.
    report_period: Option<Millis>,
    out: VecDeque<Snapshot>,
    /// `None` where nobody reads it.
    journal: Option<VecDeque<Entry>>,
}

#[derive(Debug)]
struct Live {
    peer: Peer,
    session: Session,
    /// When the attempt began by the player's account; a session that is opened again has begun later by ours.
    began: Millis,
    /// When the next report while playing is due, in case there are any.
    due: Option<Millis>,
    /// The time that the last counters bore; 0 if there were none.
    counted: Millis,
}

/// Why a message was not taken. The session it names, if any, is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Reject {
    /// No such session is open.
    #[error("no such session is open")]
    NotOpen,
    /// Another connection has opened it.
    #[error("the session belongs to another connection")]
    Foreign,
    /// The connection has [`MAX_SESSIONS_PER_PEER`] sessions open.
    #[error("more than {MAX_SESSIONS_PER_PEER} sessions open on one connection")]
    TooMany,
    /// A field holds what cannot be: a percentage over 100, a rate that is no number.
    #[error("field {0:?} is out of range")]
    OutOfRange(&'static str),
    /// Only the daemon gives this reason.
    #[error("a player cannot close a session for this reason")]
    Reason,
    /// An ad ends that was neither loaded nor started.
    #[error("no such ad was loaded or started")]
    NoAd,
    /// An ad is loaded or started while another one is in its place.
    #[error("another ad is loaded or plays already")]
    AdRuns,
    /// It happened long before the session began.
    #[error("time runs backwards: the message is older than its session")]
    Backwards,
}

impl Sessions {
    /// No session yet; reports only at the end of each.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time between two reports of a session while it plays; `None` reports only at the end.
    pub fn set_report_period(&mut self, now: Millis, period: Option<Millis>) {
        let period = period.filter(|p| p.0 > 0);
        if period == self.report_period {
            return;
        }
        self.report_period = period;
        for live in self.live.values_mut() {
            live.due = period.map(|p| now + p);
        }
    }

    /// Takes one message of one connection.
    ///
    /// # Errors
    /// Where the message makes no sense; nothing has changed then.
    pub fn handle_message(&mut self, now: Millis, peer: Peer, message: Message) -> Result<(), Reject> {
        let Message { at, event } = message;
        let at = at.min(now);
        let (id, event) = match event {
            Event::Session(id, event) => (id, event),
            Event::Visit(visit) => {
                if let Some(journal) = &mut self.journal {
                    journal.push_back(Entry::Visit { peer, at, visit });
                }
                return Ok(());
            }
            Event::Hello(_) => return Ok(()),
        };
        check_ranges(&event)?;

        if let SessionEvent::Open(open) = event {
            return self.handle_open(now, at, peer, id, open);
        }
        let live = self.live.get_mut(&id).ok_or(Reject::NotOpen)?;
        if live.peer != peer {
            return Err(Reject::Foreign);
        }
        if at + OLDER_THAN_SESSION < live.began {
            return Err(Reject::Backwards);
        }
        live.session.check(&event)?;
        match event {
            SessionEvent::Close(
                CloseReason::PlayerGone | CloseReason::AgentStop | CloseReason::Suspended,
            ) => Err(Reject::Reason),
            SessionEvent::Close(reason) => {
                self.close(&id, at, reason);
                Ok(())
            }
            event => {
                if matches!(event, SessionEvent::Counters(_)) {
                    live.counted = at;
                }
                live.session.handle_event(at, event);
                Self::note(&mut self.journal, &id, peer, &mut live.session);
                Ok(())
            }
        }
    }

    /// Starts or stops keeping a journal. One that is kept must be read: it grows until it is.
    pub fn set_journal(&mut self, kept: bool) {
        if kept == self.journal.is_some() {
            return;
        }
        self.journal = kept.then(VecDeque::new);
        for live in self.live.values_mut() {
            if kept { live.session.keep_facts() } else { live.session.forget_facts() }
        }
    }

    /// The next entry of the journal.
    pub fn poll_entry(&mut self) -> Option<Entry> {
        self.journal.as_mut()?.pop_front()
    }

    /// What one who reads the journal only from now on must know of the sessions that run.
    pub fn introduce(&self) -> impl Iterator<Item = Entry> + '_ {
        self.live.iter().flat_map(|(id, live)| {
            let told = live.session.introduction().into_iter();
            told.map(|(at, fact)| Entry::Session { id: id.clone(), peer: live.peer, at, fact })
        })
    }

    /// Brings the books of every session up to `now`: what is told later and happened earlier counts from now.
    pub fn settle(&mut self, now: Millis) {
        for (id, live) in &mut self.live {
            live.session.settle(now);
            Self::note(&mut self.journal, id, live.peer, &mut live.session);
        }
    }

    /// A former daemon's session has its report: should the player open it again, only what comes then counts.
    pub fn note_reported(&mut self, id: SessionId) {
        if self.reported.len() >= REMEMBERED {
            self.reported.pop_front();
        }
        self.reported.push_back(id);
    }

    /// The connection is gone: its sessions end now.
    pub fn handle_disconnect(&mut self, now: Millis, peer: Peer) {
        self.close_where(now, CloseReason::PlayerGone, |live| live.peer == peer);
        if let Some(journal) = &mut self.journal {
            journal.push_back(Entry::Gone { peer, at: now });
        }
    }

    /// The daemon is about to stop: every session ends now, so that each has its report.
    pub fn handle_stop(&mut self, now: Millis) {
        self.close_where(now, CloseReason::AgentStop, |_| true);
    }

    /// The box has slept, and nothing was played meanwhile; to be told before anything that came after.
    ///
    /// With a long sleep every session ends where it began: what is played on is another one. With a short one the
    /// sessions that were to play have paused. What was opened later is left alone.
    pub fn handle_sleep(&mut self, sleep: &Sleep) {
        if sleep.is_long() {
            self.close_where(sleep.from, CloseReason::Suspended, |live| live.session.opened() < sleep.to);
            return;
        }
        for (id, live) in &mut self.live {
            live.session.sleep(sleep);
            Self::note(&mut self.journal, id, live.peer, &mut live.session);
        }
    }

    /// Gives out what is due at `now`.
    pub fn handle_timeout(&mut self, now: Millis) {
        let Some(period) = self.report_period else { return };
        for live in self.live.values_mut() {
            if live.due.is_some_and(|due| due <= now) {
                live.due = Some(now + period);
                let snapshot = live.session.snapshot(now);
                // A session that only waits or is paused says nothing new; its end will be told anyway.
                if snapshot.phase == Phase::Playing {
                    self.out.push_back(snapshot);
                }
            }
        }
    }

    /// When [`Sessions::handle_timeout`] next has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.live.values().filter_map(|live| live.due).min()
    }

    /// The next snapshot to report: of a session that ended (`closed` is set), or of one that runs.
    pub fn poll_snapshot(&mut self) -> Option<Snapshot> {
        self.out.pop_front()
    }

    /// All running sessions as they stand, in the order of their ids.
    pub fn live(&self, now: Millis) -> impl Iterator<Item = Snapshot> + '_ {
        self.live.values().map(move |live| live.session.snapshot(now))
    }

    /// Whether no session runs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The running sessions and the connections they belong to.
    pub fn owners(&self) -> impl Iterator<Item = (&SessionId, Peer)> + '_ {
        self.live.iter().map(|(id, live)| (id, live.peer))
    }

    /// The time that the last counters of a running session bore; 0 if there were none.
    #[must_use]
    pub fn counted(&self, id: &SessionId) -> Millis {
        self.live.get(id).map_or(Millis(0), |live| live.counted)
    }

    fn handle_open(
        &mut self,
        now: Millis,
        at: Millis,
        peer: Peer,
        id: SessionId,
        open: Open,
    ) -> Result<(), Reject> {
        if let Some(live) = self.live.get(&id) {
            if live.peer != peer {
                return Err(Reject::Foreign);
            }
            if live.session.url() == open.url {
                return Ok(());
            }
            // Gapless: the next stream begins where the player says so, with totals from zero.
            self.close(&id, at, CloseReason::Replaced);
            self.reported.retain(|known| *known != id);
        }
        if self.live.values().filter(|live| live.peer == peer).count() >= MAX_SESSIONS_PER_PEER {
            return Err(Reject::TooMany);
        }
        let already_reported = self.reported.contains(&id);
        let mut session = if already_reported {
            Session::reopen(id.clone(), now, open)
        } else {
            Session::open(id.clone(), at, open)
        };
        if let Some(journal) = &mut self.journal {
            session.keep_facts();
            let (at, fact) = (session.opened(), Fact::Opened(session.what().clone()));
            journal.push_back(Entry::Session { id: id.clone(), peer, at, fact });
        }
        let due = self.report_period.map(|period| now + period);
        self.live.insert(id, Live { peer, session, began: at, due, counted: Millis(0) });
        Ok(())
    }

    fn close(&mut self, id: &SessionId, at: Millis, reason: CloseReason) {
        let Some(mut live) = self.live.remove(id) else { return };
        self.out.push_back(live.session.close(at, reason));
        Self::note(&mut self.journal, id, live.peer, &mut live.session);
        if self.reported.len() >= REMEMBERED {
            self.reported.pop_front();
        }
        self.reported.push_back(id.clone());
    }

    fn note(journal: &mut Option<VecDeque<Entry>>, id: &SessionId, peer: Peer, session: &mut Session) {
        let Some(journal) = journal else { return };
        let facts = session.drain_facts();
        journal.extend(facts.map(|(at, fact)| Entry::Session { id: id.clone(), peer, at, fact }));
    }

    fn close_where(&mut self, now: Millis, reason: CloseReason, which: impl Fn(&Live) -> bool) {
        let ids: Vec<_> =
            self.live.iter().filter(|(_, live)| which(live)).map(|(id, _)| id.clone()).collect();
        for id in ids {
            self.close(&id, now, reason);
        }
    }
}

fn check_ranges(event: &SessionEvent) -> Result<(), Reject> {
    let (sound, field) = match event {
        SessionEvent::Buffering(buffering) => (buffering.percent <= 100, "percent"),
        SessionEvent::Seek(seek) if !seek.rate.is_finite() => (false, "rate"),
        SessionEvent::Seek(seek) => (is_position(seek.from) && is_position(seek.to), "from, to"),
        SessionEvent::Counters(counters) => (is_measure(counters.fps), "fps"),
        SessionEvent::Measures(Measures { live_delay, rtt, encoded_fps, .. }) => (
            is_measure(*live_delay) && is_measure(*rtt) && is_measure(*encoded_fps),
            "live_delay, rtt, encoded_fps",
        ),
        SessionEvent::Dimensions(Dimensions { dimensions }) => {
            (dimensions.keys().all(|key| is_dimension(key)), "dimensions")
        }
        SessionEvent::Share(Share { key }) => (is_share_key(key), "key"),
        SessionEvent::Ad(ad) => (ad.percent.is_none_or(|percent| percent <= 100), "percent"),
        _ => (true, ""),
    };
    if sound { Ok(()) } else { Err(Reject::OutOfRange(field)) }
}

/// A measured value: a number that can be added up.
fn is_measure(value: Option<f64>) -> bool {
    value.is_none_or(|value| (0.0..=1e9).contains(&value))
}

fn is_position(ms: Option<u64>) -> bool {
    ms.is_none_or(|ms| ms <= Head::MAX.ms())
}

/// `_cd_` and 1 to 8 digits.
fn is_dimension(key: &str) -> bool {
    let digits = key.strip_prefix("_cd_").unwrap_or_default();
    (1..=8).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_share_key(key: &str) -> bool {
    (1..=16).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests;
