//! The page: one web app that comes with the program, and the questions that it asks.
//!
//! | path | answer |
//! |---|---|
//! | `/` | the page |
//! | `/ui/page.js` and its like | what it is made of; nothing is loaded from elsewhere |
//! | `/ui/overview?minutes=N` | all sessions together: totals, and how they went over time |
//! | `/ui/sessions?state=running\|ended&text=T&before=MS` | sessions, the newest first |
//! | `/ui/session?key=K` | one session, and what became of it |
//! | `/ui/fleet` | boxes and their network interfaces |
//! | `/ui/alerts` | alerts, and where they went |
//!
//! Whatever comes from outside is text to the page, which never makes markup of it; and the page may run no scripts but
//! its own (`Content-Security-Policy`), whatever a title says.

mod views;

use std::collections::HashMap;
use std::sync::PoisonError;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use crate::alerts;
use crate::app::App;
use crate::filters::ALL_TRAFFIC;
use crate::session::Key;
use crate::sketch::{Kind, States};
use crate::store::{ALL_TIME, Lookup, Span, StoreError, Wanted};
use crate::time::{self, Minute, UnixMs};

/// What the page may do: nothing but load its own files and ask its own server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// Longest time that an overview is told of, in minutes: a week.
const MAX_MINUTES: u64 = 7 * 24 * 60;
/// Most sessions, boxes and interfaces in an answer.
const MAX_SESSIONS: usize = 200;
const MAX_BOXES: usize = 500;
const MAX_INTERFACES: usize = 1_000;
const MAX_ALERTS: usize = 500;
/// Longest text that is looked for, in characters.
const MAX_TEXT: usize = 200;

type Asked = Query<HashMap<String, String>>;

/// Why a question has no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
}

/// All below `/ui/`.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/ui/page.css", get(async || file(CSS, include_str!("web/page.css"))))
        .route("/ui/page.js", get(async || file(SCRIPT, include_str!("web/page.js"))))
        .route("/ui/dom.js", get(async || file(SCRIPT, include_str!("web/dom.js"))))
        .route("/ui/plot.js", get(async || file(SCRIPT, include_str!("web/plot.js"))))
        .route("/ui/views.js", get(async || file(SCRIPT, include_str!("web/views.js"))))
        .route("/ui/connector.js", get(async || file(SCRIPT, include_str!("web/connector.js"))))
        .route("/ui/icon.svg", get(async || file(SVG, include_str!("web/icon.svg"))))
        .route("/ui/overview", get(overview))
        .route("/ui/sessions", get(sessions))
        .route("/ui/session", get(session))
        .route("/ui/fleet", get(fleet))
        .route("/ui/alerts", get(alerts))
}

/// The page itself.
pub(crate) fn home() -> Response {
    file(HTML, include_str!("web/index.html"))
}

fn file(kind: &'static str, content: &'static str) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        // Another version of the program is another page.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content).into_response()
}

async fn overview(State(app): State<App>, query: Asked) -> Response {
    let minutes = match number(&query, "minutes", 60) {
        Ok(minutes) if (1..=MAX_MINUTES).contains(&minutes) => minutes,
        Ok(_) => return Failure::bad(format!("minutes: expected 1 to {MAX_MINUTES}")).into_response(),
        Err(failure) => return failure.into_response(),
    };
    let running = app.keeper.status().running;
    let reader = app.reader.clone();
    answer(move || {
        let now = time::now();
        let until = Minute(now.minute().0 + 1);
        let span = Span {
            filter: ALL_TRAFFIC.0,
            dimension: 0,
            from: Minute(until.0.saturating_sub(minutes)),
            until,
        };
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        let minutes = reader.minutes(&span)?;
        let wanted = States::DEVICES.and(States::of(Kind::Startup));
        let sketches = reader.sketches(&span, ALL_TIME, None, wanted)?.into_iter().next();
        drop(reader);
        let sketches = sketches.map(|told| told.sketches).unwrap_or_default();
        Ok(views::overview(&minutes, &sketches, span.from, until, running, now))
    })
    .await
}

async fn sessions(State(app): State<App>, query: Asked) -> Response {
    let running = match query.get("state").map(String::as_str) {
        None | Some("" | "all") => None,
        Some("running") => Some(true),
        Some("ended") => Some(false),
        Some(_) => {
            return Failure::bad("state: expected running, ended or all").into_response();
        }
    };
    let before = match number(&query, "before", u64::MAX) {
        Ok(before) => Some(UnixMs(before)),
        Err(failure) => return failure.into_response(),
    };
    let text: String =
        query.get("text").map(|text| text.trim().chars().take(MAX_TEXT).collect()).unwrap_or_default();
    let wanted = Wanted { running, before, text, most: MAX_SESSIONS };
    look_up(&app, move |lookup| {
        let sessions: Vec<_> = lookup.sessions(&wanted)?.iter().map(views::session).collect();
        Ok(json!({ "now": time::now().0, "most": MAX_SESSIONS, "sessions": sessions }))
    })
    .await
}

async fn session(State(app): State<App>, query: Asked) -> Response {
    let Some(key) = query.get("key").cloned() else {
        return Failure::bad("key is missing: the session's, as /ui/sessions tells it").into_response();
    };
    look_up(&app, move |lookup| {
        let key = Key(key);
        let Some(session) = lookup.session(&key)? else {
            return Err(Failure {
                status: StatusCode::NOT_FOUND,
                message: "there is no such session".to_owned(),
            });
        };
        Ok(json!({
            "now": time::now().0,
            "session": views::session(&session),
            "story": lookup.story(&key)?,
        }))
    })
    .await
}

async fn fleet(State(app): State<App>) -> Response {
    look_up(&app, |lookup| {
        let boxes = lookup.boxes(MAX_BOXES)?;
        let interfaces = lookup.interfaces(MAX_INTERFACES)?;
        Ok(views::fleet(&boxes, &interfaces, time::now()))
    })
    .await
}

async fn alerts(State(app): State<App>) -> Response {
    answer(move || Ok(json!({ "now": time::now().0, "alerts": alerts::list(&app.desk, MAX_ALERTS)? }))).await
}

/// Looks something up, where it holds nobody up.
async fn look_up(
    app: &App,
    question: impl FnOnce(&mut dyn Lookup) -> Result<Value, Failure> + Send + 'static,
) -> Response {
    let lookup = app.lookup.clone();
    answer(move || question(&mut *lookup.lock().unwrap_or_else(PoisonError::into_inner))).await
}

pub(crate) async fn answer(question: impl FnOnce() -> Result<Value, Failure> + Send + 'static) -> Response {
    let asked = tokio::task::spawn_blocking(question).await;
    match asked.unwrap_or_else(|error| Err(Failure::internal(error.to_string()))) {
        Ok(value) => respond(StatusCode::OK, &value),
        Err(failure) => failure.into_response(),
    }
}

pub(crate) fn respond(status: StatusCode, value: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, value.to_string()).into_response()
}

fn number(query: &Asked, name: &str, default: u64) -> Result<u64, Failure> {
    match query.get(name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Failure::bad(format!("{name}: expected a whole number"))),
    }
}

// === impl Failure ===

impl Failure {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, message: message.into() }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        log::error!("the page's question has no answer: {error}");
        Self::internal(error.to_string())
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        respond(self.status, &json!({ "error": self.message }))
    }
}
