//! The outputs beside the STB report: lines and heartbeats, each to an endpoint of its own.
//!
//! All of them follow the journal of the sessions. Each has a thread that sends for it, so that an endpoint that
//! does not answer holds up no other one.

mod beats;
mod config;
mod lines;
mod queue;

use std::path::PathBuf;

use stbeacon_core::provisioning::Provisioning;
use stbeacon_core::session::{Entry, Sessions};
use stbeacon_core::spool::{Dropped, Spool};
use stbeacon_core::time::Millis;
use tokio::sync::mpsc::Sender;

use self::beats::BeatOutlet;
use self::lines::LineOutlet;
use self::queue::{OutletQueue, What};
use super::Asker;
use super::store::{BEAT_QUEUES, LINE_QUEUES};
use crate::box_facts::BoxFacts;
use crate::disk::Directory;
use crate::http::{self, Worker};
use crate::status::{HeartbeatStatus, LineStatus};

/// All outputs beside the STB report.
#[derive(Debug)]
pub(super) struct Outlets {
    home: Home,
    outcomes: Sender<(Asker, http::Outcome)>,
    /// In the order of the provisioning.
    lines: Vec<LineOutlet>,
    beats: Option<BeatOutlet>,
    next: u64,
}

/// What an output has of the box.
#[derive(Debug)]
struct Home {
    state_directory: PathBuf,
    facts: BoxFacts,
}

// === impl Outlets ===

impl Outlets {
    pub(super) fn new(state_directory: PathBuf, outcomes: Sender<(Asker, http::Outcome)>) -> Self {
        let home = Home { facts: BoxFacts::read(&state_directory), state_directory };
        Self { home, outcomes, lines: Vec::new(), beats: None, next: 0 }
    }

    /// Starts and ends outputs as provisioned; what has not changed goes on, and fetches its configuration anew.
    pub(super) fn apply_provisioning(
        &mut self,
        now: Millis,
        provisioning: &Provisioning,
        sessions: &mut Sessions,
        spool: &mut Spool<Directory>,
    ) {
        sessions.set_journal(!provisioning.media_analytics.is_empty() || provisioning.heartbeat.is_some());
        let wanted = &provisioning.media_analytics;
        let is_wanted = |outlet: &LineOutlet| wanted.iter().any(|wanted| outlet.is_for(wanted));
        let (mut kept, ended): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.lines).into_iter().partition(is_wanted);
        for outlet in ended {
            // Another channel to the same endpoint takes over what waits for it.
            if !wanted.iter().any(|wanted| outlet.is_to_same_endpoint(wanted)) {
                outlet.handle_end(now, spool);
            }
        }
        let mut taken: Vec<_> = kept.iter().map(LineOutlet::queue).collect();
        for wanted in wanted {
            let known = kept.iter().position(|outlet| outlet.is_for(wanted));
            if let Some(mut outlet) = known.map(|at| kept.remove(at)) {
                outlet.reload(now);
                self.lines.push(outlet);
                continue;
            }
            let owner = (What::Lines, LineOutlet::owner(wanted));
            let Some(queue) = OutletQueue::open(now, spool, owner, &LINE_QUEUES, &taken) else {
                log::error!(
                    "more than {} endpoints for lines: no lines go by {}",
                    taken.len(),
                    wanted.config
                );
                continue;
            };
            let Some(worker) = self.worker() else { continue };
            taken.push(queue.queue());
            let mut outlet = LineOutlet::new(now, worker, wanted.clone(), queue, &self.home);
            sessions.introduce().for_each(|entry| outlet.handle_entry(&entry));
            self.lines.push(outlet);
        }

        let same =
            |beats: &BeatOutlet| provisioning.heartbeat.as_ref().is_some_and(|wanted| beats.is_for(wanted));
        if !self.beats.as_ref().is_some_and(same) {
            let wanted = provisioning.heartbeat.as_ref();
            let goes_on = |beats: &BeatOutlet| wanted.is_some_and(|wanted| beats.is_to_same_gateway(wanted));
            if let Some(ended) = self.beats.take().filter(|beats| !goes_on(beats)) {
                ended.handle_end(now, spool);
            }
            let queue = wanted.and_then(|wanted| {
                let owner = (What::Heartbeats, BeatOutlet::owner(wanted));
                OutletQueue::open(now, spool, owner, &BEAT_QUEUES, &[])
            });
            if let (Some(wanted), Some(queue)) = (wanted, queue) {
                self.beats = self.worker().map(|worker| {
                    let mut beats = BeatOutlet::new(now, worker, wanted.clone(), queue, &self.home);
                    sessions.introduce().for_each(|entry| beats.handle_entry(&entry));
                    beats
                });
            }
        }
    }

    /// Whether the books of the sessions have to be settled before [`Outlets::handle_timeout`].
    pub(super) fn needs_books(&self, now: Millis) -> bool {
        let lines = self.lines.iter().filter_map(LineOutlet::next_line);
        let beats = self.beats.iter().filter_map(BeatOutlet::next_beat);
        lines.chain(beats).any(|due| due <= now)
    }

    pub(super) fn handle_entry(&mut self, entry: &Entry) {
        self.lines.iter_mut().for_each(|outlet| outlet.handle_entry(entry));
        self.beats.iter_mut().for_each(|beats| beats.handle_entry(entry));
    }

    /// Makes and sends what is due.
    pub(super) fn handle_timeout(&mut self, now: Millis, spool: &mut Spool<Directory>) {
        self.lines.iter_mut().for_each(|outlet| outlet.handle_timeout(now, spool));
        self.beats.iter_mut().for_each(|beats| beats.handle_timeout(now, spool));
    }

    pub(super) fn handle_outcome(
        &mut self,
        now: Millis,
        id: u64,
        outcome: http::Outcome,
        spool: &mut Spool<Directory>,
    ) {
        if let Some(beats) = self.beats.as_mut().filter(|beats| beats.id() == id) {
            beats.handle_outcome(now, outcome, spool);
        } else if let Some(outlet) = self.lines.iter_mut().find(|outlet| outlet.id() == id) {
            outlet.handle_outcome(now, outcome, spool);
        }
    }

    /// What waits is tried once more at once.
    pub(super) fn handle_stop(&mut self, now: Millis, spool: &mut Spool<Directory>) {
        self.lines.iter_mut().for_each(|outlet| outlet.handle_stop(now));
        self.beats.iter_mut().for_each(|beats| beats.handle_stop(now));
        self.handle_timeout(now, spool);
    }

    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        let lines = self.lines.iter().filter_map(LineOutlet::poll_timeout);
        lines.chain(self.beats.iter().filter_map(BeatOutlet::poll_timeout)).min()
    }

    /// Whether there is anything left that can still be sent before `deadline`.
    pub(super) fn has_work_until(&self, deadline: Millis) -> bool {
        self.lines.iter().any(|outlet| outlet.has_work_until(deadline))
            || self.beats.as_ref().is_some_and(|beats| beats.has_work_until(deadline))
    }

    /// Lines, and heartbeats, that nobody has been sent.
    pub(super) fn undelivered(&self, now: Millis, spool: &Spool<Directory>) -> (u64, u64) {
        let lines = self.lines.iter().map(|outlet| outlet.undelivered(now, spool)).sum();
        (lines, self.beats.as_ref().map_or(0, |beats| beats.undelivered(now, spool)))
    }

    /// The spool has dropped some of somebody's lines or heartbeats itself.
    pub(super) fn handle_dropped(&mut self, dropped: &Dropped) {
        self.lines.iter_mut().for_each(|outlet| outlet.handle_dropped(dropped));
        self.beats.iter_mut().for_each(|beats| beats.handle_dropped(dropped));
    }

    pub(super) fn line_status(&self, now: Millis, spool: &Spool<Directory>) -> Vec<LineStatus> {
        self.lines.iter().map(|outlet| outlet.status(now, spool)).collect()
    }

    pub(super) fn heartbeat_status(&self, now: Millis, spool: &Spool<Directory>) -> Option<HeartbeatStatus> {
        self.beats.as_ref().map(|beats| beats.status(now, spool))
    }

    fn worker(&mut self) -> Option<(u64, Worker)> {
        let id = self.next;
        self.next += 1;
        match Worker::start(Asker::Outlet(id), self.outcomes.clone()) {
            Ok(worker) => Some((id, worker)),
            Err(error) => {
                log::error!("no thread to send lines or heartbeats: {error}; they are off");
                None
            }
        }
    }
}
