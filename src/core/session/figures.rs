//! One session: where its time went, and what happened in it.

use serde::{Deserialize, Serialize};

use super::counts::{Counting, Counts};
use crate::player::{
    Bitrate, CloseReason, Counters, Open, PlayerError, PlayerState, Seek, SeekPhase, SessionEvent, SessionId,
    Tags,
};
use crate::time::Millis;

/// How many different bit rates are kept apart; the time of further ones counts in the average alone.
const MAX_RATES: usize = 32;

/// What a session is doing. Every millisecond of it belongs to exactly one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// From the attempt until it plays: connecting, first buffering, first picture.
    Startup,
    /// The picture moves.
    Playing,
    /// The user has paused.
    Paused,
    /// It waits for data in mid-play, through no wish of the user.
    Rebuffering,
    /// From a seek until it plays again, the buffering it causes included.
    Seeking,
}

/// What a session has come to: the part of its figures that is kept as sums.
///
/// A player sends it as `resume`, so that a daemon that was restarted goes on where the old one was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// From the attempt to the first picture; absent until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<Millis>,
    /// Whether it ever played, that is left [`Phase::Startup`].
    pub started: bool,
    /// Time in [`Phase::Startup`].
    pub startup: Millis,
    /// Time in [`Phase::Playing`].
    pub playing: Millis,
    /// Time in [`Phase::Paused`].
    pub paused: Millis,
    /// Time in [`Phase::Rebuffering`].
    pub rebuffering: Millis,
    /// Time in [`Phase::Seeking`].
    pub seeking: Millis,
    /// How often it had to wait for data in mid-play; start-up and seeks apart.
    pub rebuffers: u64,
    /// How often the user paused.
    pub pauses: u64,
    /// How often the user moved the playhead.
    pub seeks: u64,
    /// Switches to a higher bit rate.
    pub switches_up: u64,
    /// Switches to a lower bit rate.
    pub switches_down: u64,
    /// Nominal bit rate of what plays now, in bit/s; 0 while unknown.
    pub bitrate: u64,
    /// Time played at a known bit rate.
    pub rated: Millis,
    /// Σ nominal bit rate × time played at it, in bit/s × ms.
    pub rate_time: u64,
    /// Time played at each bit rate, in the order in which they first came.
    pub rates: Vec<RateTime>,
}

/// Time played at one nominal bit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateTime {
    /// In bit/s.
    pub bitrate: u64,
    /// Playing time.
    pub played: Millis,
}

/// A session at one moment: what every output is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The player's name for it.
    pub id: SessionId,
    /// What is played.
    pub open: Open,
    /// When the attempt began.
    pub opened: Millis,
    /// When the first picture came; `None` if it never did.
    pub first_frame: Option<Millis>,
    /// The moment of this snapshot, or the session's end.
    pub at: Millis,
    /// What it is doing, or was doing when it ended.
    pub phase: Phase,
    /// Where its time went, and what happened.
    pub totals: Totals,
    /// Frames, bytes, continuity.
    pub counts: Counts,
    /// The newest counters for what is no sum: position, duration, buffer, frame rate.
    pub latest: Counters,
    /// Nominal representation that plays now.
    pub representation: Bitrate,
    /// Facts about what is played.
    pub tags: Tags,
    /// The last error, a fatal one before any other.
    pub error: Option<PlayerError>,
    /// How many errors there were.
    pub errors: u64,
    /// Why it ended; `None` while it runs.
    pub closed: Option<CloseReason>,
}

/// A session that runs.
#[derive(Debug)]
pub(super) struct Session {
    id: SessionId,
    open: Open,
    opened: Millis,
    first_frame: Option<Millis>,
    /// Time before this point is in the totals.
    settled: Millis,
    state: Option<PlayerState>,
    waiting: Option<Waiting>,
    seeking: bool,
    totals: Totals,
    counting: Counting,
    latest: Counters,
    representation: Bitrate,
    tags: Tags,
    error: Option<PlayerError>,
    errors: u64,
}

/// Why the player waits for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Nobody asked for it.
    Stall {
        /// Whether it is in `rebuffers` already.
        counted: bool,
    },
    /// A seek emptied the buffer.
    Seek,
}

impl Snapshot {
    /// When play-back began: the first picture, or the attempt where none came.
    #[must_use]
    pub fn begin(&self) -> Millis {
        self.first_frame.unwrap_or(self.opened)
    }

    /// Average bit rate of the stream in bit/s: bytes that entered the demuxer × 8 / playing time.
    /// 0 where nothing was played.
    #[must_use]
    pub fn avg_bitrate(&self) -> u64 {
        let bits_ms = u128::from(self.counts.bytes) * 8 * 1000;
        let rate = bits_ms.checked_div(u128::from(self.totals.playing.0)).unwrap_or(0);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

impl Totals {
    /// Average of the nominal bit rate over the time played at a known one, in bit/s; 0 while none is known.
    #[must_use]
    pub fn avg_nominal_bitrate(&self) -> u64 {
        self.rate_time.checked_div(self.rated.0).unwrap_or(0)
    }

    /// Adds `elapsed` to the sum of `phase`.
    fn spend(&mut self, phase: Phase, elapsed: Millis) {
        let sum = match phase {
            Phase::Startup => &mut self.startup,
            Phase::Playing => &mut self.playing,
            Phase::Paused => &mut self.paused,
            Phase::Rebuffering => &mut self.rebuffering,
            Phase::Seeking => &mut self.seeking,
        };
        *sum = *sum + elapsed;
        if phase == Phase::Playing && self.bitrate > 0 {
            self.rated = self.rated + elapsed;
            self.rate_time = self.rate_time.saturating_add(self.bitrate.saturating_mul(elapsed.0));
            let bitrate = self.bitrate;
            if let Some(rate) = self.rates.iter_mut().find(|rate| rate.bitrate == bitrate) {
                rate.played = rate.played + elapsed;
            } else if self.rates.len() < MAX_RATES {
                self.rates.push(RateTime { bitrate, played: elapsed });
            }
        }
    }
}

impl Session {
    pub(super) fn open(id: SessionId, at: Millis, open: Open) -> Self {
        Self {
            id,
            open,
            opened: at,
            first_frame: None,
            settled: at,
            state: None,
            waiting: None,
            seeking: false,
            totals: Totals::default(),
            counting: Counting::default(),
            latest: Counters::default(),
            representation: Bitrate::default(),
            tags: Tags::default(),
            error: None,
            errors: 0,
        }
    }

    /// A session whose earlier part is reported already: what is told first is where it starts from.
    pub(super) fn reopen(id: SessionId, now: Millis, open: Open) -> Self {
        Self { counting: Counting::from_next(), ..Self::open(id, now, open) }
    }

    pub(super) fn url(&self) -> &str {
        &self.open.url
    }

    pub(super) fn handle_event(&mut self, at: Millis, event: SessionEvent) {
        self.settle(at);
        match event {
            SessionEvent::Open(_) | SessionEvent::Close(_) => {}
            SessionEvent::Resume(totals) => self.resume(totals),
            SessionEvent::State(state) => self.set_state(state),
            SessionEvent::FirstFrame => self.join(),
            SessionEvent::Counters(counters) => self.count(counters),
            SessionEvent::Seek(seek) => self.seek(seek),
            SessionEvent::Bitrate(bitrate) => self.switch(bitrate),
            SessionEvent::Buffering(buffering) => self.wait(buffering.percent < 100),
            SessionEvent::Error(error) => self.fail(error),
            SessionEvent::Tags(tags) => self.tags.update(tags),
        }
        self.enter();
    }

    pub(super) fn close(&mut self, at: Millis, reason: CloseReason) -> Snapshot {
        self.settle(at);
        let at = self.settled;
        Snapshot { closed: Some(reason), ..self.snapshot(at) }
    }

    pub(super) fn snapshot(&self, now: Millis) -> Snapshot {
        let at = now.max(self.settled);
        let phase = self.phase();
        let mut totals = self.totals.clone();
        totals.spend(phase, at.since(self.settled));
        Snapshot {
            id: self.id.clone(),
            open: self.open.clone(),
            opened: self.opened,
            first_frame: self.first_frame,
            at,
            phase,
            totals,
            counts: *self.counting.sum(),
            latest: self.latest,
            representation: self.representation.clone(),
            tags: self.tags.clone(),
            error: self.error.clone(),
            errors: self.errors,
            closed: None,
        }
    }

    fn phase(&self) -> Phase {
        match (self.state, self.waiting) {
            (Some(PlayerState::Paused), _) if self.first_frame.is_some() => Phase::Paused,
            _ if !self.totals.started => Phase::Startup,
            _ if self.seeking => Phase::Seeking,
            (_, Some(Waiting::Seek)) => Phase::Seeking,
            (_, Some(Waiting::Stall { .. })) => Phase::Rebuffering,
            (_, None) => Phase::Playing,
        }
    }

    /// Puts the time since the last event where it belongs. Time told backwards counts as no time.
    fn settle(&mut self, at: Millis) {
        let elapsed = at.since(self.settled);
        let phase = self.phase();
        self.totals.spend(phase, elapsed);
        self.settled = self.settled.max(at);
    }

    /// What becomes true by itself once an event has been taken.
    fn enter(&mut self) {
        if self.first_frame.is_some() && self.state == Some(PlayerState::Playing) && self.waiting.is_none() {
            self.totals.started = true;
        }
        if self.phase() == Phase::Rebuffering {
            if let Some(Waiting::Stall { counted: counted @ false }) = &mut self.waiting {
                *counted = true;
                self.totals.rebuffers = self.totals.rebuffers.saturating_add(1);
            }
        }
    }

    fn resume(&mut self, totals: Totals) {
        if self.counting.starts_from_next() {
            // Its earlier part has been reported; only whether it ever played is still of interest.
            self.totals.started = totals.started;
            self.first_frame = totals.join.map(|_| self.settled);
            return;
        }
        self.first_frame = totals.join.map(|join| self.opened + join);
        // A total that the wire may carry but no session can have come to does no more harm than a wrong sum.
        self.totals = totals;
        self.totals.rates.truncate(MAX_RATES);
    }

    fn set_state(&mut self, state: PlayerState) {
        if self.state != Some(state) && state == PlayerState::Paused && self.first_frame.is_some() {
            self.totals.pauses = self.totals.pauses.saturating_add(1);
        }
        self.state = Some(state);
    }

    fn join(&mut self) {
        if self.first_frame.is_none() {
            self.first_frame = Some(self.settled);
            self.totals.join = Some(self.settled.since(self.opened));
        }
    }

    fn count(&mut self, counters: Counters) {
        self.counting.update(&counters);
        self.latest = counters;
        // A player that does not tell its first frame has had it once frames come out while it plays.
        let decoded = counters.video.decoded > 0 || counters.audio.decoded > 0;
        if decoded && self.state == Some(PlayerState::Playing) {
            self.join();
        }
    }

    fn seek(&mut self, seek: Seek) {
        match seek.phase {
            SeekPhase::Start => {
                self.totals.seeks = self.totals.seeks.saturating_add(1);
                self.seeking = true;
                self.waiting = self.waiting.map(|_| Waiting::Seek);
            }
            SeekPhase::End => self.seeking = false,
        }
    }

    fn switch(&mut self, to: Bitrate) {
        let from = self.totals.bitrate;
        if from > 0 && to.bitrate > 0 {
            let Totals { switches_up, switches_down, .. } = &mut self.totals;
            *switches_up = switches_up.saturating_add(u64::from(to.bitrate > from));
            *switches_down = switches_down.saturating_add(u64::from(to.bitrate < from));
        }
        self.totals.bitrate = to.bitrate;
        self.representation = to;
    }

    fn wait(&mut self, waits: bool) {
        self.waiting = match (waits, self.waiting) {
            (false, _) => None,
            (true, Some(waiting)) => Some(waiting),
            (true, None) if self.seeking => Some(Waiting::Seek),
            (true, None) => Some(Waiting::Stall { counted: false }),
        };
    }

    fn fail(&mut self, error: PlayerError) {
        self.errors += 1;
        let graver = self.error.as_ref().is_none_or(|known| error.fatal || !known.fatal);
        if graver {
            self.error = Some(error);
        }
    }
}

impl Tags {
    fn update(&mut self, new: Self) {
        let Self { title, video_codec, audio_codec, container } = new;
        let fields = [
            (&mut self.title, title),
            (&mut self.video_codec, video_codec),
            (&mut self.audio_codec, audio_codec),
            (&mut self.container, container),
        ];
        for (field, new) in fields {
            if new.is_some() {
                *field = new;
            }
        }
    }
}
