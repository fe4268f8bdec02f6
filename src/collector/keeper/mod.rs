//! The one thread that holds the book and writes the store.
//!
//! Whatever has come while the last transaction was written goes into the next one together (group commit), and is
//! answered when that is on the disk. What does not fit in the queue is refused at once: the box keeps it and comes again.
//!
//! Where so much comes that the same sessions and sums would be written again and again, what comes is put into the
//! [`Spool`] as it is, which is one write, counted in the book, and answered when the spool is on the disk. The store gets it
//! within [`BEHIND`], each session and each sum once. Whoever asks for what is in the store has it written first
//! ([`Keeper::settle`]). Where there is no room in the spool, or others write the store, too, all goes into the store at once.
//!
//! While the store fails, what comes is put into the spool likewise, and not counted. When the store is back, the spool is
//! read from where the store ends, with the time at which things came; what comes meanwhile is put behind it. After a kill the
//! next start does the same. A part that is read twice, for a kill between two steps, is in the sessions already and counts
//! once, as what a box repeats does.
//!
//! Should the thread panic, what it held is in doubt: the whole program ends, and whoever supervises it starts it again,
//! from what is written.

mod answer;
mod pace;
#[cfg(test)]
mod tests;
mod worker;

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::sync::oneshot;

use self::worker::Worker;
use crate::book::{Book, Counts, Message};
use crate::filters::{Edit, Filter, NotDone};
use crate::receive::parcel::Parcel;
use crate::spool::Spool;
use crate::store::{Keep, Store};

/// Most requests that wait.
const QUEUE: usize = 4096;
/// How long the store may be behind what was answered.
const BEHIND: Duration = Duration::from_secs(3);

/// One request.
enum Job {
    Messages(Mail),
    Edit(Edit, oneshot::Sender<Result<Vec<Filter>, NotDone>>),
    Settle(oneshot::Sender<()>),
}

/// What a box has sent.
struct Mail {
    messages: Vec<Message>,
    /// The same, as it came.
    parcel: Parcel,
    answer: oneshot::Sender<Result<(), NotNow>>,
    /// What it is answered once it is on the disk.
    result: Result<(), NotNow>,
}

/// Messages were not taken: the store fails, or there is too much of it. Later they may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotNow;

/// How the collector fares.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Status {
    pub(crate) running: usize,
    pub(crate) counts: Counts,
    /// The store takes what is written.
    pub(crate) is_writable: bool,
    /// Bytes in the spool: what the store has not.
    pub(crate) spooled: u64,
    /// Of these some are in the book, and can be written at once.
    is_behind: bool,
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

/// The thread.
#[derive(Debug)]
pub(crate) struct Running {
    handle: JoinHandle<()>,
    alive: oneshot::Receiver<()>,
}

// === impl Keeper ===

impl Keeper {
    /// Starts the thread, which ends when all keepers are gone and all is written. Within a runtime it is this that gives
    /// answers.
    ///
    /// # Errors
    /// Where the store cannot be read or the thread not be started.
    pub(crate) fn start(mut tools: Tools) -> Result<(Self, Running), Box<dyn std::error::Error>> {
        let is_closed = tools.is_closed;
        let counts = if is_closed { Counts::default() } else { tools.store.counts()? };
        let status = Status {
            running: tools.book.running(),
            counts,
            is_writable: !is_closed,
            spooled: tools.spool.waiting(),
            is_behind: false,
        };
        if status.spooled > 0 {
            log::info!("{} bytes in the spool are read first", status.spooled);
        }
        let status = Arc::new(Mutex::new(status));
        let filters = Arc::new(Mutex::new(tools.book.filters()));
        let (sender, jobs) = sync_channel(QUEUE);
        let (holds, alive) = oneshot::channel();
        let mut worker = Worker::new(tools, counts, jobs, status.clone(), filters.clone(), holds);
        let handle = thread::Builder::new().name("keeper".to_owned()).spawn(move || worker.run())?;
        Ok((Self { jobs: sender, status, filters }, Running { handle, alive }))
    }

    /// Hands messages over at once, with the parcel that they came in; what it gives waits until they are on the disk.
    ///
    /// # Errors
    /// Where they are not.
    pub(crate) fn keep(
        &self,
        messages: Vec<Message>,
        parcel: Parcel,
    ) -> impl Future<Output = Result<(), NotNow>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let mail = Mail { messages, parcel, answer, result: Ok(()) };
        let sent = self.jobs.try_send(Job::Messages(mail));
        async move {
            match sent {
                Ok(()) => answered.await.unwrap_or(Err(NotNow)),
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(NotNow),
            }
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

    /// Waits until the store has all that was answered, as far as it can be written.
    pub(crate) async fn settle(&self) {
        if !self.status().is_behind {
            return;
        }
        let (answer, answered) = oneshot::channel();
        if self.jobs.try_send(Job::Settle(answer)).is_ok() {
            // Where the thread is gone there is nothing to wait for.
            let _ = answered.await;
        }
    }

    /// As [`Keeper::settle`], where it may block.
    pub(crate) fn settle_now(&self) {
        if !self.status().is_behind {
            return;
        }
        let (answer, answered) = oneshot::channel();
        if self.jobs.try_send(Job::Settle(answer)).is_ok() {
            let _ = answered.blocking_recv();
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
