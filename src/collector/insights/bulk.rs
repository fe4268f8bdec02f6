//! Saved filters over HTTP: made, looked for, taken away.
//!
//! | request | answer |
//! |---|---|
//! | `POST /bulk_filters/` with an array of filters | 201 and the filters with their ids: all of them or none |
//! | `GET /bulk_filters/?name=N` | the filters of that name; without one, all |
//! | `DELETE /bulk_filters/?id=I` | 200 and the filter that is no more |
//! | `GET /bulk_filters/fields` | what rules can be about |

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;

use super::{Answer, Failure, respond, respond_with, wrong_method};
use crate::app::App;
use crate::filters::{Edit, Field, FilterId, NotDone, Wanted};

/// Most bytes of a body.
const MAX_BODY: usize = 1024 * 1024;

type Asked = Query<HashMap<String, String>>;

/// All below `/bulk_filters/`, and the same below `/insights/3.0/`.
pub(super) fn router() -> Router<App> {
    let mut router = Router::new();
    for root in ["/bulk_filters", "/insights/3.0/bulk_filters"] {
        let filters = || get(find).post(add).delete(remove).fallback(wrong_method);
        router = router
            .route(root, filters())
            .route(&format!("{root}/"), filters())
            .route(&format!("{root}/fields"), get(fields).fallback(wrong_method));
    }
    router.layer(axum::extract::DefaultBodyLimit::max(MAX_BODY))
}

async fn fields(uri: Uri) -> Response {
    respond(Ok(Field::list()), uri.path())
}

async fn find(State(app): State<App>, uri: Uri, query: Asked) -> Response {
    let filters = app.keeper.filters();
    let wanted = query.get("name");
    let found = filters.iter().filter(|filter| wanted.is_none_or(|name| *name == filter.wanted.name));
    respond(Ok(found.map(crate::filters::Filter::to_json).collect()), uri.path())
}

async fn add(State(app): State<App>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if is_from_elsewhere(&headers) {
        let message = "a page of another site may make no filters".to_owned();
        return respond(
            Err(Failure { status: StatusCode::FORBIDDEN, message, reason: "Forbidden" }),
            uri.path(),
        );
    }
    let read = serde_json::from_slice(&body)
        .map_err(|error| Failure::bad(format!("not JSON: {error}"), "InvalidFilter"));
    let wanted = read.and_then(|body: Value| {
        Wanted::read_all(&body).map_err(|error| Failure::bad(error.to_string(), "InvalidFilter"))
    });
    match wanted {
        Ok(wanted) => respond_with(StatusCode::CREATED, edit(&app, Edit::Add(wanted)).await, uri.path()),
        Err(failure) => respond(Err(failure), uri.path()),
    }
}

/// Whether a browser sends this for a page of another site, with the password that it keeps for this one. Programs do not
/// say what they ask for (Fetch Metadata, `Sec-Fetch-Site`).
fn is_from_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

async fn remove(State(app): State<App>, uri: Uri, query: Asked) -> Response {
    let answer = match query.get("id").and_then(|id| id.parse().ok()) {
        Some(id) => edit(&app, Edit::Remove(FilterId(id))).await,
        None => Err(Failure::bad("id is missing, or no number", "InvalidFilter")),
    };
    respond(answer, uri.path())
}

async fn edit(app: &App, edit: Edit) -> Answer {
    match app.keeper.edit(edit).await {
        Ok(filters) => Ok(filters.iter().map(crate::filters::Filter::to_json).collect()),
        Err(error) => {
            let (status, reason) = match error {
                NotDone::Taken(_) => (StatusCode::CONFLICT, "FilterExists"),
                NotDone::Full => (StatusCode::CONFLICT, "TooManyFilters"),
                NotDone::Unknown(_) => (StatusCode::NOT_FOUND, "InvalidFilter"),
                NotDone::NotNow => (StatusCode::SERVICE_UNAVAILABLE, "StoreFailed"),
            };
            Err(Failure { status, message: error.to_string(), reason })
        }
    }
}
