//! A channel's lines, or heartbeats, between their making and their delivery: in the spool, and a few of them in memory.

use std::collections::BTreeMap;

use stbeacon_core::spool::{Done, DropReason, Dropped, Queue, Record, RecordId, Spool};
use stbeacon_core::time::Millis;
use stbeacon_core::uplink::{self, DeliveryPolicy, LaneRequest, Lanes, RequestId, Verdict};

use crate::daemon::answers::{Answers, judge};
use crate::daemon::reporting::in_memory;
use crate::disk::Directory;
use crate::status::OutletStatus;
use crate::{http, random};

/// In memory, for delivery, are at most so many.
const WINDOW: usize = 64;

/// They are read from the spool so many at a time, in so many bytes.
const BATCH: usize = 32;
const BATCH_BYTES: usize = 64 << 10;

/// What is queued, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Lines,
    Heartbeats,
}

/// One channel's queue in the spool.
#[derive(Debug)]
pub(super) struct OutletQueue {
    what: What,
    queue: Queue,
    /// Whose these are; another channel's may be left from before.
    owner: String,
    lanes: Lanes,
    /// The last record that is in memory, or was.
    read: Option<RecordId>,
    /// Whether there are more behind it.
    is_behind: bool,
    /// The last of each lane's, where that is behind it.
    unread: BTreeMap<String, u64>,
    answers: Answers,
}

// === impl What ===

impl What {
    const fn one(self) -> &'static str {
        match self {
            Self::Lines => "line",
            Self::Heartbeats => "heartbeat",
        }
    }
}

// === impl OutletQueue ===

impl OutletQueue {
    /// That of the `queues` that was this channel's before, or a free one; `None` if all are `taken` by others.
    pub(super) fn open(
        now: Millis,
        spool: &mut Spool<Directory>,
        (what, owner): (What, u64),
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
        Some(Self {
            what,
            queue,
            owner,
            lanes: Lanes::new(in_memory()),
            read: None,
            is_behind: true,
            unread: BTreeMap::new(),
            answers: Answers::default(),
        })
    }

    /// With this policy, where the usual one does not suit.
    pub(super) fn set_policy(&mut self, now: Millis, change: impl FnOnce(&mut DeliveryPolicy)) {
        let mut policy = in_memory();
        change(&mut policy);
        self.lanes.set_policy(now, policy);
    }

    pub(super) const fn queue(&self) -> Queue {
        self.queue
    }

    /// Takes a line or a heartbeat. From here on it waits in the spool until it arrives.
    pub(super) fn push(&mut self, now: Millis, spool: &mut Spool<Directory>, lane: String, text: &str) {
        let id = spool.push(now, self.queue, format!("{}\n{lane}\n{text}", self.owner).as_bytes());
        if self.is_behind || self.lanes.len() >= WINDOW {
            self.is_behind = true;
            self.unread.insert(lane, id.seq);
            return;
        }
        self.read = Some(id);
        self.lanes.push(now, id.seq, lane, text.to_owned());
    }

    /// Reads on, as far as there is room in memory.
    pub(super) fn refill(&mut self, now: Millis, spool: &mut Spool<Directory>) {
        while self.is_behind && self.lanes.len() + BATCH <= WINDOW {
            let records = spool.read_next(now, self.queue, self.read, BATCH, BATCH_BYTES);
            self.is_behind = !records.is_empty();
            for record in records {
                self.read = Some(record.id);
                match parts(&record).filter(|(owner, ..)| *owner == self.owner) {
                    Some((_, lane, text)) => {
                        self.lanes.push(now, record.id.seq, lane.to_owned(), text.to_owned());
                    }
                    None => spool.done(now, &[record.id], Done::Dropped(DropReason::Off)),
                }
            }
            let read = self.read.filter(|_| self.is_behind).map_or(u64::MAX, |read| read.seq);
            self.unread.retain(|_, last| *last > read);
        }
    }

    /// Whether anything of this lane that was taken since the start waits or is on its way.
    pub(super) fn has(&self, lane: &str) -> bool {
        self.unread.contains_key(lane) || self.lanes.has(lane)
    }

    /// What is to be sent now.
    pub(super) fn poll_request(&mut self, now: Millis) -> Option<LaneRequest<'_>> {
        self.lanes.poll_request(now)
    }

    /// When something is to be sent next; `None` while something is on its way.
    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        self.lanes.poll_timeout()
    }

    /// What has become of a request.
    ///
    /// # Errors
    /// What is wrong with the answer, or that there was none. The log and the status know it then.
    pub(super) fn handle_outcome(
        &mut self,
        now: Millis,
        spool: &mut Spool<Directory>,
        id: RequestId,
        outcome: http::Outcome,
    ) -> Result<(), String> {
        let one = self.what.one();
        let (outcome, error) = judge(&mut self.answers, outcome);
        match self.lanes.handle_outcome(now, id, outcome, random::uniform()) {
            Verdict::Delivered { .. } => spool.recovered(self.queue),
            Verdict::Split | Verdict::Unknown => {}
            Verdict::Retry { at } => {
                spool.trouble(now, self.queue);
                log::warn!("{one} not delivered: {error}; next attempt in {}", at.since(now));
            }
            Verdict::Refused => log::warn!("a {one} is not taken: {error}; it is dropped"),
        }
        self.take_gone(now, spool);
        if error.is_empty() {
            return Ok(());
        }
        self.note_error(now, error.clone());
        Err(error)
    }

    /// What was to be sent could not be handed to the thread that sends.
    pub(super) fn handle_unsent(&mut self, now: Millis, id: RequestId) {
        self.lanes.handle_cancel(id);
        self.note_error(now, "the thread that sends is gone".to_owned());
    }

    pub(super) fn note_error(&mut self, now: Millis, error: String) {
        self.answers.note_error(now, error);
    }

    /// The endpoint is another one now, or what waits is to be tried once more at once.
    pub(super) fn handle_new_target(&mut self, now: Millis) {
        self.lanes.handle_new_target(now);
    }

    /// What the spool has dropped itself is not sent any more.
    pub(super) fn handle_dropped(&mut self, dropped: &Dropped) {
        if dropped.queue == self.queue {
            self.lanes.forget(dropped.first..=dropped.last);
            self.unread.retain(|_, last| !(dropped.first..=dropped.last).contains(last));
        }
    }

    /// The endpoint is not provisioned any more.
    pub(super) fn handle_end(&self, now: Millis, spool: &mut Spool<Directory>) {
        let waiting = self.waiting(now, spool);
        if waiting > 0 {
            log::warn!(
                "{waiting} {}s wait for an endpoint that is not provisioned any more, and are lost",
                self.what.one()
            );
        }
        spool.clear(now, self.queue, DropReason::Off);
    }

    /// How many wait or are on their way.
    pub(super) fn waiting(&self, now: Millis, spool: &Spool<Directory>) -> u64 {
        spool.depth(now, self.queue).records
    }

    pub(super) fn status(&self, now: Millis, spool: &Spool<Directory>) -> OutletStatus {
        let counts = self.lanes.counts();
        let depth = spool.depth(now, self.queue);
        OutletStatus {
            waiting: depth.records,
            bytes: depth.bytes,
            on_flash: depth.flash_records,
            oldest_ms: depth.age.map(|age| age.0),
            next_attempt_ms: self.lanes.poll_timeout().map(|at| at.since(now).0),
            delivered: counts.delivered,
            dropped: spool.counts(self.queue).dropped.into(),
            answers: self.answers.status(counts.requests),
            last_error: self.answers.error_status(now),
        }
    }

    /// Tells the spool what has become of what was read.
    fn take_gone(&mut self, now: Millis, spool: &mut Spool<Directory>) {
        while let Some(gone) = self.lanes.poll_gone() {
            let how = match gone.dropped {
                None => Done::Delivered,
                Some(uplink::DropReason::Refused) => Done::Dropped(DropReason::Refused),
                Some(uplink::DropReason::Aged) => Done::Dropped(DropReason::Aged),
                Some(uplink::DropReason::Full) => Done::Dropped(DropReason::Full),
            };
            spool.done(now, &[RecordId { queue: self.queue, seq: gone.number }], how);
        }
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use stbeacon_core::spool::{Clock, Config, Disks, Limits, Policy};

    use super::*;

    const QUEUE: Queue = Queue(1);
    const NOW: Millis = Millis(1_000);

    fn spool(root: &std::path::Path) -> Spool<Directory> {
        let mut ram = Directory::open(&root.join("ram")).unwrap();
        let flash = Directory::open(&root.join("flash")).unwrap();
        let clock = Clock { now: NOW, boot: crate::disk::boot_id(&mut ram), wall: None };
        let config =
            Config { limits: Limits::default(), policy: Policy::default(), shares: vec![(QUEUE, 1)] };
        Spool::open(Disks { ram, flash }, config, clock).0
    }

    fn open(spool: &mut Spool<Directory>) -> OutletQueue {
        OutletQueue::open(NOW, spool, (What::Heartbeats, 7), &[QUEUE], &[]).unwrap()
    }

    fn send(queue: &mut OutletQueue, spool: &mut Spool<Directory>) -> Option<String> {
        queue.refill(NOW, spool);
        let (id, text) = queue.poll_request(NOW).map(|request| (request.id, request.text.to_owned()))?;
        let answer = http::Answer { status: 200, retry_after: None, body: Vec::new() };
        queue.handle_outcome(NOW, spool, id, http::Outcome::Answered(answer)).unwrap();
        Some(text)
    }

    #[test]
    fn what_waits_from_before_is_no_new_session_s() {
        let root = tempfile::tempdir().unwrap();
        let mut spool = spool(root.path());
        let mut before = open(&mut spool);
        for number in 0..3 * WINDOW {
            before.push(NOW, &mut spool, "1.1".to_owned(), &number.to_string());
        }
        let mut queue = open(&mut spool);
        assert!(!queue.has("2.1"), "nothing of it was made yet");
        queue.push(NOW, &mut spool, "2.1".to_owned(), "new");
        assert!(queue.has("2.1"), "behind all that waits");
        queue.push(NOW, &mut spool, "2.2".to_owned(), "newer");

        let sent: Vec<_> = std::iter::from_fn(|| send(&mut queue, &mut spool)).collect();
        let numbers = (0..3 * WINDOW).map(|number| number.to_string());
        assert_eq!(sent, numbers.chain(["new".to_owned(), "newer".to_owned()]).collect::<Vec<_>>());
        assert!(!queue.has("2.1") && !queue.has("2.2"), "all was sent");
        assert_eq!(queue.waiting(NOW, &spool), 0);
    }

    #[test]
    fn what_the_spool_dropped_waits_no_more() {
        let root = tempfile::tempdir().unwrap();
        let mut spool = spool(root.path());
        let mut queue = open(&mut spool);
        queue.push(NOW, &mut spool, "1.1".to_owned(), "a");
        queue.push(NOW, &mut spool, "1.2".to_owned(), "b");
        let first = spool.read_next(NOW, QUEUE, None, 1, 0).first().unwrap().id.seq;
        queue.handle_dropped(&Dropped {
            queue: QUEUE,
            first,
            last: first,
            records: 1,
            reason: DropReason::Full,
        });
        assert!(!queue.has("1.1") && queue.has("1.2"));
    }
}
