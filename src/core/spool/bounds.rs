//! What is given up, and when.

use super::Queue;
use super::counts::DropReason;
use super::disk::{Disk, DiskError};
use super::load::{Load, live_frames};
use super::segment::{Place, Segment};
use super::store::Spool;
use crate::time::Millis;

impl<D: Disk> Spool<D> {
    /// Gives up what is over the caps, with room for one more record of a queue in so many bytes. False if there
    /// is no room even so.
    pub(super) fn make_room(&mut self, now: Millis, pusher: Option<Queue>, bytes: u64) -> bool {
        let limits = self.config.limits;
        let more = u64::from(pusher.is_some());
        loop {
            let live: u64 = self.queues.values().map(super::store::Waiting::live).sum();
            if live + more <= limits.max_records {
                break;
            }
            let most = self.queues.iter().map(|(queue, waiting)| {
                let records = waiting.live() + if pusher == Some(*queue) { 1 } else { 0 };
                (over(records, self.config.record_share(*queue)), pusher == Some(*queue), *queue)
            });
            let Some((.., queue)) = most.max() else { return false };
            if !self.drop_record(now, queue, DropReason::Full) {
                return false;
            }
        }
        while self.tiers.used() + bytes > limits.max_bytes {
            if self.remove_set_aside() {
                continue;
            }
            let most = self.queues.iter().map(|(queue, waiting)| {
                let bytes = waiting.bytes() + if pusher == Some(*queue) { bytes } else { 0 };
                (over(bytes, self.config.byte_share(*queue)), pusher == Some(*queue), *queue)
            });
            let Some((.., queue)) = most.max() else { return false };
            if !self.drop_first(now, queue, DropReason::Full, None) {
                return false;
            }
        }
        true
    }

    /// Makes room for so many bytes on one of the disks that are memory: by moving records to flash, or else by
    /// giving up the oldest.
    pub(super) fn make_room_in(&mut self, now: Millis, place: Place, bytes: u64) -> bool {
        let cap = match place {
            Place::Flash => self.config.limits.max_bytes,
            Place::Ram => self.config.limits.ram_bytes,
            Place::Memory => self.config.limits.memory_bytes,
        };
        let mut moves = self.queues.len();
        loop {
            let journal = if place == Place::Ram { self.state.len() } else { 0 };
            if self.used(place) + journal + bytes <= cap {
                return true;
            }
            if moves > 0 && self.tiers.health(Place::Flash).may_write(now) {
                moves -= 1;
                self.move_most(now);
                continue;
            }
            let most = self.queues.iter().filter_map(|(queue, waiting)| {
                let here = |segment: &&Segment| segment.place == place && !segment.is_dead();
                let bytes: u64 = waiting.segments.iter().filter(here).map(|segment| segment.len).sum();
                (bytes > 0).then(|| (over(bytes, self.config.share(*queue, cap)), *queue))
            });
            let Some((_, queue)) = most.max() else { return false };
            let is_faulty = self.fault(Place::Flash).is_some();
            let reason = if is_faulty { DropReason::NoSpace } else { DropReason::Full };
            self.drop_first(now, queue, reason, Some(place));
        }
    }

    /// Moves what the queue has that has most in memory. Where flash has no room, the oldest on it goes.
    fn move_most(&mut self, now: Millis) {
        let most = self.queues.iter().map(|(queue, waiting)| (waiting.volatile_bytes(), *queue)).max();
        let Some((_, queue)) = most else { return };
        self.is_pressed = true;
        if self.relocate(now, queue, Place::Flash) == Err(DiskError::NoSpace)
            && self.drop_from_flash(now, DropReason::NoSpace)
        {
            let _ = self.relocate(now, queue, Place::Flash);
        }
        self.is_pressed = false;
    }

    /// Makes room on flash, for others too.
    pub(super) fn make_room_on_flash(&mut self, now: Millis, bytes: u64) -> Result<(), DiskError> {
        let limits = self.config.limits;
        let free = self.tiers.disk(Place::Flash).free()?;
        let short = limits.keep_free.saturating_add(bytes).saturating_sub(free);
        if short > 0 {
            let before = self.tiers.health(Place::Flash).used;
            // Nothing is given up for what can stay in memory.
            if before < short || !(self.is_pressed || self.is_stopping) {
                return Err(DiskError::NoSpace);
            }
            // What was removed may count as free only after a while: it is not asked again.
            while before.saturating_sub(self.tiers.health(Place::Flash).used) < short {
                if self.fault(Place::Flash).is_some() || !self.drop_from_flash(now, DropReason::NoSpace) {
                    return Err(DiskError::NoSpace);
                }
            }
        }
        while self.used(Place::Flash) + bytes > limits.max_bytes {
            if self.remove_set_aside() {
                continue;
            }
            if self.fault(Place::Flash).is_some() || !self.drop_from_flash(now, DropReason::Full) {
                return Err(DiskError::NoSpace);
            }
        }
        Ok(())
    }

    /// Gives up the oldest segment on flash of the queue that is most over its share.
    fn drop_from_flash(&mut self, now: Millis, reason: DropReason) -> bool {
        let most = self.queues.iter().filter_map(|(queue, waiting)| {
            let here = |segment: &&Segment| segment.place == Place::Flash && !segment.is_dead();
            let bytes: u64 = waiting.segments.iter().filter(here).map(|segment| segment.len).sum();
            (bytes > 0).then(|| (over(bytes, self.config.byte_share(*queue)), *queue))
        });
        let Some((_, queue)) = most.max() else { return false };
        self.drop_first(now, queue, reason, Some(Place::Flash))
    }

    /// Gives up a queue's oldest record. False if it has none.
    fn drop_record(&mut self, now: Millis, queue: Queue, reason: DropReason) -> bool {
        let Some(waiting) = self.queues.get_mut(&queue) else { return false };
        let Some(segment) = waiting.segments.iter_mut().find(|segment| !segment.is_dead()) else {
            return false;
        };
        let Some((first, _)) = segment.live_bounds() else { return false };
        segment.remove(first, first);
        self.count_dropped(queue, first, first, 1, reason);
        self.sweep(now, queue);
        self.journal_dropped(now, queue, first, first);
        true
    }

    /// Gives up what has waited too long.
    pub(super) fn drop_aged(&mut self, now: Millis, queue: Queue) {
        let max_age = self.config.limits.max_age;
        let mut index = 0;
        loop {
            let Some(segment) = self.waiting(queue).segments.get(index).cloned() else { return };
            if segment.is_dead() {
                index += 1;
                continue;
            }
            if self.boots.age(now, &segment.oldest) < max_age {
                return;
            }
            match self.load(now, queue, index) {
                Load::Ready => {}
                Load::Unreadable => {
                    index += 1;
                    continue;
                }
                Load::Gone => continue,
            }
            let (mut aged, mut oldest) = (None, None);
            for (frame, _) in live_frames(&self.cache, &segment) {
                if self.boots.age(now, &frame.stamp) < max_age {
                    oldest = Some(frame.stamp);
                    break;
                }
                aged = Some((aged.map_or(frame.seq, |(first, _)| first), frame.seq));
            }
            let Some(segment) = self.waiting(queue).segments.get_mut(index) else { return };
            if let Some(oldest) = oldest {
                segment.oldest = oldest;
            }
            if let Some((first, last)) = aged {
                let records = segment.remove(first, last);
                self.count_dropped(queue, first, last, records, DropReason::Aged);
                let before = self.waiting(queue).segments.len();
                self.sweep(now, queue);
                self.journal_dropped(now, queue, first, last);
                index += usize::from(self.waiting(queue).segments.len() == before);
            } else {
                index += 1;
            }
        }
    }

    /// Removes the files that were set aside. False if there are none.
    fn remove_set_aside(&mut self) -> bool {
        let mut removed = false;
        for place in [Place::Flash, Place::Ram] {
            let files = std::mem::take(&mut self.tiers.health_mut(place).bad_files);
            self.tiers.health_mut(place).bad = 0;
            for (file, _) in files {
                let _ = self.tiers.disk(place).remove(&file);
                removed = true;
            }
        }
        removed
    }
}

/// How far above its share, as a number that sorts.
fn over(amount: u64, share: u64) -> i128 {
    i128::from(amount) - i128::from(share)
}
