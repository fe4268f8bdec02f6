//! The embedded store: an SQLite file with a write-ahead log, synced to the disk with every transaction, and beside it one
//! for each day's sessions that have ended (see [`super::days`]).

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, params};

use super::days::{Days, hash};
use super::fold::{self, Border};
use super::keep::{Keep, Tidied, tidy};
use super::reader::SqliteReader;
use super::rollup::{self, By};
use super::{Store, StoreError, sessions};
use crate::book::{Changes, Counts, Place};
use crate::filters::{ALL_TRAFFIC, Filter, FilterId};
use crate::labels::Dimension;
use crate::session::{Key, Session};
use crate::time::UnixMs;

/// Of the tables; a file of another one is not touched.
const VERSION: i64 = 3;
/// The file in the data directory.
const FILE: &str = "collector.sqlite";
/// Numbers of the operators' own dimensions begin here.
pub(super) const FIRST_OWN: u32 = 1000;
/// Most of the operators' own dimensions; sessions count under further ones no more.
pub(super) const MAX_OWN: usize = 100;
/// How long one connection waits for another.
const BUSY: Duration = Duration::from_secs(5);

/// How much of the file is kept in memory, in KiB: keys and names lie anywhere in it.
const CACHE: i64 = 16 * 1024;
/// How many statements are kept prepared.
const STATEMENTS: usize = 64;

/// The tables but for those of sessions and sums. Filters that are no more keep their place, so that their numbers are not
/// given again.
const TABLES: &str = "
CREATE TABLE dimension (
    id   INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
CREATE TABLE network (
    device    TEXT NOT NULL,
    name      TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    report    TEXT NOT NULL,
    PRIMARY KEY (device, name, timestamp)
) WITHOUT ROWID;
CREATE INDEX network_timestamp ON network (timestamp);
CREATE TABLE count (
    name   TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE filter (
    id    INTEGER PRIMARY KEY,
    state TEXT
);
";

/// The store, for the one that writes.
#[derive(Debug)]
pub(crate) struct Sqlite {
    pub(super) connection: Connection,
    /// Numbers of the operators' own dimensions.
    own: HashMap<String, u32>,
    /// As it is stored.
    pub(super) border: Border,
    /// Before these minutes there is nothing left of sums by each of [`By::ALL`], but for what came late.
    pub(super) cleared: [u64; By::ALL.len()],
    pub(super) days: Days,
    /// Places of sessions are looked through for those of days that are gone, from this one on.
    pub(super) sweeping: Option<i64>,
}

// === impl Sqlite ===

impl Sqlite {
    /// Opens the store in a directory, or makes it.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        let mut connection = open_to_write(&directory.join(FILE), CACHE)?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => {
                let transaction = connection.transaction()?;
                transaction.execute_batch(TABLES)?;
                transaction.execute_batch(sessions::TABLES)?;
                for by in By::ALL {
                    transaction.execute_batch(&by.create())?;
                }
                transaction.execute_batch(fold::TABLE)?;
                transaction.pragma_update(None, "user_version", VERSION)?;
                transaction.commit()?;
            }
            VERSION => {}
            found => return Err(StoreError::Version { found, expected: VERSION }),
        }
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let border = Border::read(&connection)?;
        let own = own_dimensions(&connection)?.into_iter().map(|(id, name)| (name, id)).collect();
        let days = Days::open(directory)?;
        Ok(Self { connection, own, border, cleared: [0; By::ALL.len()], days, sweeping: None })
    }

    /// A connection for those who ask.
    pub(crate) fn reader(directory: &Path) -> Result<SqliteReader, StoreError> {
        Ok(SqliteReader::new(open_to_read(&directory.join(FILE))?, directory))
    }

    /// Every session, for tests.
    #[cfg(test)]
    pub(crate) fn all(&mut self) -> Result<Vec<Session>, StoreError> {
        use super::{Lookup, Wanted};
        Self::reader(self.days.store())?.sessions(&Wanted { most: 1_000_000, ..Wanted::default() })
    }

    /// How many measurements of interfaces there are, for tests.
    #[cfg(test)]
    pub(crate) fn networks(&self) -> Result<usize, StoreError> {
        Ok(self.connection.query_row("SELECT count(*) FROM network", [], |row| row.get(0))?)
    }

    fn write_all(&mut self, changes: &Changes, own: &mut HashMap<String, u32>) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        let stale = sessions::write(&transaction, &mut self.days, &changes.sessions, &changes.stories)?;
        {
            let mut statement = transaction.prepare_cached(By::Minute.add())?;
            for (Place { filter, dimension, minute, value }, figures) in &changes.rollups {
                let Some(id) = number(&transaction, own, dimension)? else { continue };
                let (dimension, minute) = (table(*filter, id), minute.0);
                if self.border.has_minute(minute) {
                    rollup::add(&mut statement, (dimension, stored(minute), value), figures)?;
                }
                if self.border.is_folded(dimension, minute) {
                    self.border.add_late(&transaction, (dimension, minute, value), figures)?;
                }
            }
            for (Place { filter, dimension, minute, value }, sketches) in &changes.sketches {
                let Some(id) = number(&transaction, own, dimension)? else { continue };
                let (dimension, minute) = (table(*filter, id), minute.0);
                if self.border.has_minute(minute) {
                    rollup::merge(&transaction, By::Minute, (dimension, stored(minute), value), sketches)?;
                }
                if self.border.is_folded(dimension, minute) {
                    self.border.merge_late(&transaction, (dimension, minute, value), sketches)?;
                }
            }
            for (id, filter) in &changes.filters {
                let state = filter.as_ref().map(serde_json::to_string).transpose();
                let state = state.map_err(|error| StoreError::Filter { id: id.0, error })?;
                transaction.execute(
                    "INSERT INTO filter (id, state) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET state = excluded.state",
                    params![id.0, state],
                )?;
                if state.is_none() {
                    let (first, last) = (table(*id, 0), table(*id, u32::MAX));
                    for table in By::ALL.into_iter().flat_map(|by| [by.sums(), by.sketches()]) {
                        let sql = format!("DELETE FROM {table} WHERE dimension BETWEEN ?1 AND ?2");
                        transaction.execute(&sql, [first, last])?;
                    }
                }
            }
            let mut statement = transaction.prepare_cached(
                "INSERT OR IGNORE INTO network (device, name, timestamp, report) VALUES (?1, ?2, ?3, ?4)",
            )?;
            for (device, report) in &changes.networks {
                let text = serde_json::to_string(report).unwrap_or_default();
                statement.execute(params![device, report.network.name, stored(report.timestamp), text])?;
            }
            let mut statement = transaction.prepare_cached(
                "INSERT INTO count (name, number) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET number = number + excluded.number",
            )?;
            for (name, number) in changes.counts.named().into_iter().filter(|(_, number)| *number != 0) {
                statement.execute(params![name, number])?;
            }
        }
        transaction.commit()?;
        self.days.forget(stale);
        Ok(())
    }
}

impl Store for Sqlite {
    fn running(&mut self) -> Result<Vec<Session>, StoreError> {
        sessions::running(&self.connection)
    }

    fn session(&mut self, key: &Key) -> Result<Option<Session>, StoreError> {
        let Some(spot) = sessions::spot(&self.connection, hash(key))? else { return Ok(None) };
        let state = self.days.column("state", spot, key)?;
        state.map(|state| sessions::session(key.0.clone(), &state)).transpose()
    }

    fn write(&mut self, changes: &Changes) -> Result<(), StoreError> {
        // Numbers that are given in a transaction that fails are not given.
        let mut own = self.own.clone();
        self.write_all(changes, &mut own)?;
        self.own = own;
        Ok(())
    }

    fn filters(&mut self) -> Result<(Vec<Filter>, FilterId), StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT id, state FROM filter ORDER BY id")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (mut filters, mut next) = (Vec::new(), FilterId(ALL_TRAFFIC.0.0 + 1));
        for row in rows {
            let (id, state): (u32, Option<String>) = row?;
            next = FilterId(id.saturating_add(1));
            if let Some(state) = state {
                let filter =
                    serde_json::from_str(&state).map_err(|error| StoreError::Filter { id, error })?;
                filters.push(filter);
            }
        }
        Ok((filters, next))
    }

    fn tidy(&mut self, keep: &Keep, now: UnixMs) -> Result<Tidied, StoreError> {
        tidy(self, keep, now)
    }

    fn counts(&mut self) -> Result<Counts, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT name, number FROM count")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let mut counts = Counts::default();
        for row in rows {
            let (name, number): (String, i64) = row?;
            counts.set(&name, number);
        }
        Ok(counts)
    }
}

/// One of the store's files, for the one that writes; so much of it is kept in memory, in KiB.
pub(super) fn open_to_write(path: &Path, cache: i64) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    // Before anything is in it: room that is given up goes back to the file system.
    connection.pragma_update(None, "auto_vacuum", "incremental")?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", -cache)?;
    Ok(connection)
}

/// One of the store's files, for who asks.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

/// The number of a dimension; one of the operator's own is given one. `None` where there are too many.
fn number(
    transaction: &Transaction<'_>,
    own: &mut HashMap<String, u32>,
    dimension: &Dimension,
) -> Result<Option<u32>, StoreError> {
    if let Some(id) = dimension.id() {
        return Ok(Some(id));
    }
    let Some(name) = dimension.own_name() else { return Ok(None) };
    if let Some(id) = own.get(name) {
        return Ok(Some(*id));
    }
    if own.len() >= MAX_OWN {
        return Ok(None);
    }
    let id = own.values().max().map_or(FIRST_OWN, |id| id + 1);
    transaction.execute("INSERT INTO dimension (id, name) VALUES (?1, ?2)", params![id, name])?;
    own.insert(name.to_owned(), id);
    Ok(Some(id))
}

pub(super) fn own_dimensions(connection: &Connection) -> Result<Vec<(u32, String)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id, name FROM dimension ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| row.map_err(StoreError::from)).collect()
}

/// What a dimension is called in the table: those of saved filters follow those of all traffic.
pub(super) fn table(filter: FilterId, dimension: u32) -> i64 {
    i64::from(filter.0.saturating_sub(ALL_TRAFFIC.0.0)) << 32 | i64::from(dimension)
}

pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
