//! What a batch inserts: the rows of each table, and those of sums by partition, with the batch's mark.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use flate2::Crc;

use super::client::push_row;
use super::journal::{Batch, Piece};
use super::{ClickHouse, schema};
use crate::book::{Changes, Place};
use crate::figures::{Figures, SAMPLES};
use crate::labels::Dimension;
use crate::store::sqlite::{FIRST_OWN, MAX_OWN, table};
use crate::store::{StoreError, told};
use crate::time::{HOUR, UnixMs};

/// What stands where a table of sums has the number of a dimension: the mark of a batch, and what has been received.
pub(super) const MARK: i64 = -1;
pub(super) const COUNT: i64 = -2;

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
    /// Everything that is to be inserted, and the numbers of dimensions that are new.
    pub(super) fn batch(
        &mut self,
        changes: &Changes,
        now: UnixMs,
    ) -> Result<(Batch, Vec<(String, u32)>), StoreError> {
        self.clock = (self.clock + 1).max(now.0);
        let version = self.clock.to_string();
        self.batches += 1;
        let id = format!("{}-{}-{}", self.id, self.run, self.batches);
        let mut new = Vec::new();
        let sums = self.sums(changes, now, &mut new);
        let sketches = self.sketches(changes, &id, &mut new);
        let (sessions, stories) = self.sessions_and_stories(changes, &version)?;
        let plain = [
            ("session", sessions),
            ("story", stories),
            ("network", networks(changes, now)),
            ("sketch", sketches),
            ("meta", meta(changes, &version, &new)?),
        ];
        let plain = plain.into_iter().filter(|(_, rows)| !rows.is_empty());
        let mut pieces: Vec<_> =
            plain.map(|(table, rows)| Piece { table: table.to_owned(), mark: None, rows }).collect();
        pieces.extend(marked(sums, &id));
        Ok((Batch { id, pieces }, new))
    }

    fn sessions_and_stories(&self, changes: &Changes, version: &str) -> Result<(String, String), StoreError> {
        let (mut sessions, mut stories) = (String::new(), String::new());
        let mut starts = HashMap::new();
        for session in &changes.sessions {
            let state = serde_json::to_string(session)
                .map_err(|error| StoreError::Session { key: session.key.0.clone(), error })?;
            let start = session.start.0.to_string();
            let runs = if session.end.is_none() { "1" } else { "0" };
            let cells = [&session.key.0, version, &self.id, &session.device, &start, runs, &state];
            push_row(&mut sessions, &cells);
            starts.insert(&session.key, start);
        }
        for (key, pieces) in &changes.stories {
            let start = starts.get(key).map_or("0", String::as_str);
            push_row(&mut stories, &[&key.0, version, start, &told(key, pieces)?]);
        }
        Ok((sessions, stories))
    }

    /// By table, partition and place.
    fn sums<'c>(
        &self,
        changes: &'c Changes,
        now: UnixMs,
        new: &mut Vec<(String, u32)>,
    ) -> BTreeMap<Sum<'c>, Figures> {
        let [by_minute, by_hour] = schema::SUMS;
        let mut sums: BTreeMap<Sum<'_>, Figures> = BTreeMap::new();
        for (Place { filter, dimension, minute, value }, figures) in &changes.rollups {
            let Some(id) = self.number(dimension, new) else { continue };
            let dimension = table(*filter, id);
            let hour = minute.0 / 60 * 60;
            let without_samples = Figures { running: [0; SAMPLES], ..*figures };
            for (table, minute, figures) in
                [(by_minute, minute.0, *figures), (by_hour, hour, without_samples)]
            {
                *sums.entry(Sum::of(table, dimension, minute, value)).or_default() += figures;
            }
        }
        let hour = now.0 / HOUR * 60;
        for (name, number) in changes.counts.named().into_iter().filter(|(_, number)| *number != 0) {
            let figures = Figures { attempts: number, ..Figures::default() };
            sums.insert(Sum::of(by_hour, COUNT, hour, name), figures);
        }
        sums
    }

    fn sketches(&self, changes: &Changes, id: &str, new: &mut Vec<(String, u32)>) -> String {
        let mut rows = String::new();
        for (Place { filter, dimension, minute, value }, states) in &changes.sketches {
            let Some(dimension) = self.number(dimension, new) else { continue };
            let (dimension, minute) = (table(*filter, dimension).to_string(), minute.0.to_string());
            push_row(&mut rows, &[&dimension, &minute, value, id, &BASE64.encode(states.encode())]);
        }
        rows
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
}

fn networks(changes: &Changes, now: UnixMs) -> String {
    let mut rows = String::new();
    let day = (now.0 / HOUR / 24).to_string();
    for (device, report) in &changes.networks {
        let text = serde_json::to_string(report).unwrap_or_default();
        push_row(&mut rows, &[device, &report.network.name, &report.timestamp.to_string(), &day, &text]);
    }
    rows
}

/// Filters, and dimensions that are new.
fn meta(changes: &Changes, version: &str, new: &[(String, u32)]) -> Result<String, StoreError> {
    let mut rows = String::new();
    for (id, filter) in &changes.filters {
        let state = filter.as_ref().map(serde_json::to_string).transpose();
        let state = state.map_err(|error| StoreError::Filter { id: id.0, error })?;
        push_row(&mut rows, &["filter", &id.0.to_string(), version, &state.unwrap_or_default()]);
    }
    for (name, id) in new {
        push_row(&mut rows, &["dimension", &id.to_string(), version, name]);
    }
    Ok(rows)
}

/// A piece for each table and partition, which begins with the mark of the batch.
fn marked(sums: BTreeMap<Sum<'_>, Figures>, id: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (sum, figures) in sums {
        let is_same = |piece: &&mut Piece| piece.table == sum.table && piece.mark == Some(sum.first);
        if pieces.last_mut().as_ref().is_none_or(|piece| !is_same(piece)) {
            let mark = Sum { dimension: MARK, minute: sum.first, value: id, ..sum };
            let mut rows = String::new();
            push_sums(&mut rows, &mark, &Figures::default());
            pieces.push(Piece { table: sum.table.to_owned(), mark: Some(sum.first), rows });
        }
        if let Some(piece) = pieces.last_mut() {
            push_sums(&mut piece.rows, &sum, &figures);
        }
    }
    pieces
}

fn push_sums(rows: &mut String, sum: &Sum<'_>, figures: &Figures) {
    let (dimension, minute) = (sum.dimension.to_string(), sum.minute.to_string());
    let figures: Vec<_> = figures.values().map(|value| value.to_string()).collect();
    let mut cells = vec![dimension.as_str(), &minute, sum.value, "1"];
    cells.extend(figures.iter().map(String::as_str));
    push_row(rows, &cells);
}
