use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::*;
use crate::book::Changes;
use crate::figures::Figures;
use crate::filters::{ALL_TRAFFIC, FilterId};
use crate::receive::parcel::Kind;
use crate::rules::Rules;
use crate::session::{Key, Session, line};
use crate::store::{Reader, Span, Sqlite, StoreError, Tidied};
use crate::time::{self, Minute, UnixMs};

/// A fault: a store that panics when it is written.
struct Panics;

impl Store for Panics {
    fn running(&mut self) -> Result<Vec<Session>, StoreError> {
        Ok(Vec::new())
    }

    fn session(&mut self, _: &Key) -> Result<Option<Session>, StoreError> {
        Ok(None)
    }

    fn write(&mut self, _: &Changes) -> Result<(), StoreError> {
        panic!("a fault, for a test");
    }

    fn filters(&mut self) -> Result<(Vec<Filter>, FilterId), StoreError> {
        Ok((Vec::new(), FilterId(2)))
    }

    fn tidy(&mut self, _: &Keep, _: UnixMs) -> Result<Tidied, StoreError> {
        Ok(Tidied::default())
    }

    fn counts(&mut self) -> Result<Counts, StoreError> {
        Ok(Counts::default())
    }
}

/// A fault: a store that fails while it is told to. What it is asked fails, too. Counts how often it is written, and waits
/// while that is held.
pub(super) struct Fails(pub(super) Sqlite, pub(super) Arc<AtomicBool>, pub(super) Arc<Mutex<usize>>);

impl Fails {
    fn now(&mut self) -> Result<&mut Sqlite, StoreError> {
        if self.1.load(Ordering::SeqCst) { Err(StoreError::Away("away".to_owned())) } else { Ok(&mut self.0) }
    }
}

impl Store for Fails {
    fn running(&mut self) -> Result<Vec<Session>, StoreError> {
        self.now()?.running()
    }

    fn session(&mut self, key: &Key) -> Result<Option<Session>, StoreError> {
        self.now()?.session(key)
    }

    fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let writes = self.2.clone();
        let mut writes = writes.lock().unwrap();
        *writes += 1;
        self.now()?.write(changes)
    }

    fn filters(&mut self) -> Result<(Vec<Filter>, FilterId), StoreError> {
        self.now()?.filters()
    }

    fn tidy(&mut self, keep: &Keep, now: UnixMs) -> Result<Tidied, StoreError> {
        self.now()?.tidy(keep, now)
    }

    fn counts(&mut self) -> Result<Counts, StoreError> {
        self.now()?.counts()
    }
}

pub(super) fn tools(store: Box<dyn Store>, book: Book, directory: &Path, most: u64) -> Tools {
    let spool = Spool::open(directory, most).unwrap();
    Tools { store, book, spool, keep: Keep::default(), is_closed: false }
}

pub(super) fn mail(text: &str) -> (Vec<Message>, Parcel) {
    let message = line::Received::read(text, "192.0.2.1", "192.0.2.0/24").unwrap();
    let from = "192.0.2.1".parse().unwrap();
    let parcel = Parcel { from, kind: Kind::Line, body: text.to_owned().into() };
    (vec![Message::Line(Box::new(message))], parcel)
}

async fn send(keeper: &Keeper, text: &str) -> Result<(), NotNow> {
    let (messages, parcel) = mail(text);
    keeper.keep(messages, parcel).await
}

async fn until(keeper: &Keeper, is_so: impl Fn(&Status) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !is_so(&keeper.status()) {
        assert!(Instant::now() < deadline, "{:?}", keeper.status());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn attempts(directory: &Path) -> i64 {
    let span = Span { filter: ALL_TRAFFIC.0, dimension: 0, from: Minute(0), until: Minute(u64::MAX) };
    let values = Sqlite::reader(directory).unwrap().values(&span).unwrap();
    values
        .into_iter()
        .fold(Figures::default(), |mut sum, (_, figures)| {
            sum += figures;
            sum
        })
        .attempts
}

pub(super) fn attempt(number: usize) -> String {
    format!("a=I~c={number}~d=box~e=0~f=R~w=0")
}

#[tokio::test]
async fn what_comes_while_the_store_is_away_counts_when_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let is_away = Arc::new(AtomicBool::new(false));
    let mut store = Fails(Sqlite::open(directory.path()).unwrap(), is_away.clone(), Arc::default());
    let book = Book::open(&mut store, Rules::default(), 20_000, time::now()).unwrap();
    let tools = tools(Box::new(store), book, directory.path(), 3_000);
    let (keeper, running) = Keeper::start(tools).unwrap();
    send(&keeper, &attempt(0)).await.unwrap();
    is_away.store(true, Ordering::SeqCst);
    let mut taken = 1;
    while send(&keeper, &attempt(taken)).await.is_ok() {
        taken += 1;
        // Repeated while it is away, as by a box that has had no answer.
        let _ = send(&keeper, &attempt(taken / 2)).await;
        assert!(taken < 1_000, "the spool is never full");
    }
    assert!(taken > 5 && keeper.status().spooled > 1_000 && !keeper.status().is_writable, "{taken}");
    assert_eq!(attempts(directory.path()), 1);
    let edit = Edit::Remove(FilterId(2));
    assert_eq!(keeper.edit(edit).await, Err(NotDone::NotNow));

    is_away.store(false, Ordering::SeqCst);
    until(&keeper, |status| status.is_writable && status.spooled == 0).await;
    assert_eq!(attempts(directory.path()), i64::try_from(taken).unwrap());
    send(&keeper, &attempt(taken)).await.unwrap();
    assert_eq!(keeper.status().running, taken + 1);
    drop(keeper);
    running.join().unwrap();
    assert_eq!(attempts(directory.path()), i64::try_from(taken).unwrap() + 1);
}

/// So much at once that the store gets it later. Under the first part of it whoever asks is told of all; the second part
/// is in the spool alone when the store fails and when a kill comes, and is there afterwards.
#[tokio::test]
async fn what_the_store_gets_later_is_there_whatever_comes_between() {
    const EACH: usize = 300;
    let directory = tempfile::tempdir().unwrap();
    let (is_away, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(0)));
    let mut store = Fails(Sqlite::open(directory.path()).unwrap(), is_away.clone(), writes.clone());
    let book = Book::open(&mut store, Rules::default(), 20_000, time::now()).unwrap();
    let (keeper, running) = Keeper::start(tools(Box::new(store), book, directory.path(), 1_000_000)).unwrap();
    let send_all = async |from: usize| {
        let sending: Vec<_> = (from..from + EACH)
            .map(|number| {
                let keeper = keeper.clone();
                tokio::spawn(async move { send(&keeper, &attempt(number)).await.unwrap() })
            })
            .collect();
        for sent in sending {
            sent.await.unwrap();
        }
    };
    let attempts = |directory: &Path| usize::try_from(attempts(directory)).unwrap();
    send_all(0).await;
    keeper.settle().await;
    assert_eq!((attempts(directory.path()), keeper.status().spooled), (EACH, 0));
    assert_eq!(keeper.status().counts.lines, 300);

    // Until some of it is in the spool alone: on a slow machine the store may get it meanwhile.
    let mut sent = EACH;
    let copy = tempfile::tempdir().unwrap();
    loop {
        send_all(sent).await;
        sent += EACH;
        let writes = writes.lock().unwrap();
        if attempts(directory.path()) < sent {
            // A fault: the files as they are, as after a kill.
            for file in ["spool", "collector.sqlite", "collector.sqlite-wal"] {
                std::fs::copy(directory.path().join(file), copy.path().join(file)).unwrap();
            }
            assert!(*writes < sent / 10, "{writes} writes of {sent}");
            is_away.store(true, Ordering::SeqCst);
            break;
        }
        assert!(sent < 100 * EACH, "the store is never behind");
    }
    keeper.settle().await;
    assert!(!keeper.status().is_writable && keeper.status().spooled > 0);
    is_away.store(false, Ordering::SeqCst);
    until(&keeper, |status| status.is_writable && status.spooled == 0).await;
    assert_eq!((attempts(directory.path()), keeper.status().running), (sent, sent));
    drop(keeper);
    running.join().unwrap();

    let mut store = Sqlite::open(copy.path()).unwrap();
    let book = Book::open(&mut store, Rules::default(), 20_000, time::now()).unwrap();
    let (keeper, running) = Keeper::start(tools(Box::new(store), book, copy.path(), 1_000_000)).unwrap();
    until(&keeper, |status| status.spooled == 0).await;
    assert_eq!((attempts(copy.path()), keeper.status().running), (sent, sent));
    drop(keeper);
    running.join().unwrap();
}

#[tokio::test]
async fn what_waits_is_read_by_the_next_start_and_twice_counts_once() {
    let directory = tempfile::tempdir().unwrap();
    let report = crate::tests_golden::reports("extended_media");
    let from = "192.0.2.1".parse().unwrap();
    let report = Parcel { from, kind: Kind::Reports("box".to_owned()), body: report.into() };
    let beats = crate::tests_golden::heartbeats().into_iter();
    let beats = beats.map(|(_, body)| Parcel { from, kind: Kind::Beat, body: body.into() });
    let lines = crate::tests_golden::lines("vod_with_seeks_and_pauses").into_iter();
    let lines = lines.map(|(_, text)| Parcel { from, kind: Kind::Line, body: text.into() });
    let parcels: Vec<_> = [report].into_iter().chain(beats).chain(lines).collect();
    let spool = |twice: bool| {
        let mut spool = Spool::open(directory.path(), 1_000_000).unwrap();
        spool.append(&parcels, time::now()).unwrap();
        if twice {
            spool.append(&parcels, time::now()).unwrap();
        }
        drop(spool);
        // A fault: the file as it was before it was read, as after a kill between the store and it.
        std::fs::read(directory.path().join("spool")).unwrap()
    };
    let mut told = Vec::new();
    for twice in [false, true, false] {
        let before = spool(twice);
        assert!(before.len() > 1_000);
        let mut store = Sqlite::open(directory.path()).unwrap();
        let book = Book::open(&mut store, Rules::default(), 20_000, time::now()).unwrap();
        let (keeper, running) =
            Keeper::start(tools(Box::new(store), book, directory.path(), 1_000_000)).unwrap();
        until(&keeper, |status| status.spooled == 0).await;
        drop(keeper);
        running.join().unwrap();
        let span = Span { filter: ALL_TRAFFIC.0, dimension: 0, from: Minute(0), until: Minute(u64::MAX) };
        told.push(Sqlite::reader(directory.path()).unwrap().values(&span).unwrap());
    }
    assert_eq!(told[0][0].1.attempts, 3, "{told:?}");
    assert!(told[0] == told[1] && told[1] == told[2], "{told:?}");
}

#[tokio::test]
async fn a_panic_is_the_end() {
    let book = Book::open(&mut Panics, Rules::default(), 20_000, time::now()).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (keeper, mut running) =
        Keeper::start(tools(Box::new(Panics), book, directory.path(), 1_000)).unwrap();
    assert_eq!(send(&keeper, "a=I~c=1~d=box~e=0~w=0").await, Err(NotNow));
    tokio::time::timeout(Duration::from_secs(30), running.ended()).await.unwrap();
    assert!(running.join().is_err());
}
