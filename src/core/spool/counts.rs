//! What became of the records.

use super::Queue;

/// Why a record was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// Too much waited.
    Full,
    /// It waited too long.
    Aged,
    /// The disk has no room, or could not be written for so long that memory was full.
    NoSpace,
    /// It was damaged on the disk.
    Corrupt,
    /// It was longer than a record may be.
    TooLarge,
    /// The server did not take it.
    Refused,
    /// Nobody wants it any more: reporting was turned off.
    Off,
}

/// What became of a queue's records since the spool was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken.
    pub pushed: u64,
    /// Told to be delivered.
    pub delivered: u64,
    /// Dropped, by [`DropReason`].
    pub dropped: Drops,
}

/// How many were dropped, by [`DropReason`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named as the reasons are")]
pub struct Drops {
    pub full: u64,
    pub aged: u64,
    pub no_space: u64,
    pub corrupt: u64,
    pub too_large: u64,
    pub refused: u64,
    pub off: u64,
}

/// Records that the spool itself has dropped: who holds some of them in memory forgets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// Of this queue.
    pub queue: Queue,
    /// All that were left of the records from this number…
    pub first: u64,
    /// …to this one.
    pub last: u64,
    /// How many those were.
    pub records: u64,
    /// Why.
    pub reason: DropReason,
}

// === impl Drops ===

impl Drops {
    /// All together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.full + self.aged + self.no_space + self.corrupt + self.too_large + self.refused + self.off
    }

    pub(super) const fn add(&mut self, reason: DropReason, records: u64) {
        let sum = match reason {
            DropReason::Full => &mut self.full,
            DropReason::Aged => &mut self.aged,
            DropReason::NoSpace => &mut self.no_space,
            DropReason::Corrupt => &mut self.corrupt,
            DropReason::TooLarge => &mut self.too_large,
            DropReason::Refused => &mut self.refused,
            DropReason::Off => &mut self.off,
        };
        *sum = sum.saturating_add(records);
    }
}
