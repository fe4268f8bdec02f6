//! While the store fails: what comes is put aside, and read when the store is back.

use std::time::{Duration, Instant};

use super::super::answer::{Answer, parcels};
use super::{BATCH, NotTaken, Worker};
use crate::book::Message;
use crate::spool::Aside;
use crate::store::StoreError;
use crate::time;

/// How long a store that has failed is left alone: to go on from what is in it is much work.
pub(super) const REST: Duration = Duration::from_millis(500);
/// Most that is read from the spool for one transaction: more than comes in one, so that it comes to an end.
const PLAYED: (usize, u64) = (4 * BATCH, 16 * 1024 * 1024);

// === impl Worker ===

impl Worker {
    /// Reads from the spool what is not in the book, or some of it; whether all is in the book then.
    pub(super) fn play(&mut self) -> bool {
        if self.spool.unread() == 0 {
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
        self.spool_is_played(end);
        self.tell(true);
        if self.spool.unread() == 0 {
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
                Err(NotTaken::NotNow) => log::warn!("something in the spool is left out"),
            }
        }
        self.write()
    }

    /// Puts into the spool what boxes have sent, and answers everybody.
    pub(super) fn put_aside(&mut self, answers: Vec<Answer>) {
        let result = self.spool.append(parcels(&answers), time::now());
        self.tell(!self.is_stale);
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
    pub(super) fn fail(&mut self, error: &StoreError) {
        log::error!("the store fails, what comes is put aside: {error}");
        self.is_stale = true;
        self.behind = None;
        self.spool.rewind();
        self.resting = Some(Instant::now() + REST);
    }

    /// Goes on from what is in the store; whether that could be.
    pub(super) fn refresh(&mut self) -> bool {
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
            self.counts = self.store.counts()?;
            self.is_counted = true;
            self.tell(false);
        }
        Ok(())
    }

    /// What has not been written by the end waits for the next start.
    pub(super) fn finish(&mut self) {
        let written = if self.behind.is_some() { self.write() } else { Ok(()) };
        if let Err(error) = written {
            return self.fail(&error);
        }
        let mut before = u64::MAX;
        while !self.is_stale && (1..before).contains(&self.spool.unread()) {
            before = self.spool.unread();
            self.play();
        }
    }
}
