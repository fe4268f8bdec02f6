//! Reading a segment back: which of its records are there, and what is damaged.

use super::counts::DropReason;
use super::disk::{Disk, DiskError};
use super::frame::{self, Found, HEADER, Scan, segment_name};
use super::segment::{Place, Segment};
use super::store::Spool;
use super::{Queue, RecordId};
use crate::time::Millis;

/// A segment that could not be read so often is given up.
const MAX_UNREADABLE: u8 = 3;

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

// === impl Spool ===

impl<D: Disk> Spool<D> {
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
