//! Under which values of dimensions, and by which filters, a session counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Book;
use crate::figures::Figures;
use crate::filters::{ALL_TRAFFIC, Filter, FilterId};
use crate::labels::{Dimension, Labels};
use crate::session::Session;
use crate::sketch::{Sample, device_hash};
use crate::tally::{Series, Tally};
use crate::time::{Minute, UnixMs};

impl Book {
    /// Counts figures and samples of a session under each of its dimensions.
    pub(super) fn count(
        &mut self,
        session: &Session,
        minutes: &BTreeMap<Minute, Figures>,
        samples: &[(Minute, Sample)],
        now: UnixMs,
    ) {
        let filters = Arc::clone(&self.saved.filters);
        let met = met(&filters, &session.labels);
        let device = if samples.is_empty() { 0 } else { device_hash(&session.device) };
        for (dimension, value) in session.labels.all() {
            let series = self.series(&dimension, value, now);
            let counts = |filter: &&&Filter| filter.wanted.advanced || dimension == Dimension::All;
            let met = met.iter().filter(counts).map(|filter| filter.id);
            for filter in std::iter::once(ALL_TRAFFIC.0).chain(met) {
                // All that one message tells is of a few minutes, and one after the other of the same.
                let mut last = None;
                let mut cell = |tally: &mut Tally, minute| match last {
                    Some((known, cell)) if known == minute => cell,
                    _ => last.insert((minute, tally.cell(filter, series, minute))).1,
                };
                for (minute, figures) in minutes {
                    let cell = cell(&mut self.tally, *minute);
                    self.tally.add(cell, figures);
                }
                for (minute, sample) in samples {
                    let cell = cell(&mut self.tally, *minute);
                    self.tally.sample(cell, *sample, device);
                }
            }
        }
    }

    /// Has a session's attempt and play, as far as they are booked, count under the values of dimensions that had none
    /// when they were, and so by filters, too. What is sampled of them stays where it is.
    pub(super) fn attribute(
        &mut self,
        session: &Session,
        learned: &[Dimension],
        moments: [(Minute, Figures); 2],
        now: UnixMs,
    ) {
        let (before, after) = (session.labels.without(learned), &session.labels);
        let (before, after) = (self.places(&before, session.start), self.places(after, session.start));
        let device = device_hash(&session.device);
        for (filter, dimension, value) in before.symmetric_difference(&after) {
            let is_new = after.contains(&(*filter, dimension.clone(), value));
            let series = self.series(dimension, value, now);
            for (minute, figures) in moments {
                if figures.is_zero() {
                    continue;
                }
                let cell = self.tally.cell(*filter, series, minute);
                self.tally.add(cell, &if is_new { figures } else { -figures });
                if is_new && figures.attempts > 0 {
                    self.tally.sample(cell, Sample::Device, device);
                }
            }
        }
    }

    /// By which filters, and under which values, what happened to a session with these labels at this time counts.
    fn places<'l>(&self, labels: &'l Labels, at: UnixMs) -> BTreeSet<(FilterId, Dimension, &'l str)> {
        let mut met = met(&self.saved.filters, labels);
        met.retain(|filter| filter.made <= at);
        let places = labels.all().flat_map(|(dimension, value)| {
            let counts = |filter: &&&Filter| filter.wanted.advanced || dimension == Dimension::All;
            let met: Vec<_> = met.iter().filter(counts).map(|filter| filter.id).collect();
            let filters = std::iter::once(ALL_TRAFFIC.0).chain(met);
            filters.map(move |filter| (filter, dimension.clone(), value))
        });
        places.collect()
    }

    /// A value of a dimension, as it is told apart.
    fn series(&mut self, dimension: &Dimension, value: &str, now: UnixMs) -> Series {
        // What is in the tally was told apart when it came there.
        self.tally.known(dimension, value).unwrap_or_else(|| {
            let told = self.values.told_apart(dimension, value, now);
            self.changes.counts.folded += i64::from(told != value);
            self.tally.series(dimension, told)
        })
    }
}

/// The saved filters by which a session with these labels counts.
fn met<'f>(filters: &'f [Filter], labels: &Labels) -> Vec<&'f Filter> {
    let met = |filter: &&Filter| filter.wanted.enabled && filter.wanted.rules.is_met_by(labels);
    filters.iter().filter(met).collect()
}
