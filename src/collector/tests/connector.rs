//! The connector polls our own collector, over real HTTP.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::{Value, json};

use crate::harness::{Answer, Collector, answer, command, lines_of_the_past, request};

const PATIENCE: Duration = Duration::from_secs(60);
const JSON: &str = "Content-Type: application/json\r\n";
/// ada:s3cret
const ADA: &str = "Authorization: Basic YWRhOnMzY3JldA==\r\n";

/// A collector that wants a password, with a play in it.
fn service(data: &std::path::Path) -> Collector {
    let file = data.join("users");
    std::fs::write(&file, "ada:s3cret\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = command(data);
    command.arg("--credentials").arg(&file);
    let collector = Collector::start_with(command);
    for line in lines_of_the_past("vod_with_seeks_and_pauses") {
        assert_eq!(collector.line(&line).status, 200);
    }
    collector
}

fn act(collector: &Collector, action: &str, body: &Value) -> Answer {
    let headers = format!("{JSON}{ADA}");
    collector.post(&format!("/ui/connector/{action}"), &headers, body.to_string().as_bytes())
}

fn shown(collector: &Collector) -> Value {
    let answer = collector.send("GET", "/ui/connector", ADA, b"");
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

/// What is shown once it is as wanted.
fn shown_when(collector: &Collector, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = shown(collector);
        if wanted(&now) {
            return now;
        }
        assert!(Instant::now() < deadline, "{now:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn connection(collector: &Collector) -> Value {
    json!({ "name": "ours", "base_url": format!("http://{}", collector.address), "user": "ada", "password": "s3cret",
        "bypass_proxy": true, "interval_s": 3600 })
}

#[test]
fn metrics_and_lenses_of_our_own_service() {
    let data = tempfile::tempdir().unwrap();
    let collector = service(data.path());
    let answer = act(&collector, "connection", &connection(&collector));
    assert_eq!(answer.status, 200, "{}", answer.text());
    let told = shown(&collector);
    let one = &told["connections"][0];
    assert_eq!(
        (&one["status"], &one["account"], &one["has_password"]),
        (&json!("OK"), &json!("1"), &json!(true))
    );
    assert_eq!(one["choices"]["accounts"], json!([["c3.stbeacon", "1"]]));
    assert_eq!(one["choices"]["filters"], json!([["All Traffic", "1"]]));
    assert!(!told.to_string().contains("s3cret"), "a password is never shown again");

    let items = [
        json!({ "connection": 1, "metric": "avg_bitrate", "filter": "1", "units": "kbps" }),
        json!({ "connection": 1, "metric": "ended_plays", "filter": "1" }),
        json!({ "connection": 1, "metric": "quality_summary", "filter": "1" }),
        json!({ "connection": 1, "metric": "quality_metriclens", "filter": "1", "dimension": "19" }),
        json!({ "connection": 1, "metric": "quality_metriclens", "filter": "1", "dimension": "999" }),
        json!({ "connection": 1, "metric": "audience_metriclens", "filter": "77", "dimension": "19" }),
        json!({ "connection": 1, "metric": "attempts", "filter": "77" }),
    ];
    for item in &items {
        let answer = act(&collector, "item", item);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let again = act(&collector, "item", &items[0]);
    assert!(again.status == 400 && again.text().contains("one like that already"), "{}", again.text());

    let told = shown_when(&collector, |told| {
        told["items"].as_array().unwrap().iter().all(|item| item["polled"].is_u64())
    });
    let status: Vec<_> =
        told["items"].as_array().unwrap().iter().map(|item| item["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["OK", "OK", "OK", "OK", "InvalidDimension", "InvalidFilter", "Error"], "{told:#}");
    let result = |index: usize| &told["items"][index]["result"];
    let largest = result(0)["max"].as_f64().unwrap();
    assert!(result(0)["kind"] == "time_series" && (2000.0..2001.0).contains(&largest), "{}", result(0));
    assert_eq!(result(1), &json!({ "kind": "simple_series", "value": 1.0 }));
    assert_eq!(result(2)["rows"][0], json!(["Attempts", 1.0]));
    assert_eq!(result(3)["rows"][0][0], "lines");
    assert_eq!(result(3)["rows"][0][1].as_array().unwrap().len(), 15);

    // Polled when it is asked for, and not when it is disabled; gone when it is removed.
    let polled = told["items"][1]["polled"].as_u64().unwrap();
    assert_eq!(act(&collector, "item/disable", &json!({ "id": 2, "disabled": true })).status, 200);
    assert_eq!(act(&collector, "item/poll", &json!({ "id": 2 })).status, 200);
    let told = shown_when(&collector, |told| told["items"][1]["polled"].as_u64().unwrap() > polled);
    assert_eq!(told["items"][1]["disabled"], true);
    assert_eq!(act(&collector, "item/remove", &json!({ "id": 2 })).status, 200);
    assert_eq!(act(&collector, "item/remove", &json!({ "id": 2 })).status, 404);
    assert_eq!(shown(&collector)["items"].as_array().unwrap().len(), 6);

    // All that is kept across a restart, in a file that is its owner's alone.
    assert!(collector.stop().success());
    let mode = std::fs::metadata(data.path().join("desk.sqlite")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let collector = service(data.path());
    assert_eq!(shown(&collector)["items"].as_array().unwrap().len(), 6);
    assert_eq!(act(&collector, "connection/remove", &json!({ "id": 1 })).status, 200);
    assert_eq!(shown(&collector)["items"], json!([]));
}

#[test]
fn a_password_is_for_the_server_it_was_entered_for() {
    let data = tempfile::tempdir().unwrap();
    let collector = service(data.path());
    assert_eq!(act(&collector, "connection", &connection(&collector)).status, 200);
    let mut other = connection(&collector);
    other["id"] = json!(1);
    other.as_object_mut().unwrap().remove("password");
    assert_eq!(act(&collector, "connection", &other).status, 200);
    assert_eq!(shown(&collector)["connections"][0]["status"], "OK", "it is as it was");
    other["base_url"] = json!(format!("http://{}/insights/2.4", collector.address));
    assert_eq!(act(&collector, "connection", &other).status, 200);
    let one = shown(&collector)["connections"][0].take();
    assert_eq!((&one["has_password"], &one["status"]), (&json!(false), &json!("user or password is wrong")));
}

#[rstest]
#[case("connection", json!({ "name": "x", "base_url": "ftp://h" }), 400, "begins with http://")]
#[case("connection", json!({ "name": " ", "base_url": "http://h" }), 400, "name is empty")]
#[case("connection", json!({ "name": "x", "base_url": "http://h", "user": "a:b" }), 400, "no colon")]
#[case("connection", json!({ "name": "x", "base_url": "http://h", "interval_s": 0 }), 400, "1 to 86400")]
#[case("connection", json!({ "nome": "x" }), 400, "unknown field `nome`")]
#[case("item", json!({ "connection": 9, "metric": "attempts", "filter": "1" }), 400, "no such connection")]
#[case("item", json!({ "connection": 9, "metric": "quality_metriclens", "filter": "1" }), 400, "a dimension goes with")]
#[case("item/poll", json!({ "id": 9 }), 404, "no such thing")]
#[case("nothing", json!({}), 404, "no such thing")]
fn what_makes_no_sense(#[case] action: &str, #[case] body: Value, #[case] status: u16, #[case] told: &str) {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let answer = act(&collector, action, &body);
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().contains(told), "{}", answer.text());
}

#[test]
fn another_page_cannot_post_here_and_nobody_without_a_password() {
    let data = tempfile::tempdir().unwrap();
    let collector = service(data.path());
    let body = connection(&collector).to_string();
    let path = "/ui/connector/connection";
    assert_eq!(collector.post(path, ADA, body.as_bytes()).status, 415);
    let form = format!("Content-Type: text/plain\r\n{ADA}");
    assert_eq!(collector.post(path, &form, body.as_bytes()).status, 415);
    assert_eq!(collector.post(path, JSON, body.as_bytes()).status, 401);
    assert_eq!(shown(&collector)["connections"], json!([]));
}

#[test]
fn alerts_of_other_services_have_a_port_of_their_own() {
    let data = tempfile::tempdir().unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut command = command(data.path());
    command.args(["--alerts-listen", &port.to_string()]);
    let collector = Collector::start_with(command);
    let send = |method: &str, body: &str| {
        let mut stream = std::net::TcpStream::connect(port).unwrap();
        request(&mut stream, method, "/any/path", JSON, body.as_bytes());
        answer(&mut stream).unwrap()
    };
    let ai = json!({ "alert_source": "AI Alert", "severity": "critical", "value": 3345, "event_id": "<i>" });
    for alert in [&ai, &ai, &json!({ "alert_id": 5, "condition": "9.4 < 3345.0" })] {
        let answer = send("POST", &alert.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(send("POST", "[]").status, 400);
    assert_eq!(send("POST", &format!("{{\"a\":\"{}\"}}", "x".repeat(70_000))).status, 413);
    assert_eq!(send("GET", "").status, 405);
    assert_eq!(send("POST", "{\"alert_id\":6}").status, 200);

    let told = collector.ask("/ui/received");
    assert_eq!(told["ai"]["alerts"].as_array().unwrap().len(), 1, "the same alert came again");
    assert_eq!(told["ai"]["alerts"][0]["alert"], ai);
    let manual = |told: &Value| told["manual"]["alerts"].as_array().unwrap().len();
    assert_eq!(manual(&told), 2);
    let keep = |body: Value| act(&collector, "received/keep", &body);
    assert_eq!(keep(json!({ "kind": "manual", "records": 0 })).status, 400);
    assert_eq!(keep(json!({ "kind": "manual", "records": 1, "days": 1 })).status, 400);
    assert_eq!(keep(json!({ "kind": "manual", "records": 1 })).status, 200);
    let told = collector.ask("/ui/received");
    assert_eq!((manual(&told), &told["manual"]["alerts"][0]["alert"]["alert_id"]), (1, &json!(6)));
    assert_eq!((&told["manual"]["records"], &told["ai"]["records"]), (&json!(1), &json!(null)));
}

#[test]
fn filters_are_made_and_deleted_at_the_service() {
    let data = tempfile::tempdir().unwrap();
    let collector = service(data.path());
    assert_eq!(act(&collector, "connection", &connection(&collector)).status, 200);
    let filter =
        json!({ "id": 1, "name": "Films & more", "field": "Asset Name", "op": "contains", "value": "film" });
    let made = act(&collector, "filter", &filter);
    assert_eq!(made.status, 200, "{}", made.text());
    let filters = || shown(&collector)["connections"][0]["choices"]["filters"].to_string();
    assert!(filters().contains("Films & more"), "{}", filters());
    let again = act(&collector, "filter", &filter);
    assert!(again.status == 400 && again.text().contains("409"), "{}", again.text());

    let gone = act(&collector, "filter/remove", &json!({ "id": 1, "name": "Films & more" }));
    assert_eq!(gone.status, 200, "{}", gone.text());
    assert!(!filters().contains("Films"), "{}", filters());
    let gone = act(&collector, "filter/remove", &json!({ "id": 1, "name": "Films & more" }));
    assert!(gone.status == 400 && gone.text().contains("no saved filter"), "{}", gone.text());
    let nonsense = json!({ "id": 1, "name": "n", "field": "Shoes", "op": "contains", "value": "x" });
    assert_eq!(act(&collector, "filter", &nonsense).status, 400);
}
