//! Filters that are made and deleted at a service, each seen there, or gone from there, before it is called done.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use ureq::Agent;

use super::keep::Way;
use super::read::escaped;
use super::{authorization, client_of};
use crate::outside;

/// How long it may take until a service shows what it was told.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A filter as somebody enters it: one comparison.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entered {
    /// The connection.
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) field: String,
    pub(super) op: String,
    pub(super) value: String,
}

/// A filter that is to go.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unwanted {
    /// The connection.
    pub(super) id: i64,
    pub(super) name: String,
}

/// What rules can be about, where the service says.
pub(super) fn fields(way: &Way) -> Result<Value, String> {
    let (_, answer) = told(way, &client_of(way)?, "fields")?;
    Ok(answer)
}

/// Makes a filter, and waits until the service shows it.
pub(super) fn create(way: &Way, entered: &Entered) -> Result<(), String> {
    let agent = client_of(way)?;
    let rule = json!({ "field": entered.field, "op": entered.op, "value": entered.value });
    let body = json!([{
        "name": entered.name, "category": "CONTENT", "subcategory": entered.field, "advanced": true, "content": false,
        "enabled": true, "rules": { "op": "and", "rules": [{ "op": "or", "rules": [rule] }] },
    }]);
    let answer = outside::send(&agent, &url(way, ""), authorization(way).as_deref(), &body.to_string())?;
    expect_done(&answer)?;
    wait(way, &agent, &entered.name, true)
}

/// Deletes all filters of a name, and waits until the service shows none any more.
pub(super) fn delete(way: &Way, name: &str) -> Result<(), String> {
    let agent = client_of(way)?;
    let found = named(way, &agent, name)?;
    if found.is_empty() {
        return Err(format!("there is no saved filter {name:?}"));
    }
    for id in found {
        let answer = outside::delete(
            &agent,
            &url(way, &format!("?id={}", escaped(&id))),
            authorization(way).as_deref(),
        )?;
        expect_done(&answer)?;
    }
    wait(way, &agent, name, false)
}

fn wait(way: &Way, agent: &Agent, name: &str, is_there: bool) -> Result<(), String> {
    let deadline = Instant::now() + PATIENCE;
    while named(way, agent, name)?.is_empty() == is_there {
        if Instant::now() > deadline {
            let what = if is_there { "does not show" } else { "still shows" };
            return Err(format!("the service {what} the filter after {} s", PATIENCE.as_secs()));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Ids of the filters of a name.
fn named(way: &Way, agent: &Agent, name: &str) -> Result<Vec<String>, String> {
    let (_, answer) = told(way, agent, &format!("?name={}", escaped(name)))?;
    let ids = answer.as_array().into_iter().flatten().filter_map(|filter| {
        let is_it = filter.get("name").and_then(Value::as_str) == Some(name);
        filter.get("id").filter(|_| is_it).map(super::read::text)
    });
    Ok(ids.collect())
}

fn told(way: &Way, agent: &Agent, rest: &str) -> Result<(u16, Value), String> {
    let answer = outside::get(agent, &url(way, rest), authorization(way).as_deref())?;
    expect_done(&answer)?;
    Ok((
        answer.0,
        serde_json::from_slice(&answer.1).map_err(|_| "bulk_filters: the answer is not JSON".to_owned())?,
    ))
}

fn expect_done((status, body): &(u16, Vec<u8>)) -> Result<(), String> {
    if (200..300).contains(status) {
        return Ok(());
    }
    let message = serde_json::from_slice::<Value>(body).ok();
    let message =
        message.as_ref().and_then(|body| body.get("message")?.as_str()).unwrap_or("no reason is told");
    Err(format!("the service answers {status}: {}", message.chars().take(300).collect::<String>()))
}

/// Below the server's root, whichever API the connection's base is.
fn url(way: &Way, rest: &str) -> String {
    let base = way.base_url.trim();
    let root = base.split_once("/insights/").map_or(base, |(root, _)| root).trim_end_matches('/');
    format!("{root}/bulk_filters/{rest}")
}
