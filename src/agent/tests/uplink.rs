//! How requests are made, and what the answers lead to.

use std::time::{Duration, Instant};

use rstest::rstest;
use serde_json::json;

use crate::common::{Server, TestBox, media_only, stbeacon};

fn one_session(test_box: &TestBox, session: &str) {
    let player = test_box.connect();
    player.play(session, "udp://239.1.1.1:1234");
    player.tell("close", session, r#","reason":"end""#);
    test_box.wait_for_log(&format!("session {session} has ended"));
}

#[test]
fn a_server_in_trouble_gets_the_reports_later() {
    let server = Server::start(vec![(503, vec![("Retry-After", "2".to_owned())])]);
    let test_box = TestBox::started(&media_only(&server.url(), 1));
    one_session(&test_box, "1-1");
    let first = server.next();
    let start = Instant::now();
    let second = server.next();
    assert_eq!(first.body, second.body, "the same times: it is the same measurement");
    assert!(start.elapsed() >= Duration::from_millis(1900), "{:?}", start.elapsed());
    test_box.wait_for_status("/deliveries/status_2xx", &json!(1));
    let status = test_box.status();
    assert_eq!(status["deliveries"]["status_5xx"], 1);
    assert_eq!(status["queue"]["reports"], 0);
    assert!(status["last_error"]["message"].as_str().unwrap().contains("503"), "{status}");
}

#[test]
fn a_report_that_is_refused_is_dropped_and_counted() {
    let server = Server::start(vec![(400, Vec::new())]);
    let test_box = TestBox::started(&media_only(&server.url(), 1));
    one_session(&test_box, "1-1");
    server.next();
    test_box.wait_for_status("/dropped/refused", &json!(1));
    assert!(server.is_silent_for(Duration::from_millis(500)));
    one_session(&test_box, "1-2");
    server.next();
    test_box.wait_for_status("/deliveries/delivered_reports", &json!(1));
}

#[rstest]
#[case::temporary(307)]
#[case::permanent(308)]
fn redirects_that_keep_the_post_are_followed(#[case] status: u16) {
    let target = Server::start(Vec::new());
    let server = Server::start(vec![(status, vec![("Location", format!("{}&moved=1", target.url()))])]);
    let test_box = TestBox::new("");
    let secret = test_box.secret("secret", "s3cret", 0o600);
    test_box.provision(&with(&server.url(), &bearer(&secret)));
    let mut test_box = test_box;
    test_box.start();
    one_session(&test_box, "1-1");
    let (first, second) = (server.next(), target.next());
    assert_eq!(second.path, "/drop?k=v&moved=1");
    assert_eq!(first.body, second.body);
    assert_eq!(first.header("Authorization"), Some("Bearer s3cret"));
    assert_eq!(second.header("Authorization"), None, "another server is not told the secret");
    test_box.wait_for_status("/deliveries/delivered_reports", &json!(1));
}

#[rstest]
#[case::moved(301)]
#[case::found(302)]
#[case::see_other(303)]
fn other_redirects_are_not(#[case] status: u16) {
    let target = Server::start(Vec::new());
    let server = Server::start(vec![(status, vec![("Location", target.url())])]);
    let test_box = TestBox::started(&media_only(&server.url(), 1));
    one_session(&test_box, "1-1");
    server.next();
    test_box.wait_for_status("/deliveries/status_3xx", &json!(1));
    assert!(target.is_silent_for(Duration::from_millis(300)));
    assert_eq!(test_box.status()["queue"]["reports"], 1, "not lost either");
}

fn with(url: &str, ours: &str) -> String {
    format!(
        r#"<provision><statistics url="{url}" accum_period="1"><media/></statistics>
           <stbeacon>{ours}</stbeacon></provision>"#
    )
}

fn bearer(secret: &std::path::Path) -> String {
    format!(r#"<auth scheme="bearer" secret_file="{}"/>"#, secret.display())
}

#[test]
fn basic_authentication_reads_its_secret_anew() {
    let server = Server::start(Vec::new());
    let mut test_box = TestBox::new("");
    let secret = test_box.secret("secret", "open sesame\n", 0o600);
    let auth = format!(r#"<auth scheme="basic" user="Aladdin" secret_file="{}"/>"#, secret.display());
    test_box.provision(&with(&server.url(), &auth));
    test_box.start();
    one_session(&test_box, "1-1");
    // The example of RFC 7617.
    assert_eq!(server.next().header("Authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
    test_box.secret("secret", "new", 0o600);
    one_session(&test_box, "1-2");
    assert_eq!(server.next().header("Authorization"), Some("Basic QWxhZGRpbjpuZXc="));
    assert!(!test_box.log().contains("sesame"), "{}", test_box.log());
}

#[test]
fn a_secret_that_others_may_read_is_not_used() {
    let server = Server::start(Vec::new());
    let mut test_box = TestBox::new("");
    let secret = test_box.secret("secret", "s3cret", 0o644);
    test_box.provision(&with(&server.url(), &bearer(&secret)));
    test_box.start();
    one_session(&test_box, "1-1");
    test_box.wait_for_log("chmod 600");
    assert!(server.is_silent_for(Duration::from_millis(200)));
    // Put right, it is used, and nothing is lost.
    test_box.secret("secret", "s3cret", 0o600);
    assert!(test_box.stop().success());
    assert_eq!(server.next().header("Authorization"), Some("Bearer s3cret"));
}

#[test]
fn a_missing_root_or_key_is_named() {
    let mut test_box = TestBox::new("");
    let ca = test_box.path("none.pem");
    test_box.provision(&with("https://127.0.0.1:9/", &format!(r#"<tls ca="{}"/>"#, ca.display())));
    test_box.start();
    one_session(&test_box, "1-1");
    test_box.wait_for_log("none.pem: No such file");
    let control = test_box.path("control.sock");
    let output = stbeacon(&["status", "--control", control.to_str().unwrap()]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("none.pem"));
}
