//! What is the same in one line after the other.

use std::ops::Range;

use super::{Origin, Scratch, Sent, Values};
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
}

/// Keys that follow each other and do not change.
#[derive(Debug, Clone, Copy)]
struct Run {
    /// The first step, and the one behind the last.
    steps: (usize, usize),
    /// Their end in [`Kept::text`].
    end: usize,
}

impl Kept {
    /// Writes all keys of a plan into `room`; how many bytes it is, `None` where there was too little room.
    pub(super) fn push_all<V: Values + ?Sized>(
        &mut self,
        plan: &Plan,
        origin: &Origin<'_, V>,
        sent: &mut Sent,
        scratch: &mut Scratch,
        room: &mut [u8],
    ) -> Option<usize> {
        let revision = origin.values.revision();
        if revision.is_some() && self.revision != revision {
            return self.push_and_keep(plan, origin, sent, scratch, room);
        }
        let runs = if revision.is_some() { &*self.runs } else { &[] };
        let mut runs = runs.iter();
        let (mut step, mut start, mut at) = (0, 0, 0);
        loop {
            let run = runs.next();
            let upto = run.map_or(plan.steps.len(), |run| run.steps.0);
            at = origin.push_some(plan, step..upto, sent, scratch, room, at)?;
            let Some(run) = run else { return Some(at) };
            let text = self.text.get(start..run.end).unwrap_or_default();
            room.get_mut(at..at + text.len())?.copy_from_slice(text);
            (step, start, at) = (run.steps.1, run.end, at + text.len());
        }
    }

    /// The same, and keeps what stays.
    #[cold]
    #[inline(never)]
    fn push_and_keep<V: Values + ?Sized>(
        &mut self,
        plan: &Plan,
        origin: &Origin<'_, V>,
        sent: &mut Sent,
        scratch: &mut Scratch,
        room: &mut [u8],
    ) -> Option<usize> {
        self.revision = None;
        self.runs.clear();
        self.text.clear();
        let (mut step, mut at) = (0, 0);
        while step < plan.steps.len() {
            let rest = plan.steps.get(step..).unwrap_or_default();
            let stay = rest.iter().take_while(|step| origin.stays(step)).count();
            // With none that stay, the next one alone.
            let next = step + stay.max(1);
            let end = origin.push_some(plan, step..next, sent, scratch, room, at)?;
            if stay > 0 {
                self.text.extend_from_slice(room.get(at..end)?);
                self.runs.push(Run { steps: (step, next), end: self.text.len() });
            }
            (step, at) = (next, end);
        }
        self.revision = origin.values.revision();
        Some(at)
    }
}

impl<V: Values + ?Sized> Origin<'_, V> {
    /// Writes the keys of some steps of a plan into `room` behind `at`; gives the place behind them.
    #[inline]
    fn push_some(
        &self,
        plan: &Plan,
        steps: Range<usize>,
        sent: &mut Sent,
        scratch: &mut Scratch,
        room: &mut [u8],
        at: usize,
    ) -> Option<usize> {
        let mut steps = plan.steps.get(steps).unwrap_or_default().iter();
        steps.try_fold(at, |at, step| self.push(step, sent, scratch, room, at))
    }

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
