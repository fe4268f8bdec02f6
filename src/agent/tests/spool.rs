//! Reports outlive the daemon that took them, however it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::{Answer, Player, Server, TestBox, media_only, stbeacon, stderr, stdout};

/// A port on which nobody listens, for now.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn server_at(address: &str) -> Server {
    Server::answering_at(address, |_| Answer { status: 200, ..Answer::default() })
}

fn one_session(player: &Player, session: &str, decoded: u64) {
    player.play(session, "udp://239.1.1.1:1234");
    player.tell("counters", session, &format!(r#","video":{{"decoded":{decoded}}}"#));
    player.tell("close", session, r#","reason":"stop""#);
}

fn killed(test_box: &mut TestBox) {
    test_box.signal(Signal::SIGKILL);
    assert!(!test_box.ended().success());
}

/// Takes requests until so many reports have come: the decoded pictures of each, and how often it came.
fn decoded(server: &Server, reports: usize) -> BTreeMap<u64, usize> {
    let mut got = BTreeMap::new();
    while got.len() < reports {
        for report in server.next().reports() {
            *got.entry(report["video"]["frames_decoded"].as_u64().unwrap()).or_default() += 1;
        }
    }
    got
}

#[test]
fn a_kill_with_reports_waiting_loses_none() {
    let address = free_address();
    let mut test_box = TestBox::started(&media_only(&format!("http://{address}/drop"), 1));
    let mut sent = 0;
    for _ in 0..4 {
        let player = test_box.connect();
        for _ in 0..25 {
            sent += 1;
            one_session(&player, &format!("1-{sent}"), 1_000 + sent);
        }
        test_box.wait_for_log(&format!("session 1-{sent} has ended"));
        killed(&mut test_box);
        test_box.start();
    }
    test_box.wait_for_log("100 reports, lines and heartbeats wait from before");
    let server = server_at(&address);
    let got = decoded(&server, 100);
    assert!(got.keys().copied().eq(1_001..=1_100), "as they were taken: {got:?}");
    assert!(got.values().all(|times| *times == 1), "and once: {got:?}");
    test_box.wait_for_status("/deliveries/delivered_reports", &json!(100));
    let status = test_box.status();
    assert_eq!((&status["queue"]["reports"], &status["queue"]["flash_written"]), (&json!(0), &json!(0)));
    killed(&mut test_box);
    test_box.start();
    assert!(server.is_silent_for(Duration::from_millis(2_500)), "what was delivered is not sent again");
}

#[test]
fn a_stop_moves_what_waits_to_flash_and_the_next_boot_sends_it() {
    let address = free_address();
    let mut test_box = TestBox::started(&media_only(&format!("http://{address}/drop"), 3_600));
    one_session(&test_box.connect(), "1-1", 7);
    test_box.wait_for_status("/queue/accumulating", &json!(1));
    assert!(test_box.stop().success());
    assert!(
        test_box.log().contains(
            "1 reports, 0 lines and 0 heartbeats could not be delivered, and wait for the next start"
        )
    );
    // As a reboot does.
    std::fs::remove_dir_all(test_box.path("run")).unwrap();
    test_box.provision(&media_only(&format!("http://{address}/drop"), 1));
    let server = server_at(&address);
    test_box.start();
    let got = server.next();
    assert_eq!(got.reports()[0]["video"]["frames_decoded"], 7);
}

#[test]
fn the_same_request_has_the_same_id_and_another_one_another() {
    let server = Server::start(vec![(503, vec![("Retry-After", "1".to_owned())])]);
    let test_box = TestBox::started(&media_only(&server.url(), 1));
    let player = test_box.connect();
    one_session(&player, "1-1", 1);
    let (first, again) = (server.next(), server.next());
    assert_eq!(first.body, again.body);
    let id = first.header("X-Stbeacon-Id").unwrap();
    assert_eq!(Some(id), again.header("X-Stbeacon-Id"));
    assert_eq!(id.split('-').count(), 3, "{id}: device, boot, number");
    one_session(&player, "1-2", 2);
    assert_ne!(server.next().header("X-Stbeacon-Id"), Some(id));
}

#[test]
fn a_kill_of_agent_and_player_still_ends_in_a_report() {
    let server = Server::start(Vec::new());
    let mut test_box = TestBox::started(&media_only(&server.url(), 1));
    let (gone, stays) = (test_box.connect(), test_box.connect());
    gone.play("1-1", "udp://239.1.1.1:1234");
    gone.tell("counters", "1-1", r#","video":{"decoded":41}"#);
    stays.play("2-1", "udp://239.1.1.2:1234");
    stays.tell("counters", "2-1", r#","video":{"decoded":42}"#);
    test_box.wait_for_status("/sessions/1/counts/video/decoded", &json!(42));
    // Totals are written down every three seconds.
    std::thread::sleep(Duration::from_millis(3_500));
    killed(&mut test_box);
    drop((gone, stays));
    test_box.start();
    // This one's player is still there, and tells of it again.
    let back = test_box.connect();
    back.play("2-1", "udp://239.1.1.2:1234");
    back.tell("counters", "2-1", r#","video":{"decoded":50}"#);
    let reports = server.next_within(Duration::from_secs(25)).reports();
    assert_eq!(reports.len(), 1, "{reports:?}");
    assert_eq!(reports[0]["video"]["frames_decoded"], 41);
    assert!(reports[0]["begin"].as_u64() > Some(1_600_000_000));
    back.tell("close", "2-1", r#","reason":"stop""#);
    let reports = server.next().reports();
    assert_eq!((reports.len(), &reports[0]["video"]["frames_decoded"]), (1, &json!(50)), "counted once");
}

#[test]
fn a_second_agent_on_the_same_spool_is_refused() {
    let test_box = TestBox::started("<provision/>");
    let path = |name: &str| test_box.path(name).display().to_string();
    let output =
        stbeacon(&["run", "--provisioning", &path("provision.xml"), "--socket", &path("other.sock")])
            .args(["--control", &path("other-control.sock"), "--state-dir", &path("other")])
            .args(["--runtime-dir", &path("run")])
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", stdout(&output));
    assert!(stderr(&output).contains("another stbeacon keeps its reports here"), "{}", stderr(&output));
}

#[test]
fn without_directories_to_write_to_it_reports_all_the_same_and_says_so() {
    let server = Server::start(Vec::new());
    let mut test_box = TestBox::new(&media_only(&server.url(), 1));
    test_box.start_with(&["--runtime-dir", "/proc/no/such", "--state-dir", "/proc/no/such"]);
    one_session(&test_box.connect(), "1-1", 7);
    assert_eq!(server.next().reports()[0]["video"]["frames_decoded"], 7);
    test_box.wait_for_log("the spool in the runtime directory: ");
    let faults: Value = test_box.status()["queue"]["faults"].clone();
    assert_eq!(faults.as_array().map(Vec::len), Some(1), "{faults}");
}
