//! The Metrics API, version 3.0: any metric over any time, in steps, by the values of a dimension where that is wanted.
//!
//! | path below `/insights/3.0/` | tells |
//! |---|---|
//! | `metrics/METRIC`, `metrics/custom-selection?metric=…` | the past, 13 months of it, 90 days at once |
//! | `real-time-metrics/…` the same | the last minutes |
//! | `…/group-by/DIMENSION`, `…/group-by/dimension-tag/TAG` | the same by value |
//!
//! What is told comes from the roll-ups, which know one dimension at a time: a request that names two is refused, and a
//! saved filter is the remedy.

mod query;
mod shape;

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;

use self::query::Asked;
use super::{Answer, Failure, ask, json_text, respond, wrong_method};
use crate::app::App;
use crate::figures::Figures;
use crate::filters::{ALL_TRAFFIC, Filter};
use crate::labels::Dimension;
use crate::sketch::States;
use crate::store::{Cell, Reader, Span};
use crate::time::{self, Minute};

/// Most bytes of an answer.
const MAX_ANSWER: usize = 5_700_000;

/// All below `/insights/3.0/` that tells metrics.
pub(super) fn router() -> Router<App> {
    Router::new().route("/insights/3.0/{*page}", get(page).fallback(wrong_method))
}

async fn page(
    State(app): State<App>,
    uri: Uri,
    Path(page): Path<String>,
    query: Result<Query<Vec<(String, String)>>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let answer = match query {
        Ok(Query(query)) => match Asked::read(&page, &query, time::now()) {
            Ok(asked) => {
                let filters = app.keeper.filters();
                ask(&app, move |reader| metrics(reader, &asked, &filters)).await
            }
            Err(failure) => Err(failure),
        },
        Err(error) => Err(Failure::bad(error.body_text(), "InvalidConfig")),
    };
    let text = match answer {
        Ok(body) => body.to_string(),
        failed @ Err(_) => return respond(failed, uri.path()),
    };
    if text.len() > MAX_ANSWER {
        let message = format!(
            "the answer is larger than {MAX_ANSWER} bytes: ask for less time, larger steps or a limit"
        );
        let status = StatusCode::PAYLOAD_TOO_LARGE;
        return respond(Err(Failure { status, message, reason: "TooLarge" }), uri.path());
    }
    json_text(StatusCode::OK, text)
}

fn metrics(reader: &mut dyn Reader, asked: &Asked, filters: &[Filter]) -> Answer {
    let filter =
        if asked.filter == ALL_TRAFFIC.0 {
            None
        } else {
            let found = filters.iter().find(|filter| filter.id == asked.filter && filter.wanted.enabled);
            Some(found.ok_or_else(|| {
                Failure::bad("there is no such filter; see /bulk_filters/", "InvalidFilter")
            })?)
        };
    let dimension = asked.dimension.as_ref().map_or(&Dimension::All, |dimension| dimension);
    if *dimension != Dimension::All && filter.is_some_and(|filter| !filter.wanted.advanced) {
        return Err(Failure::not_advanced(asked.filter));
    }
    let number = match dimension {
        Dimension::Own(name) => {
            let own = reader.own_dimensions()?;
            let found = own.into_iter().find(|(_, known)| known == name).map(|(id, _)| id);
            found.ok_or_else(|| Failure::bad("there is no such tag", "InvalidDimension"))?
        }
        known => known.id().unwrap_or_default(),
    };
    let span = Span { filter: asked.filter, dimension: number, from: asked.from, until: asked.until };
    let only = asked.only();
    let only = if asked.is_grouped { None } else { only };
    let cells = reader.grid(&span, asked.step, only)?;
    let totals = totals(&cells);
    let metrics = asked.metrics.iter().map(|(_, metric)| metric).chain(&asked.sort_by);
    let states = metrics.fold(States::NONE, |states, metric| states.and(metric.states()));
    let sketched =
        if states == States::NONE { Vec::new() } else { reader.sketches(&span, asked.step, only, states)? };
    Ok(shape::answer(asked, filter, &shape::told(cells, totals, sketched)))
}

/// The same over all the time: by value, in their order.
fn totals(cells: &[Cell]) -> Vec<Cell> {
    let mut totals: BTreeMap<&str, Figures> = BTreeMap::new();
    for cell in cells {
        totals.entry(&cell.value).or_default().follow(&cell.figures);
    }
    let of = |(value, figures): (&str, Figures)| Cell { at: Minute(0), value: value.to_owned(), figures };
    totals.into_iter().map(of).collect()
}
