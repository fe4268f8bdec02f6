//! Where sessions and their sums are kept. What [`Store::write`] has returned from outlives the machine.

mod clickhouse;
mod days;
mod fold;
mod grid;
mod keep;
mod lookup;
mod newest;
mod reader;
mod rollup;
mod sessions;
mod sqlite;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use thiserror::Error;

pub(crate) use self::clickhouse::{Address, ClickHouse};
pub(crate) use self::keep::{Keep, Tidied};
pub(crate) use self::lookup::{BoxSeen, Interface, Lookup, Wanted};
pub(crate) use self::sqlite::Sqlite;

use crate::book::{Changes, Counts};
use crate::figures::Figures;
use crate::filters::{Filter, FilterId};
use crate::labels::Dimension;
use crate::session::story::Piece;
use crate::session::{Key, Session};
use crate::sketch::{Sketches, States, Unreadable};
use crate::time::{Minute, UnixMs};

/// Keeps sessions, roll-ups by minute, and measurements of interfaces.
pub(crate) trait Store: Send {
    /// All sessions that have not ended.
    fn running(&mut self) -> Result<Vec<Session>, StoreError>;

    /// A session that has ended by its key; one that runs may be left out.
    fn session(&mut self, key: &Key) -> Result<Option<Session>, StoreError>;

    /// Writes all of it or nothing.
    fn write(&mut self, changes: &Changes) -> Result<(), StoreError>;

    /// Saved filters, and what the next one is called.
    fn filters(&mut self) -> Result<(Vec<Filter>, FilterId), StoreError>;

    /// Takes a step towards keeping no more than is wanted, in less than a moment.
    fn tidy(&mut self, keep: &Keep, now: UnixMs) -> Result<Tidied, StoreError>;

    /// What has come, since the store was made.
    fn counts(&mut self) -> Result<Counts, StoreError>;

    /// How long what comes is gathered before it is written at once.
    fn gather(&self) -> Duration {
        Duration::ZERO
    }

    /// Whether other collectors write it, too.
    fn is_shared(&self) -> bool {
        false
    }

    /// Which of these sessions another collector has written since this one has.
    fn taken_over(&mut self, keys: &[Key]) -> Result<Vec<Key>, StoreError> {
        let _ = keys;
        Ok(Vec::new())
    }
}

/// Answers questions; another connection than the one that writes, so that nobody waits for the other.
pub(crate) trait Reader: Send {
    /// Sums of each minute, of one value of a dimension or of all values of it together.
    fn minutes(&mut self, span: &Span) -> Result<Vec<(Minute, Figures)>, StoreError>;

    /// Sums of each value of a dimension. Samples of what runs are of no use in it: see [`Reader::peaks`].
    fn values(&mut self, span: &Span) -> Result<Vec<(String, Figures)>, StoreError>;

    /// The largest number of plays at once of each value of a dimension.
    fn peaks(&mut self, span: &Span) -> Result<Vec<(String, i64)>, StoreError>;

    /// Sums of each value of a dimension in each step of so many minutes, with the largest number of plays at once;
    /// steps are counted from 1970. Of certain values, where they are named, all together.
    fn grid(&mut self, span: &Span, step: u64, only: Option<&[String]>) -> Result<Vec<Cell>, StoreError>;

    /// Sketches of each value of a dimension in each step of so many minutes, merged; steps are counted from 1970. Of
    /// certain values, where they are named, all together. What has no sample is not told, and states that are not wanted
    /// may be left out.
    fn sketches(
        &mut self,
        span: &Span,
        step: u64,
        only: Option<&[String]>,
        wanted: States,
    ) -> Result<Vec<Sketched>, StoreError>;

    /// Numbers and names of the operators' own dimensions.
    fn own_dimensions(&mut self) -> Result<Vec<(u32, String)>, StoreError>;
}

/// A step that holds all minutes.
pub(crate) const ALL_TIME: u64 = i64::MAX as u64;

/// Of what sums are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// Of which sessions.
    pub(crate) filter: FilterId,
    /// By its number; 0 for all sessions together.
    pub(crate) dimension: u32,
    /// The first minute.
    pub(crate) from: Minute,
    /// The minute behind the last one.
    pub(crate) until: Minute,
}

/// Sums of a value of a dimension in some minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    /// The first minute.
    pub(crate) at: Minute,
    /// The dimension's; empty where several are told together.
    pub(crate) value: String,
    /// `running` holds the largest of each sample, no sum.
    pub(crate) figures: Figures,
}

/// Sketches of a value of a dimension in some minutes.
#[derive(Debug, Clone)]
pub(crate) struct Sketched {
    /// The first minute.
    pub(crate) at: Minute,
    /// The dimension's; empty where several are told together.
    pub(crate) value: String,
    pub(crate) sketches: Sketches,
}

/// Why the store failed.
#[derive(Debug, Error)]
pub(crate) enum StoreError {
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// No answer.
    #[error("{0}")]
    Away(String),
    /// The server says no.
    #[error("{0}")]
    ClickHouse(String),
    #[error("{address}: the server is of version {found}; it has to be {oldest} or later")]
    Server { address: String, found: String, oldest: &'static str },
    /// Those of days.
    #[error("the files of sessions: {0}")]
    Files(std::io::Error),
    #[error("the journal: {0}")]
    Journal(#[from] std::io::Error),
    #[error("session {key:?} in the store cannot be read: {error}")]
    Session { key: String, error: serde_json::Error },
    #[error("{0}")]
    Sketch(#[from] Unreadable),
    #[error("filter {id} in the store cannot be read: {error}")]
    Filter { id: u32, error: serde_json::Error },
    #[error(
        "the store is of version {found}, this program of {expected}: take the program that made it, or another --data"
    )]
    Version { found: i64, expected: i64 },
}

/// Pieces of a session's story as they are stored.
fn told(key: &Key, pieces: &[Piece]) -> Result<String, StoreError> {
    serde_json::to_string(pieces).map_err(|error| StoreError::Session { key: key.0.clone(), error })
}

/// Stored sketches, put together as [`Reader::sketches`] tells them.
#[derive(Debug)]
struct Merging {
    /// In minutes.
    step: u64,
    wanted: States,
    all: BTreeMap<Minute, HashMap<String, Sketches>>,
}

// === impl Merging ===

impl Merging {
    fn new(step: u64, wanted: States) -> Self {
        Self { step: step.max(1), wanted, all: BTreeMap::new() }
    }

    /// In any order.
    fn add(&mut self, minute: Minute, value: &str, state: &[u8]) -> Result<(), StoreError> {
        let at = Minute((minute.0 / self.step).saturating_mul(self.step));
        let step = self.all.entry(at).or_default();
        if let Some(sketches) = step.get_mut(value) {
            return Ok(sketches.merge_encoded(state, self.wanted)?);
        }
        let mut sketches = Sketches::default();
        sketches.merge_encoded(state, self.wanted)?;
        step.insert(value.to_owned(), sketches);
        Ok(())
    }

    /// By step, and in a step by value.
    fn told(self) -> Vec<Sketched> {
        let told = self.all.into_iter().flat_map(|(at, step)| {
            let mut step: Vec<_> = step.into_iter().collect();
            step.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
            step.into_iter().map(move |(value, sketches)| Sketched { at, value, sketches })
        });
        told.collect()
    }
}

// === impl StoreError ===

impl StoreError {
    /// Whether the store itself fails, and not only something that is in it.
    pub(crate) const fn is_of_all(&self) -> bool {
        !matches!(self, Self::Session { .. } | Self::Filter { .. } | Self::Sketch(_))
    }

    /// Whether it may go by itself.
    pub(crate) const fn may_pass(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}

impl Dimension {
    /// Its name in the store, where it is the operator's own.
    fn own_name(&self) -> Option<&str> {
        match self {
            Self::Own(name) => Some(name),
            Self::All | Self::Known(_) => None,
        }
    }
}
