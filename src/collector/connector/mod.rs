//! The connector: polls services that speak the Insights API, ours or another one's, and keeps what they tell.
//!
//! | path | does |
//! |---|---|
//! | `GET /ui/connector` | connections without their passwords, what is polled, what it came to |
//! | `POST /ui/connector/connection` | adds or changes a connection, and asks it what it offers |
//! | `POST /ui/connector/connection/remove` | and all that is polled of it |
//! | `POST /ui/connector/filter`, `…/remove` | makes a filter at the service, or deletes it there |
//! | `POST /ui/connector/item` | adds a metric, of a dimension or not |
//! | `POST /ui/connector/received/keep` | chooses how long alerts that others sent are kept |
//! | `GET /ui/received` | alerts that others sent |
//! | `POST /ui/connector/item/disable`, `…/poll`, `…/remove` | what they say |
//!
//! What is posted is JSON and says so: no other page can make a browser send that.

pub(crate) mod hooks;
mod keep;
mod read;
mod saved;

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;

use self::keep::{Entered, Wanted, Way};
use self::read::{Outcome, Status};
use crate::app::App;
use crate::desk::Desk;
use crate::outside;
use crate::page::{Failure, answer};
use crate::receive::body;
use crate::time;

/// Between two looks at what is due.
const EVERY: Duration = Duration::from_millis(200);
/// Longest text that somebody may enter, in characters.
const MAX_TEXT: usize = 500;

/// Polls; ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Connector {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Id {
    id: i64,
    #[serde(default)]
    disabled: bool,
}

// === impl Connector ===

impl Connector {
    /// Starts to poll.
    ///
    /// # Errors
    /// Where what it keeps cannot be had or no thread be started.
    pub(crate) fn start(desk: Desk) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        keep::prepare(&desk.lock())?;
        let (stop, stopped) = channel();
        let poll = move || {
            let mut agents = HashMap::new();
            let mut tidied = time::now().minute();
            while matches!(stopped.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout)) {
                if let Err(error) = poll_due(&desk, &mut agents, &stopped) {
                    log::error!("the connector's tables: {error}");
                }
                if time::now().minute() != tidied {
                    tidied = time::now().minute();
                    if let Err(error) = hooks::tidy(&desk.lock(), time::now()) {
                        log::error!("alerts that were received cannot be tidied up: {error}");
                    }
                }
            }
        };
        let thread = thread::Builder::new().name("connector".to_owned()).spawn(poll)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // A request that is on its way is not waited for: it is asked again.
        self.stop = None;
        self.thread = None;
    }
}

/// Asks for all that is due, each once.
fn poll_due(
    desk: &Desk,
    agents: &mut HashMap<(String, bool), Agent>,
    stopped: &Receiver<()>,
) -> rusqlite::Result<()> {
    let due = keep::due(&desk.lock(), time::now())?;
    for (item, connection, question) in due {
        if !matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
            return Ok(());
        }
        let Some(way) = keep::way(&desk.lock(), connection)? else { continue };
        let outcome = match ask(&way, &question.url(&way.base_url), agents) {
            Ok((status, body)) => question.read(status, &body),
            Err(note) => Outcome { status: Status::Error, note, result: None },
        };
        let now = time::now();
        keep::note(&desk.lock(), item, &outcome, now, now + way.interval_s * 1000)?;
    }
    Ok(())
}

fn ask(way: &Way, url: &str, agents: &mut HashMap<(String, bool), Agent>) -> Result<(u16, Vec<u8>), String> {
    let key = (way.base_url.clone(), way.bypass_proxy);
    if !agents.contains_key(&key) {
        agents.insert(key.clone(), client_of(way)?);
    }
    let agent = agents.get(&key).ok_or("no client")?;
    outside::get(agent, url, authorization(way).as_deref())
}

fn client_of(way: &Way) -> Result<Agent, String> {
    outside::client(&way.base_url, way.bypass_proxy)
}

fn authorization(way: &Way) -> Option<String> {
    let shown = || format!("Basic {}", STANDARD.encode(format!("{}:{}", way.user, way.password)));
    (!way.user.is_empty()).then(shown)
}

/// Asks a service for its accounts, and for filters and dimensions of the one that is chosen.
fn ask_for_offers(desk: &Desk, way: &mut Way) -> Result<(), String> {
    let mut agents = HashMap::new();
    let base = read::api(&way.base_url);
    let mut told = |way: &Way, page: &str| {
        let (status, body) = ask(way, &format!("{base}/{page}"), &mut agents)?;
        match (status, serde_json::from_slice::<Value>(&body)) {
            (200, Ok(told)) => Ok(told),
            (401, _) => Err("user or password is wrong".to_owned()),
            (200, Err(_)) => Err(format!("{page}: the answer is not JSON")),
            (status, _) => Err(format!("{page}: it answers {status}")),
        }
    };
    let accounts = read::accounts(&told(way, "accounts.json")?);
    if way.account.is_empty() {
        way.account = accounts.first().map(|(_, id)| id.clone()).ok_or("it has no accounts")?;
        keep::choose(&desk.lock(), way.id, &way.account).map_err(|error| error.to_string())?;
    }
    let of = format!("?account={}", read::escaped(&way.account));
    let filters = read::filters(&told(way, &format!("filters.json{of}"))?);
    let dimensions = read::dimensions(&told(way, &format!("metriclens_dimension_list.json{of}"))?);
    // Not every service has saved filters.
    let fields = saved::fields(way).unwrap_or_default();
    let choices =
        json!({ "accounts": accounts, "filters": filters, "dimensions": dimensions, "fields": fields });
    keep::offer(&desk.lock(), way.id, Some(&choices), "OK").map_err(|error| error.to_string())?;
    Ok(())
}

/// All below `/ui/connector`.
pub(crate) fn router() -> Router<App> {
    Router::new()
        .route("/ui/received", get(hooks::show))
        .route("/ui/connector", get(show))
        .route("/ui/connector/{*action}", post(act))
}

async fn show(State(app): State<App>) -> Response {
    answer(move || {
        let mut shown = keep::show(&app.desk.lock())?;
        if let Some(shown) = shown.as_object_mut() {
            shown.insert("now".to_owned(), time::now().0.into());
        }
        Ok(shown)
    })
    .await
}

async fn act(State(app): State<App>, Path(action): Path<String>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    if !kind.is_some_and(|kind| kind.starts_with("application/json")) {
        let message = "expected Content-Type: application/json".to_owned();
        return Failure { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, message }.into_response();
    }
    let body = match body::read(&parts.headers, body).await {
        Ok(body) => body,
        Err(error) => {
            return Failure { status: error.status(), message: error.to_string() }.into_response();
        }
    };
    answer(move || act_on(&app.desk, &action, &body).map(|()| json!({ "done": true }))).await
}

fn act_on(desk: &Desk, action: &str, body: &[u8]) -> Result<(), Failure> {
    let is_done = match action {
        "connection" => return enter(desk, parsed(body)?),
        "connection/offers" => return offers(desk, parsed::<Id>(body)?.id),
        "connection/remove" => keep::remove_connection(&desk.lock(), parsed::<Id>(body)?.id)? > 0,
        "filter" => {
            let entered: saved::Entered = parsed(body)?;
            let way = keep::way(&desk.lock(), entered.id)?;
            let way = way.ok_or_else(|| Failure::bad("there is no such connection"))?;
            saved::create(&way, &entered).map_err(Failure::bad)?;
            return offers(desk, entered.id);
        }
        "filter/remove" => {
            let unwanted: saved::Unwanted = parsed(body)?;
            let way = keep::way(&desk.lock(), unwanted.id)?;
            let way = way.ok_or_else(|| Failure::bad("there is no such connection"))?;
            saved::delete(&way, &unwanted.name).map_err(Failure::bad)?;
            return offers(desk, unwanted.id);
        }
        "item" => return want(desk, &parsed(body)?),
        "item/disable" => {
            let id: Id = parsed(body)?;
            keep::disable(&desk.lock(), id.id, id.disabled)? > 0
        }
        "received/keep" => return hooks::choose(&desk.lock(), &parsed(body)?),
        "item/poll" => keep::poll_now(&desk.lock(), parsed::<Id>(body)?.id)? > 0,
        "item/remove" => keep::remove_item(&desk.lock(), parsed::<Id>(body)?.id)? > 0,
        _ => false,
    };
    if is_done {
        return Ok(());
    }
    Err(Failure { status: StatusCode::NOT_FOUND, message: "there is no such thing".to_owned() })
}

fn enter(desk: &Desk, entered: Entered) -> Result<(), Failure> {
    for (name, text) in [("name", &entered.name), ("base_url", &entered.base_url)] {
        if text.trim().is_empty() {
            return Err(Failure::bad(format!("{name} is empty")));
        }
    }
    let texts = [&entered.name, &entered.base_url, &entered.user, &entered.account];
    if texts.into_iter().chain(&entered.password).any(|text| text.chars().count() > MAX_TEXT) {
        return Err(Failure::bad(format!("longer than {MAX_TEXT} characters")));
    }
    if entered.user.contains(':') {
        return Err(Failure::bad("user: no colon can be in it (RFC 7617)"));
    }
    if !(1..=86_400).contains(&entered.interval_s) {
        return Err(Failure::bad("interval_s: expected 1 to 86400"));
    }
    outside::client(&entered.base_url, entered.bypass_proxy).map_err(Failure::bad)?;
    let id = keep::enter(&desk.lock(), &entered).map_err(|error| unless_taken(error, "name"))?;
    offers(desk, id.ok_or_else(|| Failure::bad("there is no such connection"))?)
}

/// What a connection offers; that it cannot be reached is noted with it, and no failure of what was entered.
fn offers(desk: &Desk, id: i64) -> Result<(), Failure> {
    let way = keep::way(&desk.lock(), id)?;
    let mut way = way.ok_or_else(|| Failure::bad("there is no such connection"))?;
    if let Err(why) = ask_for_offers(desk, &mut way) {
        keep::offer(&desk.lock(), id, None, &why)?;
    }
    Ok(())
}

fn want(desk: &Desk, wanted: &Wanted) -> Result<(), Failure> {
    for (name, text) in [("metric", &wanted.metric), ("filter", &wanted.filter)] {
        if text.trim().is_empty() || text.chars().count() > MAX_TEXT {
            return Err(Failure::bad(format!("{name}: expected 1 to {MAX_TEXT} characters")));
        }
    }
    if wanted.metric.ends_with("_metriclens") == wanted.dimension.is_empty() {
        return Err(Failure::bad(
            "a dimension goes with quality_metriclens and audience_metriclens, and with nothing else",
        ));
    }
    let added = keep::want(&desk.lock(), wanted).map_err(|error| unless_taken(error, "metric"))?;
    if added { Ok(()) } else { Err(Failure::bad("there is no such connection, or no room for more")) }
}

fn unless_taken(error: rusqlite::Error, what: &str) -> Failure {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => {
            Failure::bad(format!("{what}: there is one like that already"))
        }
        _ => error.into(),
    }
}

fn parsed<'b, T: Deserialize<'b>>(body: &'b [u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| Failure::bad(error.to_string()))
}
