//! The store of several collectors: a ClickHouse server, of version 18.16 or later, over HTTP.
//!
//! ClickHouse has no transactions. It inserts the rows of one request into one partition of one table at once or not at all;
//! and of a request that was not answered nobody knows whether it was done, is done, or will be. All or nothing, and
//! nothing twice, is had so:
//!
//! 1. A batch is written to a file on this machine's disk ([`journal`]) before the first of its rows is inserted. That is when
//!    it is written: [`Store::write`] has done it then, whatever becomes of the server or of this program.
//! 2. What is the same however often it is inserted (states of sessions by their version, pieces of stories, measurements,
//!    filters) is inserted again when in doubt.
//! 3. What adds up is inserted one partition at a time, with one row more that tells of which batch it is: that mark is in
//!    the table if and only if the others are. When in doubt, the mark is looked for, and what has none is inserted.
//! 4. An insert that is still on its way while the mark is looked for would come twice. So sums go in at a gate, a table without
//!    rows of its own that hands on what it gets. When in doubt, this collector's gates are dropped first: that waits for
//!    inserts that are being done, and those that come later find no gate. Only then it is asked for marks, and new gates
//!    are made, under names that were never used.
//!
//! In doubt is every collector that starts, and every one that an insert has failed for. Until the journal's batch is in the
//! tables nothing else is written or read by who writes; so there is never more than one. Versions are a Lamport clock that
//! begins with the time: whoever goes on with a session has read its version and uses a higher one.

mod batch;
mod client;
mod journal;
mod keep;
mod read;
mod schema;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use self::batch::{COUNT, MARK};
pub(crate) use self::client::Address;
use self::client::{Client, Row, literal, literals};
use self::journal::{Batch, Journal, Piece};
pub(crate) use self::read::ClickHouseReader;
use super::keep::{Keep, Tidied};
use super::sessions::session;
use super::{Store, StoreError};
use crate::book::{Changes, Counts};
use crate::filters::{ALL_TRAFFIC, Filter, FilterId};
use crate::session::{Key, Session};
use crate::time::{self, HOUR, UnixMs};

/// Versions that this was made for begin here.
const OLDEST: (u32, u32) = (18, 16);
/// How long requests are gathered for one batch: the server wants few and large inserts.
const GATHER: Duration = Duration::from_millis(200);
/// Most characters of keys in one question.
const MAX_KEYS: usize = 1_000_000;
/// A session that runs and that nobody has written for so long, in ms, has lost its collector: the longest that a session
/// may be silent is half an hour.
const ORPHANED: u64 = 2 * HOUR;

/// The store, for the one that writes.
#[derive(Debug)]
pub(crate) struct ClickHouse {
    client: Client,
    journal: Journal,
    /// What tells this collector from others.
    id: String,
    /// Batches of this run are numbered.
    run: String,
    batches: u64,
    /// Where sums go in, by table; empty while in doubt.
    gates: HashMap<&'static str, String>,
    /// In the journal, and not in all tables for certain.
    pending: Option<Batch>,
    clock: u64,
    /// Numbers of the operators' own dimensions.
    own: HashMap<String, u32>,
    tidied: Option<Instant>,
}

// === impl ClickHouse ===

impl ClickHouse {
    /// Gets ready to; the server is asked for nothing yet. The journal is kept in a directory.
    ///
    /// # Errors
    /// Where the journal cannot be had.
    pub(crate) fn open(address: Address, directory: &Path) -> Result<Self, StoreError> {
        let journal = Journal::open(directory)?;
        let pending = journal.last()?;
        Ok(Self {
            client: Client::new(address),
            journal,
            id: journal::id(directory)?,
            run: journal::random(),
            batches: 0,
            gates: HashMap::new(),
            pending,
            clock: 0,
            own: HashMap::new(),
            tidied: None,
        })
    }

    /// A client for those who ask.
    pub(crate) fn reader(address: Address) -> ClickHouseReader {
        ClickHouseReader::new(Client::new(address))
    }

    /// Is in no doubt any more when this is back: makes tables, shuts old gates, puts the journal's batch into the tables.
    fn connect(&mut self) -> Result<(), StoreError> {
        if !self.gates.is_empty() {
            return Ok(());
        }
        let version = self.client.version()?;
        if version < OLDEST {
            let (major, minor) = version;
            return Err(StoreError::Server {
                address: self.client.address().to_string(),
                found: format!("{major}.{minor}"),
                oldest: "18.16",
            });
        }
        if version >= (20, 3) {
            // Else what is long is read in pieces, which are inserted one by one.
            self.client.set("input_format_parallel_parsing", "0");
        }
        if version >= (21, 11) {
            // Answered when it is in the table, whatever the server's own settings are.
            self.client.set("async_insert", "0");
        }
        schema::create(&self.client, version)?;
        let prefix = format!("gate_{}_", self.id);
        schema::drop_gates(&self.client, &prefix, version)?;
        let mut gates = HashMap::new();
        for (table, _) in schema::SUMS {
            let gate = format!("{prefix}{}_{table}", journal::random());
            schema::make_gate(&self.client, &gate, table)?;
            gates.insert(table, gate);
        }
        if let Some(batch) = &self.pending {
            for piece in &batch.pieces {
                if !self.has(batch, piece)? {
                    insert(&self.client, &gates, piece)?;
                }
            }
            log::info!("{}: what was in doubt is there", self.client.address());
        }
        self.pending = None;
        let sql = "SELECT id, argMax(text, version) FROM meta WHERE kind = 'dimension' GROUP BY id";
        let numbers = self.client.select(sql)?;
        self.own =
            numbers.iter().map(|row| (row.text(1), u32::try_from(row.unsigned(0)).unwrap_or(0))).collect();
        self.gates = gates;
        Ok(())
    }

    /// Whether a piece of a batch is in its table, as far as that matters; asked while no insert is on its way.
    fn has(&self, batch: &Batch, piece: &Piece) -> Result<bool, StoreError> {
        let Some(minute) = piece.mark else { return Ok(false) };
        let sql = format!(
            "SELECT sum(deltas) FROM {} WHERE dimension = {MARK} AND minute = {minute} AND value = {}",
            piece.table,
            literal(&batch.id)
        );
        let marks = self.client.select(&sql)?.first().map_or(0, |row| row.signed(0));
        if marks > 1 {
            log::error!("batch {} is in {} {marks} times", batch.id, piece.table);
        }
        Ok(marks > 0)
    }

    /// Asks, once in no doubt; a question that fails for want of a server is a reason for it.
    fn ask(&mut self, sql: &str) -> Result<Vec<Row>, StoreError> {
        self.connect()?;
        self.client.select(sql).inspect_err(|_| self.gates.clear())
    }

    /// Sessions by a condition, the newest version of each.
    fn sessions(&mut self, having: &str) -> Result<Vec<Session>, StoreError> {
        let sql = format!(
            "SELECT key, argMax(state, version), max(version) FROM session GROUP BY key HAVING {having}"
        );
        let rows = self.ask(&sql)?;
        rows.iter()
            .map(|row| {
                self.clock = self.clock.max(row.unsigned(2));
                session(row.text(0), &row.text(1))
            })
            .collect()
    }
}

impl Store for ClickHouse {
    fn running(&mut self) -> Result<Vec<Session>, StoreError> {
        let since = time::now() - ORPHANED;
        self.sessions(&format!(
            "argMax(runs, version) = 1 AND (argMax(owner, version) = {} OR max(version) < {})",
            literal(&self.id.clone()),
            since.0
        ))
    }

    fn session(&mut self, key: &Key) -> Result<Option<Session>, StoreError> {
        let key = literal(&key.0);
        let sql = format!(
            "SELECT key, state, version FROM session WHERE key = {key} ORDER BY version DESC LIMIT 1"
        );
        let rows = self.ask(&sql)?;
        let Some(row) = rows.first() else { return Ok(None) };
        self.clock = self.clock.max(row.unsigned(2));
        session(row.text(0), &row.text(1)).map(Some)
    }

    fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        self.connect()?;
        let (batch, new) = self.batch(changes, time::now())?;
        self.journal.put(&batch)?;
        self.own.extend(new);
        // From here on it is written: what follows is done again until it is done.
        for piece in &batch.pieces {
            if let Err(error) = insert(&self.client, &self.gates, piece) {
                log::warn!("a batch waits in the journal: {error}");
                self.gates.clear();
                self.pending = Some(batch);
                return Ok(());
            }
        }
        Ok(())
    }

    fn filters(&mut self) -> Result<(Vec<Filter>, FilterId), StoreError> {
        let sql = "SELECT id, argMax(text, version) FROM meta WHERE kind = 'filter' GROUP BY id ORDER BY id";
        let (mut filters, mut next) = (Vec::new(), FilterId(ALL_TRAFFIC.0.0 + 1));
        for row in self.ask(sql)? {
            let (id, state) = (u32::try_from(row.unsigned(0)).unwrap_or(u32::MAX), row.text(1));
            next = FilterId(id.saturating_add(1));
            if !state.is_empty() {
                let filter =
                    serde_json::from_str(&state).map_err(|error| StoreError::Filter { id, error })?;
                filters.push(filter);
            }
        }
        Ok((filters, next))
    }

    fn tidy(&mut self, keep: &Keep, now: UnixMs) -> Result<Tidied, StoreError> {
        if self.tidied.is_some_and(|last| last.elapsed() < keep::EVERY) {
            return Ok(Tidied::default());
        }
        self.connect()?;
        self.tidied = Some(Instant::now());
        keep::tidy(&self.client, keep, now)
    }

    fn counts(&mut self) -> Result<Counts, StoreError> {
        let sql =
            format!("SELECT value, sum(attempts) FROM rollup_hour WHERE dimension = {COUNT} GROUP BY value");
        let mut counts = Counts::default();
        for row in self.ask(&sql)? {
            counts.set(&row.text(0), row.signed(1));
        }
        Ok(counts)
    }

    fn gather(&self) -> Duration {
        GATHER
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn taken_over(&mut self, keys: &[Key]) -> Result<Vec<Key>, StoreError> {
        let own = literal(&self.id.clone());
        let mut gone = Vec::new();
        for keys in chunks(keys, MAX_KEYS) {
            let sql = format!(
                "SELECT key FROM session WHERE key IN ({}) GROUP BY key HAVING argMax(owner, version) != {own}",
                literals(keys.iter().map(|key| key.0.as_str()))
            );
            gone.extend(self.ask(&sql)?.iter().map(|row| Key(row.text(0))));
        }
        Ok(gone)
    }
}

fn insert(client: &Client, gates: &HashMap<&'static str, String>, piece: &Piece) -> Result<(), StoreError> {
    client.insert(gates.get(piece.table.as_str()).unwrap_or(&piece.table), &piece.rows)
}

/// Keys, so many that what they take in a question is bounded.
fn chunks(keys: &[Key], most: usize) -> impl Iterator<Item = &[Key]> {
    let mut rest = keys;
    std::iter::from_fn(move || {
        let mut size = 0;
        // A byte takes no more than four characters.
        let fits = rest.iter().take_while(|key| {
            size += 4 * key.0.len() + 4;
            size <= most
        });
        let count = fits.count().max(1).min(rest.len());
        let (chunk, after) = rest.split_at_checked(count)?;
        rest = after;
        (!chunk.is_empty()).then_some(chunk)
    })
}

#[cfg(test)]
mod tests;
