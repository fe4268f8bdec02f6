//! A line that is too long, in parts.
//!
//! Each part carries the common group, then its number and how many there are, then its share of the other keys in
//! their order. Parts are filled one after the other.
//!
//! * A value that is longer than a part allows is cut: a list between two elements, a text behind a character. What
//!   cannot be cut is left out.
//! * The common group leaves room for half of the others and the longest of them, with which two parts are enough, but
//!   no more than a quarter of the line. Its longest values are cut for that, but to no less than [`KEPT`] bytes. If
//!   that is not enough, because the limit is very low or the group very long, the last of the group are sent once,
//!   like other keys.

use std::fmt::Write as _;

use super::{Encoded, Encoder, Field};
use crate::line::config::{Cut, Layout, Plan, Separators, Step};
use crate::line::escape::whole_characters;

/// Bytes of a value of the common group that are never cut away.
const KEPT: usize = 48;
/// Digits that the number of a part is given room for.
const DIGITS: usize = 4;

impl Encoder {
    /// Splits the line that the first `whole` bytes of `room` are.
    pub(super) fn split(&mut self, layout: &Layout, plan: &Plan, whole: usize) -> Encoded<'_> {
        let limit = layout.max_line;
        let held = std::mem::take(&mut self.room);
        // Only characters were written.
        let text = std::str::from_utf8(held.get(..whole).unwrap_or_default()).unwrap_or_default();
        self.find_fields(text, layout, plan);
        let common = self.fields.iter().take_while(|field| field.common).count();
        let numbers = 2 * (2 + DIGITS) + layout.part_number.len() + layout.total_parts.len();
        let room = limit.saturating_sub(numbers + self.reserve(common, limit));
        let (mut truncated, mut left_out) = self.shorten_common(text, common, room, &layout.separators);
        let common = self.repeated(common, numbers, limit);
        let prefix = length(&self.fields, ..common);

        self.ends.clear();
        if prefix + length(&self.fields, common..) > limit + 1 {
            let allowance = limit.saturating_sub(prefix + numbers + 1);
            for field in self.fields.get_mut(common..).unwrap_or_default() {
                if field.length() > allowance {
                    field.shorten(text, allowance, &layout.separators);
                    *(if field.is_left_out() { &mut left_out } else { &mut truncated }) += 1;
                }
            }
            self.distribute(common, limit.saturating_sub(prefix + numbers));
        } else {
            self.ends.push(self.fields.len());
        }
        self.write_parts(text, layout, common);
        self.room = held;
        Encoded { text: &self.parts, ends: &self.ends, truncated, left_out }
    }

    /// Finds the keys again that `text` was written of: those of the plan, in its order, but those without a value.
    ///
    /// No value has a separator, and no two keys of a plan the same label. Few lines are split: those that are not do
    /// without a note of where each key is.
    fn find_fields(&mut self, text: &str, layout: &Layout, plan: &Plan) {
        self.fields.clear();
        let separator = layout.separators.param();
        let mut steps = plan.steps.iter();
        // The first has a separator in front of it, too.
        let mut start = 1;
        while let Some(rest) = text.as_bytes().get(start - 1..).filter(|rest| !rest.is_empty()) {
            let end =
                rest.iter().skip(1).position(|byte| *byte == separator).unwrap_or(rest.len() - 1) + start;
            let item = |step: &Step| layout.items.get(usize::from(step.item));
            let found = steps.find_map(|step| {
                Some((step, item(step).filter(|item| rest.starts_with(item.lead.as_bytes()))?))
            });
            if let Some((step, item)) = found {
                let value = start - 1 + item.lead.len();
                self.fields.push(Field { start, value, end, cut: item.cut, common: step.common });
            }
            start = end + 1;
        }
    }

    /// Cuts the longest values of the common group until it has no more than `room` bytes; says how many
    /// were cut and left out.
    fn shorten_common(
        &mut self,
        text: &str,
        common: usize,
        room: usize,
        separators: &Separators,
    ) -> (usize, usize) {
        let (mut truncated, mut left_out) = (0, 0);
        for _ in 0..common {
            let excess = length(&self.fields, ..common).saturating_sub(room);
            let fields = self.fields.get_mut(..common).unwrap_or_default();
            let longest = fields
                .iter_mut()
                .filter(|field| field.end - field.value > KEPT && !matches!(field.cut, Cut::Not))
                .max_by_key(|field| field.length());
            let (true, Some(field)) = (excess > 0, longest) else { break };
            let least = field.value - field.start + KEPT;
            field.shorten(text, field.length().saturating_sub(excess).max(least), separators);
            // Once is enough: what is left is the most that fits.
            field.cut = Cut::Not;
            *(if field.is_left_out() { &mut left_out } else { &mut truncated }) += 1;
        }
        (truncated, left_out)
    }

    /// Room that a part leaves for keys that are not repeated: for half of them and the longest, with which two parts
    /// are enough, but no more than a quarter of the line.
    fn reserve(&self, common: usize, limit: usize) -> usize {
        let others = self.fields.get(common..).unwrap_or_default();
        let longest =
            others.iter().filter(|field| !field.is_left_out()).map(|field| 1 + field.length()).max();
        let half = length(&self.fields, common..).div_ceil(2);
        (half + longest.unwrap_or(0)).min(limit / 4)
    }

    /// How many fields, from the first, can be repeated in each part such that room is left for the others.
    fn repeated(&self, common: usize, numbers: usize, limit: usize) -> usize {
        let fits = |common: &usize| {
            let prefix = length(&self.fields, ..*common);
            prefix + length(&self.fields, *common..) <= limit + 1
                || prefix + numbers + self.reserve(*common, limit) <= limit
        };
        (0..=common).rev().find(fits).unwrap_or(0)
    }

    /// Shares the fields behind the common ones out to parts with `room` bytes for them; puts into `ends` how many
    /// fields are over with each part.
    fn distribute(&mut self, common: usize, room: usize) {
        let mut used = 0;
        let mut is_empty = true;
        for (index, field) in
            self.fields.iter().enumerate().skip(common).filter(|(_, field)| !field.is_left_out())
        {
            let needed = 1 + field.length();
            if used + needed > room && !is_empty {
                self.ends.push(index);
                used = 0;
            }
            used += needed;
            is_empty = false;
        }
        self.ends.push(self.fields.len());
    }

    /// Writes the parts, and turns `ends` from fields into bytes.
    fn write_parts(&mut self, text: &str, layout: &Layout, common: usize) {
        self.parts.clear();
        let separator = char::from(layout.separators.param());
        let total = self.ends.len();
        let mut from = common;
        for (index, end) in self.ends.iter_mut().enumerate() {
            let start = self.parts.len();
            let own = self.fields.get(from..*end).unwrap_or_default();
            let shared = self.fields.get(..common).unwrap_or_default();
            for field in shared {
                push(&mut self.parts, start, separator, field.of(text));
            }
            if total > 1 {
                push(&mut self.parts, start, separator, &layout.part_number);
                // Writing to a string cannot fail.
                let _ = write!(self.parts, "={}{separator}{}={total}", index + 1, layout.total_parts);
            }
            for field in own {
                push(&mut self.parts, start, separator, field.of(text));
            }
            from = *end;
            *end = self.parts.len();
        }
    }
}

// === impl Field ===

impl Field {
    const fn length(&self) -> usize {
        self.end - self.start
    }

    const fn is_left_out(&self) -> bool {
        self.end == self.start
    }

    fn of<'t>(&self, text: &'t str) -> &'t str {
        text.get(self.start..self.end).unwrap_or_default()
    }

    /// Makes it no longer than `limit` bytes; leaves it out where that cannot be done.
    fn shorten(&mut self, text: &str, limit: usize, separators: &Separators) {
        let raw = text.get(self.value..self.end).unwrap_or_default();
        let limit = limit.saturating_sub(self.value - self.start);
        let length = match self.cut {
            Cut::Characters => whole_characters(raw, limit, separators),
            Cut::Elements(separator) => whole_elements(raw, limit, separator),
            Cut::Not => 0,
        };
        self.end = if length == 0 { self.start } else { self.value + length };
    }
}

/// The most of a list, in bytes, that is whole elements and at most `limit`.
///
/// Rebuffers begin with a pair that is none of them, and end with a separator: that much alone is nothing.
fn whole_elements(raw: &str, limit: usize, separator: char) -> usize {
    let ends = raw.match_indices(separator).map(|(at, _)| at);
    let last = |ends: &mut dyn Iterator<Item = usize>| ends.take_while(|end| *end <= limit).last();
    let length =
        if separator == ';' { last(&mut ends.map(|at| at + 1).skip(1)) } else { last(&mut { ends }) };
    length.unwrap_or(0)
}

/// What fields take with a separator in front of each, the first of a line too.
fn length(fields: &[Field], range: impl std::slice::SliceIndex<[Field], Output = [Field]>) -> usize {
    fields
        .get(range)
        .unwrap_or_default()
        .iter()
        .filter(|field| !field.is_left_out())
        .map(|field| 1 + field.length())
        .sum()
}

fn push(out: &mut String, start: usize, separator: char, text: &str) {
    if text.is_empty() {
        return;
    }
    if out.len() > start {
        out.push(separator);
    }
    out.push_str(text);
}
