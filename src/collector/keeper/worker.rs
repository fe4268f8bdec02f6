//! The thread's own: takes what has come, writes it, and answers.

mod away;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use self::away::REST;
use super::answer::{Answer, parcels};
use super::pace::Pace;
use super::{BEHIND, Job, NotNow, Status, Tools};
use crate::book::{Book, Counts, Message, Refusal};
use crate::filters::Filter;
use crate::session::Key;
use crate::spool::{NotAside, Spool};
use crate::store::{Keep, Store, StoreError};
use crate::time::{self, UnixMs};

/// Most requests in a transaction.
const BATCH: usize = 1024;
/// So many requests in a transaction are from several who send at once,
const COMPANY: usize = 4;
/// and where there are, and much comes, how long it is waited for the others: one write for all of them, and one wake-up.
const MEETING: Duration = Duration::from_millis(6);
/// How often it is looked for sessions that are silent, where the store is written, and for what is old.
const SWEEP: Duration = Duration::from_secs(1);
/// How often the filters of a store that others write, too, are looked at.
const REFRESH: Duration = Duration::from_secs(10);

/// Why messages are not in the book.
enum NotTaken {
    /// Of all that comes after them, nothing would be either.
    Store(StoreError),
    NotNow,
}

/// What the thread works with.
pub(super) struct Worker {
    jobs: Receiver<Job>,
    book: Book,
    store: Box<dyn Store>,
    spool: Spool,
    status: Arc<Mutex<Status>>,
    filters: Arc<Mutex<Arc<Vec<Filter>>>>,
    /// What has come, as the store has it.
    counts: Counts,
    /// The store was asked for that.
    is_counted: bool,
    /// The book holds what is in neither the store nor the spool.
    is_stale: bool,
    /// Until then a store that has failed is left alone.
    resting: Option<Instant>,
    pace: Pace,
    /// Several send at once.
    has_company: bool,
    /// Where those run who wait for answers.
    runtime: Option<Handle>,
    /// Since when the book holds what is in the spool and not in the store.
    behind: Option<Instant>,
    keep: Keep,
    swept: Instant,
    tidied: Instant,
    refreshed: Instant,
    /// Is dropped with the thread's last breath.
    _alive: oneshot::Sender<()>,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(
        tools: Tools,
        counts: Counts,
        jobs: Receiver<Job>,
        status: Arc<Mutex<Status>>,
        filters: Arc<Mutex<Arc<Vec<Filter>>>>,
        alive: oneshot::Sender<()>,
    ) -> Self {
        let Tools { store, book, spool, keep, is_closed } = tools;
        Self {
            jobs,
            book,
            store,
            spool,
            status,
            filters,
            counts,
            is_counted: !is_closed,
            is_stale: is_closed,
            resting: None,
            pace: Pace::default(),
            has_company: false,
            runtime: Handle::try_current().ok(),
            behind: None,
            keep,
            swept: Instant::now(),
            tidied: Instant::now(),
            refreshed: Instant::now(),
            _alive: alive,
        }
    }

    /// Until all keepers are gone and all is written.
    pub(super) fn run(&mut self) {
        loop {
            let mut batch = Vec::new();
            let wait = match (self.is_stale, self.spool.unread(), self.behind) {
                (true, ..) => REST,
                (false, 1.., _) => Duration::ZERO,
                (false, 0, Some(since)) => BEHIND.saturating_sub(since.elapsed()),
                (false, 0, None) => SWEEP,
            };
            match self.jobs.recv_timeout(wait) {
                Ok(job) => {
                    batch.push(job);
                    if self.has_company {
                        // Nobody who sends something meanwhile has to wake anybody up.
                        std::thread::sleep(MEETING);
                    }
                }
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
        let now = time::now();
        let is_plain = batch.iter().all(|job| matches!(job, Job::Messages(_)));
        self.pace.note(batch.len(), Instant::now());
        self.has_company = batch.len() >= COMPANY && self.pace.is_quick();
        let (mut answers, mut failed) = (Vec::with_capacity(batch.len()), None);
        for job in batch {
            answers.push(match job {
                Job::Messages(mut mail) if failed.is_none() => {
                    let messages = std::mem::take(&mut mail.messages);
                    match self.take(messages, now) {
                        Ok(()) => {}
                        Err(NotTaken::Store(error)) => failed = Some(error),
                        Err(NotTaken::NotNow) => mail.result = Err(NotNow),
                    }
                    Answer::Messages(mail)
                }
                Job::Edit(edit, answer) if failed.is_none() => {
                    Answer::Edit(self.book.edit(edit, now), answer)
                }
                other => other.unread(),
            });
        }
        if failed.is_none() && is_plain && self.may_wait() && self.log(&answers, now) {
            self.give(answers);
            return self.look_after();
        }
        // Not without writing it: the spool does not tell of it, and what comes next would be booked differently after a kill.
        if failed.is_none() && self.swept.elapsed() >= SWEEP {
            self.swept = Instant::now();
            failed = self.end_silent().err();
        }
        if failed.is_none() {
            failed = self.write().err();
        }
        if let Some(error) = failed {
            self.fail(&error);
            return self.put_aside(answers);
        }
        self.give(answers);
        self.look_after();
    }

    /// Gives answers where those who wait for them run: each would be woken up by a call from here.
    fn give(&self, answers: Vec<Answer>) {
        let give = move || answers.into_iter().for_each(Answer::give);
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(async move { give() })),
            None => give(),
        }
    }

    /// Whether the store may get later what has come.
    fn may_wait(&self) -> bool {
        let is_long = self.behind.is_some_and(|since| since.elapsed() >= BEHIND);
        !is_long && self.pace.is_quick() && !self.store.is_shared()
    }

    /// Puts into the spool what is in the book already; `false` where it cannot be, and then the store has to get it.
    fn log(&mut self, answers: &[Answer], now: UnixMs) -> bool {
        match self.spool.log(parcels(answers), now) {
            Ok(()) => {
                self.behind.get_or_insert_with(Instant::now);
                self.tell(true);
                true
            }
            Err(NotAside::Full(_)) => false,
            Err(error) => {
                log::warn!("the store is written at once: {error}");
                false
            }
        }
    }

    /// Writes all that is in the book into the store; then nothing of it waits in the spool.
    fn write(&mut self) -> Result<(), StoreError> {
        let changes = self.book.take_changes();
        if !changes.is_empty() {
            self.store.write(&changes)?;
        }
        if self.behind.take().is_some() {
            self.spool_is_played(self.spool.read());
        }
        self.counts = self.counts.plus(&changes.counts);
        self.tell(true);
        if !changes.filters.is_empty() {
            self.tell_filters();
        }
        Ok(())
    }

    fn spool_is_played(&mut self, end: u64) {
        if let Err(error) = self.spool.played(end) {
            log::error!("the spool cannot be written: {error}");
        }
    }

    /// What is done now and then, and for which nobody waits.
    fn look_after(&mut self) {
        if self.tidied.elapsed() < SWEEP {
            return;
        }
        self.tidied = Instant::now();
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
            Job::Edit(..) | Job::Settle(_) => None,
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
        for message in messages {
            match self.book.take(message, now, self.store.as_mut()) {
                Ok(()) => {}
                Err(Refusal::Store(error)) if error.is_of_all() => return Err(NotTaken::Store(error)),
                Err(error @ (Refusal::Store(_) | Refusal::Full)) => {
                    log::error!("{error}");
                    return Err(NotTaken::NotNow);
                }
            }
        }
        Ok(())
    }

    fn tell_filters(&self) {
        *self.filters.lock().unwrap_or_else(PoisonError::into_inner) = self.book.filters();
    }

    fn tell(&self, is_writable: bool) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        status.running = self.book.running();
        status.counts = self.counts.plus(self.book.counts());
        status.is_writable = is_writable;
        status.spooled = self.spool.waiting();
        status.is_behind = self.behind.is_some();
    }
}
