//! What people look up: single sessions, what became of them, boxes, and their interfaces.

use rusqlite::{OptionalExtension, Row, params};
use serde_json::Value;

use super::StoreError;
use super::reader::SqliteReader;
use super::sqlite::{session, stored};
use crate::session::{Key, Session};
use crate::time::UnixMs;

/// How many sessions, the newest first, are looked through for a text.
pub(super) const LOOKED_THROUGH: usize = 10_000;
/// How many sessions, the newest first, boxes are gathered from.
pub(super) const BOXES_OF: usize = 20_000;
/// Most rows of a session's story.
pub(super) const MAX_STORY: usize = 5_000;

/// Looks things up; another connection than those that metrics are asked of.
pub(crate) trait Lookup: Send {
    /// Sessions that are wanted, the newest first.
    fn sessions(&mut self, wanted: &Wanted) -> Result<Vec<Session>, StoreError>;

    /// A session by its key.
    fn session(&mut self, key: &Key) -> Result<Option<Session>, StoreError>;

    /// What became of a session, in the order in which it came.
    fn story(&mut self, key: &Key) -> Result<Vec<Value>, StoreError>;

    /// Boxes, those with the newest session first.
    fn boxes(&mut self, most: usize) -> Result<Vec<BoxSeen>, StoreError>;

    /// How many boxes have begun a session since then.
    fn devices_since(&mut self, since: UnixMs) -> Result<i64, StoreError>;

    /// Interfaces of boxes, with their last two measurements.
    fn interfaces(&mut self, most: usize) -> Result<Vec<Interface>, StoreError>;
}

/// Which sessions are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    /// Only those that run, or only those that do not.
    pub(crate) running: Option<bool>,
    /// Begun before that.
    pub(crate) before: Option<UnixMs>,
    /// In the name of the box or in a label, letters in either case; of the newest sessions only.
    pub(crate) text: String,
    pub(crate) most: usize,
}

/// A box by what is known of its newest sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BoxSeen {
    pub(crate) device: String,
    pub(crate) sessions: i64,
    pub(crate) running: i64,
    /// When the newest session began.
    pub(crate) newest: UnixMs,
}

/// An interface of a box.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Interface {
    pub(crate) device: String,
    /// The last measurement as it is on the wire.
    pub(crate) last: Value,
    pub(crate) before: Option<Value>,
}

impl Lookup for SqliteReader {
    fn sessions(&mut self, wanted: &Wanted) -> Result<Vec<Session>, StoreError> {
        let condition = match wanted.running {
            Some(true) => "ended IS NULL AND",
            Some(false) => "ended IS NOT NULL AND",
            None => "",
        };
        let sql = format!(
            "SELECT key, state FROM session WHERE {condition} start < ?1 ORDER BY start DESC LIMIT ?2"
        );
        let text = wanted.text.to_lowercase();
        let limit = if text.is_empty() { wanted.most } else { LOOKED_THROUGH };
        let before = wanted.before.map_or(i64::MAX, |before| stored(before.0));
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![before, limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let state: String = row.get(1)?;
            let session = session(row.get(0)?, &state)?;
            if is_in(&text, &session) {
                found.push(session);
            }
            if found.len() >= wanted.most {
                break;
            }
        }
        Ok(found)
    }

    fn session(&mut self, key: &Key) -> Result<Option<Session>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT state FROM session WHERE key = ?1")?;
        let state: Option<String> = statement.query_row([&key.0], |row| row.get(0)).optional()?;
        state.map(|state| session(key.0.clone(), &state)).transpose()
    }

    fn story(&mut self, key: &Key) -> Result<Vec<Value>, StoreError> {
        let sql = "SELECT pieces FROM story WHERE session = ?1 ORDER BY id LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![key.0, MAX_STORY], |row| row.get::<_, String>(0))?;
        let mut story = Vec::new();
        for row in rows {
            let pieces: Vec<Value> = serde_json::from_str(&row?)
                .map_err(|error| StoreError::Session { key: key.0.clone(), error })?;
            story.extend(pieces);
        }
        Ok(story)
    }

    fn boxes(&mut self, most: usize) -> Result<Vec<BoxSeen>, StoreError> {
        let sql = "SELECT device, count(*), sum(ended IS NULL), max(start)
                   FROM (SELECT device, ended, start FROM session ORDER BY start DESC LIMIT ?1)
                   GROUP BY device ORDER BY max(start) DESC, device LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![BOXES_OF, most], |row| {
            let newest: i64 = row.get(3)?;
            let newest = UnixMs(u64::try_from(newest).unwrap_or(0));
            Ok(BoxSeen { device: row.get(0)?, sessions: row.get(1)?, running: row.get(2)?, newest })
        })?;
        rows.map(|row| row.map_err(StoreError::from)).collect()
    }

    fn devices_since(&mut self, since: UnixMs) -> Result<i64, StoreError> {
        let sql = "SELECT count(DISTINCT device) FROM session WHERE start >= ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([stored(since.0)], |row| row.get(0))?)
    }

    fn interfaces(&mut self, most: usize) -> Result<Vec<Interface>, StoreError> {
        // From one interface to the next by the key: there are many measurements of each.
        let mut next = self.connection.prepare_cached(
            "SELECT device, name FROM network WHERE (device, name) > (?1, ?2) ORDER BY device, name LIMIT 1",
        )?;
        let mut newest = self.connection.prepare_cached(
            "SELECT report FROM network WHERE device = ?1 AND name = ?2 ORDER BY timestamp DESC LIMIT 2",
        )?;
        let mut interfaces = Vec::new();
        let mut place = (String::new(), String::new());
        let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
        while interfaces.len() < most {
            let Some(found) = next.query_row(params![place.0, place.1], pair).optional()? else { break };
            place = found;
            let rows = newest.query_map(params![place.0, place.1], |row| row.get::<_, String>(0))?;
            let reports: Result<Vec<_>, _> = rows.collect();
            let mut reports = reports?.into_iter().filter_map(|report| serde_json::from_str(&report).ok());
            let Some(last) = reports.next() else { continue };
            interfaces.push(Interface { device: place.0.clone(), last, before: reports.next() });
        }
        Ok(interfaces)
    }
}

/// Whether a text, in small letters, is in what tells a session apart.
pub(super) fn is_in(text: &str, session: &Session) -> bool {
    text.is_empty()
        || session.device.to_lowercase().contains(text)
        || session.key.0.to_lowercase().contains(text)
        || session.labels.all().any(|(_, value)| value.to_lowercase().contains(text))
}
