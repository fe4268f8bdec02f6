//! One model of a session, whichever way it is told: by STB reports, by Media Analytics lines, by heartbeats.
//!
//! Each way in ([`report`], [`line`], [`beat`]) turns what it is told into four things: that the session began, that its
//! first picture came, what a slice of time held, that it ended. Those are booked here: into the session's totals and, at
//! the same stroke and minute by minute, into a [`Ledger`]. So what roll-ups hold is what sessions hold.
//!
//! * An attempt counts in the minute in which it began, a play in that of its first picture, ended plays and failures in
//!   that of the end, all that has a length in the slices of time that lie in each minute.
//! * A session that falls silent ends where it was last known to be. Should it speak again, that end is taken
//!   back, in the minute in which it was booked.
//! * A slice counts under the dimensions' values that are known when it is told; an attempt and a play under those that are
//!   known later, too, where nothing was known before: or else all attempts would be of an unknown CDN that were told before
//!   the player had chosen one.
//! * Samples of which percentiles are made are told once, when they are final, and never taken back: start-up time with the
//!   first picture, restart time with each seek, a play's bit rate and rebuffering when it ends for the first time. Its
//!   device counts as active in the minutes of the attempt and of the end of a play.
//!
//! Time is an argument: `now` is when a message came.

pub(crate) mod beat;
pub(crate) mod line;
pub(crate) mod moments;
mod outcome;
pub(crate) mod report;
pub(crate) mod story;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub(crate) use self::outcome::{End, Outcome};
use self::story::Piece;
use crate::figures::{Figures, SAMPLES, is_nothing};
use crate::labels::{Known, Labels, clipped};
use crate::networks::Networks;
use crate::rules::Rules;
use crate::seen::Seen;
use crate::sketch::{Kind, Sample};
use crate::time::{AHEAD, LONG_AGO, LONGEST, MINUTE, Minute, UnixMs};

/// Longest error that is kept, in characters.
const MAX_ERROR: usize = 256;
/// Milliseconds between two looks at who plays.
const SAMPLE_EVERY: u64 = MINUTE / SAMPLES as u64;

/// What a session is known by: the channel, and what that channel knows it by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Key(pub(crate) String);

/// One session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Session {
    pub(crate) key: Key,
    /// The box.
    pub(crate) device: String,
    pub(crate) labels: Labels,
    /// When the attempt began.
    pub(crate) start: UnixMs,
    /// When the first picture came.
    pub(crate) joined: Option<UnixMs>,
    /// Up to when its time is booked.
    pub(crate) told: UnixMs,
    /// When it was last heard of.
    pub(crate) heard: UnixMs,
    /// For how long it may be silent, in ms.
    pub(crate) patience: u64,
    pub(crate) end: Option<End>,
    /// The last fatal error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    pub(crate) total: Figures,
    /// Numbers of its messages.
    pub(crate) seen: Seen,
    /// Thousandths of a bit that are not booked yet.
    remainder: u32,
    /// An ad is no attempt and counts nowhere.
    is_ad: bool,
    /// What is sampled of an ended play is told.
    #[serde(default, skip_serializing_if = "is_nothing")]
    is_sampled: bool,
    pub(crate) told_by: ToldBy,
}

/// What only one way of telling needs to know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToldBy {
    Report(report::State),
    Line(line::State),
    Beat(beat::State),
}

/// Figures by the minute to which they belong, the same as the session's story, and samples by their minutes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Ledger(
    pub(crate) BTreeMap<Minute, Figures>,
    pub(crate) Vec<Piece>,
    pub(crate) Vec<(Minute, Sample)>,
);

/// What is the same for all sessions while one message is taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Context<'c> {
    /// When it came.
    pub(crate) now: UnixMs,
    pub(crate) rules: &'c Rules,
    pub(crate) networks: &'c Networks,
    /// Time between two heartbeats as they are told to send them, in ms.
    pub(crate) beat_interval: u64,
}

// === impl Ledger ===

impl Ledger {
    fn add(&mut self, at: Minute, figures: Figures) {
        if !figures.is_zero() {
            *self.0.entry(at).or_default() += figures;
        }
    }

    /// All minutes together.
    #[cfg(test)]
    pub(crate) fn sum(&self) -> Figures {
        self.0.values().fold(Figures::default(), |mut sum, figures| {
            sum += *figures;
            sum
        })
    }
}

// === impl Session ===

impl Session {
    /// A session that nothing is booked of yet.
    fn new(key: Key, device: &str, start: UnixMs, patience: u64, now: UnixMs, told_by: ToldBy) -> Self {
        let mut labels = Labels::default();
        labels.set(
            Known::Channel,
            match told_by {
                ToldBy::Report(_) => "reports",
                ToldBy::Line(_) => "lines",
                ToldBy::Beat(_) => "heartbeats",
            },
        );
        Self {
            key,
            device: clipped(device, 128),
            labels,
            start,
            joined: None,
            told: start,
            heard: now,
            patience,
            end: None,
            failure: None,
            total: Figures::default(),
            seen: Seen::default(),
            remainder: 0,
            is_ad: false,
            is_sampled: false,
            told_by,
        }
    }

    /// When it ends unless it is heard of before; `None` where it has ended. Before `audible` nothing could be heard.
    pub(crate) fn deadline(&self, audible: UnixMs) -> Option<UnixMs> {
        self.end.is_none().then(|| self.heard.max(audible) + self.patience)
    }

    /// Ends it where it was last known to be, because it is silent.
    pub(crate) fn end_by_silence(&mut self, context: &Context<'_>, ledger: &mut Ledger) {
        self.end_at(self.told, true, context, ledger);
    }

    /// What messages are missing.
    pub(crate) fn missing(&self) -> u64 {
        self.seen.missing()
    }

    /// It is heard of: an end that nobody has told is taken back.
    fn hear(&mut self, context: &Context<'_>, ledger: &mut Ledger) {
        self.heard = self.heard.max(context.now);
        if self.end.is_some_and(|end| end.by_silence) {
            self.reopen(ledger);
        }
    }

    fn reopen(&mut self, ledger: &mut Ledger) {
        if let Some(end) = self.end.take() {
            self.book_at(ledger, end.at, -end.outcome.figures());
        }
    }

    fn begin(&mut self, ledger: &mut Ledger) {
        let attempt = Figures { attempts: 1, ..Figures::default() };
        self.book_at(ledger, self.start, attempt);
        self.sample(ledger, self.start.minute(), Sample::Device);
    }

    /// The first picture; `startup` in ms where it is known.
    fn join(&mut self, at: UnixMs, startup: Option<u64>, ledger: &mut Ledger) {
        if self.joined.is_some() {
            return;
        }
        let at = at.max(self.start);
        self.joined = Some(at);
        let play = Figures {
            plays: 1,
            startup_ms: startup.map_or(0, |startup| signed(startup.min(LONGEST))),
            startups: i64::from(startup.is_some()),
            ..Figures::default()
        };
        self.book_at(ledger, at, play);
        if startup.is_some() {
            self.sample(ledger, at.minute(), Sample::of(Kind::Startup, play.startup_ms, 1));
        }
    }

    fn fail(&mut self, error: &str) {
        self.failure = Some(clipped(error, MAX_ERROR));
    }

    fn end_at(&mut self, at: UnixMs, by_silence: bool, context: &Context<'_>, ledger: &mut Ledger) {
        if self.end.is_some() {
            return;
        }
        let business = self.failure.as_deref().map(|error| context.rules.are_met_by(error));
        let outcome = match (self.joined, business) {
            (Some(_), None) => Outcome::Played,
            (Some(_), Some(business)) => Outcome::PlayFailed { business },
            (None, None) => Outcome::Left,
            (None, Some(business)) => Outcome::StartFailed { business },
        };
        let at = at.max(self.start);
        self.end = Some(End { at, outcome, by_silence });
        self.book_at(ledger, at, outcome.figures());
        if let Some(piece) = ledger.1.last_mut() {
            piece.error.clone_from(&self.failure);
        }
        if self.joined.is_some() {
            self.sample(ledger, at.minute(), Sample::Device);
            if !std::mem::replace(&mut self.is_sampled, true) {
                self.sample_play(ledger, at.minute());
            }
        }
    }

    /// What is sampled of a play that has ended.
    fn sample_play(&self, ledger: &mut Ledger, at: Minute) {
        let total = &self.total;
        if total.rated_ms > 0 {
            let kilobits = total.bits.checked_div(total.rated_ms).unwrap_or_default();
            self.sample(ledger, at, Sample::of(Kind::Bitrate, kilobits, 1));
        }
        let buffering = total.rebuffering_ms.saturating_add(total.seek_buffering_ms);
        let watched = buffering.saturating_add(total.playing_ms);
        let ratio = |part: i64| part.saturating_mul(10_000).checked_div(watched).unwrap_or_default();
        if watched > 0 {
            self.sample(ledger, at, Sample::of(Kind::Rebuffering, ratio(buffering), 1));
            self.sample(ledger, at, Sample::of(Kind::ConnectionRebuffering, ratio(total.rebuffering_ms), 1));
        }
    }

    /// Books what happened from one moment to another, spread evenly over the minutes between, and that the play ran
    /// all that time. Every moment of a play is in one slice and no other.
    fn slice(&mut self, from: UnixMs, to: UnixMs, amounts: Figures, ledger: &mut Ledger) {
        let mut amounts = amounts.bounded();
        if amounts.rebuffering_ms > 0 && self.total.rebuffered_plays == 0 {
            amounts.rebuffered_plays = 1;
        }
        if !self.is_ad {
            ledger.1.push(Piece::booked(from, to, amounts));
        }
        self.spread(from, to, amounts, self.joined, ledger);
    }

    /// Books what is told of a time besides its slices.
    fn amounts(&mut self, from: UnixMs, to: UnixMs, amounts: Figures, ledger: &mut Ledger) {
        let amounts = amounts.bounded();
        if !self.is_ad && !amounts.is_zero() {
            ledger.1.push(Piece { is_aside: true, ..Piece::booked(from, to, amounts) });
        }
        self.spread(from, to, amounts, None, ledger);
    }

    fn spread(
        &mut self,
        from: UnixMs,
        to: UnixMs,
        amounts: Figures,
        runs_from: Option<UnixMs>,
        ledger: &mut Ledger,
    ) {
        let from = from.max(to - LONGEST).min(to);
        let length = to.since(from);
        let restart = amounts.restart_ms.checked_div(amounts.restarts).unwrap_or_default();
        if length == 0 {
            self.book(ledger, to.minute(), amounts);
            self.sample(ledger, to.minute(), Sample::of(Kind::Restart, restart, amounts.restarts));
            return;
        }
        for minute in from.minute().0..=to.minute().0 {
            let minute = Minute(minute);
            let (begin, end) = (from.max(minute.start()), to.min(minute.start() + MINUTE));
            if begin >= end {
                continue;
            }
            let mut share = amounts.share(begin.since(from), end.since(from), length);
            if let Some(joined) = runs_from {
                share.running = running(minute, begin.max(joined), end);
            }
            self.book(ledger, minute, share);
            self.sample(ledger, minute, Sample::of(Kind::Restart, restart, share.restarts));
        }
    }

    /// Bits of a time played at a rate in bit/s; what is left of a bit is kept for the next time.
    fn bits(&mut self, rate: u64, ms: u64) -> i64 {
        let thousandths = u128::from(rate) * u128::from(ms) + u128::from(self.remainder);
        self.remainder = u32::try_from(thousandths % 1000).unwrap_or_default();
        i64::try_from(thousandths / 1000).unwrap_or(i64::MAX)
    }

    /// Books what happened at one moment.
    fn book_at(&mut self, ledger: &mut Ledger, at: UnixMs, figures: Figures) {
        if !self.is_ad {
            ledger.1.push(Piece::booked(at, at, figures));
        }
        self.book(ledger, at.minute(), figures);
    }

    fn book(&mut self, ledger: &mut Ledger, at: Minute, figures: Figures) {
        if !self.is_ad {
            self.total += figures;
            ledger.add(at, figures);
        }
    }

    fn sample(&self, ledger: &mut Ledger, at: Minute, sample: Sample) {
        if !self.is_ad && !sample.is_nothing() {
            ledger.2.push((at, sample));
        }
    }
}

/// At which of a minute's samples something ran that ran from one moment in it to another.
fn running(minute: Minute, from: UnixMs, to: UnixMs) -> [i64; SAMPLES] {
    let mut at = minute.start();
    std::array::from_fn(|_| {
        let runs = from <= at && at < to;
        at = at + SAMPLE_EVERY;
        i64::from(runs)
    })
}

/// When a session began that a box says to have begun at `told` and to have lasted for `lasted` ms: by the box's clock
/// where that can be believed, else by ours.
fn believable_start(told: UnixMs, lasted: u64, now: UnixMs) -> UnixMs {
    let until = told + lasted;
    if told >= now - LONG_AGO && until <= now + AHEAD { told } else { now - lasted.min(LONGEST) }
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests;
