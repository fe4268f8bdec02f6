//! The embedded store: one SQLite file with a write-ahead log, synced to the disk with every transaction.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params, params_from_iter};

use super::grid::Grid;
use super::keep::{Keep, Tidied, hour_table, tidy};
use super::{Cell, Reader, Sketched, Span, Store, StoreError, merged};
use crate::book::{Changes, Counts, Place};
use crate::figures::{Figures, SAMPLES};
use crate::filters::{ALL_TRAFFIC, Filter, FilterId};
use crate::labels::Dimension;
use crate::session::story::Piece;
use crate::session::{Key, Session};
use crate::sketch::Sketches;
use crate::time::{Minute, UnixMs};

/// Of the tables; a file of another one is not touched.
const VERSION: i64 = 1;
/// The file in the data directory.
const FILE: &str = "collector.sqlite";
/// Numbers of the operators' own dimensions begin here.
pub(super) const FIRST_OWN: u32 = 1000;
/// Most of the operators' own dimensions; sessions count under further ones no more.
pub(super) const MAX_OWN: usize = 100;
/// How long one connection waits for another.
const BUSY: Duration = Duration::from_secs(5);

/// The tables but for `rollup`, whose columns are those of [`Figures`].
const TABLES: &str = "
CREATE TABLE session (
    key     TEXT PRIMARY KEY,
    device  TEXT NOT NULL,
    start   INTEGER NOT NULL,
    ended   INTEGER,
    missing INTEGER NOT NULL,
    state   TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX session_running ON session (key) WHERE ended IS NULL;
CREATE INDEX session_start ON session (start);
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
CREATE TABLE count (
    name   TEXT PRIMARY KEY,
    number INTEGER NOT NULL
) WITHOUT ROWID;
";

/// What became of sessions: made where it is not there, so that older stores have it as well.
const STORY: &str = "
CREATE TABLE IF NOT EXISTS story (
    id      INTEGER PRIMARY KEY,
    session TEXT NOT NULL,
    pieces  TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS story_session ON story (session);
";

/// Saved filters, made likewise. Those that are no more keep their place, so that their numbers are not given again.
const FILTER: &str = "
CREATE TABLE IF NOT EXISTS filter (
    id    INTEGER PRIMARY KEY,
    state TEXT
);
";

/// Sketches by minute and by hour, made likewise: a row beside those of the sums that have samples. Their merging is not
/// the database's.
const SKETCH: &str = "
CREATE TABLE IF NOT EXISTS sketch (
    dimension INTEGER NOT NULL,
    minute    INTEGER NOT NULL,
    value     TEXT NOT NULL,
    state     BLOB NOT NULL,
    PRIMARY KEY (dimension, minute, value)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sketch_hour (
    dimension INTEGER NOT NULL,
    minute    INTEGER NOT NULL,
    value     TEXT NOT NULL,
    state     BLOB NOT NULL,
    PRIMARY KEY (dimension, minute, value)
) WITHOUT ROWID;
";

/// The store, for the one that writes.
#[derive(Debug)]
pub(crate) struct Sqlite {
    pub(super) connection: Connection,
    add: String,
    /// Numbers of the operators' own dimensions.
    own: HashMap<String, u32>,
}

/// The store, for those who ask.
#[derive(Debug)]
pub(crate) struct SqliteReader {
    pub(super) connection: Connection,
}

// === impl Sqlite ===

impl Sqlite {
    /// Opens the store in a directory, or makes it.
    pub(crate) fn open(directory: &Path) -> Result<Self, StoreError> {
        let mut connection = Connection::open(directory.join(FILE))?;
        connection.busy_timeout(BUSY)?;
        // Before anything is in it: room that is given up goes back to the file system.
        connection.pragma_update(None, "auto_vacuum", "incremental")?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        match version {
            0 => {
                let transaction = connection.transaction()?;
                transaction.execute_batch(TABLES)?;
                transaction.execute_batch(&rollup_table())?;
                transaction.pragma_update(None, "user_version", VERSION)?;
                transaction.commit()?;
            }
            VERSION => {}
            found => return Err(StoreError::Version { found, expected: VERSION }),
        }
        connection.execute_batch(STORY)?;
        connection.execute_batch(FILTER)?;
        connection.execute_batch(&hour_table())?;
        connection.execute_batch(SKETCH)?;
        let own = own_dimensions(&connection)?.into_iter().map(|(id, name)| (name, id)).collect();
        Ok(Self { connection, add: add_statement(), own })
    }

    /// A connection for those who ask.
    pub(crate) fn reader(directory: &Path) -> Result<SqliteReader, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(directory.join(FILE), flags)?;
        connection.busy_timeout(BUSY)?;
        Ok(SqliteReader { connection })
    }

    /// Every session, for tests.
    #[cfg(test)]
    pub(crate) fn all(&mut self) -> Result<Vec<Session>, StoreError> {
        sessions(&self.connection, "SELECT key, state FROM session")
    }

    /// How many measurements of interfaces there are, for tests.
    #[cfg(test)]
    pub(crate) fn networks(&self) -> Result<usize, StoreError> {
        Ok(self.connection.query_row("SELECT count(*) FROM network", [], |row| row.get(0))?)
    }

    fn write_all(&mut self, changes: &Changes, own: &mut HashMap<String, u32>) -> Result<(), StoreError> {
        let transaction = self.connection.transaction()?;
        write_sessions(&transaction, &changes.sessions)?;
        {
            let mut statement = transaction.prepare_cached(&self.add)?;
            for (Place { filter, dimension, minute, value }, figures) in &changes.rollups {
                let Some(id) = number(&transaction, own, dimension)? else { continue };
                let numbers =
                    [table(*filter, id), stored(minute.0)].into_iter().map(rusqlite::types::Value::from);
                let value = std::iter::once(rusqlite::types::Value::from(value.clone()));
                let figures = figures.values().map(rusqlite::types::Value::from);
                statement.execute(params_from_iter(numbers.chain(value).chain(figures)))?;
            }
            for (Place { filter, dimension, minute, value }, sketches) in &changes.sketches {
                let Some(id) = number(&transaction, own, dimension)? else { continue };
                let place = (table(*filter, id), stored(minute.0), value.as_str());
                merge_sketches(&transaction, "sketch", place, sketches)?;
            }
            let mut statement =
                transaction.prepare_cached("INSERT INTO story (session, pieces) VALUES (?1, ?2)")?;
            for (key, pieces) in &changes.stories {
                let pieces: Vec<_> = pieces.iter().map(Piece::json).collect();
                statement.execute(params![key.0, serde_json::Value::from(pieces).to_string()])?;
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
                    for table in ["rollup", "rollup_hour", "sketch", "sketch_hour"] {
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
        Ok(())
    }
}

impl Store for Sqlite {
    fn running(&mut self) -> Result<Vec<Session>, StoreError> {
        sessions(&self.connection, "SELECT key, state FROM session WHERE ended IS NULL")
    }

    fn session(&mut self, key: &Key) -> Result<Option<Session>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT state FROM session WHERE key = ?1")?;
        let state: Option<String> = statement.query_row([&key.0], |row| row.get(0)).optional()?;
        state.map(|state| session(key.0.clone(), &state)).transpose()
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

// === impl SqliteReader ===

impl SqliteReader {
    /// Where sums are: those by minute alone where none by hour lies in the time, which is quicker.
    fn source(&self, span: &Span) -> Result<&'static str, StoreError> {
        let sql = "SELECT 1 FROM rollup_hour WHERE dimension = ?1 AND minute >= ?2 AND minute < ?3 LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let has_hours = statement.exists(bounds(span))?;
        Ok(if has_hours { "(SELECT * FROM rollup UNION ALL SELECT * FROM rollup_hour)" } else { "rollup" })
    }
}

impl Reader for SqliteReader {
    fn minutes(&mut self, span: &Span) -> Result<Vec<(Minute, Figures)>, StoreError> {
        let sql = format!(
            "SELECT minute, {} FROM {} WHERE dimension = ?1 AND minute >= ?2 AND minute < ?3 GROUP BY minute",
            sums(),
            self.source(span)?
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(bounds(span), |row| {
            let minute: i64 = row.get(0)?;
            Ok((Minute(u64::try_from(minute).unwrap_or(0)), figures(row)?))
        })?;
        rows.map(|row| row.map_err(StoreError::from)).collect()
    }

    fn values(&mut self, span: &Span) -> Result<Vec<(String, Figures)>, StoreError> {
        let sql = format!(
            "SELECT value, {} FROM {} WHERE dimension = ?1 AND minute >= ?2 AND minute < ?3
             GROUP BY value ORDER BY value",
            sums(),
            self.source(span)?
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(bounds(span), |row| Ok((row.get(0)?, figures(row)?)))?;
        rows.map(|row| row.map_err(StoreError::from)).collect()
    }

    fn peaks(&mut self, span: &Span) -> Result<Vec<(String, i64)>, StoreError> {
        let samples: Vec<_> = (0..SAMPLES).map(|sample| format!("running_{sample}")).collect();
        let sql = format!(
            "SELECT value, max(max({})) FROM {} WHERE dimension = ?1 AND minute >= ?2 AND minute < ?3
             GROUP BY value ORDER BY value",
            samples.join(", "),
            self.source(span)?
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map(bounds(span), |row| Ok((row.get(0)?, whole(row, 1)?)))?;
        rows.map(|row| row.map_err(StoreError::from)).collect()
    }

    fn grid(&mut self, span: &Span, step: u64, only: Option<&[String]>) -> Result<Vec<Cell>, StoreError> {
        let condition = only.map_or_else(String::new, |only| {
            let places: Vec<_> = (4..4 + only.len()).map(|place| format!("?{place}")).collect();
            format!("AND value IN ({})", places.join(", "))
        });
        let columns: Vec<_> = columns().collect();
        // In this order they lie in the table. Added up here: SQL would do it column by column, in its interpreter.
        let sql = format!(
            "SELECT minute, {}, value FROM {} WHERE dimension = ?1 AND minute >= ?2 AND minute < ?3 {condition}
             ORDER BY dimension, minute, value",
            columns.join(", "),
            self.source(span)?
        );
        let mut statement = self.connection.prepare(&sql)?;
        let numbers = bounds(span).into_iter().map(rusqlite::types::Value::from);
        let values = only.unwrap_or_default().iter().map(|value| rusqlite::types::Value::from(value.clone()));
        let mut rows = statement.query(params_from_iter(numbers.chain(values)))?;
        let mut grid = Grid::new(step);
        while let Some(row) = rows.next()? {
            let minute: i64 = row.get(0)?;
            let value = row.get_ref(1 + columns.len())?.as_str().unwrap_or_default();
            let name = if only.is_some() { "" } else { value };
            grid.add(Minute(u64::try_from(minute).unwrap_or(0)), name, &figures(row)?);
        }
        Ok(grid.cells())
    }

    fn sketches(
        &mut self,
        span: &Span,
        step: u64,
        only: Option<&[String]>,
    ) -> Result<Vec<Sketched>, StoreError> {
        let condition = only.map_or_else(String::new, |only| {
            let places: Vec<_> = (4..4 + only.len()).map(|place| format!("?{place}")).collect();
            format!("AND value IN ({})", places.join(", "))
        });
        let from = |table| {
            format!(
                "SELECT minute, value, state FROM {table}
                 WHERE dimension = ?1 AND minute >= ?2 AND minute < ?3 {condition}"
            )
        };
        let sql = format!("{} UNION ALL {}", from("sketch"), from("sketch_hour"));
        let mut statement = self.connection.prepare(&sql)?;
        let numbers = bounds(span).into_iter().map(rusqlite::types::Value::from);
        let values = only.unwrap_or_default().iter().map(|value| rusqlite::types::Value::from(value.clone()));
        let rows = statement.query_map(params_from_iter(numbers.chain(values)), |row| {
            let minute: i64 = row.get(0)?;
            Ok((Minute(u64::try_from(minute).unwrap_or(0)), row.get(1)?, row.get(2)?))
        })?;
        merged(rows.map(|row| row.map_err(StoreError::from)), step, only.is_some())
    }

    fn own_dimensions(&mut self) -> Result<Vec<(u32, String)>, StoreError> {
        own_dimensions(&self.connection)
    }
}

/// Merges sketches into the row of a place.
pub(super) fn merge_sketches(
    transaction: &Transaction<'_>,
    table: &str,
    (dimension, minute, value): (i64, i64, &str),
    sketches: &Sketches,
) -> Result<(), StoreError> {
    let sql = format!("SELECT state FROM {table} WHERE dimension = ?1 AND minute = ?2 AND value = ?3");
    let mut statement = transaction.prepare_cached(&sql)?;
    let found: Option<Vec<u8>> =
        statement.query_row(params![dimension, minute, value], |row| row.get(0)).optional()?;
    let state = match found {
        None => sketches.encode(),
        Some(found) => {
            let mut all = Sketches::decode(&found)?;
            all.merge(sketches);
            all.encode()
        }
    };
    let sql = format!(
        "INSERT INTO {table} (dimension, minute, value, state) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (dimension, minute, value) DO UPDATE SET state = excluded.state"
    );
    transaction.prepare_cached(&sql)?.execute(params![dimension, minute, value, state])?;
    Ok(())
}

fn write_sessions(transaction: &Transaction<'_>, sessions: &[Session]) -> Result<(), StoreError> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO session (key, device, start, ended, missing, state) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (key) DO UPDATE SET ended = excluded.ended, missing = excluded.missing, state = excluded.state",
    )?;
    for session in sessions {
        let state = serde_json::to_string(session)
            .map_err(|error| StoreError::Session { key: session.key.0.clone(), error })?;
        statement.execute(params![
            session.key.0,
            session.device,
            stored(session.start.0),
            session.end.map(|end| stored(end.at.0)),
            stored(session.missing()),
            state
        ])?;
    }
    Ok(())
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

fn own_dimensions(connection: &Connection) -> Result<Vec<(u32, String)>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT id, name FROM dimension ORDER BY id")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| row.map_err(StoreError::from)).collect()
}

fn sessions(connection: &Connection, sql: &str) -> Result<Vec<Session>, StoreError> {
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.map(|row| {
        let (key, state): (String, String) = row?;
        session(key, &state)
    })
    .collect()
}

pub(super) fn session(key: String, state: &str) -> Result<Session, StoreError> {
    serde_json::from_str(state).map_err(|error| StoreError::Session { key, error })
}

/// Columns of sums, in the order of [`Figures::values`].
pub(super) fn columns() -> impl Iterator<Item = String> {
    let samples = (0..SAMPLES).map(|sample| format!("running_{sample}"));
    Figures::NAMES.iter().map(|name| (*name).to_owned()).chain(samples)
}

fn rollup_table() -> String {
    let columns: String = columns().map(|name| format!("    {name} INTEGER NOT NULL,\n")).collect();
    format!(
        "CREATE TABLE rollup (\n    dimension INTEGER NOT NULL,\n    minute INTEGER NOT NULL,\n    \
         value TEXT NOT NULL,\n{columns}    PRIMARY KEY (dimension, minute, value)\n) WITHOUT ROWID;"
    )
}

fn add_statement() -> String {
    let names: Vec<_> = columns().collect();
    let places: Vec<_> = (1..=names.len() + 3).map(|place| format!("?{place}")).collect();
    let sums: Vec<_> = names.iter().map(|name| format!("{name} = {name} + excluded.{name}")).collect();
    format!(
        "INSERT INTO rollup (dimension, minute, value, {}) VALUES ({})
         ON CONFLICT (dimension, minute, value) DO UPDATE SET {}",
        names.join(", "),
        places.join(", "),
        sums.join(", ")
    )
}

/// `total` and not `sum`: that fails where the sum of hostile figures does not fit.
fn sums() -> String {
    columns().map(|name| format!("total({name})")).collect::<Vec<_>>().join(", ")
}

/// What a dimension is called in the table: those of saved filters follow those of all traffic.
pub(super) fn table(filter: FilterId, dimension: u32) -> i64 {
    i64::from(filter.0.saturating_sub(ALL_TRAFFIC.0.0)) << 32 | i64::from(dimension)
}

fn bounds(span: &Span) -> [i64; 3] {
    [table(span.filter, span.dimension), stored(span.from.0), stored(span.until.0)]
}

fn figures(row: &rusqlite::Row<'_>) -> rusqlite::Result<Figures> {
    let values: rusqlite::Result<Vec<_>> =
        (1..=Figures::NAMES.len() + SAMPLES).map(|column| whole(row, column)).collect();
    Ok(Figures::from_values(values?))
}

/// A sum; SQLite makes floats of those that do not fit.
#[expect(clippy::cast_possible_truncation, reason = "what does not fit stays at the end of the range")]
fn whole(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<i64> {
    Ok(match row.get_ref(column)? {
        rusqlite::types::ValueRef::Integer(number) => number,
        rusqlite::types::ValueRef::Real(number) => number as i64,
        _ => 0,
    })
}

pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
