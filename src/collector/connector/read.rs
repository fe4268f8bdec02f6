//! What a service answers, read. Pure.

use serde_json::{Map, Value, json};

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) account: String,
    pub(crate) metric: String,
    pub(crate) filter: String,
    /// Where it is asked by the values of a dimension.
    pub(crate) dimension: Option<String>,
    pub(crate) units: String,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    /// The filter is new there: it has no data yet.
    Warmup,
    InvalidFilter,
    InvalidDimension,
    InvalidConfig,
    Error,
}

/// What is shown of an answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) status: Status,
    /// What is wrong, for people.
    pub(crate) note: String,
    /// What is told; `None` leaves what was told before.
    pub(crate) result: Option<Value>,
}

// === impl Status ===

impl Status {
    /// As people read it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Warmup => "Warmup",
            Self::InvalidFilter => "InvalidFilter",
            Self::InvalidDimension => "InvalidDimension",
            Self::InvalidConfig => "InvalidConfig",
            Self::Error => "Error",
        }
    }

    /// Tables without dimensions know of one error only.
    const fn plain(self) -> Self {
        match self {
            Self::Ok | Self::Warmup => self,
            _ => Self::Error,
        }
    }
}

// === impl Question ===

impl Question {
    /// The request's URL.
    pub(crate) fn url(&self, base: &str) -> String {
        let mut url = format!(
            "{}/metrics.json?metrics={}&account={}&filter_ids={}",
            api(base),
            escaped(&self.metric),
            escaped(&self.account),
            escaped(&self.filter)
        );
        if let Some(dimension) = &self.dimension {
            url.push_str("&metriclens_dimension_id=");
            url.push_str(&escaped(dimension));
        }
        if self.units == "kbps" {
            url.push_str("&ab_units=kbps");
        }
        url
    }

    /// Reads an answer with a status.
    pub(crate) fn read(&self, status: u16, body: &[u8]) -> Outcome {
        let outcome = self.read_any(status, body);
        match self.dimension {
            Some(_) => outcome,
            None => Outcome { status: outcome.status.plain(), ..outcome },
        }
    }

    fn read_any(&self, status: u16, body: &[u8]) -> Outcome {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        if status != 200 {
            return refusal(status, &answer);
        }
        let Some(told) = answer.get(&self.metric) else {
            return failed(Status::Error, format!("the answer has no {:?}", self.metric));
        };
        let listed = |list: &str| {
            let list = told.get("meta").and_then(|meta| meta.get(list)).and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|id| text(id) == self.filter))
        };
        if listed("filters_not_exist") {
            return failed(Status::InvalidFilter, format!("there is no filter {}", self.filter));
        }
        if listed("filters_warmup") {
            return failed(Status::Warmup, "the filter has no data yet".to_owned());
        }
        match self.result(told) {
            Some(result) => Outcome { status: Status::Ok, note: String::new(), result: Some(result) },
            None => failed(Status::Error, "the answer is not of a shape that is known".to_owned()),
        }
    }

    fn result(&self, told: &Value) -> Option<Value> {
        let kind = told.get("type")?.as_str()?;
        match kind {
            "time_series" | "simple_series" => {
                let values = numbers(told.get("filters")?.get(&self.filter)?)?;
                if kind == "simple_series" {
                    return Some(json!({ "kind": kind, "value": values.first() }));
                }
                let largest = values.iter().copied().reduce(f64::max);
                let smallest = values.iter().copied().reduce(f64::min);
                Some(json!({ "kind": kind, "avg": mean(&values), "max": largest, "min": smallest }))
            }
            "label_series" => {
                let values = numbers(told.get("filters")?.get(&self.filter)?)?;
                let rows: Vec<_> = names(told)?.into_iter().zip(values).collect();
                Some(json!({ "kind": kind, "rows": rows }))
            }
            "metriclens" => {
                let rows = told.get("tables")?.get(&self.filter)?.get("rows")?.as_array()?;
                let rows: Option<Vec<_>> = rows.iter().map(numbers).collect();
                // The same label twice would be two rows for one thing: the last one counts.
                let mut seen = Map::new();
                for (name, row) in names(told)?.into_iter().zip(rows?) {
                    seen.insert(name, row.into());
                }
                Some(json!({ "kind": kind, "rows": seen.into_iter().collect::<Vec<_>>() }))
            }
            _ => None,
        }
    }
}

/// The API's base where a user names a server: newest version that is spoken.
pub(crate) fn api(base: &str) -> String {
    let base = base.trim().trim_end_matches('/');
    if base.contains("/insights/") { base.to_owned() } else { format!("{base}/insights/2.6") }
}

/// Names and ids of `accounts.json`, the default first.
pub(crate) fn accounts(answer: &Value) -> Vec<(String, String)> {
    let mut accounts = pairs(answer.get("accounts").unwrap_or(&Value::Null));
    let default = answer.get("default").and_then(Value::as_str).unwrap_or_default();
    accounts.sort_by_key(|(name, _)| (name != default, name.clone()));
    accounts
}

/// Names and ids of `filters.json`, which has ids first.
pub(crate) fn filters(answer: &Value) -> Vec<(String, String)> {
    pairs(answer).into_iter().map(|(id, name)| (name, id)).collect()
}

/// Names and ids of `metriclens_dimension_list.json`.
pub(crate) fn dimensions(answer: &Value) -> Vec<(String, String)> {
    pairs(answer)
}

/// A value of a URL's query.
pub(crate) fn escaped(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                text.push(char::from(byte))
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn refusal(status: u16, answer: &Value) -> Outcome {
    let told = |name: &str| answer.get(name).map(text).unwrap_or_default();
    let (reason, message) = (told("reason"), told("message"));
    let about = format!("{reason} {message}").to_lowercase();
    let kind = match status {
        400 if about.contains("dimension") => Status::InvalidDimension,
        400 if about.contains("filter") => Status::InvalidFilter,
        400 => Status::InvalidConfig,
        _ => Status::Error,
    };
    let message = if status == 401 { "user or password is wrong".to_owned() } else { message };
    failed(kind, format!("{status}: {message}"))
}

fn failed(status: Status, note: String) -> Outcome {
    Outcome { status, note: note.chars().take(300).collect(), result: None }
}

fn pairs(object: &Value) -> Vec<(String, String)> {
    let entries = object.as_object().into_iter().flatten();
    entries.map(|(name, value)| (name.clone(), text(value))).collect()
}

fn names(told: &Value) -> Option<Vec<String>> {
    Some(told.get("xvalues")?.as_array()?.iter().map(text).collect())
}

fn numbers(values: &Value) -> Option<Vec<f64>> {
    values.as_array()?.iter().map(Value::as_f64).collect()
}

#[expect(clippy::cast_precision_loss, reason = "a series is short")]
fn mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

/// Ids may be numbers or texts.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn question(metric: &str, dimension: Option<&str>) -> Question {
        Question {
            account: "1".to_owned(),
            metric: metric.to_owned(),
            filter: "1".to_owned(),
            dimension: dimension.map(str::to_owned),
            units: String::new(),
        }
    }

    #[rstest]
    #[case("attempts", None,
        json!({ "type": "time_series", "meta": {}, "timestamps": [1, 2, 3], "filters": { "1": [10, 2.5, 4] } }),
        json!({ "kind": "time_series", "avg": 5.5, "max": 10.0, "min": 2.5 }))]
    #[case("attempts", None,
        json!({ "type": "time_series", "timestamps": [], "filters": { "1": [] } }),
        json!({ "kind": "time_series", "avg": null, "max": null, "min": null }))]
    #[case("ended_plays", None,
        json!({ "type": "simple_series", "meta": {}, "filters": { "1": [7] } }),
        json!({ "kind": "simple_series", "value": 7.0 }))]
    #[case("quality_summary", None,
        json!({ "type": "label_series", "meta": {}, "xvalues": ["a", "b"], "filters": { "1": [1, 2] } }),
        json!({ "kind": "label_series", "rows": [["a", 1.0], ["b", 2.0]] }))]
    #[case("quality_metriclens", Some("11"),
        json!({ "type": "metriclens", "meta": {}, "xvalues": ["CDN-A", "CDN-A"],
            "tables": { "1": { "rows": [[1, 2], [200, 1.5]], "total_row": [] } } }),
        json!({ "kind": "metriclens", "rows": [["CDN-A", [200.0, 1.5]]] }))]
    fn answers(
        #[case] metric: &str,
        #[case] dimension: Option<&str>,
        #[case] told: Value,
        #[case] result: Value,
    ) {
        let outcome = question(metric, dimension).read(200, json!({ metric: told }).to_string().as_bytes());
        assert_eq!(outcome, Outcome { status: Status::Ok, note: String::new(), result: Some(result) });
    }

    #[rstest]
    #[case(200, json!({ "m": { "type": "time_series", "meta": { "filters_warmup": [1] } } }), Status::Warmup, Status::Warmup)]
    #[case(200, json!({ "m": { "type": "metriclens", "meta": { "filters_not_exist": ["1"] } } }), Status::InvalidFilter, Status::Error)]
    #[case(200, json!({ "m": { "type": "pie" } }), Status::Error, Status::Error)]
    #[case(200, json!({ "other": {} }), Status::Error, Status::Error)]
    #[case(200, json!({ "m": { "type": "time_series", "filters": { "1": [null] } } }), Status::Error, Status::Error)]
    #[case(400, json!({ "message": "there is none", "reason": "InvalidDimension" }), Status::InvalidDimension, Status::Error)]
    #[case(400, json!({ "message": "Filter is not enabled for MetricLens" }), Status::InvalidFilter, Status::Error)]
    #[case(400, json!({ "message": "no such account" }), Status::InvalidConfig, Status::Error)]
    #[case(401, json!({ "message": "Unauthorized" }), Status::Error, Status::Error)]
    #[case(503, json!(null), Status::Error, Status::Error)]
    fn what_is_wrong(#[case] status: u16, #[case] body: Value, #[case] lens: Status, #[case] plain: Status) {
        let body = body.to_string();
        assert_eq!(question("m", Some("11")).read(status, body.as_bytes()).status, lens);
        let outcome = question("m", None).read(status, body.as_bytes());
        assert_eq!(outcome.status, plain);
        assert!(outcome.result.is_none() && !outcome.note.is_empty());
    }

    #[rstest]
    #[case(
        "http://h:1",
        "http://h:1/insights/2.6/metrics.json?metrics=a&account=1%262&filter_ids=1&metriclens_dimension_id=11&ab_units=kbps"
    )]
    #[case(
        "https://h/insights/2.4/",
        "https://h/insights/2.4/metrics.json?metrics=a&account=1%262&filter_ids=1&metriclens_dimension_id=11&ab_units=kbps"
    )]
    fn urls(#[case] base: &str, #[case] url: &str) {
        let question =
            Question { account: "1&2".to_owned(), units: "kbps".to_owned(), ..question("a", Some("11")) };
        assert_eq!(question.url(base), url);
    }

    #[test]
    fn choices() {
        let told = json!({ "default": "c3.B", "count": 2, "accounts": { "c3.A": "7", "c3.B": "9" } });
        let pair = |name: &str, id: &str| (name.to_owned(), id.to_owned());
        assert_eq!(accounts(&told), [pair("c3.B", "9"), pair("c3.A", "7")]);
        assert_eq!(filters(&json!({ "1": "All Traffic" })), [pair("All Traffic", "1")]);
        assert_eq!(dimensions(&json!({ "CDNs": 11 })), [pair("CDNs", "11")]);
    }

    proptest! {
        /// Whatever a service answers is read without a fall.
        #[test]
        fn anything_is_read(status in 100_u16..600, body in prop::collection::vec(any::<u8>(), 0..64)) {
            let outcome = question("m", None).read(status, &body);
            prop_assert!(outcome.status == Status::Error);
        }

        /// The average is between the extremes.
        #[test]
        fn extremes(values in prop::collection::vec(-1e6_f64..1e6, 1..50)) {
            let told = json!({ "m": { "type": "time_series", "filters": { "1": values } } });
            let result = question("m", None).read(200, told.to_string().as_bytes()).result.unwrap();
            let of = |name: &str| result[name].as_f64().unwrap();
            prop_assert!(of("min") <= of("avg") + 1e-6 && of("avg") <= of("max") + 1e-6);
        }
    }
}
