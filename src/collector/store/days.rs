//! Sessions that have ended: a file for each day (UTC) on which some began, beside the store's main file.
//!
//! Rows are added behind one another and never changed: what lies together was written together, and a day that is old goes
//! as a file. Which row a session has is in the main file (`place`), written in one transaction with its sums; the row is on
//! the disk before that. So a kill between the two leaves a row that nobody finds, and what it was made of is booked
//! again. A session that speaks after its end gets a new row; the one before is taken away with what is written next.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, params};
use siphasher::sip::SipHasher13;

use super::StoreError;
use super::sqlite::{open_to_read, open_to_write, stored};
use crate::session::Key;
use crate::time::{DAY, UnixMs};
use crate::utc::utc_text;

/// The directory in that of the store, and what its files' names end in.
const DIRECTORY: &str = "sessions";
const EXTENSION: &str = ".sqlite";
/// What SQLite has beside a file.
const BESIDE: [&str; 3] = ["", "-wal", "-shm"];
/// Most files that are open for writing: boxes tell of today, and those that were cut off of days before.
const OPEN: usize = 4;
/// How much of a file is kept in memory, in KiB: it is written at its end.
const CACHE: i64 = 512;
/// What keys are hashed with: never changed.
const HASH_KEYS: (u64, u64) = (0x7365_7373_696f_6e73, 0x6b65_7973_5f6f_6664);

/// `hash` is that of the key. The index has all that lists of boxes are made of.
const TABLE: &str = "
BEGIN;
CREATE TABLE IF NOT EXISTS session (
    id     INTEGER PRIMARY KEY,
    hash   INTEGER NOT NULL,
    key    TEXT NOT NULL,
    device TEXT NOT NULL,
    start  INTEGER NOT NULL,
    state  TEXT NOT NULL,
    story  TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS session_start ON session (start, device, hash);
COMMIT;
";

/// A day, counted from 1970-01-01, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Day(pub(super) i64);

/// Where a session that has ended is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) day: Day,
    pub(super) id: i64,
}

/// A session that has ended, as it is stored.
#[derive(Debug)]
pub(super) struct Row<'s> {
    pub(super) hash: i64,
    pub(super) key: &'s str,
    pub(super) device: &'s str,
    pub(super) start: i64,
    pub(super) state: String,
    /// Lists of pieces, one behind the other.
    pub(super) story: String,
}

/// The files, for the one that writes.
#[derive(Debug)]
pub(super) struct Days {
    directory: PathBuf,
    all: BTreeSet<Day>,
    open: BTreeMap<Day, Connection>,
    /// Rows that sessions have no more.
    stale: BTreeMap<Day, Vec<i64>>,
}

// === impl Day ===

impl Day {
    pub(super) fn of(at: UnixMs) -> Self {
        Self(stored(at.0 / DAY))
    }

    /// `2026-11-23`.
    fn name(self) -> String {
        let since = Duration::from_millis(self.0.unsigned_abs().saturating_mul(DAY));
        let mut text = utc_text(UNIX_EPOCH + since);
        text.truncate(text.find('T').unwrap_or(0));
        text
    }

    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.splitn(3, '-').map(|part| part.parse::<i64>().ok());
        let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
        if !(1970..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        // No calendar backwards: of the days that it may be, the one that is called so.
        let about = (year - 1970) * 365 + (year - 1970) / 4 + (month - 1) * 30 + day;
        (about - 70..about + 10).map(Day).find(|day| day.0 >= 0 && day.name() == name)
    }

    /// Where its file is, in the directory of a store.
    pub(super) fn path(self, store: &Path) -> PathBuf {
        store.join(DIRECTORY).join(self.name() + EXTENSION)
    }
}

/// Days that there are files of.
///
/// # Errors
/// Where they cannot be listed.
pub(super) fn days(store: &Path) -> Result<BTreeSet<Day>, StoreError> {
    let mut days = BTreeSet::new();
    let entries = match fs::read_dir(store.join(DIRECTORY)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(days),
        Err(error) => return Err(StoreError::Files(error)),
    };
    for entry in entries {
        let name = entry.map_err(StoreError::Files)?.file_name();
        days.extend(name.to_str().and_then(|name| name.strip_suffix(EXTENSION)).and_then(Day::parse));
    }
    Ok(days)
}

/// What a key is looked up by.
pub(super) fn hash(key: &Key) -> i64 {
    let (one, other) = HASH_KEYS;
    i64::from_le_bytes(SipHasher13::new_with_keys(one, other).hash(key.0.as_bytes()).to_le_bytes())
}

/// A day's file, for who asks; `None` where it is gone, or nothing was ever in it: a kill may have come between.
pub(super) fn reader(store: &Path, day: Day) -> Result<Option<Connection>, StoreError> {
    let path = day.path(store);
    match open_to_read(&path) {
        Ok(connection) => {
            connection.pragma_update(None, "cache_size", -CACHE)?;
            let is_made = connection.table_exists(None, "session")?;
            Ok(is_made.then_some(connection))
        }
        Err(_) if !path.exists() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A column of a session's row; `None` where it is another one's by now.
pub(super) fn column(
    connection: &Connection,
    column: &str,
    id: i64,
    key: &Key,
) -> Result<Option<String>, StoreError> {
    let sql = format!("SELECT {column} FROM session WHERE id = ?1 AND key = ?2");
    Ok(connection.prepare_cached(&sql)?.query_row(params![id, key.0], |row| row.get(0)).optional()?)
}

// === impl Days ===

impl Days {
    /// Those of a store.
    pub(super) fn open(store: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(store.join(DIRECTORY)).map_err(StoreError::Files)?;
        // What is synced in it does not outlive the machine if it does not itself.
        fs::File::open(store).and_then(|store| store.sync_all()).map_err(StoreError::Files)?;
        Ok(Self {
            all: days(store)?,
            directory: store.to_owned(),
            open: BTreeMap::new(),
            stale: BTreeMap::new(),
        })
    }

    /// In which directory they are.
    #[cfg(test)]
    pub(super) fn store(&self) -> &Path {
        &self.directory
    }

    /// The first one there is.
    pub(super) fn oldest(&self) -> Option<Day> {
        self.all.first().copied()
    }

    /// How much they take, in bytes.
    pub(super) fn size(&self) -> Result<u64, StoreError> {
        let mut size: u64 = 0;
        for day in &self.all {
            size = size.saturating_add(match self.open.get(day) {
                Some(file) => used(file)?,
                None => fs::metadata(day.path(&self.directory)).map_or(0, |metadata| metadata.len()),
            });
        }
        Ok(size)
    }

    /// What is in a column of a session's row.
    pub(super) fn column(&mut self, name: &str, spot: Spot, key: &Key) -> Result<Option<String>, StoreError> {
        if !self.all.contains(&spot.day) {
            return Ok(None);
        }
        column(self.connection(spot.day)?, name, spot.id, key)
    }

    /// Adds rows, which are on the disk when this is back; gives their ids.
    pub(super) fn add(&mut self, day: Day, rows: &[Row<'_>]) -> Result<Vec<i64>, StoreError> {
        let stale = self.stale.get(&day).cloned().unwrap_or_default();
        let transaction = self.connection(day)?.transaction()?;
        let mut ids = Vec::with_capacity(rows.len());
        {
            let last = "SELECT coalesce(max(id), 0) FROM session";
            let last: i64 = transaction.prepare_cached(last)?.query_row([], |row| row.get(0))?;
            let mut delete = transaction.prepare_cached("DELETE FROM session WHERE id = ?1")?;
            for id in stale {
                delete.execute([id])?;
            }
            let mut insert = transaction.prepare_cached(
                "INSERT INTO session (id, hash, key, device, start, state, story)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for (Row { hash, key, device, start, state, story }, id) in rows.iter().zip(last + 1..) {
                insert.execute(params![id, hash, key, device, start, state, story])?;
                ids.push(id);
            }
        }
        transaction.commit()?;
        self.stale.remove(&day);
        Ok(ids)
    }

    /// These rows are nobody's any more.
    pub(super) fn forget(&mut self, spots: impl IntoIterator<Item = Spot>) {
        for Spot { day, id } in spots {
            self.stale.entry(day).or_default().push(id);
        }
    }

    /// The first rows of a day, so many: id and hash.
    pub(super) fn first(&mut self, day: Day, most: usize) -> Result<Vec<(i64, i64)>, StoreError> {
        let connection = self.connection(day)?;
        let mut statement = connection.prepare_cached("SELECT id, hash FROM session ORDER BY id LIMIT ?1")?;
        let rows = statement.query_map([most], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.map(|row| row.map_err(StoreError::from)).collect()
    }

    /// Takes rows away, up to one, and gives their room back to the file system.
    pub(super) fn cut(&mut self, day: Day, until: i64) -> Result<(), StoreError> {
        let connection = self.connection(day)?;
        connection.execute("DELETE FROM session WHERE id <= ?1", [until])?;
        connection.execute_batch("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")?;
        Ok(())
    }

    /// Takes a day away; how many rows it had at some time.
    pub(super) fn remove(&mut self, day: Day) -> Result<usize, StoreError> {
        let sql = "SELECT coalesce(max(id), 0) FROM session";
        let rows: usize = self.connection(day)?.query_row(sql, [], |row| row.get(0))?;
        self.open.remove(&day);
        self.stale.remove(&day);
        let path = day.path(&self.directory).into_os_string();
        for end in BESIDE {
            let mut path = path.clone();
            path.push(end);
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(StoreError::Files(error)),
                _ => {}
            }
        }
        self.all.remove(&day);
        Ok(rows)
    }

    fn connection(&mut self, day: Day) -> Result<&mut Connection, StoreError> {
        if self.open.len() >= OPEN && !self.open.contains_key(&day) {
            self.open.pop_first();
        }
        match self.open.entry(day) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                let connection = create(&day.path(&self.directory))?;
                self.all.insert(day);
                Ok(entry.insert(connection))
            }
        }
    }
}

/// What of a file is in use, in bytes; pages that are free for what comes next left out.
pub(super) fn used(connection: &Connection) -> Result<u64, StoreError> {
    let sql = "SELECT (page_count - freelist_count) * page_size
               FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let size: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    Ok(u64::try_from(size).unwrap_or(0))
}

/// Opens a day's file, or makes it.
fn create(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_to_write(path, CACHE)?;
    connection.execute_batch(TABLE)?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1970-01-01", Some(0))]
    #[case("2000-02-29", Some(11_016))]
    #[case("2023-02-29", None)]
    #[case("2026-11-23", Some(20_780))]
    #[case("2026-1-23", None)]
    #[case("99999-01-01", None)]
    #[case("-1-01-01", None)]
    #[case("collector", None)]
    fn names(#[case] name: &str, #[case] day: Option<i64>) {
        assert_eq!(Day::parse(name), day.map(Day));
    }

    proptest! {
        #[test]
        fn a_day_is_found_by_its_name(day in 0_i64..2_900_000) {
            prop_assert_eq!(Day::parse(&Day(day).name()), Some(Day(day)));
        }
    }
}
