//! All sessions that run, and what has changed since it was last written down.
//!
//! Pure but for the store that it asks for sessions that have ended. Whoever drives it writes each [`Changes`] in one
//! transaction and only then answers those who told it; where that fails, the book is opened again from the store, as
//! after a restart.

mod changes;
mod counting;
mod message;
mod saved;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use self::changes::{Changes, Counts};
pub(crate) use self::message::{Message, Refusal};
use self::saved::Saved;
use crate::filters::{Edit, Filter, NotDone};
use crate::networks::Networks;
use crate::rules::Rules;
use crate::session::story::Piece;
use crate::session::{Context, Key, Ledger, Session, beat, line, report};
use crate::store::{Store, StoreError};
pub(crate) use crate::tally::Place;
use crate::tally::Tally;
use crate::time::UnixMs;
use crate::values::Values;

/// Most sessions that run at once; more are not taken.
pub(crate) const MAX_LIVE: usize = 1_000_000;

/// The book.
#[derive(Debug)]
pub(crate) struct Book {
    live: HashMap<Key, Live>,
    rules: Rules,
    networks: Networks,
    beat_interval: u64,
    /// Before that nobody could be heard.
    opened: UnixMs,
    values: Values,
    saved: Saved,
    /// Sessions that have changed.
    touched: Vec<Key>,
    tally: Tally,
    changes: Changes,
}

/// A session that runs, or has ended and was not written since.
#[derive(Debug)]
struct Live {
    session: Box<Session>,
    unwritten: Unwritten,
}

/// What of a session is not written.
#[derive(Debug, Default)]
struct Unwritten {
    /// Of its story.
    pieces: Vec<Piece>,
    /// It has changed.
    is_touched: bool,
    /// It as it is in the store, where it was looked up there: as long as it is like that, it need not be kept here.
    stored: Option<Box<Session>>,
}

// === impl Live ===

impl Live {
    /// One that runs, as it is in the store.
    fn running(session: Session) -> Self {
        Self { session: Box::new(session), unwritten: Unwritten::default() }
    }

    /// One that is known to the store alone, since it has ended.
    fn ended(session: Session) -> Self {
        let session = Box::new(session);
        let unwritten = Unwritten { stored: Some(session.clone()), ..Unwritten::default() };
        Self { session, unwritten }
    }
}

// === impl Book ===

impl Book {
    /// Opens the book at `now` with the sessions that run. `beat_interval` in ms.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(crate) fn open(
        store: &mut dyn Store,
        rules: Rules,
        beat_interval: u64,
        now: UnixMs,
    ) -> Result<Self, StoreError> {
        let mut book = Self::closed(rules, beat_interval, now);
        book.reopen(store)?;
        Ok(book)
    }

    /// A book that nothing is in, until it is opened again from a store that cannot be read yet.
    pub(crate) fn closed(rules: Rules, beat_interval: u64, now: UnixMs) -> Self {
        Self {
            live: HashMap::new(),
            rules,
            networks: Networks::default(),
            beat_interval,
            opened: now,
            values: Values::default(),
            saved: Saved::default(),
            touched: Vec::new(),
            tally: Tally::default(),
            changes: Changes::default(),
        }
    }

    /// Tells sessions apart by city and ISP, too, from now on.
    pub(crate) fn with_networks(self, networks: Networks) -> Self {
        Self { networks, ..self }
    }

    /// Forgets what was not written, and goes on from what is.
    ///
    /// # Errors
    /// Where the store cannot be read; the book is as it was.
    pub(crate) fn reopen(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let live = |session: Session| (session.key.clone(), Live::running(session));
        let live = store.running()?.into_iter().map(live).collect();
        self.saved = Saved::read(store)?;
        self.live = live;
        (self.touched, self.tally, self.changes) = (Vec::new(), Tally::default(), Changes::default());
        Ok(())
    }

    /// Takes the filters as the store has them; nothing may be waiting to be written.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub(crate) fn refresh_filters(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let saved = Saved::read(store)?;
        if self.saved != saved {
            self.saved = saved;
        }
        Ok(())
    }

    /// Which of these sessions run here.
    pub(crate) fn live<'k>(&self, keys: impl IntoIterator<Item = Key> + 'k) -> Vec<Key> {
        keys.into_iter().filter(|key| self.live.contains_key(key)).collect()
    }

    /// Forgets sessions that another collector goes on with.
    pub(crate) fn let_go(&mut self, keys: &[Key]) {
        for key in keys {
            self.live.remove(key);
        }
    }

    /// Sessions that have been silent for too long.
    pub(crate) fn silent(&self, now: UnixMs) -> Vec<Key> {
        let is_silent =
            |live: &Live| live.session.deadline(self.opened).is_some_and(|deadline| deadline <= now);
        self.live.iter().filter(|(_, live)| is_silent(live)).map(|(key, _)| key.clone()).collect()
    }

    /// What has come since changes were last taken.
    pub(crate) const fn counts(&self) -> &Counts {
        &self.changes.counts
    }

    /// How many sessions run.
    pub(crate) fn running(&self) -> usize {
        self.live.len()
    }

    /// The saved filters.
    pub(crate) fn filters(&self) -> Arc<Vec<Filter>> {
        self.saved.filters.clone()
    }

    /// Adds or removes filters at `now`; gives those that it is about.
    ///
    /// # Errors
    /// See [`NotDone`]; nothing has changed then.
    pub(crate) fn edit(&mut self, edit: Edit, now: UnixMs) -> Result<Vec<Filter>, NotDone> {
        self.saved.edit(edit, now, &mut self.changes.filters)
    }

    /// Takes a message that came at `now`.
    ///
    /// # Errors
    /// Where it is of no use or there is no room for it; nothing has changed then.
    pub(crate) fn take(
        &mut self,
        message: Message,
        now: UnixMs,
        store: &mut dyn Store,
    ) -> Result<(), Refusal> {
        match message {
            Message::Media(received) => self.take_media(&received, now, store),
            Message::Network { device, report } => {
                self.changes.counts.reports += 1;
                self.changes.networks.push((device, *report));
                Ok(())
            }
            Message::Line(received) => self.take_line(&received, now, store),
            Message::Beat(received) => self.take_beat(&received, now, store),
        }
    }

    /// Ends sessions that have been silent for too long. One that could not be heard was not silent.
    pub(crate) fn end_silent(&mut self, now: UnixMs) {
        for key in self.silent(now) {
            let Some(mut live) = self.live.remove(&key) else { continue };
            let mut ledger = Ledger::default();
            live.session.end_by_silence(&self.context(now), &mut ledger);
            self.put(key, live, ledger, now);
        }
    }

    /// What has changed since this was last asked. Sessions that have ended are not known here any more afterwards.
    pub(crate) fn take_changes(&mut self) -> Changes {
        let mut changes = std::mem::take(&mut self.changes);
        (changes.rollups, changes.sketches) = self.tally.take();
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        for key in touched {
            let Some(live) = self.live.get_mut(&key) else { continue };
            let Unwritten { pieces, .. } = std::mem::take(&mut live.unwritten);
            if !pieces.is_empty() {
                changes.stories.insert(key.clone(), pieces);
            }
            if live.session.end.is_none() {
                changes.sessions.push((*live.session).clone());
            } else if let Some(live) = self.live.remove(&key) {
                changes.sessions.push(*live.session);
            }
        }
        changes
    }

    fn take_media(
        &mut self,
        received: &report::Received,
        now: UnixMs,
        store: &mut dyn Store,
    ) -> Result<(), Refusal> {
        let (mut key, other) = received.keys();
        let mut found = self.find(&key, store)?;
        if let Some(other) =
            other.filter(|_| found.as_ref().is_some_and(|found| received.is_after(&found.session)))
        {
            // Back to where it was before the other one is looked for.
            if let Some(found) = found.take().filter(|found| found.unwritten.stored.is_none()) {
                self.live.insert(key, found);
            }
            found = self.find(&other, store)?;
            key = other;
        }
        self.changes.counts.reports += 1;
        self.tell(key, found, now, |key, found, context, ledger| {
            let before = found.clone();
            let session = received.apply(key.clone(), found.map(|found| *found), context, ledger);
            let is_repeated = before.is_some_and(|before| *before == session);
            (Some(Box::new(session)), is_repeated)
        });
        Ok(())
    }

    fn take_line(
        &mut self,
        received: &line::Received,
        now: UnixMs,
        store: &mut dyn Store,
    ) -> Result<(), Refusal> {
        let key = received.key();
        let found = self.find(&key, store)?;
        self.changes.counts.lines += 1;
        self.tell(key, found, now, |_, found, context, ledger| {
            let (session, taken) = received.apply(found, context, ledger);
            (session, taken == line::Taken::Repeated)
        });
        Ok(())
    }

    fn take_beat(
        &mut self,
        received: &beat::Received,
        now: UnixMs,
        store: &mut dyn Store,
    ) -> Result<(), Refusal> {
        let key = received.key();
        let found = self.find(&key, store)?;
        self.changes.counts.heartbeats += 1;
        self.tell(key, found, now, |_, found, context, ledger| {
            let (session, is_news) = received.apply(found.map(|found| *found), context, ledger);
            (Some(Box::new(session)), !is_news)
        });
        Ok(())
    }

    /// Has a message applied to the session that it is of, and puts it back. `apply` gives what has become of it, and whether
    /// the message only said again what was known.
    fn tell(
        &mut self,
        key: Key,
        found: Option<Live>,
        now: UnixMs,
        apply: impl FnOnce(&Key, Option<Box<Session>>, &Context<'_>, &mut Ledger) -> (Option<Box<Session>>, bool),
    ) {
        let (found, unwritten) = match found {
            Some(Live { session, unwritten }) => (Some(session), unwritten),
            None => (None, Unwritten::default()),
        };
        let moments = found.as_ref().map(|found| found.moments());
        let mut ledger = Ledger::default();
        let (session, is_repeated) = apply(&key, found, &self.context(now), &mut ledger);
        self.changes.counts.repeated += i64::from(is_repeated);
        if let Some(mut session) = session {
            let learned = session.labels.take_learned();
            if let (false, Some(moments)) = (learned.is_empty(), moments) {
                self.attribute(&session, &learned, moments, now);
            }
            self.put(key, Live { session, unwritten }, ledger, now);
        }
    }

    /// Takes a session out by its key, whether it runs or has ended; it is to be put back.
    fn find(&mut self, key: &Key, store: &mut dyn Store) -> Result<Option<Live>, Refusal> {
        if let Some(live) = self.live.remove(key) {
            return Ok(Some(live));
        }
        let found = store.session(key)?;
        if found.is_none() && self.live.len() >= MAX_LIVE {
            return Err(Refusal::Full);
        }
        Ok(found.map(Live::ended))
    }

    fn put(&mut self, key: Key, mut live: Live, ledger: Ledger, now: UnixMs) {
        let Ledger(minutes, pieces, samples) = ledger;
        let stored = live.unwritten.stored.take();
        if minutes.is_empty() && pieces.is_empty() && stored.is_some_and(|stored| stored == live.session) {
            return;
        }
        live.unwritten.pieces.extend(pieces);
        if !minutes.is_empty() {
            self.count(&live.session, &minutes, &samples, now);
        }
        if !std::mem::replace(&mut live.unwritten.is_touched, true) {
            self.touched.push(key.clone());
        }
        self.live.insert(key, live);
    }

    const fn context(&self, now: UnixMs) -> Context<'_> {
        Context { now, rules: &self.rules, networks: &self.networks, beat_interval: self.beat_interval }
    }
}
