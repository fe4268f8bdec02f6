//! Against a real server: the same as SQLite, and once only, whatever is cut off.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use proptest::prelude::*;

use super::client::push_row;
use super::*;
use crate::book::tests::everything;
use crate::book::{Book, Message, Place};
use crate::figures::{Figures, SAMPLES};
use crate::filters::Edit;
use crate::labels::{Dimension, Known};
use crate::networks::Networks;
use crate::rules::Rules;
use crate::sketch::States;
use crate::store::{Lookup, Reader, Span, Sqlite, Wanted};
use crate::tests_clickhouse::Server;
use crate::time::Minute;

const T0: UnixMs = UnixMs(1_700_000_000_000);

/// A database that nobody has used.
fn address() -> Address {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Address::parse(&Server::shared().url(&name)).unwrap().unwrap()
}

/// What is told of sums: of each filter, dimension and kind of question.
#[derive(Debug, PartialEq)]
struct Told {
    minutes: Vec<(Minute, Figures)>,
    values: Vec<(String, Figures)>,
    peaks: Vec<(String, i64)>,
    grids: Vec<Vec<crate::store::Cell>>,
    /// Where, and their states.
    sketches: Vec<(Minute, String, Vec<u8>)>,
}

fn told(reader: &mut dyn Reader, filter: FilterId, dimension: u32) -> Told {
    let all = Span { filter, dimension, from: Minute(0), until: Minute(u64::MAX) };
    let some = Span { from: Minute(T0.minute().0 + 1), until: Minute(T0.minute().0 + 5), ..all.clone() };
    let values = reader.values(&all).unwrap();
    let names: Vec<_> = values.iter().map(|(name, _)| name.clone()).take(2).collect();
    Told {
        minutes: reader.minutes(&some).unwrap(),
        // Samples of these are of no use.
        values: values
            .into_iter()
            .map(|(name, figures)| (name, Figures { running: [0; SAMPLES], ..figures }))
            .collect(),
        peaks: reader.peaks(&all).unwrap(),
        grids: vec![
            reader.grid(&all, 3, None).unwrap(),
            reader.grid(&some, 60, Some(&names)).unwrap(),
            reader.grid(&all, 60, None).unwrap(),
            reader.grid(&all, 1440, Some(&["none's".to_owned()])).unwrap(),
            reader.grid(&all, 60, Some(&[])).unwrap(),
        ],
        sketches: [
            reader.sketches(&all, 2, None, States::ALL),
            reader.sketches(&some, 60, Some(&names), States::ALL),
            reader.sketches(&all, 60, Some(&[]), States::ALL),
        ]
        .into_iter()
        .flat_map(Result::unwrap)
        .map(|told| (told.at, told.value, told.sketches.encode()))
        .collect(),
    }
}

/// What is told of sums, by the names of what has numbers. What every session has, and each filter, are alike: one of each is
/// asked for.
fn all_told(reader: &mut dyn Reader) -> BTreeMap<(u32, String), Told> {
    let mut places = vec![(ALL_TRAFFIC.0, 0, String::new()), (FilterId(2), Known::Asset.id(), String::new())];
    let own = reader.own_dimensions().unwrap();
    places.extend(own.into_iter().map(|(id, name)| (ALL_TRAFFIC.0, id, name)));
    let told = |(filter, id, name): (FilterId, u32, String)| ((filter.0, name), told(reader, filter, id));
    places.into_iter().map(told).collect()
}

/// All that is looked up.
fn looked_up(lookup: &mut dyn Lookup) -> String {
    let wanted = [
        Wanted { most: 100, ..Wanted::default() },
        Wanted { most: 3, ..Wanted::default() },
        Wanted { running: Some(true), most: 100, ..Wanted::default() },
        Wanted { running: Some(false), before: Some(T0 + 20_000), most: 100, ..Wanted::default() },
        Wanted { text: "BOX'".to_owned(), most: 2, ..Wanted::default() },
    ];
    let mut all = Vec::new();
    for wanted in wanted {
        let sessions = lookup.sessions(&wanted).unwrap();
        for session in sessions.iter().take(2) {
            assert_eq!(lookup.session(&session.key).unwrap().as_ref(), Some(session));
            all.push(format!("{:?} {:?}", session.key, lookup.story(&session.key).unwrap()));
        }
        all.push(format!("{wanted:?}: {sessions:#?}"));
    }
    assert!(lookup.session(&Key("' OR 1 --".to_owned())).unwrap().is_none());
    all.push(format!("{:#?}", lookup.boxes(100).unwrap()));
    all.push(format!("{:?} {:?}", lookup.devices_since(T0), lookup.devices_since(T0 + 100_000)));
    all.push(format!("{:#?}", lookup.interfaces(10).unwrap()));
    all.join("\n")
}

fn hostile() -> Vec<(u64, Message)> {
    let texts = [
        "a=I~c=1~d=box%27%20OR%201~e=0~f=R~tt=%27%3B%20DROP%20TABLE%20rollup%3B--~w=0~_cd_one=%5C%09%0A%00%5C",
        "a=I~c=2~d=box%5C~e=0~f=R~tt=%5CN~w=0~_cd_two=%E2%98%83%F0%9F%93%BA",
    ];
    let line = |text| crate::session::line::Received::read(text, "192.0.2.1", "192.0.2.0/24").unwrap();
    texts.into_iter().map(|text| (1_000, Message::Line(Box::new(line(text))))).collect()
}

fn filter() -> Edit {
    let body = r#"[{"name":"it's \\one","category":"CONTENT","subcategory":"Asset","advanced":true,"content":false,
        "enabled":true,"rules":{"op":"and","rules":[{"op":"or","rules":[{"field":"Asset Name","op":"notequals","value":"x"}]}]}}]"#;
    Edit::Add(crate::filters::Wanted::read_all(&serde_json::from_str(body).unwrap()).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1, max_shrink_iters: 4, ..ProptestConfig::default() })]

    /// However what comes is mixed, repeated, cut into batches and interrupted by restarts, and whenever hours are added up,
    /// both stores tell the same;
    /// nothing is counted twice that is written twice for want of an answer.
    #[test]
    fn both_stores_tell_the_same(
        repeated in prop::collection::btree_set(0_usize..60, 0..8),
        written in prop::collection::btree_set(0_usize..60, 0..8),
        restarted in prop::collection::btree_set(0_usize..60, 0..3),
        folded in prop::collection::btree_set(0_usize..60, 1..4),
        late in 0_u64..4_000_000,
    ) {
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let address = address();
        let open = |index: usize| -> Box<dyn Store> {
            let directory = directories[index].path();
            match index {
                0 => Box::new(Sqlite::open(directory).unwrap()),
                _ => Box::new(ClickHouse::open(address.clone(), directory).unwrap()),
            }
        };
        let mut ends = Vec::new();
        for index in 0..2 {
            let mut store = open(index);
            let book = |store: &mut dyn Store| {
                let networks = Networks::parse("network,city\n192.0.2.0/24,Vienna\n").unwrap();
                Book::open(store, Rules::default(), 20_000, T0).unwrap().with_networks(networks)
            };
            let mut of = book(store.as_mut());
            of.edit(filter(), T0).unwrap();
            let mut messages = everything();
            messages.extend(hostile());
            messages.sort_by_key(|(at, _)| *at);
            for (number, (at, message)) in messages.into_iter().enumerate() {
                if repeated.contains(&number) {
                    of.take(message.clone(), T0 + at, store.as_mut()).unwrap();
                }
                of.take(message, T0 + at, store.as_mut()).unwrap();
                if written.contains(&number) || restarted.contains(&number) {
                    store.write(&of.take_changes()).unwrap();
                }
                if folded.contains(&number) {
                    // All that comes then comes late.
                    let keep = Keep { sessions: 100_000, ..Keep::default() };
                    store.tidy(&keep, T0 + 2 * HOUR).unwrap();
                }
                if restarted.contains(&number) {
                    store = open(index);
                    of = book(store.as_mut());
                }
            }
            of.end_silent(T0 + 310_000 + late);
            store.write(&of.take_changes()).unwrap();
            let running: std::collections::BTreeSet<_> =
                store.running().unwrap().into_iter().map(|session| session.key).collect();
            ends.push((running, store.filters().unwrap(), store.counts().unwrap()));
        }
        prop_assert_eq!(&ends[0], &ends[1]);
        let mut sqlite = Sqlite::reader(directories[0].path()).unwrap();
        let mut clickhouse = ClickHouse::reader(address.clone());
        let (one, other) = (all_told(&mut sqlite), all_told(&mut clickhouse));
        prop_assert!(one[&(1, String::new())].values[0].1.attempts >= 11);
        for (place, told) in &one {
            prop_assert_eq!(Some(told), other.get(place), "{:?}", place);
        }
        prop_assert_eq!(one.len(), other.len());
        prop_assert_eq!(looked_up(&mut sqlite), looked_up(&mut clickhouse));

        // Minutes that are old are told by the hour, and the sums are the same.
        let keep = Keep { minutes: 1, ..Keep::default() };
        let now = T0 + 3 * 24 * HOUR;
        let mut stores = [open(0), open(1)];
        for store in &mut stores {
            while !store.tidy(&keep, now).unwrap().is_nothing() {}
        }
        for known in [0, Known::Asset.id()] {
            let span = Span { filter: ALL_TRAFFIC.0, dimension: known, from: Minute(0), until: Minute(u64::MAX) };
            let (one, other) = (sqlite.grid(&span, 60, None).unwrap(), clickhouse.grid(&span, 60, None).unwrap());
            prop_assert!(!one.is_empty());
            prop_assert_eq!(one, other);
            prop_assert_eq!(sqlite.peaks(&span).unwrap(), clickhouse.peaks(&span).unwrap());
        }
        let left: i64 = clickhouse_rows(&address, "rollup");
        prop_assert_eq!(left, 0, "minutes are dropped");
        // What comes late is told, too.
        let mut place = Place { filter: ALL_TRAFFIC.0, dimension: Dimension::All, minute: T0.minute(), value: String::new() };
        place.minute.0 += 1;
        let mut changes = Changes::default();
        changes.rollups.insert(place, Figures { attempts: 1000, ..Figures::default() });
        stores[1].write(&changes).unwrap();
        let span = Span { filter: ALL_TRAFFIC.0, dimension: 0, from: Minute(0), until: Minute(u64::MAX) };
        let attempts = clickhouse.values(&span).unwrap()[0].1.attempts;
        prop_assert!((1011..1100).contains(&attempts), "{}", attempts);
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whatever text goes in comes out, and is found.
    #[test]
    fn text_is_text(text in any::<String>()) {
        let address = address_of_text();
        let client = Client::new(address);
        let id = time::now().0.to_string();
        let mut row = String::new();
        push_row(&mut row, &[&text, &id, "1", &text]);
        client.insert("meta", &row).unwrap();
        let sql = format!("SELECT text, kind, {} FROM meta WHERE kind = {} LIMIT 1", literal(&text), literal(&text));
        let rows = client.select(&sql).unwrap();
        prop_assert_eq!((rows[0].text(0), rows[0].text(1), rows[0].text(2)), (text.clone(), text.clone(), text));
    }
}

/// One database with tables for all cases.
fn address_of_text() -> Address {
    static ADDRESS: std::sync::OnceLock<Address> = std::sync::OnceLock::new();
    ADDRESS
        .get_or_init(|| {
            let address = address();
            schema::create(&Client::new(address.clone()), OLDEST).unwrap();
            address
        })
        .clone()
}

fn clickhouse_rows(address: &Address, table: &str) -> i64 {
    Client::new(address.clone()).select(&format!("SELECT count() FROM {table}")).unwrap()[0].signed(0)
}

fn attempts_of(number: usize) -> Changes {
    let place = Place {
        filter: ALL_TRAFFIC.0,
        dimension: Dimension::All,
        minute: Minute(T0.minute().0 + number as u64 * 1440),
        value: String::new(),
    };
    let mut changes = Changes::default();
    changes.rollups.insert(place.clone(), Figures { attempts: 1, ..Figures::default() });
    // Another partition.
    let place = Place { minute: Minute(place.minute.0 + 3000), ..place };
    changes.rollups.insert(place, Figures { attempts: 1, ..Figures::default() });
    changes.counts.lines = 1;
    changes
}

fn attempts(address: &Address) -> i64 {
    let span = Span { filter: ALL_TRAFFIC.0, dimension: 0, from: Minute(0), until: Minute(u64::MAX) };
    let values = ClickHouse::reader(address.clone()).values(&span).unwrap();
    values.first().map_or(0, |(_, figures)| figures.attempts)
}

/// A fault: after each number of inserts, the program is killed. The next one completes what was begun.
#[test]
fn a_batch_that_is_cut_off_anywhere_is_there_once() {
    let (address, directory) = (address(), tempfile::tempdir().unwrap());
    let mut expected = 0;
    for done in 0..5 {
        let mut store = ClickHouse::open(address.clone(), directory.path()).unwrap();
        store.connect().unwrap();
        let (batch, _) = store.batch(&attempts_of(done), time::now()).unwrap();
        assert!(batch.pieces.len() >= 4, "{batch:?}");
        store.journal.put(&batch).unwrap();
        for piece in batch.pieces.iter().take(done) {
            insert(&store.client, &store.gates, piece).unwrap();
        }
        drop(store);
        expected += 2;
        // Twice: the journal's batch is there already the second time.
        for _ in 0..2 {
            let mut store = ClickHouse::open(address.clone(), directory.path()).unwrap();
            store.running().unwrap();
            assert_eq!(attempts(&address), expected, "after {done} inserts");
        }
    }
    let mut store = ClickHouse::open(address, directory.path()).unwrap();
    assert_eq!(store.counts().unwrap().lines, 5);
}

/// What was sent before somebody was in doubt finds its gate shut.
/// More rows than a server takes in one block unless it is told to.
#[test]
fn however_much_it_is_an_insert_is_all_or_nothing() {
    let (address, directory) = (address(), tempfile::tempdir().unwrap());
    let mut store = ClickHouse::open(address.clone(), directory.path()).unwrap();
    store.connect().unwrap();
    let client = &store.client;
    client.run("CREATE TABLE much (n UInt64) ENGINE = MergeTree PARTITION BY tuple() ORDER BY n").unwrap();
    const ROWS: u64 = 1_500_000;
    let mut rows = String::new();
    for number in 0..ROWS {
        push_row(&mut rows, &[&number.to_string()]);
    }
    client.insert("much", &rows).unwrap();
    let sql = format!(
        "SELECT count(), sum(rows) FROM system.parts WHERE database = '{}' AND table = 'much' AND level = 0",
        address.database()
    );
    let parts = client.select(&sql).unwrap();
    assert_eq!((parts[0].signed(0), parts[0].unsigned(1)), (1, ROWS));
}

#[test]
fn what_comes_late_does_not_come_in() {
    let (address, directory) = (address(), tempfile::tempdir().unwrap());
    let mut store = ClickHouse::open(address.clone(), directory.path()).unwrap();
    store.connect().unwrap();
    let (batch, _) = store.batch(&attempts_of(0), time::now()).unwrap();
    store.journal.put(&batch).unwrap();
    let gates = store.gates.clone();
    let mut next = ClickHouse::open(address.clone(), directory.path()).unwrap();
    next.running().unwrap();
    assert_eq!(attempts(&address), 2);
    for piece in &batch.pieces {
        assert!(insert(&store.client, &gates, piece).is_err(), "{piece:?}");
    }
    assert_eq!(attempts(&address), 2);
}

/// What is being inserted while somebody is in doubt is there before it is looked for marks.
#[test]
fn what_is_on_its_way_is_waited_for() {
    let (address, directory) = (address(), tempfile::tempdir().unwrap());
    let mut store = ClickHouse::open(address.clone(), directory.path()).unwrap();
    store.connect().unwrap();
    // What has gone in at the gate takes long to come out.
    let gate = &store.gates["rollup"];
    let slow = if store.client.version().unwrap() < (20, 10) {
        format!("CREATE MATERIALIZED VIEW slow ENGINE = Null AS SELECT sleepEachRow(2) AS slept FROM {gate}")
    } else {
        "ALTER TABLE rollup ADD COLUMN slept UInt8 MATERIALIZED sleepEachRow(2)".to_owned()
    };
    store.client.run(&slow).unwrap();
    let sql =
        format!("INSERT INTO {gate} (dimension, minute, deltas, attempts) SELECT 0, {}, 1, 1", T0.minute().0);
    let client = store.client.clone();
    let insert = std::thread::spawn(move || client.run(&sql));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!insert.is_finished());
    let mut next = ClickHouse::open(address.clone(), directory.path()).unwrap();
    next.running().unwrap();
    let seen = attempts(&address);
    insert.join().unwrap().unwrap();
    assert_eq!((seen, attempts(&address)), (1, 1));
}

/// A box that another collector goes on with, and that comes back.
#[test]
fn sessions_change_hands() {
    let address = address();
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut stores =
        directories.each_ref().map(|directory| ClickHouse::open(address.clone(), directory.path()).unwrap());
    let mut books = stores.each_mut().map(|store| Book::open(store, Rules::default(), 20_000, T0).unwrap());
    let lines = crate::tests_golden::lines("vod_with_seeks_and_pauses");
    let mut key = None;
    for (number, (at, text)) in lines.iter().enumerate() {
        let (store, book) = (&mut stores[number % 2], &mut books[number % 2]);
        let line = crate::session::line::Received::read(text, "192.0.2.1", "192.0.2.0/24").unwrap();
        let live = book.live([line.key()]);
        let gone = store.taken_over(&live).unwrap();
        assert_eq!(gone.len(), usize::from(number >= 2), "each goes on with what the other has written");
        book.let_go(&gone);
        key = Some(line.key());
        book.take(Message::Line(Box::new(line)), T0 + *at, store).unwrap();
        store.write(&book.take_changes()).unwrap();
    }
    assert!(lines.len() > 3);
    let session = ClickHouse::reader(address.clone()).session(&key.unwrap()).unwrap().unwrap();
    let span = Span { filter: ALL_TRAFFIC.0, dimension: 0, from: Minute(0), until: Minute(u64::MAX) };
    let values = ClickHouse::reader(address).values(&span).unwrap();
    assert_eq!((values[0].1, session.missing()), (session.total, 0));
    assert_eq!(session.total.attempts, 1);
}
