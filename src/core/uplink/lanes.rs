//! Messages that go one by one, each in the lane of what it is about.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

use super::delivery::GIVE_UP_AFTER;
use super::gate::{Gate, Patience};
use super::outcome::{DeliveryCounts, DropReason, Outcome, RequestId, Verdict};
use super::policy::DeliveryPolicy;
use crate::time::Millis;

/// A queue of single messages, one of which at most is on its way.
///
/// What is in one lane arrives in the order in which it was queued: while its first message waits, the others of
/// the lane wait too. Lanes do not wait for each other.
///
/// Messages have numbers by which whoever stores them knows them; [`Lanes::poll_gone`] tells which need not be stored
/// any longer.
#[derive(Debug)]
pub struct Lanes {
    policy: DeliveryPolicy,
    gone: VecDeque<Gone>,
    /// In the order in which they came.
    queue: VecDeque<Waiting>,
    in_flight: Option<RequestId>,
    next_id: u64,
    bytes: usize,
    gate: Gate,
    counts: DeliveryCounts,
}

/// A message that is not queued any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// Its number.
    pub number: u64,
    /// Why it was dropped; `None` if it was delivered.
    pub dropped: Option<DropReason>,
}

#[derive(Debug)]
struct Waiting {
    id: RequestId,
    number: u64,
    lane: String,
    text: String,
    since: Millis,
    /// Not tried before.
    not_before: Millis,
    /// 5xx in a row.
    server_errors: u32,
    /// Of those, how many came after the server had taken something else.
    proven: u32,
    /// [`Gate::successes`] when it failed last.
    successes_then: u64,
}

/// What is to be sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaneRequest<'a> {
    /// To be named with the outcome.
    pub id: RequestId,
    /// The message.
    pub text: &'a str,
}

// === impl Lanes ===

impl Lanes {
    /// An empty queue.
    #[must_use]
    pub fn new(policy: DeliveryPolicy) -> Self {
        Self {
            policy,
            gone: VecDeque::new(),
            queue: VecDeque::new(),
            in_flight: None,
            next_id: 0,
            bytes: 0,
            gate: Gate::default(),
            counts: DeliveryCounts::default(),
        }
    }

    /// Other limits from now on.
    pub fn set_policy(&mut self, now: Millis, policy: DeliveryPolicy) {
        self.policy = policy;
        self.handle_timeout(now);
        self.bound();
    }

    /// Queues a message, which was taken at `since`, behind the others of its lane.
    pub fn push(&mut self, since: Millis, number: u64, lane: String, text: String) {
        let id = RequestId::new(self.next_id);
        self.next_id += 1;
        self.bytes += text.len();
        self.queue.push_back(Waiting {
            id,
            number,
            lane,
            text,
            since,
            not_before: since,
            server_errors: 0,
            proven: 0,
            successes_then: 0,
        });
        self.bound();
    }

    /// What is to be sent now; `None` while a request is on its way, all must wait, or nothing is queued.
    pub fn poll_request(&mut self, now: Millis) -> Option<LaneRequest<'_>> {
        self.handle_timeout(now);
        if self.in_flight.is_some() || !self.gate.is_open(now) {
            return None;
        }
        let at = self.heads().find(|(_, head)| head.not_before <= now)?.0;
        let head = self.queue.get(at)?;
        self.in_flight = Some(head.id);
        self.counts.requests = self.counts.requests.saturating_add(1);
        Some(LaneRequest { id: head.id, text: &head.text })
    }

    /// Takes the outcome of a request. `random` is uniform over all of `u64`.
    pub fn handle_outcome(&mut self, now: Millis, id: RequestId, outcome: Outcome, random: u64) -> Verdict {
        if self.in_flight.take_if(|known| *known == id).is_none() {
            return Verdict::Unknown;
        }
        if let Outcome::Status { code: 200..=299, .. } = outcome {
            self.gate.handle_success();
            self.counts.delivered = self.counts.delivered.saturating_add(1);
            self.remove(id, None);
            return Verdict::Delivered { reports: 1 };
        }
        self.gate.handle_failure();
        self.counts.failed_requests = self.counts.failed_requests.saturating_add(1);
        let patience = Patience::from(&self.policy);
        match outcome {
            Outcome::Status { code: 500..=599, retry_after } => {
                self.server_error(now, id, retry_after, random)
            }
            Outcome::Status { code: 400..=499, .. } if !outcome.is_a_wait() => {
                self.gate.hold_back(now, patience, None, random);
                self.drop(id, DropReason::Refused);
                Verdict::Refused
            }
            Outcome::Status { retry_after, .. } => {
                Verdict::Retry { at: self.gate.shut(now, patience, retry_after, random) }
            }
            Outcome::Unreachable => Verdict::Retry { at: self.gate.shut(now, patience, None, random) },
        }
    }

    /// Takes back what is on its way: the agent gave the request up itself.
    pub fn handle_cancel(&mut self, id: RequestId) {
        self.in_flight.take_if(|known| *known == id);
    }

    /// The server is another one now, or has another address: what the old one said is void.
    pub fn handle_new_target(&mut self, now: Millis) {
        self.gate.reset(now);
        for waiting in &mut self.queue {
            (waiting.not_before, waiting.server_errors, waiting.proven) = (now, 0, 0);
        }
    }

    /// Drops what has waited too long.
    pub fn handle_timeout(&mut self, now: Millis) {
        while let Some(oldest) = self.oldest().filter(|oldest| oldest.since + self.policy.max_age <= now) {
            self.drop(oldest.id, DropReason::Aged);
        }
    }

    /// When [`Lanes::poll_request`] or [`Lanes::handle_timeout`] next has something to do; `None` while a request is
    /// on its way.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        if self.in_flight.is_some() {
            return None;
        }
        let aged = self.oldest()?.since + self.policy.max_age;
        let opens = self.gate.opens();
        // Heads are looked through only for one that may go when the gate opens, usually the first.
        let next = self.heads().map(|(_, head)| head.not_before);
        let next =
            next.scan(false, |found, at| (!std::mem::replace(found, at <= opens)).then_some(at)).min()?;
        Some(next.max(opens).min(aged))
    }

    /// Forgets messages whose store has dropped them, by their numbers.
    pub fn forget(&mut self, numbers: RangeInclusive<u64>) {
        let is_one = |waiting: &&Waiting| numbers.contains(&waiting.number);
        while let Some(id) = self.queue.iter().find(is_one).map(|waiting| waiting.id) {
            self.handle_cancel(id);
            self.take(id);
        }
    }

    /// The next message that is not queued any more.
    pub fn poll_gone(&mut self) -> Option<Gone> {
        self.gone.pop_front()
    }

    /// Whether a message of this lane waits or is on its way.
    #[must_use]
    pub fn has(&self, lane: &str) -> bool {
        self.queue.iter().any(|waiting| waiting.lane == lane)
    }

    /// How many messages wait or are on their way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether nothing waits and nothing is on its way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Their bytes.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// What became of the others; a message counts as a report.
    #[must_use]
    pub const fn counts(&self) -> &DeliveryCounts {
        &self.counts
    }

    fn server_error(&mut self, now: Millis, id: RequestId, asked: Option<Millis>, random: u64) -> Verdict {
        let patience = Patience::from(&self.policy);
        let successes = self.gate.successes();
        self.gate.hold_back(now, patience, asked, random);
        let Some(waiting) = self.queue.iter_mut().find(|waiting| waiting.id == id) else {
            return Verdict::Unknown;
        };
        let works = successes > waiting.successes_then && waiting.server_errors > 0;
        waiting.successes_then = successes;
        waiting.server_errors = waiting.server_errors.saturating_add(1);
        waiting.proven = waiting.proven.saturating_add(u32::from(works));
        waiting.not_before = now + patience.delay(waiting.server_errors, asked, random);
        if waiting.proven >= GIVE_UP_AFTER {
            self.drop(id, DropReason::Refused);
            return Verdict::Refused;
        }
        Verdict::Retry { at: waiting.not_before.max(self.gate.opens()) }
    }

    /// The first message of each lane, oldest first, and its place in the queue.
    fn heads(&self) -> impl Iterator<Item = (usize, &Waiting)> {
        let mut seen: Vec<&str> = Vec::new();
        self.queue.iter().enumerate().filter(move |(_, waiting)| {
            let is_head = !seen.contains(&waiting.lane.as_str());
            if is_head {
                seen.push(&waiting.lane);
            }
            is_head
        })
    }

    /// The oldest message that is not on its way.
    fn oldest(&self) -> Option<&Waiting> {
        self.queue.iter().find(|waiting| Some(waiting.id) != self.in_flight)
    }

    /// Drops the oldest while there are too many. What is on its way is not touched.
    fn bound(&mut self) {
        while self.queue.len() > self.policy.max_reports || self.bytes > self.policy.max_bytes {
            let Some(id) = self.oldest().map(|oldest| oldest.id) else { return };
            self.drop(id, DropReason::Full);
        }
    }

    fn drop(&mut self, id: RequestId, reason: DropReason) {
        self.remove(id, Some(reason));
        self.counts.drop(reason, 1);
    }

    fn remove(&mut self, id: RequestId, dropped: Option<DropReason>) {
        if let Some(Waiting { number, .. }) = self.take(id) {
            self.gone.push_back(Gone { number, dropped });
        }
    }

    fn take(&mut self, id: RequestId) -> Option<Waiting> {
        let at = self.queue.iter().position(|waiting| waiting.id == id)?;
        let waiting = self.queue.remove(at)?;
        self.bytes -= waiting.text.len();
        Some(waiting)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const OK: Outcome = Outcome::Status { code: 200, retry_after: None };

    const fn status(code: u16) -> Outcome {
        Outcome::Status { code, retry_after: None }
    }

    fn lanes(lines: &[(&str, &str)]) -> Lanes {
        let mut lanes = Lanes::new(DeliveryPolicy::default());
        for (number, (lane, text)) in (0..).zip(lines) {
            lanes.push(Millis(0), number, (*lane).to_owned(), (*text).to_owned());
        }
        lanes
    }

    fn next(lanes: &mut Lanes, now: Millis) -> Option<(RequestId, String)> {
        lanes.poll_request(now).map(|request| (request.id, request.text.to_owned()))
    }

    /// Sends the next one and lets the server answer so; gives its text and what was decided.
    fn send(lanes: &mut Lanes, now: Millis, outcome: Outcome) -> (String, Verdict) {
        let (id, text) = next(lanes, now).unwrap();
        assert_eq!(next(lanes, now), None, "one at a time");
        assert_eq!(lanes.poll_timeout(), None);
        (text, lanes.handle_outcome(now, id, outcome, u64::MAX))
    }

    #[test]
    fn goes_in_order() {
        let mut lanes = lanes(&[("a", "a0"), ("b", "b0"), ("a", "a1")]);
        for text in ["a0", "b0", "a1"] {
            assert_eq!(send(&mut lanes, Millis(1), OK), (text.to_owned(), Verdict::Delivered { reports: 1 }));
        }
        assert!(lanes.is_empty());
        assert_eq!((lanes.bytes(), lanes.counts().delivered, lanes.poll_timeout()), (0, 3, None));
        let gone: Vec<_> = std::iter::from_fn(|| lanes.poll_gone()).collect();
        assert_eq!(gone, [0, 1, 2].map(|number| Gone { number, dropped: None }));
    }

    #[rstest]
    #[case::unreachable(Outcome::Unreachable)]
    #[case::too_many(status(429))]
    #[case::timeout(status(408))]
    #[case::moved(status(302))]
    fn a_server_that_takes_nothing_is_left_alone(#[case] outcome: Outcome) {
        let mut lanes = lanes(&[("a", "a0"), ("b", "b0")]);
        let (_, verdict) = send(&mut lanes, Millis(0), outcome);
        let Verdict::Retry { at } = verdict else { panic!("{verdict:?}") };
        assert!(at >= Millis(1_000) && at <= Millis(10_000), "{at:?}");
        assert_eq!(lanes.poll_timeout(), Some(at));
        assert_eq!(next(&mut lanes, Millis(at.0 - 1)), None);
        assert_eq!(send(&mut lanes, at, OK).0, "a0", "the order stays");
        assert_eq!(send(&mut lanes, at, OK).0, "b0");
    }

    #[test]
    fn retry_after_is_honoured() {
        let mut lanes = lanes(&[("a", "a0")]);
        let later = Outcome::Status { code: 503, retry_after: Some(Millis::from_secs(120)) };
        let (_, verdict) = send(&mut lanes, Millis(0), later);
        let Verdict::Retry { at } = verdict else { panic!("{verdict:?}") };
        assert!(at >= Millis::from_secs(120), "{at:?}");
        assert_eq!(lanes.poll_timeout(), Some(at));
    }

    #[test]
    fn a_refused_line_is_dropped_and_the_lane_goes_on() {
        let mut lanes = lanes(&[("a", "a0"), ("a", "a1")]);
        assert_eq!(send(&mut lanes, Millis(0), status(400)), ("a0".to_owned(), Verdict::Refused));
        assert_eq!(send(&mut lanes, Millis(0), OK).0, "a1");
        assert_eq!(lanes.counts().dropped_refused, 1);
    }

    #[test]
    fn a_line_that_breaks_the_server_holds_up_its_lane_alone_and_not_for_ever() {
        let mut lanes = lanes(&[("a", "poison"), ("a", "a1")]);
        let mut now = Millis(0);
        let mut arrived = Vec::new();
        for turn in 2..200 {
            lanes.push(now, turn, format!("b{turn}"), format!("b{turn}"));
            while let Some((id, text)) = next(&mut lanes, now) {
                let outcome = if text == "poison" { status(500) } else { OK };
                lanes.handle_outcome(now, id, outcome, 1 << 63);
                if text != "poison" {
                    arrived.push(text);
                }
            }
            if arrived.contains(&"a1".to_owned()) {
                break;
            }
            now = lanes.poll_timeout().unwrap_or(now + Millis(1_000));
        }
        let behind = arrived.iter().position(|text| text == "a1").unwrap();
        assert!(behind >= 3, "other lanes go on meanwhile: {arrived:?}");
        assert_eq!(lanes.counts().dropped_refused, 1);
    }

    #[test]
    fn the_oldest_go_first() {
        let mut lanes = lanes(&[]);
        lanes.set_policy(Millis(0), DeliveryPolicy { max_reports: 2, ..DeliveryPolicy::default() });
        for number in 0..2 {
            lanes.push(Millis(0), number, "a".to_owned(), number.to_string());
        }
        let (id, text) = next(&mut lanes, Millis(0)).unwrap();
        assert_eq!(text, "0");
        lanes.push(Millis(0), 2, "a".to_owned(), "2".to_owned());
        assert_eq!(lanes.counts().dropped_full, 1, "what is on its way is not touched");
        assert_eq!(lanes.poll_gone(), Some(Gone { number: 1, dropped: Some(DropReason::Full) }));
        lanes.handle_outcome(Millis(0), id, OK, 0);
        assert_eq!(send(&mut lanes, Millis(0), OK).0, "2");
    }

    #[test]
    fn what_is_too_old_is_dropped() {
        let mut lanes = lanes(&[("a", "a0")]);
        let max_age = DeliveryPolicy::default().max_age;
        lanes.push(Millis(5), 1, "a".to_owned(), "a1".to_owned());
        lanes.handle_timeout(max_age);
        assert_eq!((lanes.len(), lanes.counts().dropped_aged), (1, 1));
    }

    #[test]
    fn what_its_store_has_dropped_is_forgotten() {
        let mut lanes = lanes(&[("a", "a0"), ("b", "b0"), ("a", "a1")]);
        let (id, _) = next(&mut lanes, Millis(0)).unwrap();
        lanes.forget(0..=1);
        assert_eq!((lanes.len(), lanes.bytes(), lanes.poll_gone()), (1, 2, None), "its store knows already");
        assert_eq!(lanes.handle_outcome(Millis(0), id, OK, 0), Verdict::Unknown);
        assert_eq!(send(&mut lanes, Millis(0), OK).0, "a1");
    }

    proptest! {
        /// Whatever the server does, each lane arrives in order, once, and nothing is lost uncounted.
        #[test]
        fn order_holds_and_nothing_is_lost(
            steps in prop::collection::vec((0..4_u8, 0..6_u8, 0..30_000_u64, any::<u64>()), 1..120),
            max_reports in 1..12_usize,
        ) {
            let mut lanes = Lanes::new(DeliveryPolicy { max_reports, ..DeliveryPolicy::default() });
            let (mut now, mut pushed, mut arrived) = (Millis(0), 0_u64, 0_u64);
            let mut last = BTreeMap::new();
            for (lane, step, time, random) in steps {
                now = now + Millis(time);
                if step < 3 {
                    lanes.push(now, pushed, lane.to_string(), format!("{lane}:{pushed}"));
                    pushed += 1;
                } else if let Some((id, text)) = next(&mut lanes, now) {
                    let code = [200, 200, 200, 400, 500, 429][usize::try_from(random % 6).unwrap()];
                    lanes.handle_outcome(now, id, status(code), random);
                    if code == 200 {
                        arrived += 1;
                        let (lane, number) = text.split_once(':').unwrap();
                        let number: u64 = number.parse().unwrap();
                        let before = last.insert(lane.to_owned(), number);
                        prop_assert!(before.is_none_or(|before| before < number));
                    }
                }
                let counts = lanes.counts();
                prop_assert_eq!(counts.delivered, arrived);
                let dropped = counts.dropped_full + counts.dropped_refused + counts.dropped_aged;
                prop_assert_eq!(lanes.len() as u64 + arrived + dropped, pushed);
                prop_assert!(lanes.len() <= max_reports);
                if !lanes.is_empty() {
                    let due = lanes.poll_timeout().unwrap();
                    prop_assert!(lanes.poll_request(due.max(now)).is_some() || due <= now);
                    let id = lanes.in_flight;
                    id.into_iter().for_each(|id| lanes.handle_cancel(id));
                }
            }
        }
    }
}
