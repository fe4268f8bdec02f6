//! Sessions as Media Analytics lines tell them.
//!
//! A line tells what happened since the one before it (`f=R`), or since the beginning (`f=C`), and how long ago that
//! was (`dx`), so each stands for itself: lines may come late, in any order, or not at all. What lines that never came
//! would have told is made up for by the totals of the last one. No line tells the time of day: a session begins
//! where its first line that came puts it.

mod told;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stbeacon_core::line::decode::{DecodeError, Fields, Line, join};
use stbeacon_core::line::keys::{Event, Metric};
use thiserror::Error;

use self::told::{Reading, Told};

use super::{Context, Key, Ledger, Session, ToldBy, signed};
use crate::figures::Figures;
use crate::labels::{clipped, push_clipped};
use crate::networks::Networks;
use crate::time::{AHEAD, LONGEST};

/// Usual time between two lines, in ms; nothing tells it but lines themselves.
const INTERVAL: u64 = 300_000;
/// Longest time between two lines that is believed, in ms.
const MAX_INTERVAL: u64 = 3_600_000;
/// Most lines of a session of which some parts have come and others not; of further ones the oldest are given up.
const MAX_SPLIT: usize = 4;
/// Longest name of a box or an attempt, in characters.
const MAX_ID: usize = 128;
/// Most parts of a line.
const MAX_PARTS: u32 = 32;

/// A line as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    key: Key,
    /// The box, as it names itself; the address it came from where it does not.
    device: String,
    subnet: String,
    /// The line's number in its session.
    number: u32,
    content: Content,
}

/// What is in a line.
#[derive(Debug, Clone)]
enum Content {
    Whole(Box<Told>),
    /// A part of one: which tells nothing before the others are there.
    Part {
        event: Option<Event>,
        total: u32,
        text: String,
    },
}

/// Why a line is of no use.
#[derive(Debug, Error)]
pub(crate) enum Unusable {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("the line has no key {0}, which says what it is of")]
    Missing(Metric),
    #[error("{metric} is {value:?}; expected {expected}")]
    Value { metric: Metric, value: String, expected: &'static str },
}

/// What a line changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is counted.
    Counted,
    /// A part of a line; the others have not come yet.
    Part,
    /// It was there before.
    Repeated,
    /// It says nothing that is counted.
    Aside,
}

/// What is known of a session that is told by lines.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct State {
    /// Parts of lines, by the line's number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<u32, Vec<String>>,
    /// What cumulative lines have told so far.
    #[serde(skip_serializing_if = "Sums::is_nothing")]
    cumulative: Sums,
    /// What of the totals that the last line tells is booked.
    playing: u64,
    rebuffering: u64,
}

/// What a line counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Sums {
    playing: u64,
    rebuffering: u64,
    seeking: u64,
    seeks: u64,
    bits: u64,
    rated: u64,
    dropped: u64,
}

// === impl Received ===

impl Received {
    /// A line that was sent from `address`, in `subnet`.
    ///
    /// # Errors
    /// Where it is none, or does not say of which attempt it is.
    pub(crate) fn read(query: &str, address: &str, subnet: &str) -> Result<Self, Unusable> {
        let mut reading = Reading::default();
        for field in Fields::of(query)? {
            reading.take(field?);
        }
        let attempt = reading.attempt.as_deref().filter(|id| !id.is_empty());
        let attempt = attempt.ok_or(Unusable::Missing(Metric::AttemptId))?;
        let viewer = reading.viewer.as_deref().filter(|id| !id.is_empty()).unwrap_or(address);
        let device = clipped(viewer, MAX_ID);
        let mut key = String::with_capacity(4 + device.len() + attempt.len());
        for part in ["l|", &device, "|"] {
            key.push_str(part);
        }
        push_clipped(&mut key, attempt, MAX_ID);
        if !reading.has_event {
            return Err(Unusable::Missing(Metric::EventCode));
        }
        let number = sequence(reading.number.as_deref())?;
        let content = match reading.parts() {
            Some(total) => {
                let event = reading.told().event;
                Content::Part { event, total, text: Line::read(query)?.to_string() }
            }
            None => Content::Whole(Box::new(reading.told())),
        };
        Ok(Self { key: Key(key), device, subnet: subnet.to_owned(), number, content })
    }

    /// What the session is known by.
    pub(crate) fn key(&self) -> Key {
        self.key.clone()
    }

    /// Takes it into the session that it is of, or begins that; `None` where it is of none.
    pub(crate) fn apply(
        &self,
        session: Option<Box<Session>>,
        context: &Context<'_>,
        ledger: &mut Ledger,
    ) -> (Option<Box<Session>>, Taken) {
        let event = match &self.content {
            Content::Whole(told) => told.event,
            Content::Part { event, .. } => *event,
        };
        if matches!(event, None | Some(Event::Visit | Event::Feedback)) {
            return (session, Taken::Aside);
        }
        if event == Some(Event::Heartbeat) {
            // A sign of life with numbers of its own.
            let session = session.map(|mut session| {
                session.hear(context, ledger);
                session
            });
            return (session, Taken::Aside);
        }
        let number = self.number;
        let mut session = session.unwrap_or_else(|| Box::new(self.begin(context, ledger)));
        if session.seen.has(number) {
            return (Some(session), Taken::Repeated);
        }
        session.hear(context, ledger);
        if session.end.is_some() {
            // Overtaken by the last line, whose totals have made up for it.
            session.seen.note(number);
            return (Some(session), Taken::Aside);
        }
        let ToldBy::Line(state) = &mut session.told_by else { return (Some(session), Taken::Aside) };
        let mut state = std::mem::take(state);
        let taken = match &self.content {
            Content::Whole(told) => {
                session.seen.note(number);
                self.count(&mut session, &mut state, told, context, ledger);
                Taken::Counted
            }
            Content::Part { total, text, .. } => match state.part(number, *total, text) {
                Ok(whole) => {
                    session.seen.note(number);
                    self.count(&mut session, &mut state, &whole, context, ledger);
                    Taken::Counted
                }
                Err(taken) => taken,
            },
        };
        session.told_by = ToldBy::Line(state);
        (Some(session), taken)
    }

    fn begin(&self, context: &Context<'_>, ledger: &mut Ledger) -> Session {
        // The first part that comes may be one that tells none of this.
        let part = match &self.content {
            Content::Whole(_) => None,
            Content::Part { text, .. } => Line::read(text).ok().map(|line| Told::by(&line)),
        };
        let told = match &self.content {
            Content::Whole(told) => Some(&**told),
            Content::Part { .. } => part.as_ref(),
        };
        let start = context.now - told.map_or(0, |told| told.clock).min(LONGEST);
        let told_by = ToldBy::Line(State::default());
        let mut session =
            Session::new(self.key(), &self.device, start, 2 * INTERVAL + 60_000, context.now, told_by);
        if let Some(told) = told {
            self.label(&mut session, told, context.networks);
        }
        session.begin(ledger);
        session
    }

    fn count(
        &self,
        session: &mut Session,
        state: &mut State,
        told: &Told,
        context: &Context<'_>,
        ledger: &mut Ledger,
    ) {
        self.label(session, told, context.networks);
        let at = (session.start + told.clock).min(context.now + AHEAD);
        session.patience = session.patience.max(2 * told.elapsed.min(MAX_INTERVAL) + 60_000);
        let from = (at - told.elapsed).max(session.start);
        let is_last = matches!(told.event, Some(Event::Complete | Event::Error));

        let mut sums = told.sums;
        if let Some(rate) = told.rate {
            sums.bits = u64::try_from(session.bits(rate, sums.playing)).unwrap_or(0);
            sums.rated = sums.playing;
        }
        let is_join = match told.event {
            Some(Event::PlayStart | Event::Playing | Event::Complete) => true,
            _ => told.total_playing.is_some_and(|played| played > 0) || sums.playing > 0,
        };
        if is_join && session.joined.is_none() {
            // The limit on start-up makes it 0; so it is known where it is not, or where nothing took time.
            let known = told.startup.filter(|startup| *startup > 0 || told.clock == 0);
            let joined = match (told.event, told.startup) {
                (Some(Event::PlayStart), _) | (_, None) => at,
                (_, Some(startup)) => session.start + startup,
            };
            session.join(joined.min(at), known, ledger);
        }
        if told.is_cumulative {
            let all = sums;
            sums = sums.beyond(&state.cumulative);
            state.cumulative = all.or_larger(&state.cumulative);
        }
        if is_last {
            let missed = |total: Option<u64>, booked: u64, now: u64| {
                total.unwrap_or(0).saturating_sub(booked.saturating_add(now))
            };
            sums.playing =
                sums.playing.saturating_add(missed(told.total_playing, state.playing, sums.playing));
            sums.rebuffering = sums.rebuffering.saturating_add(missed(
                told.total_rebuffering,
                state.rebuffering,
                sums.rebuffering,
            ));
        }
        state.playing = state.playing.saturating_add(sums.playing);
        state.rebuffering = state.rebuffering.saturating_add(sums.rebuffering);
        let mut figures = sums.figures();
        if let Some((sum, count)) = told.fps {
            figures.frames = frames(sum, count, sums.playing);
            figures.frames_ms = signed(sums.playing);
        }
        session.slice(from, at, figures, ledger);
        session.told = session.told.max(at);

        // The viewer left before anything was shown.
        if told.event == Some(Event::Error) && !told.error.starts_with("Application.Close") {
            session.fail(if told.error.is_empty() { "unknown" } else { &told.error });
        }
        if is_last {
            session.end_at(at, false, context, ledger);
        }
    }

    fn label(&self, session: &mut Session, told: &Told, networks: &Networks) {
        let labels = &mut session.labels;
        labels.set_subnet(&self.subnet, networks);
        for (known, value) in told.labels.iter() {
            labels.set(known, value);
        }
        for (name, value) in &told.own {
            labels.set_own(name, value);
        }
    }
}

// === impl State ===

impl State {
    /// Keeps a part of a line; the whole line, where it was the last that was missing.
    fn part(&mut self, number: u32, total: u32, text: &str) -> Result<Told, Taken> {
        let parts = self.parts.entry(number).or_default();
        if parts.iter().any(|part| part == text) {
            return Err(Taken::Repeated);
        }
        if total <= MAX_PARTS {
            parts.push(text.to_owned());
        }
        let lines: Vec<_> = parts.iter().filter_map(|text| Line::read(text).ok()).collect();
        let whole = join(&lines).map(|whole| Told::by(&whole));
        let Ok(whole) = whole else {
            while self.parts.len() > MAX_SPLIT {
                self.parts.pop_first();
            }
            return Err(Taken::Part);
        };
        self.parts.remove(&number);
        Ok(whole)
    }
}

// === impl Sums ===

impl Sums {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }

    /// What of these goes beyond others.
    const fn beyond(&self, others: &Self) -> Self {
        Self {
            playing: self.playing.saturating_sub(others.playing),
            rebuffering: self.rebuffering.saturating_sub(others.rebuffering),
            seeking: self.seeking.saturating_sub(others.seeking),
            seeks: self.seeks.saturating_sub(others.seeks),
            bits: self.bits.saturating_sub(others.bits),
            rated: self.rated.saturating_sub(others.rated),
            dropped: self.dropped.saturating_sub(others.dropped),
        }
    }

    fn or_larger(&self, others: &Self) -> Self {
        Self {
            playing: self.playing.max(others.playing),
            rebuffering: self.rebuffering.max(others.rebuffering),
            seeking: self.seeking.max(others.seeking),
            seeks: self.seeks.max(others.seeks),
            bits: self.bits.max(others.bits),
            rated: self.rated.max(others.rated),
            dropped: self.dropped.max(others.dropped),
        }
    }

    fn figures(&self) -> Figures {
        Figures {
            playing_ms: signed(self.playing),
            rebuffering_ms: signed(self.rebuffering),
            seek_buffering_ms: signed(self.seeking),
            restart_ms: signed(self.seeking),
            restarts: signed(self.seeks),
            bits: signed(self.bits),
            rated_ms: signed(self.rated),
            frames_dropped: signed(self.dropped),
            ..Figures::default()
        }
    }
}

/// The line's number in its session.
fn sequence(value: Option<&str>) -> Result<u32, Unusable> {
    let metric = Metric::SequenceId;
    let value = value.ok_or(Unusable::Missing(metric))?;
    value.parse().map_err(|_| Unusable::Value {
        metric,
        value: clipped(value, 40),
        expected: "a whole number below 2^32",
    })
}

/// Pictures in `ms` at the average of samples whose sum is in ten-thousandths.
fn frames(sum: i128, count: u64, ms: u64) -> i64 {
    let half = i128::from(count) * 5_000_000;
    let frames = sum.saturating_mul(i128::from(ms)).saturating_add(half).checked_div(2 * half).unwrap_or(0);
    i64::try_from(frames).unwrap_or(i64::MAX)
}
