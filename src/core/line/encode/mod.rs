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
mod split;
mod text;

pub use self::kept::Kept;
pub use self::text::Text;
pub(crate) use self::text::power_of_ten;

use super::config::{Config, Cut, Item, Layout, Source, Step};
use super::escape::escape_from;
use super::keys::{Event, Metric};

/// What a session knows.
pub trait Values {
    /// Appends the decoded, unescaped value of `metric` to `out`, and leaves alone what is there; appends nothing where
    /// it is unknown or empty.
    fn write(&self, metric: Metric, out: &mut Text);

    /// Appends the value of a custom dimension, named by its key (`_cd_…`) and the name that the configuration gives
    /// it; appends nothing where there is none.
    fn write_dimension(&self, key: &str, name: &str, out: &mut Text) {
        let _ = (key, name, out);
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
    /// One value that is not in `text` as it is: one that has to be escaped.
    value: String,
    /// What a pattern looks at.
    other: Text,
    /// All keys and values as they are written, a separator in front of each.
    text: Text,
    fields: Vec<Field>,
    /// The parts, one behind the other, where the line had to be split.
    parts: String,
    /// Where each part ends.
    ends: Vec<usize>,
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

/// One key and its value in [`Encoder::text`].
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
        self.text.truncate(0);
        self.fields.clear();
        let origin = Origin { config, layout, event, values };
        self.push_all(plan, &origin, sent, kept);
        // Without the separator in front of the first.
        if self.text.len() > layout.max_line + 1 {
            let common = self.fields.iter().take_while(|field| field.common).count();
            return Some(self.split(layout, common));
        }
        let text = self.text.get(1);
        self.ends.clear();
        self.ends.push(text.len());
        Some(Encoded { text, ends: &self.ends, truncated: 0, left_out: 0 })
    }

    /// Appends a key and its value; nothing at all where there is none.
    #[inline]
    fn push<V: Values + ?Sized>(&mut self, step: &Step, origin: &Origin<'_, V>, sent: &mut Sent) {
        let before = self.text.len();
        match (step.plain, step.lead_length) {
            (Some(metric), 1..) => {
                self.text.eight(step.lead, step.lead_length.into());
                self.text.begin();
                origin.values.write(metric, &mut self.text);
                self.finish(before, before + usize::from(step.lead_length), step, origin);
            }
            _ => self.push_item(before, step, origin, sent),
        }
    }

    /// The same, for a key of which the configuration says more.
    fn push_item<V: Values + ?Sized>(
        &mut self,
        before: usize,
        step: &Step,
        origin: &Origin<'_, V>,
        sent: &mut Sent,
    ) {
        let Some(item) = origin.layout.items.get(usize::from(step.item)) else { return };
        if item.once && sent.contains(item.source) {
            return;
        }
        self.text.copy(item.lead.as_bytes());
        let value = self.text.len();
        self.text.begin();
        origin.write(item, &mut self.text, &mut self.other);
        if let Some(size) = item.size {
            shorten(&mut self.text, value, usize::try_from(size.get()).unwrap_or(usize::MAX));
        }
        let is_there = self.text.len() > value;
        self.finish(before, value, step, origin);
        if item.once && is_there {
            sent.insert(item.source);
        }
    }

    /// Escapes the value that begins at `value`, or takes back its lead where there is none.
    #[inline]
    fn finish<V: ?Sized>(&mut self, before: usize, value: usize, step: &Step, origin: &Origin<'_, V>) {
        if self.text.len() == value {
            self.text.truncate(before);
            return;
        }
        let separators = &origin.layout.separators;
        if self.text.is_doubtful() || !separators.keep_usual() {
            escape_from(value, &mut self.text, &mut self.value, separators);
        }
        self.fields.push(Field {
            start: before + 1,
            value,
            end: self.text.len(),
            cut: step.cut,
            common: step.common,
        });
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
    /// Appends the value of an item; `other` is room for what patterns look at.
    fn write(&self, item: &Item, out: &mut Text, other: &mut Text) {
        if let Some(constant) = &item.constant {
            out.push_str(constant);
            return;
        }
        for pattern in &item.patterns {
            other.truncate(0);
            self.write_source(pattern.of, other);
            let other = other.as_str();
            if pattern.needles.iter().any(|needle| contains_in_any_case(other, needle)) {
                out.push_str(&pattern.result);
                return;
            }
        }
        let start = out.len();
        self.write_source(item.source, out);
        if let (true, Some(fallback)) = (out.len() == start, item.fallback) {
            self.write_source(fallback, out);
        }
    }

    fn write_source(&self, source: Source, out: &mut Text) {
        match source {
            Source::Metric(Metric::EventCode) => out.push_str(self.event.code()),
            Source::Metric(Metric::BeaconId) => out.push_str(&self.config.beacon_id),
            Source::Metric(Metric::BeaconVersion) => out.push_str(&self.config.beacon_version),
            Source::Metric(Metric::LogType) => out.push_str(self.config.log_type.code()),
            Source::Metric(Metric::LogVersion) => out.push_str(&self.config.log_version),
            Source::Metric(Metric::FormatVersion) => out.push_str(&self.config.format_version),
            // The encoder numbers the parts itself.
            Source::Metric(Metric::PartNumber | Metric::TotalParts) => {}
            Source::Metric(metric) => self.values.write(metric, out),
            Source::Dimension(place) => {
                if let Some(dimension) = self.layout.dimensions.get(usize::from(place)) {
                    self.values.write_dimension(&dimension.key, &dimension.name, out);
                }
            }
        }
    }
}

/// Leaves at most `size` characters behind `start`.
fn shorten(text: &mut Text, start: usize, size: usize) {
    if let Some((end, _)) = text.get(start).char_indices().nth(size) {
        text.truncate(start + end);
    }
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
