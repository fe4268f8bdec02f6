//! The spool itself: what goes in, what is read, what is done.

use std::collections::{BTreeMap, VecDeque};

use super::counts::{Counts, DropReason, Dropped};
use super::disk::{Disk, DiskError, size};
use super::frame::{self, Found, HEADER, Scan, segment_name};
use super::limits::{Config, Limits};
use super::segment::{Place, Ranges, Segment};
use super::stamp::{Boots, Stamp};
use super::state::{StateLog, done_entry};
use super::tier::Tiers;
use super::{Cell, Depth, Done, Event, Queue, Record, RecordId};
use crate::time::{Millis, WallAnchor};

/// A segment that could not be read so often is given up.
const MAX_UNREADABLE: u8 = 3;

/// More drops than this are not kept for who never asks.
const MAX_DROPPED: usize = 256;

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

/// The segment that was read last.
#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) of: Option<(Place, RecordId)>,
    pub(super) bytes: Vec<u8>,
}

/// Whether a segment's records are in the [`Cache`] now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Load {
    Ready,
    /// Not for now.
    Unreadable,
    /// It is not in the queue any more.
    Gone,
}

/// Records that are written in one go.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) first: u64,
    pub(super) last: u64,
    /// The numbers in between that have no record.
    pub(super) gaps: Ranges,
    pub(super) oldest: Stamp,
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

    /// Adds a batch to the segment before `index`, or in a new one at `index`. True if it is a new one.
    pub(super) fn write(
        &mut self,
        queue: Queue,
        index: usize,
        place: Place,
        batch: &Batch,
    ) -> Result<bool, DiskError> {
        let segment_bytes = self.config.limits.segment_bytes();
        let added = size(batch.bytes.len());
        self.tiers.remove_strays(place)?;
        let waiting = self.queues.entry(queue).or_default();
        let tail = index.checked_sub(1).and_then(|index| waiting.segments.get_mut(index));
        let tail = tail.filter(|tail| tail.takes(place, added, segment_bytes));
        let disk = self.tiers.disk(place);
        if let Some(tail) = tail {
            let name = segment_name(tail.name);
            let written = disk.append(&name, &batch.bytes).and_then(|()| match place {
                Place::Flash => disk.sync(&name),
                Place::Ram | Place::Memory => Ok(()),
            });
            if let Err(error) = written {
                if disk.truncate(&name, tail.len).is_err() {
                    // What cannot be cut off is in the way, and nobody looks at it before the next start.
                    tail.sealed = true;
                    tail.len += added;
                    self.tiers.health_mut(place).used += added;
                }
                return Err(error);
            }
            tail.extend(batch);
            if self.cache.of == Some((place, tail.name)) {
                self.cache.bytes.extend_from_slice(&batch.bytes);
            }
        } else {
            let name = RecordId { queue, seq: batch.first };
            let bytes = [frame::header(queue).as_slice(), &batch.bytes].concat();
            if let Err(error) = create(disk, place, &segment_name(name), &bytes) {
                if !matches!(disk.remove(&segment_name(name)), Ok(()) | Err(DiskError::Missing)) {
                    self.tiers.health_mut(place).strays.push(segment_name(name));
                }
                return Err(error);
            }
            let segment = Segment {
                place,
                name,
                first: batch.first,
                last: batch.last,
                gone: batch.gaps.clone(),
                len: size(bytes.len()),
                oldest: batch.oldest,
                sealed: false,
                is_stuck: false,
                unreadable: 0,
            };
            waiting.segments.insert(index, segment);
            self.note_written(place, size(bytes.len()));
            return Ok(true);
        }
        self.note_written(place, added);
        Ok(false)
    }

    fn note_written(&mut self, place: Place, bytes: u64) {
        self.tiers.health_mut(place).used += bytes;
        if place == Place::Flash {
            self.flash_written = self.flash_written.saturating_add(bytes);
        }
    }

    /// Has a segment's records in the cache. Those that are damaged are dropped.
    pub(super) fn load(&mut self, now: Millis, queue: Queue, index: usize) -> Load {
        let Some(waiting) = self.queues.get_mut(&queue) else { return Load::Gone };
        let Some(segment) = waiting.segments.get_mut(index) else { return Load::Gone };
        let key = (segment.place, segment.name);
        if self.cache.of == Some(key) {
            return Load::Ready;
        }
        if segment.unreadable > 0 && self.tiers.health(segment.place).retry_at > now {
            return Load::Unreadable;
        }
        self.cache.of = None;
        let result = self.tiers.disk(segment.place).read(&segment_name(segment.name), &mut self.cache.bytes);
        let missing = match result {
            Ok(()) => {
                segment.unreadable = 0;
                self.cache.bytes.truncate(usize::try_from(segment.len).unwrap_or(usize::MAX));
                self.cache.of = Some(key);
                missing(&mut self.cache, segment)
            }
            Err(error) => {
                segment.unreadable = segment.unreadable.saturating_add(1);
                let give_up = error == DiskError::Missing || segment.unreadable >= MAX_UNREADABLE;
                self.failed(now, key.0, error);
                if !give_up {
                    return Load::Unreadable;
                }
                vec![(0, u64::MAX)]
            }
        };
        if missing.is_empty() {
            return Load::Ready;
        }
        self.drop_damaged(now, queue, index, &missing)
    }

    fn drop_damaged(&mut self, now: Millis, queue: Queue, index: usize, missing: &[(u64, u64)]) -> Load {
        for (first, last) in missing {
            let Some(segment) = self.waiting(queue).segments.get_mut(index) else { return Load::Gone };
            let (first, last) = (segment.first.max(*first), segment.last.min(*last));
            let records = segment.remove(first, last);
            if records > 0 {
                self.count_dropped(queue, first, last, records, DropReason::Corrupt);
            }
        }
        let Some(segment) = self.waiting(queue).segments.get_mut(index) else { return Load::Gone };
        segment.sealed = true;
        if !segment.is_dead() {
            return Load::Ready;
        }
        let (place, name, len) = (segment.place, segment_name(segment.name), segment.len);
        self.waiting(queue).segments.remove(index);
        self.tiers.health_mut(place).used -= len;
        self.cache.of = None;
        self.set_aside(now, place, &name, len);
        Load::Gone
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

    fn journal_done(&mut self, now: Millis, queue: Queue, done: &Ranges) {
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

/// The records of the cached segment that are still wanted, each with its bytes.
pub(super) fn live_frames<'c>(
    cache: &'c Cache,
    segment: &'c Segment,
) -> impl Iterator<Item = (frame::Frame<'c>, &'c [u8])> {
    let mut next = 0;
    Scan::trusted(&cache.bytes).filter_map(move |(frame, bytes)| {
        let is_wanted = frame.seq >= next && segment.has(frame.seq);
        next = next.max(frame.seq + 1);
        is_wanted.then_some((frame, bytes))
    })
}

/// The ranges in which records are wanted that are not in the file. What is no record goes from the cache.
fn missing(cache: &mut Cache, segment: &Segment) -> Vec<(u64, u64)> {
    let mut missing = Vec::new();
    let mut next = segment.first;
    let mut gap = |from: u64, to: u64| {
        if (from..=to).contains(&from) && to - from + 1 > segment.gone_within(from, to) {
            missing.push((from, to));
        }
    };
    let mut damaged = false;
    for found in Scan::new(&cache.bytes) {
        let Found::Record(frame, _) = found else {
            damaged = true;
            continue;
        };
        if frame.seq >= next && frame.seq <= segment.last {
            if frame.seq > next {
                gap(next, frame.seq - 1);
            }
            next = frame.seq + 1;
        }
    }
    if next <= segment.last {
        gap(next, segment.last);
    }
    if damaged {
        let records = Scan::new(&cache.bytes).filter_map(|found| match found {
            Found::Record(_, bytes) => Some(bytes),
            Found::Damage(_) | Found::Tail(_) => None,
        });
        cache.bytes = std::iter::once(&[0; HEADER][..]).chain(records).flatten().copied().collect();
    }
    missing
}

fn create(disk: &mut dyn Disk, place: Place, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    disk.append(name, bytes)?;
    if place == Place::Flash {
        disk.sync(name)?;
        disk.sync_dir()?;
    }
    Ok(())
}
