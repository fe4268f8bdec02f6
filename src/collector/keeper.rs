//! The one thread that holds the book and writes the store.
//!
//! Whatever has come while the last transaction was written goes into the next one together (group commit), and is
//! answered when that is on the disk. What does not fit in the queue is refused at once: the box keeps it and comes again.
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
use crate::store::{Keep, Store};
use crate::time;

/// Most requests that wait.
const QUEUE: usize = 4096;
/// Most requests in a transaction.
const BATCH: usize = 1024;
/// How often it is looked for sessions that are silent.
const SWEEP: Duration = Duration::from_secs(1);
/// How long a store that has failed is left alone: to go on from what is in it is much work.
const REST: Duration = Duration::from_millis(500);

/// One request.
enum Job {
    Messages(Vec<Message>, oneshot::Sender<Result<(), Trouble>>),
    Edit(Edit, oneshot::Sender<Result<Vec<Filter>, NotDone>>),
}

/// What a request is answered once it is on the disk. Who has gone away does not wait for it.
enum Answer {
    Messages(Result<(), Trouble>, oneshot::Sender<Result<(), Trouble>>),
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

/// How the collector fares.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Status {
    pub(crate) running: usize,
    pub(crate) counts: Counts,
    /// The store takes what is written.
    pub(crate) is_writable: bool,
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
    status: Arc<Mutex<Status>>,
    filters: Arc<Mutex<Arc<Vec<Filter>>>>,
    /// The book holds what is not in the store.
    is_stale: bool,
    /// Until then a store that has failed is left alone.
    resting: Option<Instant>,
    keep: Keep,
    swept: Instant,
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
    pub(crate) fn start(
        mut store: Box<dyn Store>,
        book: Book,
        keep: Keep,
    ) -> Result<(Self, Running), Box<dyn std::error::Error>> {
        let status = Status { running: book.running(), counts: store.counts()?, is_writable: true };
        let status = Arc::new(Mutex::new(status));
        let filters = Arc::new(Mutex::new(book.filters()));
        let (sender, jobs) = sync_channel(QUEUE);
        let (holds, alive) = oneshot::channel();
        let mut worker = Worker {
            jobs,
            book,
            store,
            status: status.clone(),
            filters: filters.clone(),
            is_stale: false,
            resting: None,
            keep,
            swept: Instant::now(),
            _alive: holds,
        };
        let handle = thread::Builder::new().name("keeper".to_owned()).spawn(move || worker.run())?;
        Ok((Self { jobs: sender, status, filters }, Running { handle, alive }))
    }

    /// Hands messages over, and waits until they are on the disk.
    ///
    /// # Errors
    /// Where they are not.
    pub(crate) async fn keep(&self, messages: Vec<Message>) -> Result<(), Trouble> {
        let (answer, answered) = oneshot::channel();
        match self.jobs.try_send(Job::Messages(messages, answer)) {
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
            match self.jobs.recv_timeout(SWEEP) {
                Ok(job) => batch.push(job),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            while batch.len() < BATCH {
                let Ok(job) = self.jobs.try_recv() else { break };
                batch.push(job);
            }
            self.turn(batch);
        }
    }

    /// One transaction.
    fn turn(&mut self, batch: Vec<Job>) {
        if self.is_stale && !self.refresh() {
            return batch.into_iter().for_each(Job::refuse);
        }
        let mut answers = Vec::with_capacity(batch.len());
        for job in batch {
            answers.push(match job {
                Job::Messages(messages, answer) => Answer::Messages(self.take(messages), answer),
                Job::Edit(edit, answer) => Answer::Edit(self.book.edit(edit, time::now()), answer),
            });
        }
        let is_due = self.swept.elapsed() >= SWEEP;
        if is_due {
            self.swept = Instant::now();
            self.book.end_silent(time::now());
        }
        let changes = self.book.take_changes();
        if !changes.is_empty() {
            if let Err(error) = self.store.write(&changes) {
                log::error!("the store cannot be written, requests are refused: {error}");
                self.is_stale = true;
                self.resting = Some(Instant::now() + REST);
                self.tell(Counts::default(), false);
                return answers.into_iter().for_each(Answer::refuse);
            }
        }
        self.tell(changes.counts, true);
        if !changes.filters.is_empty() {
            *self.filters.lock().unwrap_or_else(PoisonError::into_inner) = self.book.filters();
        }
        answers.into_iter().for_each(Answer::give);
        if is_due {
            match self.store.tidy(&self.keep, time::now()) {
                Ok(tidied) if tidied.is_nothing() => {}
                Ok(tidied) => log::debug!("not kept any more: {tidied:?}"),
                Err(error) => log::warn!("what is old cannot be taken out of the store: {error}"),
            }
        }
    }

    fn take(&mut self, messages: Vec<Message>) -> Result<(), Trouble> {
        let now = time::now();
        let mut result = Ok(());
        for message in messages {
            match self.book.take(message, now, self.store.as_mut()) {
                Ok(()) => {}
                Err(Refusal::Line(error)) => result = Err(Trouble::Useless(error.to_string())),
                Err(error @ (Refusal::Store(_) | Refusal::Full)) => {
                    log::error!("{error}");
                    return Err(Trouble::NotNow);
                }
            }
        }
        result
    }

    /// Goes on from what is in the store; whether that could be.
    fn refresh(&mut self) -> bool {
        if self.resting.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        match self.book.reopen(self.store.as_mut()) {
            Ok(()) => {
                log::info!("the store can be read, requests are taken again");
                self.is_stale = false;
                true
            }
            Err(error) => {
                log::debug!("the store still fails: {error}");
                self.resting = Some(Instant::now() + REST);
                false
            }
        }
    }

    fn tell(&self, counts: Counts, is_writable: bool) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.running = self.book.running();
        status.counts = status.counts.plus(&counts);
        status.is_writable = is_writable;
    }
}

// === impl Job ===

impl Job {
    fn refuse(self) {
        match self {
            Self::Messages(_, answer) => _ = answer.send(Err(Trouble::NotNow)),
            Self::Edit(_, answer) => _ = answer.send(Err(NotDone::NotNow)),
        }
    }
}

// === impl Answer ===

impl Answer {
    fn give(self) {
        match self {
            Self::Messages(result, answer) => _ = answer.send(result),
            Self::Edit(result, answer) => _ = answer.send(result),
        }
    }

    /// It is not on the disk.
    fn refuse(self) {
        match self {
            Self::Messages(_, answer) => _ = answer.send(Err(Trouble::NotNow)),
            Self::Edit(_, answer) => _ = answer.send(Err(NotDone::NotNow)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Changes;
    use crate::filters::FilterId;
    use crate::rules::Rules;
    use crate::session::{Key, Session, line};
    use crate::store::{StoreError, Tidied};
    use crate::time::UnixMs;

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

    #[tokio::test]
    async fn a_panic_is_the_end() {
        let book = Book::open(&mut Panics, Rules::default(), 20_000, time::now()).unwrap();
        let (keeper, mut running) = Keeper::start(Box::new(Panics), book, Keep::default()).unwrap();
        let message = line::Received::read("a=I~c=1~d=box~e=0~w=0", "192.0.2.1", "192.0.2.0/24").unwrap();
        assert_eq!(keeper.keep(vec![Message::Line(Box::new(message))]).await, Err(Trouble::NotNow));
        tokio::time::timeout(Duration::from_secs(30), running.ended()).await.unwrap();
        assert!(running.join().is_err());
    }
}
