//! What a line tells, key by key.

use std::borrow::Cow;

use stbeacon_core::line::decode::{Field, Line, Meaning};
use stbeacon_core::line::keys::{Event, Metric};
use stbeacon_core::line::value::Typed;

use super::Sums;
use crate::labels::{Known, MAX_VALUE, clipped, push_clipped};

/// What a line tells, as far as anybody wants to know.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) event: Option<Event>,
    /// In ms since the attempt was initialised.
    pub(super) clock: u64,
    /// In ms since the line before.
    pub(super) elapsed: u64,
    /// All that was told so far is told again.
    pub(super) is_cumulative: bool,
    pub(super) startup: Option<u64>,
    pub(super) total_playing: Option<u64>,
    pub(super) total_rebuffering: Option<u64>,
    pub(super) sums: Sums,
    /// What was played, in bit/s, where `sums` has no bits.
    pub(super) rate: Option<u64>,
    /// Pictures a second: the sum in ten-thousandths, and the number of samples.
    pub(super) fps: Option<(i128, u64)>,
    pub(super) error: String,
    pub(super) labels: Values,
    pub(super) own: Vec<(String, String)>,
}

/// Values of dimensions that every session has, in one text: they are few and short.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    text: String,
    /// Which they are, and where each ends.
    ends: Vec<(Known, usize)>,
}

/// What is read of a line so far.
#[derive(Debug, Default)]
pub(super) struct Reading<'l> {
    pub(super) attempt: Option<Cow<'l, str>>,
    pub(super) viewer: Option<Cow<'l, str>>,
    /// It says which line it is.
    pub(super) has_event: bool,
    pub(super) number: Option<Cow<'l, str>>,
    part: Option<u32>,
    total: Option<u32>,
    stream: Cow<'l, str>,
    player: Cow<'l, str>,
    bits: Option<(u128, u64)>,
    /// The sum in ten-thousandths, and the number of samples.
    rates: Option<(i128, u64)>,
    told: Told,
}

// === impl Told ===

impl Told {
    pub(super) fn by(line: &Line<'_>) -> Self {
        let mut reading = Reading::default();
        line.fields.iter().for_each(|field| reading.take(field.clone()));
        reading.told()
    }

    fn label(&mut self, known: Known, value: &str) {
        if !value.is_empty() {
            self.labels.push(known, value);
        }
    }
}

// === impl Values ===

impl Values {
    fn push(&mut self, known: Known, value: &str) {
        if self.ends.is_empty() {
            // Most lines have no more.
            self.ends.reserve(8);
            self.text.reserve(128);
        }
        push_clipped(&mut self.text, value, MAX_VALUE);
        self.ends.push((known, self.text.len()));
    }

    fn has(&self, known: Known) -> bool {
        self.ends.iter().any(|(there, _)| *there == known)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Known, &str)> {
        let mut begin = 0;
        self.ends.iter().map(move |(known, end)| {
            let value = self.text.get(std::mem::replace(&mut begin, *end)..*end);
            (*known, value.unwrap_or_default())
        })
    }
}

// === impl Reading ===

impl<'l> Reading<'l> {
    /// Takes a key; a line has some forty, and two dozens of them are of use here.
    pub(super) fn take(&mut self, field: Field<'l>) {
        let told = &mut self.told;
        let metric = match field.meaning {
            Meaning::Metric(metric) => metric,
            Meaning::Dimension => {
                told.own.push((field.key.to_owned(), clipped(&field.value, MAX_VALUE)));
                return;
            }
            Meaning::Unknown => return,
        };
        let text = &*field.value;
        let integer = || integer(&field);
        match metric {
            Metric::AttemptId => self.attempt = Some(field.value),
            Metric::ViewerId => self.viewer = Some(field.value),
            Metric::SequenceId => self.number = Some(field.value),
            Metric::PartNumber => self.part = text.parse().ok(),
            Metric::TotalParts => self.total = text.parse().ok(),
            Metric::EventCode => {
                self.has_event = true;
                told.event = Event::from_code(text);
            }
            Metric::CurrentClockTime => told.clock = integer().unwrap_or(0),
            Metric::LogInterval => told.elapsed = elapsed(&field),
            Metric::LogType => told.is_cumulative = text == "C",
            Metric::StartupTime => told.startup = integer(),
            Metric::TotalPlayClockTime => told.total_playing = integer(),
            Metric::TotalRebufferTime => told.total_rebuffering = integer(),
            Metric::PlayClockTime => told.sums.playing = integer().unwrap_or(0),
            Metric::RebufferTime => told.sums.rebuffering = integer().unwrap_or(0),
            Metric::SeekTime => told.sums.seeking = integer().unwrap_or(0),
            Metric::SeekCount => told.sums.seeks = integer().unwrap_or(0),
            Metric::DroppedFrames => told.sums.dropped = integer().unwrap_or(0),
            Metric::AveragedBitRate => {
                if let Some(Ok(Typed::WeightedRate(rate))) = field.typed() {
                    self.bits = Some((rate.rate_times_ms / 1000, rate.ms));
                }
            }
            Metric::PlayBackBitRate => self.rates = sum_count(&field),
            Metric::AverageFps => told.fps = sum_count(&field),
            Metric::ErrorCode => text.clone_into(&mut told.error),
            Metric::Cdn => told.label(Known::Cdn, text),
            Metric::Title => told.label(Known::Asset, text),
            Metric::StreamName => self.stream = field.value,
            Metric::Device => told.label(Known::Device, text),
            Metric::FullOs => told.label(Known::Firmware, text),
            Metric::Protocol => told.label(Known::Protocol, text),
            Metric::PlayerId => told.label(Known::Player, text),
            Metric::PlayerType => self.player = field.value,
            Metric::DeliveryType => match text {
                "L" => told.label(Known::Delivery, "Live"),
                "O" => told.label(Known::Delivery, "VoD"),
                _ => {}
            },
            _ => {}
        }
    }

    /// How many parts there are of the line that this is one of; `None` for a whole one, and where it makes no sense.
    pub(super) fn parts(&self) -> Option<u32> {
        let (part, total) = (self.part?, self.total?);
        (1..=total).contains(&part).then_some(total)
    }

    /// All of it.
    pub(super) fn told(self) -> Told {
        let Self { mut told, stream, player, bits, rates, .. } = self;
        for (known, text) in [(Known::Asset, stream), (Known::Player, player)] {
            if !told.labels.has(known) {
                told.label(known, &text);
            }
        }
        if let Some((bits, ms)) = bits {
            told.sums.bits = u64::try_from(bits).unwrap_or(u64::MAX);
            told.sums.rated = ms;
        } else {
            told.rate =
                rates.map(|(sum, count)| u64::try_from(sum / 10_000 / i128::from(count)).unwrap_or(0));
        }
        told
    }
}

/// ms since the line before.
fn elapsed(field: &Field<'_>) -> u64 {
    match field.typed() {
        Some(Ok(Typed::Decimal(seconds))) => thousandths(seconds.to_f64()),
        Some(Ok(Typed::Integer(seconds))) => u64::try_from(seconds).unwrap_or(0).saturating_mul(1000),
        _ => 0,
    }
}

fn integer(field: &Field<'_>) -> Option<u64> {
    match field.typed()? {
        Ok(Typed::Integer(number)) => u64::try_from(number).ok(),
        _ => None,
    }
}

/// The sum in ten-thousandths, and the number of samples, where there are any.
fn sum_count(field: &Field<'_>) -> Option<(i128, u64)> {
    match field.typed()? {
        Ok(Typed::SumCount(value)) if value.count > 0 => {
            Some((i128::from(thousandths(value.sum.to_f64())) * 10, value.count))
        }
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
