//! The Insights API, versions 2.4 and 2.6: what tools that poll such a service ask.
//!
//! | path below `/insights/2.4/` and `/insights/2.6/` | answer |
//! |---|---|
//! | `accounts.json` | the one account |
//! | `filters.json` | the filters: All Traffic |
//! | `metriclens_dimension_list.json` | names of dimensions and their numbers |
//! | `metrics.json` | the last hour of the metrics asked for: by minute, in all, or by the values of a dimension |

mod shapes;

use std::collections::HashMap;
use std::sync::PoisonError;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use self::shapes::{Metric, Units};
use crate::app::App;
use crate::labels::{Dimension, Known};
use crate::store::{Reader, Span, StoreError};
use crate::time::{self, Minute};

/// The one account's id.
const ACCOUNT: &str = "1";
/// The one filter's id; clients look for its name.
const ALL_TRAFFIC: (&str, &str) = ("1", "All Traffic");
/// Most filters in a request.
const MAX_FILTERS: usize = 99;
/// How much of the past is told, the running minute included.
const MINUTES: u64 = 60;

/// Versions that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    V24,
    V26,
}

/// Why a request has no answer.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    message: String,
    reason: &'static str,
}

type Answer = Result<Value, Failure>;

/// What of a `metrics.json` request counts.
struct Asked {
    metrics: Vec<Metric>,
    /// Those that there are, as the client names them.
    filters: Vec<String>,
    unknown_filters: Vec<u64>,
    dimension: Option<u32>,
    units: Units,
    version: Version,
}

/// All below `/insights/`.
pub(crate) fn router() -> Router<App> {
    Router::new().route("/insights/{*page}", get(page))
}

async fn page(
    State(app): State<App>,
    uri: Uri,
    Path(page): Path<String>,
    query: Query<HashMap<String, String>>,
) -> Response {
    let (version, page) = page.split_once('/').unwrap_or_default();
    let answer = match (Version::parse(version), page) {
        (Some(_), "accounts.json") => Ok(accounts(&app)),
        (Some(_), "filters.json") => of_account(&query).map(|()| filters()),
        (Some(_), "metriclens_dimension_list.json") => match of_account(&query) {
            Ok(()) => ask(&app, |reader| dimensions(reader)).await,
            Err(failure) => Err(failure),
        },
        (Some(version), "metrics.json") => match Asked::read(&query, version) {
            Ok(asked) => ask(&app, move |reader| metrics(reader, &asked, time::now().minute())).await,
            Err(failure) => Err(failure),
        },
        _ => Err(Failure::not_found()),
    };
    respond(answer, uri.path())
}

fn accounts(app: &App) -> Value {
    let name = format!("c3.{}", app.account);
    json!({ "default": name, "count": 1, "accounts": { name: ACCOUNT } })
}

fn filters() -> Value {
    let (id, name) = ALL_TRAFFIC;
    json!({ id: name })
}

fn dimensions(reader: &mut dyn Reader) -> Answer {
    let mut list = Map::new();
    for known in Known::ALL {
        list.insert(known.name().to_owned(), known.id().into());
    }
    for (id, name) in reader.own_dimensions()? {
        // One of the operator's own may be called as one of ours.
        list.entry(name).or_insert_with(|| id.into());
    }
    Ok(Value::Object(list))
}

fn metrics(reader: &mut dyn Reader, asked: &Asked, now: Minute) -> Answer {
    let (from, until) = (Minute(now.0.saturating_sub(MINUTES - 1)), Minute(now.0.saturating_add(1)));
    let all = Span { dimension: 0, from, until };
    let mut answer = Map::new();
    for metric in &asked.metrics {
        let mut shape = match metric {
            Metric::Series(series) => {
                series.time_line(&reader.minutes(&all)?, from, until, asked.units, &asked.filters)
            }
            Metric::Simple(series) => series.single(&reader.values(&all)?, asked.units, &asked.filters),
            Metric::Summary => shapes::summary(&reader.values(&all)?, asked.version, &asked.filters),
            Metric::QualityLens | Metric::AudienceLens => {
                let Some(dimension) = asked.dimension else {
                    return Err(Failure::bad("metriclens_dimension_id is missing", "InvalidDimension"));
                };
                let is_known = matches!(Dimension::from_id(dimension), Some(Dimension::Known(_)));
                if !is_known && !has_own(reader, dimension)? {
                    return Err(Failure::bad("there is no such dimension", "InvalidDimension"));
                }
                let span = Span { dimension, ..all };
                if *metric == Metric::QualityLens {
                    shapes::quality(&reader.values(&span)?, asked.version, &asked.filters)
                } else {
                    shapes::audience(&reader.values(&span)?, &reader.peaks(&span)?, &asked.filters)
                }
            }
        };
        if let Some(meta) = shape.get_mut("meta") {
            *meta = json!({
                "status": 0,
                "filters_warmup": [],
                "filters_not_exist": asked.unknown_filters,
                "filters_incomplete_data": [],
            });
        }
        answer.insert(metric.name(), shape);
    }
    Ok(Value::Object(answer))
}

fn has_own(reader: &mut dyn Reader, dimension: u32) -> Result<bool, StoreError> {
    Ok(reader.own_dimensions()?.iter().any(|(id, _)| *id == dimension))
}

/// Asks the store, where it holds nobody up.
async fn ask(app: &App, question: impl FnOnce(&mut dyn Reader) -> Answer + Send + 'static) -> Answer {
    let reader = app.reader.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let mut reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
        question(&mut *reader)
    });
    asked.await.unwrap_or_else(|error| Err(Failure::internal(error.to_string())))
}

fn respond(answer: Answer, path: &str) -> Response {
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(Failure { status, message, reason }) => {
            let body =
                json!({ "message": message, "code": status.as_u16(), "request": path, "reason": reason });
            (status, body)
        }
    };
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn of_account(query: &HashMap<String, String>) -> Result<(), Failure> {
    match query.get("account").map(String::as_str) {
        Some(ACCOUNT) => Ok(()),
        Some(_) => Err(Failure::bad("there is no such account; see accounts.json", "InvalidAccount")),
        None => Err(Failure::bad("account is missing; see accounts.json", "InvalidAccount")),
    }
}

// === impl Version ===

impl Version {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "2.4" => Some(Self::V24),
            "2.6" => Some(Self::V26),
            _ => None,
        }
    }
}

// === impl Asked ===

impl Asked {
    fn read(query: &HashMap<String, String>, version: Version) -> Result<Self, Failure> {
        of_account(query)?;
        let text = |name: &str| query.get(name).map_or("", String::as_str);
        let list = |name| text(name).split(',').map(str::trim).filter(|part| !part.is_empty());

        let mut metrics = Vec::new();
        for name in list("metrics") {
            let metric = Metric::from_name(name);
            metrics.push(metric.ok_or_else(|| {
                Failure::bad(
                    format!("there is no metric {:?}", crate::labels::clipped(name, 60)),
                    "InvalidMetric",
                )
            })?);
        }
        if metrics.is_empty() {
            return Err(Failure::bad("metrics is missing", "InvalidMetric"));
        }
        let all: Vec<_> = list("filter_ids").collect();
        if all.len() > MAX_FILTERS {
            return Err(Failure::bad("filter_ids names more than 99 filters", "InvalidFilter"));
        }
        let (mut filters, mut unknown_filters) = (Vec::new(), Vec::new());
        for id in all {
            if id == ALL_TRAFFIC.0 {
                filters.push(id.to_owned());
            } else {
                unknown_filters.push(
                    id.parse()
                        .map_err(|_| Failure::bad("filter_ids holds what is no number", "InvalidFilter"))?,
                );
            }
        }
        if filters.is_empty() && unknown_filters.is_empty() {
            filters.push(ALL_TRAFFIC.0.to_owned());
        }
        let dimension = match text("metriclens_dimension_id") {
            "" => None,
            id => Some(
                id.parse()
                    .map_err(|_| Failure::bad("metriclens_dimension_id is no number", "InvalidDimension"))?,
            ),
        };
        let units = match text("ab_units") {
            "" | "bps" => Units::Bits,
            "kbps" => Units::Kilobits,
            _ => return Err(Failure::bad("ab_units is neither bps nor kbps", "InvalidConfig")),
        };
        Ok(Self { metrics, filters, unknown_filters, dimension, units, version })
    }
}

// === impl Failure ===

impl Failure {
    fn bad(message: impl Into<String>, reason: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into(), reason }
    }

    fn not_found() -> Self {
        let message = "nothing is here; see accounts.json, filters.json, metriclens_dimension_list.json and \
                       metrics.json below /insights/2.4/ and /insights/2.6/";
        Self { status: StatusCode::NOT_FOUND, message: message.to_owned(), reason: "NotFound" }
    }

    fn internal(message: String) -> Self {
        log::error!("a question cannot be answered: {message}");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, message: "the store cannot be read".to_owned(), reason: "StoreFailed" }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::internal(error.to_string())
    }
}
