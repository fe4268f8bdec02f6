//! An alert that is set, from what a box sends to the webhook, over real HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Collector, command};

const PATIENCE: Duration = Duration::from_secs(60);

/// A server that takes alerts but for the first one, which it answers 503.
fn hook() -> (String, Receiver<Value>) {
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
            let status = if number == 0 { "503 No" } else { "204 Fine" };
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
    let (url, bodies) = hook();
    let file = data.path().join("alerts.json");
    let rule = json!({ "id": 7, "name": "<b>Many</b>", "metric": "attempts", "condition": "above", "threshold": 2.5,
        "minutes": 60, "priority": "P1" });
    std::fs::write(&file, json!({ "webhooks": [url], "manual": [rule], "ai": true }).to_string()).unwrap();
    let mut command = command(data.path());
    command.arg("--alerts").arg(&file);
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
