//! Records that are given up, and segments of which nothing is wanted any more.

use super::Queue;
use super::counts::{DropReason, Dropped};
use super::disk::{Disk, DiskError};
use super::frame::segment_name;
use super::segment::{Place, Segment};
use super::store::Spool;
use crate::time::Millis;

/// More drops than this are not kept for who never asks.
const MAX_DROPPED: usize = 256;

// === impl Spool ===

impl<D: Disk> Spool<D> {
    /// Gives up the oldest segment, of those on one disk if it is named. False if there is none.
    pub(super) fn drop_first(
        &mut self,
        now: Millis,
        queue: Queue,
        reason: DropReason,
        place: Option<Place>,
    ) -> bool {
        let Some(waiting) = self.queues.get_mut(&queue) else { return false };
        let mut segments = waiting.segments.iter_mut();
        let is_there = |segment: &&mut Segment| place.is_none_or(|place| segment.place == place);
        let Some(segment) = segments.find(|segment| is_there(segment) && !segment.is_dead()) else {
            return false;
        };
        let Some((first, last)) = segment.live_bounds() else { return false };
        let records = segment.remove(first, last);
        self.count_dropped(queue, first, last, records, reason);
        self.sweep(now, queue);
        true
    }

    pub(super) fn count_dropped(
        &mut self,
        queue: Queue,
        first: u64,
        last: u64,
        records: u64,
        reason: DropReason,
    ) {
        let waiting = self.queues.entry(queue).or_default();
        waiting.counts.dropped.add(reason, records);
        if let Some(before) = self.dropped.back_mut() {
            let is_alive = |segment: &Segment| {
                segment.live_bounds().is_some_and(|(lo, hi)| hi > before.last && lo < first)
            };
            if before.queue == queue
                && before.reason == reason
                && before.last < first
                && !waiting.segments.iter().any(is_alive)
            {
                before.last = last;
                before.records += records;
                return;
            }
        }
        if self.dropped.len() >= MAX_DROPPED {
            self.dropped.pop_front();
        }
        self.dropped.push_back(Dropped { queue, first, last, records, reason });
    }

    /// Removes the segments of which nothing is wanted any more.
    pub(super) fn sweep(&mut self, now: Millis, queue: Queue) {
        let Some(waiting) = self.queues.get_mut(&queue) else { return };
        let (mut failure, mut removed) = (None, None);
        let (tiers, cache, state) = (&mut self.tiers, &mut self.cache, &mut self.state);
        waiting.segments.retain_mut(|segment| {
            if !segment.is_dead() {
                return true;
            }
            let place = segment.place;
            if segment.is_stuck && !tiers.health(place).may_write(now) {
                return true;
            }
            match tiers.disk(place).remove(&segment_name(segment.name)) {
                Ok(()) | Err(DiskError::Missing) => {}
                Err(error) => {
                    failure = Some((place, error));
                    if !segment.is_stuck {
                        // Its records must not come back after a restart.
                        state.set_dirty();
                        segment.is_stuck = true;
                        segment.sealed = true;
                        let health = tiers.health_mut(place);
                        health.used -= segment.len;
                        health.stuck += segment.len;
                    }
                    return true;
                }
            }
            if cache.of == Some((place, segment.name)) {
                cache.of = None;
            }
            if place == Place::Flash {
                removed = removed.max(Some(segment.first));
            }
            let health = tiers.health_mut(place);
            let bytes = if segment.is_stuck { &mut health.stuck } else { &mut health.used };
            *bytes -= segment.len;
            false
        });
        // The directory is not synced for that, so a power cut may bring the segment back: what comes after it must
        // not be appended to what comes before it.
        for segment in &mut waiting.segments {
            segment.sealed |= segment.place == Place::Flash && Some(segment.first) < removed;
        }
        if let Some((place, error)) = failure {
            self.failed(now, place, error);
        }
    }
}
