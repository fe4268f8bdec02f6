//! The Insights API, versions 2.4, 2.6 and 3.0: what tools that poll such a service ask. Here 2.4 and 2.6; see [`three`]
//! and [`bulk`].
//!
//! | path below `/insights/2.4/` and `/insights/2.6/` | answer |
//! |---|---|
//! | `accounts.json` | the one account |
//! | `filters.json` | the filters, All Traffic first |
//! | `metriclens_dimension_list.json` | names of dimensions and their numbers |
//! | `metrics.json` | the last hour of the metrics asked for: by minute, in all, or by the values of a dimension |

mod bulk;
mod distribution;
mod openapi;
mod shapes;
mod three;

use std::collections::HashMap;
use std::sync::PoisonError;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use self::shapes::{Metric, Units};
use crate::app::App;
use crate::figures::Figures;
use crate::filters::{ALL_TRAFFIC, Filter, FilterId};
use crate::labels::{Dimension, Known};
use crate::sketch::{Sketches, States};
use crate::store::{ALL_TIME, Reader, Span, StoreError};
use crate::time::{self, Minute};

/// The one account's id.
const ACCOUNT: &str = "1";
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
    filters: Vec<FilterId>,
    dimension: Option<u32>,
    units: Units,
    version: Version,
}

/// Filters that are asked for.
#[derive(Debug, Default)]
struct Resolved {
    /// Those that are told.
    told: Vec<FilterId>,
    /// Those of them that did not count all the time.
    incomplete: Vec<FilterId>,
    warming_up: Vec<FilterId>,
    unknown: Vec<FilterId>,
    /// Those that there are, but not by dimension.
    not_advanced: Vec<FilterId>,
}

/// All below `/insights/` and `/bulk_filters/`.
pub(crate) fn router() -> Router<App> {
    let two = ["2.4", "2.6"].into_iter().fold(Router::new(), |router, version| {
        router.route(&format!("/insights/{version}/{{*page}}"), get(page).fallback(wrong_method))
    });
    two.route("/insights/{*page}", get(async |uri: Uri| respond(Err(Failure::not_found()), uri.path())))
        .merge(three::router())
        .merge(bulk::router())
        .merge(openapi::router())
}

async fn page(
    State(app): State<App>,
    uri: Uri,
    Path(page): Path<String>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Response {
    let version = if uri.path().starts_with("/insights/2.4/") { Version::V24 } else { Version::V26 };
    let query = match query {
        Ok(Query(query)) => query,
        Err(error) => return respond(Err(Failure::bad(error.body_text(), "InvalidConfig")), uri.path()),
    };
    let answer = match page.as_str() {
        "accounts.json" => Ok(accounts(&app)),
        "filters.json" => of_account(&query).map(|()| filters(&app.keeper.filters())),
        "metriclens_dimension_list.json" => match of_account(&query) {
            Ok(()) => ask(&app, |reader| dimensions(reader)).await,
            Err(failure) => Err(failure),
        },
        "metrics.json" => match Asked::read(&query, version) {
            Ok(asked) => {
                let filters = app.keeper.filters();
                ask(&app, move |reader| metrics(reader, &asked, &filters, time::now().minute())).await
            }
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

fn filters(saved: &[Filter]) -> Value {
    let saved = saved.iter().filter(|filter| filter.wanted.enabled);
    let saved = saved.map(|filter| (filter.id, filter.wanted.name.as_str()));
    let all = std::iter::once(ALL_TRAFFIC).chain(saved);
    Value::Object(all.map(|(id, name)| (id.0.to_string(), name.into())).collect())
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

fn metrics(reader: &mut dyn Reader, asked: &Asked, saved: &[Filter], now: Minute) -> Answer {
    let (from, until) = (Minute(now.0.saturating_sub(MINUTES - 1)), Minute(now.0.saturating_add(1)));
    let filters = Resolved::of(&asked.filters, saved, from, now);
    let mut answer = Map::new();
    for metric in &asked.metrics {
        let dimension = match metric {
            Metric::Series(_) | Metric::Simple(_) | Metric::Summary | Metric::Distribution(_) => 0,
            Metric::TopAssets => Known::Asset.id(),
            Metric::QualityLens | Metric::AudienceLens => {
                let Some(dimension) = asked.dimension else {
                    return Err(Failure::bad("metriclens_dimension_id is missing", "InvalidDimension"));
                };
                let is_known = matches!(Dimension::from_id(dimension), Some(Dimension::Known(_)));
                if !is_known && !has_own(reader, dimension)? {
                    return Err(Failure::bad("there is no such dimension", "InvalidDimension"));
                }
                dimension
            }
        };
        if let (true, Some(filter)) = (dimension != 0, filters.not_advanced.first()) {
            return Err(Failure::not_advanced(*filter));
        }
        let mut told = Vec::with_capacity(filters.told.len());
        for filter in &filters.told {
            let span = Span { filter: *filter, dimension, from, until };
            let mut of = shapes::Told { filter: filter.0.to_string(), ..shapes::Told::default() };
            match metric {
                Metric::Series(_) => of.minutes = minutes(reader, &span)?,
                Metric::Distribution(distribution) => {
                    of.sketches = together(reader, &span, distribution.states())?
                }
                _ => {
                    of.values = reader.values(&span)?;
                    of.values.iter_mut().for_each(|(_, figures)| *figures = figures.shown());
                }
            }
            if *metric == Metric::AudienceLens {
                of.peaks = reader.peaks(&span)?;
                of.minutes = minutes(reader, &span)?;
            }
            told.push(of);
        }
        let mut shape = match metric {
            Metric::Series(series) => series.time_line(&told, from, until, asked.units),
            Metric::Simple(series) => series.single(&told, asked.units),
            Metric::Summary => shapes::summary(&told, asked.version),
            Metric::TopAssets => shapes::top_assets(&told),
            Metric::Distribution(distribution) => shapes::distribution(&told, distribution),
            Metric::QualityLens => shapes::quality(&told, asked.version),
            Metric::AudienceLens => shapes::audience(&told),
        };
        if let Some(meta) = shape.get_mut("meta") {
            *meta = filters.meta();
        }
        answer.insert(metric.name(), shape);
    }
    Ok(Value::Object(answer))
}

/// Sums of each minute, of all values together.
fn minutes(reader: &mut dyn Reader, span: &Span) -> Result<Vec<(Minute, Figures)>, StoreError> {
    let mut minutes = reader.minutes(span)?;
    minutes.iter_mut().for_each(|(_, figures)| *figures = figures.shown());
    Ok(minutes)
}

/// Sketches of all values and all of the time.
fn together(reader: &mut dyn Reader, span: &Span, wanted: States) -> Result<Sketches, StoreError> {
    let told = reader.sketches(span, ALL_TIME, None, wanted)?;
    Ok(told.into_iter().next().map(|told| told.sketches).unwrap_or_default())
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
    respond_with(StatusCode::OK, answer, path)
}

/// The same, with another status where there is an answer.
fn respond_with(good: StatusCode, answer: Answer, path: &str) -> Response {
    let (status, body) = match answer {
        Ok(body) => (good, body),
        Err(Failure { status, message, reason }) => {
            let body =
                json!({ "message": message, "code": status.as_u16(), "request": path, "reason": reason });
            (status, body)
        }
    };
    json_text(status, body.to_string())
}

/// With a body that is JSON already.
fn json_text(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn wrong_method(uri: Uri) -> Response {
    let failure = Failure {
        status: StatusCode::METHOD_NOT_ALLOWED,
        message: "this is not a method of that".to_owned(),
        reason: "MethodNotAllowed",
    };
    respond(Err(failure), uri.path())
}

fn of_account(query: &HashMap<String, String>) -> Result<(), Failure> {
    match query.get("account").map(String::as_str) {
        Some(ACCOUNT) => Ok(()),
        Some(_) => Err(Failure::bad("there is no such account; see accounts.json", "InvalidAccount")),
        None => Err(Failure::bad("account is missing; see accounts.json", "InvalidAccount")),
    }
}

// === impl Resolved ===

impl Resolved {
    /// What of the filters that are asked for there is, in what is told from `from` to `now`.
    fn of(asked: &[FilterId], saved: &[Filter], from: Minute, now: Minute) -> Self {
        let mut all = Self::default();
        for id in asked {
            if *id == ALL_TRAFFIC.0 {
                all.told.push(*id);
                continue;
            }
            let Some(filter) = saved.iter().find(|filter| filter.id == *id && filter.wanted.enabled) else {
                all.unknown.push(*id);
                continue;
            };
            if !filter.wanted.advanced {
                all.not_advanced.push(*id);
            }
            if filter.is_warming_up(now) {
                all.warming_up.push(*id);
                continue;
            }
            all.told.push(*id);
            if filter.misses_some(from) {
                all.incomplete.push(*id);
            }
        }
        all
    }

    fn meta(&self) -> Value {
        json!({
            "status": 0,
            "filters_warmup": self.warming_up,
            "filters_not_exist": self.unknown,
            "filters_incomplete_data": self.incomplete,
        })
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
        let mut filters = Vec::new();
        for id in all {
            let id = id
                .parse()
                .map_err(|_| Failure::bad("filter_ids holds what is no number", "InvalidFilter"))?;
            if !filters.contains(&FilterId(id)) {
                filters.push(FilterId(id));
            }
        }
        if filters.is_empty() {
            filters.push(ALL_TRAFFIC.0);
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
        Ok(Self { metrics, filters, dimension, units, version })
    }
}

// === impl Failure ===

impl Failure {
    fn bad(message: impl Into<String>, reason: &'static str) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into(), reason }
    }

    fn not_advanced(filter: FilterId) -> Self {
        let message =
            format!("filter {} does not count by dimension; make one with \"advanced\": true", filter.0);
        Self::bad(message, "InvalidFilter")
    }

    fn not_found() -> Self {
        let message = "nothing is here; see accounts.json, filters.json, metriclens_dimension_list.json and \
                       metrics.json below /insights/2.4/ and /insights/2.6/, and metrics/ and real-time-metrics/ below \
                       /insights/3.0/";
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
