//! The spool itself: what goes in, what is read, what is done.

use std::collections::{BTreeMap, VecDeque};

use super::counts::{Counts, DropReason, Dropped};
use super::disk::{Disk, DiskError, size};
use super::frame::{self, HEADER};
use super::limits::{Config, Limits};
use super::load::{Cache, Load, live_frames};
use super::segment::{Place, Ranges, Segment};
use super::stamp::{Boots, Stamp};
use super::state::StateLog;
use super::tier::Tiers;
use super::write::Batch;
use super::{Cell, Depth, Done, Event, Queue, Record, RecordId};
use crate::time::{Millis, WallAnchor};

/// A store of records that outlives the agent; see the module.
#[derive(Debug)]
pub struct Spool<D> {
    pub(super) config: Config,
    pub(super) tiers: Tiers<D>,
    pub(super) boots: Boots,
    pub(super) queues: BTreeMap<Queue, Waiting>,
    pub(super) state: StateLog,
    pub(super) cache: Cache,
    pub(super) dropped: VecDeque<Dropped>,
    pub(super) events: VecDeque<Event>,
    pub(super) flash_written: u64,
    /// Where queues begin to count.
    pub(super) first_seq: u64,
    pub(super) is_stopping: bool,
    /// Memory is full: what is old on flash gives way to what is new.
    pub(super) is_pressed: bool,
}

/// One queue.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// In order.
    pub(super) segments: VecDeque<Segment>,
    pub(super) next: u64,
    pub(super) failing_since: Option<Millis>,
    /// When records moved to flash last.
    pub(super) moved: Option<Millis>,
    pub(super) counts: Counts,
}

// === impl Spool ===

impl<D: Disk> Spool<D> {
    /// What time it is; the calendar may become known, or be set, at any moment.
    pub fn set_calendar(&mut self, anchor: Option<WallAnchor>) {
        self.boots.set_wall(anchor);
    }

    /// Other caps from now on.
    pub fn set_limits(&mut self, now: Millis, limits: Limits) {
        self.config.limits = limits;
        self.make_room(now, None, 0);
        self.handle_timeout(now);
    }

    /// Takes a record. When this returns it is in the runtime directory, or, while that cannot be written, in
    /// memory; one for which there is no room at all is dropped at once, and counted.
    pub fn push(&mut self, now: Millis, queue: Queue, payload: &[u8]) -> RecordId {
        let stamp = self.boots.stamp(now);
        let waiting = self.waiting(queue);
        let seq = waiting.next;
        waiting.next = seq.saturating_add(1);
        waiting.counts.pushed = waiting.counts.pushed.saturating_add(1);
        let id = RecordId { queue, seq };

        let need = frame::frame_size(payload).saturating_add(size(HEADER));
        if need > self.config.limits.segment_bytes() {
            self.count_dropped(queue, seq, seq, 1, DropReason::TooLarge);
            return id;
        }
        if !self.make_room(now, Some(queue), need) {
            self.count_dropped(queue, seq, seq, 1, DropReason::Full);
            return id;
        }
        let mut bytes = Vec::with_capacity(payload.len() + frame::FRAME);
        frame::write(&mut bytes, seq, &stamp, payload);
        let batch = Batch { bytes, first: seq, last: seq, gaps: Ranges::default(), oldest: stamp };
        if !self.push_to_ram(now, queue, &batch, need) && !self.push_to_memory(now, queue, &batch, need) {
            self.count_dropped(queue, seq, seq, 1, DropReason::NoSpace);
        }
        self.move_if_due(now, queue);
        id
    }

    fn push_to_ram(&mut self, now: Millis, queue: Queue, batch: &Batch, need: u64) -> bool {
        if !self.tiers.health(Place::Ram).may_write(now) {
            return false;
        }
        if self.waiting(queue).segments.back().is_some_and(|last| last.place == Place::Memory)
            && self.relocate(now, queue, Place::Ram).is_err()
        {
            return false;
        }
        if !self.make_room_in(now, Place::Ram, need) {
            return false;
        }
        let index = self.waiting(queue).segments.len();
        match self.write(queue, index, Place::Ram, batch) {
            Ok(_) => {
                self.works(Place::Ram);
                true
            }
            Err(error) => {
                self.failed(now, Place::Ram, error);
                false
            }
        }
    }

    fn push_to_memory(&mut self, now: Millis, queue: Queue, batch: &Batch, need: u64) -> bool {
        let index = |spool: &mut Self| spool.waiting(queue).segments.len();
        if !self.make_room_in(now, Place::Memory, need) {
            return false;
        }
        let index = index(self);
        self.write(queue, index, Place::Memory, batch).is_ok()
    }

    /// The next records of a queue, in order, from behind `after` or the oldest on. At most `max_records`, and not
    /// more bytes of payload than `max_bytes`, but one if there is one.
    pub fn read_next(
        &mut self,
        now: Millis,
        queue: Queue,
        after: Option<RecordId>,
        max_records: usize,
        max_bytes: usize,
    ) -> Vec<Record> {
        let (mut records, mut bytes) = (Vec::new(), 0_usize);
        let is_new = |seq| after.is_none_or(|after| seq > after.seq);
        let mut index = 0;
        while let Some(segment) = self.waiting(queue).segments.get(index) {
            if segment.is_dead() || !is_new(segment.last) {
                index += 1;
                continue;
            }
            match self.load(now, queue, index) {
                Load::Ready => {}
                Load::Unreadable => {
                    index += 1;
                    continue;
                }
                Load::Gone => continue,
            }
            let Some(segment) = self.queues.get(&queue).and_then(|waiting| waiting.segments.get(index))
            else {
                break;
            };
            for frame in live_frames(&self.cache, segment).map(|(frame, _)| frame) {
                if !is_new(frame.seq) {
                    continue;
                }
                bytes = bytes.saturating_add(frame.payload.len());
                if records.len() >= max_records || (bytes > max_bytes && !records.is_empty()) {
                    return records;
                }
                let id = RecordId { queue, seq: frame.seq };
                records.push(Record { id, stamp: frame.stamp, payload: frame.payload.to_vec() });
            }
            index += 1;
        }
        records
    }

    /// Takes what became of records. Names of records that are gone already mean nothing.
    pub fn done(&mut self, now: Millis, ids: &[RecordId], how: Done) {
        let mut touched = BTreeMap::<Queue, Ranges>::new();
        for id in ids {
            let Some(waiting) = self.queues.get_mut(&id.queue) else { continue };
            let Some(segment) = waiting.segments.iter_mut().find(|segment| segment.has(id.seq)) else {
                continue;
            };
            segment.remove(id.seq, id.seq);
            match how {
                Done::Delivered => waiting.counts.delivered = waiting.counts.delivered.saturating_add(1),
                Done::Dropped(reason) => waiting.counts.dropped.add(reason, 1),
            }
            touched.entry(id.queue).or_default().insert(id.seq, id.seq);
        }
        for (queue, ranges) in touched {
            self.sweep(now, queue);
            self.journal_done(now, queue, &ranges);
        }
    }

    /// Everything in a queue is given up.
    pub fn clear(&mut self, now: Millis, queue: Queue, reason: DropReason) {
        while self.drop_first(now, queue, reason, None) {}
    }

    /// Sets a cell: only its latest value is kept, in the runtime directory. False if there is no room for it.
    pub fn set_cell(&mut self, now: Millis, key: &str, payload: &[u8]) -> bool {
        let stamp = self.boots.stamp(now);
        let max_bytes = self.config.limits.ram_bytes / 4;
        let Some(entry) = self.state.set(key, stamp, payload, max_bytes) else { return false };
        self.journal(now, &entry);
        true
    }

    /// Clears a cell.
    pub fn clear_cell(&mut self, now: Millis, key: &str) {
        if let Some(entry) = self.state.clear(key) {
            self.journal(now, &entry);
        }
    }

    /// All cells, by key.
    pub fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.state.cells()
    }

    /// What the spool has dropped itself since it was asked last.
    pub fn poll_dropped(&mut self) -> Option<Dropped> {
        self.dropped.pop_front()
    }

    /// What the log should say.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What is wrong with a disk now.
    pub fn fault(&self, place: Place) -> Option<&DiskError> {
        self.tiers.health(place).fault.as_ref()
    }

    /// Bytes written to flash since the spool was opened.
    pub const fn flash_written(&self) -> u64 {
        self.flash_written
    }

    /// Bytes of the files of records on a disk now.
    pub const fn used(&self, place: Place) -> u64 {
        let health = self.tiers.health(place);
        health.used + health.bad + health.stuck
    }

    /// The queues in which anything ever was.
    pub fn queues(&self) -> impl Iterator<Item = Queue> + '_ {
        self.queues.keys().copied()
    }

    /// What became of a queue's records.
    pub fn counts(&self, queue: Queue) -> Counts {
        self.queues.get(&queue).map_or_else(Counts::default, |waiting| waiting.counts)
    }

    /// How much waits in a queue.
    pub fn depth(&self, now: Millis, queue: Queue) -> Depth {
        let mut depth = Depth::default();
        let segments = self.queues.get(&queue).into_iter().flat_map(|waiting| &waiting.segments);
        for segment in segments.filter(|segment| !segment.is_dead()) {
            depth.records += segment.live();
            depth.bytes += segment.len;
            if segment.place == Place::Flash {
                depth.flash_records += segment.live();
                depth.flash_bytes += segment.len;
            }
            depth.age = depth.age.max(Some(self.boots.age(now, &segment.oldest)));
        }
        depth
    }

    /// The last record of a queue that would survive a power cut, and with it all before it.
    pub fn durable_through(&self, queue: Queue) -> Option<RecordId> {
        let segments = self.queues.get(&queue).into_iter().flat_map(|waiting| &waiting.segments);
        let on_flash = segments.take_while(|segment| segment.place == Place::Flash);
        on_flash.last().map(|segment| RecordId { queue, seq: segment.last })
    }

    /// The last record of a queue that is still wanted, or was in the same segment.
    pub fn last(&self, queue: Queue) -> Option<RecordId> {
        let segment = self.queues.get(&queue)?.segments.back()?;
        Some(RecordId { queue, seq: segment.last })
    }

    /// The calendar by which a record's own times are to be read: of this boot what is known now, of another what
    /// was known then, or else as if each boot had ended when the next began. `None` while none is known.
    pub fn anchor(&self, stamp: &Stamp) -> Option<WallAnchor> {
        self.boots.anchor(stamp)
    }

    /// Lets go of the disks, as a death would.
    pub fn into_disks(self) -> (D, D) {
        self.tiers.into_disks()
    }

    pub(super) fn waiting(&mut self, queue: Queue) -> &mut Waiting {
        let next = self.first_seq;
        self.queues.entry(queue).or_insert_with(|| Waiting { next, ..Waiting::default() })
    }

    pub(super) fn failed(&mut self, now: Millis, place: Place, error: DiskError) {
        let health = self.tiers.health_mut(place);
        health.retry_at = now + self.config.policy.retry_disk;
        if health.fault.is_none() {
            self.events.push_back(Event::Fault { place, error: error.clone() });
        }
        health.fault = Some(error);
    }

    pub(super) fn works(&mut self, place: Place) {
        let health = self.tiers.health_mut(place);
        if !health.unknown && health.fault.take().is_some() {
            self.events.push_back(Event::FaultOver { place });
        }
    }
}

// === impl Waiting ===

impl Waiting {
    /// Bytes of the files that count.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().filter(|segment| !segment.is_stuck).map(|segment| segment.len).sum()
    }

    /// Bytes of its live segments that could move to flash.
    pub(super) fn volatile_bytes(&self) -> u64 {
        let volatile = |segment: &&Segment| {
            segment.place > Place::Flash && !segment.is_dead() && segment.unreadable == 0
        };
        self.segments.iter().filter(volatile).map(|segment| segment.len).sum()
    }

    pub(super) fn live(&self) -> u64 {
        self.segments.iter().map(Segment::live).sum()
    }
}
