//! `stbeacon run` with players that speak the protocol.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use stbeacon_core::player::{MAX_DATAGRAM, Reply};

use crate::common::{Server, TestBox, boottime, media_only, stbeacon, stderr, until};

const COUNTERS: &str = r#","video":{"decoded":250,"dropped":3,"failed":1},"audio":{"decoded":400},"bytes":500000,"discontinuities":2"#;

#[test]
fn what_a_player_tells_arrives_as_a_report() {
    let server = Server::start(Vec::new());
    let mut test_box = TestBox::started(&media_only(&server.url(), 1));
    let player = test_box.connect();
    player.hello("acme-tv");
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("counters", "1-1", COUNTERS);
    player.tell("close", "1-1", r#","reason":"stop""#);

    let got = server.next();
    assert_eq!(got.path, "/drop?k=v");
    assert_eq!(got.header("Content-Type"), Some("application/json"));
    assert_eq!(got.header("Content-Length"), Some(got.body.len().to_string().as_str()));
    let mac = got.header("Mac-Address").unwrap();
    assert_eq!((mac.len(), mac.matches(':').count()), (17, 5), "{mac}");
    assert!(got.header("Accept").is_none_or(|accept| !accept.is_empty()), "{got:?}");

    let reports = got.reports();
    assert_eq!(reports.len(), 1, "{}", got.body);
    let report = &reports[0];
    assert_eq!(report["type"], "media");
    assert_eq!(report["url"], "udp://239.1.1.1:1234");
    assert_eq!((&report["proto"], &report["id"]), (&json!("iptv"), &json!("233")));
    assert_eq!(report["discontinuties"], 2);
    assert_eq!(report["video"], json!({"frames_decoded": 250, "frames_dropped": 3, "frames_failed": 1}));
    assert_eq!(report["audio"], json!({"frames_decoded": 400, "frames_dropped": 0, "frames_failed": 0}));
    assert_eq!(report["timestamp"], report["end"]);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(now - report["begin"].as_u64().unwrap() <= 10, "{report}");
    assert!(test_box.stop().success());
}

#[test]
fn a_killed_player_ends_its_session_and_several_share_the_daemon() {
    let server = Server::start(Vec::new());
    let test_box = TestBox::started(&media_only(&server.url(), 1));
    let (first, second) = (test_box.connect(), test_box.connect());
    first.hello("first");
    first.play("1-1", "http://a.example/1.m3u8");
    second.play("2-1", "http://a.example/2.m3u8");
    test_box.wait_for_status("/sessions/1/phase", &json!("playing"));
    drop(first);
    let reports = server.next().reports();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0]["url"], "http://a.example/1.m3u8");
    test_box.wait_for_status("/sessions/0/session", &json!("2-1"));
    test_box.wait_for_status("/players/1", &Value::Null);
}

#[test]
fn media_period_adds_reports_while_it_plays() {
    let server = Server::start(Vec::new());
    let provisioning = format!(
        r#"<provision><statistics url="{}" accum_period="1"><media period="1"/></statistics></provision>"#,
        server.url()
    );
    let test_box = TestBox::started(&provisioning);
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("counters", "1-1", COUNTERS);
    let mut reports = Vec::new();
    while reports.len() < 2 {
        reports.extend(server.next().reports());
    }
    assert_eq!(reports[0]["begin"], reports[1]["begin"]);
    assert!(reports[0]["end"].as_u64() < reports[1]["end"].as_u64());
    assert_eq!(reports[1]["video"]["frames_decoded"], 250, "cumulative");
}

#[test]
fn sigterm_closes_sessions_tells_players_and_sends_everything() {
    let server = Server::start(Vec::new());
    let mut test_box = TestBox::started(&media_only(&server.url(), 3600));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("counters", "1-1", COUNTERS);
    assert!(test_box.stop().success());
    assert!(matches!(player.receive(), Some(Reply::Reported { session, .. }) if session.as_str() == "1-1"));
    assert_eq!(player.receive(), None, "then the connection ends");
    let reports = server.next().reports();
    assert_eq!(reports[0]["video"]["frames_decoded"], 250, "what was sent just before counts");
    assert!(!test_box.path("player.sock").exists() && !test_box.path("control.sock").exists());
}

#[test]
fn sigterm_waits_two_seconds_for_a_dead_server_and_no_longer() {
    // Listens and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let mut test_box = TestBox::started(&media_only(&url, 3600));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    test_box.wait_for_status("/sessions/0/session", &json!("1-1"));
    let start = std::time::Instant::now();
    assert!(test_box.stop().success());
    let took = start.elapsed();
    // Without that limit it would be the one of a request; between them there is room for a machine that is busy.
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(8), "{took:?}");
    assert!(
        test_box.log().contains(
            "1 reports, 0 lines and 0 heartbeats could not be delivered, and wait for the next start"
        ),
        "{}",
        test_box.log()
    );
}

#[test]
fn malformed_datagrams_are_counted_complained_about_once_and_end_a_connection_that_repeats_them() {
    let test_box = TestBox::started(&media_only("http://127.0.0.1:9/", 3600));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    for bad in ["", "not json", r#"{"v":1}"#, r#"{"v":99,"type":"hello","at":0}"#] {
        player.send(bad);
    }
    let long = format!(r#"{{"v":1,"type":"hello","at":0,"pid":1,"player":"{}"}}"#, "x".repeat(MAX_DATAGRAM));
    player.send(&long);
    // Of a newer protocol: to be ignored.
    player.send(r#"{"v":1,"type":"hologram","at":0,"session":"1-1"}"#);
    // Well formed, and nonsense.
    player.tell("counters", "9-9", "");
    test_box.wait_for_status("/datagrams/rejected", &json!(1));
    test_box.wait_for_status("/sessions/0/session", &json!("1-1"));
    let malformed = test_box.status()["datagrams"]["malformed"].as_u64().unwrap();
    assert!((4..=5).contains(&malformed), "an empty one may be taken together with the next: {malformed}");
    assert_eq!(test_box.log().matches("malformed datagram:").count(), 1, "{}", test_box.log());

    // The same process again: still no second line within the minute.
    let other = test_box.connect();
    let sent = (0..40).take_while(|_| other.try_send(b"rubbish")).count();
    until("the connection to be ended", || (!other.try_send(b"rubbish")).then_some(()));
    assert!(sent > 30, "the connection ended after {sent} malformed datagrams");
    assert_eq!(test_box.log().matches("malformed datagram:").count(), 1, "{}", test_box.log());
    test_box.wait_for_status("/players/1", &Value::Null);
    // Nobody else suffers.
    player.tell("close", "1-1", r#","reason":"stop""#);
    test_box.wait_for_status("/sessions", &json!([]));
}

#[test]
fn nonsense_is_counted_logged_with_its_process_and_changes_no_session() {
    let server = Server::start(Vec::new());
    let test_box = TestBox::started(&media_only(&server.url(), 1));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("counters", "1-1", COUNTERS);
    test_box.wait_for_status("/sessions/0/counts/video/decoded", &json!(250));
    let figures = |status: Value| {
        let session = &status["sessions"][0];
        let totals = &session["totals"];
        let kept =
            [&session["phase"], &session["counts"], &session["errors"], &totals["seeks"], &totals["ads"]];
        kept.map(Clone::clone)
    };
    let before = figures(test_box.status());

    // An ad ends that never began; a percentage over 100; a dimension whose name is none; something that happened
    // long before the session was opened, when the box booted.
    player.tell("ad", "1-1", r#","phase":"end","id":"spot-9""#);
    player.tell("buffering", "1-1", r#","percent":101"#);
    player.tell("dimensions", "1-1", r#","dimensions":{"site":"lab"}"#);
    player.send(r#"{"v":1,"type":"seek","at":0,"session":"1-1","phase":"start","to":5000}"#);
    test_box.wait_for_status("/datagrams/rejected", &json!(4));
    // No place in a stream: that is no message at all.
    player.send(&format!(
        r#"{{"v":1,"type":"seek","at":{},"session":"1-1","phase":"start","to":-5}}"#,
        boottime()
    ));
    test_box.wait_for_status("/datagrams/malformed", &json!(1));

    assert_eq!(figures(test_box.status()), before);
    let log = test_box.log();
    let pid = std::process::id();
    for said in [
        format!("player {pid} said what makes no sense: no such ad was loaded or started"),
        format!("player {pid} sent a malformed datagram: not a message: invalid value: integer `-5`"),
    ] {
        assert_eq!(log.matches(&said).count(), 1, "{said:?} is there once in\n{log}");
    }

    // A little time backwards is what the network and several threads make of it: no time, and no nonsense.
    player.send(&format!(
        r#"{{"v":1,"type":"state","at":{},"session":"1-1","state":"paused"}}"#,
        boottime().saturating_sub(5_000)
    ));
    player.tell("close", "1-1", r#","reason":"stop""#);
    let report = server.next().reports().remove(0);
    assert_eq!(report["video"], json!({"frames_decoded": 250, "frames_dropped": 3, "frames_failed": 1}));
    let length = report["end"].as_u64().unwrap() - report["begin"].as_u64().unwrap();
    assert!(length <= 10, "{report}");
    assert_eq!(test_box.status()["datagrams"]["rejected"], 4);
}

#[test]
fn sighup_takes_a_good_file_and_no_broken_one() {
    let server = Server::start(Vec::new());
    let mut test_box = TestBox::started("<provision/>");
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("close", "1-1", r#","reason":"end""#);
    // Reporting is off, and all else lives.
    test_box.wait_for_status("/dropped/off", &json!(1));
    assert_eq!(test_box.status()["provisioning"]["statistics_url"], "");

    test_box.provision(&media_only(&server.url(), 1));
    test_box.signal(Signal::SIGHUP);
    test_box.wait_for_log("provisioning: statistics url is now http://");
    test_box.provision("<provision><statistics");
    test_box.signal(Signal::SIGHUP);
    test_box.wait_for_log("provisioning stays as it was");
    assert!(test_box.log().contains("provision.xml:1:"), "{}", test_box.log());

    player.play("1-2", "udp://239.1.1.1:1234");
    player.tell("close", "1-2", r#","reason":"end""#);
    assert_eq!(server.next().reports().len(), 1);
    assert!(!test_box.log().contains("k=v"), "the query may be a secret: {}", test_box.log());

    // The last good copy outlives the broken file.
    assert!(test_box.stop().success());
    test_box.start();
    assert!(test_box.log().contains("the last good copy is used instead"), "{}", test_box.log());
    assert_eq!(test_box.status()["provisioning"]["accum_period_ms"], 1000);
}

#[test]
fn a_second_daemon_does_not_take_the_first_ones_socket() {
    let test_box = TestBox::started(&media_only("http://127.0.0.1:9/", 3600));
    let output = test_box.run_command().output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("another process answers there"), "{}", stderr(&output));
    test_box.connect().hello("still here");
    test_box.wait_for_log("still here");
}

#[test]
fn a_killed_daemons_socket_is_replaced_and_a_player_goes_on_with_its_totals() {
    let server = Server::start(Vec::new());
    let mut test_box = TestBox::started(&media_only(&server.url(), 1));
    let before = test_box.connect();
    before.play("1-1", "udp://239.1.1.1:1234");
    before.tell("counters", "1-1", COUNTERS);
    test_box.signal(Signal::SIGKILL);
    assert!(!test_box.ended().success());
    test_box.start();
    let after = test_box.connect();
    after.play("1-1", "udp://239.1.1.1:1234");
    after.tell("counters", "1-1", COUNTERS);
    after.tell("close", "1-1", r#","reason":"end""#);
    assert_eq!(server.next().reports()[0]["video"]["frames_decoded"], 250);
}

#[test]
fn network_reports_come_in_their_period() {
    let server = Server::start(Vec::new());
    let provisioning = format!(
        r#"<provision><statistics url="{}" accum_period="1"><network period="1"/></statistics>
           <stbeacon><reports interfaces="lo"/></stbeacon></provision>"#,
        server.url()
    );
    let _test_box = TestBox::started(&provisioning);
    let mut reports = Vec::new();
    while reports.len() < 2 {
        reports.extend(server.next().reports());
    }
    for report in &reports {
        assert_eq!((&report["type"], &report["name"]), (&json!("network"), &json!("lo")));
    }
    let apart = reports[1]["timestamp"].as_u64().unwrap() - reports[0]["timestamp"].as_u64().unwrap();
    assert!((1..=2).contains(&apart), "{reports:?}");
}

#[test]
fn status_for_people_has_the_session_and_no_secret() {
    let test_box = TestBox::started(&media_only("http://user:word@127.0.0.1:9/drop?token=1", 3600));
    let player = test_box.connect();
    player.hello("acme-tv");
    player.play("1-1", "http://me:pass@cdn.example/live.m3u8?sig=abc");
    player.tell("counters", "1-1", COUNTERS);
    test_box.wait_for_status("/sessions/0/counts/video/decoded", &json!(250));
    let control = test_box.path("control.sock");
    let output = stbeacon(&["status", "--control", control.to_str().unwrap()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for part in ["acme-tv", "1-1 playing", "http://cdn.example/live.m3u8", "250 decoded, 3 dropped, 1 failed"]
    {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    let all = format!("{text}{:#}{}", test_box.status(), test_box.log());
    for secret in ["word", "token", "pass", "sig=abc"] {
        assert!(!all.contains(secret), "{secret:?} in\n{all}");
    }
}

#[test]
fn under_the_journal_lines_have_priorities_and_no_time() {
    use std::os::unix::fs::MetadataExt;

    let test_box = TestBox::new("<provision><statistics");
    let log = std::fs::File::create(test_box.path("journal")).unwrap();
    let metadata = log.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    test_box.provision("<provision/>");
    std::fs::create_dir(test_box.path("state")).unwrap();
    let mut child = test_box.run_command().env("JOURNAL_STREAM", stream).stderr(log).spawn().unwrap();
    let read = || std::fs::read_to_string(test_box.path("journal")).unwrap();
    until("the daemon to say where it listens", || read().contains("listens on").then_some(()));
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(read().lines().all(|line| line.starts_with('<')), "{}", read());
    assert!(read().contains("<6>stbeacon "), "{}", read());
}
