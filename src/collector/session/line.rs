//! Sessions as Media Analytics lines tell them.
//!
//! A line tells what happened since the one before it (`f=R`), or since the beginning (`f=C`), and how long ago that
//! was (`dx`), so each stands for itself: lines may come late, in any order, or not at all. What lines that never came
//! would have told is made up for by the totals of the last one. No line tells the time of day: a session begins
//! where its first line that came puts it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stbeacon_core::line::decode::{DecodeError, Line, Meaning, join};
use stbeacon_core::line::keys::{Event, Metric};
use stbeacon_core::line::value::Typed;
use thiserror::Error;

use super::{Context, Key, Ledger, Session, ToldBy, signed};
use crate::figures::Figures;
use crate::labels::{Known, clipped};
use crate::networks::Networks;
use crate::time::{AHEAD, LONGEST};

/// Usual time between two lines, in ms; nothing tells it but lines themselves.
const INTERVAL: u64 = 300_000;
/// Longest time between two lines that is believed, in ms.
const MAX_INTERVAL: u64 = 3_600_000;
/// Most lines of a session of which some parts have come and others not; of further ones the oldest are given up.
const MAX_SPLIT: usize = 4;
/// Most parts of a line.
const MAX_PARTS: u32 = 32;

/// A line as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The line, without its address.
    text: String,
    attempt: String,
    /// The box, as it names itself; the address it came from where it does not.
    device: String,
    subnet: String,
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
        let line = Line::read(query)?;
        let attempt = line.value(Metric::AttemptId).filter(|id| !id.is_empty());
        let attempt = clipped(attempt.ok_or(Unusable::Missing(Metric::AttemptId))?, 128);
        let viewer = line.value(Metric::ViewerId).filter(|id| !id.is_empty()).unwrap_or(address);
        let device = clipped(viewer, 128);
        if line.value(Metric::EventCode).is_none() {
            return Err(Unusable::Missing(Metric::EventCode));
        }
        sequence(&line)?;
        Ok(Self { text: line.to_string(), attempt, device, subnet: subnet.to_owned() })
    }

    /// What the session is known by.
    pub(crate) fn key(&self) -> Key {
        Key(format!("l|{}|{}", self.device, self.attempt))
    }

    /// Takes it into the session that it is of, or begins that; `None` where it is of none.
    ///
    /// # Errors
    /// See [`Unusable`]; nothing has changed then.
    pub(crate) fn apply(
        &self,
        session: Option<Session>,
        context: &Context<'_>,
        ledger: &mut Ledger,
    ) -> Result<(Option<Session>, Taken), Unusable> {
        let line = Line::read(&self.text)?;
        let event = line.event();
        if matches!(event, None | Some(Event::Visit | Event::Feedback)) {
            return Ok((session, Taken::Aside));
        }
        let number = sequence(&line)?;
        if event == Some(Event::Heartbeat) {
            // A sign of life with numbers of its own.
            let session = session.map(|mut session| {
                session.hear(context, ledger);
                session
            });
            return Ok((session, Taken::Aside));
        }
        let mut session = session.unwrap_or_else(|| self.begin(&line, context, ledger));
        if session.seen.has(number) {
            return Ok((Some(session), Taken::Repeated));
        }
        session.hear(context, ledger);
        if session.end.is_some() {
            // Overtaken by the last line, whose totals have made up for it.
            session.seen.note(number);
            return Ok((Some(session), Taken::Aside));
        }
        let ToldBy::Line(mut state) = session.told_by.clone() else {
            return Ok((Some(session), Taken::Aside));
        };
        if let Some((_, total)) = line.part() {
            let parts = state.parts.entry(number).or_default();
            if parts.contains(&self.text) {
                return Ok((Some(session), Taken::Repeated));
            }
            if total <= MAX_PARTS {
                parts.push(self.text.clone());
            }
            let parts = parts.clone();
            let lines: Vec<_> = parts.iter().filter_map(|text| Line::read(text).ok()).collect();
            let Ok(whole) = join(&lines) else {
                while state.parts.len() > MAX_SPLIT {
                    state.parts.pop_first();
                }
                session.told_by = ToldBy::Line(state);
                return Ok((Some(session), Taken::Part));
            };
            state.parts.remove(&number);
            session.seen.note(number);
            self.count(&mut session, state, &whole, context, ledger);
        } else {
            session.seen.note(number);
            self.count(&mut session, state, &line, context, ledger);
        }
        Ok((Some(session), Taken::Counted))
    }

    fn begin(&self, line: &Line<'_>, context: &Context<'_>, ledger: &mut Ledger) -> Session {
        let start = context.now - clock(line).min(LONGEST);
        let told_by = ToldBy::Line(State::default());
        let mut session =
            Session::new(self.key(), &self.device, start, 2 * INTERVAL + 60_000, context.now, told_by);
        self.label(&mut session, line, context.networks);
        session.begin(ledger);
        session
    }

    fn count(
        &self,
        session: &mut Session,
        mut state: State,
        line: &Line<'_>,
        context: &Context<'_>,
        ledger: &mut Ledger,
    ) {
        self.label(session, line, context.networks);
        let at = (session.start + clock(line)).min(context.now + AHEAD);
        let since_last = elapsed(line);
        session.patience = session.patience.max(2 * since_last.min(MAX_INTERVAL) + 60_000);
        let from = (at - since_last).max(session.start);
        let event = line.event();
        let is_last = matches!(event, Some(Event::Complete | Event::Error));

        let startup = integer(line, Metric::StartupTime);
        let total_playing = integer(line, Metric::TotalPlayClockTime);
        let mut sums = Sums::of(session, line);
        let is_join = match event {
            Some(Event::PlayStart | Event::Playing | Event::Complete) => true,
            _ => total_playing.is_some_and(|played| played > 0) || sums.playing > 0,
        };
        if is_join && session.joined.is_none() {
            // The limit on start-up makes it 0; so it is known where it is not, or where nothing took time.
            let known = startup.filter(|startup| *startup > 0 || clock(line) == 0);
            let joined = match (event, startup) {
                (Some(Event::PlayStart), _) | (_, None) => at,
                (_, Some(startup)) => session.start + startup,
            };
            session.join(joined.min(at), known, ledger);
        }
        if line.value(Metric::LogType) == Some("C") {
            let all = sums;
            sums = sums.beyond(&state.cumulative);
            state.cumulative = all.or_larger(&state.cumulative);
        }
        if is_last {
            let missed = |metric: Metric, booked: u64, now: u64| {
                integer(line, metric).unwrap_or(0).saturating_sub(booked.saturating_add(now))
            };
            sums.playing =
                sums.playing.saturating_add(missed(Metric::TotalPlayClockTime, state.playing, sums.playing));
            sums.rebuffering = sums.rebuffering.saturating_add(missed(
                Metric::TotalRebufferTime,
                state.rebuffering,
                sums.rebuffering,
            ));
        }
        state.playing = state.playing.saturating_add(sums.playing);
        state.rebuffering = state.rebuffering.saturating_add(sums.rebuffering);
        let mut figures = sums.figures();
        if let Some((sum, count)) = sum_count(line, Metric::AverageFps).filter(|(_, count)| *count > 0) {
            figures.frames = frames(sum, count, sums.playing);
            figures.frames_ms = signed(sums.playing);
        }
        session.slice(from, at, figures, ledger);
        session.told = session.told.max(at);
        session.told_by = ToldBy::Line(state);

        if event == Some(Event::Error) {
            let code = line.value(Metric::ErrorCode).unwrap_or_default();
            // The viewer left before anything was shown.
            if !code.starts_with("Application.Close") {
                session.fail(if code.is_empty() { "unknown" } else { code });
            }
        }
        if is_last {
            session.end_at(at, false, context, ledger);
        }
    }

    fn label(&self, session: &mut Session, line: &Line<'_>, networks: &Networks) {
        let labels = &mut session.labels;
        labels.set_subnet(&self.subnet, networks);
        let mut set = |known, metrics: &[Metric]| {
            let found = metrics.iter().find_map(|metric| line.value(*metric).filter(|text| !text.is_empty()));
            labels.set(known, found.unwrap_or_default());
        };
        set(Known::Cdn, &[Metric::Cdn]);
        set(Known::Asset, &[Metric::Title, Metric::StreamName]);
        set(Known::Device, &[Metric::Device]);
        set(Known::Firmware, &[Metric::FullOs]);
        set(Known::Protocol, &[Metric::Protocol]);
        set(Known::Player, &[Metric::PlayerId, Metric::PlayerType]);
        labels.set(
            Known::Delivery,
            match line.value(Metric::DeliveryType) {
                Some("L") => "Live",
                Some("O") => "VoD",
                _ => "",
            },
        );
        for field in line.fields.iter().filter(|field| field.meaning == Meaning::Dimension) {
            labels.set_own(field.key, &field.value);
        }
    }
}

// === impl Sums ===

impl Sums {
    fn of(session: &mut Session, line: &Line<'_>) -> Self {
        let sum = |metric| integer(line, metric).unwrap_or(0);
        let playing = sum(Metric::PlayClockTime);
        let (bits, rated) = match line.field(Metric::AveragedBitRate).and_then(|field| field.typed()) {
            Some(Ok(Typed::WeightedRate(rate))) => {
                (u64::try_from(rate.rate_times_ms / 1000).unwrap_or(u64::MAX), rate.ms)
            }
            _ => match sum_count(line, Metric::PlayBackBitRate).filter(|(_, count)| *count > 0) {
                Some((sum, count)) => {
                    let rate = u64::try_from(sum / 10_000 / i128::from(count)).unwrap_or(0);
                    (u64::try_from(session.bits(rate, playing)).unwrap_or(0), playing)
                }
                None => (0, 0),
            },
        };
        Self {
            playing,
            rebuffering: sum(Metric::RebufferTime),
            seeking: sum(Metric::SeekTime),
            seeks: sum(Metric::SeekCount),
            bits,
            rated,
            dropped: sum(Metric::DroppedFrames),
        }
    }

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
fn sequence(line: &Line<'_>) -> Result<u32, Unusable> {
    let metric = Metric::SequenceId;
    let value = line.value(metric).ok_or(Unusable::Missing(metric))?;
    value.parse().map_err(|_| Unusable::Value {
        metric,
        value: clipped(value, 40),
        expected: "a whole number below 2^32",
    })
}

/// ms since the attempt was initialised.
fn clock(line: &Line<'_>) -> u64 {
    integer(line, Metric::CurrentClockTime).unwrap_or(0)
}

/// ms since the line before.
fn elapsed(line: &Line<'_>) -> u64 {
    let typed = line.field(Metric::LogInterval).and_then(|field| field.typed());
    match typed {
        Some(Ok(Typed::Decimal(seconds))) => thousandths(seconds.to_f64()),
        Some(Ok(Typed::Integer(seconds))) => u64::try_from(seconds).unwrap_or(0).saturating_mul(1000),
        _ => 0,
    }
}

fn integer(line: &Line<'_>, metric: Metric) -> Option<u64> {
    match line.field(metric)?.typed()? {
        Ok(Typed::Integer(number)) => u64::try_from(number).ok(),
        _ => None,
    }
}

/// The sum in ten-thousandths, and the number of samples.
fn sum_count(line: &Line<'_>, metric: Metric) -> Option<(i128, u64)> {
    match line.field(metric)?.typed()? {
        Ok(Typed::SumCount(value)) => Some((i128::from(thousandths(value.sum.to_f64())) * 10, value.count)),
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what fits before it is cast"
)]
fn thousandths(value: f64) -> u64 {
    (value * 1000.0).round().clamp(0.0, 1e18) as u64
}

/// Pictures in `ms` at the average of samples whose sum is in ten-thousandths.
fn frames(sum: i128, count: u64, ms: u64) -> i64 {
    let half = i128::from(count) * 5_000_000;
    let frames = sum.saturating_mul(i128::from(ms)).saturating_add(half).checked_div(2 * half).unwrap_or(0);
    i64::try_from(frames).unwrap_or(i64::MAX)
}
