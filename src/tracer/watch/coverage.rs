//! Which bytes of a file a demuxer has read, so that none counts twice.
//!
//! A demuxer that pulls reads headers, then the end of the file for its duration, then from the beginning again.

/// How many separate stretches are kept apart.
const MAX_STRETCHES: usize = 16;

/// The stretches read since the last seek. Of fixed size: it is used in a probe.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    /// Ascending, apart from each other; empty ones have `start == end`.
    stretches: [Stretch; MAX_STRETCHES],
    count: usize,
}

#[derive(Debug, Default, Clone, Copy)]
struct Stretch {
    start: u64,
    end: u64,
}

impl Coverage {
    /// Forgets all: after a seek what is read again is played again.
    pub(super) const fn reset(&mut self) {
        self.count = 0;
    }

    /// Reads `length` bytes at `offset`; gives how many of them are new.
    pub(super) fn read(&mut self, offset: u64, length: u64) -> u64 {
        let mut new = Stretch { start: offset, end: offset.saturating_add(length) };
        let mut known = 0_u64;
        let mut kept = 0;
        for index in 0..self.count {
            let Some(old) = self.stretches.get(index).copied() else { break };
            if old.end < new.start || new.end < old.start {
                if let Some(slot) = self.stretches.get_mut(kept) {
                    *slot = old;
                }
                kept += 1;
            } else {
                let overlap = old.end.min(offset + length).saturating_sub(old.start.max(offset));
                known = known.saturating_add(overlap);
                new = Stretch { start: new.start.min(old.start), end: new.end.max(old.end) };
            }
        }
        if kept == MAX_STRETCHES {
            // The oldest place is forgotten; at worst its bytes count twice.
            self.stretches.rotate_left(1);
            kept -= 1;
        }
        if let Some(slot) = self.stretches.get_mut(kept) {
            *slot = new;
        }
        self.count = kept + 1;
        length.saturating_sub(known)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scan_then_play_counts_each_byte_once() {
        let mut coverage = Coverage::default();
        let reads = [(0, 100), (900, 100), (0, 100), (100, 100), (200, 700), (900, 100)];
        let sum: u64 = reads.iter().map(|&(offset, length)| coverage.read(offset, length)).sum();
        assert_eq!(sum, 1000);
    }

    #[test]
    fn after_a_seek_bytes_count_again() {
        let mut coverage = Coverage::default();
        assert_eq!(coverage.read(0, 10), 10);
        assert_eq!(coverage.read(0, 10), 0);
        coverage.reset();
        assert_eq!(coverage.read(0, 10), 10);
    }

    proptest! {
        #[test]
        fn equals_the_set_of_bytes_read(reads in prop::collection::vec((0..200_u64, 0..40_u64), 1..15)) {
            let mut coverage = Coverage::default();
            let mut bytes = BTreeSet::new();
            for (offset, length) in reads {
                let before = bytes.len();
                bytes.extend(offset..offset + length);
                prop_assert_eq!(coverage.read(offset, length), (bytes.len() - before) as u64);
            }
        }
    }
}
