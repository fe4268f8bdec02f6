//! Sums by ten minutes and by hour: made of those by minute, ten of them at a time when they are over, and kept beside
//! them. Those by ten minutes are for the two ends of what is asked for, where an hour is not whole.
//!
//! Up to a border all minutes are in both, whatever comes late for them: that is added to these rows in the same
//! transaction as to the minute's. So an answer made of hours is what one made of their minutes would be. The border
//! goes on in steps, of which each takes a moment, and so not at once for all dimensions. Who asks reads by the hour up to
//! the border of the dimension, and minutes from there (see [`Border::parts`]).
//!
//! What is older than minutes are kept is there by the hour alone, and counts there alone.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ops::Range;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params, params_from_iter};

use super::StoreError;
use super::rollup::{self, By, columns, dimension_from, figures, merge, minute_from, samples, whole};
use super::sqlite::stored;
use crate::figures::{Figures, SAMPLES};
use crate::sketch::{Sketches, States};
use crate::time::{MINUTE, Minute, UnixMs};

/// How long after their end minutes are added to what is longer: by then most of what they have has come.
const GRACE: u64 = 5 * MINUTE;
/// What is made of minutes.
const MADE: [By; 2] = [By::Ten, By::Hour];

/// Where it is written how far this is.
pub(super) const TABLE: &str = "
CREATE TABLE border (
    id           INTEGER PRIMARY KEY CHECK (id = 0),
    minutes_from INTEGER NOT NULL,
    folded_from  INTEGER NOT NULL,
    folded_until INTEGER NOT NULL,
    dimension    INTEGER NOT NULL,
    minute       INTEGER NOT NULL
);
";

/// Which sums there are by minute, and which by hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Border {
    /// From this minute on they are there by minute: the first one of an hour, no later than [`Self::hours_until`].
    pub(super) minutes_from: u64,
    /// All minutes before this one are in their ten and in their hours.
    from: u64,
    /// The next ones, up to this one, are being added to these: of lower dimensions than this one all, and of this one
    /// those before this minute.
    until: u64,
    next: (i64, u64),
}

/// Rows that a question reads, of one dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) by: By,
    pub(super) from: u64,
    pub(super) until: u64,
}

// === impl Border ===

impl Border {
    /// With nothing under way.
    const fn at(minutes_from: u64, from: u64) -> Self {
        Self { minutes_from, from, until: from, next: (0, from) }
    }

    /// As it is stored; who asks reads it in the transaction in which the rest is asked.
    pub(super) fn read(connection: &Connection) -> Result<Self, StoreError> {
        let sql = "SELECT minutes_from, folded_from, folded_until, dimension, minute FROM border";
        let found = connection.prepare_cached(sql)?.query_row([], |row| {
            let minute = |column| row.get(column).map(|minute: i64| u64::try_from(minute).unwrap_or(0));
            let next = (row.get(3)?, minute(4)?);
            Ok(Self { minutes_from: minute(0)?, from: minute(1)?, until: minute(2)?, next })
        });
        Ok(found.optional()?.unwrap_or(Self::at(0, 0)))
    }

    pub(super) fn save(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let Self { minutes_from, from, until, next: (dimension, minute) } = *self;
        transaction.execute(
            "INSERT OR REPLACE INTO border (id, minutes_from, folded_from, folded_until, dimension, minute)
             VALUES (0, ?1, ?2, ?3, ?4, ?5)",
            params![stored(minutes_from), stored(from), stored(until), dimension, stored(minute)],
        )?;
        Ok(())
    }

    /// Before this minute there are whole hours of all dimensions.
    pub(super) const fn hours_until(&self) -> u64 {
        By::Hour.first(self.from)
    }

    /// The same, with none by minute before that one: the first one of an hour, before which there are sums by hour.
    pub(super) const fn without_minutes(self, before: u64) -> Self {
        Self { minutes_from: before, ..self }
    }

    /// Whether a minute's sums are there by minute.
    pub(super) const fn has_minute(&self, minute: u64) -> bool {
        minute >= self.minutes_from
    }

    /// Whether a minute's sums of a dimension are in those by ten minutes and by hour.
    pub(super) const fn is_folded(&self, dimension: i64, minute: u64) -> bool {
        minute < self.folded_until(dimension)
    }

    /// All minutes of a dimension before this one are in their ten and in their hours, and none from it on.
    const fn folded_until(&self, dimension: i64) -> u64 {
        let (next, minute) = self.next;
        if dimension < next {
            self.until
        } else if dimension == next {
            minute
        } else {
            self.from
        }
    }

    /// Which rows of a dimension tell of a time, in its order: the longest, up to `longest`, of which all that is in them is
    /// asked for. An hour that is only there by hour belongs where its first minute does.
    pub(super) fn parts(&self, dimension: i64, from: Minute, until: Minute, longest: By) -> Vec<Part> {
        let mut parts = Vec::new();
        self.add_parts(&mut parts, (By::Hour, longest), self.folded_until(dimension), from.0..until.0);
        parts
    }

    /// The same, of rows that are no longer than `by`.
    fn add_parts(
        &self,
        parts: &mut Vec<Part>,
        (by, longest): (By, By),
        folded: u64,
        Range { start: from, end: until }: Range<u64>,
    ) {
        if from >= until {
            return;
        }
        let Some(shorter) = by.shorter() else { return parts.push(Part { by, from, until }) };
        let add_shorter = |parts: &mut Vec<_>, from: u64, until| {
            self.add_parts(parts, (shorter, longest), folded, from.max(self.minutes_from)..until);
        };
        let first = from.div_ceil(by.minutes()).saturating_mul(by.minutes());
        let whole = match by <= longest {
            true if folded <= until => folded,
            true => by.first(until),
            false => 0,
        };
        let behind = if by == By::Hour { whole.max(until.min(self.minutes_from)) } else { whole };
        if first < behind {
            add_shorter(parts, from, first);
            parts.push(Part { by, from: first, until: behind });
            add_shorter(parts, behind, until);
        } else {
            add_shorter(parts, from, until);
        }
    }

    /// Goes on towards a minute by about so many rows; how many there were.
    fn advance(
        &mut self,
        transaction: &Transaction<'_>,
        until: u64,
        most: usize,
    ) -> Result<usize, StoreError> {
        let mut rows = 0;
        while self.from < until && rows < most {
            if self.from == self.until {
                let Some(oldest) = oldest(transaction, self.from)?.filter(|oldest| *oldest < until) else {
                    *self = Self::at(self.minutes_from, until);
                    break;
                };
                let from = self.from.max(By::Ten.first(oldest));
                *self = Self::at(self.minutes_from, from);
                self.until = until.min(from.saturating_add(By::Ten.minutes()));
            }
            match dimension_from(transaction, By::Minute, self.next.0)? {
                None => *self = Self::at(self.minutes_from, self.until),
                Some(dimension) => {
                    let minutes = (self.folded_until(dimension), self.until);
                    let (count, behind) = fold_some(transaction, dimension, minutes, most - rows)?;
                    rows += count;
                    self.next = if behind < self.until {
                        (dimension, behind)
                    } else {
                        (dimension.saturating_add(1), self.from)
                    };
                }
            }
        }
        Ok(rows)
    }

    /// Adds what has come late for a minute to its ten and to its hour, after it was added to its minute.
    pub(super) fn add_late(
        &self,
        transaction: &Transaction<'_>,
        (dimension, minute, value): (i64, u64, &str),
        figures: &Figures,
    ) -> Result<(), StoreError> {
        if !self.has_minute(minute) {
            let mut add = transaction.prepare_cached(By::Hour.add())?;
            rollup::add(&mut add, (dimension, stored(By::Hour.first(minute)), value), figures)?;
            return Ok(());
        }
        // The largest sample is one of whole minutes; it may have been the one that has become less.
        let running = largest(transaction, dimension, value, minute..minute + 1)?;
        let may_be_less = figures.running.iter().any(|running| *running < 0);
        for by in MADE {
            let first = by.first(minute);
            let mut add = transaction.prepare_cached(by.add())?;
            rollup::add(&mut add, (dimension, stored(first), value), &Figures { running, ..*figures })?;
            if may_be_less {
                let folded = first..self.folded_until(dimension).min(first + by.minutes());
                let running = largest(transaction, dimension, value, folded)?;
                rollup::set_samples(transaction, by, (dimension, stored(first), value), running)?;
            }
        }
        Ok(())
    }

    /// Merges what has come late for a minute into its ten and its hour.
    pub(super) fn merge_late(
        &self,
        transaction: &Transaction<'_>,
        (dimension, minute, value): (i64, u64, &str),
        sketches: &Sketches,
    ) -> Result<(), StoreError> {
        let made = if self.has_minute(minute) { MADE.as_slice() } else { &[By::Hour] };
        for by in made {
            merge(transaction, *by, (dimension, stored(by.first(minute)), value), sketches)?;
        }
        Ok(())
    }
}

/// A step towards the last minutes that are over, of about so many rows; how many there were.
pub(super) fn fold(
    connection: &mut Connection,
    border: &mut Border,
    now: UnixMs,
    most: usize,
) -> Result<usize, StoreError> {
    let until = By::Ten.first((now - GRACE).minute().0);
    if border.from >= until {
        return Ok(0);
    }
    let transaction = connection.transaction()?;
    let mut advanced = *border;
    let rows = advanced.advance(&transaction, until, most)?;
    advanced.save(&transaction)?;
    transaction.commit()?;
    *border = advanced;
    Ok(rows)
}

/// The oldest minute that has sums, of any dimension, from this one on.
fn oldest(transaction: &Transaction<'_>, from: u64) -> Result<Option<u64>, StoreError> {
    let (mut first, mut oldest) = (0, None::<i64>);
    while let Some(dimension) = dimension_from(transaction, By::Minute, first)? {
        let minute = minute_from(transaction, By::Minute, dimension, stored(from))?;
        oldest = oldest.into_iter().chain(minute).min();
        first = dimension.saturating_add(1);
    }
    Ok(oldest.and_then(|oldest| u64::try_from(oldest).ok()))
}

/// Adds minutes of a dimension, all in the same ten, to that and to its hour, as many as have about so many rows; how many
/// these were, and the minute behind the last one.
fn fold_some(
    transaction: &Transaction<'_>,
    dimension: i64,
    (from, end): (u64, u64),
    most: usize,
) -> Result<(usize, u64), StoreError> {
    let (mut count, mut behind) = (0, end);
    let mut sums: BTreeMap<String, Figures> = BTreeMap::new();
    {
        let columns: Vec<_> = columns().collect();
        let sql = format!(
            "SELECT minute, {}, value FROM rollup WHERE dimension = ?1 AND minute >= ?2 AND minute < ?3
             ORDER BY dimension, minute, value",
            columns.join(", ")
        );
        let mut statement = transaction.prepare_cached(&sql)?;
        let mut rows = statement.query(params![dimension, stored(from), stored(end)])?;
        let mut last = None;
        while let Some(row) = rows.next()? {
            let minute: i64 = row.get(0)?;
            if count >= most && last != Some(minute) {
                behind = u64::try_from(minute).unwrap_or(end);
                break;
            }
            (count, last) = (count + 1, Some(minute));
            let value = row.get_ref(1 + columns.len())?.as_str().unwrap_or_default();
            match sums.get_mut(value) {
                Some(sum) => sum.follow(&figures(row)),
                None => _ = sums.insert(value.to_owned(), figures(row)),
            }
        }
    }
    for by in MADE {
        let mut add = transaction.prepare_cached(by.add())?;
        for (value, sum) in &sums {
            rollup::add(&mut add, (dimension, stored(by.first(from)), value), sum)?;
        }
    }
    let mut all: BTreeMap<String, Sketches> = BTreeMap::new();
    {
        let sql = "SELECT value, state FROM sketch WHERE dimension = ?1 AND minute >= ?2 AND minute < ?3";
        let mut statement = transaction.prepare_cached(sql)?;
        let mut rows = statement.query(params![dimension, stored(from), stored(behind)])?;
        while let Some(row) = rows.next()? {
            let state = row.get_ref(1)?.as_blob().unwrap_or_default();
            all.entry(row.get(0)?).or_default().merge_encoded(state, States::ALL)?;
        }
    }
    for by in MADE {
        for (value, sketches) in &all {
            merge(transaction, by, (dimension, stored(by.first(from)), value), sketches)?;
        }
    }
    Ok((count, behind))
}

/// The largest samples of minutes that a value has sums in.
fn largest(
    transaction: &Transaction<'_>,
    dimension: i64,
    value: &str,
    minutes: Range<u64>,
) -> Result<[i64; SAMPLES], StoreError> {
    let largest: Vec<_> = samples().map(|name| format!("max({name})")).collect();
    // Each one named, so that nothing but them is read.
    let places: Vec<_> = minutes.clone().zip(3..).map(|(_, place)| format!("?{place}")).collect();
    let sql = format!(
        "SELECT {} FROM rollup WHERE dimension = ?1 AND value = ?2 AND minute IN ({})",
        largest.join(", "),
        places.join(", ")
    );
    let place = [Value::from(dimension), Value::from(value.to_owned())];
    let minutes = minutes.map(|minute| Value::from(stored(minute)));
    let mut statement = transaction.prepare_cached(&sql)?;
    let largest = |row: &Row<'_>| Ok(std::array::from_fn(|column| whole(row, column)));
    Ok(statement.query_row(params_from_iter(place.into_iter().chain(minutes)), largest)?)
}
