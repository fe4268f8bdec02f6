//! What the connector keeps: connections, what is to be polled of them, what was told, and alerts that were received.

use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde_json::{Value, json};

use super::read::{Outcome, Question};
use crate::time::UnixMs;

/// Most of what is to be polled.
const MAX_ITEMS: i64 = 500;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS connection (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    base_url     TEXT NOT NULL,
    user         TEXT NOT NULL,
    password     TEXT NOT NULL,
    bypass_proxy INTEGER NOT NULL,
    account      TEXT NOT NULL,
    interval_s   INTEGER NOT NULL,
    choices      TEXT NOT NULL DEFAULT '{}',
    status       TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS item (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    connection     INTEGER NOT NULL,
    metric         TEXT NOT NULL,
    filter         TEXT NOT NULL,
    dimension      TEXT NOT NULL,
    units          TEXT NOT NULL,
    is_disabled    INTEGER NOT NULL DEFAULT 0,
    due            INTEGER NOT NULL DEFAULT 0,
    polled         INTEGER,
    status         TEXT NOT NULL DEFAULT '',
    note           TEXT NOT NULL DEFAULT '',
    result         TEXT NOT NULL DEFAULT 'null',
    UNIQUE (connection, metric, filter, dimension)
);
CREATE TABLE IF NOT EXISTS received (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    at   INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS received_keep (
    kind    TEXT PRIMARY KEY,
    days    INTEGER,
    records INTEGER
) WITHOUT ROWID;
";

/// A connection as somebody enters it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entered {
    /// Of the one that is changed.
    pub(super) id: Option<i64>,
    pub(super) name: String,
    pub(super) base_url: String,
    #[serde(default)]
    pub(super) user: String,
    /// Not said: as it was.
    pub(super) password: Option<String>,
    #[serde(default)]
    pub(super) bypass_proxy: bool,
    /// The account's id; empty for the default.
    #[serde(default)]
    pub(super) account: String,
    #[serde(default = "default_interval")]
    pub(super) interval_s: u32,
}

/// Something to be polled as somebody enters it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) connection: i64,
    pub(super) metric: String,
    pub(super) filter: String,
    /// Empty where it is none of a dimension.
    #[serde(default)]
    pub(super) dimension: String,
    #[serde(default)]
    pub(super) units: String,
}

/// How to reach a service.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) id: i64,
    pub(super) base_url: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) bypass_proxy: bool,
    pub(super) account: String,
    pub(super) interval_s: u64,
}

const fn default_interval() -> u32 {
    60
}

pub(super) fn prepare(desk: &Connection) -> rusqlite::Result<()> {
    desk.execute_batch(TABLES)
}

/// Adds a connection, or changes one; its number.
pub(super) fn enter(desk: &Connection, entered: &Entered) -> rusqlite::Result<Option<i64>> {
    let fields = params![
        entered.name,
        entered.base_url,
        entered.user,
        entered.password.as_deref(),
        entered.bypass_proxy,
        entered.account,
        entered.interval_s,
        entered.id
    ];
    let id = match entered.id {
        None => desk
            .query_row(
                "INSERT INTO connection (name, base_url, user, password, bypass_proxy, account, interval_s)
                 VALUES (?1, ?2, ?3, coalesce(?4, ''), ?5, ?6, ?7) RETURNING id, ?8",
                fields,
                |row| row.get(0),
            )
            .optional()?,
        // A password is for the server that it was entered for.
        Some(_) => desk
            .query_row(
                "UPDATE connection SET name = ?1, user = ?3,
                 password = coalesce(?4, CASE WHEN base_url = ?2 THEN password ELSE '' END),
                 base_url = ?2, bypass_proxy = ?5, account = ?6, interval_s = ?7 WHERE id = ?8 RETURNING id",
                fields,
                |row| row.get(0),
            )
            .optional()?,
    };
    if let Some(id) = id {
        desk.execute("UPDATE item SET due = 0 WHERE connection = ?1", [id])?;
    }
    Ok(id)
}

pub(super) fn remove_connection(desk: &Connection, id: i64) -> rusqlite::Result<usize> {
    desk.execute("DELETE FROM item WHERE connection = ?1", [id])?;
    desk.execute("DELETE FROM connection WHERE id = ?1", [id])
}

/// Adds something to be polled; whether there was room, and a connection.
pub(super) fn want(desk: &Connection, wanted: &Wanted) -> rusqlite::Result<bool> {
    let added = desk.execute(
        "INSERT INTO item (connection, metric, filter, dimension, units)
         SELECT ?1, ?2, ?3, ?4, ?5 WHERE (SELECT count(*) FROM item) < ?6
         AND EXISTS (SELECT 1 FROM connection WHERE id = ?1)",
        params![wanted.connection, wanted.metric, wanted.filter, wanted.dimension, wanted.units, MAX_ITEMS],
    )?;
    Ok(added > 0)
}

pub(super) fn disable(desk: &Connection, id: i64, is_disabled: bool) -> rusqlite::Result<usize> {
    desk.execute("UPDATE item SET is_disabled = ?2, due = 0 WHERE id = ?1", params![id, is_disabled])
}

/// Polled at once, once, disabled or not.
pub(super) fn poll_now(desk: &Connection, id: i64) -> rusqlite::Result<usize> {
    desk.execute("UPDATE item SET due = -1 WHERE id = ?1", [id])
}

pub(super) fn remove_item(desk: &Connection, id: i64) -> rusqlite::Result<usize> {
    desk.execute("DELETE FROM item WHERE id = ?1", [id])
}

pub(super) fn way(desk: &Connection, id: i64) -> rusqlite::Result<Option<Way>> {
    let sql = "SELECT id, base_url, user, password, bypass_proxy, account, interval_s FROM connection WHERE id = ?1";
    let way = |row: &rusqlite::Row<'_>| {
        let interval: u32 = row.get(6)?;
        Ok(Way {
            id: row.get(0)?,
            base_url: row.get(1)?,
            user: row.get(2)?,
            password: row.get(3)?,
            bypass_proxy: row.get(4)?,
            account: row.get(5)?,
            interval_s: interval.into(),
        })
    };
    desk.query_row(sql, [id], way).optional()
}

/// What is due, with its connection's number.
pub(super) fn due(desk: &Connection, now: UnixMs) -> rusqlite::Result<Vec<(i64, i64, Question)>> {
    let sql = "SELECT item.id, connection, metric, filter, dimension, units, account
               FROM item JOIN connection ON connection.id = item.connection
               WHERE account <> '' AND (due < 0 OR due <= ?1 AND NOT is_disabled) ORDER BY due LIMIT 50";
    let mut statement = desk.prepare_cached(sql)?;
    let rows = statement.query_map([stored(now)], |row| {
        let dimension: String = row.get(4)?;
        let question = Question {
            account: row.get(6)?,
            metric: row.get(2)?,
            filter: row.get(3)?,
            dimension: Some(dimension).filter(|dimension| !dimension.is_empty()),
            units: row.get(5)?,
        };
        Ok((row.get(0)?, row.get(1)?, question))
    })?;
    rows.collect()
}

/// Notes what became of a question.
pub(super) fn note(
    desk: &Connection,
    item: i64,
    outcome: &Outcome,
    now: UnixMs,
    next: UnixMs,
) -> rusqlite::Result<usize> {
    desk.execute(
        "UPDATE item SET polled = ?2, due = ?3, status = ?4, note = ?5, result = coalesce(?6, result) WHERE id = ?1",
        params![
            item,
            stored(now),
            stored(next),
            outcome.status.name(),
            outcome.note,
            outcome.result.as_ref().map(Value::to_string)
        ],
    )
}

/// Notes what a service offers, and that it can be reached or not.
pub(super) fn offer(
    desk: &Connection,
    id: i64,
    choices: Option<&Value>,
    status: &str,
) -> rusqlite::Result<usize> {
    desk.execute(
        "UPDATE connection SET choices = coalesce(?2, choices), status = ?3 WHERE id = ?1",
        params![id, choices.map(Value::to_string), status],
    )
}

/// Chooses an account where none is chosen.
pub(super) fn choose(desk: &Connection, id: i64, account: &str) -> rusqlite::Result<usize> {
    desk.execute("UPDATE connection SET account = ?2 WHERE id = ?1 AND account = ''", params![id, account])
}

/// All that the page shows, without any password.
pub(super) fn show(desk: &Connection) -> rusqlite::Result<Value> {
    let mut statement = desk.prepare_cached(
        "SELECT id, name, base_url, user, password <> '', bypass_proxy, account, interval_s, choices, status
         FROM connection ORDER BY name",
    )?;
    let connections: rusqlite::Result<Vec<Value>> = statement
        .query_map([], |row| {
            Ok(json!({
                "id": row.get::<_, i64>(0)?,
                "name": row.get::<_, String>(1)?,
                "base_url": row.get::<_, String>(2)?,
                "user": row.get::<_, String>(3)?,
                "has_password": row.get::<_, bool>(4)?,
                "bypass_proxy": row.get::<_, bool>(5)?,
                "account": row.get::<_, String>(6)?,
                "interval_s": row.get::<_, i64>(7)?,
                "choices": parsed(&row.get::<_, String>(8)?),
                "status": row.get::<_, String>(9)?,
            }))
        })?
        .collect();
    let mut statement = desk.prepare_cached(
        "SELECT id, connection, metric, filter, dimension, units, is_disabled, polled, status, note, result
         FROM item ORDER BY id",
    )?;
    let items: rusqlite::Result<Vec<Value>> = statement
        .query_map([], |row| {
            Ok(json!({
                "id": row.get::<_, i64>(0)?,
                "connection": row.get::<_, i64>(1)?,
                "metric": row.get::<_, String>(2)?,
                "filter": row.get::<_, String>(3)?,
                "dimension": row.get::<_, String>(4)?,
                "units": row.get::<_, String>(5)?,
                "disabled": row.get::<_, bool>(6)?,
                "polled": row.get::<_, Option<i64>>(7)?,
                "status": row.get::<_, String>(8)?,
                "note": row.get::<_, String>(9)?,
                "result": parsed(&row.get::<_, String>(10)?),
            }))
        })?
        .collect();
    Ok(json!({ "connections": connections?, "items": items? }))
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

pub(super) fn stored(at: UnixMs) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}
