//! What is kept in memory of a segment: its bounds, not its records.

use super::RecordId;
use super::disk::size;
use super::stamp::Stamp;
use super::write::Batch;

/// Where a segment lies. Of one queue, the older records lie on the greater trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Place {
    /// The state directory: survives a power cut.
    Flash,
    /// The runtime directory, a tmpfs: survives the agent.
    Ram,
    /// The agent's own memory, where the runtime directory cannot be written: survives nothing.
    Memory,
}

/// One file of records.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) place: Place,
    /// What its file is named after.
    pub(super) name: RecordId,
    /// Numbers of its first and its last record.
    pub(super) first: u64,
    pub(super) last: u64,
    /// The numbers from `first` to `last` of which there is no record, or none that is still wanted.
    pub(super) gone: Ranges,
    /// The file's length.
    pub(super) len: u64,
    /// When its first live record was taken, or earlier.
    pub(super) oldest: Stamp,
    /// Nothing more is appended.
    pub(super) sealed: bool,
    /// Dead, and cannot be removed.
    pub(super) is_stuck: bool,
    /// How often it could not be read.
    pub(super) unreadable: u8,
}

/// A set of numbers, in few ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

// === impl Segment ===

impl Segment {
    /// How many records are still wanted.
    pub(super) fn live(&self) -> u64 {
        (self.last - self.first + 1).saturating_sub(self.gone.len())
    }

    pub(super) fn is_dead(&self) -> bool {
        self.live() == 0
    }

    /// Whether a record of this number is in it and still wanted.
    pub(super) fn has(&self, seq: u64) -> bool {
        (self.first..=self.last).contains(&seq) && !self.gone.contains(seq)
    }

    /// From now on none of the records in the range is wanted; how many of them were.
    pub(super) fn remove(&mut self, from: u64, to: u64) -> u64 {
        let (from, to) = (from.max(self.first), to.min(self.last));
        if from > to {
            return 0;
        }
        let before = self.gone.len();
        self.gone.insert(from, to);
        self.gone.len() - before
    }

    /// The ranges of numbers that are still wanted.
    pub(super) fn live_ranges(&self) -> Vec<(u64, u64)> {
        let mut live = Ranges(vec![(self.first, self.last)]);
        self.gone.iter().for_each(|(lo, hi)| live.remove(lo, hi));
        live.0
    }

    /// How many of the numbers in the range are not wanted.
    pub(super) fn gone_within(&self, from: u64, to: u64) -> u64 {
        let overlaps = self.gone.iter().map(|(lo, hi)| (lo.max(from), hi.min(to)));
        overlaps.filter(|(lo, hi)| lo <= hi).map(|(lo, hi)| hi - lo + 1).sum()
    }

    /// Whether so many bytes more may be appended.
    pub(super) fn takes(&self, place: Place, bytes: u64, segment_bytes: u64) -> bool {
        self.place == place && !self.sealed && !self.is_dead() && self.len + bytes <= segment_bytes
    }

    /// Takes note of records that were appended.
    pub(super) fn extend(&mut self, batch: &Batch) {
        self.gone.insert(self.last + 1, batch.first.saturating_sub(1));
        batch.gaps.iter().for_each(|(lo, hi)| self.gone.insert(lo, hi));
        self.last = batch.last;
        self.len += size(batch.bytes.len());
    }

    /// The least and the greatest number still wanted.
    pub(super) fn live_bounds(&self) -> Option<(u64, u64)> {
        if self.is_dead() {
            return None;
        }
        let first = match self.gone.0.first() {
            Some((lo, hi)) if *lo <= self.first => hi + 1,
            _ => self.first,
        };
        let last = match self.gone.0.last() {
            Some((lo, hi)) if *hi >= self.last => lo - 1,
            _ => self.last,
        };
        Some((first, last))
    }
}

// === impl Ranges ===

impl Ranges {
    pub(super) fn insert(&mut self, from: u64, to: u64) {
        if from > to {
            return;
        }
        let start = self.0.partition_point(|(_, hi)| hi.saturating_add(1) < from);
        let end = self.0.partition_point(|(lo, _)| *lo <= to.saturating_add(1));
        let touched = self.0.get(start..end).unwrap_or_default();
        let from = touched.first().map_or(from, |(lo, _)| from.min(*lo));
        let to = touched.last().map_or(to, |(_, hi)| to.max(*hi));
        self.0.splice(start..end.max(start), [(from, to)]);
    }

    pub(super) fn remove(&mut self, from: u64, to: u64) {
        if from > to {
            return;
        }
        let start = self.0.partition_point(|(_, hi)| *hi < from);
        let end = self.0.partition_point(|(lo, _)| *lo <= to);
        let touched = self.0.get(start..end).unwrap_or_default();
        let head = touched.first().filter(|(lo, _)| *lo < from).map(|(lo, _)| (*lo, from - 1));
        let tail = touched.last().filter(|(_, hi)| *hi > to).map(|(_, hi)| (to + 1, *hi));
        self.0.splice(start..end.max(start), head.into_iter().chain(tail));
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let at = self.0.partition_point(|(_, hi)| *hi < number);
        self.0.get(at).is_some_and(|(lo, _)| *lo <= number)
    }

    /// How many numbers are in it.
    pub(super) fn len(&self) -> u64 {
        self.0.iter().map(|(lo, hi)| hi - lo + 1).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_a_set(steps in prop::collection::vec((0..60_u64, 0..8_u64, 0..3_u8), 0..30)) {
            let (mut ranges, mut model) = (Ranges::default(), BTreeSet::new());
            for (from, len, kind) in steps {
                let to = (from + len).saturating_sub(1);
                if kind == 0 {
                    ranges.remove(from, to);
                    model.retain(|number| !(from..=to).contains(number));
                } else {
                    ranges.insert(from, to);
                    model.extend(from..=to);
                }
                prop_assert_eq!(ranges.len(), model.len() as u64);
                for number in 0..70 {
                    prop_assert_eq!(ranges.contains(number), model.contains(&number));
                }
                prop_assert!(ranges.0.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "merged, in order");
            }
        }
    }
}
