use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::figures::{Figures, SAMPLES};
use crate::filters::{ALL_TRAFFIC, FilterId, Wanted};
use crate::labels::{Dimension, Known, OTHER, UNKNOWN};
use crate::sketch::{Kind, Samples, Sketches, States};
use crate::store::{Lookup, Reader, Span, Sqlite};
use crate::tests_golden as golden;
use crate::time::{Minute, UnixMs};

const T0: UnixMs = UnixMs(1_700_000_000_000);

fn line(at: u64, text: &str) -> (u64, Message) {
    (at, Message::Line(Box::new(line::Received::read(text, "192.0.2.1", "192.0.2.0/24").unwrap())))
}

fn beat(at: u64, body: &str) -> (u64, Message) {
    let received = beat::Received::read(body.as_bytes(), "192.0.2.1", "192.0.2.0/24").unwrap();
    (at, Message::Beat(Box::new(received)))
}

fn reports(at: u64, body: &str) -> Vec<(u64, Message)> {
    let reports = stbeacon_core::stb::receive_batch(body.as_bytes()).unwrap().reports;
    reports
        .into_iter()
        .map(|report| {
            let device = "00:11:22:33:44:55".to_owned();
            let message = match report {
                stbeacon_core::stb::Report::Network(report) => {
                    Message::Network { device, report: Box::new(report) }
                }
                stbeacon_core::stb::Report::Media(report) => {
                    let subnet = "192.0.2.0/24".to_owned();
                    Message::Media(Box::new(report::Received { device, subnet, report }))
                }
            };
            (at, message)
        })
        .collect()
}

/// All that the agent's own tests have pinned.
pub(crate) fn everything() -> Vec<(u64, Message)> {
    let mut all = Vec::new();
    for name in [
        "vod_with_seeks_and_pauses",
        "error_after_start",
        "failure_before_start",
        "live_with_rebuffers_astride_a_line",
        "title_switch",
        "abr_with_switches_up_and_down",
        "ads_before_amid_and_after",
        "servers_dimensions_and_delivery",
        "power_cut_and_restart",
    ] {
        // They all begin with the same attempt id.
        let own = |text: &str| text.replace("~c=00000000", &format!("~c={name}"));
        all.extend(golden::lines(name).iter().map(|(at, text)| line(*at, &own(text))));
    }
    all.extend(golden::heartbeats().iter().map(|(at, body)| beat(*at, body)));
    all.extend(reports(50_000, &golden::reports("media")));
    all.extend(reports(50_000, &golden::reports("extended_media")));
    all.extend(reports(60_000, &golden::reports("network")));
    all
}

/// Sums of a dimension as the store tells them, over all time.
fn sums(reader: &mut dyn Reader, dimension: u32) -> Figures {
    let span = Span { filter: ALL_TRAFFIC.0, dimension, from: Minute(0), until: Minute(u64::MAX) };
    let by_value = reader.values(&span).unwrap().into_iter().map(|(_, figures)| figures);
    let by_value = by_value.fold(Figures::default(), plus);
    let by_minute = reader.minutes(&span).unwrap().into_iter().map(|(_, figures)| figures);
    assert_eq!(by_minute.fold(Figures::default(), plus), by_value);
    by_value
}

/// Sketches of a dimension as the store tells them, over all time and all values.
fn sketches(reader: &mut dyn Reader, dimension: u32) -> Sketches {
    let span = Span { filter: ALL_TRAFFIC.0, dimension, from: Minute(0), until: Minute(u64::MAX) };
    let mut all = Sketches::default();
    reader.sketches(&span, 60, None, States::ALL).unwrap().iter().for_each(|told| all.merge(&told.sketches));
    all
}

/// What a session's stored story adds up to.
fn told(story: &[serde_json::Value]) -> Figures {
    let of = |piece: &serde_json::Value| {
        let values = Figures::NAMES.iter().map(|name| piece[name].as_i64().unwrap_or(0));
        Figures::from_values(values)
    };
    story.iter().map(of).fold(Figures::default(), plus)
}

fn plus(mut sum: Figures, more: Figures) -> Figures {
    sum += more;
    sum
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// However what comes is mixed, repeated, cut into transactions and interrupted by restarts, roll-ups of each
    /// dimension add up to what the sessions add up to.
    #[test]
    fn rollups_add_up_to_sessions(
        lost in prop::collection::btree_set(0_usize..60, 0..12),
        repeated in prop::collection::btree_set(0_usize..60, 0..12),
        written in prop::collection::btree_set(0_usize..60, 0..20),
        restarted in prop::collection::btree_set(0_usize..60, 0..5),
        late in 0_u64..4_000_000,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Sqlite::open(directory.path()).unwrap();
        let table = || Networks::parse("network,city\n192.0.2.0/24,Vienna\n").unwrap();
        let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap().with_networks(table());
        let mut messages = everything();
        messages.sort_by_key(|(at, _)| *at);
        let mut networks = 0;
        for (index, (at, message)) in messages.into_iter().enumerate() {
            if lost.contains(&index) {
                continue;
            }
            networks += usize::from(matches!(message, Message::Network { .. }));
            if repeated.contains(&index) {
                book.take(message.clone(), T0 + at, &mut store).unwrap();
            }
            book.take(message, T0 + at, &mut store).unwrap();
            if written.contains(&index) || restarted.contains(&index) {
                store.write(&book.take_changes()).unwrap();
            }
            if restarted.contains(&index) {
                drop(store);
                store = Sqlite::open(directory.path()).unwrap();
                book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap().with_networks(table());
            }
        }
        book.end_silent(T0 + 310_000 + late);
        store.write(&book.take_changes()).unwrap();

        let sessions = store.all().unwrap();
        let expected = sessions.iter().map(|session| session.total).fold(Figures::default(), plus);
        prop_assert!(expected.attempts >= 9);
        let mut reader = Sqlite::reader(directory.path()).unwrap();
        for session in &sessions {
            let told = told(&reader.story(&session.key).unwrap());
            let total = Figures { running: [0; SAMPLES], ..session.total };
            prop_assert_eq!(told, total, "{:?}", session.key);
        }
        prop_assert_eq!(sums(&mut reader, 0), expected);
        for known in Known::ALL {
            prop_assert_eq!(sums(&mut reader, known.id()), expected, "{}", known.name());
            // An attempt and a play are of something unknown only where it has never become known.
            let moments = |figures: &Figures| (figures.attempts, figures.plays, figures.startup_ms);
            let of_unknown = sessions.iter().filter(|session| session.labels.known(known) == UNKNOWN);
            let of_unknown = of_unknown.map(|session| session.total).fold(Figures::default(), plus);
            let span = Span { filter: ALL_TRAFFIC.0, dimension: known.id(), from: Minute(0), until: Minute(u64::MAX) };
            let told = reader.values(&span).unwrap();
            let unknown = told.iter().find(|(value, _)| value == UNKNOWN).map(|(_, told)| *told);
            prop_assert_eq!(moments(&unknown.unwrap_or_default()), moments(&of_unknown), "{}", known.name());
            prop_assert!(told.iter().all(|(_, told)| told.attempts >= 0 && told.plays >= 0));
        }
        // What is repeated is sampled once; what is taken back is not taken out.
        let sampled = sketches(&mut reader, 0);
        let count = |kind| sampled.of(kind).map_or(0, Samples::count);
        prop_assert_eq!(count(Kind::Startup), u64::try_from(expected.startups).unwrap());
        prop_assert!(count(Kind::Restart) >= u64::try_from(expected.restarts).unwrap());
        let plays = sessions.iter().filter(|session| session.joined.is_some());
        let ended = plays.clone().filter(|session| session.end.is_some()).count() as u64;
        prop_assert!(count(Kind::Rebuffering) <= plays.count() as u64 && count(Kind::Bitrate) <= ended.max(count(Kind::Rebuffering)));
        let devices: BTreeSet<_> = sessions.iter().map(|session| &session.device).collect();
        prop_assert_eq!(sampled.devices(), devices.len() as u64);
        for known in Known::ALL {
            prop_assert_eq!(sketches(&mut reader, known.id()).encode(), sampled.encode(), "{}", known.name());
        }
        prop_assert_eq!(book.running(), sessions.iter().filter(|session| session.end.is_none()).count());
        prop_assert_eq!(store.networks().unwrap(), networks);
    }
}

#[test]
fn a_collector_that_was_away_does_not_take_that_for_silence() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(directory.path()).unwrap();
    let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
    let (_, message) = beat(0, &golden::heartbeats()[0].1);
    book.take(message, T0, &mut store).unwrap();
    store.write(&book.take_changes()).unwrap();

    // It runs again an hour later; a session that is told by heartbeats may be silent for 100 s.
    let again = T0 + 3_600_000;
    let mut book = Book::open(&mut store, Rules::default(), 20_000, again).unwrap();
    book.end_silent(again + 99_999);
    assert_eq!(book.running(), 1);
    book.end_silent(again + 100_000);
    let ended = book.take_changes().sessions;
    assert_eq!((book.running(), ended[0].end.unwrap().at), (0, T0 + 100));
}

#[test]
fn titles_without_end_count_as_other_and_as_attempts() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(directory.path()).unwrap();
    let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
    for number in 0..5_010 {
        let (at, message) = line(0, &format!("a=I~c={number}~d=box~e=0~f=R~tt=title-{number}~w=0"));
        book.take(message, T0 + at, &mut store).unwrap();
    }
    let changes = book.take_changes();
    assert_eq!((changes.sessions.len(), changes.counts.folded), (5_010, 10));
    let place = |dimension: Dimension, value: &str| Place {
        filter: ALL_TRAFFIC.0,
        dimension,
        minute: T0.minute(),
        value: value.to_owned(),
    };
    let attempts = |dimension, value| changes.rollups[&place(dimension, value)].attempts;
    assert_eq!(attempts(Dimension::Known(Known::Asset), OTHER), 10);
    assert_eq!(attempts(Dimension::Known(Known::Asset), "title-4999"), 1);
    assert_eq!(attempts(Dimension::All, ""), 5_010);
}

#[test]
fn what_was_not_written_is_forgotten_and_may_come_again() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(directory.path()).unwrap();
    let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
    let (_, message) = line(0, "a=I~c=1~d=box~e=0~f=R~w=0");
    book.take(message.clone(), T0, &mut store).unwrap();
    book.reopen(&mut store).unwrap();
    assert_eq!(book.running(), 0);
    book.take(message, T0, &mut store).unwrap();
    let changes = book.take_changes();
    assert_eq!((changes.sessions.len(), changes.counts.repeated), (1, 0));
    assert!(book.take_changes().is_empty());
}

/// Nothing is written of what says again what an ended session has told, and nothing of it is kept.
#[test]
fn what_is_told_again_of_a_session_that_has_ended_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(directory.path()).unwrap();
    let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
    let mut messages = everything();
    messages.sort_by_key(|(at, _)| *at);
    messages.retain(|(_, message)| !matches!(message, Message::Network { .. }));
    for (at, message) in messages.clone() {
        book.take(message, T0 + at, &mut store).unwrap();
    }
    let later = T0 + 10_000_000;
    book.end_silent(later);
    store.write(&book.take_changes()).unwrap();
    let before = store.all().unwrap();
    assert!(before.len() >= 9 && before.iter().all(|session| session.end.is_some()));

    let mut repeated = 0;
    for (_, message) in messages {
        book.take(message.clone(), later, &mut store).unwrap();
        let changes = book.take_changes();
        if changes.counts.repeated == 1 {
            repeated += 1;
            assert_eq!(changes.sessions, [], "{message:?}");
            assert!(changes.stories.is_empty() && changes.rollups.is_empty(), "{message:?}");
        }
        store.write(&changes).unwrap();
        assert_eq!(book.running(), 0, "{message:?}");
    }
    assert!(repeated > 30, "{repeated}");
    assert_eq!(store.all().unwrap().len(), before.len());
}

/// A player uses a session's name again after a reboot: the one that had it before is looked at, and left alone.
#[test]
fn a_session_that_was_only_looked_at_is_not_kept() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(directory.path()).unwrap();
    let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
    let body = golden::reports("extended_media");
    let mut sessions = 0;
    // All that is told at 1700000010 is told again a day later, of other times.
    for body in [body.clone(), body.replace("17000000", "17000864")] {
        for (at, message) in reports(50_000, &body) {
            book.take(message, T0 + at, &mut store).unwrap();
        }
        let changes = book.take_changes();
        sessions += changes.sessions.len();
        assert!(!changes.sessions.is_empty() && changes.sessions.iter().all(|session| session.end.is_some()));
        store.write(&changes).unwrap();
        assert_eq!((book.running(), store.all().unwrap().len()), (0, sessions));
    }
    assert_eq!(sessions, 2);
}

/// Attempts and plays by a filter and a dimension, by value, in the order of values.
fn moments(changes: &Changes, filter: FilterId, dimension: &Dimension) -> Vec<(String, i64, i64)> {
    let here =
        changes.rollups.iter().filter(|(place, _)| (place.filter, &place.dimension) == (filter, dimension));
    let mut sums = BTreeMap::<_, Figures>::new();
    here.for_each(|(place, figures)| *sums.entry(place.value.clone()).or_default() += *figures);
    sums.into_iter().map(|(value, sum)| (value, sum.attempts, sum.plays)).collect()
}

/// A player chooses its CDN when the attempt has begun, and another one later.
#[test]
fn an_attempt_is_of_what_becomes_known_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Sqlite::open(directory.path()).unwrap();
    let mut book = Book::open(&mut store, Rules::default(), 20_000, T0).unwrap();
    let filter = |name: &str, operator: &str, value: &str| {
        let rules = serde_json::json!({ "field": "CDN", "op": operator, "value": value });
        serde_json::json!({ "name": name, "advanced": true, "enabled": true, "rules": rules })
    };
    let wanted = serde_json::json!([
        filter("of it", "equals", "near"),
        filter("of others", "notequals", "near"),
        filter("of all but one", "notequals", "far"),
    ]);
    let filters = book.edit(Edit::Add(Wanted::read_all(&wanted).unwrap()), T0).unwrap();
    let [of_it, of_others, of_all_but_one] = [0, 1, 2].map(|at: usize| filters[at].id);
    let cdns = Dimension::Known(Known::Cdn);
    let of = |value: &str, attempts: i64, plays: i64| (value.to_owned(), attempts, plays);
    let mut tell = |number: u64, joined: bool, more: &str| {
        let at = number * 1000;
        let body = format!(
            r#"{{"t":"CwsSessionHb","clid":"1.2.3.4","iid":1,"sid":1,"seq":{number},"sst":{T0},"st":{at},
                "ps":6,"pj":{joined}{more}}}"#,
            T0 = T0.0
        );
        let (at, message) = beat(at, &body);
        book.take(message, T0 + at, &mut store).unwrap();
        book.take_changes()
    };

    let begun = tell(0, false, "");
    assert_eq!(moments(&begun, ALL_TRAFFIC.0, &cdns), [of(UNKNOWN, 1, 0)]);
    assert_eq!(moments(&begun, of_it, &Dimension::All), []);
    assert_eq!(moments(&begun, of_others, &Dimension::All), [of("", 1, 0)]);
    // What is told again moves nothing.
    assert_eq!(moments(&tell(0, false, r#","rs":"near""#), ALL_TRAFFIC.0, &cdns), []);

    let joined = tell(1, true, "");
    assert_eq!(moments(&joined, ALL_TRAFFIC.0, &cdns), [of(UNKNOWN, 0, 1)]);

    let learned = tell(2, true, r#","rs":"near","tags":{"shop":"7"}"#);
    assert_eq!(moments(&learned, ALL_TRAFFIC.0, &cdns), [of("near", 1, 1), of(UNKNOWN, -1, -1)]);
    assert_eq!(moments(&learned, ALL_TRAFFIC.0, &Dimension::Own("shop".to_owned())), [of("7", 1, 1)]);
    assert_eq!(moments(&learned, ALL_TRAFFIC.0, &Dimension::All), [of("", 0, 0)]);
    assert_eq!(moments(&learned, of_all_but_one, &Dimension::All), [of("", 0, 0)]);
    assert_eq!(moments(&learned, of_all_but_one, &cdns), [of("near", 1, 1), of(UNKNOWN, -1, -1)]);
    assert_eq!(moments(&learned, of_it, &Dimension::All), [of("", 1, 1)]);
    assert_eq!(moments(&learned, of_it, &cdns), [of("near", 1, 1)]);
    assert_eq!(moments(&learned, of_others, &Dimension::All), [of("", -1, -1)]);
    assert_eq!(moments(&learned, of_others, &cdns), [of(UNKNOWN, -1, -1)]);
    let place = |value: &str| Place {
        filter: ALL_TRAFFIC.0,
        dimension: cdns.clone(),
        minute: T0.minute(),
        value: value.to_owned(),
    };
    assert_eq!(learned.sketches[&place("near")].devices(), 1);

    // It was of the first one, whichever it goes on with.
    let changed = tell(3, true, r#","rs":"far""#);
    assert_eq!(moments(&changed, ALL_TRAFFIC.0, &cdns), [of("far", 0, 0)]);
}
