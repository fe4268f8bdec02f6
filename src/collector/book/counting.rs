//! Under which values of dimensions, and by which filters, a session counts.

use std::collections::BTreeMap;
use std::iter::empty;
use std::sync::Arc;

use super::Book;
use crate::figures::Figures;
use crate::filters::{ALL_TRAFFIC, Filter, FilterId};
use crate::labels::{Dimension, Labels, Learned};
use crate::session::Session;
use crate::session::moments::Moments;
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
        let met: Vec<_> = filters.iter().filter(|filter| is_met(filter, &session.labels)).collect();
        let device = if samples.is_empty() { 0 } else { device_hash(&session.device) };
        for (dimension, value) in session.labels.all() {
            let series = self.series(&dimension, value, now);
            let met = met.iter().filter(|filter| tells(filter, &dimension)).map(|filter| filter.id);
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
    pub(super) fn attribute(&mut self, session: &Session, learned: &Learned, moments: Moments, now: UnixMs) {
        let labels = &session.labels;
        self.shift(session, ALL_TRAFFIC.0, labels.moved(learned), moments, now);
        let filters = Arc::clone(&self.saved.filters);
        if filters.is_empty() {
            return;
        }
        let earlier = labels.without(learned);
        // A filter counts from when it is made: of an attempt before that it has nothing that could move.
        for filter in filters.iter().filter(|filter| filter.made <= session.start) {
            let is_told = |(dimension, _): &(Dimension, &str)| tells(filter, dimension);
            let (from, to) = labels.moved(learned);
            match (is_met(filter, &earlier), is_met(filter, labels)) {
                (false, false) => {}
                (true, true) => {
                    self.shift(session, filter.id, (from.filter(is_told), to.filter(is_told)), moments, now);
                }
                (true, false) => {
                    self.shift(session, filter.id, (earlier.all().filter(is_told), empty()), moments, now);
                }
                (false, true) => {
                    self.shift(session, filter.id, (empty(), labels.all().filter(is_told)), moments, now);
                }
            }
        }
    }

    /// Has moments of a session count under other values by a filter.
    fn shift<'l>(
        &mut self,
        session: &Session,
        filter: FilterId,
        (from, to): (impl Iterator<Item = (Dimension, &'l str)>, impl Iterator<Item = (Dimension, &'l str)>),
        moments: Moments,
        now: UnixMs,
    ) {
        let device = device_hash(&session.device);
        let places = from.map(|place| (place, false)).chain(to.map(|place| (place, true)));
        for ((dimension, value), is_new) in places {
            let series = self.series(&dimension, value, now);
            for (minute, figures) in moments.figures() {
                let cell = self.tally.cell(filter, series, minute);
                self.tally.add(cell, &if is_new { figures } else { -figures });
                if is_new && figures.attempts > 0 {
                    self.tally.sample(cell, Sample::Device, device);
                }
            }
        }
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

/// Whether a session with these labels counts by a saved filter.
fn is_met(filter: &Filter, labels: &Labels) -> bool {
    filter.wanted.enabled && filter.wanted.rules.is_met_by(labels)
}

/// Whether a saved filter counts by this dimension.
fn tells(filter: &Filter, dimension: &Dimension) -> bool {
    filter.wanted.advanced || *dimension == Dimension::All
}
