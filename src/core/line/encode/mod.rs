//! Lines as they are sent.
//!
//! The configuration says which keys and in which order, [`Values`] says what they are worth. A line is all that
//! stands behind the `?` of its address; `maxLogLineLength` limits that, in bytes, and so does not depend on the host.
//!
//! What the configuration itself knows is never asked of [`Values`]: `a`, `b`, `f`, `h`, `i`, `az`, `za` and `zb`. A
//! value is, in this order: the constant of `value=`; the key of the first pattern that matches; what [`Values`] gives;
//! what it gives for the metric of `fallback=`. Empty ones are left out.
//!
//! An [`Encoder`] keeps its buffers: after the first lines it allocates nothing any more.

mod kept;
mod pen;
mod split;

pub use self::kept::Kept;
pub use self::pen::{Pen, written};

use self::pen::{make_room, write_all};
use super::config::{Config, Cut, Item, Layout, Source, Step};
use super::escape::escape_in_place;
use super::keys::{Event, Metric};

/// Room to begin with: a line is seldom longer than that.
const ROOM: usize = 4096;

/// What a session knows.
///
/// A value may be asked for again for the same line, where there was no room for it, and is the same then.
pub trait Values {
    /// Writes the decoded, unescaped value of `metric`; nothing where it is unknown or empty.
    fn write<'p>(&self, metric: Metric, out: Pen<'p>) -> Pen<'p>;

    /// Writes the value of a custom dimension, named by its key (`_cd_…`) and the name that the configuration gives
    /// it; nothing where there is none.
    fn write_dimension<'p>(&self, key: &str, name: &str, out: Pen<'p>) -> Pen<'p> {
        let _ = (key, name);
        out
    }

    /// Whether the value of each metric is of the [kind](Metric::kind) that its key says: figures
    /// ([`Kind::is_of_figures`](super::keys::Kind::is_of_figures)) need no look at what has to be escaped then.
    fn are_typed(&self) -> bool {
        false
    }

    /// Which state of the values that [stay](Values::stays) this is: as long as it is the same, they are. `None`
    /// where nothing is known to stay.
    fn revision(&self) -> Option<u64> {
        None
    }

    /// Whether the value of `metric` is the same in all lines of one [revision](Values::revision).
    fn stays(&self, metric: Metric) -> bool {
        let _ = metric;
        false
    }

    /// Whether the values of all custom dimensions are.
    fn dimensions_stay(&self) -> bool {
        false
    }
}

/// What a session has sent of that which is sent once. Belongs to one session and one configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    metrics: [u64; Metric::COUNT.div_ceil(64)],
    dimensions: u128,
}

/// Makes lines, with buffers that it keeps.
#[derive(Debug, Default)]
pub struct Encoder {
    /// All keys and values as they are written, a separator in front of each, and room behind them.
    room: Vec<u8>,
    scratch: Scratch,
    /// What is in `room`, where it has to be split.
    fields: Vec<Field>,
    /// The parts, one behind the other, where the line had to be split.
    parts: String,
    /// Where each part ends.
    ends: Vec<usize>,
}

/// Room for what is looked at once more before it is written.
#[derive(Debug, Default)]
struct Scratch {
    /// A value that has to be escaped.
    value: Vec<u8>,
    /// What a pattern looks at.
    other: Vec<u8>,
}

/// A line, whole or in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded<'e> {
    text: &'e str,
    ends: &'e [usize],
    /// How many values were cut because a part has no room for them.
    pub truncated: usize,
    /// How many values were left out because a part has no room for them and they cannot be cut.
    pub left_out: usize,
}

/// One key and its value in a line that has to be split.
#[derive(Debug, Clone, Copy)]
struct Field {
    start: usize,
    /// Where its value begins, behind `=`.
    value: usize,
    /// The end; `start` for one that was left out.
    end: usize,
    cut: Cut,
    /// Of the common group.
    common: bool,
}

// === impl Encoder ===

impl Encoder {
    /// One without buffers yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the line of an event, in parts where it is too long; `None` where the configuration has no such lines.
    pub fn encode<V: Values + ?Sized>(
        &mut self,
        config: &Config,
        event: Event,
        values: &V,
        sent: &mut Sent,
    ) -> Option<Encoded<'_>> {
        self.encode_next(config, event, values, sent, &mut Kept::default())
    }

    /// The same, where `kept` is of the lines before this one and for those behind it: of the same session, the same
    /// configuration and, as far as the values have a [revision](Values::revision), the same event.
    pub fn encode_next<V: Values + ?Sized>(
        &mut self,
        config: &Config,
        event: Event,
        values: &V,
        sent: &mut Sent,
        kept: &mut Kept,
    ) -> Option<Encoded<'_>> {
        let layout = config.layout();
        let plan = layout.plan(event)?;
        let origin = Origin { config, layout, event, values };
        let Self { room, scratch, .. } = self;
        let before = *sent;
        let length = loop {
            *sent = before;
            match kept.push_all(plan, &origin, sent, scratch, room) {
                Some(length) => break length,
                None => make_room(room, ROOM),
            }
        };
        // Without the separator in front of the first.
        if length > layout.max_line + 1 {
            return Some(self.split(layout, plan, length));
        }
        // Only characters were written.
        let text = std::str::from_utf8(self.room.get(1..length).unwrap_or_default()).unwrap_or_default();
        self.ends.clear();
        self.ends.push(text.len());
        Some(Encoded { text, ends: &self.ends, truncated: 0, left_out: 0 })
    }
}

// === impl Encoded ===

impl<'e> Encoded<'e> {
    /// The lines to send, in order; one, unless it had to be split.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = &'e str> + use<'e> {
        let text = self.text;
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let part = text.get(start..*end).unwrap_or_default();
            start = *end;
            part
        })
    }

    /// Whether it had to be split.
    #[must_use]
    pub const fn is_split(&self) -> bool {
        self.ends.len() > 1
    }
}

// === impl Sent ===

impl Sent {
    fn contains(&self, source: Source) -> bool {
        match source {
            Source::Metric(metric) => {
                let (word, bit) = Self::place(metric);
                self.metrics.get(word).is_some_and(|word| word & bit != 0)
            }
            Source::Dimension(place) => self.dimensions >> (place % 128) & 1 == 1,
        }
    }

    fn insert(&mut self, source: Source) {
        match source {
            Source::Metric(metric) => {
                let (word, bit) = Self::place(metric);
                if let Some(word) = self.metrics.get_mut(word) {
                    *word |= bit;
                }
            }
            Source::Dimension(place) => self.dimensions |= 1 << (place % 128),
        }
    }

    const fn place(metric: Metric) -> (usize, u64) {
        let number = metric as usize;
        (number / 64, 1 << (number % 64))
    }
}

/// Where the values of one line come from.
struct Origin<'o, V: ?Sized> {
    config: &'o Config,
    layout: &'o Layout,
    event: Event,
    values: &'o V,
}

// === impl Origin ===

impl<V: Values + ?Sized> Origin<'_, V> {
    /// Writes a key and its value into `room` behind `at`, nothing at all where there is no value; gives the place
    /// behind it, `None` where there was too little room.
    #[inline]
    fn push(
        &self,
        step: &Step,
        sent: &mut Sent,
        scratch: &mut Scratch,
        room: &mut [u8],
        at: usize,
    ) -> Option<usize> {
        let Some(metric) = step.plain else { return self.push_item(step, sent, scratch, room, at) };
        let whole = room.len();
        let field = room.get_mut(at..)?;
        *field.first_chunk_mut()? = step.lead;
        let value = field.get_mut(usize::from(step.lead_length)..)?;
        let most = value.len();
        let left = self.values.write(metric, Pen::new(value)).left();
        match left {
            0 => None,
            _ if left == most => Some(at),
            _ if step.figures && self.values.are_typed() => {
                let value = || room.get(whole - most..whole - left).unwrap_or_default();
                debug_assert!(self.layout.separators.keep_all(value()), "{metric}");
                Some(whole - left)
            }
            _ => {
                escape_in_place(room, whole - most..whole - left, &mut scratch.value, &self.layout.separators)
            }
        }
    }

    /// The same, for a key of which the configuration says more.
    #[inline(never)]
    fn push_item(
        &self,
        step: &Step,
        sent: &mut Sent,
        scratch: &mut Scratch,
        room: &mut [u8],
        at: usize,
    ) -> Option<usize> {
        let Some(item) = self.layout.items.get(usize::from(step.item)) else { return Some(at) };
        if item.once && sent.contains(item.source) {
            return Some(at);
        }
        let start = at + item.lead.len();
        room.get_mut(at..start)?.copy_from_slice(item.lead.as_bytes());
        let value = room.get_mut(start..)?;
        let most = value.len();
        let left = self.write(item, &mut scratch.other, Pen::new(&mut *value)).left();
        if left == 0 {
            return None;
        }
        let written = value.get(..most - left)?;
        let length = item.size.map_or(written.len(), |size| {
            shortened(written, usize::try_from(size.get()).unwrap_or(usize::MAX))
        });
        if length == 0 {
            return Some(at);
        }
        if item.once {
            sent.insert(item.source);
        }
        escape_in_place(room, start..start + length, &mut scratch.value, &self.layout.separators)
    }

    /// Writes the value of an item; `other` is room for what patterns look at.
    fn write<'p>(&self, item: &Item, other: &mut Vec<u8>, out: Pen<'p>) -> Pen<'p> {
        if let Some(constant) = &item.constant {
            return out.text(constant);
        }
        for pattern in &item.patterns {
            let length = write_all(other, 64, |pen| self.write_source(pattern.of, pen));
            // Only characters were written.
            let other = std::str::from_utf8(other.get(..length).unwrap_or_default()).unwrap_or_default();
            if pattern.needles.iter().any(|needle| contains_in_any_case(other, needle)) {
                return out.text(&pattern.result);
            }
        }
        let before = out.left();
        let out = self.write_source(item.source, out);
        match item.fallback {
            Some(fallback) if out.left() == before => self.write_source(fallback, out),
            _ => out,
        }
    }

    fn write_source<'p>(&self, source: Source, out: Pen<'p>) -> Pen<'p> {
        match source {
            Source::Metric(Metric::EventCode) => out.text(self.event.code()),
            Source::Metric(Metric::BeaconId) => out.text(&self.config.beacon_id),
            Source::Metric(Metric::BeaconVersion) => out.text(&self.config.beacon_version),
            Source::Metric(Metric::LogType) => out.text(self.config.log_type.code()),
            Source::Metric(Metric::LogVersion) => out.text(&self.config.log_version),
            Source::Metric(Metric::FormatVersion) => out.text(&self.config.format_version),
            // The encoder numbers the parts itself.
            Source::Metric(Metric::PartNumber | Metric::TotalParts) => out,
            Source::Metric(metric) => self.values.write(metric, out),
            Source::Dimension(place) => match self.layout.dimensions.get(usize::from(place)) {
                Some(dimension) => self.values.write_dimension(&dimension.key, &dimension.name, out),
                None => out,
            },
        }
    }
}

/// How many bytes the first `size` characters are.
fn shortened(text: &[u8], size: usize) -> usize {
    // Only characters were written.
    let text = std::str::from_utf8(text).unwrap_or_default();
    text.char_indices().nth(size).map_or(text.len(), |(end, _)| end)
}

/// Whether `needle`, which is in lower case, is in `text`, whatever the case there.
fn contains_in_any_case(text: &str, needle: &str) -> bool {
    text.char_indices().any(|(at, _)| {
        let mut lower = text.get(at..).unwrap_or_default().chars().flat_map(char::to_lowercase);
        needle.chars().all(|c| lower.next() == Some(c))
    })
}

#[cfg(test)]
mod tests;
