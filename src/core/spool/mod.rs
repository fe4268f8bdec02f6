//! What was taken and not delivered yet, on disks that fail and in a box that is switched off.
//!
//! A record is appended to a journal in the runtime directory, a tmpfs, the moment it is taken: that survives the
//! agent and wears no flash. Only when sends have failed for a while, or the agent stops, records move to flash:
//! they are appended there, the file and the directory are synced, and only then they go from the journal. So at
//! every moment each record is on one of the two, or on both under the same number, and [`Spool::open`] puts
//! together what a kill or a power cut has left: a torn tail is cut off, a damaged file is set aside after the
//! records in it that are whole were saved, and nothing there is keeps it from starting.
//!
//! Nothing here touches a file or a clock: the two directories are [`Disk`]s, and time is an argument.
//!
//! # Files
//! Of either directory. All numbers are little-endian, all sums CRC-32 (IEEE 802.3).
//!
//! | file | holds |
//! |---|---|
//! | `QQ-NNNNNNNNNNNNNNNN.seg` | a segment: records of queue `QQ`, the first of them number `NN…`, in hex |
//! | `….seg.new` | a segment that is being written anew to take the place of a damaged one |
//! | `….seg.bad` | a damaged segment, set aside: at most [`MAX_BAD_FILES`] of them, the oldest go first |
//! | `state.log` | runtime directory only: what of a segment is done, and the cells |
//! | `state.new` | a `state.log` that is being written anew |
//!
//! A segment is a header and then records; `state.log` is the same, with queue 255 in its header and a kind of
//! entry (1 done, 2 cell, 3 cell cleared) in the place of a record's number.
//!
//! | header | length | |
//! |---|---|---|
//! | 0 | 8 | `stbspool` |
//! | 8 | 2 | version: 1. A file of another one is set aside unread |
//! | 10 | 1 | 0 |
//! | 11 | 1 | queue |
//! | 12 | 4 | sum of bytes 0 to 11 |
//!
//! | record | length | |
//! |---|---|---|
//! | 0 | 4 | length of the payload |
//! | 4 | 4 | sum of bytes 0 to 3 and of all from 8 |
//! | 8 | 8 | number |
//! | 16 | 8 | boot: the first half of the kernel's `boot_id` |
//! | 24 | 8 | when it was taken, on the monotonic clock of that boot, in ms |
//! | 32 | 8 | when it was taken, in UNIX ms; 0 if the calendar was not known |
//! | 40 | … | payload |
//!
//! # Numbers
//! Each queue counts its records by one from where it began when the spool was opened. That is above every number
//! that is on either disk, and above the milliseconds since boot × 2²⁰, so that no number is given out twice in
//! one boot even if nothing was left on the disks. So (boot, queue, number) names a record for good.
//!
//! # Room
//! The queues share the caps. Each may use all that the others do not; when there is no room, the oldest segment
//! of the queue that is most over its share goes, and no queue loses what is within its share to another.

mod bounds;
mod counts;
mod crc;
mod disk;
mod frame;
mod journal;
mod limits;
mod load;
mod moving;
mod open;
mod removal;
mod segment;
mod stamp;
mod state;
mod store;
mod tier;
mod write;

pub use self::counts::{Counts, DropReason, Dropped, Drops};
pub use self::disk::{Disk, DiskError, MemoryDisk};
pub use self::limits::{Config, Limits, Policy};
pub use self::open::{Clock, Disks, MAX_BAD_FILES, Recovery};
pub use self::segment::Place;
pub use self::stamp::{BootId, Stamp};
pub use self::store::Spool;

use crate::time::Millis;

/// Names a queue: one for each place that records go to, so that one dead place does not starve another. 255 is
/// not to be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue(pub u8);

/// Names a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The queue it is in.
    pub queue: Queue,
    /// Its number in it; later ones have greater numbers.
    pub seq: u64,
}

/// One record, as it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its name.
    pub id: RecordId,
    /// When it was taken.
    pub stamp: Stamp,
    /// What was taken.
    pub payload: Vec<u8>,
}

/// A value of which only the latest counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Its name.
    pub key: String,
    /// When it was set.
    pub stamp: Stamp,
    /// What it was set to.
    pub payload: Vec<u8>,
}

/// What became of a record that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The server has it.
    Delivered,
    /// It is given up.
    Dropped(DropReason),
}

/// What the log should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A disk has begun to fail; told once.
    Fault {
        /// Which.
        place: Place,
        /// How.
        error: DiskError,
    },
    /// It works again.
    FaultOver {
        /// Which.
        place: Place,
    },
}

/// How much waits in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Records.
    pub records: u64,
    /// Of those, on flash.
    pub flash_records: u64,
    /// Bytes of the files that they are in.
    pub bytes: u64,
    /// Of those, on flash.
    pub flash_bytes: u64,
    /// Since when the oldest has waited; at most a segment's time too long.
    pub age: Option<Millis>,
}

#[cfg(test)]
mod tests;
