//! Reports between their measurement and their delivery: in the spool, and a few of them in memory.

use std::collections::BTreeMap;
use std::path::Path;

use stbeacon_core::player::{CloseReason, SessionId};
use stbeacon_core::session::Snapshot;
use stbeacon_core::spool::{
    Cell, Clock, Config, Depth, Disks, Done, DropReason, Dropped, Drops, Event, Limits, Place, Policy, Queue,
    RecordId, Spool,
};
use stbeacon_core::stb::{Kept, Measured, MediaOptions};
use stbeacon_core::time::Millis;
use stbeacon_core::uplink::{Delivery, Origin};

use crate::cli::Failure;
use crate::clock;
use crate::disk::{self, Directory};

use super::losses::Losses;

const REPORTS: Queue = Queue(0);

const LAST_LINE_QUEUE: u8 = 8;

/// Channels of lines have one each.
pub(super) const LINE_QUEUES: [Queue; LAST_LINE_QUEUE as usize] =
    [Queue(1), Queue(2), Queue(3), Queue(4), Queue(5), Queue(6), Queue(7), Queue(LAST_LINE_QUEUE)];

/// In memory, for delivery, are at most so many reports, and bytes of them.
const WINDOW: usize = 512;
const WINDOW_BYTES: usize = 256 << 10;

/// Heartbeats have one.
pub(super) const BEAT_QUEUES: [Queue; 1] = [Queue(LAST_LINE_QUEUE + 1)];

/// What has gathered over a long time goes in requests of so many.
const BATCH: usize = 128;

/// Running sessions' totals are written down this often.
const TOTALS_PERIOD: Millis = Millis::from_secs(3);

/// After a start a player has so long to tell again of a session that it plays.
const RETURN: Millis = Millis::from_secs(15);

/// The spool, as the reports use it.
#[derive(Debug)]
pub(super) struct Store {
    spool: Spool<Directory>,
    /// What the spool has dropped that is not ours.
    foreign: Vec<Dropped>,
    losses: Losses,
    /// The last record that may be sent: the others' accumulation period still runs.
    released: Option<RecordId>,
    /// The last record that was read for delivery.
    read: Option<RecordId>,
    /// How many wait for their accumulation period.
    held: u64,
    totals_due: Millis,
    /// What was last written down of running sessions, without its times.
    totals: BTreeMap<SessionId, u64>,
    /// Sessions that ran when the agent was killed, until their players have told of them again.
    orphans: BTreeMap<SessionId, Cell>,
    orphans_due: Millis,
}

// === impl Store ===

impl Store {
    /// Opens the spool, with what was left in it.
    ///
    /// # Errors
    /// Where another agent uses it.
    pub(super) fn open(runtime: &Path, state: &Path) -> Result<Self, Failure> {
        let mut ram = Directory::open(&runtime.join("spool"))?;
        let flash = Directory::open(&state.join("spool"))?;
        let now = clock::now();
        let clock = Clock { now, boot: disk::boot_id(&mut ram), wall: clock::wall_anchor() };
        // As much is promised to the reports as to all lines together, and to heartbeats as to one channel of lines.
        let others = LINE_QUEUES.into_iter().chain(BEAT_QUEUES).map(|queue| (queue, 1));
        let shares = others.chain([(REPORTS, u32::from(LAST_LINE_QUEUE))]).collect();
        let config = Config { limits: Limits::default(), policy: Policy::default(), shares };
        let (spool, found) = Spool::open(Disks { ram, flash }, config, clock);
        if found.records > 0 {
            log::info!("{} reports, lines and heartbeats wait from before", found.records);
        }
        if found.torn + found.quarantined + found.unreadable > 0 {
            log::warn!(
                "the spool had {} files torn, {} damaged, {} unreadable; {} records in them are lost",
                found.torn,
                found.quarantined,
                found.unreadable,
                found.corrupt
            );
        }
        let orphans = found.cells.into_iter().filter_map(|cell| {
            let id = SessionId::try_new(cell.key.as_str()).ok()?;
            Some((id, cell))
        });
        let mut store = Self {
            spool,
            foreign: Vec::new(),
            losses: Losses::default(),
            released: None,
            read: None,
            held: 0,
            totals_due: now,
            totals: BTreeMap::new(),
            orphans: orphans.collect(),
            orphans_due: now + RETURN,
        };
        store.held = store.depth(now).records;
        store.forget_reported(now);
        Ok(store)
    }

    /// Of the sessions that seem to have run, those whose report was taken just before the kill have ended.
    fn forget_reported(&mut self, now: Millis) {
        let mut after = None;
        while !self.orphans.is_empty() {
            let records = self.spool.read_next(now, REPORTS, after, BATCH, WINDOW_BYTES);
            let Some(last) = records.last() else { break };
            after = Some(last.id);
            for record in records {
                let Some(Kept { session: Some(session), .. }) = Kept::decode(&record.payload) else {
                    continue;
                };
                // A report in mid-play is older than the totals.
                if self.orphans.get(&session).is_some_and(|cell| record.stamp.at >= cell.stamp.at) {
                    self.orphans.remove(&session);
                    self.spool.clear_cell(now, session.as_str());
                }
            }
        }
    }

    /// The spool, for those that have queues of their own in it.
    pub(super) const fn spool(&mut self) -> &mut Spool<Directory> {
        &mut self.spool
    }

    /// What the spool has dropped of others' queues.
    pub(super) fn take_foreign_drops(&mut self) -> Vec<Dropped> {
        std::mem::take(&mut self.foreign)
    }

    pub(super) fn set_limits(&mut self, now: Millis, limits: Limits) {
        self.spool.set_limits(now, limits);
    }

    /// Takes a measurement of an interface.
    pub(super) fn push_network(&mut self, now: Millis, measured: Measured) {
        self.push(now, &Kept { measured, session: None });
    }

    /// Takes a session's figures, at its end or in mid-play.
    pub(super) fn push_session(&mut self, now: Millis, snapshot: &Snapshot, options: &MediaOptions) {
        let measured = Measured::media(snapshot, options);
        self.push(now, &Kept { measured, session: Some(snapshot.id.clone()) });
    }

    fn push(&mut self, now: Millis, kept: &Kept) {
        self.spool.set_calendar(clock::wall_anchor());
        self.spool.push(now, REPORTS, &kept.encode());
        self.held += 1;
    }

    /// A session has ended: it is not running any more, whoever is killed.
    pub(super) fn handle_closed(&mut self, now: Millis, id: &SessionId) {
        self.orphans.remove(id);
        self.totals.remove(id);
        self.spool.clear_cell(now, id.as_str());
    }

    /// Writes down the totals of the sessions that run, in case agent and player are killed.
    pub(super) fn note_totals(
        &mut self,
        now: Millis,
        running: impl Iterator<Item = Snapshot>,
        options: &MediaOptions,
    ) {
        self.totals_due = now + TOTALS_PERIOD;
        for mut snapshot in running {
            self.orphans.remove(&snapshot.id);
            // What a report of it would say, were it the last that is known of it.
            snapshot.closed = Some(CloseReason::PlayerGone);
            let id = snapshot.id.clone();
            let bytes =
                Kept { measured: Measured::media(&snapshot, options), session: Some(id.clone()) }.encode();
            let print = crate::files::fingerprint(&String::from_utf8_lossy(&bytes));
            if self.totals.insert(id.clone(), print) != Some(print) {
                self.spool.set_cell(now, id.as_str(), &bytes);
            }
        }
    }

    pub(super) const fn totals_due(&self) -> Millis {
        self.totals_due
    }

    /// Sessions whose players have not come back: their last totals become reports.
    pub(super) fn take_orphans(
        &mut self,
        now: Millis,
        is_there: impl Fn(&SessionId) -> bool,
    ) -> Vec<SessionId> {
        if self.orphans_due > now {
            return Vec::new();
        }
        let mut orphans = std::mem::take(&mut self.orphans);
        orphans.retain(|id, _| !is_there(id));
        for (id, cell) in &orphans {
            log::info!(
                "session {id} has ended while nobody looked: neither it nor its player is there any more"
            );
            self.spool.set_calendar(clock::wall_anchor());
            self.spool.push(now, REPORTS, &cell.payload);
            self.held += 1;
            self.spool.clear_cell(now, id.as_str());
        }
        orphans.into_keys().collect()
    }

    /// An accumulation period is over.
    pub(super) fn release(&mut self) {
        self.released = self.spool.last(REPORTS);
        self.held = 0;
    }

    /// Reads on, as far as there is room in memory.
    pub(super) fn refill(&mut self, now: Millis, delivery: &mut Delivery) {
        self.spool.set_calendar(clock::wall_anchor());
        while let Some(dropped) = self.spool.poll_dropped() {
            self.losses.note(&dropped, dropped.queue == REPORTS);
            if dropped.queue == REPORTS {
                delivery.handle_dropped(&dropped);
            } else {
                self.foreign.push(dropped);
            }
        }
        if let Some(text) = self.losses.take(now) {
            log::warn!("{text}");
        }
        while delivery.len() < WINDOW && delivery.bytes() < WINDOW_BYTES {
            let Some(released) = self.released.filter(|last| self.read.is_none_or(|read| read < *last))
            else {
                return;
            };
            let records = self.spool.read_next(now, REPORTS, self.read, BATCH, WINDOW_BYTES);
            if records.first().is_none_or(|first| first.id > released) {
                self.read = Some(released);
                return;
            }
            let mut batch = Vec::new();
            for record in records.into_iter().filter(|record| record.id <= released) {
                let Some(anchor) = self.spool.anchor(&record.stamp) else { break };
                self.read = Some(record.id);
                let Some(kept) = Kept::decode(&record.payload) else {
                    self.spool.done(now, &[record.id], Done::Dropped(DropReason::Corrupt));
                    continue;
                };
                let origin = Origin { boot: record.stamp.boot, id: record.id };
                batch.push((origin, kept.measured.stamp(&anchor)));
            }
            if batch.is_empty() {
                // Nothing that was released is left, or the calendar is not known.
                return;
            }
            delivery.push_spooled(now, batch);
        }
    }

    /// What has become of what was read.
    pub(super) fn take_done(&mut self, now: Millis, delivery: &mut Delivery) {
        for (how, ids) in by_outcome(delivery.take_done()) {
            self.spool.done(now, &ids, how);
        }
    }

    /// Whether the server takes anything.
    pub(super) fn handle_sent(&mut self, now: Millis, works: bool) {
        if works { self.spool.recovered(REPORTS) } else { self.spool.trouble(now, REPORTS) }
    }

    /// Does what is due; gives what went wrong.
    pub(super) fn handle_timeout(&mut self, now: Millis) -> Option<String> {
        self.spool.handle_timeout(now);
        let mut last = None;
        while let Some(event) = self.spool.poll_event() {
            match event {
                Event::Fault { place, error } => {
                    let text = format!("{}: {error}; reports are kept in memory", directory(place));
                    log::error!("{text}");
                    last = Some(text);
                }
                Event::FaultOver { place } => log::info!("{} works again", directory(place)),
            }
        }
        last
    }

    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        let orphans = (!self.orphans.is_empty()).then_some(self.orphans_due);
        self.spool.poll_timeout().into_iter().chain(orphans).chain(self.losses.poll_timeout()).min()
    }

    /// The agent ends: what waits goes to flash. How many reports could not.
    pub(super) fn handle_stop(&mut self, now: Millis) -> u64 {
        self.spool.handle_stop(now)
    }

    pub(super) const fn held(&self) -> u64 {
        self.held
    }

    pub(super) fn depth(&self, now: Millis) -> Depth {
        self.spool.depth(now, REPORTS)
    }

    pub(super) fn drops(&self) -> Drops {
        self.spool.counts(REPORTS).dropped
    }

    pub(super) const fn flash_written(&self) -> u64 {
        self.spool.flash_written()
    }

    /// What is wrong with the disks now.
    pub(super) fn faults(&self) -> Vec<String> {
        let fault = |place| self.spool.fault(place).map(|error| format!("{}: {error}", directory(place)));
        [Place::Flash, Place::Ram].into_iter().filter_map(fault).collect()
    }
}

fn by_outcome(done: Vec<(RecordId, Done)>) -> Vec<(Done, Vec<RecordId>)> {
    let mut groups: Vec<(Done, Vec<RecordId>)> = Vec::new();
    for (id, how) in done {
        match groups.iter_mut().find(|(known, _)| *known == how) {
            Some((_, ids)) => ids.push(id),
            None => groups.push((how, vec![id])),
        }
    }
    groups
}

const fn directory(place: Place) -> &'static str {
    match place {
        Place::Flash => "the spool in the state directory",
        Place::Ram => "the spool in the runtime directory",
        Place::Memory => "the spool in memory",
    }
}
