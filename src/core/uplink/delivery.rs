//! What is sent when, and what the outcome means.

use std::collections::{HashSet, VecDeque};

use super::gate::{Gate, Patience};
use super::name::{Origin, name};
use super::outcome::{DeliveryCounts, DropReason, Outcome, RequestId, Verdict};
use super::policy::DeliveryPolicy;
use crate::spool::{Done, DropReason as SpoolDrop, RecordId};
use crate::stb::{Report, encode_batch};
use crate::time::Millis;

/// After how many 5xx in a row a batch is split.
const SPLIT_AFTER: u32 = 3;

/// How often a server that takes others must answer 5xx to a single report before that is given up.
pub(super) const GIVE_UP_AFTER: u32 = 3;

/// The queue of batches, one of which at most is on its way.
///
/// No batch blocks another: one that the server answers with an error goes behind the others. And no outage
/// tears the queue to shreds: while the server takes nothing at all, only one batch is split to find out whether
/// it is to blame.
#[derive(Debug)]
pub struct Delivery {
    policy: DeliveryPolicy,
    /// In the order in which they are to be tried.
    queue: VecDeque<Batch>,
    in_flight: Option<(RequestId, Batch)>,
    next_id: u64,
    next_family: u64,
    /// Reports in the queue and in flight, and their bytes on the wire.
    reports: usize,
    bytes: usize,
    gate: Gate,
    /// The batch whose parts are being tried while nothing else succeeds.
    suspect: Option<u64>,
    counts: DeliveryCounts,
    /// What has become of reports that have a record.
    done: Vec<(RecordId, Done)>,
}

#[derive(Debug)]
struct Batch {
    reports: VecDeque<Queued>,
    /// When it was queued first.
    since: Millis,
    /// Not tried before.
    not_before: Millis,
    /// 5xx in a row.
    server_errors: u32,
    /// Of those, how many came after the server had taken something else.
    proven: u32,
    /// [`Gate::successes`] when it failed last.
    successes_then: u64,
    /// Parts of one batch have the same.
    family: u64,
}

#[derive(Debug)]
struct Queued {
    report: Report,
    bytes: usize,
    origin: Option<Origin>,
}

/// What is to be sent now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// To be named with the outcome.
    pub id: RequestId,
    /// The body: a JSON array.
    pub body: Vec<u8>,
    /// How many reports it holds.
    pub reports: usize,
    /// Names each report in it, in order: boots, numbers, and after a `+` how many follow on a number, all in hex,
    /// such as `5f3a…-1c0000+4,1c0007`. `None` if one of them has no record.
    pub name: Option<String>,
}

// === impl Delivery ===

impl Delivery {
    /// An empty queue.
    #[must_use]
    pub fn new(policy: DeliveryPolicy) -> Self {
        Self {
            policy,
            queue: VecDeque::new(),
            in_flight: None,
            next_id: 0,
            next_family: 0,
            reports: 0,
            bytes: 0,
            gate: Gate::default(),
            suspect: None,
            counts: DeliveryCounts::default(),
            done: Vec::new(),
        }
    }

    /// Other limits from now on.
    pub fn set_policy(&mut self, now: Millis, policy: DeliveryPolicy) {
        self.policy = policy;
        self.handle_timeout(now);
        self.bound();
    }

    /// Queues a batch; an empty one is nothing.
    pub fn push(&mut self, now: Millis, reports: Vec<Report>) {
        self.push_all(now, reports.into_iter().map(|report| (None, report)).collect());
    }

    /// Queues a batch of reports that the spool has; [`Delivery::take_done`] tells what becomes of them.
    pub fn push_spooled(&mut self, now: Millis, reports: Vec<(Origin, Report)>) {
        self.push_all(now, reports.into_iter().map(|(origin, report)| (Some(origin), report)).collect());
    }

    fn push_all(&mut self, now: Millis, reports: Vec<(Option<Origin>, Report)>) {
        if reports.is_empty() {
            return;
        }
        let reports: VecDeque<_> =
            reports.into_iter().map(|(origin, report)| Queued::new(report, origin)).collect();
        self.reports += reports.len();
        self.bytes += reports.iter().map(|queued| queued.bytes).sum::<usize>();
        let family = self.next_family;
        self.next_family += 1;
        self.queue.push_back(Batch {
            reports,
            since: now,
            not_before: now,
            server_errors: 0,
            proven: 0,
            successes_then: 0,
            family,
        });
        self.bound();
    }

    /// What is to be sent now; `None` while a request is on its way, all must wait, or nothing is queued.
    pub fn poll_request(&mut self, now: Millis) -> Option<Request> {
        self.handle_timeout(now);
        if self.in_flight.is_some() || !self.gate.is_open(now) {
            return None;
        }
        let at = self.queue.iter().position(|batch| batch.not_before <= now)?;
        let batch = self.queue.remove(at)?;
        let id = RequestId::new(self.next_id);
        self.next_id += 1;
        self.counts.requests = self.counts.requests.saturating_add(1);
        let reports: Vec<_> = batch.reports.iter().map(|queued| &queued.report).collect();
        let request = Request {
            id,
            body: encode_batch(&reports),
            reports: reports.len(),
            name: name(batch.reports.iter().map(|queued| queued.origin)),
        };
        self.in_flight = Some((id, batch));
        Some(request)
    }

    /// Takes the outcome of a request. `random` is uniform over all of `u64`.
    pub fn handle_outcome(&mut self, now: Millis, id: RequestId, outcome: Outcome, random: u64) -> Verdict {
        let Some((_, batch)) = self.in_flight.take_if(|(known, _)| *known == id) else {
            return Verdict::Unknown;
        };
        if let Outcome::Status { code: 200..=299, .. } = outcome {
            return self.delivered(&batch);
        }
        self.gate.handle_failure();
        self.counts.failed_requests = self.counts.failed_requests.saturating_add(1);
        match outcome {
            Outcome::Status { code: 500..=599, retry_after } => {
                self.server_error(now, batch, retry_after, random)
            }
            Outcome::Status { code: 400..=499, .. } if !outcome.is_a_wait() => {
                self.refused(now, batch, random)
            }
            // Nothing the reports could be blamed for.
            Outcome::Status { retry_after, .. } => self.wait(now, batch, retry_after, random),
            Outcome::Unreachable => self.wait(now, batch, None, random),
        }
    }

    /// What has become of reports that the spool has, since it was asked last.
    pub fn take_done(&mut self) -> Vec<(RecordId, Done)> {
        std::mem::take(&mut self.done)
    }

    /// Forgets the reports that the spool has dropped: those of a queue with numbers from `first` to `last`. What is
    /// on its way is not touched.
    pub fn handle_dropped(&mut self, dropped: &crate::spool::Dropped) {
        let is_hit = |queued: &Queued| {
            queued.origin.is_some_and(|Origin { id, .. }| {
                id.queue == dropped.queue && (dropped.first..=dropped.last).contains(&id.seq)
            })
        };
        for batch in &mut self.queue {
            let hit = batch.reports.iter().filter(|queued| is_hit(queued));
            let (reports, bytes) = hit.fold((0, 0), |(n, bytes), queued| (n + 1, bytes + queued.bytes));
            self.reports -= reports;
            self.bytes -= bytes;
            batch.reports.retain(|queued| !is_hit(queued));
        }
        self.queue.retain(|batch| !batch.reports.is_empty());
    }

    /// Takes back what is on its way: the agent gave the request up itself.
    pub fn handle_cancel(&mut self, id: RequestId) {
        if let Some((_, batch)) = self.in_flight.take_if(|(known, _)| *known == id) {
            self.queue.push_front(batch);
            self.bound();
        }
    }

    /// The server is another one now, or has another address: what the old one said is void.
    pub fn handle_new_target(&mut self, now: Millis) {
        self.gate.reset(now);
        self.suspect = None;
        for batch in &mut self.queue {
            batch.not_before = now;
            batch.server_errors = 0;
            batch.proven = 0;
        }
    }

    /// Drops what has waited too long.
    pub fn handle_timeout(&mut self, now: Millis) {
        let max_age = self.policy.max_age;
        while let Some(at) = self.queue.iter().position(|batch| batch.since + max_age <= now) {
            if let Some(batch) = self.queue.remove(at) {
                self.dropped(&batch, DropReason::Aged);
            }
        }
    }

    /// When [`Delivery::poll_request`] or [`Delivery::handle_timeout`] next has something to do; `None` while a
    /// request is on its way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        if self.in_flight.is_some() {
            return None;
        }
        let next = self.queue.iter().map(|batch| batch.not_before).min()?.max(self.gate.opens());
        let aged = self.queue.iter().map(|batch| batch.since + self.policy.max_age).min()?;
        Some(next.min(aged))
    }

    /// How many reports wait or are on their way.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.reports
    }

    /// Whether nothing waits and nothing is on its way.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.reports == 0
    }

    /// Their bytes on the wire.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What became of the others.
    #[must_use]
    pub const fn counts(&self) -> &DeliveryCounts {
        &self.counts
    }

    fn delivered(&mut self, batch: &Batch) -> Verdict {
        self.gate.handle_success();
        self.suspect = None;
        self.forget(batch);
        self.note_done(batch, Done::Delivered);
        let reports = batch.reports.len();
        self.counts.delivered = self.counts.delivered.saturating_add(count(reports));
        Verdict::Delivered { reports }
    }

    /// Not the batch's fault: it is the first to be tried again.
    fn wait(&mut self, now: Millis, batch: Batch, retry_after: Option<Millis>, random: u64) -> Verdict {
        let at = self.gate.shut(now, self.patience(), retry_after, random);
        self.queue.push_front(batch);
        self.bound();
        Verdict::Retry { at }
    }

    /// The batch's fault or the server's: others are tried first.
    fn server_error(
        &mut self,
        now: Millis,
        mut batch: Batch,
        retry_after: Option<Millis>,
        random: u64,
    ) -> Verdict {
        let works = self.gate.successes() > batch.successes_then && batch.server_errors > 0;
        batch.successes_then = self.gate.successes();
        batch.server_errors = batch.server_errors.saturating_add(1);
        batch.proven = batch.proven.saturating_add(u32::from(works));
        let at = now + self.patience().delay(batch.server_errors, retry_after, random);
        self.gate.hold_back(now, self.patience(), retry_after, random);

        if batch.reports.len() == 1 && batch.proven >= GIVE_UP_AFTER {
            self.dropped(&batch, DropReason::Refused);
            return Verdict::Refused;
        }
        // Another batch's parts are being tried, and may still show who is to blame.
        let others_suspected = self.suspect.is_some_and(|family| {
            let open = |other: &Batch| other.reports.len() > 1 || other.server_errors < SPLIT_AFTER;
            family != batch.family && self.queue.iter().any(|other| other.family == family && open(other))
        });
        let may_split = works || !others_suspected;
        if batch.reports.len() > 1 && batch.server_errors >= SPLIT_AFTER && may_split {
            self.suspect = Some(batch.family);
            self.split(now, batch);
            return Verdict::Split;
        }
        batch.not_before = at;
        self.queue.push_back(batch);
        self.bound();
        Verdict::Retry { at: at.max(self.gate.opens()) }
    }

    /// The batch's fault.
    fn refused(&mut self, now: Millis, batch: Batch, random: u64) -> Verdict {
        self.gate.hold_back(now, self.patience(), None, random);
        if batch.reports.len() <= 1 {
            self.dropped(&batch, DropReason::Refused);
            return Verdict::Refused;
        }
        self.split(now, batch);
        Verdict::Split
    }

    fn patience(&self) -> Patience {
        Patience::from(&self.policy)
    }

    /// In two, both to be tried after the others, so that successes tell the server's trouble from the reports'.
    /// Reports of the same type and time are parted first.
    fn split(&mut self, now: Millis, batch: Batch) {
        let Batch { reports, since, successes_then, family, .. } = batch;
        let mut seen = HashSet::new();
        let (mut first, mut second): (VecDeque<_>, VecDeque<_>) = reports
            .into_iter()
            .partition(|Queued { report, .. }| seen.insert((is_media(report), report.timestamp())));
        if second.is_empty() {
            second = first.split_off(first.len() / 2);
        }
        for reports in [first, second] {
            self.queue.push_back(Batch {
                reports,
                since,
                not_before: now,
                server_errors: 0,
                proven: 0,
                successes_then,
                family,
            });
        }
        self.bound();
    }

    /// Drops the oldest reports while there are too many. What is on its way is not touched.
    fn bound(&mut self) {
        while self.reports > self.policy.max_reports || self.bytes > self.policy.max_bytes {
            let Some(batch) = self.queue.iter_mut().min_by_key(|batch| batch.since) else { return };
            let Some(queued) = batch.reports.pop_front() else { return };
            if batch.reports.is_empty() {
                self.queue.retain(|batch| !batch.reports.is_empty());
            }
            self.reports -= 1;
            self.bytes -= queued.bytes;
            self.done.extend(queued.origin.map(|origin| (origin.id, Done::Dropped(SpoolDrop::Full))));
            self.counts.dropped_full = self.counts.dropped_full.saturating_add(1);
        }
    }

    fn note_done(&mut self, batch: &Batch, done: Done) {
        let ids = batch.reports.iter().filter_map(|queued| queued.origin).map(|origin| origin.id);
        self.done.extend(ids.map(|id| (id, done)));
    }

    fn dropped(&mut self, batch: &Batch, reason: DropReason) {
        self.forget(batch);
        self.note_done(
            batch,
            Done::Dropped(match reason {
                DropReason::Refused => SpoolDrop::Refused,
                DropReason::Aged => SpoolDrop::Aged,
                DropReason::Full => SpoolDrop::Full,
            }),
        );
        self.counts.drop(reason, count(batch.reports.len()));
    }

    fn forget(&mut self, batch: &Batch) {
        self.reports -= batch.reports.len();
        self.bytes -= batch.reports.iter().map(|queued| queued.bytes).sum::<usize>();
    }
}

// === impl Queued ===

impl Queued {
    fn new(report: Report, origin: Option<Origin>) -> Self {
        let bytes = encode_batch(&[&report]).len();
        Self { report, bytes, origin }
    }
}

const fn is_media(report: &Report) -> bool {
    matches!(report, Report::Media(_))
}

fn count(reports: usize) -> u64 {
    u64::try_from(reports).unwrap_or(u64::MAX)
}
