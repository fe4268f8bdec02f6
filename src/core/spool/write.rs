//! Writing records: behind the last ones, or into a new segment.

use super::disk::{Disk, DiskError, size};
use super::frame::{self, segment_name};
use super::segment::{Place, Ranges, Segment};
use super::stamp::Stamp;
use super::store::Spool;
use super::{Queue, RecordId};

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
}

fn create(disk: &mut dyn Disk, place: Place, name: &str, bytes: &[u8]) -> Result<(), DiskError> {
    disk.append(name, bytes)?;
    if place == Place::Flash {
        disk.sync(name)?;
        disk.sync_dir()?;
    }
    Ok(())
}
