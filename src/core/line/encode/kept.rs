//! What is the same in one line after the other.

use super::{Encoder, Field, Origin, Sent, Values};
use crate::line::config::{Item, Plan, Source, Step};

/// What of a session's lines does not change from one to the next, as it is written: most of what describes a
/// session needs escaping, and is looked at once. Belongs to one session and one configuration.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Of the values, see [`Values::revision`].
    revision: Option<u64>,
    runs: Vec<Run>,
    /// Of all runs, one behind the other.
    text: Vec<u8>,
    /// Of all runs; places are counted from where the run begins.
    fields: Vec<Field>,
}

/// Keys that follow each other and do not change.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The first step, and the one behind the last.
    steps: (usize, usize),
    /// Their end in [`Kept::text`].
    text: usize,
    /// Their end in [`Kept::fields`].
    fields: usize,
}

impl Encoder {
    /// Appends all keys of a plan.
    pub(super) fn push_all<V: Values + ?Sized>(
        &mut self,
        plan: &Plan,
        origin: &Origin<'_, V>,
        sent: &mut Sent,
        kept: &mut Kept,
    ) {
        let revision = origin.values.revision();
        if revision.is_none() {
            self.push_some(plan, (0, plan.steps.len()), origin, sent);
        } else if kept.revision == revision {
            let (mut step, mut text, mut field) = (0, 0, 0);
            for run in &kept.runs {
                self.push_some(plan, (step, run.steps.0), origin, sent);
                let base = self.text.len();
                self.text.copy(kept.text.get(text..run.text).unwrap_or_default());
                let fields = kept.fields.get(field..run.fields).unwrap_or_default();
                self.fields.extend(fields.iter().map(|field| field.behind(base)));
                (step, text, field) = (run.steps.1, run.text, run.fields);
            }
            self.push_some(plan, (step, plan.steps.len()), origin, sent);
        } else {
            self.push_and_keep(plan, origin, sent, kept);
            kept.revision = revision;
        }
    }

    /// Appends the keys of some steps of a plan.
    fn push_some<V: Values + ?Sized>(
        &mut self,
        plan: &Plan,
        (from, to): (usize, usize),
        origin: &Origin<'_, V>,
        sent: &mut Sent,
    ) {
        for step in plan.steps.get(from..to).unwrap_or_default() {
            self.push(step, origin, sent);
        }
    }

    /// The same for all steps, and keeps what stays.
    fn push_and_keep<V: Values + ?Sized>(
        &mut self,
        plan: &Plan,
        origin: &Origin<'_, V>,
        sent: &mut Sent,
        kept: &mut Kept,
    ) {
        kept.runs.clear();
        kept.text.clear();
        kept.fields.clear();
        let mut from = 0;
        while from < plan.steps.len() {
            let rest = plan.steps.get(from..).unwrap_or_default();
            let stay = rest.iter().take_while(|step| origin.stays(step)).count();
            let (base, first) = (self.text.len(), self.fields.len());
            // With none that stay, the next one alone.
            let to = from + stay.max(1);
            self.push_some(plan, (from, to), origin, sent);
            if stay > 0 {
                kept.text.extend_from_slice(self.text.bytes(base));
                let fields = self.fields.get(first..).unwrap_or_default();
                kept.fields.extend(fields.iter().map(|field| field.before(base)));
                let (text, fields) = (kept.text.len(), kept.fields.len());
                kept.runs.push(Run { steps: (from, to), text, fields });
            }
            from = to;
        }
    }
}

impl Field {
    /// The same, `base` bytes further on.
    const fn behind(&self, base: usize) -> Self {
        Self { start: self.start + base, value: self.value + base, end: self.end + base, ..*self }
    }

    /// The same, counted from `base`.
    const fn before(&self, base: usize) -> Self {
        Self { start: self.start - base, value: self.value - base, end: self.end - base, ..*self }
    }
}

impl<V: Values + ?Sized> Origin<'_, V> {
    /// Whether what is written for a step is the same in each line of this revision.
    fn stays(&self, step: &Step) -> bool {
        let stays = |source: Source| match source {
            Source::Metric(metric) => source.is_of_configuration() || self.values.stays(metric),
            Source::Dimension(_) => self.values.dimensions_stay(),
        };
        let Some(item) = self.layout.items.get(usize::from(step.item)) else { return false };
        let Item { source, constant, fallback, once, patterns, .. } = item;
        !once
            && (constant.is_some()
                || (stays(*source)
                    && fallback.is_none_or(stays)
                    && patterns.iter().all(|pattern| stays(pattern.of))))
    }
}
