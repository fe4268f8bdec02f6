//! Sessions as heartbeats tell them: every few seconds the state of the player, and what has happened since.
//!
//! Events tell when the state changed; the state at the top of each heartbeat holds whatever events were lost. Between
//! two heartbeats the state is what the last one said.

mod read;

use std::mem;

use serde::{Deserialize, Serialize};
use stbeacon_core::heartbeat::{Event, EventKind, Heartbeat, PlayingState, SeekAct};

use super::{Context, Key, Ledger, Session, ToldBy, believable_start, signed};
use crate::figures::Figures;
use crate::labels::Known;
use crate::networks::Networks;
use crate::time::{AHEAD, LONGEST, UnixMs};

/// A heartbeat as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The client, as it is told to name itself.
    pub(crate) client: String,
    device: String,
    subnet: String,
    beat: Heartbeat,
    events: Vec<Event>,
}

/// What is known of a session that is told by heartbeats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// What the player does.
    playing_state: u8,
    /// Nominal, in bit/s.
    bitrate: u64,
    /// Where the first picture has not come yet: time in ads and in waiting for the viewer, in ms.
    waited: u64,
    /// When the viewer sought; `None` where it plays again.
    sought: Option<UnixMs>,
    /// Whether the player has arrived where the viewer wanted to.
    arrived: bool,
    /// Σ of the frame rate's samples, and how many.
    frame_rates: (u64, u64),
    dropped: u64,
    /// Number of the newest heartbeat.
    newest: Option<u32>,
}

// === impl Received ===

impl Received {
    /// What the session is known by.
    pub(crate) fn key(&self) -> Key {
        Key(format!("b|{}|{}|{}", self.client, self.beat.iid, self.beat.sid))
    }

    /// The session's own name for itself, and the heartbeat's number in it.
    pub(crate) const fn id(&self) -> (i32, u32) {
        (self.beat.sid, self.beat.seq)
    }

    /// Takes it into the session that it is of, or begins that; the second says whether it is news.
    pub(crate) fn apply(
        &self,
        session: Option<Session>,
        context: &Context<'_>,
        ledger: &mut Ledger,
    ) -> (Session, bool) {
        let mut session = session.unwrap_or_else(|| self.begin(context, ledger));
        if !session.seen.note(self.beat.seq) {
            return (session, false);
        }
        session.hear(context, ledger);
        if session.end.is_some() {
            // Overtaken by its own end.
            return (session, true);
        }
        self.label(&mut session, context.networks);
        let ToldBy::Beat(mut state) = session.told_by.clone() else { return (session, false) };
        let is_newest = state.newest.is_none_or(|newest| newest < self.beat.seq);

        let played_before = session.total.playing_ms;
        let told_before = session.told;
        let mut events: Vec<_> = self.events.iter().collect();
        events.sort_by_key(|event| (event.st, event.seq));
        let mut ends = None;
        for event in events {
            let at = (session.start + event.st).min(context.now + AHEAD);
            match &event.kind {
                EventKind::StateChange { new, .. } => {
                    state.pass(&mut session, at, ledger);
                    if let Some(rate) = new.br {
                        state.bitrate = rate.saturating_mul(1000);
                    }
                    if let Some(playing_state) = new.ps {
                        state.enter(&mut session, playing_state, at, ledger);
                    }
                }
                EventKind::Seek { act: SeekAct::Pss, .. } => {
                    state.pass(&mut session, at, ledger);
                    state.sought.get_or_insert(at);
                    state.arrived = false;
                }
                EventKind::Seek { act: SeekAct::Pse, .. } => {
                    state.pass(&mut session, at, ledger);
                    state.arrived = true;
                    if state.playing_state == PlayingState::Playing as u8 {
                        state.restart(&mut session, at, ledger);
                    }
                }
                EventKind::Error { err, ft: true } => session.fail(err),
                EventKind::SessionEnd {} => ends = Some(at),
                EventKind::Seek { .. } | EventKind::Error { .. } | EventKind::Custom { .. } => {}
            }
        }
        if is_newest {
            let at = (session.start + self.beat.st).min(context.now + AHEAD);
            state.pass(&mut session, at, ledger);
            if let Some(rate) = self.beat.br {
                state.bitrate = rate.saturating_mul(1000);
            }
            if self.beat.ps != PlayingState::Unknown as u8 {
                state.enter(&mut session, self.beat.ps, at, ledger);
            }
            if self.beat.pj && session.joined.is_none() {
                let startup = state.startup(&session, at);
                session.join(at, startup, ledger);
            }
            self.frames(&mut session, &mut state, played_before, told_before, ledger);
            state.newest = Some(self.beat.seq);
        }
        session.told_by = ToldBy::Beat(state);
        if let Some(at) = ends {
            session.end_at(at, false, context, ledger);
        }
        (session, true)
    }

    fn begin(&self, context: &Context<'_>, ledger: &mut Ledger) -> Session {
        let start = believable_start(UnixMs(self.beat.sst), self.beat.st, context.now);
        let state = State {
            playing_state: PlayingState::Unknown as u8,
            bitrate: 0,
            waited: 0,
            sought: None,
            arrived: false,
            frame_rates: (0, 0),
            dropped: 0,
            newest: None,
        };
        let patience = 2 * context.beat_interval + 60_000;
        let told_by = ToldBy::Beat(state);
        let mut session = Session::new(self.key(), &self.device, start, patience, context.now, told_by);
        session.is_ad = self.beat.ad;
        self.label(&mut session, context.networks);
        session.begin(ledger);
        session
    }

    /// Frames that were shown and dropped since the heartbeat before.
    fn frames(
        &self,
        session: &mut Session,
        state: &mut State,
        played_before: i64,
        told_before: UnixMs,
        ledger: &mut Ledger,
    ) {
        let played = session.total.playing_ms.saturating_sub(played_before).max(0);
        let rates = (self.beat.rfpstot, self.beat.rfpscnt);
        let before = mem::replace(&mut state.frame_rates, rates);
        let (sum, count) = (rates.0.saturating_sub(before.0), rates.1.saturating_sub(before.1));
        let dropped = self.beat.dftot.saturating_sub(mem::replace(&mut state.dropped, self.beat.dftot));
        let mut figures = Figures { frames_dropped: signed(dropped), ..Figures::default() };
        if count > 0 && played > 0 {
            let frames = i128::from(sum) * i128::from(played) / (i128::from(count) * 1000);
            figures.frames = i64::try_from(frames).unwrap_or(i64::MAX);
            figures.frames_ms = played;
        }
        session.amounts(told_before, session.told, figures, ledger);
    }

    fn label(&self, session: &mut Session, networks: &Networks) {
        let (beat, labels) = (&self.beat, &mut session.labels);
        labels.set_subnet(&self.subnet, networks);
        labels.set(Known::Cdn, beat.rs.as_deref().unwrap_or_default());
        labels.set(Known::Asset, &beat.an);
        labels.set(Known::Device, &beat.pm.dvm);
        labels.set(Known::Firmware, if beat.pm.dvv.is_empty() { &beat.pm.osv } else { &beat.pm.dvv });
        labels.set(Known::Protocol, beat.url.split_once("://").map_or("", |(scheme, _)| scheme));
        labels.set(Known::Player, &beat.pn);
        labels.set(
            Known::Delivery,
            match beat.lv {
                Some(true) => "Live",
                Some(false) => "VoD",
                None => "",
            },
        );
        for (name, value) in beat.tags.iter().filter(|(name, _)| !name.starts_with("c3.")) {
            labels.set_own(name, value);
        }
    }
}

// === impl State ===

impl State {
    /// Time passes in the state that is known.
    fn pass(&mut self, session: &mut Session, until: UnixMs, ledger: &mut Ledger) {
        if until <= session.told {
            return;
        }
        let from = session.told.max(until - LONGEST);
        let ms = until.since(from);
        let is = |state: PlayingState| self.playing_state == state as u8;
        let mut figures = Figures::default();
        if session.joined.is_none() {
            if is(PlayingState::NotMonitored) || is(PlayingState::Paused) {
                self.waited = self.waited.saturating_add(ms);
            }
        } else if is(PlayingState::Playing) {
            figures.playing_ms = signed(ms);
            if self.bitrate > 0 {
                figures.rated_ms = signed(ms);
                figures.bits = session.bits(self.bitrate, ms);
            }
        } else if is(PlayingState::Buffering) {
            if self.sought.is_some() {
                figures.seek_buffering_ms = signed(ms);
            } else {
                figures.rebuffering_ms = signed(ms);
            }
        }
        session.slice(from, until, figures, ledger);
        session.told = until;
    }

    fn enter(&mut self, session: &mut Session, playing_state: u8, at: UnixMs, ledger: &mut Ledger) {
        self.playing_state = playing_state;
        if playing_state == PlayingState::Playing as u8 {
            if session.joined.is_none() {
                let startup = self.startup(session, at);
                session.join(at, startup, ledger);
            }
            if self.arrived {
                self.restart(session, at, ledger);
            }
        } else if playing_state == PlayingState::Paused as u8 && self.arrived {
            // Where the viewer pauses, nothing waits to be played.
            self.sought = None;
        }
    }

    /// Video start-up time in ms; `None` where what has happened is not known for certain.
    fn startup(&self, session: &Session, at: UnixMs) -> Option<u64> {
        session.seen.is_whole().then(|| at.since(session.start).saturating_sub(self.waited))
    }

    /// It plays again after a seek.
    fn restart(&mut self, session: &mut Session, at: UnixMs, ledger: &mut Ledger) {
        self.arrived = false;
        let Some(sought) = self.sought.take() else { return };
        if session.joined.is_some() {
            let figures = Figures { restart_ms: signed(at.since(sought)), restarts: 1, ..Figures::default() };
            session.amounts(at, at, figures, ledger);
        }
    }
}
