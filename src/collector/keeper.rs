//! The one thread that holds the book and writes the store.
//!
//! Whatever has come while the last transaction was written goes into the next one together (group commit), and is
//! answered when that is on the disk. What does not fit in the queue is refused at once: the box keeps it and comes again.
//!
//! While the store fails, what comes is put into the [`Spool`], and answered when that is on the disk. When the store is
//! back, that is read first, with the time at which it came; what comes meanwhile is put behind it. A part of it that is
//! read twice, for a kill between two steps, is in the sessions already and counts once, as what a box repeats does.
//!
//! Should the thread panic, what it held is in doubt: the whole program ends, and whoever supervises it starts it again,
//! from what is written.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::book::{Book, Counts, Message, Refusal};
use crate::filters::{Edit, Filter, NotDone};
use crate::receive::parcel::Parcel;
use crate::session::Key;
use crate::spool::{Aside, Spool};
use crate::store::{Keep, Store, StoreError};
use crate::time::{self, UnixMs};

/// Most requests that wait.
const QUEUE: usize = 4096;
/// Most requests in a transaction.
const BATCH: usize = 1024;
/// How often it is looked for sessions that are silent.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a store that has failed is left alone: to go on from what is in it is much work.
const REST: Duration = Duration::from_millis(500);
/// How often the filters of a store that others write, too, are looked at.
const REFRESH: Duration = Duration::from_secs(10);
/// Most that is read from the spool for one transaction: more than comes in one, so that it comes to an end.
const PLAYED: (usize, u64) = (4 * BATCH, 16 * 1024 * 1024);

/// One request.
enum Job {
    Messages(Mail),
    Edit(Edit, oneshot::Sender<Result<Vec<Filter>, NotDone>>),
}

/// What a box has sent.
struct Mail {
    messages: Vec<Message>,
    /// The same, as it came.
    parcel: Parcel,
    answer: oneshot::Sender<Result<(), Trouble>>,
    /// What it is answered once it is on the disk.
    result: Result<(), Trouble>,
}

/// What somebody waits for. Who has gone away does not.
enum Answer {
    Messages(Mail),
    Edit(Result<Vec<Filter>, NotDone>, oneshot::Sender<Result<Vec<Filter>, NotDone>>),
}

/// Why messages were not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Not now: the store fails, or there is too much of it.
    NotNow,
    /// Never: they are of no use.
    Useless(String),
}

/// Why messages are not in the book.
enum NotTaken {
    /// Of all that comes after them, nothing would be either.
    Store(StoreError),
    Trouble(Trouble),
}

/// How the collector fares.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Status {
    pub(crate) running: usize,
    pub(crate) counts: Counts,
    /// The store takes what is written.
    pub(crate) is_writable: bool,
    /// Bytes in the spool.
    pub(crate) spooled: u64,
}

/// What the keeper works with.
pub(crate) struct Tools {
    pub(crate) store: Box<dyn Store>,
    pub(crate) book: Book,
    pub(crate) spool: Spool,
    pub(crate) keep: Keep,
    /// The book is not opened: the store could not be read.
    pub(crate) is_closed: bool,
}

/// What requests are handed to.
#[derive(Debug, Clone)]
pub(crate) struct Keeper {
    jobs: SyncSender<Job>,
    status: Arc<Mutex<Status>>,
    /// As they are on the disk.
    filters: Arc<Mutex<Arc<Vec<Filter>>>>,
}

/// The thread's own.
struct Worker {
    jobs: Receiver<Job>,
    book: Book,
    store: Box<dyn Store>,
    spool: Spool,
    status: Arc<Mutex<Status>>,
    filters: Arc<Mutex<Arc<Vec<Filter>>>>,
    /// The store was asked what has come before.
    is_counted: bool,
    /// The book holds what is not in the store.
    is_stale: bool,
    /// Until then a store that has failed is left alone.
    resting: Option<Instant>,
    keep: Keep,
    swept: Instant,
    refreshed: Instant,
    /// Is dropped with the thread's last breath.
    _alive: oneshot::Sender<()>,
}

/// The thread.
#[derive(Debug)]
pub(crate) struct Running {
    handle: JoinHandle<()>,
    alive: oneshot::Receiver<()>,
}

// === impl Keeper ===

impl Keeper {
    /// Starts the thread, which ends when all keepers are gone and all is written.
    ///
    /// # Errors
    /// Where the store cannot be read or the thread not be started.
    pub(crate) fn start(tools: Tools) -> Result<(Self, Running), Box<dyn std::error::Error>> {
        let Tools { mut store, book, spool, keep, is_closed } = tools;
        let status = Status {
            running: book.running(),
            counts: if is_closed { Counts::default() } else { store.counts()? },
            is_writable: !is_closed,
            spooled: spool.waiting(),
        };
        if spool.waiting() > 0 {
            log::info!("{} bytes in the spool are read first", spool.waiting());
        }
        let status = Arc::new(Mutex::new(status));
        let filters = Arc::new(Mutex::new(book.filters()));
        let (sender, jobs) = sync_channel(QUEUE);
        let (holds, alive) = oneshot::channel();
        let mut worker = Worker {
            jobs,
            book,
            store,
            spool,
            status: status.clone(),
            filters: filters.clone(),
            is_counted: !is_closed,
            is_stale: is_closed,
            resting: None,
            keep,
            swept: Instant::now(),
            refreshed: Instant::now(),
            _alive: holds,
        };
        let handle = thread::Builder::new().name("keeper".to_owned()).spawn(move || worker.run())?;
        Ok((Self { jobs: sender, status, filters }, Running { handle, alive }))
    }

    /// Hands messages over, with the parcel that they came in, and waits until they are on the disk.
    ///
    /// # Errors
    /// Where they are not.
    pub(crate) async fn keep(&self, messages: Vec<Message>, parcel: Parcel) -> Result<(), Trouble> {
        let (answer, answered) = oneshot::channel();
        let mail = Mail { messages, parcel, answer, result: Ok(()) };
        match self.jobs.try_send(Job::Messages(mail)) {
            Ok(()) => answered.await.unwrap_or(Err(Trouble::NotNow)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(Trouble::NotNow),
        }
    }

    /// Adds or removes filters, and waits until that is on the disk; gives those that it is about.
    ///
    /// # Errors
    /// Where it is not done.
    pub(crate) async fn edit(&self, edit: Edit) -> Result<Vec<Filter>, NotDone> {
        let (answer, answered) = oneshot::channel();
        match self.jobs.try_send(Job::Edit(edit, answer)) {
            Ok(()) => answered.await.unwrap_or(Err(NotDone::NotNow)),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(NotDone::NotNow),
        }
    }

    /// The saved filters.
    pub(crate) fn filters(&self) -> Arc<Vec<Filter>> {
        self.filters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How it fares.
    pub(crate) fn status(&self) -> Status {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Running ===

impl Running {
    /// Comes back when the thread has ended. While a keeper is left that is so only if it has panicked.
    pub(crate) async fn ended(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.alive).await;
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// Where it has panicked.
    pub(crate) fn join(self) -> thread::Result<()> {
        self.handle.join()
    }
}

// === impl Worker ===

impl Worker {
    fn run(&mut self) {
        loop {
            let mut batch = Vec::new();
            let wait = match (self.is_stale, self.spool.waiting()) {
                (true, _) => REST,
                (false, 0) => SWEEP,
                (false, _) => Duration::ZERO,
            };
            match self.jobs.recv_timeout(wait) {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(),
            }
            let until = Instant::now() + if batch.is_empty() { Duration::ZERO } else { self.store.gather() };
            while batch.len() < BATCH {
                let Ok(job) = self.jobs.recv_timeout(until.saturating_duration_since(Instant::now())) else {
                    break;
                };
                batch.push(job);
            }
            self.turn(batch);
        }
    }

    /// One transaction.
    fn turn(&mut self, batch: Vec<Job>) {
        if self.is_stale && !self.refresh() || !self.play() {
            return self.put_aside(batch.into_iter().map(Job::unread).collect());
        }
        if let Err(error) = self.share(&batch) {
            self.fail(&error);
            return self.put_aside(batch.into_iter().map(Job::unread).collect());
        }
        let (mut answers, mut failed) = (Vec::with_capacity(batch.len()), None);
        for job in batch {
            answers.push(match job {
                Job::Messages(mut mail) if failed.is_none() => {
                    let messages = std::mem::take(&mut mail.messages);
                    match self.take(messages, time::now()) {
                        Ok(()) => {}
                        Err(NotTaken::Store(error)) => failed = Some(error),
                        Err(NotTaken::Trouble(trouble)) => mail.result = Err(trouble),
                    }
                    Answer::Messages(mail)
                }
                Job::Edit(edit, answer) if failed.is_none() => {
                    Answer::Edit(self.book.edit(edit, time::now()), answer)
                }
                other => other.unread(),
            });
        }
        let is_due = self.swept.elapsed() >= SWEEP && failed.is_none();
        if is_due {
            self.swept = Instant::now();
            failed = self.end_silent().err();
        }
        let changes = self.book.take_changes();
        if failed.is_none() && !changes.is_empty() {
            failed = self.store.write(&changes).err();
        }
        if let Some(error) = failed {
            self.fail(&error);
            return self.put_aside(answers);
        }
        self.tell(changes.counts, true);
        if !changes.filters.is_empty() {
            self.tell_filters();
        }
        answers.into_iter().for_each(Answer::give);
        if is_due {
            self.look_after();
        }
    }

    /// What is done now and then, and for which nobody waits.
    fn look_after(&mut self) {
        match self.store.tidy(&self.keep, time::now()) {
            Ok(tidied) if tidied.is_nothing() => {}
            Ok(tidied) => log::debug!("not kept any more: {tidied:?}"),
            Err(error) => log::warn!("what is old cannot be taken out of the store: {error}"),
        }
        if self.store.is_shared() && self.refreshed.elapsed() >= REFRESH {
            self.refreshed = Instant::now();
            match self.book.refresh_filters(self.store.as_mut()) {
                Ok(()) => self.tell_filters(),
                Err(error) => log::warn!("the filters in the store cannot be read: {error}"),
            }
        }
    }

    /// Where others write the store, too: forgets sessions that they go on with, and looks at their filters before one is
    /// made.
    fn share(&mut self, batch: &[Job]) -> Result<(), StoreError> {
        if !self.store.is_shared() {
            return Ok(());
        }
        let messages = batch.iter().filter_map(|job| match job {
            Job::Messages(mail) => Some(&mail.messages),
            Job::Edit(..) => None,
        });
        self.let_go(messages.flatten().flat_map(Message::keys).collect())?;
        if batch.iter().any(|job| matches!(job, Job::Edit(..))) {
            self.book.refresh_filters(self.store.as_mut())?;
        }
        Ok(())
    }

    fn let_go(&mut self, keys: Vec<Key>) -> Result<(), StoreError> {
        let live = self.book.live(keys);
        let gone = if live.is_empty() { Vec::new() } else { self.store.taken_over(&live)? };
        self.book.let_go(&gone);
        Ok(())
    }

    fn end_silent(&mut self) -> Result<(), StoreError> {
        let now = time::now();
        if self.store.is_shared() {
            // What others have written since this collector has is not silent.
            let silent = self.book.silent(now);
            let gone = if silent.is_empty() { Vec::new() } else { self.store.taken_over(&silent)? };
            self.book.let_go(&gone);
        }
        self.book.end_silent(now);
        Ok(())
    }

    fn take(&mut self, messages: Vec<Message>, now: UnixMs) -> Result<(), NotTaken> {
        let mut result = Ok(());
        for message in messages {
            match self.book.take(message, now, self.store.as_mut()) {
                Ok(()) => {}
                Err(Refusal::Line(error)) => {
                    result = Err(NotTaken::Trouble(Trouble::Useless(error.to_string())))
                }
                Err(Refusal::Store(error)) if error.is_of_all() => return Err(NotTaken::Store(error)),
                Err(error @ (Refusal::Store(_) | Refusal::Full)) => {
                    log::error!("{error}");
                    return Err(NotTaken::Trouble(Trouble::NotNow));
                }
            }
        }
        result
    }

    /// Reads from the spool what waits there, or some of it; whether nothing waits any more.
    fn play(&mut self) -> bool {
        if self.spool.waiting() == 0 {
            return true;
        }
        let (most, bytes) = PLAYED;
        let aside = match self.spool.oldest(most, bytes) {
            Ok(aside) => aside,
            Err(error) => {
                log::error!("{error}");
                return false;
            }
        };
        let Some(end) = aside.last().map(|aside| aside.end) else { return true };
        if let Err(error) = self.play_all(aside) {
            self.fail(&error);
            return false;
        }
        if let Err(error) = self.spool.played(end) {
            log::error!("the spool cannot be written: {error}");
        }
        if self.spool.waiting() == 0 {
            log::info!("the spool is empty again");
            return true;
        }
        false
    }

    fn play_all(&mut self, aside: Vec<Aside>) -> Result<(), StoreError> {
        let all: Vec<_> = aside.iter().map(|aside| (aside.at, aside.parcel.messages())).collect();
        if self.store.is_shared() {
            self.let_go(all.iter().flat_map(|(_, messages)| messages).flat_map(Message::keys).collect())?;
        }
        for (at, messages) in all {
            match self.take(messages, at) {
                Ok(()) => {}
                Err(NotTaken::Store(error)) => return Err(error),
                // It would be of no more use later.
                Err(NotTaken::Trouble(trouble)) => {
                    log::warn!("something in the spool is left out: {trouble:?}")
                }
            }
        }
        let changes = self.book.take_changes();
        if !changes.is_empty() {
            self.store.write(&changes)?;
        }
        self.tell(changes.counts, true);
        Ok(())
    }

    /// Puts into the spool what boxes have sent, and answers everybody.
    fn put_aside(&mut self, answers: Vec<Answer>) {
        let parcels = answers.iter().filter_map(|answer| match answer {
            Answer::Messages(Mail { parcel, result: Ok(()), .. }) => Some(parcel),
            Answer::Messages(_) | Answer::Edit(..) => None,
        });
        let result = self.spool.append(parcels, time::now());
        self.tell(Counts::default(), !self.is_stale);
        if let Err(error) = &result {
            log::error!("requests are refused: {error}");
        }
        for answer in answers {
            match answer {
                Answer::Messages(mail) if result.is_ok() => Answer::Messages(mail).give(),
                other => other.refuse(),
            }
        }
    }

    /// The store fails: nothing of what is in the book and not in the store is in the store.
    fn fail(&mut self, error: &StoreError) {
        log::error!("the store fails, what comes is put aside: {error}");
        self.is_stale = true;
        self.resting = Some(Instant::now() + REST);
    }

    /// Goes on from what is in the store; whether that could be.
    fn refresh(&mut self) -> bool {
        if self.resting.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        match self.reopen() {
            Ok(()) => {
                log::info!("the store can be read, requests are taken again");
                self.is_stale = false;
                self.tell_filters();
                true
            }
            Err(error) => {
                log::debug!("the store still fails: {error}");
                self.resting = Some(Instant::now() + REST);
                false
            }
        }
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        self.book.reopen(self.store.as_mut())?;
        if !self.is_counted {
            let counts = self.store.counts()?;
            self.is_counted = true;
            self.tell(counts, false);
        }
        Ok(())
    }

    /// What has not been read by the end waits for the next start.
    fn finish(&mut self) {
        let mut before = u64::MAX;
        while !self.is_stale && (1..before).contains(&self.spool.waiting()) {
            before = self.spool.waiting();
            self.play();
        }
    }

    fn tell_filters(&self) {
        *self.filters.lock().unwrap_or_else(PoisonError::into_inner) = self.book.filters();
    }

    fn tell(&self, counts: Counts, is_writable: bool) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.running = self.book.running();
        status.counts = status.counts.plus(&counts);
        status.is_writable = is_writable;
        status.spooled = self.spool.waiting();
    }
}

// === impl Job ===

impl Job {
    /// As it is where nothing was done about it.
    fn unread(self) -> Answer {
        match self {
            Self::Messages(mail) => Answer::Messages(mail),
            Self::Edit(_, answer) => Answer::Edit(Err(NotDone::NotNow), answer),
        }
    }
}

// === impl Answer ===

impl Answer {
    fn give(self) {
        match self {
            Self::Messages(mail) => _ = mail.answer.send(mail.result),
            Self::Edit(result, answer) => _ = answer.send(result),
        }
    }

    /// It is not on the disk.
    fn refuse(self) {
        match self {
            Self::Messages(mail) => _ = mail.answer.send(mail.result.and(Err(Trouble::NotNow))),
            Self::Edit(_, answer) => _ = answer.send(Err(NotDone::NotNow)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::book::Changes;
    use crate::figures::Figures;
    use crate::filters::{ALL_TRAFFIC, FilterId};
    use crate::receive::parcel::Kind;
    use crate::rules::Rules;
    use crate::session::{Session, line};
    use crate::store::{Reader, Span, Sqlite, Tidied};
    use crate::time::Minute;

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

    /// A fault: a store that fails while it is told to. What it is asked fails, too.
    struct Fails(Sqlite, Arc<AtomicBool>);

    impl Fails {
        fn now(&mut self) -> Result<&mut Sqlite, StoreError> {
            if self.1.load(Ordering::SeqCst) {
                Err(StoreError::Away("away".to_owned()))
            } else {
                Ok(&mut self.0)
            }
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

    fn tools(store: Box<dyn Store>, book: Book, directory: &Path, most: u64) -> Tools {
        let spool = Spool::open(directory, most).unwrap();
        Tools { store, book, spool, keep: Keep::default(), is_closed: false }
    }

    fn mail(text: &str) -> (Vec<Message>, Parcel) {
        let message = line::Received::read(text, "192.0.2.1", "192.0.2.0/24").unwrap();
        let from = "192.0.2.1".parse().unwrap();
        let parcel = Parcel { from, kind: Kind::Line, body: text.to_owned().into() };
        (vec![Message::Line(Box::new(message))], parcel)
    }

    async fn send(keeper: &Keeper, text: &str) -> Result<(), Trouble> {
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

    fn attempt(number: usize) -> String {
        format!("a=I~c={number}~d=box~e=0~f=R~w=0")
    }

    #[tokio::test]
    async fn what_comes_while_the_store_is_away_counts_when_it_is_back() {
        let directory = tempfile::tempdir().unwrap();
        let is_away = Arc::new(AtomicBool::new(false));
        let mut store = Fails(Sqlite::open(directory.path()).unwrap(), is_away.clone());
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
        assert_eq!(send(&keeper, "a=I~c=1~d=box~e=0~w=0").await, Err(Trouble::NotNow));
        tokio::time::timeout(Duration::from_secs(30), running.ended()).await.unwrap();
        assert!(running.join().is_err());
    }
}
