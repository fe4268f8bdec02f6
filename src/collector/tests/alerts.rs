//! Alerts, set and found, from what boxes send to the webhook, over real HTTP. Where a minute has to pass, a fake clock
//! lets it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::{Collector, command};

const PATIENCE: Duration = Duration::from_secs(60);

const MINUTE: u64 = 60_000;

/// A fake clock, which the collector believes.
struct Clock(PathBuf);

impl Clock {
    /// At some whole minute of today.
    fn new(data: &Path) -> (Self, u64) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let minute = u64::try_from(now).unwrap() / MINUTE * MINUTE;
        let clock = Self(data.join("clock"));
        clock.set(minute);
        (clock, minute)
    }

    fn set(&self, ms: u64) {
        let new = self.0.with_extension("new");
        std::fs::write(&new, ms.to_string()).unwrap();
        std::fs::rename(&new, &self.0).unwrap();
    }
}

/// A collector with such alerts.
fn alerting(data: &Path, alerts: &Value) -> Command {
    let file = data.join("alerts.json");
    std::fs::write(&file, alerts.to_string()).unwrap();
    let mut command = command(data);
    command.arg("--alerts").arg(&file);
    command
}

/// Sends lines from several boxes at once; each is taken.
fn send(collector: &Collector, lines: &[String]) {
    std::thread::scope(|scope| {
        for lines in lines.chunks(lines.len().div_ceil(8)) {
            scope.spawn(|| {
                lines.iter().for_each(|line| assert_eq!(collector.line(line).status, 200, "{line}"))
            });
        }
    });
}

/// A server that takes alerts but for the first ones, which it answers 503.
fn hook(refused: usize) -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let (told, bodies) = channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut length = 0;
            loop {
                let mut line = String::new();
                stream.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let status = if number < refused { "503 No" } else { "204 Fine" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            if told.send(serde_json::from_slice(&body).unwrap()).is_err() {
                break;
            }
        }
    });
    (url, bodies)
}

#[test]
fn an_alert_is_sent_until_it_is_taken_and_is_on_the_page() {
    let data = tempfile::tempdir().unwrap();
    let (url, bodies) = hook(1);
    let rule = json!({ "id": 7, "name": "<b>Many</b>", "metric": "attempts", "condition": "above", "threshold": 2.5,
        "minutes": 60, "priority": "P1" });
    let mut command = alerting(data.path(), &json!({ "webhooks": [url], "manual": [rule], "ai": true }));
    // The schedule is tested where it is; here a fake one that waits for less.
    command.env("STBEACON_TEST_WEBHOOK_WAIT_MS", "100");
    let collector = Collector::start_with(command);
    for number in 0..3 {
        assert_eq!(collector.line(&format!("a=I~c={number}~d=box~e=0~f=R~w=0")).status, 200);
    }
    let refused = bodies.recv_timeout(PATIENCE).unwrap();
    let taken = bodies.recv_timeout(PATIENCE).unwrap();
    assert_eq!(refused, taken, "the same comes again");
    let expected = json!({ "alert_id": 7, "event_id": "1", "alert_name": "<b>Many</b>", "priority": "P1",
        "filter_name": "All Traffic", "filter_id": "1", "metric_name": "Attempts", "condition": "3.0 > 2.5",
        "sample_size": 3, "custom_fields": {} });
    assert_eq!(taken, expected);

    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = collector.ask("/ui/alerts");
        assert_eq!(told["alerts"].as_array().unwrap().len(), 1, "it cools down: {told}");
        assert_eq!(told["alerts"][0]["alert"], expected);
        let sent = &told["alerts"][0]["sent"][0];
        if sent["state"] == "sent" {
            assert_eq!(sent["tries"], 2);
            break;
        }
        assert!(Instant::now() < deadline, "{told}");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(collector.stop().success());
}

#[test]
fn an_alert_about_a_filter_counts_what_meets_it() {
    let data = tempfile::tempdir().unwrap();
    let (url, bodies) = hook(0);
    let (clock, minute) = Clock::new(data.path());
    let rule = |id: u32, filter: &str, threshold: f64| {
        json!({ "id": id, "name": "Many", "filter": filter, "metric": "attempts", "condition": "above",
            "threshold": threshold, "minutes": 1 })
    };
    let rules = [rule(1, "On A", 2.5), rule(2, "No such filter", 0.5)];
    let mut command = alerting(data.path(), &json!({ "webhooks": [url], "manual": rules }));
    command.env("STBEACON_TEST_CLOCK", &clock.0);
    let collector = Collector::start_with(command);
    let rules = json!({ "field": "CDN", "op": "equals", "value": "CDN-A" });
    let filter = json!([{ "name": "On A", "rules": rules }]).to_string();
    clock.set(minute + 10_000);
    assert_eq!(collector.post("/bulk_filters/", "", filter.as_bytes()).status, 201);
    // In its first minute it has not counted all.
    clock.set(minute + MINUTE);
    let lines: Vec<_> = (0..8)
        .map(|number| {
            let cdn = if number < 3 { "CDN-A" } else { "CDN-B" };
            format!("a=I~c={number}~d=box~e=0~f=R~cm={cdn}~w=0")
        })
        .collect();
    send(&collector, &lines);
    // What it says depends on how many were there when it looked: three at last.
    let told = bodies.recv_timeout(PATIENCE).unwrap();
    let expected = json!({ "alert_id": 1, "event_id": "1", "alert_name": "Many", "priority": "P2", "filter_name": "On A",
        "filter_id": "2", "metric_name": "Attempts", "condition": "3.0 > 2.5", "sample_size": 3, "custom_fields": {} });
    assert_eq!(told, expected);
    assert_eq!(collector.ask("/ui/alerts")["alerts"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_not_as_usual_is_told_with_its_cause() {
    let data = tempfile::tempdir().unwrap();
    let (url, bodies) = hook(0);
    let (clock, before) = Clock::new(data.path());
    let mut command = alerting(data.path(), &json!({ "webhooks": [url], "ai": true }));
    command.env("STBEACON_TEST_CLOCK", &clock.0);
    let collector = Collector::start_with(command);
    // Twelve minutes with 25 attempts each, and the next one with 60, of which 15 of the 30 on one CDN fail.
    let begun = |name: &str, number: u64, ago: u64| {
        let cdn = if number % 2 == 0 { "CDN-A" } else { "CDN-B" };
        format!("c={name}-{number}~d={name}-{number}~f=R~cm={cdn}~dv=m1~w={ago}")
    };
    let usual: Vec<_> =
        (0..300).map(|number| format!("a=I~e=0~{}", begun("usual", number, number / 25 * MINUTE))).collect();
    send(&collector, &usual);
    let minute = before + MINUTE;
    clock.set(minute + 10_000);
    let unusual: Vec<_> =
        (0..60).map(|number| format!("a=I~e=0~{}", begun("unusual", number, 1_000))).collect();
    send(&collector, &unusual);
    let failed: Vec<_> =
        (0..15).map(|number| format!("a=E~e=1~ca=404~{}", begun("unusual", 2 * number, 5_000))).collect();
    send(&collector, &failed);
    // A minute is looked at once the one behind it is over, too.
    clock.set(minute + 2 * MINUTE + 1);
    let mut told = bodies.recv_timeout(PATIENCE).unwrap();
    let at = told["alert_time"].take();
    assert!(at.as_str().is_some_and(|at| at.ends_with(":00.001Z")), "{at}");
    let expected = json!({ "value": 25.0, "source": "stbeacon-collector", "version": env!("CARGO_PKG_VERSION"),
        "event_id": "1", "severity": "critical", "alert_time": null, "root_cause": "CDNs: CDN-A (100 %)",
        "metric_name": "Video Start Failures", "account_name": "c3.stbeacon", "alert_source": "AI Alert",
        "custom_fields": { "baseline": 0.0, "usual_from": 0.0, "usual_to": 2.0 },
        "diagnostic_report_url": format!("http://{}/#/alerts", collector.address),
        "cumulative_impacted_unique_devices": 60, "attempts": 60, "plays": 0, "active plays": 0 });
    assert_eq!(told, expected);
    assert_eq!(collector.ask("/ui/alerts")["alerts"].as_array().unwrap().len(), 1, "of one metric alone");
}

#[test]
fn a_bad_file_is_told() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("alerts.json");
    std::fs::write(&file, r#"{"manual":[{"id":1}]}"#).unwrap();
    let mut command = command(data.path());
    let output = command.arg("--alerts").arg(&file).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("alerts.json: missing field `name` at line 1"), "{log}");
}
