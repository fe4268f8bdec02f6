//! Where provisioning comes from: a file that changes, a server that is there or not, the copies of both.

use std::fs;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::common::{Answer, Server, TestBox, media_only, stbeacon, stderr, stdout};

/// A server that gives this text, which may be changed.
fn serving(text: &str) -> (Server, Arc<Mutex<String>>) {
    let text = Arc::new(Mutex::new(text.to_owned()));
    let served = text.clone();
    let server = Server::answering(move |_| Answer {
        status: 200,
        body: served.lock().unwrap().clone().into_bytes(),
        ..Answer::default()
    });
    (server, text)
}

fn fetched(stats: &str, reload: u32, accum: u32) -> String {
    media_only(stats, accum).replace("<provision>", &format!("<provision reload=\"{reload}\">"))
}

fn started(test_box: &mut TestBox, url: &str) {
    test_box.start_with(&["--provisioning-url", url]);
}

fn without_file() -> TestBox {
    let test_box = TestBox::new("");
    fs::remove_file(test_box.path("provision.xml")).unwrap();
    test_box
}

#[test]
fn it_is_fetched_as_a_stock_box_does_and_again_in_its_period() {
    let stats = Server::start(Vec::new());
    let (server, text) = serving(&fetched(&stats.url(), 1, 1));
    let mut test_box = without_file();
    // A bare host is completed.
    started(&mut test_box, &server.address);
    let first = server.next();
    let at = Instant::now();
    assert_eq!(first.path, "/prov/tvip_provision.xml");
    assert_eq!(first.header("Mac-Address").map(str::len), Some(17), "{first:?}");
    test_box.wait_for_status("/provisioning/in_force", &json!("server"));
    assert_eq!(test_box.status()["provisioning"]["accum_period_ms"], 1000);

    server.next();
    let apart = at.elapsed();
    assert!((Duration::from_millis(800)..Duration::from_millis(1_800)).contains(&apart), "{apart:?}");

    // What changes is told, what is in use is kept.
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("counters", "1-1", r#","video":{"decoded":100}"#);
    test_box.wait_for_status("/sessions/0/counts/video/decoded", &json!(100));
    *text.lock().unwrap() = fetched(&stats.url(), 1, 2);
    test_box.wait_for_log("provisioning: accum_period is now 2.000 s, was 1.000 s");
    player.tell("counters", "1-1", r#","video":{"decoded":150}"#);
    player.tell("close", "1-1", r#","reason":"stop""#);
    assert_eq!(stats.next().reports()[0]["video"]["frames_decoded"], 150);

    // A heredoc served by accident, a cut file, another document: none of them replaces the good one. Each is asked
    // for only once the server has it, and known by its own complaint: the wait after a third failure is long.
    for (broken, complaint) in [
        ("cat <<EOF\n", "not XML"),
        ("<provision><statistics url=\"http://x/\"", "the file ends too early"),
        ("<html/>", "<html>"),
    ] {
        *text.lock().unwrap() = broken.to_owned();
        test_box.signal(Signal::SIGHUP);
        test_box.wait_until(complaint, |test_box| {
            let log = test_box.log();
            log.lines().any(|line| line.contains("no provisioning from") && line.contains(complaint))
        });
        assert_eq!(test_box.status()["provisioning"]["accum_period_ms"], 2000);
        assert_eq!(test_box.status()["provisioning"]["in_force"], "server");
    }
    let log = test_box.log();
    assert!(log.contains("/prov/tvip_provision.xml:1:1: "), "{log}");
    assert!(test_box.status()["provisioning"]["server"]["failures"].as_u64() > Some(0));
}

/// The complaint is "an hour's wait after a boot without network".
#[test]
fn a_boot_without_the_server_starts_from_the_copy_and_finds_it_soon() {
    let stats = Server::start(Vec::new());
    let (server, _) = serving(&fetched(&stats.url(), 3600, 1));
    let mut test_box = without_file();
    started(&mut test_box, &server.address);
    server.next();
    test_box.wait_for_status("/provisioning/in_force", &json!("server"));
    assert!(test_box.stop().success());

    // An address at which nobody listens yet.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut test_box = without_file();
    started(&mut test_box, &address.to_string());
    assert!(test_box.log().contains("no provisioning yet"), "{}", test_box.log());
    test_box.wait_for_log("next attempt in");
    assert_eq!(test_box.status()["provisioning"]["in_force"], "nothing");
    let (server, text) = serving_at(&address.to_string(), &fetched(&stats.url(), 3600, 1));
    server.next();
    test_box.wait_for_status("/provisioning/in_force", &json!("server"));
    assert!(test_box.stop().success());

    // And once more, with the server gone: what it gave is in force at once, and reports go out.
    *text.lock().unwrap() = "gone".to_owned();
    started(&mut test_box, &address.to_string());
    assert_eq!(test_box.status()["provisioning"]["in_force"], "server_copy");
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("close", "1-1", r#","reason":"stop""#);
    assert_eq!(stats.next().reports().len(), 1);
}

fn serving_at(address: &str, text: &str) -> (Server, Arc<Mutex<String>>) {
    let text = Arc::new(Mutex::new(text.to_owned()));
    let served = text.clone();
    let server = Server::answering_at(address, move |_| Answer {
        status: 200,
        body: served.lock().unwrap().clone().into_bytes(),
        ..Answer::default()
    });
    (server, text)
}

/// What proves who the box is goes to the server, and into no log.
#[test]
fn a_server_that_asks_who_the_box_is_is_told() {
    let (server, _) = serving(&fetched("http://127.0.0.1:9/", 3600, 7));
    let test_box = &mut without_file();
    let secret = test_box.secret("prov.secret", "0pen-sesame\n", 0o600);
    let words = ["--provisioning-url", &server.address, "--provisioning-secret", secret.to_str().unwrap()];
    test_box.start_with(&[&words[..], &["--provisioning-user", "box"]].concat());
    // The user, a colon and the password in base 64 (RFC 7617).
    assert_eq!(server.next().header("Authorization"), Some("Basic Ym94OjBwZW4tc2VzYW1l"));
    test_box.wait_for_status("/provisioning/accum_period_ms", &json!(7_000));
    let status = test_box.status().to_string();
    assert!(test_box.stop().success());

    // Without a user it is a token.
    test_box.start_with(&words);
    assert_eq!(server.next().header("Authorization"), Some("Bearer 0pen-sesame"));
    assert!(test_box.stop().success());

    let checked =
        stbeacon(&["check", "--secret", secret.to_str().unwrap(), &server_url(&server)]).output().unwrap();
    assert!(checked.status.success(), "{}", stderr(&checked));
    assert_eq!(server.next().header("Authorization"), Some("Bearer 0pen-sesame"));

    // One that others may read is none.
    test_box.secret("prov.secret", "0pen-sesame", 0o644);
    let refused =
        stbeacon(&["check", "--secret", secret.to_str().unwrap(), &server_url(&server)]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("chmod 600"), "{}", stderr(&refused));
    test_box.start_with(&words);
    test_box.wait_for_log("chmod 600");
    assert!(server.is_silent_for(Duration::from_millis(300)), "nothing is asked without it");
    let said = [test_box.log(), status, stdout(&checked), stderr(&checked), stderr(&refused)].concat();
    assert!(!said.contains("sesame") && !said.contains("c2VzYW1l"), "{said}");
}

fn server_url(server: &Server) -> String {
    format!("http://{}/prov/tvip_provision.xml", server.address)
}

#[test]
fn credentials_that_are_incomplete_are_refused() {
    for (words, error) in [
        (["--provisioning-user", "box"], "a user without a secret"),
        (["--provisioning-key", "box.key"], "a key without its certificate"),
    ] {
        let run = stbeacon(&["run", "--provisioning-url", "prov.example"]).args(words).output().unwrap();
        assert_eq!(run.status.code(), Some(2), "{}", stderr(&run));
        assert!(stderr(&run).contains(error), "{}", stderr(&run));
    }
}

#[test]
fn the_file_is_the_fall_back_until_something_was_fetched() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let mut test_box = TestBox::new(&media_only("http://127.0.0.1:9/", 3600));
    started(&mut test_box, &address);
    assert_eq!(test_box.status()["provisioning"]["in_force"], "file");
    let (_server, _) = serving_at(&address, &fetched("http://127.0.0.1:9/", 3600, 1));
    test_box.signal(Signal::SIGHUP);
    test_box.wait_for_status("/provisioning/in_force", &json!("server"));
    assert_eq!(test_box.status()["provisioning"]["accum_period_ms"], 1000);
    test_box.provision(&media_only("http://127.0.0.1:9/", 60));
    test_box.wait_for_log("is good, but a fall-back");
    assert_eq!(test_box.status()["provisioning"]["accum_period_ms"], 1000);
}

#[test]
fn a_file_that_changes_is_read_without_being_asked() {
    let test_box = TestBox::started(&media_only("http://127.0.0.1:9/", 100));
    test_box.provision(&media_only("http://127.0.0.1:9/", 200));
    test_box.wait_for_status("/provisioning/accum_period_ms", &json!(200_000));
    test_box.provision("<provision><stat");
    test_box.wait_for_log("provisioning stays as it was");
    // The careful way: the new one takes the old one's name.
    fs::write(test_box.path("new"), media_only("http://127.0.0.1:9/", 300)).unwrap();
    fs::rename(test_box.path("new"), test_box.path("provision.xml")).unwrap();
    test_box.wait_for_status("/provisioning/accum_period_ms", &json!(300_000));
    assert!(test_box.log().contains("accum_period is now 300.000 s, was 200.000 s"), "{}", test_box.log());
}

/// Other periods are no reason to lose anything.
#[test]
fn what_was_measured_outlives_a_change_of_provisioning() {
    let stats = Server::start(Vec::new());
    let test_box = TestBox::started(&media_only(&stats.url(), 3600));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("counters", "1-1", r#","video":{"decoded":7}"#);
    player.tell("close", "1-1", r#","reason":"stop""#);
    player.play("1-2", "udp://239.1.1.2:1234");
    player.tell("counters", "1-2", r#","video":{"decoded":9}"#);
    test_box.wait_for_status("/queue/accumulating", &json!(1));
    test_box.wait_for_status("/sessions/0/counts/video/decoded", &json!(9));
    test_box.provision(&media_only(&stats.url(), 2));
    test_box.wait_for_status("/provisioning/accum_period_ms", &json!(2_000));
    test_box.wait_for_status("/sessions/0/counts/video/decoded", &json!(9));
    assert_eq!(stats.next().reports()[0]["video"]["frames_decoded"], 7);
    player.tell("close", "1-2", r#","reason":"stop""#);
    assert_eq!(stats.next().reports()[0]["video"]["frames_decoded"], 9);
    let dropped = test_box.status()["dropped"].clone();
    assert!(dropped.as_object().unwrap().values().all(|count| *count == 0), "{dropped}");
}

#[test]
fn check_fetches_and_reads_standard_input() {
    let secret = r#"<provision><statistics url="http://user:word@h.example/drop?token=1"/></provision>"#;
    let (server, text) = serving(secret);
    let url = format!("http://me:pass@{}/?key=abc", server.address);
    let output = stbeacon(&["check", &url]).output().unwrap();
    let out = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(out.contains("line 1     statistics url") && out.contains("default"), "{out}");
    let got = server.next();
    assert_eq!(got.path, "/prov/tvip_provision.xml?key=abc");
    assert_eq!(got.header("Mac-Address").map(str::len), Some(17));
    for word in ["word", "token", "pass@", "abc"] {
        assert!(!out.contains(word), "{word} in {out}");
    }
    *text.lock().unwrap() = "<provision>".to_owned();
    let output = stbeacon(&["check", &url]).output().unwrap();
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(1), ""));
    assert!(
        stderr(&output).contains("tvip_provision.xml?…:1:12: the file ends too early"),
        "{}",
        stderr(&output)
    );
    let output = stbeacon(&["check", "http://127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));

    for (input, code) in [(secret, 0), ("<provision", 1)] {
        let mut child = stbeacon(&["check", "--quiet", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        let text = format!("{}{}", stdout(&output), stderr(&output));
        assert!(text.contains("standard input:"), "{text}");
    }
}

#[test]
fn a_server_that_never_answers_delays_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut test_box = TestBox::new(&media_only("http://127.0.0.1:9/", 3600));
    started(&mut test_box, &silent.local_addr().unwrap().to_string());
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    test_box.wait_for_status("/sessions/0/session", &json!("1-1"));
    assert_eq!(test_box.status()["provisioning"]["server"]["next_fetch_ms"], Value::Null, "under way");
    let start = Instant::now();
    test_box.signal(Signal::SIGTERM);
    thread::sleep(Duration::from_millis(1));
    assert!(test_box.ended().success());
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}
