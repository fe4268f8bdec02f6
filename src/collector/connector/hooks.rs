//! Alerts that other services send: a receiver on a port of its own, and how long they are kept.
//!
//! Such services show no password, so this port can do nothing else, and what it keeps is bounded. The same alert may come
//! again, where our answer was lost: it is kept once.

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use rusqlite::{Connection, params};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::keep::stored;
use crate::app::{App, Peer};
use crate::page::{Failure, answer};
use crate::receive::body;
use crate::time::{self, DAY, HOUR, UnixMs};

/// Most bytes of an alert.
const MAX_ALERT: usize = 64 * 1024;
/// Most alerts of a kind that are kept, whatever is chosen.
const MAX_RECORDS: u32 = 10_000;
/// How long the same may come again, in ms: five tries take five minutes.
const AGAIN: u64 = HOUR;

/// Who sent an alert off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Ai,
    Manual,
}

/// How long alerts of a kind are kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Keep {
    kind: Kind,
    /// No longer than that.
    days: Option<u32>,
    /// No more than that, the newest.
    records: Option<u32>,
}

// === impl Kind ===

impl Kind {
    const ALL: [Self; 2] = [Self::Ai, Self::Manual];

    /// By what it says of itself; else by the ids that only manual alerts have.
    fn of(alert: &Map<String, Value>) -> Self {
        let source = alert.get("alert_source").and_then(Value::as_str).unwrap_or_default().to_lowercase();
        if source.contains("manual") {
            return Self::Manual;
        }
        let has_id = alert.contains_key("alert_id") || alert.contains_key("filter_id");
        if !source.contains("ai") && has_id { Self::Manual } else { Self::Ai }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ai => "ai",
            Self::Manual => "manual",
        }
    }
}

/// What answers on the port of its own.
pub(crate) fn router(app: App) -> Router {
    Router::new().fallback(receive).with_state(app)
}

async fn receive(
    State(app): State<App>,
    Extension(Peer(peer)): Extension<Peer>,
    request: Request,
) -> Response {
    if !app.limit.admit(peer, 1) {
        let message = "too many requests from this address".to_owned();
        return Failure { status: StatusCode::TOO_MANY_REQUESTS, message }.into_response();
    }
    if request.method() != Method::POST {
        let message = "alerts are posted".to_owned();
        return Failure { status: StatusCode::METHOD_NOT_ALLOWED, message }.into_response();
    }
    let (parts, body) = request.into_parts();
    let body = match body::read(&parts.headers, body).await {
        Ok(body) if body.len() <= MAX_ALERT => body,
        Ok(_) => {
            let message = format!("larger than {MAX_ALERT} bytes");
            return Failure { status: StatusCode::PAYLOAD_TOO_LARGE, message }.into_response();
        }
        Err(error) => return Failure { status: error.status(), message: error.to_string() }.into_response(),
    };
    let alert = match serde_json::from_slice::<Map<String, Value>>(&body) {
        Ok(alert) => alert,
        Err(error) => return Failure::bad(format!("expected a JSON object: {error}")).into_response(),
    };
    answer(move || {
        take(&app.desk.lock(), &alert, time::now())?;
        Ok(json!({ "received": true }))
    })
    .await
}

/// Keeps an alert that is not there yet.
fn take(desk: &Connection, alert: &Map<String, Value>, now: UnixMs) -> rusqlite::Result<()> {
    let kind = Kind::of(alert);
    let body = Value::Object(alert.clone()).to_string();
    desk.execute(
        "INSERT INTO received (at, kind, body) SELECT ?1, ?2, ?3
         WHERE NOT EXISTS (SELECT 1 FROM received WHERE kind = ?2 AND body = ?3 AND at > ?4)",
        params![stored(now), kind.name(), body, stored(now - AGAIN)],
    )?;
    tidy(desk, now)
}

/// Deletes what is older, or more, than is to be kept.
pub(super) fn tidy(desk: &Connection, now: UnixMs) -> rusqlite::Result<()> {
    for kind in Kind::ALL {
        let (days, records) = kept(desk, kind)?;
        if let Some(days) = days {
            let oldest = now - u64::from(days) * DAY;
            desk.execute(
                "DELETE FROM received WHERE kind = ?1 AND at < ?2",
                params![kind.name(), stored(oldest)],
            )?;
        }
        desk.execute(
            "DELETE FROM received WHERE kind = ?1 AND id <= (
                 SELECT id FROM received WHERE kind = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            params![kind.name(), records.unwrap_or(MAX_RECORDS).min(MAX_RECORDS)],
        )?;
    }
    Ok(())
}

fn kept(desk: &Connection, kind: Kind) -> rusqlite::Result<(Option<u32>, Option<u32>)> {
    let mut statement = desk.prepare_cached("SELECT days, records FROM received_keep WHERE kind = ?1")?;
    let mut rows = statement.query([kind.name()])?;
    match rows.next()? {
        Some(row) => Ok((row.get(0)?, row.get(1)?)),
        None => Ok((None, None)),
    }
}

/// Chooses how long alerts are kept.
pub(super) fn choose(desk: &Connection, keep: &Keep) -> Result<(), Failure> {
    match (keep.days, keep.records) {
        (Some(0), _) | (_, Some(0)) => return Err(Failure::bad("expected at least 1")),
        (Some(_), Some(_)) => return Err(Failure::bad("by age or by number, not by both")),
        _ => {}
    }
    desk.execute(
        "INSERT INTO received_keep (kind, days, records) VALUES (?1, ?2, ?3)
         ON CONFLICT (kind) DO UPDATE SET days = excluded.days, records = excluded.records",
        params![keep.kind.name(), keep.days, keep.records],
    )?;
    Ok(tidy(desk, time::now())?)
}

/// `GET /ui/received`: alerts of each kind, the newest first, and how long they are kept.
pub(super) async fn show(State(app): State<App>) -> Response {
    answer(move || {
        let desk = app.desk.lock();
        let mut shown = Map::new();
        for kind in Kind::ALL {
            let mut statement = desk
                .prepare_cached("SELECT at, body FROM received WHERE kind = ?1 ORDER BY id DESC LIMIT 500")?;
            let rows = statement.query_map([kind.name()], |row| {
                let body: Value = serde_json::from_str(&row.get::<_, String>(1)?).unwrap_or_default();
                Ok(json!({ "at": row.get::<_, i64>(0)?, "alert": body }))
            })?;
            let alerts: rusqlite::Result<Vec<Value>> = rows.collect();
            let (days, records) = kept(&desk, kind)?;
            let told = json!({ "alerts": alerts?, "days": days, "records": records });
            shown.insert(kind.name().to_owned(), told);
        }
        Ok(Value::Object(shown))
    })
    .await
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::keep::prepare;
    use super::*;

    const T0: UnixMs = UnixMs(1_700_000_000_000);

    fn alert(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[rstest]
    #[case(json!({ "alert_source": "AI Alert", "alert_id": 1 }), Kind::Ai)]
    #[case(json!({ "alert_source": "Manual Alert" }), Kind::Manual)]
    #[case(json!({ "alert_id": "7" }), Kind::Manual)]
    #[case(json!({ "filter_id": 7 }), Kind::Manual)]
    #[case(json!({ "severity": "info" }), Kind::Ai)]
    fn kinds(#[case] value: Value, #[case] kind: Kind) {
        assert_eq!(Kind::of(&alert(value)), kind);
    }

    fn numbers(desk: &Connection) -> Vec<i64> {
        let mut statement =
            desk.prepare("SELECT body FROM received WHERE kind = 'manual' ORDER BY id").unwrap();
        let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
        rows.map(|body| serde_json::from_str::<Value>(&body.unwrap()).unwrap()["alert_id"].as_i64().unwrap())
            .collect()
    }

    #[test]
    fn kept_once_and_for_so_long() {
        let desk = Connection::open_in_memory().unwrap();
        prepare(&desk).unwrap();
        for (number, at) in [(1, 0), (1, 5 * 60_000), (2, DAY), (1, 2 * DAY), (3, 3 * DAY)] {
            take(&desk, &alert(json!({ "alert_id": number })), T0 + at).unwrap();
        }
        assert_eq!(numbers(&desk), [1, 2, 1, 3], "the second was the first again");
        desk.execute("INSERT INTO received_keep VALUES ('manual', 2, NULL)", []).unwrap();
        tidy(&desk, T0 + 3 * DAY).unwrap();
        assert_eq!(numbers(&desk), [2, 1, 3]);
        desk.execute("UPDATE received_keep SET days = NULL, records = 1", []).unwrap();
        tidy(&desk, T0 + 3 * DAY).unwrap();
        assert_eq!(numbers(&desk), [3]);
    }
}
