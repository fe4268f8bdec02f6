//! How much may wait, and for how long.

use super::Queue;
use crate::provisioning::SpoolLimits;
use crate::time::Millis;

/// Hard caps. The oldest goes first, and every drop is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of all files of records together, wherever they lie, set-aside ones included.
    pub max_bytes: u64,
    /// Longest that a record may wait.
    pub max_age: Millis,
    /// Bytes of flash that are left free for others.
    pub keep_free: u64,
    /// Most records that may wait.
    pub max_records: u64,
    /// Most bytes in the runtime directory, which is memory.
    pub ram_bytes: u64,
    /// Most bytes in the process's own memory, used only while the runtime directory cannot be written.
    pub memory_bytes: u64,
}

/// When what is done with the disks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// After sends have failed for so long, records move to flash.
    pub trouble_after: Millis,
    /// From then on those that follow move when they are so many bytes…
    pub batch_bytes: u64,
    /// …or so long after the last move.
    pub batch_period: Millis,
    /// A disk that failed is tried again after so long.
    pub retry_disk: Millis,
}

/// What a spool is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Caps.
    pub limits: Limits,
    /// Times.
    pub policy: Policy,
    /// The queues, and for each its part of the caps in proportion to all. One that is not named here may use
    /// what the others leave, and is promised nothing.
    pub shares: Vec<(Queue, u32)>,
}

// === impl Limits ===

impl Limits {
    /// Segments become no longer than this. Small enough that giving up the oldest one does not cost much.
    pub(super) const fn segment_bytes(&self) -> u64 {
        let bytes = self.max_bytes / 64;
        if bytes < 4 << 10 {
            4 << 10
        } else if bytes > 32 << 10 {
            32 << 10
        } else {
            bytes
        }
    }
}

impl From<SpoolLimits> for Limits {
    fn from(SpoolLimits { max_bytes, max_age, keep_free }: SpoolLimits) -> Self {
        Self {
            max_bytes,
            max_age,
            keep_free,
            max_records: 65_536,
            ram_bytes: (1 << 20).min(max_bytes),
            memory_bytes: (256 << 10).min(max_bytes),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        SpoolLimits::default().into()
    }
}

// === impl Policy ===

impl Default for Policy {
    fn default() -> Self {
        Self {
            trouble_after: Millis::from_secs(60),
            batch_bytes: 16 << 10,
            batch_period: Millis::from_secs(600),
            retry_disk: Millis::from_secs(30),
        }
    }
}

// === impl Config ===

impl Config {
    /// The queue's part of a whole, rounded down.
    pub(super) fn share(&self, queue: Queue, whole: u64) -> u64 {
        let weight_of = |queue| {
            let named = self.shares.iter().find(|(name, _)| *name == queue);
            u128::from(named.map_or(0, |(_, weight)| *weight))
        };
        let all: u128 = self.shares.iter().map(|(_, weight)| u128::from(*weight)).sum();
        let share = (u128::from(whole) * weight_of(queue)).checked_div(all).unwrap_or(0);
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// The bytes that no other queue can take from this one.
    ///
    /// Bytes are given up by whole segments. One segment for each queue is kept out of the shares, so that the
    /// queue that must give one up still has its share afterwards.
    pub(super) fn byte_share(&self, queue: Queue) -> u64 {
        let queues = u64::try_from(self.shares.len()).unwrap_or(u64::MAX);
        let slack = queues.saturating_mul(self.limits.segment_bytes());
        self.share(queue, self.limits.max_bytes.saturating_sub(slack))
    }

    /// The records that no other queue can take from this one.
    pub(super) fn record_share(&self, queue: Queue) -> u64 {
        self.share(queue, self.limits.max_records)
    }
}
