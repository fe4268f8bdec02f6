//! Heartbeats: a sign of life every few seconds, with what has happened since the last one.
//!
//! [`Heartbeats`] follows the journal of all sessions
//! ([`Sessions::poll_entry`](crate::session::Sessions::poll_entry)) and gives out [`Request`]s: `POST` to
//! `GATEWAY/0/wsg`, JSON, no authentication, protocol 2.8. The first is made at once, further ones every interval,
//! and one right after the first picture, after a fatal error and at the end.
//!
//! Whoever sends them keeps each until it has arrived, and sends those of a session in order. While one of a session
//! has not arrived, the next is made only to tell something new, and at most once an interval: an outage does not
//! fill up the store with signs of life that are of no use any more. Each heartbeat has a number of its own, and each
//! event has one too: a receiver can tell gaps and repetitions of both by [`RequestId`].
//!
//! Of an answer, `hbi`, `maxhbinfos`, `clid` and `gw` are honoured, `gw` only where it is as safe as the address in
//! use. Whatever would make the agent a remote control (`slg`, `csi_en`) is not.

mod session;
mod wire;

use std::collections::BTreeMap;

use serde::Deserialize;
use thiserror::Error;

pub use self::wire::{
    Answer, AnswerConfig, Change, Event, EventKind, Heartbeat, Info, PROTOCOL, Platform, PlayingState,
    SeekAct,
};

use self::session::{Frame, Session};
use crate::player::{AdStatus, SessionId};
use crate::provisioning::HttpUrl;
use crate::session::{Entry, Fact};
use crate::time::{Millis, WallAnchor};

/// Most events that wait for the next heartbeat; the oldest go first.
pub const MAX_EVENTS: usize = 256;

/// What an interval told by the service must lie in, in seconds.
const INTERVALS: std::ops::RangeInclusive<u64> = 1..=3600;
/// Most [`Info`]s, whatever the service says.
const MAX_INFOS: usize = 16;

/// Who speaks, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where to.
    pub gateway: HttpUrl,
    /// The operator's key.
    pub customer_key: String,
    /// Time between two heartbeats of a session.
    pub interval: Millis,
    /// The box.
    pub platform: Platform,
    /// Version of the agent.
    pub client_version: String,
    /// The viewer.
    pub viewer_id: String,
    /// The player's name.
    pub player_name: String,
    /// The operator's own values, for every session.
    pub tags: BTreeMap<String, String>,
    /// The client's id that the service once gave; `0.0.0.0` if it never did.
    pub client_id: String,
}

/// Heartbeats of all sessions to one gateway.
#[derive(Debug)]
pub struct Heartbeats {
    settings: Settings,
    instance: i32,
    max_infos: usize,
    /// By `sid`.
    sessions: BTreeMap<i32, Session>,
    /// `sid`s of what runs: the content, and its ad.
    running: BTreeMap<SessionId, (i32, Option<i32>)>,
    /// Events that were given up.
    lost: u64,
}

/// One heartbeat to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which one; to be given back with its answer.
    pub id: RequestId,
    /// JSON.
    pub body: String,
}

/// What a heartbeat is known by, however often and by whichever run of the agent it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub struct RequestId {
    /// The run of the agent that made it.
    pub iid: i32,
    /// The session.
    pub sid: i32,
    /// Its number in the session, from 0.
    pub seq: u32,
}

/// Why an answer was not taken in all its parts. The heartbeat itself has arrived.
#[derive(Debug, Error)]
pub enum AnswerError {
    /// Not JSON.
    #[error("the answer to a heartbeat is not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The service says that something is wrong with it.
    #[error("the heartbeat service answers {0:?}")]
    Service(String),
    /// Heartbeats are to go where they would be less safe, or nowhere.
    #[error(
        "the heartbeat service sends us to {0:?}, which is no address or less safe than the one in use; staying"
    )]
    Gateway(String),
}

// === impl RequestId ===

impl RequestId {
    /// Of a heartbeat that was kept, by its body; `None` if that is none.
    #[must_use]
    pub fn of(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }
}

// === impl Heartbeats ===

impl Heartbeats {
    /// No session yet. `random` gives 128 random bits at each call.
    pub fn new(settings: Settings, random: &mut dyn FnMut() -> u128) -> Self {
        let instance = id(random());
        Self {
            settings,
            instance,
            max_infos: 2,
            sessions: BTreeMap::new(),
            running: BTreeMap::new(),
            lost: 0,
        }
    }

    /// The client's id, to be kept across restarts: the service may have given one.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.settings.client_id
    }

    /// How many events were given up because there were too many before a heartbeat could be made.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes one entry of the journal of all sessions. `random` gives 128 random bits at each call.
    pub fn handle_entry(&mut self, entry: &Entry, random: &mut dyn FnMut() -> u128) {
        let Entry::Session { id: name, at, fact, .. } = entry else { return };
        if let Fact::Opened(open) = fact {
            let sid = self.free_id(random);
            self.sessions.insert(sid, Session::content(*at, open));
            self.running.insert(name.clone(), (sid, None));
            return;
        }
        let Some(&(sid, ad)) = self.running.get(name) else { return };
        match fact {
            Fact::AdStarted(told) => {
                let ad = self.free_id(random);
                self.sessions.insert(ad, Session::ad(*at, told, sid));
                self.running.insert(name.clone(), (sid, Some(ad)));
            }
            Fact::AdEnded(record) => {
                if let Some(session) = ad.filter(|_| record.started).and_then(|ad| self.sessions.get_mut(&ad))
                {
                    if record.status == AdStatus::Error {
                        session.fail(*at, "ad-error", true);
                    }
                    session.end(*at);
                    self.running.insert(name.clone(), (sid, None));
                }
            }
            Fact::Closed { .. } => {
                self.running.remove(name);
            }
            _ => {}
        }
        if let Some(session) = self.sessions.get_mut(&sid) {
            session.fact(*at, fact);
        }
        let lost = self.sessions.values_mut().map(Session::shed).sum::<u64>();
        self.lost = self.lost.saturating_add(lost);
    }

    /// The next heartbeat that is due at `now`. The books of all sessions should be settled up to `now` before,
    /// see [`Sessions::settle`](crate::session::Sessions::settle).
    ///
    /// It must be kept until it has arrived, see [`Heartbeats::keep_waiting`].
    pub fn poll_request(&mut self, now: Millis, wall: &WallAnchor) -> Option<Request> {
        let (&sid, session) =
            self.sessions.iter_mut().find(|(_, session)| session.due().is_some_and(|due| due <= now))?;
        let frame = Frame { settings: &self.settings, sid, instance: self.instance, wall, now };
        let beat = session.beat(&frame);
        if session.has_ended() {
            self.sessions.remove(&sid);
        }
        let id = RequestId { iid: self.instance, sid, seq: beat.seq };
        // The types have only string keys and text takes every character: this cannot fail.
        let body = serde_json::to_string(&beat).unwrap_or_default();
        Some(Request { id, body })
    }

    /// This run of the agent, as heartbeats name it.
    #[must_use]
    pub const fn instance(&self) -> i32 {
        self.instance
    }

    /// Where heartbeats are to be sent now.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/0/wsg", self.settings.gateway.as_str().trim_end_matches('/'))
    }

    /// Says of which sessions (`sid`) a heartbeat has been made that neither arrived nor was given up.
    pub fn keep_waiting(&mut self, waits: impl Fn(i32) -> bool) {
        for (sid, session) in &mut self.sessions {
            session.keep_waiting(waits(*sid));
        }
    }

    /// When [`Heartbeats::poll_request`] next has something to give.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.sessions.values().filter_map(Session::due).min()
    }

    /// A heartbeat that went out at `sent` has arrived, and was answered with `body`.
    ///
    /// # Errors
    /// Where the answer, or something in it, makes no sense; the rest of it holds.
    pub fn handle_answer(
        &mut self,
        now: Millis,
        sent: Millis,
        id: RequestId,
        body: &[u8],
    ) -> Result<(), AnswerError> {
        let answer = serde_json::from_slice::<Answer>(body);
        let said = match &answer {
            Ok(answer) => answer.err.clone().unwrap_or_else(|| "ok".to_owned()),
            Err(_) => "not JSON".to_owned(),
        };
        let rtt = i64::try_from(now.since(sent).0).unwrap_or(i64::MAX);
        self.inform(id, rtt, &said);
        let Answer { clid, gw, cfg, .. } = answer?;
        if let Some(clid) = clid.filter(|clid| is_client_id(clid)) {
            self.settings.client_id = clid;
        }
        let cfg = cfg.unwrap_or_default();
        if let Some(seconds) = cfg.hbi {
            self.settings.interval = Millis::from_secs(seconds.clamp(*INTERVALS.start(), *INTERVALS.end()));
            let interval = self.settings.interval;
            self.sessions.values_mut().for_each(|session| session.hasten(now + interval));
        }
        if let Some(most) = cfg.maxhbinfos {
            self.max_infos = usize::try_from(most).unwrap_or(MAX_INFOS).min(MAX_INFOS);
        }
        if let Some(gateway) = gw.or(cfg.gw).filter(|gateway| !gateway.is_empty()) {
            self.redirect(gateway)?;
        }
        if said == "ok" { Ok(()) } else { Err(AnswerError::Service(said)) }
    }

    /// A heartbeat did not arrive, as far as is known: no connection, no answer in time, another status than 2xx.
    pub fn handle_failure(&mut self, id: RequestId, why: &str) {
        self.inform(id, -1, why);
    }

    /// The service is told with the next heartbeat how this one fared.
    fn inform(&mut self, id: RequestId, rtt: i64, err: &str) {
        let max_infos = self.max_infos;
        if let Some(session) = self.sessions.get_mut(&id.sid).filter(|_| id.iid == self.instance) {
            session.inform(Info { seq: id.seq, rtt, err: err.to_owned() }, max_infos);
        }
    }

    fn redirect(&mut self, gateway: String) -> Result<(), AnswerError> {
        let known = &self.settings.gateway;
        let text = if gateway.contains("://") {
            gateway.clone()
        } else {
            // A bare host keeps the scheme in use.
            format!("{}://{gateway}", if known.is_https() { "https" } else { "http" })
        };
        match HttpUrl::parse(&text) {
            Ok(url) if url.is_https() || !known.is_https() => {
                self.settings.gateway = url;
                Ok(())
            }
            _ => Err(AnswerError::Gateway(gateway)),
        }
    }

    fn free_id(&self, random: &mut dyn FnMut() -> u128) -> i32 {
        loop {
            let id = id(random());
            if id != 0 && !self.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

/// The low 32 bits.
fn id(random: u128) -> i32 {
    let [a, b, c, d, ..] = random.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// Four dotted numbers of 32 bits.
fn is_client_id(text: &str) -> bool {
    text.split('.').count() == 4 && text.split('.').all(|part| part.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests;
