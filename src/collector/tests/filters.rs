//! Saved filters and the Metrics API 3.0, and the bodies of all answers.

use rstest::rstest;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Collector, lines_of_the_past};

const ASSETS: u32 = 12;

fn rules(value: &str) -> Value {
    let rule = json!({ "field": "Asset Name", "op": "contains", "value": value });
    json!({ "op": "and", "rules": [{ "op": "or", "rules": [rule] }] })
}

fn filter(name: &str, value: &str, advanced: bool) -> Value {
    json!({
        "name": name, "category": "CONTENT", "subcategory": "Asset", "advanced": advanced, "content": false,
        "enabled": true, "rules": rules(value),
    })
}

fn add(collector: &Collector, filters: &Value) -> (u16, Value) {
    let answer = collector.post("/bulk_filters/", "", filters.to_string().as_bytes());
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

fn json_of(collector: &Collector, method: &str, path: &str) -> (u16, Value) {
    let answer = collector.send(method, path, "", b"");
    let body = serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{path}: {}", answer.text()));
    (answer.status, body)
}

/// A line of a session that began 400 s ago and shows something called so.
fn line_of(title: &str, id: &str) -> String {
    format!("a=S~c={id}~d=box~e=0~f=R~w=400000~dx=0~r=900~tt={title}")
}

/// As if the filters had been made an hour ago; the collector must not run.
fn age_filters(data: &std::path::Path) {
    let store = Connection::open(data.join("collector.sqlite")).unwrap();
    let sql = "UPDATE filter SET state = json_set(state, '$.made', state ->> '$.made' - 7200000)";
    assert!(store.execute(sql, []).unwrap() > 0);
}

/// A browser sends such a request, with the password that it keeps, for any page that somebody opens.
#[rstest]
#[case("cross-site", 403)]
#[case("same-site", 403)]
#[case("same-origin", 201)]
#[case("none", 201)]
fn pages_of_other_sites_make_no_filters(#[case] site: &str, #[case] status: u16) {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let body = json!([filter("Films", "film", false)]).to_string();
    let headers = format!("Sec-Fetch-Site: {site}\r\n");
    assert_eq!(collector.post("/bulk_filters/", &headers, body.as_bytes()).status, status);
    let made = usize::from(status == 201);
    assert_eq!(collector.ask("/bulk_filters/?name=Films").as_array().unwrap().len(), made);
}

#[test]
fn a_filter_is_made_warms_up_counts_and_is_taken_away() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    assert_eq!(collector.line(&line_of("news", "1")).status, 200);
    let (status, made) =
        add(&collector, &json!([filter("Films", "film", true), filter("Plain", "FILM", false)]));
    assert_eq!((status, &made[0]["id"], &made[1]["id"]), (201, &json!("2"), &json!("3")), "{made}");
    assert_eq!(
        collector.ask("/insights/2.4/filters.json?account=1"),
        json!({ "1": "All Traffic", "2": "Films", "3": "Plain" })
    );
    assert_eq!(collector.ask("/bulk_filters/?name=Films"), json!([made[0]]));
    let metrics = "/insights/2.4/metrics.json?metrics=attempts&account=1&filter_ids=1,2,9";
    let warming = collector.ask(metrics)["attempts"].take();
    assert_eq!(
        (&warming["meta"]["filters_warmup"], &warming["meta"]["filters_not_exist"]),
        (&json!([2]), &json!([9]))
    );
    assert_eq!(warming["filters"].as_object().unwrap().keys().collect::<Vec<_>>(), ["1"]);
    for (title, id) in [("some%20film", "2"), ("Film%20noir", "3"), ("news", "4")] {
        assert_eq!(collector.line(&line_of(title, id)).status, 200);
    }
    assert!(collector.stop().success());

    age_filters(data.path());
    let collector = Collector::start(data.path());
    let told = collector.ask(metrics)["attempts"].take();
    let sum =
        |id: &str| told["filters"][id].as_array().unwrap().iter().map(|n| n.as_i64().unwrap()).sum::<i64>();
    assert_eq!((sum("1"), sum("2"), &told["meta"]["filters_warmup"]), (4, 2, &json!([])));
    let lens = |id: u32| {
        format!(
            "/insights/2.6/metrics.json?metrics=quality_metriclens&account=1&filter_ids={id}&metriclens_dimension_id={ASSETS}"
        )
    };
    let films = collector.ask(&lens(2))["quality_metriclens"].take();
    assert_eq!(films["xvalues"], json!(["Film noir", "some film"]));
    assert_eq!(films["tables"]["2"]["total_row"][0], 2);
    let (status, refused) = json_of(&collector, "GET", &lens(3));
    assert_eq!((status, &refused["reason"]), (400, &json!("InvalidFilter")), "{refused}");

    let grouped =
        collector.ask("/insights/3.0/metrics/plays/group-by/asset-name?filter_id=2&granularity=P1D");
    let values = grouped["total"]["dimensional_data"].as_array().unwrap();
    let values: Vec<_> =
        values.iter().map(|row| (&row["dimension"]["value"], &row["metrics"]["plays"]["count"])).collect();
    assert_eq!(values, [(&json!("Film noir"), &json!(1)), (&json!("some film"), &json!(1))]);

    let (status, gone) = json_of(&collector, "DELETE", "/bulk_filters/?id=2");
    assert_eq!((status, &gone[0]["name"]), (200, &json!("Films")));
    assert_eq!(collector.ask("/bulk_filters/?name=Films"), json!([]));
    assert_eq!(json_of(&collector, "DELETE", "/bulk_filters/?id=2").0, 404);
    assert_eq!(collector.ask(metrics)["attempts"]["meta"]["filters_not_exist"], json!([2, 9]));
    assert_eq!(json_of(&collector, "GET", "/insights/3.0/metrics/plays?filter_id=2").0, 400);
    // Its number is not given again, across a restart neither.
    assert!(collector.stop().success());
    let collector = Collector::start(data.path());
    let (status, made) = add(&collector, &json!([filter("More", "x", false)]));
    assert_eq!((status, &made[0]["id"]), (201, &json!("4")));
}

#[rstest]
#[case("{", 400, "not JSON")]
#[case("[]", 400, "body: expected an array")]
#[case(r#"[{"name":"x","rules":{"op":"or"}}]"#, 400, "[0].rules")]
#[case(r#"[{"name":"All Traffic","rules":{"field":"CDN","op":"equals","value":"x"}}]"#, 409, "already")]
fn filters_that_make_no_sense(#[case] body: &str, #[case] status: u16, #[case] told: &str) {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let answer = collector.post("/bulk_filters/", "", body.as_bytes());
    let error: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &error["code"], &error["request"]),
        (status, &json!(status), &json!("/bulk_filters/"))
    );
    assert!(error["message"].as_str().unwrap().contains(told), "{error}");
    assert_eq!(collector.ask("/bulk_filters/"), json!([]));
}

/// All or none: the second one of a request is not taken, and so neither is the first.
#[test]
fn several_filters_are_one_change() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let (status, _) = add(&collector, &json!([filter("A", "x", false), filter("A", "y", false)]));
    assert_eq!((status, collector.ask("/bulk_filters/")), (409, json!([])));
    let many: Vec<_> = (0..99).map(|number| filter(&number.to_string(), "x", false)).collect();
    assert_eq!(add(&collector, &Value::from(many)).0, 409);
    assert_eq!(collector.ask("/bulk_filters/"), json!([]));
}

/// Moments are of now, whatever else is the same: they are left out of what is compared.
fn timeless(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(timeless),
        Value::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "timestamps" | "time_series" => {
                        let first = value.as_array_mut().unwrap();
                        first.truncate(1);
                        if let Some(first) = first.first_mut() {
                            if first.is_number() {
                                *first = json!("ms");
                            }
                            timeless(first);
                        }
                    }
                    "epoch_ms" => *value = json!("ms"),
                    "iso_date" => {
                        *value = json!(
                            value
                                .as_str()
                                .unwrap()
                                .chars()
                                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                                .collect::<String>()
                        )
                    }
                    // In a series the place of what is not 0 is of now, too.
                    "filters" if value["1"].as_array().is_some_and(|values| values.len() == 60) => {
                        let sum: f64 =
                            value["1"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).sum();
                        *value = json!({ "1": [format!("60 values, {} in all", if sum > 0.0 { "more than 0" } else { "0" })] });
                    }
                    _ => timeless(value),
                }
            }
        }
        _ => {}
    }
}

#[test]
fn golden_bodies() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    for line in lines_of_the_past("vod_with_seeks_and_pauses") {
        assert_eq!(collector.line(&line).status, 200);
    }
    add(&collector, &json!([filter("Films", "film", false)]));
    let all = "metric=attempts&metric=plays&metric=ended-plays&metric=bitrate&metric=rebuffering-ratio\
               &metric=video-start-time&metric=exits-before-video-start&metric=concurrent-plays&metric=video-restart-time\
               &metric=connection-induced-rebuffering-ratio&metric=video-playback-failures&metric=average-frame-rate";
    let mut text = String::new();
    for path in [
        "/insights/2.4/accounts.json",
        "/insights/2.4/filters.json?account=1",
        "/insights/2.4/metriclens_dimension_list.json?account=1",
        "/insights/2.4/metrics.json?metrics=attempts,ended_plays&account=1&filter_ids=1,2,3",
        "/insights/2.4/metrics.json?metrics=quality_summary,top_assets_summary&account=1",
        "/insights/2.4/metrics.json?metrics=video_startup_time,video_restart_time_distribution&account=1",
        "/insights/2.6/metrics.json?metrics=play_bitrate_distribution,play_buffering_ratio_distribution&account=1",
        "/insights/2.6/metrics.json?metrics=quality_metriclens&account=1&filter_ids=1&metriclens_dimension_id=13",
        "/insights/2.6/metrics.json?metrics=audience_metriclens&account=1&filter_ids=1&metriclens_dimension_id=13",
        "/insights/2.4/metrics.json?metrics=quality_metriclens&account=1&filter_ids=2&metriclens_dimension_id=13",
        "/insights/2.4/metrics.json?metrics=attempts",
        "/insights/2.4/nothing.json",
        &format!("/insights/3.0/metrics/custom-selection?granularity=P1D&days=2&{all}"),
        "/insights/3.0/metrics/plays/group-by/device-model?granularity=P1D&days=2",
        "/insights/3.0/metrics/unique-devices/group-by/device-model?granularity=P1D&days=2",
        "/insights/3.0/metrics/ended-plays/group-by/data-channel?granularity=P1D&days=2",
        "/insights/3.0/metrics/attempts?data_channel=lines&data_channel=reports&granularity=P1D&days=2",
        "/insights/3.0/metrics/attempts/group-by/dimension-tag/nothing",
        "/insights/3.0/metrics/plays?days=91",
        "/bulk_filters/",
        "/bulk_filters/fields",
    ] {
        let (status, mut body) = json_of(&collector, "GET", path);
        timeless(&mut body);
        text.push_str(&format!("GET {path}\n{status}\n{body}\n\n"));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn all_errors_have_a_body() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    for (method, path, status) in [
        ("POST", "/insights/2.4/accounts.json", 405),
        ("DELETE", "/insights/3.0/metrics/plays", 405),
        ("PUT", "/bulk_filters/", 405),
        ("GET", "/insights/3.0/nothing", 404),
        ("GET", "/insights/2.4/metrics.json?metrics=%ff", 400),
        ("GET", "/insights/3.0/metrics/plays?metric=%ff", 200),
        ("GET", "/insights/3.0/real-time-metrics/plays?minutes=16", 400),
    ] {
        let (got, body) = json_of(&collector, method, path);
        assert_eq!(got, status, "{method} {path}: {body}");
        if status != 200 {
            assert_eq!(body["code"], status);
            assert!(
                body["message"].is_string() && body["reason"].is_string() && body["request"].is_string(),
                "{body}"
            );
        }
    }
}
