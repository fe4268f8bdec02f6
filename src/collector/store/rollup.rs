//! The embedded store's tables of sums and sketches: by minute, and by ten minutes and by hour beside it.
//!
//! What is called `minute` in these two is the first one of them. Rows of one dimension lie together, and in it
//! those of one minute: whoever asks for a dimension reads nothing else.

use std::sync::LazyLock;

use rusqlite::types::{Value, ValueRef};
use rusqlite::{OptionalExtension, Row, Statement, Transaction, params, params_from_iter};

use super::StoreError;
use crate::figures::{Figures, SAMPLES};
use crate::sketch::Sketches;

/// How long a time a row tells of. The shorter ones are less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum By {
    Minute,
    /// Counted from the full hour.
    Ten,
    Hour,
}

// === impl By ===

impl By {
    /// All, in their order.
    pub(super) const ALL: [Self; 3] = [Self::Minute, Self::Ten, Self::Hour];

    /// Minutes that a row tells of.
    pub(super) const fn minutes(self) -> u64 {
        match self {
            Self::Minute => 1,
            Self::Ten => 10,
            Self::Hour => 60,
        }
    }

    /// The next shorter one.
    pub(super) const fn shorter(self) -> Option<Self> {
        match self {
            Self::Minute => None,
            Self::Ten => Some(Self::Minute),
            Self::Hour => Some(Self::Ten),
        }
    }

    /// The first minute of the row that a minute is in.
    pub(super) const fn first(self, minute: u64) -> u64 {
        minute / self.minutes() * self.minutes()
    }

    /// The table of sums.
    pub(super) const fn sums(self) -> &'static str {
        match self {
            Self::Minute => "rollup",
            Self::Ten => "rollup_ten",
            Self::Hour => "rollup_hour",
        }
    }

    /// The table of sketches: a row beside those of the sums that have samples. Their merging is not the database's.
    pub(super) const fn sketches(self) -> &'static str {
        match self {
            Self::Minute => "sketch",
            Self::Ten => "sketch_ten",
            Self::Hour => "sketch_hour",
        }
    }

    /// Makes the tables.
    pub(super) fn create(self) -> String {
        let columns: String = columns().map(|name| format!("    {name} INTEGER NOT NULL,\n")).collect();
        let table = |name: &str, columns: &str| {
            format!(
                "CREATE TABLE {name} (\n    dimension INTEGER NOT NULL,\n    minute INTEGER NOT NULL,\n    \
                 value TEXT NOT NULL,\n{columns}    PRIMARY KEY (dimension, minute, value)\n) WITHOUT ROWID;\n"
            )
        };
        table(self.sums(), &columns) + &table(self.sketches(), "    state BLOB NOT NULL,\n")
    }

    /// What adds sums to those of a place: see [`add`]. Samples of what runs add up within a minute; of a longer time the
    /// largest are told.
    pub(super) fn add(self) -> &'static str {
        static ADD: LazyLock<[String; 3]> = LazyLock::new(|| By::ALL.map(By::made_add));
        let [by_minute, by_ten, by_hour] = &*ADD;
        match self {
            Self::Minute => by_minute,
            Self::Ten => by_ten,
            Self::Hour => by_hour,
        }
    }

    fn made_add(self) -> String {
        let names: Vec<_> = columns().collect();
        let places: Vec<_> = (1..=names.len() + 3).map(|place| format!("?{place}")).collect();
        let joined = |name: &String| match self {
            Self::Ten | Self::Hour if !Figures::NAMES.contains(&name.as_str()) => {
                format!("{name} = max({name}, excluded.{name})")
            }
            _ => format!("{name} = {name} + excluded.{name}"),
        };
        let joined: Vec<_> = names.iter().map(joined).collect();
        format!(
            "INSERT INTO {} (dimension, minute, value, {}) VALUES ({})
             ON CONFLICT (dimension, minute, value) DO UPDATE SET {}",
            self.sums(),
            names.join(", "),
            places.join(", "),
            joined.join(", ")
        )
    }
}

/// Columns of sums, in the order of [`Figures::values`].
pub(super) fn columns() -> impl Iterator<Item = String> {
    Figures::NAMES.iter().map(|name| (*name).to_owned()).chain(samples())
}

/// Columns of samples of what runs.
pub(super) fn samples() -> impl Iterator<Item = String> {
    (0..SAMPLES).map(|sample| format!("running_{sample}"))
}

/// Adds sums to those of a place, with what [`By::add`] gives.
pub(super) fn add(
    statement: &mut Statement<'_>,
    (dimension, minute, value): (i64, i64, &str),
    figures: &Figures,
) -> rusqlite::Result<usize> {
    let place = [Value::from(dimension), Value::from(minute), Value::from(value.to_owned())];
    statement.execute(params_from_iter(place.into_iter().chain(figures.values().map(Value::from))))
}

/// Has a place's sums tell these samples.
pub(super) fn set_samples(
    transaction: &Transaction<'_>,
    by: By,
    (dimension, minute, value): (i64, i64, &str),
    running: [i64; SAMPLES],
) -> rusqlite::Result<usize> {
    let set: Vec<_> = samples().zip(4..).map(|(name, place)| format!("{name} = ?{place}")).collect();
    let sql = format!(
        "UPDATE {} SET {} WHERE dimension = ?1 AND minute = ?2 AND value = ?3",
        by.sums(),
        set.join(", ")
    );
    let place = [Value::from(dimension), Value::from(minute), Value::from(value.to_owned())];
    let values = place.into_iter().chain(running.map(Value::from));
    transaction.prepare_cached(&sql)?.execute(params_from_iter(values))
}

/// Merges sketches into the row of a place.
pub(super) fn merge(
    transaction: &Transaction<'_>,
    by: By,
    (dimension, minute, value): (i64, i64, &str),
    sketches: &Sketches,
) -> Result<(), StoreError> {
    let table = by.sketches();
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

/// The first dimension that has sums, from this one on.
pub(super) fn dimension_from(
    transaction: &Transaction<'_>,
    by: By,
    first: i64,
) -> Result<Option<i64>, StoreError> {
    let sql = format!("SELECT min(dimension) FROM {} WHERE dimension >= ?1", by.sums());
    Ok(transaction.prepare_cached(&sql)?.query_row([first], |row| row.get(0))?)
}

/// The first minute of a dimension that has sums, from this one on.
pub(super) fn minute_from(
    transaction: &Transaction<'_>,
    by: By,
    dimension: i64,
    first: i64,
) -> Result<Option<i64>, StoreError> {
    let sql = format!("SELECT min(minute) FROM {} WHERE dimension = ?1 AND minute >= ?2", by.sums());
    Ok(transaction.prepare_cached(&sql)?.query_row([dimension, first], |row| row.get(0))?)
}

/// Sums from a row's second column on.
pub(super) fn figures(row: &Row<'_>) -> Figures {
    Figures::from_values((1..=Figures::NAMES.len() + SAMPLES).map(|column| whole(row, column)))
}

/// A sum; SQLite makes floats of those that do not fit.
#[expect(clippy::cast_possible_truncation, reason = "what does not fit stays at the end of the range")]
pub(super) fn whole(row: &Row<'_>, column: usize) -> i64 {
    match row.get_ref(column) {
        Ok(ValueRef::Integer(number)) => number,
        Ok(ValueRef::Real(number)) => number as i64,
        _ => 0,
    }
}
