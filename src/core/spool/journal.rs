//! What the journal is told: which records are done, so that none comes back after a restart.

use super::Queue;
use super::disk::Disk;
use super::segment::{Place, Ranges, Segment};
use super::state::done_entry;
use super::store::Spool;
use crate::time::Millis;

// === impl Spool ===

impl<D: Disk> Spool<D> {
    pub(super) fn journal_done(&mut self, now: Millis, queue: Queue, done: &Ranges) {
        let segments = self.queues.get(&queue).into_iter().flat_map(|waiting| &waiting.segments);
        let mut left = Ranges::default();
        for segment in segments {
            for (first, last) in done.iter() {
                left.insert(first.max(segment.first), last.min(segment.last));
            }
        }
        if left.len() > 0 {
            let mut entry = Vec::new();
            done_entry(&mut entry, queue, left.iter());
            self.journal(now, &entry);
        }
    }

    /// Says in the journal that a range was dropped, where the segment is still there.
    pub(super) fn journal_dropped(&mut self, now: Millis, queue: Queue, first: u64, last: u64) {
        let mut done = Ranges::default();
        done.insert(first, last);
        self.journal_done(now, queue, &done);
    }

    pub(super) fn journal(&mut self, now: Millis, entry: &[u8]) {
        if !self.tiers.health(Place::Ram).may_write(now) {
            self.state.set_dirty();
            return;
        }
        let rewrite = self.state.wants_rewrite();
        let done = if rewrite { self.all_done() } else { Vec::new() };
        let disk = self.tiers.disk(Place::Ram);
        let result = if rewrite { self.state.rewrite(disk, done) } else { self.state.append(disk, entry) };
        match result {
            Ok(()) => self.works(Place::Ram),
            Err(error) => self.failed(now, Place::Ram, error),
        }
    }

    /// What the journal has to say of the records.
    pub(super) fn all_done(&self) -> Vec<u8> {
        let mut entries = Vec::new();
        for (queue, waiting) in &self.queues {
            let mut gone = Ranges::default();
            for (first, last) in waiting.segments.iter().flat_map(|segment| segment.gone.iter()) {
                gone.insert(first, last);
            }
            // What has moved is gone from where it was, and not done.
            for (first, last) in waiting.segments.iter().flat_map(Segment::live_ranges) {
                gone.remove(first, last);
            }
            if gone.len() > 0 {
                done_entry(&mut entries, *queue, gone.iter());
            }
        }
        entries
    }
}
