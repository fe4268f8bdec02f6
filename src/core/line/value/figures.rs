//! Values that are figures: sums, counts by bucket, by rate, by class, by reason, by service.

use std::fmt;

use serde::Serialize;

use super::cursor::{Cursor, ValueError};
use super::{Decimal, joined};

/// `SUM:COUNT` of samples.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SumCount {
    /// The samples added up.
    pub sum: Decimal,
    /// How many there were.
    pub count: u64,
}

/// `Σ(RATE×TIME):ΣTIME`; both halves add up over lines, their quotient does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct WeightedRate {
    /// Bit/s times ms.
    pub rate_times_ms: u128,
    /// In ms.
    pub ms: u64,
}

/// `WIDTH*HEIGHT` in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// The value of one bucket, that is, of one part of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bucket {
    /// From 1.
    pub number: u32,
    /// A count, a time in ms, or how much of it was played.
    pub value: Decimal,
}

/// Switches of the bit rate by their reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ReasonCounts {
    /// The viewer's bandwidth changed.
    pub bandwidth: u64,
    /// Frames were dropped.
    pub frames: u64,
    /// The buffer changed.
    pub buffer: u64,
    /// Anything else.
    pub other: u64,
}

/// Time played at one bit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RateTime {
    /// In bit/s; `None`, written `-`, where it is not known.
    pub rate: Option<u64>,
    /// In ms.
    pub played: u64,
}

/// Time played in one class of bit rates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassTime {
    /// The class as the configuration names it.
    pub class: String,
    /// In ms.
    pub played: u64,
}

/// How often one service was used to share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Share {
    /// The service and what was done there, such as `fbl`.
    pub service: String,
    /// How often.
    pub count: u64,
}

// === impl SumCount ===

impl SumCount {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let sum = value.decimal("a sum")?;
        value.expect(':', "a colon and the number of samples")?;
        Ok(Self { sum, count: value.integer("the number of samples")? })
    }

    /// The average; `None` where there were no samples.
    #[must_use]
    #[allow(clippy::cast_precision_loss, reason = "an average is for people and statistics")]
    pub fn average(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum.to_f64() / self.count as f64)
    }
}

impl fmt::Display for SumCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sum, self.count)
    }
}

// === impl WeightedRate ===

impl WeightedRate {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let rate_times_ms = value.integer("the sum of bit rate times ms")?;
        value.expect(':', "a colon and the time played in ms")?;
        Ok(Self { rate_times_ms, ms: value.integer("the time played in ms")? })
    }

    /// The average bit rate in bit/s, rounded down; `None` where nothing was played.
    #[must_use]
    pub fn average(&self) -> Option<u64> {
        self.rate_times_ms.checked_div(self.ms.into()).and_then(|rate| rate.try_into().ok())
    }
}

impl fmt::Display for WeightedRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.rate_times_ms, self.ms)
    }
}

// === impl Size ===

impl Size {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let width = value.integer("a width in pixels")?;
        value.expect('*', "* and a height")?;
        Ok(Self { width, height: value.integer("a height in pixels")? })
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}*{}", self.width, self.height)
    }
}

// === impl Bucket ===

impl Bucket {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        const NUMBER: &str = "the number of a bucket, from 1";
        let before = *value;
        let number = value.integer(NUMBER)?;
        if number == 0 {
            return Err(before.error(NUMBER));
        }
        value.expect(':', "a colon and the bucket's value")?;
        Ok(Self { number, value: value.decimal("the bucket's value")? })
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.number, self.value)
    }
}

// === impl ReasonCounts ===

impl ReasonCounts {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let mut next = |last: bool| {
            let count = value.integer("a count")?;
            if !last {
                value.expect(',', "a comma and the next of four counts")?;
            }
            Ok(count)
        };
        Ok(Self { bandwidth: next(false)?, frames: next(false)?, buffer: next(false)?, other: next(true)? })
    }
}

impl fmt::Display for ReasonCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{},{},{}", self.bandwidth, self.frames, self.buffer, self.other)
    }
}

// === impl RateTime ===

impl RateTime {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let rate = rate(value)?;
        value.expect(':', "a colon and the time played in ms")?;
        Ok(Self { rate, played: value.integer("the time played in ms")? })
    }
}

impl fmt::Display for RateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", shown_rate(self.rate), self.played)
    }
}

// === impl ClassTime ===

impl ClassTime {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let (class, played) = named(value, "the name of a class", "the time played in ms")?;
        Ok(Self { class, played })
    }
}

impl fmt::Display for ClassTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.class, self.played)
    }
}

// === impl Share ===

impl Share {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let (service, count) = named(value, "the name of a service", "how often it was used")?;
        Ok(Self { service, count })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.service, self.count)
    }
}

/// A bit rate, or `-` where it is not known.
pub(super) fn rate(value: &mut Cursor<'_>) -> Result<Option<u64>, ValueError> {
    if value.eat('-') {
        Ok(None)
    } else {
        value.integer("a bit rate in bit/s, or - where it is unknown").map(Some)
    }
}

pub(super) fn shown_rate(rate: Option<u64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| rate.to_string())
}

/// `NAME:NUMBER`.
fn named(
    value: &mut Cursor<'_>,
    name: &'static str,
    number: &'static str,
) -> Result<(String, u64), ValueError> {
    let before = *value;
    let text = value.until(&[':', ',']);
    if text.is_empty() {
        return Err(before.error(name));
    }
    value.expect(':', "a colon and a number")?;
    Ok((text.to_owned(), value.integer(number)?))
}

/// Elements joined by commas.
pub(super) struct Csv<'a, T>(pub(super) &'a [T]);

impl<T: fmt::Display> fmt::Display for Csv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        joined(f, self.0, ",")
    }
}
