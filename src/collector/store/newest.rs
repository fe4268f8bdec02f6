//! Sessions, the newest first: those that run, from the main file, between those that have ended, from their days' files.

use std::collections::VecDeque;

use rusqlite::{Connection, Row, params};

use super::StoreError;
use super::days::{Day, Spot, column, days, hash, reader};
use super::reader::SqliteReader;
use super::sessions::spot;
use super::sqlite::stored;
use crate::session::Key;
use crate::time::UnixMs;

/// Which are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Newest {
    /// Only those that run, or only those that do not.
    pub(super) running: Option<bool>,
    /// Begun before that.
    pub(super) before: Option<UnixMs>,
    pub(super) most: usize,
    /// What of them.
    pub(super) of: Of,
}

/// What is read of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    /// Its key and its state.
    Session,
    /// Its box and nothing: that is in an index.
    Device,
}

/// A session.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) start: UnixMs,
    pub(super) runs: bool,
    pub(super) columns: [String; 2],
}

// === impl Of ===

impl Of {
    /// The columns, and in which order they come: of those that began in the same moment in that of their keys.
    const fn sql(self) -> (&'static str, &'static str) {
        match self {
            Self::Session => ("key, state", "start DESC, key DESC"),
            Self::Device => ("device, ''", "start DESC"),
        }
    }
}

// === impl SqliteReader ===

impl SqliteReader {
    /// Hands over sessions until `each` has had enough.
    pub(super) fn newest(
        &mut self,
        wanted: Newest,
        mut each: impl FnMut(Told) -> Result<bool, StoreError>,
    ) -> Result<(), StoreError> {
        // What ends meanwhile is told as if it ran; it is in no day's file for this reader.
        let main = self.connection.transaction()?;
        let before = wanted.before.map_or(i64::MAX, |before| stored(before.0));
        let mut running =
            if wanted.running == Some(false) { VecDeque::new() } else { running(&main, wanted, before)? };
        let mut left = wanted.most;
        let mut hand_over = |told: Told| -> Result<bool, StoreError> {
            left = left.saturating_sub(1);
            Ok(each(told)? && left > 0)
        };
        if wanted.most == 0 {
            return Ok(());
        }
        let all = if wanted.running == Some(true) { Vec::new() } else { files(&self.directory, before)? };
        let (columns, order) = wanted.of.sql();
        for day in all {
            let Some(file) = reader(&self.directory, day)? else { continue };
            let sql =
                format!("SELECT hash, id, start, {columns} FROM session WHERE start < ?1 ORDER BY {order}");
            let mut statement = file.prepare(&sql)?;
            let mut rows = statement.query([before])?;
            while let Some(row) = rows.next()? {
                if spot(&main, row.get(0)?)? != Some(Spot { day, id: row.get(1)? }) {
                    continue;
                }
                let told = Told { start: start(row, 2)?, runs: false, columns: [row.get(3)?, row.get(4)?] };
                while running.front().is_some_and(|runs| is_newer(wanted.of, runs, &told)) {
                    let Some(newer) = running.pop_front() else { break };
                    if !hand_over(newer)? {
                        return Ok(());
                    }
                }
                if !hand_over(told)? {
                    return Ok(());
                }
            }
        }
        for told in running {
            if !hand_over(told)? {
                break;
            }
        }
        Ok(())
    }

    /// A column of a session that has ended.
    pub(super) fn ended(&mut self, key: &Key, name: &str) -> Result<Option<String>, StoreError> {
        let main = self.connection.transaction()?;
        let Some(Spot { day, id }) = spot(&main, hash(key))? else { return Ok(None) };
        let Some(file) = reader(&self.directory, day)? else { return Ok(None) };
        column(&file, name, id, key)
    }
}

fn running(main: &Connection, wanted: Newest, before: i64) -> Result<VecDeque<Told>, StoreError> {
    let (columns, order) = wanted.of.sql();
    let sql = format!("SELECT start, {columns} FROM running WHERE start < ?1 ORDER BY {order} LIMIT ?2");
    let mut statement = main.prepare_cached(&sql)?;
    let told =
        |row: &Row<'_>| Ok(Told { start: start(row, 0)?, runs: true, columns: [row.get(1)?, row.get(2)?] });
    let rows = statement.query_map(params![before, wanted.most], told)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Days that may have sessions of before a moment, the newest first.
fn files(store: &std::path::Path, before: i64) -> Result<Vec<Day>, StoreError> {
    let last = Day::of(UnixMs(before.unsigned_abs()));
    Ok(days(store)?.range(..=last).rev().copied().collect())
}

fn is_newer<'t>(of: Of, one: &'t Told, other: &'t Told) -> bool {
    let key = |told: &'t Told| if of == Of::Session { told.columns.first() } else { None };
    (one.start, key(one)) > (other.start, key(other))
}

fn start(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixMs> {
    let start: i64 = row.get(column)?;
    Ok(UnixMs(start.unsigned_abs()))
}
