use std::sync::atomic::{AtomicBool, Ordering};

use super::super::Mail;
use super::super::tests::{Fails, attempt, mail, tools};
use super::*;
use crate::rules::Rules;
use crate::store::Sqlite;

/// So many at once are much.
const MANY: usize = 64;

/// A worker whose turns are called for one after the other, with a store that counts how often it is written.
struct Desk {
    worker: Worker,
    is_away: Arc<AtomicBool>,
    writes: Arc<Mutex<usize>>,
    sent: usize,
    _directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (is_away, writes) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(0)));
        let mut store = Fails(Sqlite::open(directory.path()).unwrap(), is_away.clone(), writes.clone());
        let book = Book::open(&mut store, Rules::default(), 20_000, time::now()).unwrap();
        let tools = tools(Box::new(store), book, directory.path(), 1_000_000);
        let filters = Arc::new(Mutex::new(tools.book.filters()));
        let (_, jobs) = std::sync::mpsc::sync_channel(1);
        let status = Arc::new(Mutex::new(Status::default()));
        let worker = Worker::new(tools, Counts::default(), jobs, status, filters, oneshot::channel().0);
        Self { worker, is_away, writes, sent: 0, _directory: directory }
    }

    /// So many come at once: how many of them are answered well, and how often the store has been written then.
    fn turn(&mut self, requests: usize) -> (usize, usize) {
        let (mut batch, mut answered) = (Vec::new(), Vec::new());
        for number in self.sent..self.sent + requests {
            let (messages, parcel) = mail(&attempt(number));
            let (answer, given) = oneshot::channel();
            batch.push(Job::Messages(Mail { messages, parcel, answer, result: Ok(()) }));
            answered.push(given);
        }
        self.sent += requests;
        self.worker.turn(batch);
        let well = answered.into_iter().filter_map(|mut given| given.try_recv().ok()).filter(Result::is_ok);
        (well.count(), *self.writes.lock().unwrap())
    }

    /// A clock that has gone on: all that was done was done so long ago.
    fn age(&mut self, by: Duration) {
        let then = Instant::now() - by;
        (self.worker.swept, self.worker.tidied) = (then, then);
        self.worker.behind = self.worker.behind.map(|_| then);
    }
}

/// Looking for silent sessions does not have the store written sooner.
#[test]
fn much_is_written_when_it_is_due_and_not_before() {
    let mut desk = Desk::new();
    assert_eq!(desk.turn(MANY), (MANY, 0));
    for _ in 0..2 {
        desk.age(BEHIND - Duration::from_millis(500));
        assert_eq!(desk.turn(MANY), (MANY, 0));
        assert!(desk.worker.tidied.elapsed() < SWEEP, "what is old is looked for all the same");
        assert!(desk.worker.swept.elapsed() >= SWEEP);
    }
    desk.age(BEHIND);
    assert_eq!(desk.turn(MANY), (MANY, 1));
    assert!(desk.worker.behind.is_none() && desk.worker.swept.elapsed() < SWEEP);
    assert_eq!(desk.turn(MANY), (MANY, 1));
}

#[test]
fn little_is_written_at_once() {
    let mut desk = Desk::new();
    assert_eq!(desk.turn(1), (1, 1));
    assert_eq!(desk.turn(1), (1, 2));
}

/// What only the book and the spool have when the store fails is read from the spool.
#[test]
fn what_is_late_is_not_lost_with_a_write_that_fails() {
    let mut desk = Desk::new();
    assert_eq!(desk.turn(MANY), (MANY, 0));
    desk.age(BEHIND);
    desk.is_away.store(true, Ordering::SeqCst);
    assert_eq!(desk.turn(0), (0, 1));
    assert!(desk.worker.is_stale && desk.worker.spool.waiting() > 0);
    desk.is_away.store(false, Ordering::SeqCst);
    desk.worker.resting = None;
    desk.turn(0);
    assert_eq!((desk.worker.spool.waiting(), desk.worker.book.running()), (0, MANY));
}
