//! A channel's lines, or heartbeats, between their making and their delivery: in the spool, and a few of them in memory.

use stbeacon_core::spool::{Depth, Done, DropReason, Dropped, Drops, Queue, Record, RecordId, Spool};
use stbeacon_core::time::Millis;
use stbeacon_core::uplink::{self, Lanes};

use crate::disk::Directory;

/// In memory, for delivery, are at most so many.
const WINDOW: usize = 64;

/// They are read from the spool so many at a time, in so many bytes.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 64 << 10;

/// One channel's queue in the spool.
#[derive(Debug)]
pub(super) struct OutletQueue {
    queue: Queue,
    /// Whose these are; another channel's may be left from before.
    owner: String,
    /// The last record that is in memory, or was.
    read: Option<RecordId>,
    /// Whether there are more behind it.
    is_behind: bool,
}

// === impl OutletQueue ===

impl OutletQueue {
    /// That of the `queues` that was this channel's before, or a free one; `None` if all are `taken` by others.
    pub(super) fn open(
        now: Millis,
        spool: &mut Spool<Directory>,
        owner: u64,
        queues: &[Queue],
        taken: &[Queue],
    ) -> Option<Self> {
        let owner = format!("{owner:016x}");
        let mut found = None;
        let free = || queues.iter().copied().filter(|queue| !taken.contains(queue));
        for queue in free() {
            match spool.read_next(now, queue, None, 1, 0).first().map(|first| is_owned(first, &owner)) {
                Some(true) => {
                    found = Some(queue);
                    break;
                }
                None => found = found.or(Some(queue)),
                Some(false) => {}
            }
        }
        // What waits for an endpoint that is not provisioned any more makes room for one that is.
        let queue = found.or_else(|| free().next())?;
        if found.is_none() {
            spool.clear(now, queue, DropReason::Off);
        }
        Some(Self { queue, owner, read: None, is_behind: true })
    }

    pub(super) const fn queue(&self) -> Queue {
        self.queue
    }

    /// Takes a line or a heartbeat.
    pub(super) fn push(
        &mut self,
        now: Millis,
        spool: &mut Spool<Directory>,
        lanes: &mut Lanes,
        lane: String,
        text: &str,
    ) {
        let id = spool.push(now, self.queue, format!("{}\n{lane}\n{text}", self.owner).as_bytes());
        if self.is_behind || lanes.len() >= WINDOW {
            self.is_behind = true;
            return;
        }
        self.read = Some(id);
        lanes.push(now, id.seq, lane, text.to_owned());
    }

    /// Reads on, as far as there is room in memory.
    pub(super) fn refill(&mut self, now: Millis, spool: &mut Spool<Directory>, lanes: &mut Lanes) {
        while self.is_behind && lanes.len() + BATCH <= WINDOW {
            let records = spool.read_next(now, self.queue, self.read, BATCH, BATCH_BYTES);
            self.is_behind = !records.is_empty();
            for record in records {
                self.read = Some(record.id);
                match parts(&record).filter(|(owner, ..)| *owner == self.owner) {
                    Some((_, lane, text)) => lanes.push(now, record.id.seq, lane.to_owned(), text.to_owned()),
                    None => spool.done(now, &[record.id], Done::Dropped(DropReason::Off)),
                }
            }
        }
    }

    /// Whether anything of this lane waits, as far as is known without reading on.
    pub(super) fn has(&self, lanes: &Lanes, lane: &str) -> bool {
        self.is_behind || lanes.has(lane)
    }

    /// Tells the spool what has become of what was read.
    pub(super) fn take_gone(&self, now: Millis, spool: &mut Spool<Directory>, lanes: &mut Lanes) {
        while let Some(gone) = lanes.poll_gone() {
            let how = match gone.dropped {
                None => Done::Delivered,
                Some(uplink::DropReason::Refused) => Done::Dropped(DropReason::Refused),
                Some(uplink::DropReason::Aged) => Done::Dropped(DropReason::Aged),
                Some(uplink::DropReason::Full) => Done::Dropped(DropReason::Full),
            };
            spool.done(now, &[RecordId { queue: self.queue, seq: gone.number }], how);
        }
    }

    /// What the spool has dropped itself is not sent any more.
    pub(super) fn handle_dropped(&self, dropped: &Dropped, lanes: &mut Lanes) {
        if dropped.queue == self.queue {
            lanes.forget(dropped.first..=dropped.last);
        }
    }

    /// Whether the endpoint takes anything.
    pub(super) fn handle_sent(&self, now: Millis, spool: &mut Spool<Directory>, works: bool) {
        if works { spool.recovered(self.queue) } else { spool.trouble(now, self.queue) }
    }

    pub(super) fn depth(&self, now: Millis, spool: &Spool<Directory>) -> Depth {
        spool.depth(now, self.queue)
    }

    pub(super) fn drops(&self, spool: &Spool<Directory>) -> Drops {
        spool.counts(self.queue).dropped
    }
}

fn is_owned(record: &Record, by: &str) -> bool {
    parts(record).is_some_and(|(owner, ..)| owner == by)
}

/// Owner, lane, text.
fn parts(record: &Record) -> Option<(&str, &str, &str)> {
    let (owner, rest) = std::str::from_utf8(&record.payload).ok()?.split_once('\n')?;
    let (lane, text) = rest.split_once('\n')?;
    Some((owner, lane, text))
}
