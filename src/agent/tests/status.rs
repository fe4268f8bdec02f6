//! `stbeacon status` in its other forms.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::pty::openpty;
use serde_json::json;

use crate::common::{TestBox, media_only, stbeacon, stderr, stdout, until};

fn playing() -> (TestBox, crate::common::Player) {
    let test_box = TestBox::started(&media_only("http://127.0.0.1:9/", 3600));
    let player = test_box.connect();
    player.hello("acme-tv");
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("counters", "1-1", r#","video":{"decoded":250,"dropped":3},"bytes":5000"#);
    test_box.wait_for_status("/sessions/0/counts/video/decoded", &json!(250));
    (test_box, player)
}

fn status(test_box: &TestBox, form: &str) -> Command {
    let mut command = stbeacon(&["status", form, "--control"]);
    command.arg(test_box.path("control.sock"));
    command
}

#[test]
fn prometheus_finds_the_daemons_figures() {
    let (test_box, _player) = playing();
    let output = status(&test_box, "--prometheus").output().unwrap();
    let text = stdout(&output);
    for line in [
        "# TYPE stbeacon_session_frames_total counter",
        "stbeacon_session_frames_total{session=\"1-1\",medium=\"video\",result=\"decoded\"} 250",
        "stbeacon_session_frames_total{session=\"1-1\",medium=\"video\",result=\"dropped\"} 3",
        "stbeacon_players 1",
        "stbeacon_provisioning_info{in_force=\"file\"} 1",
    ] {
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }
    let rss = test_box.status()["rss_bytes"].as_u64().unwrap();
    assert!((1 << 20..100 << 20).contains(&rss), "{rss}");
}

#[test]
fn without_a_terminal_there_is_no_live_view() {
    let (test_box, _player) = playing();
    let output = status(&test_box, "--watch").output().unwrap();
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(2), ""));
    assert!(stderr(&output).contains("--watch needs a terminal"), "{}", stderr(&output));
}

/// On a real terminal: drawn anew each second, left by a key, and the terminal is as it was before.
#[rstest::rstest]
#[case::q(b"q")]
#[case::ctrl_c(b"\x03")]
fn the_live_view_goes_on_until_a_key(#[case] key: &[u8]) {
    let (test_box, player) = playing();
    let terminal = openpty(None, None).unwrap();
    let modes = || nix::sys::termios::tcgetattr(&terminal.slave).unwrap();
    let before = modes();
    let end = || Stdio::from(terminal.slave.try_clone().unwrap());
    let mut child = status(&test_box, "--watch").stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();

    let seen = Arc::new(Mutex::new(String::new()));
    let mut screen = File::from(terminal.master);
    let mut reader = screen.try_clone().unwrap();
    let writer = seen.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut buffer) {
            writer.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
    });
    let shows = |part: &str| until(part, || seen.lock().unwrap().contains(part).then_some(()));
    shows("250 decoded, 3 dropped");
    assert_ne!(before.local_flags, modes().local_flags, "keys come one by one");
    player.tell("counters", "1-1", r#","video":{"decoded":300,"dropped":3},"bytes":9000"#);
    shows("300 decoded, 3 dropped");
    shows("frames/s");
    screen.write_all(key).unwrap();
    let status = until("the end of the view", || child.try_wait().unwrap());
    assert!(status.success(), "{status}");
    std::thread::sleep(Duration::from_millis(100));
    assert!(seen.lock().unwrap().ends_with("\x1b[?1049l"), "the old screen is back");
    assert_eq!(before.local_flags, modes().local_flags);
}
