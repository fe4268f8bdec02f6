//! Questions, of metrics and of single things.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

use super::client::{Client, Row, literal, literals};
use super::{MAX_KEYS, chunks};
use crate::figures::{Figures, SAMPLES};
use crate::session::{Key, Session};
use crate::sketch::States;
use crate::store::lookup::{BOXES_OF, LOOKED_THROUGH, MAX_STORY, is_in};
use crate::store::rollup::columns;
use crate::store::sessions::session;
use crate::store::sqlite::table;
use crate::store::{BoxSeen, Cell, Interface, Lookup, Merging, Reader, Sketched, Span, StoreError, Wanted};
use crate::time::{self, DAY, Minute, UnixMs};

/// How far back, in days, the newest sessions are looked for at first, and then.
const BACK: [u64; 2] = [2, 40];
/// Most sessions whose states are fetched at once.
const STATES: usize = 500;
/// From which minute on sums are told by the minute; before, by the hour.
const BORDER: &str = "(SELECT max(id) FROM meta WHERE kind = 'minutes_from')";

/// The store, for those who ask.
#[derive(Debug)]
pub(crate) struct ClickHouseReader {
    client: Client,
}

// === impl ClickHouseReader ===

impl ClickHouseReader {
    pub(super) const fn new(client: Client) -> Self {
        Self { client }
    }

    /// States of sessions, in the order of their keys.
    fn states(&self, keys: &[Key]) -> Result<Vec<Session>, StoreError> {
        let mut states = HashMap::new();
        for chunk in chunks(keys, MAX_KEYS) {
            let sql = format!(
                "SELECT key, argMax(state, version) FROM session WHERE key IN ({}) GROUP BY key",
                literals(chunk.iter().map(|key| key.0.as_str()))
            );
            states.extend(self.client.select(&sql)?.iter().map(|row| (row.text(0), row.text(1))));
        }
        let found = keys.iter().filter_map(|key| states.remove_entry(&key.0));
        found.map(|(key, state)| session(key, &state)).collect()
    }

    /// Rows of a question that is asked of the newest sessions, of more and more of them until there are enough.
    /// `sql` makes it of a condition.
    fn newest(&self, enough: usize, sql: impl Fn(&str) -> String) -> Result<Vec<Row>, StoreError> {
        let now = time::now();
        for days in BACK {
            let since = now - days * DAY;
            let rows = self.client.select(&sql(&format!("start >= {}", since.0)))?;
            if rows.len() >= enough {
                return Ok(rows);
            }
        }
        self.client.select(&sql("1"))
    }
}

impl Reader for ClickHouseReader {
    fn minutes(&mut self, span: &Span) -> Result<Vec<(Minute, Figures)>, StoreError> {
        let sql =
            format!("SELECT minute, {} FROM {} GROUP BY minute ORDER BY minute", sums(), source(span, ""));
        let rows = self.client.select(&sql)?;
        Ok(rows.iter().map(|row| (Minute(row.unsigned(0)), figures(row))).collect())
    }

    fn values(&mut self, span: &Span) -> Result<Vec<(String, Figures)>, StoreError> {
        let sql = format!("SELECT value, {} FROM {} GROUP BY value ORDER BY value", sums(), source(span, ""));
        let rows = self.client.select(&sql)?;
        Ok(rows.iter().map(|row| (row.text(0), figures(row))).collect())
    }

    fn peaks(&mut self, span: &Span) -> Result<Vec<(String, i64)>, StoreError> {
        let by_minute: Vec<_> = (0..SAMPLES).map(|s| format!("sum(running_{s}) AS s{s}")).collect();
        let largest = (1..SAMPLES).fold("max(s0)".to_owned(), |all, s| format!("greatest({all}, max(s{s}))"));
        let sql = format!(
            "SELECT value, {largest} FROM (SELECT minute, value, {} FROM {} GROUP BY minute, value)
             GROUP BY value ORDER BY value",
            by_minute.join(", "),
            source(span, "")
        );
        let rows = self.client.select(&sql)?;
        Ok(rows.iter().map(|row| (row.text(0), row.signed(1))).collect())
    }

    fn grid(&mut self, span: &Span, step: u64, only: Option<&[String]>) -> Result<Vec<Cell>, StoreError> {
        let names = || columns().enumerate();
        let by_minute: Vec<_> = names().map(|(column, name)| format!("sum({name}) AS s{column}")).collect();
        // Samples of several values add up within a minute, and only there.
        let made = |(column, _): (usize, String)| {
            if column < Figures::NAMES.len() { format!("sum(s{column})") } else { format!("max(s{column})") }
        };
        let made: Vec<_> = names().map(made).collect();
        let (name, condition) = match only {
            None => ("value", String::new()),
            // What is in no list is in none; an empty one is no question to ask.
            Some([]) => ("''", "AND 0".to_owned()),
            Some(only) => ("''", format!("AND value IN ({})", literals(only.iter().map(String::as_str)))),
        };
        let sql = format!(
            "SELECT intDiv(minute, {step}) AS step, {}, name FROM (
                 SELECT minute, {name} AS name, {} FROM {} GROUP BY minute, name
             ) GROUP BY step, name ORDER BY step, name",
            made.join(", "),
            by_minute.join(", "),
            source(span, &condition)
        );
        let rows = self.client.select(&sql)?;
        let cell = |row: &Row| Cell {
            at: Minute(row.unsigned(0).saturating_mul(step)),
            value: row.text(1 + Figures::NAMES.len() + SAMPLES),
            figures: figures(row),
        };
        Ok(rows.iter().map(cell).collect())
    }

    fn sketches(
        &mut self,
        span: &Span,
        step: u64,
        only: Option<&[String]>,
        states: States,
    ) -> Result<Vec<Sketched>, StoreError> {
        let condition = match only {
            None => String::new(),
            Some([]) => return Ok(Vec::new()),
            Some(only) => format!("AND value IN ({})", literals(only.iter().map(String::as_str))),
        };
        let sql = format!(
            "SELECT minute, value, any(state) FROM sketch WHERE {} GROUP BY minute, value, batch",
            wanted(span, &condition)
        );
        let mut merging = Merging::new(step, states);
        for row in self.client.select(&sql)? {
            let wrong = |error| StoreError::ClickHouse(format!("a sketch cannot be read: {error}"));
            let (value, state) = (row.text(1), BASE64.decode(row.text(2)).map_err(wrong)?);
            merging.add(Minute(row.unsigned(0)), if only.is_some() { "" } else { &value }, &state)?;
        }
        Ok(merging.told())
    }

    fn own_dimensions(&mut self) -> Result<Vec<(u32, String)>, StoreError> {
        let sql =
            "SELECT id, argMax(text, version) FROM meta WHERE kind = 'dimension' GROUP BY id ORDER BY id";
        let rows = self.client.select(sql)?;
        Ok(rows.iter().map(|row| (u32::try_from(row.unsigned(0)).unwrap_or(0), row.text(1))).collect())
    }
}

impl Lookup for ClickHouseReader {
    fn sessions(&mut self, wanted: &Wanted) -> Result<Vec<Session>, StoreError> {
        let having = match wanted.running {
            Some(true) => "HAVING argMax(runs, version) = 1",
            Some(false) => "HAVING argMax(runs, version) = 0",
            None => "",
        };
        let text = wanted.text.to_lowercase();
        let limit = if text.is_empty() { wanted.most } else { LOOKED_THROUGH };
        let before = wanted.before.map_or(u64::MAX, |before| before.0);
        let rows = self.newest(limit, |condition| {
            format!(
                "SELECT key FROM session WHERE {condition} AND start < {before}
                 GROUP BY key {having} ORDER BY any(start) DESC, key DESC LIMIT {limit}"
            )
        })?;
        let keys: Vec<_> = rows.iter().map(|row| Key(row.text(0))).collect();
        let mut found = Vec::new();
        for keys in keys.chunks(STATES) {
            found.extend(self.states(keys)?.into_iter().filter(|session| is_in(&text, session)));
            if found.len() >= wanted.most {
                break;
            }
        }
        found.truncate(wanted.most);
        Ok(found)
    }

    fn session(&mut self, key: &Key) -> Result<Option<Session>, StoreError> {
        Ok(self.states(std::slice::from_ref(key))?.pop())
    }

    fn story(&mut self, key: &Key) -> Result<Vec<Value>, StoreError> {
        let sql = format!(
            "SELECT version, any(pieces) FROM story WHERE session = {} GROUP BY version ORDER BY version
             LIMIT {MAX_STORY}",
            literal(&key.0)
        );
        let mut story = Vec::new();
        for row in self.client.select(&sql)? {
            let pieces: Vec<Value> = serde_json::from_str(&row.text(1))
                .map_err(|error| StoreError::Session { key: key.0.clone(), error })?;
            story.extend(pieces);
        }
        Ok(story)
    }

    fn boxes(&mut self, most: usize) -> Result<Vec<BoxSeen>, StoreError> {
        let rows = self.newest(most, |condition| {
            format!(
                "SELECT d, count(), sum(r), max(s) AS newest FROM (
                     SELECT any(device) AS d, argMax(runs, version) AS r, any(start) AS s FROM session
                     WHERE {condition} GROUP BY key ORDER BY s DESC, key DESC LIMIT {BOXES_OF}
                 ) GROUP BY d ORDER BY newest DESC, d LIMIT {most}"
            )
        })?;
        let seen = |row: &Row| BoxSeen {
            device: row.text(0),
            sessions: row.signed(1),
            running: row.signed(2),
            newest: UnixMs(row.unsigned(3)),
        };
        Ok(rows.iter().map(seen).collect())
    }

    fn devices_since(&mut self, since: UnixMs) -> Result<i64, StoreError> {
        let sql = format!("SELECT uniqExact(device) FROM session WHERE start >= {}", since.0);
        Ok(self.client.select(&sql)?.first().map_or(0, |row| row.signed(0)))
    }

    fn interfaces(&mut self, most: usize) -> Result<Vec<Interface>, StoreError> {
        let sql = format!(
            "SELECT device, name FROM network GROUP BY device, name ORDER BY device, name LIMIT {most}"
        );
        let rows = self.client.select(&sql)?;
        let places: Vec<_> = rows
            .iter()
            .map(|row| format!("({}, {})", literal(&row.text(0)), literal(&row.text(1))))
            .collect();
        if places.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT device, name, timestamp, any(report) FROM network WHERE (device, name) IN ({})
             GROUP BY device, name, timestamp ORDER BY device, name, timestamp DESC LIMIT 2 BY device, name",
            places.join(", ")
        );
        let mut interfaces: Vec<((String, String), Interface)> = Vec::new();
        for row in self.client.select(&sql)? {
            let Ok(report) = serde_json::from_str(&row.text(3)) else { continue };
            let place = (row.text(0), row.text(1));
            match interfaces.last_mut() {
                Some((same, interface)) if *same == place => interface.before = Some(report),
                _ => {
                    let device = place.0.clone();
                    interfaces.push((place, Interface { device, last: report, before: None }));
                }
            }
        }
        Ok(interfaces.into_iter().map(|(_, interface)| interface).collect())
    }
}

/// Where sums of a span are. What is old is told by the hour, whatever is there by the minute; its samples are the
/// largest, which come once however often they were inserted.
fn source(span: &Span, condition: &str) -> String {
    let columns: Vec<_> = columns().collect();
    let wanted = wanted(span, condition);
    let none: Vec<_> = Figures::NAMES.iter().map(|_| "toInt64(0)").collect();
    let samples: Vec<_> = (0..SAMPLES).map(|sample| format!("max(running_{sample})")).collect();
    let columns = columns.join(", ");
    format!(
        "(SELECT minute, value, {columns} FROM rollup WHERE {wanted} AND minute >= {BORDER}
          UNION ALL SELECT minute, value, {columns} FROM rollup_hour WHERE {wanted} AND minute < {BORDER}
          UNION ALL SELECT minute, value, {}, {} FROM peak_hour WHERE {wanted} AND minute < {BORDER}
                    GROUP BY minute, value)",
        none.join(", "),
        samples.join(", ")
    )
}

fn wanted(span: &Span, condition: &str) -> String {
    format!(
        "dimension = {} AND minute >= {} AND minute < {} {condition}",
        table(span.filter, span.dimension),
        span.from.0,
        span.until.0
    )
}

/// Sums of all columns, in their order, from the second on.
fn sums() -> String {
    columns().map(|name| format!("sum({name})")).collect::<Vec<_>>().join(", ")
}

fn figures(row: &Row) -> Figures {
    Figures::from_values((1..=Figures::NAMES.len() + SAMPLES).map(|column| row.signed(column)))
}
