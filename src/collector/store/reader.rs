//! Questions to the embedded store about sums.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::fold::{Border, Part};
use super::grid::Grid;
use super::rollup::{By, columns, figures};
use super::sqlite::{own_dimensions, stored, table};
use super::{ALL_TIME, Cell, Merging, Reader, Sketched, Span, StoreError};
use crate::figures::Figures;
use crate::sketch::States;
use crate::time::Minute;

/// The store, for those who ask.
#[derive(Debug)]
pub(crate) struct SqliteReader {
    pub(super) connection: Connection,
    /// Where the store is.
    pub(super) directory: PathBuf,
}

// === impl SqliteReader ===

impl SqliteReader {
    pub(super) fn new(connection: Connection, directory: &Path) -> Self {
        Self { connection, directory: directory.to_owned() }
    }

    /// Hands over the rows of a span, in the order of their minutes and in a minute in that of their values. Added up here:
    /// SQL would do it column by column, in its interpreter.
    fn rows(
        &mut self,
        span: &Span,
        longest: By,
        only: Option<&[String]>,
        mut each: impl FnMut(Minute, &str, &Figures),
    ) -> Result<(), StoreError> {
        // Nothing moves from minutes to hours meanwhile.
        let transaction = self.connection.transaction()?;
        let columns: Vec<_> = columns().collect();
        let number = table(span.filter, span.dimension);
        for part in Border::read(&transaction)?.parts(number, span.from, span.until, longest) {
            // In this order they lie in the table.
            let sql = format!(
                "SELECT minute, {}, value FROM {} WHERE dimension = ?1 AND minute >= ?2 AND minute < ?3 {}
                 ORDER BY dimension, minute, value",
                columns.join(", "),
                part.by.sums(),
                condition(only)
            );
            let mut statement = transaction.prepare(&sql)?;
            let mut rows = statement.query(params_from_iter(values(span, &part, only)))?;
            while let Some(row) = rows.next()? {
                let value = row.get_ref(1 + columns.len())?.as_str().unwrap_or_default();
                each(minute(row)?, value, &figures(row));
            }
        }
        Ok(())
    }

    /// What rows of each value come to.
    fn by_value(
        &mut self,
        span: &Span,
        join: impl Fn(&mut Figures, &Figures),
    ) -> Result<BTreeMap<String, Figures>, StoreError> {
        let mut all: BTreeMap<String, Figures> = BTreeMap::new();
        self.rows(span, By::Hour, None, |_, value, figures| match all.get_mut(value) {
            Some(sum) => join(sum, figures),
            None => _ = all.insert(value.to_owned(), *figures),
        })?;
        Ok(all)
    }
}

impl Reader for SqliteReader {
    fn minutes(&mut self, span: &Span) -> Result<Vec<(Minute, Figures)>, StoreError> {
        let mut all: Vec<(Minute, Figures)> = Vec::new();
        self.rows(span, By::Minute, None, |minute, _, figures| match all.last_mut() {
            Some((last, sum)) if *last == minute => *sum += *figures,
            _ => all.push((minute, *figures)),
        })?;
        Ok(all)
    }

    fn values(&mut self, span: &Span) -> Result<Vec<(String, Figures)>, StoreError> {
        Ok(self.by_value(span, |sum, figures| *sum += *figures)?.into_iter().collect())
    }

    fn peaks(&mut self, span: &Span) -> Result<Vec<(String, i64)>, StoreError> {
        let peak = |(value, figures): (String, Figures)| (value, figures.concurrent_plays());
        Ok(self.by_value(span, Figures::follow)?.into_iter().map(peak).collect())
    }

    fn grid(&mut self, span: &Span, step: u64, only: Option<&[String]>) -> Result<Vec<Cell>, StoreError> {
        // The largest samples of several values are not of the same minute: they do not add up.
        let is_one = only.is_none_or(|only| only.len() <= 1);
        let longest = if is_one { longest_in(step) } else { By::Minute };
        let mut grid = Grid::new(step);
        self.rows(span, longest, only, |minute, value, figures| {
            grid.add(minute, if only.is_some() { "" } else { value }, figures);
        })?;
        Ok(grid.cells())
    }

    fn sketches(
        &mut self,
        span: &Span,
        step: u64,
        only: Option<&[String]>,
        wanted: States,
    ) -> Result<Vec<Sketched>, StoreError> {
        let transaction = self.connection.transaction()?;
        let mut merging = Merging::new(step, wanted);
        let number = table(span.filter, span.dimension);
        let longest = longest_in(step);
        for part in Border::read(&transaction)?.parts(number, span.from, span.until, longest) {
            let sql = format!(
                "SELECT minute, value, state FROM {} WHERE dimension = ?1 AND minute >= ?2 AND minute < ?3 {}",
                part.by.sketches(),
                condition(only)
            );
            let mut statement = transaction.prepare(&sql)?;
            let mut rows = statement.query(params_from_iter(values(span, &part, only)))?;
            while let Some(row) = rows.next()? {
                let value = if only.is_some() { "" } else { row.get_ref(1)?.as_str().unwrap_or_default() };
                merging.add(minute(row)?, value, row.get_ref(2)?.as_blob().unwrap_or_default())?;
            }
        }
        Ok(merging.told())
    }

    fn own_dimensions(&mut self) -> Result<Vec<(u32, String)>, StoreError> {
        own_dimensions(&self.connection)
    }
}

/// The longest of which steps of so many minutes, counted from 1970, are made.
fn longest_in(step: u64) -> By {
    let whole = |by: &By| step >= ALL_TIME || by.first(step) == step;
    By::ALL.into_iter().rev().find(whole).unwrap_or(By::Minute)
}

/// Of certain values, where they are named; see [`values`].
fn condition(only: Option<&[String]>) -> String {
    only.map_or_else(String::new, |only| {
        let places: Vec<_> = (4..4 + only.len()).map(|place| format!("?{place}")).collect();
        format!("AND value IN ({})", places.join(", "))
    })
}

/// What a question is about: its dimension, from and until when, and values where they are named.
fn values(span: &Span, part: &Part, only: Option<&[String]>) -> impl Iterator<Item = Value> {
    let numbers = [table(span.filter, span.dimension), stored(part.from), stored(part.until)];
    let values = only.unwrap_or_default().iter().map(|value| Value::from(value.clone()));
    numbers.into_iter().map(Value::from).chain(values)
}

fn minute(row: &rusqlite::Row<'_>) -> rusqlite::Result<Minute> {
    let minute: i64 = row.get(0)?;
    Ok(Minute(u64::try_from(minute).unwrap_or(0)))
}
