//! The API's own description, OpenAPI 3.1: what can be asked, and what shape answers have.
//!
//! Parameters have an example each, so that each path can be asked as it stands.

use std::sync::LazyLock;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

use super::wrong_method;
use crate::app::App;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

pub(super) fn router() -> Router<App> {
    Router::new().route("/openapi.json", get(page).fallback(wrong_method))
}

async fn page() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

fn document() -> Value {
    let mut paths = Map::new();
    for version in ["2.4", "2.6"] {
        let account =
            || parameter("account", "the account's id, as accounts.json tells it", true, &json!("1"));
        let mut add = |page: &str, about: &str, parameters: Value, schema: &str| {
            paths.insert(
                format!("/insights/{version}/{page}"),
                json!({ "get": asked(about, parameters, schema) }),
            );
        };
        add("accounts.json", "The accounts; default is the name of one.", json!([]), "Accounts");
        add("filters.json", "Names of filters by their ids.", json!([account()]), "Filters");
        let dimensions = "Ids of dimensions by their names.";
        add("metriclens_dimension_list.json", dimensions, json!([account()]), "Dimensions");
        let parameters = json!([
            account(),
            parameter(
                "metrics",
                "names, with commas between",
                true,
                &json!("attempts,ended_plays,video_startup_time,quality_metriclens")
            ),
            parameter("filter_ids", "at most 99, with commas between", false, &json!("1")),
            parameter("metriclens_dimension_id", "for metriclens", false, &json!("11")),
            parameter("ab_units", "of bit rates: bps or kbps", false, &json!("kbps")),
        ]);
        add("metrics.json", "Metrics of the last hour.", parameters, "Metrics");
    }
    for kind in ["metrics", "real-time-metrics"] {
        let metric = || in_path("metric", "such as plays; or custom-selection, with metric=", "plays");
        let mut common = vec![
            parameter("filter_id", "of a saved filter, or 1", false, &json!("1")),
            parameter("metric", "for custom-selection, 1 to 12 times", false, &json!("video-start-time")),
            parameter("granularity", "of steps, by ISO 8601, PT1M or longer", false, &json!("PT5M")),
            parameter("limit", "most values of a dimension", false, &json!("10")),
            parameter("sort_by", "the metric that values are put in order by", false, &json!("attempts")),
            parameter("order", "asc or desc", false, &json!("desc")),
        ];
        if kind == "metrics" {
            common.push(parameter(
                "days",
                "1 to 90, until now; or start_ and end_ with date, epoch or epoch_ms",
                false,
                &json!("1"),
            ));
        }
        common.push(parameter("minutes", "1 to 15, until now", false, &json!("15")));
        let mut add = |path: &str, about: &str, parts: Vec<Value>| {
            let parameters: Vec<_> = parts.into_iter().chain(common.iter().cloned()).collect();
            let path = format!("/insights/3.0/{kind}/{{metric}}{path}");
            paths.insert(path, json!({ "get": asked(about, parameters.into(), "Series") }));
        };
        add("", "A metric, or several, in steps of time.", vec![metric()]);
        let dimension = in_path("dimension", "such as player-name", "device-model");
        add("/group-by/{dimension}", "The same by the values of a dimension.", vec![metric(), dimension]);
        let tag = in_path("tag", "the name of an operator's own dimension", "_cd_1000");
        add(
            "/group-by/dimension-tag/{tag}",
            "The same by the values of an operator's own dimension.",
            vec![metric(), tag],
        );
    }
    let name = parameter("name", "only those of this name", false, &json!("All my boxes"));
    let id = parameter("id", "the filter's", true, &json!("2"));
    let mut post = asked("Saves filters: all of them or none.", json!([]), "SavedFilters");
    if let Some(post) = post.as_object_mut() {
        let body =
            json!({ "required": true, "content": { "application/json": { "schema": of("NewFilters") } } });
        post.insert("requestBody".to_owned(), body);
        if let Some(answers) = post.get_mut("responses").and_then(Value::as_object_mut) {
            if let Some(good) = answers.remove("200") {
                answers.insert("201".to_owned(), good);
            }
        }
    }
    paths.insert(
        "/bulk_filters/".to_owned(),
        json!({
            "get": asked("Saved filters.", json!([name]), "SavedFilters"),
            "post": post,
            "delete": asked("Takes a filter away; answers with what it was.", json!([id]), "SavedFilters"),
        }),
    );
    paths.insert(
        "/bulk_filters/fields".to_owned(),
        json!({ "get": asked("What rules can be about.", json!([]), "Fields") }),
    );
    paths.insert(
        "/-/status".to_owned(),
        json!({ "get": asked("How the collector fares.", json!([]), "Status") }),
    );
    let about = "What boxes send goes to any other path: STB statistics (POST), Media Analytics lines (GET with a query) and \
                 heartbeats (POST …/0/wsg).";
    json!({
        "openapi": "3.1.0",
        "info": { "title": "stbeacon-collector", "version": env!("CARGO_PKG_VERSION"), "description": about },
        "security": [{}, { "basic": [] }, { "bearer": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "bearer": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

fn asked(about: &str, parameters: Value, schema: &str) -> Value {
    let body = |schema: &str| json!({ "application/json": { "schema": of(schema) } });
    json!({
        "summary": about,
        "parameters": parameters,
        "responses": {
            "200": { "description": "What was asked for.", "content": body(schema) },
            "401": { "description": "A password is needed.", "content": body("Unauthorized") },
            "default": { "description": "Why there is no answer.", "content": body("Error") },
        },
    })
}

fn parameter(name: &str, about: &str, required: bool, example: &Value) -> Value {
    json!({
        "name": name, "in": "query", "description": about, "required": required, "schema": { "type": "string" },
        "example": example,
    })
}

fn in_path(name: &str, about: &str, example: &str) -> Value {
    json!({
        "name": name, "in": "path", "description": about, "required": true, "schema": { "type": "string" },
        "example": example,
    })
}

fn of(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn object(properties: Value) -> Value {
    let names: Vec<_> = properties.as_object().into_iter().flat_map(Map::keys).cloned().collect();
    json!({ "type": "object", "required": names, "properties": properties, "additionalProperties": false })
}

fn list(items: Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn by_name(values: Value) -> Value {
    json!({ "type": "object", "additionalProperties": values })
}

fn schemas() -> Value {
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "number" });
    let count = || json!({ "type": "integer", "minimum": 0 });
    let flag = || json!({ "type": "boolean" });
    let kind = |name: &str| json!({ "const": name });
    let ids = || list(count());
    let meta = object(json!({
        "status": count(), "filters_warmup": ids(), "filters_not_exist": ids(), "filters_incomplete_data": ids(),
    }));
    let series = |name: &str, labels: Value| {
        object(
            json!({ "type": kind(name), "meta": of("Meta"), "xvalues": labels, "filters": by_name(list(number())) }),
        )
    };
    let rows = object(json!({ "rows": list(list(number())), "total_row": list(number()) }));
    let metric = json!({ "oneOf": [
        object(json!({
            "type": kind("time_series"), "meta": of("Meta"), "timestamps": list(count()), "filters": by_name(list(number())),
        })),
        object(json!({ "type": kind("simple_series"), "meta": of("Meta"), "filters": by_name(list(number())) })),
        series("label_series", list(text())),
        object(json!({
            "type": kind("metriclens"), "meta": of("Meta"), "xvalues": list(text()), "tables": by_name(rows),
        })),
    ] });
    let value = json!({
        "type": "object", "minProperties": 1, "additionalProperties": false,
        "properties": {
            "count": count(), "percentage": number(), "ratio": number(), "bps": number(), "value": number(),
            "p50": number(), "p95": number(), "per_unique_device": number(),
        },
    });
    let told = json!({ "oneOf": [
        { "required": ["metrics"], "properties": { "metrics": by_name(of("Value")) } },
        { "required": ["dimensional_data"], "properties": { "dimensional_data": list(object(json!({
            "dimension": object(json!({ "key": text(), "value": text() })), "metrics": by_name(of("Value")),
        }))) } },
    ] });
    let step = json!({ "allOf": [of("Told")], "type": "object", "required": ["timestamp"], "properties": {
        "timestamp": object(json!({ "epoch_ms": count(), "iso_date": text() })),
    } });
    let about_filter = json!({ "type": "object", "required": ["id", "name"], "properties": {
        "id": text(), "name": text(), "warming_up": flag(), "incomplete_data": flag(),
    } });
    let about = json!({ "type": "object", "required": ["filter_info"], "properties": {
        "filter_info": about_filter, "group_by_dimension": object(json!({ "description": text() })),
    } });
    let rule = json!({ "oneOf": [
        object(json!({ "op": { "enum": ["and", "or"] }, "rules": list(of("Rule")) })),
        object(json!({
            "field": text(), "op": { "enum": ["equals", "notequals", "contains", "notcontains"] }, "value": text(),
        })),
    ] });
    let saved = object(json!({
        "id": text(), "name": text(), "category": text(), "subcategory": text(), "advanced": flag(), "content": flag(),
        "enabled": flag(), "rules": of("Rule"),
    }));
    let new = json!({ "type": "object", "required": ["name", "rules"], "properties": {
        "name": text(), "category": text(), "subcategory": text(), "advanced": flag(), "content": flag(),
        "enabled": flag(), "rules": of("Rule"),
    } });
    json!({
        "Accounts": object(json!({ "default": text(), "count": count(), "accounts": by_name(text()) })),
        "Filters": by_name(text()),
        "Dimensions": by_name(json!({ "type": "integer", "minimum": 1 })),
        "Meta": meta,
        "Metrics": by_name(metric),
        "Value": value,
        "Told": told,
        "Series": object(json!({ "_meta": about, "total": of("Told"), "time_series": list(step) })),
        "Rule": rule,
        "SavedFilters": list(saved),
        "NewFilters": { "type": "array", "minItems": 1, "items": new },
        "Fields": list(object(json!({ "field": text(), "type": text(), "ops": list(text()) }))),
        "Status": { "type": "object", "required": ["running_sessions", "store_writable", "received"], "properties": {
            "running_sessions": count(), "store_writable": flag(), "received": by_name(count()),
        } },
        "Error": object(json!({ "message": text(), "code": count(), "request": text(), "reason": text() })),
        "Unauthorized": object(json!({ "message": text() })),
    })
}
