//! From measurements to requests, and what comes of those.

use std::sync::Arc;

use stbeacon_core::provisioning::Provisioning;
use stbeacon_core::session::Snapshot;
use stbeacon_core::stb::{Measured, MediaOptions, Network};
use stbeacon_core::time::Millis;
use stbeacon_core::uplink::{Accumulator, Delivery, DeliveryPolicy, HoldLimits, RequestId, Verdict};

use crate::http::{self, Method, Request, Server, Worker};
use crate::sampler::Sampler;
use crate::status::{DeliveryStatus, DropStatus, ErrorStatus, QueueStatus};
use crate::{clock, random};

use super::answers::{Answers, judge};

/// Gathers, queues, sends.
#[derive(Debug)]
pub(super) struct Reporting {
    accumulator: Accumulator,
    delivery: Delivery,
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
    pub(super) fn new(worker: Worker) -> Self {
        Self {
            accumulator: Accumulator::new(HoldLimits::default()),
            delivery: Delivery::new(DeliveryPolicy::default()),
            worker,
            target: None,
            in_flight: None,
            waits_for_clock: false,
            answers: Answers::default(),
        }
    }

    pub(super) fn apply_provisioning(&mut self, now: Millis, provisioning: &Provisioning) {
        let Provisioning { statistics, reports, auth, tls, spool, .. } = provisioning;
        if reports.gzip {
            log::warn!("provisioned, but not in this version yet: gzip; bodies go uncompressed");
        }
        let target = statistics.as_ref().map(|statistics| {
            Arc::new(Server { url: statistics.url.clone(), auth: auth.clone(), tls: tls.clone() })
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
        self.delivery.set_policy(now, DeliveryPolicy::within(spool));
        let period = statistics.as_ref().map(|statistics| statistics.accum_period);
        self.accumulator.set_period(now, period, random::uniform());
    }

    pub(super) fn handle_snapshot(&mut self, snapshot: &Snapshot, provisioning: &Provisioning) {
        if let Some(reason) = snapshot.closed {
            log::info!(
                "session {} has ended ({reason:?}): {} pictures decoded, {} dropped, {} failed",
                snapshot.id,
                snapshot.counts.video.decoded,
                snapshot.counts.video.dropped,
                snapshot.counts.video.failed
            );
        }
        let wants_media =
            provisioning.statistics.as_ref().is_none_or(|statistics| statistics.media.is_some());
        if wants_media {
            let options = MediaOptions {
                extended: provisioning.reports.extended,
                url_redact: provisioning.reports.url_redact,
            };
            self.accumulator.push(Measured::media(snapshot, &options));
        }
    }

    pub(super) fn handle_sample(&mut self, now: Millis, networks: Vec<Network>) {
        for network in networks {
            self.accumulator.push(Measured::Network { at: now, network });
        }
    }

    /// Sends what is due.
    pub(super) fn handle_timeout(&mut self, now: Millis, sampler: &Sampler) {
        self.delivery.handle_timeout(now);
        if self.accumulator.poll_timeout().is_some_and(|due| due <= now) {
            let anchor = clock::wall_anchor();
            if anchor.is_none() && !self.accumulator.is_empty() && !self.waits_for_clock {
                log::warn!("the calendar clock is not set yet: reports wait");
            }
            self.waits_for_clock = anchor.is_none();
            if let Some(reports) = self.accumulator.poll_batch(now, anchor.as_ref()) {
                self.delivery.push(now, reports);
            }
        }
        let Some(target) = &self.target else { return };
        if let Some(request) = self.delivery.poll_request(now) {
            log::debug!("{} reports, {} bytes, go to {}", request.reports, request.body.len(), target.url);
            let sent = Request {
                server: Arc::clone(target),
                url: target.url.clone(),
                method: Method::Post(request.body),
                mac: sampler.mac(),
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
        self.accumulator.poll_timeout().into_iter().chain(delivery).min()
    }

    pub(super) fn handle_outcome(&mut self, now: Millis, outcome: http::Outcome) {
        let Some(id) = self.in_flight.take() else { return };
        let (outcome, error) = judge(&mut self.answers, outcome);
        let verdict = self.delivery.handle_outcome(now, id, outcome, random::uniform());
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

    /// Reports that nobody has been sent.
    pub(super) fn undelivered(&self) -> usize {
        self.accumulator.len() + self.delivery.len()
    }

    pub(super) fn note_error(&mut self, now: Millis, error: String) {
        self.answers.note_error(now, error);
    }

    pub(super) fn queue_status(&self, now: Millis) -> QueueStatus {
        let until = |at: Millis| at.since(now).0;
        QueueStatus {
            accumulating: self.accumulator.len(),
            accumulates_ms: self.accumulator.poll_timeout().map(until),
            reports: self.delivery.len(),
            bytes: self.delivery.bytes(),
            sending: self.in_flight.is_some(),
            next_attempt_ms: self.delivery.poll_timeout().map(until),
        }
    }

    pub(super) fn delivery_status(&self) -> DeliveryStatus {
        let counts = self.delivery.counts();
        DeliveryStatus { delivered_reports: counts.delivered, ..self.answers.status(counts.requests) }
    }

    pub(super) fn drop_status(&self) -> DropStatus {
        let (held, queued) = (self.accumulator.counts(), self.delivery.counts());
        DropStatus {
            refused: queued.dropped_refused,
            aged: queued.dropped_aged,
            full: queued.dropped_full.saturating_add(held.dropped_full),
            off: held.dropped_off,
        }
    }

    pub(super) fn error_status(&self, now: Millis) -> Option<ErrorStatus> {
        self.answers.error_status(now)
    }
}
