//! The page's files and what it asks, over real HTTP.

use std::os::unix::fs::PermissionsExt;

use rstest::rstest;

use crate::golden;
use crate::harness::{Collector, command, lines_of_the_past, network_of_today};

const MAC: &str = "Mac-Address: 00:11:22:33:44:55\r\n";

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[rstest]
#[case("/", "text/html")]
#[case("/ui/page.js", "text/javascript")]
#[case("/ui/dom.js", "text/javascript")]
#[case("/ui/plot.js", "text/javascript")]
#[case("/ui/views.js", "text/javascript")]
#[case("/ui/connector.js", "text/javascript")]
#[case("/ui/page.css", "text/css")]
#[case("/ui/icon.svg", "image/svg+xml")]
fn files_need_nothing_from_elsewhere(#[case] path: &str, #[case] kind: &str) {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let answer = collector.get(path);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.head.contains(&format!("content-type: {kind}")), "{}", answer.head);
    assert!(answer.head.contains("content-security-policy: default-src 'none'; script-src 'self';"));
    assert!(answer.head.contains("x-content-type-options: nosniff"));
    let text = String::from_utf8(answer.body).unwrap().replace("http://www.w3.org/2000/svg", "");
    for foreign in ["http://", "https://", "innerHTML", "eval(", " style=", " onclick="] {
        assert!(!text.contains(foreign), "{path} has {foreign}");
    }
    // What the page imports is there.
    for part in text.split("from \"./").skip(1).chain(text.split("=\"/ui/").skip(1)) {
        let file = part.split('"').next().unwrap();
        assert_eq!(collector.get(&format!("/ui/{file}")).status, 200, "{path} wants {file}");
    }
}

#[test]
fn sessions_and_one_of_them() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    for line in lines_of_the_past("error_after_start") {
        assert_eq!(collector.line(&line).status, 200);
    }
    assert_eq!(collector.line("a=I~c=42~d=lab-box~e=0~f=R~w=0").status, 200);

    let all = collector.ask("/ui/sessions");
    assert_eq!(all["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(all["sessions"][0]["device"], "lab-box", "the newest first");
    let only = |query: &str| {
        let told = collector.ask(&format!("/ui/sessions?{query}"));
        let sessions = told["sessions"].as_array().unwrap().clone();
        sessions.iter().map(|session| session["device"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(only("state=running"), ["lab-box"]);
    assert_eq!(only("text=LAB-b"), ["lab-box"]);
    assert_eq!(only("text=nobody"), <[&str; 0]>::default());
    let ended = only("state=ended");
    assert_eq!(ended.len(), 1);
    let newest = &all["sessions"][0]["start"];
    assert_eq!(only(&format!("before={newest}")), ended, "those before the newest");

    let ended = &all["sessions"][1];
    assert_eq!((&ended["outcome"], &ended["by_silence"]), (&"playback failed".into(), &false.into()));
    let one = collector.ask(&format!("/ui/session?key={}", encoded(ended["key"].as_str().unwrap())));
    assert_eq!(one["session"], *ended);
    let story = one["story"].as_array().unwrap();
    let sum = |name: &str| story.iter().map(|piece| piece[name].as_i64().unwrap_or(0)).sum::<i64>();
    assert_eq!((sum("attempts"), sum("plays"), sum("play_failures_technical")), (1, 1, 1));
    assert_eq!(Some(sum("playing_ms")), ended["playing_ms"].as_i64());
    assert!(story.iter().any(|piece| piece["error"].is_string()), "{story:?}");

    let overview = collector.ask("/ui/overview?minutes=60");
    assert_eq!((&overview["totals"]["attempts"], &overview["running"]), (&2.0.into(), &1.into()));
    assert_eq!(overview["series"]["bitrate"].as_array().unwrap().len(), 60);
}

#[test]
fn boxes_and_their_interfaces() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let later = network_of_today(10).replace("778852400", "778853650");
    for report in [golden::reports("media"), network_of_today(20), later] {
        assert_eq!(collector.post("/", MAC, report.as_bytes()).status, 200);
    }
    let fleet = collector.ask("/ui/fleet");
    let seen = &fleet["boxes"][0];
    assert_eq!((&seen["device"], &seen["sessions"]), (&"00:11:22:33:44:55".into(), &1.into()));
    let interface = &seen["interfaces"][0];
    assert_eq!(interface["name"], "eth0");
    // 1250 bytes in 10 s; in 9 where a second begins in between.
    assert!((1000..=1111).contains(&interface["received_rate"].as_u64().unwrap()), "{interface}");
}

#[rstest]
#[case("/ui/overview?minutes=0", 400, "minutes: expected 1 to 10080")]
#[case("/ui/overview?minutes=x", 400, "whole number")]
#[case("/ui/sessions?state=asleep", 400, "running, ended or all")]
#[case("/ui/session", 400, "key is missing")]
#[case("/ui/session?key=%27%20OR%201%3D1%20--", 404, "no such session")]
fn questions_that_make_no_sense(#[case] path: &str, #[case] status: u16, #[case] told: &str) {
    let data = tempfile::tempdir().unwrap();
    let answer = Collector::start(data.path()).get(path);
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().contains(told), "{}", answer.text());
}

#[test]
fn the_page_needs_the_password_where_there_is_one_and_boxes_keep_their_paths() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("users");
    std::fs::write(&file, "ada:s3cret\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = command(data.path());
    command.arg("--credentials").arg(&file);
    let collector = Collector::start_with(command);
    for path in ["/", "/ui/page.js", "/ui/overview", "/ui/sessions", "/ui/session?key=x", "/ui/fleet"] {
        assert_eq!(collector.get(path).status, 401, "{path}");
    }
    let good = "Authorization: Basic YWRhOnMzY3JldA==\r\n";
    assert_eq!(collector.send("GET", "/", good, b"").status, 200);
    // A line and reports may come to the root.
    assert!(collector.get("/?a=I~c=1~d=b~e=0~w=0").body.starts_with(b"GIF89a"));
    assert_eq!(collector.post("/", MAC, golden::reports("media").as_bytes()).status, 200);
}
