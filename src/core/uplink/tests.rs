//! Delivery against servers that are down, busy, picky or broken; time is moved by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::stb::{Network, NetworkReport, Report, decode_batch};
use crate::time::Millis;

const OK: Outcome = status(200);

const fn status(code: u16) -> Outcome {
    Outcome::Status { code, retry_after: None }
}

const fn later(code: u16, secs: u64) -> Outcome {
    Outcome::Status { code, retry_after: Some(Millis::from_secs(secs)) }
}

/// A report with a name to know it by.
fn report(number: u64, timestamp: u64) -> Report {
    let network = Network { name: number.to_string(), ..Network::default() };
    Report::Network(NetworkReport { timestamp, network })
}

fn reports(numbers: std::ops::Range<u64>) -> Vec<Report> {
    numbers.map(|number| report(number, 1_000 + number)).collect()
}

fn numbers<'a>(reports: impl IntoIterator<Item = &'a Report>) -> Vec<u64> {
    reports
        .into_iter()
        .map(|report| match report {
            Report::Network(report) => report.network.name.parse().unwrap(),
            Report::Media(_) => panic!("not made here"),
        })
        .collect()
}

/// Numbers and times of the reports in a body.
fn read(body: &[u8]) -> Vec<(u64, u64)> {
    let reports = decode_batch(body).unwrap().reports;
    numbers(&reports).into_iter().zip(reports.iter().map(Report::timestamp)).collect()
}

/// Plays the server's part until nothing is left or `until` has come; gives what was delivered, with its time.
fn serve(
    delivery: &mut Delivery,
    from: Millis,
    until: Millis,
    mut server: impl FnMut(Millis, &[(u64, u64)]) -> Outcome,
) -> Vec<(u64, Millis)> {
    let mut now = from;
    let mut delivered = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    while now <= until {
        while let Some(request) = delivery.poll_request(now) {
            let sent = read(&request.body);
            assert_eq!(sent.len(), request.reports);
            let outcome = server(now, &sent);
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            if let Verdict::Delivered { .. } = delivery.handle_outcome(now, request.id, outcome, random) {
                delivered.extend(sent.iter().map(|(number, _)| (*number, now)));
            }
        }
        let Some(next) = delivery.poll_timeout() else { break };
        assert!(next > now, "a timer must not fire for nothing");
        now = next;
    }
    delivered
}

/// Numbers of all that was not delivered, in order: a server that works gets them now.
fn what_waits(delivery: &mut Delivery, now: Millis) -> Vec<u64> {
    delivery.handle_new_target(now);
    let mut numbers: Vec<_> =
        serve(delivery, now, now, |_, _| OK).into_iter().map(|(number, _)| number).collect();
    numbers.sort_unstable();
    numbers
}

fn queue(batches: impl IntoIterator<Item = Vec<Report>>) -> Delivery {
    let mut delivery = Delivery::new(DeliveryPolicy::default());
    for batch in batches {
        delivery.push(Millis(0), batch);
    }
    delivery
}

#[test]
fn what_is_taken_is_gone() {
    let mut delivery = queue([reports(0..3), Vec::new(), reports(3..4)]);
    let first = delivery.poll_request(Millis(0)).unwrap();
    assert_eq!((first.reports, delivery.len()), (3, 4));
    assert_eq!(delivery.poll_request(Millis(0)), None, "one request at a time");
    assert_eq!(delivery.poll_timeout(), None);
    let verdict = delivery.handle_outcome(Millis(5), first.id, status(204), 0);
    assert_eq!(verdict, Verdict::Delivered { reports: 3 });
    assert_eq!(delivery.handle_outcome(Millis(5), first.id, OK, 0), Verdict::Unknown);
    assert_eq!(delivery.poll_timeout(), Some(Millis(0)));
    let second = delivery.poll_request(Millis(5)).unwrap();
    delivery.handle_outcome(Millis(6), second.id, OK, 0);
    assert!(delivery.is_empty());
    assert_eq!(delivery.bytes(), 0);
    assert_eq!(delivery.poll_timeout(), None);
    assert_eq!(delivery.counts().delivered, 4);
}

#[rstest]
#[case::unreachable(Outcome::Unreachable)]
#[case::timeout(status(408))]
#[case::early(status(425))]
#[case::busy(status(429))]
#[case::redirect(status(302))]
#[case::no_http(status(999))]
fn the_server_is_waited_for(#[case] outcome: Outcome) {
    let mut delivery = queue([reports(0..4), reports(4..8)]);
    let mut now = Millis(0);
    for failure in 1..=20 {
        let request = delivery.poll_request(now).unwrap();
        assert_eq!(read(&request.body)[0].0, 0, "the first stays the first, and whole");
        let delay = Backoff::default().delay(failure, u64::MAX / 3);
        let verdict = delivery.handle_outcome(now, request.id, outcome, u64::MAX / 3);
        assert_eq!(verdict, Verdict::Retry { at: now + delay });
        assert_eq!(delivery.poll_request(now + delay - Millis(1)), None);
        now = now + delay;
        assert_eq!(delivery.poll_timeout(), Some(now));
    }
    assert_eq!(delivery.len(), 8);
    let request = delivery.poll_request(now).unwrap();
    delivery.handle_outcome(now, request.id, OK, 0);
    assert!(delivery.poll_request(now).is_some(), "a success ends all waiting");
}

#[rstest]
#[case::asked(later(429, 120), 121_000)]
#[case::asked_with_error(later(503, 120), 121_000)]
#[case::too_long(later(503, 1_000_000), 3_601_000)]
fn retry_after_is_honoured(#[case] outcome: Outcome, #[case] at: u64) {
    let mut delivery = queue([reports(0..2), reports(2..4)]);
    let request = delivery.poll_request(Millis(0)).unwrap();
    let verdict = delivery.handle_outcome(Millis(0), request.id, outcome, 0);
    assert_eq!(verdict, Verdict::Retry { at: Millis(at) });
    assert_eq!(delivery.poll_request(Millis(at - 1)), None);
    assert!(delivery.poll_request(Millis(at)).is_some());
}

#[rstest]
#[case::refused(status(400))]
#[case::too_large(status(413))]
#[case::error(status(500))]
fn a_poisonous_report_is_found_and_dropped_and_blocks_nothing(
    #[case] refusal: Outcome,
    #[values(0, 9, 19)] poison: u64,
) {
    let mut delivery = queue([reports(0..20)]);
    let hour = Millis::from_secs(3_600);
    for more in 0..10 {
        delivery.push(Millis(0), reports(100 + more..101 + more));
    }
    let mut delivered = serve(&mut delivery, Millis(0), hour, |_, sent| {
        if sent.iter().any(|(number, _)| *number == poison) { refusal } else { OK }
    });
    assert!(delivered.iter().filter(|(number, _)| *number >= 100).all(|(_, at)| *at == Millis(0)));
    // With a 5xx, only what else is taken shows that the server works.
    let mut now = hour;
    for more in 200..210 {
        delivery.push(now, reports(more..more + 1));
        let until = now + hour;
        delivered.extend(serve(&mut delivery, now, now + Millis(1), |_, sent| {
            if sent.iter().any(|(number, _)| *number == poison) { refusal } else { OK }
        }));
        now = until;
    }
    let mut got: Vec<_> = delivered.iter().map(|(number, _)| *number).collect();
    got.sort_unstable();
    let expected: Vec<_> = (0..20).chain(100..110).chain(200..210).filter(|n| *n != poison).collect();
    assert_eq!(got, expected);
    assert_eq!(delivery.counts().dropped_refused, 1);
    assert!(delivery.is_empty());
}

#[test]
fn reports_of_the_same_time_are_parted_for_a_server_that_cannot_store_them() {
    let batch: Vec<_> = (0..12).map(|number| report(number, 1_000 + number / 3)).collect();
    let mut delivery = queue([batch]);
    let mut requests = 0;
    let delivered = serve(&mut delivery, Millis(0), Millis::from_secs(3_600), |_, sent| {
        requests += 1;
        let mut times: Vec<_> = sent.iter().map(|(_, time)| *time).collect();
        times.dedup();
        if times.len() == sent.len() { OK } else { status(500) }
    });
    assert_eq!(delivered.len(), 12);
    assert_eq!(delivery.counts().dropped_refused, 0);
    assert_eq!(
        requests,
        2 * 3 + 3,
        "three attempts at the whole, three at the rest, and three parts that are taken"
    );
}

#[test]
fn an_outage_drops_nothing_and_tears_little() {
    let mut delivery = queue((0..30).map(|batch| reports(batch * 10..batch * 10 + 10)));
    let over = Millis::from_secs(6 * 3_600);
    let mut requests = 0;
    let delivered = serve(&mut delivery, Millis(0), over + over, |now, _| {
        requests += usize::from(now >= over);
        if now < over { status(503) } else { OK }
    });
    assert_eq!(delivered.len(), 300);
    assert!(requests <= 60, "{requests} requests where 30 would have done");
    assert!(delivery.counts().failed_requests < 200, "{:?}", delivery.counts());
}

#[test]
fn what_waits_too_long_or_is_too_much_is_dropped_oldest_first() {
    let policy = DeliveryPolicy { max_age: Millis(1_000), max_reports: 5, ..DeliveryPolicy::default() };
    let mut delivery = Delivery::new(policy);
    delivery.push(Millis(0), reports(0..4));
    delivery.push(Millis(500), reports(4..8));
    assert_eq!(delivery.counts().dropped_full, 3);
    assert_eq!(delivery.poll_timeout(), Some(Millis(0)));
    let request = delivery.poll_request(Millis(500)).unwrap();
    assert_eq!(read(&request.body), [(3, 1_003)]);
    delivery.handle_outcome(Millis(500), request.id, Outcome::Unreachable, u64::MAX);
    assert_eq!(delivery.poll_timeout(), Some(Millis(1_000)), "the first becomes too old");
    delivery.handle_timeout(Millis(1_000));
    assert_eq!(delivery.counts().dropped_aged, 1);
    assert_eq!(what_waits(&mut delivery, Millis(1_000)), [4, 5, 6, 7]);
}

#[test]
fn a_limit_of_bytes_holds_too() {
    let bytes = queue([reports(0..1)]).bytes();
    let mut delivery = Delivery::new(DeliveryPolicy { max_bytes: 3 * bytes, ..DeliveryPolicy::default() });
    delivery.push(Millis(0), reports(0..5));
    assert_eq!(delivery.bytes(), 3 * bytes);
    delivery.set_policy(Millis(0), DeliveryPolicy { max_bytes: bytes, ..DeliveryPolicy::default() });
    assert_eq!(what_waits(&mut delivery, Millis(0)), [4]);
}

#[test]
fn a_new_target_is_asked_at_once() {
    let mut delivery = queue([reports(0..1)]);
    let request = delivery.poll_request(Millis(0)).unwrap();
    delivery.handle_outcome(Millis(0), request.id, later(503, 3_600), 0);
    assert_eq!(delivery.poll_request(Millis(10)), None);
    delivery.handle_new_target(Millis(10));
    let request = delivery.poll_request(Millis(10)).unwrap();
    delivery.handle_cancel(request.id);
    assert_eq!(delivery.poll_request(Millis(10)).unwrap().body, request.body);
}

proptest! {
    /// Every report that was pushed is delivered exactly once, dropped for a reason, or still queued.
    #[test]
    fn nothing_is_lost_and_nothing_is_sent_twice(
        max_reports in 1..40_usize,
        steps in prop::collection::vec((0..8_u8, 0..400_000_u64, any::<u64>()), 0..120),
    ) {
        let policy = DeliveryPolicy {
            max_reports,
            max_age: Millis::from_secs(1_800),
            ..DeliveryPolicy::default()
        };
        let mut delivery = Delivery::new(policy);
        let mut now = Millis(0);
        let mut in_flight: Option<(RequestId, Vec<(u64, u64)>)> = None;
        let mut pushed = 0;
        let mut delivered = BTreeMap::<u64, u32>::new();
        for (step, time, random) in steps {
            now = now + Millis(time);
            match (step, in_flight.take()) {
                (0 | 1, flying) => {
                    let more = random % 12;
                    let batch = (pushed..pushed + more).map(|number| report(number, number / 2)).collect();
                    delivery.push(now, batch);
                    pushed += more;
                    in_flight = flying;
                }
                (2, flying) => {
                    delivery.handle_timeout(now);
                    in_flight = flying;
                }
                (3, Some((id, _))) => delivery.handle_cancel(id),
                (_, Some((id, sent))) => {
                    let codes = [200, 200, 204, 400, 404, 408, 429, 500, 503, 302];
                    let code = codes[usize::try_from(random % 10).unwrap()];
                    let outcome = if step == 4 { Outcome::Unreachable } else { status(code) };
                    let verdict = delivery.handle_outcome(now, id, outcome, random);
                    prop_assert_ne!(verdict, Verdict::Unknown);
                    if verdict == (Verdict::Delivered { reports: sent.len() }) {
                        for (number, _) in sent {
                            *delivered.entry(number).or_default() += 1;
                        }
                    }
                }
                (_, None) => {
                    let request = delivery.poll_request(now);
                    in_flight = request.map(|request| (request.id, read(&request.body)));
                }
            }
            prop_assert!(delivered.values().all(|times| *times == 1));
            let DeliveryCounts { dropped_refused, dropped_aged, dropped_full, .. } = *delivery.counts();
            let dropped = dropped_refused + dropped_aged + dropped_full;
            prop_assert_eq!(delivery.counts().delivered, delivered.len() as u64);
            prop_assert_eq!(delivery.len() as u64 + dropped + delivered.len() as u64, pushed);
            let flying = in_flight.as_ref().map_or(0, |(_, sent)| sent.len());
            prop_assert!(delivery.len() <= max_reports.max(flying));
        }
        if let Some((id, _)) = in_flight {
            delivery.handle_cancel(id);
        }
        let left = what_waits(&mut delivery, now);
        prop_assert!(left.iter().all(|number| !delivered.contains_key(number)));
        prop_assert!(left.windows(2).all(|pair| pair[0] != pair[1]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the mixture of good and poisonous reports, every good one arrives.
    #[test]
    fn every_good_report_arrives(
        poisons in prop::collection::vec(any::<bool>(), 1..40),
        sizes in prop::collection::vec(1..12_usize, 1..10),
        code in prop::sample::select(vec![400_u16, 422, 500, 502]),
    ) {
        let mut all = poisons.iter().enumerate().map(|(number, _)| report(number as u64, 7));
        let mut batches: Vec<Vec<_>> = sizes.iter().map(|size| all.by_ref().take(*size).collect()).collect();
        batches.push(all.collect());
        let mut delivery = queue(batches);
        let is_poison = |number: u64| poisons[usize::try_from(number).unwrap()];
        let delivered = serve(&mut delivery, Millis(0), Millis::from_secs(3 * 24 * 3_600), |_, sent| {
            if sent.iter().any(|(number, _)| is_poison(*number)) { status(code) } else { OK }
        });
        let mut got: Vec<_> = delivered.iter().map(|(number, _)| *number).collect();
        got.sort_unstable();
        let good: Vec<_> = (0..poisons.len() as u64).filter(|number| !is_poison(*number)).collect();
        prop_assert_eq!(got, good);
        if code < 500 {
            prop_assert!(delivery.is_empty());
        }
    }
}
