//! From measurements to requests, and what comes of those.

use std::sync::Arc;

use stbeacon_core::player::SessionId;
use stbeacon_core::provisioning::Provisioning;
use stbeacon_core::session::Snapshot;
use stbeacon_core::stb::{AgentFigures, Measured, MediaOptions, Network};
use stbeacon_core::time::Millis;
use stbeacon_core::uplink::{Accumulator, Delivery, DeliveryPolicy, RequestId, Verdict};

use crate::http::{self, Method, Request, Server, Worker};
use crate::sampler::Sampler;
use crate::status::{DeliveryStatus, DropStatus, ErrorStatus, QueueStatus};
use crate::{box_facts, clock, random};

use super::answers::{Answers, judge};
use super::store::Store;

/// Gathers, queues, sends.
#[derive(Debug)]
pub(super) struct Reporting {
    accumulator: Accumulator,
    delivery: Delivery,
    store: Store,
    /// Measured while reporting was off.
    dropped_off: u64,
    worker: Worker,
    /// `None` while reporting is off.
    target: Option<Arc<Server>>,
    in_flight: Option<RequestId>,
    /// Whether reports wait only for the calendar clock, as far as the log was told.
    waits_for_clock: bool,
    answers: Answers,
}

// === impl Reporting ===

impl Reporting {
    pub(super) fn new(worker: Worker, store: Store) -> Self {
        Self {
            accumulator: Accumulator::new(),
            delivery: Delivery::new(in_memory()),
            store,
            dropped_off: 0,
            worker,
            target: None,
            in_flight: None,
            waits_for_clock: false,
            answers: Answers::default(),
        }
    }

    pub(super) fn apply_provisioning(&mut self, now: Millis, provisioning: &Provisioning) {
        let Provisioning { statistics, reports, auth, tls, spool, .. } = provisioning;
        let target = statistics.as_ref().map(|statistics| {
            let (url, auth, tls) = (statistics.url.clone(), auth.clone(), tls.clone());
            Arc::new(Server { url, auth, tls, gzip: reports.gzip })
        });
        match (&self.target, &target) {
            (None, Some(target)) => log::info!("reports go to {}", target.url),
            (_, None) => log::info!("reporting is off: provisioning names no statistics url"),
            _ => {}
        }
        if self.target != target {
            self.delivery.handle_new_target(now);
            self.target = target;
        }
        self.store.set_limits(now, (*spool).into());
        let period = statistics.as_ref().map(|statistics| statistics.accum_period);
        self.accumulator.set_period(now, period, random::uniform());
    }

    pub(super) fn handle_snapshot(&mut self, now: Millis, snapshot: &Snapshot, provisioning: &Provisioning) {
        if wants_media(provisioning) {
            if self.accumulator.is_on() {
                let options = self.options(now, provisioning);
                self.store.push_session(now, snapshot, &options);
            } else {
                self.dropped_off = self.dropped_off.saturating_add(1);
            }
        }
        if snapshot.closed.is_some() {
            self.store.handle_closed(now, &snapshot.id);
        }
        // Whoever reads so may rely on it: the report is written down.
        if let Some(reason) = snapshot.closed {
            log::info!(
                "session {} has ended ({reason:?}): {} pictures decoded, {} dropped, {} failed",
                snapshot.id,
                snapshot.counts.video.decoded,
                snapshot.counts.video.dropped,
                snapshot.counts.video.failed
            );
        }
    }

    pub(super) const fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    pub(super) const fn totals_due(&self) -> Millis {
        self.store.totals_due()
    }

    /// Writes down the totals of the sessions that run.
    pub(super) fn note_totals(
        &mut self,
        now: Millis,
        running: impl Iterator<Item = Snapshot>,
        provisioning: &Provisioning,
    ) {
        let is_wanted = self.accumulator.is_on() && wants_media(provisioning);
        let options = self.options(now, provisioning);
        self.store.note_totals(now, running.filter(|_| is_wanted), &options);
    }

    /// The sessions of a former agent that nobody has told of again; they have their reports now.
    pub(super) fn take_orphans(
        &mut self,
        now: Millis,
        is_there: impl Fn(&SessionId) -> bool,
    ) -> Vec<SessionId> {
        self.store.take_orphans(now, is_there)
    }

    pub(super) fn handle_sample(&mut self, now: Millis, networks: Vec<Network>) {
        for network in networks {
            if self.accumulator.is_on() {
                self.store.push_network(now, Measured::Network { at: now, network });
            } else {
                self.dropped_off = self.dropped_off.saturating_add(1);
            }
        }
    }

    /// Sends what is due.
    pub(super) fn handle_timeout(&mut self, now: Millis, sampler: &Sampler) {
        self.delivery.handle_timeout(now);
        if let Some(error) = self.store.handle_timeout(now) {
            self.note_error(now, error);
        }
        if self.accumulator.poll_timeout().is_some_and(|due| due <= now) {
            let has_anchor = clock::wall_anchor().is_some();
            let waits = !has_anchor && self.store.held() > 0;
            if waits && !self.waits_for_clock {
                log::warn!("the calendar clock is not set yet: reports wait");
            }
            self.waits_for_clock = waits;
            if self.accumulator.poll_release(now, waits) {
                self.store.release();
            }
        }
        self.store.refill(now, &mut self.delivery);
        let Some(target) = &self.target else { return };
        if let Some(request) = self.delivery.poll_request(now) {
            log::debug!("{} reports, {} bytes, go to {}", request.reports, request.body.len(), target.url);
            let sent = Request {
                server: Arc::clone(target),
                url: target.url.clone(),
                method: Method::Post(request.body),
                mac: sampler.mac(),
                id: request.name.map(|name| format!("{}-{name}", device(sampler))),
                max_answer: 0,
            };
            if self.worker.send(sent) {
                self.in_flight = Some(request.id);
            } else {
                // The thread has died, or still has the last one: neither happens while it answers each.
                self.delivery.handle_cancel(request.id);
                self.note_error(now, "the thread that sends is gone".to_owned());
            }
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        let delivery = self.target.as_ref().and_then(|_| self.delivery.poll_timeout());
        [self.accumulator.poll_timeout(), delivery, self.store.poll_timeout()].into_iter().flatten().min()
    }

    pub(super) fn handle_outcome(&mut self, now: Millis, outcome: http::Outcome) {
        let Some(id) = self.in_flight.take() else { return };
        let (outcome, error) = judge(&mut self.answers, outcome);
        let verdict = self.delivery.handle_outcome(now, id, outcome, random::uniform());
        self.store.take_done(now, &mut self.delivery);
        match verdict {
            Verdict::Delivered { .. } => self.store.handle_sent(now, true),
            Verdict::Retry { .. } => self.store.handle_sent(now, false),
            Verdict::Split | Verdict::Refused | Verdict::Unknown => {}
        }
        match verdict {
            Verdict::Delivered { reports } => log::info!("{reports} reports delivered"),
            Verdict::Retry { at } => {
                log::warn!("reports not delivered: {error}; next attempt in {}", at.since(now));
            }
            Verdict::Split => log::warn!("reports not taken: {error}; they are sent again in parts"),
            Verdict::Refused => log::warn!("a report is not taken: {error}; it is dropped"),
            Verdict::Unknown => {}
        }
        if !error.is_empty() {
            self.note_error(now, error);
        }
    }

    /// The period that runs ends now, and what waits is tried once more at once.
    pub(super) fn handle_stop(&mut self, now: Millis, sampler: &Sampler) {
        self.accumulator.handle_stop(now);
        self.delivery.handle_new_target(now);
        self.handle_timeout(now, sampler);
    }

    /// Whether there is anything left that can still be sent before `deadline`.
    pub(super) fn has_work_until(&self, deadline: Millis) -> bool {
        let waits = || self.delivery.poll_timeout().is_some_and(|at| at <= deadline);
        self.target.is_some() && (self.in_flight.is_some() || waits())
    }

    /// Nothing is sent any more. How many reports wait for the next start, and how many of all that waits, lines
    /// included, only in memory.
    pub(super) fn handle_end(&mut self, now: Millis) -> (u64, u64) {
        let volatile = self.store.handle_stop(now);
        (self.store.depth(now).records, volatile)
    }

    /// Reports that nobody has been sent.
    pub(super) fn undelivered(&self, now: Millis) -> u64 {
        self.store.depth(now).records
    }

    pub(super) fn note_error(&mut self, now: Millis, error: String) {
        self.answers.note_error(now, error);
    }

    pub(super) fn queue_status(&self, now: Millis) -> QueueStatus {
        let until = |at: Millis| at.since(now).0;
        let depth = self.store.depth(now);
        let accumulating = self.store.held().min(depth.records);
        QueueStatus {
            accumulating,
            accumulates_ms: self.accumulator.poll_timeout().map(until),
            reports: depth.records - accumulating,
            bytes: depth.bytes,
            on_flash: depth.flash_records,
            oldest_ms: depth.age.map(|age| age.0),
            flash_written: self.store.flash_written(),
            faults: self.store.faults(),
            sending: self.in_flight.is_some(),
            next_attempt_ms: self.delivery.poll_timeout().map(until),
        }
    }

    fn options(&self, now: Millis, provisioning: &Provisioning) -> MediaOptions {
        let reports = &provisioning.reports;
        let agent = if reports.extended { self.figures(now) } else { AgentFigures::default() };
        MediaOptions { extended: reports.extended, url_redact: reports.url_redact, agent }
    }

    /// How the agent fares, for those who want to know with each report.
    fn figures(&self, now: Millis) -> AgentFigures {
        let (queue, deliveries, dropped) =
            (self.queue_status(now), self.delivery_status(), self.drop_status());
        AgentFigures {
            rss_bytes: box_facts::resident_bytes(),
            reports_delivered: deliveries.delivered_reports,
            reports_dropped: dropped.sum(),
            queue_reports: queue.accumulating.saturating_add(queue.reports),
            queue_bytes: queue.bytes,
            flash_written_bytes: queue.flash_written,
            requests: deliveries.requests,
            requests_failed: deliveries.failed(),
            answers: deliveries.into(),
            drops: dropped.into(),
            queue_oldest_ms: queue.oldest_ms.unwrap_or_default(),
        }
    }

    pub(super) fn delivery_status(&self) -> DeliveryStatus {
        let counts = self.delivery.counts();
        DeliveryStatus { delivered_reports: counts.delivered, ..self.answers.status(counts.requests) }
    }

    pub(super) fn drop_status(&self) -> DropStatus {
        let dropped = DropStatus::from(self.store.drops());
        DropStatus { off: dropped.off.saturating_add(self.dropped_off), ..dropped }
    }

    pub(super) fn error_status(&self, now: Millis) -> Option<ErrorStatus> {
        self.answers.error_status(now)
    }
}

/// The spool has the limits; what is in memory is read from there.
pub(super) fn in_memory() -> DeliveryPolicy {
    let (max_reports, max_bytes) = (usize::MAX, usize::MAX);
    DeliveryPolicy { max_age: Millis::MAX, max_reports, max_bytes, ..DeliveryPolicy::default() }
}

fn wants_media(provisioning: &Provisioning) -> bool {
    provisioning.statistics.as_ref().is_none_or(|statistics| statistics.media.is_some())
}

/// What the box is called in the header that lets a receiver know a request again.
fn device(sampler: &Sampler) -> String {
    let mac = sampler.mac().replace(':', "");
    if mac.is_empty() { "box".to_owned() } else { mac }
}
