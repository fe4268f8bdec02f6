//! The journal beside the segments: which records of a segment are done, and the cells.
//!
//! It lies in the runtime directory only. After a power cut what was acknowledged within a segment is sent again,
//! under the same id, and the cells are gone.

use std::collections::BTreeMap;

use super::disk::{Disk, DiskError, size};
use super::frame::{self, Found, Header, Scan, TOO_HIGH};
use super::stamp::Stamp;
use super::{Cell, Queue};

const FILE: &str = "state.log";
const NEW: &str = "state.new";

/// Stands in the header where a segment names its queue.
const NO_QUEUE: Queue = Queue(u8::MAX);

/// Kinds of entries, in the place of a record's number.
const DONE: u64 = 1;
const CELL: u64 = 2;
const CLEAR: u64 = 3;

/// It is written anew when it is so much longer than twice what it has to be.
const SLACK: u64 = 16 << 10;

/// The journal.
#[derive(Debug, Default)]
pub(super) struct StateLog {
    cells: BTreeMap<String, (Stamp, Vec<u8>)>,
    /// Bytes of all cells.
    cell_bytes: u64,
    len: u64,
    /// Its length when it was written anew last, or would have had if that had been done when it was opened.
    compact_len: u64,
    /// The file does not say what it should: it must be written anew.
    dirty: bool,
}

/// Numbers of a queue that are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) queue: Queue,
    pub(super) first: u64,
    pub(super) last: u64,
}

// === impl StateLog ===

impl StateLog {
    /// Reads the journal, up to where it is torn.
    pub(super) fn open(disk: &mut dyn Disk) -> (Self, Vec<Done>) {
        let (mut log, mut done, mut bytes) = (Self::default(), Vec::new(), Vec::new());
        // Left behind by a death in the middle of writing it anew.
        let _ = disk.remove(NEW);
        match disk.read(FILE, &mut bytes) {
            Ok(()) => {}
            Err(error) => {
                log.dirty = error != DiskError::Missing;
                return (log, done);
            }
        }
        log.len = size(bytes.len());
        log.dirty = frame::read_header(&bytes) != Header::Good(NO_QUEUE);
        for found in Scan::new(&bytes) {
            match found {
                Found::Record(frame, _) => log.replay(&frame, &mut done),
                Found::Damage(_) | Found::Tail(_) => log.dirty = true,
            }
        }
        (log, done)
    }

    fn replay(&mut self, frame: &frame::Frame<'_>, done: &mut Vec<Done>) {
        match (frame.seq, frame.payload) {
            (DONE, [queue, numbers @ ..]) => {
                for pair in numbers.chunks_exact(16) {
                    let (first, last) = pair.split_at(8);
                    let read = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
                    let (first, last) = (read(first), read(last));
                    if first <= last && last < TOO_HIGH {
                        done.push(Done { queue: Queue(*queue), first, last });
                    }
                }
            }
            (CELL, [low, high, rest @ ..]) => {
                let len = usize::from(u16::from_le_bytes([*low, *high]));
                if let Some((key, payload)) = rest.split_at_checked(len) {
                    let key = String::from_utf8_lossy(key).into_owned();
                    self.put(key, frame.stamp, payload.to_vec());
                }
            }
            (CLEAR, key) => {
                self.take(&String::from_utf8_lossy(key));
            }
            _ => self.dirty = true,
        }
    }

    fn put(&mut self, key: String, stamp: Stamp, payload: Vec<u8>) {
        self.take(&key);
        self.cell_bytes += cell_size(&key, &payload);
        self.cells.insert(key, (stamp, payload));
    }

    fn take(&mut self, key: &str) -> bool {
        let Some((_, payload)) = self.cells.remove(key) else { return false };
        self.cell_bytes -= cell_size(key, &payload);
        true
    }

    /// Sets a cell. False if it is longer than a key may be, or all would be more than `max_bytes`.
    pub(super) fn set(&mut self, key: &str, stamp: Stamp, payload: &[u8], max_bytes: u64) -> Option<Vec<u8>> {
        let old = self.cells.get(key).map_or(0, |(_, payload)| cell_size(key, payload));
        let bytes = self.cell_bytes - old + cell_size(key, payload);
        if bytes > max_bytes {
            return None;
        }
        let entry = cell_entry(key, &stamp, payload)?;
        self.put(key.to_owned(), stamp, payload.to_vec());
        Some(entry)
    }

    /// Clears a cell; `None` if there is none.
    pub(super) fn clear(&mut self, key: &str) -> Option<Vec<u8>> {
        let mut entry = Vec::new();
        frame::write(&mut entry, CLEAR, &Stamp::default(), key.as_bytes());
        self.take(key).then_some(entry)
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = Cell> + '_ {
        self.cells.iter().map(|(key, (stamp, payload))| Cell {
            key: key.clone(),
            stamp: *stamp,
            payload: payload.clone(),
        })
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) const fn is_dirty(&self) -> bool {
        self.dirty
    }

    pub(super) const fn set_dirty(&mut self) {
        self.dirty = true;
    }

    /// Says what of the records is done now. A log that was read is as long as its former writers have left it; if
    /// that were taken for its due length, one that is killed again and again would have it grow without end.
    pub(super) fn measure(&mut self, done: &[u8]) {
        self.compact_len = size(frame::HEADER + done.len()) + self.cell_bytes;
    }

    /// Whether the file has to be, or had better be, written anew.
    pub(super) const fn wants_rewrite(&self) -> bool {
        self.dirty || self.len > 2 * self.compact_len + SLACK
    }

    /// Adds entries to the file.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn append(&mut self, disk: &mut dyn Disk, entries: &[u8]) -> Result<(), DiskError> {
        if self.len == 0 {
            let mut bytes = frame::header(NO_QUEUE).to_vec();
            bytes.extend_from_slice(entries);
            return self.write(disk, FILE, &bytes);
        }
        self.write(disk, FILE, entries)
    }

    /// Replaces the file by a new one that says nothing in vain.
    ///
    /// # Errors
    /// The disk's; the old file is still there then.
    pub(super) fn rewrite(&mut self, disk: &mut dyn Disk, done: Vec<u8>) -> Result<(), DiskError> {
        let mut bytes = frame::header(NO_QUEUE).to_vec();
        bytes.extend(done);
        for (key, (stamp, payload)) in &self.cells {
            bytes.extend(cell_entry(key, stamp, payload).unwrap_or_default());
        }
        self.dirty = true;
        match disk.remove(NEW) {
            Ok(()) | Err(DiskError::Missing) => {}
            Err(error) => return Err(error),
        }
        disk.append(NEW, &bytes)?;
        disk.rename(NEW, FILE)?;
        self.len = size(bytes.len());
        self.compact_len = self.len;
        self.dirty = false;
        Ok(())
    }

    fn write(&mut self, disk: &mut dyn Disk, file: &str, bytes: &[u8]) -> Result<(), DiskError> {
        // What came of a failed write is not known.
        self.dirty = true;
        disk.append(file, bytes)?;
        self.dirty = false;
        self.len += size(bytes.len());
        Ok(())
    }
}

/// An entry that says which numbers of a queue are done.
pub(super) fn done_entry(out: &mut Vec<u8>, queue: Queue, ranges: impl Iterator<Item = (u64, u64)>) {
    let mut payload = vec![queue.0];
    for (first, last) in ranges {
        payload.extend(first.to_le_bytes());
        payload.extend(last.to_le_bytes());
    }
    frame::write(out, DONE, &Stamp::default(), &payload);
}

fn cell_entry(key: &str, stamp: &Stamp, payload: &[u8]) -> Option<Vec<u8>> {
    let len = u16::try_from(key.len()).ok()?;
    let body = [len.to_le_bytes().as_slice(), key.as_bytes(), payload].concat();
    let mut entry = Vec::new();
    frame::write(&mut entry, CELL, stamp, &body);
    Some(entry)
}

fn cell_size(key: &str, payload: &[u8]) -> u64 {
    frame::frame_size(payload) + 2 + size(key.len())
}
