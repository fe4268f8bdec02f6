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

mod client;
mod journal;
mod keep;
mod read;
mod schema;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Crc;

pub(crate) use self::client::Address;
use self::client::{Client, Row, literal, literals, push_row};
use self::journal::{Batch, Journal, Piece};
pub(crate) use self::read::ClickHouseReader;
use super::keep::{Keep, Tidied};
use super::sessions::session;
use super::sqlite::{FIRST_OWN, MAX_OWN, table};
use super::{Store, StoreError, told};
use crate::book::{Changes, Counts, Place};
use crate::figures::{Figures, SAMPLES};
use crate::filters::{ALL_TRAFFIC, Filter, FilterId};
use crate::labels::Dimension;
use crate::session::{Key, Session};
use crate::time::{self, HOUR, UnixMs};

/// Versions that this was made for begin here.
const OLDEST: (u32, u32) = (18, 16);
/// What stands where a table of sums has the number of a dimension: the mark of a batch, and what has been received.
const MARK: i64 = -1;
const COUNT: i64 = -2;
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

/// Which row of which table of sums figures are added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Sum<'v> {
    table: &'static str,
    /// The first minute of the partition.
    first: u64,
    dimension: i64,
    minute: u64,
    value: &'v str,
}

// === impl Sum ===

impl<'v> Sum<'v> {
    fn of((table, length): (&'static str, u64), dimension: i64, minute: u64, value: &'v str) -> Self {
        Self { table, first: minute / length * length, dimension, minute, value }
    }
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

    /// Everything that is to be inserted, and the numbers of dimensions that are new.
    fn batch(&mut self, changes: &Changes, now: UnixMs) -> Result<(Batch, Vec<(String, u32)>), StoreError> {
        self.clock = (self.clock + 1).max(now.0);
        let version = self.clock.to_string();
        self.batches += 1;
        let id = format!("{}-{}-{}", self.id, self.run, self.batches);
        let (mut sessions, mut stories, mut networks, mut meta) =
            (String::new(), String::new(), String::new(), String::new());
        let mut starts = HashMap::new();
        for session in &changes.sessions {
            let state = serde_json::to_string(session)
                .map_err(|error| StoreError::Session { key: session.key.0.clone(), error })?;
            let start = session.start.0.to_string();
            let runs = if session.end.is_none() { "1" } else { "0" };
            let cells = [&session.key.0, &version, &self.id, &session.device, &start, runs, &state];
            push_row(&mut sessions, &cells);
            starts.insert(&session.key, start);
        }
        for (key, pieces) in &changes.stories {
            let start = starts.get(key).map_or("0", String::as_str);
            push_row(&mut stories, &[&key.0, &version, start, &told(key, pieces)?]);
        }
        let day = (now.0 / HOUR / 24).to_string();
        for (device, report) in &changes.networks {
            let text = serde_json::to_string(report).unwrap_or_default();
            let at = report.timestamp.to_string();
            push_row(&mut networks, &[device, &report.network.name, &at, &day, &text]);
        }
        for (id, filter) in &changes.filters {
            let state = filter.as_ref().map(serde_json::to_string).transpose();
            let state = state.map_err(|error| StoreError::Filter { id: id.0, error })?;
            push_row(&mut meta, &["filter", &id.0.to_string(), &version, &state.unwrap_or_default()]);
        }
        let mut new = Vec::new();
        let [by_minute, by_hour] = schema::SUMS;
        let mut sums: BTreeMap<Sum<'_>, Figures> = BTreeMap::new();
        for (Place { filter, dimension, minute, value }, figures) in &changes.rollups {
            let Some(id) = self.number(dimension, &mut new) else { continue };
            let dimension = table(*filter, id);
            let hour = minute.0 / 60 * 60;
            let without_samples = Figures { running: [0; SAMPLES], ..*figures };
            for (table, minute, figures) in
                [(by_minute, minute.0, *figures), (by_hour, hour, without_samples)]
            {
                *sums.entry(Sum::of(table, dimension, minute, value)).or_default() += figures;
            }
        }
        let mut sketches = String::new();
        for (Place { filter, dimension, minute, value }, states) in &changes.sketches {
            let Some(dimension) = self.number(dimension, &mut new) else { continue };
            let (dimension, minute) = (table(*filter, dimension).to_string(), minute.0.to_string());
            push_row(&mut sketches, &[&dimension, &minute, value, &id, &BASE64.encode(states.encode())]);
        }
        for (name, id) in &new {
            push_row(&mut meta, &["dimension", &id.to_string(), &version, name]);
        }
        let hour = now.0 / HOUR * 60;
        for (name, number) in changes.counts.named().into_iter().filter(|(_, number)| *number != 0) {
            sums.insert(
                Sum::of(by_hour, COUNT, hour, name),
                Figures { attempts: number, ..Figures::default() },
            );
        }
        let plain = [
            ("session", sessions),
            ("story", stories),
            ("network", networks),
            ("sketch", sketches),
            ("meta", meta),
        ];
        let plain = plain.into_iter().filter(|(_, rows)| !rows.is_empty());
        let mut pieces: Vec<_> =
            plain.map(|(table, rows)| Piece { table: table.to_owned(), mark: None, rows }).collect();
        // They are sorted by table and partition.
        let mut of_sums: Vec<Piece> = Vec::new();
        for (sum, figures) in sums {
            let is_same = |piece: &&mut Piece| piece.table == sum.table && piece.mark == Some(sum.first);
            if of_sums.last_mut().as_ref().is_none_or(|piece| !is_same(piece)) {
                let mut rows = String::new();
                push_sums(
                    &mut rows,
                    &Sum { dimension: MARK, minute: sum.first, value: &id, ..sum },
                    &Figures::default(),
                );
                of_sums.push(Piece { table: sum.table.to_owned(), mark: Some(sum.first), rows });
            }
            if let Some(piece) = of_sums.last_mut() {
                push_sums(&mut piece.rows, &sum, &figures);
            }
        }
        pieces.extend(of_sums);
        Ok((Batch { id, pieces }, new))
    }

    /// The number of a dimension. Those of the operator's own are made of their names, so that all collectors make the same.
    /// `None` where there are too many.
    fn number(&self, dimension: &Dimension, new: &mut Vec<(String, u32)>) -> Option<u32> {
        if let Some(id) = dimension.id() {
            return Some(id);
        }
        let name = dimension.own_name()?;
        let known = self.own.get(name).or_else(|| new.iter().find(|(new, _)| new == name).map(|(_, id)| id));
        if let Some(id) = known {
            return Some(*id);
        }
        let mut sum = Crc::new();
        sum.update(name.as_bytes());
        let id = FIRST_OWN + sum.sum() % (1 << 30);
        let is_taken = self.own.values().chain(new.iter().map(|(_, id)| id)).any(|taken| *taken == id);
        if is_taken || self.own.len() + new.len() >= MAX_OWN {
            return None;
        }
        new.push((name.to_owned(), id));
        Some(id)
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

fn push_sums(rows: &mut String, sum: &Sum<'_>, figures: &Figures) {
    let (dimension, minute) = (sum.dimension.to_string(), sum.minute.to_string());
    let figures: Vec<_> = figures.values().map(|value| value.to_string()).collect();
    let mut cells = vec![dimension.as_str(), &minute, sum.value, "1"];
    cells.extend(figures.iter().map(String::as_str));
    push_row(rows, &cells);
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
