//! What people look up: single sessions, what became of them, boxes, and their interfaces.

use std::collections::{HashMap, HashSet};

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::StoreError;
use super::days::{Day, days, reader};
use super::newest::{Newest, Of, Told};
use super::reader::SqliteReader;
use super::sessions::session;
use super::sqlite::stored;
use crate::session::{Key, Session};
use crate::sketch::device_hash;
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
        let text = wanted.text.to_lowercase();
        let limit = if text.is_empty() { wanted.most } else { LOOKED_THROUGH };
        let mut found = Vec::new();
        let newest = Newest { running: wanted.running, before: wanted.before, most: limit, of: Of::Session };
        self.newest(newest, |Told { columns: [key, state], .. }| {
            let session = session(key, &state)?;
            if is_in(&text, &session) {
                found.push(session);
            }
            Ok(found.len() < wanted.most)
        })?;
        Ok(found)
    }

    fn session(&mut self, key: &Key) -> Result<Option<Session>, StoreError> {
        let sql = "SELECT state FROM running WHERE key = ?1";
        let state: Option<String> =
            self.connection.prepare_cached(sql)?.query_row([&key.0], |row| row.get(0)).optional()?;
        let state = match state {
            None => self.ended(key, "state")?,
            state => state,
        };
        state.map(|state| session(key.0.clone(), &state)).transpose()
    }

    fn story(&mut self, key: &Key) -> Result<Vec<Value>, StoreError> {
        let sql = "SELECT pieces FROM story WHERE session = (SELECT id FROM running WHERE key = ?1)
                   ORDER BY id LIMIT ?2";
        let mut lists: String = {
            let mut statement = self.connection.prepare_cached(sql)?;
            let rows = statement.query_map(params![key.0, MAX_STORY], |row| row.get::<_, String>(0))?;
            rows.collect::<Result<_, _>>()?
        };
        if lists.is_empty() {
            lists = self.ended(key, "story")?.unwrap_or_default();
        }
        let lists = serde_json::Deserializer::from_str(&lists).into_iter::<Vec<Value>>().take(MAX_STORY);
        let story = lists.collect::<Result<Vec<_>, _>>();
        Ok(story.map_err(|error| StoreError::Session { key: key.0.clone(), error })?.concat())
    }

    fn boxes(&mut self, most: usize) -> Result<Vec<BoxSeen>, StoreError> {
        let mut boxes: HashMap<String, BoxSeen> = HashMap::new();
        let newest = Newest { running: None, before: None, most: BOXES_OF, of: Of::Device };
        self.newest(newest, |Told { start, runs, columns: [device, _] }| {
            let seen = boxes.entry(device).or_insert_with_key(|device| BoxSeen {
                device: device.clone(),
                sessions: 0,
                running: 0,
                // The newest comes first.
                newest: start,
            });
            seen.sessions += 1;
            seen.running += i64::from(runs);
            Ok(true)
        })?;
        let mut boxes: Vec<_> = boxes.into_values().collect();
        boxes.sort_unstable_by(|a, b| b.newest.cmp(&a.newest).then_with(|| a.device.cmp(&b.device)));
        boxes.truncate(most);
        Ok(boxes)
    }

    fn devices_since(&mut self, since: UnixMs) -> Result<i64, StoreError> {
        let mut devices: HashSet<u64> = HashSet::new();
        let mut add = |connection: &Connection, table: &str| -> Result<(), StoreError> {
            let mut statement =
                connection.prepare_cached(&format!("SELECT device FROM {table} WHERE start >= ?1"))?;
            let mut rows = statement.query([stored(since.0)])?;
            while let Some(row) = rows.next()? {
                devices.insert(device_hash(row.get_ref(0)?.as_str().unwrap_or_default()));
            }
            Ok(())
        };
        add(&self.connection, "running")?;
        for day in days(&self.directory)?.range(Day::of(since)..) {
            if let Some(file) = reader(&self.directory, *day)? {
                add(&file, "session")?;
            }
        }
        Ok(i64::try_from(devices.len()).unwrap_or(i64::MAX))
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
