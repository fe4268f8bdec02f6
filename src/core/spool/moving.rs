//! From memory to flash, and when.

use super::Queue;
use super::disk::{Disk, DiskError, size};
use super::frame::HEADER;
use super::load::{Load, live_frames};
use super::segment::{Place, Ranges, Segment};
use super::store::Spool;
use super::write::Batch;
use crate::time::Millis;

impl<D: Disk> Spool<D> {
    /// A send of a queue's records has failed.
    pub fn trouble(&mut self, now: Millis, queue: Queue) {
        self.waiting(queue).failing_since.get_or_insert(now);
        self.move_if_due(now, queue);
    }

    /// A send of a queue's records has succeeded.
    pub fn recovered(&mut self, queue: Queue) {
        let waiting = self.waiting(queue);
        waiting.failing_since = None;
        waiting.moved = None;
    }

    /// The agent is about to end: all that waits moves to flash. How many records could not.
    pub fn handle_stop(&mut self, now: Millis) -> u64 {
        self.is_stopping = true;
        let queues: Vec<_> = self.queues.keys().copied().collect();
        for queue in queues {
            if !self.tiers.health(Place::Flash).unknown {
                // Why not is noted where it happens, and what is left is counted below.
                let _ = self.relocate(now, queue, Place::Flash);
            }
        }
        let segments = self.queues.values().flat_map(|waiting| &waiting.segments);
        segments.filter(|segment| segment.place > Place::Flash).map(Segment::live).sum()
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Millis) {
        let queues: Vec<_> = self.queues.keys().copied().collect();
        for place in [Place::Flash, Place::Ram] {
            let health = self.tiers.health(place);
            if !health.strays.is_empty() && health.may_write(now) {
                if let Err(error) = self.tiers.remove_strays(place) {
                    self.failed(now, place, error);
                }
            }
        }
        let is_stuck = [Place::Flash, Place::Ram].into_iter().any(|place| {
            let health = self.tiers.health(place);
            health.stuck > 0 && health.may_write(now)
        });
        for queue in queues {
            if is_stuck {
                self.sweep(now, queue);
            }
            self.drop_aged(now, queue);
            let is_last_in_memory =
                self.waiting(queue).segments.back().is_some_and(|last| last.place == Place::Memory);
            if is_last_in_memory && self.tiers.health(Place::Ram).may_write(now) {
                // Why not is noted where it happens.
                let _ = self.relocate(now, queue, Place::Ram);
            }
            self.move_if_due(now, queue);
        }
        if self.state.wants_rewrite() {
            self.journal(now, &[]);
        }
    }

    /// When [`Spool::handle_timeout`] next has something to do.
    pub fn poll_timeout(&self) -> Option<Millis> {
        let retry = |place| self.tiers.health(place).retry_at;
        let mut due = Vec::new();
        for (queue, waiting) in &self.queues {
            if let Some(segment) = waiting.segments.iter().find(|segment| !segment.is_dead()) {
                let aged = self.boots.due(&segment.oldest, self.config.limits.max_age);
                due.push(if segment.unreadable > 0 { aged.max(retry(segment.place)) } else { aged });
            }
            due.extend(self.move_due(*queue));
            if waiting.segments.back().is_some_and(|last| last.place == Place::Memory) {
                due.push(retry(Place::Ram));
            }
        }
        if self.state.is_dirty() {
            due.push(retry(Place::Ram));
        }
        for place in [Place::Flash, Place::Ram] {
            if self.tiers.health(place).stuck > 0 || !self.tiers.health(place).strays.is_empty() {
                due.push(retry(place));
            }
        }
        due.into_iter().min()
    }

    /// When the queue's records move to flash next.
    fn move_due(&self, queue: Queue) -> Option<Millis> {
        let waiting = self.queues.get(&queue)?;
        let policy = self.config.policy;
        let flash = self.tiers.health(Place::Flash);
        let bytes = waiting.volatile_bytes();
        if bytes == 0 || flash.unknown {
            return None;
        }
        let due = match waiting.moved {
            _ if self.is_stopping => Millis(0),
            None => waiting.failing_since? + policy.trouble_after,
            Some(_) if bytes >= policy.batch_bytes => waiting.failing_since? + policy.trouble_after,
            Some(moved) => {
                waiting.failing_since?;
                moved + policy.batch_period
            }
        };
        Some(if flash.fault.is_some() { due.max(flash.retry_at) } else { due })
    }

    pub(super) fn move_if_due(&mut self, now: Millis, queue: Queue) {
        if self.move_due(queue).is_some_and(|due| due <= now) {
            // Why not is noted where it happens, and tried again later.
            let _ = self.relocate(now, queue, Place::Flash);
            if self.tiers.health(Place::Flash).fault.is_none() {
                self.waiting(queue).moved = Some(now);
            }
        }
    }

    /// Moves a queue's records to a better place. They are safe there before they go from where they were.
    pub(super) fn relocate(&mut self, now: Millis, queue: Queue, to: Place) -> Result<(), DiskError> {
        let result = self.relocate_all(now, queue, to);
        if let Err(error) = &result {
            self.failed(now, to, error.clone());
        }
        // Headers may have come on top.
        self.make_room(now, None, 0);
        result
    }

    fn relocate_all(&mut self, now: Millis, queue: Queue, to: Place) -> Result<(), DiskError> {
        let mut start = 0;
        loop {
            let next = |spool: &mut Self| {
                let mut segments = spool.waiting(queue).segments.iter().enumerate().skip(start);
                let found = segments.find(|(_, segment)| segment.place > to && !segment.is_dead());
                found.map(|(index, segment)| (index, segment.len))
            };
            let Some((_, len)) = next(self) else { return Ok(()) };
            match to {
                Place::Flash => self.make_room_on_flash(now, len + size(HEADER))?,
                Place::Ram | Place::Memory if self.make_room_in(now, to, len + size(HEADER)) => {}
                Place::Ram | Place::Memory => return Err(DiskError::NoSpace),
            }
            let Some((index, _)) = next(self) else { return Ok(()) };
            match self.load(now, queue, index) {
                Load::Ready => {}
                Load::Unreadable => {
                    start = index + 1;
                    continue;
                }
                Load::Gone => continue,
            }
            let Some(batch) = self.batch(queue, index, to) else {
                start = index + 1;
                continue;
            };
            let is_new = self.write(queue, index, to, &batch)?;
            if let Some(source) = self.waiting(queue).segments.get_mut(index + usize::from(is_new)) {
                source.remove(batch.first, batch.last);
            }
            self.works(to);
            self.sweep(now, queue);
        }
    }

    /// The first of the cached segment's records, as many as there is room for in one segment.
    fn batch(&self, queue: Queue, index: usize, to: Place) -> Option<Batch> {
        let segments = &self.queues.get(&queue)?.segments;
        let source = segments.get(index)?;
        let segment_bytes = self.config.limits.segment_bytes();
        let tail = index.checked_sub(1).and_then(|index| segments.get(index));
        let mut batch: Option<Batch> = None;
        let mut room = 0;
        for (frame, bytes) in live_frames(&self.cache, source) {
            let len = size(bytes.len());
            let Some(batch) = &mut batch else {
                let tail = tail.filter(|tail| tail.takes(to, len, segment_bytes));
                let filled = tail.map_or(size(HEADER), |tail| tail.len);
                room = segment_bytes.saturating_sub(filled + len);
                let gaps = Ranges::default();
                let (first, last, oldest) = (frame.seq, frame.seq, frame.stamp);
                batch = Some(Batch { bytes: bytes.to_vec(), first, last, gaps, oldest });
                continue;
            };
            if len > room {
                break;
            }
            room -= len;
            batch.gaps.insert(batch.last + 1, frame.seq - 1);
            batch.last = frame.seq;
            batch.bytes.extend_from_slice(bytes);
        }
        batch
    }
}
