//! Compressed bodies, where the operator wants them and the server takes them.

use rstest::rstest;

use crate::common::{Answer, Got, Player, Server, TestBox};

fn provisioning(url: &str) -> String {
    format!(
        r#"<provision><statistics url="{url}" accum_period="1"><media/></statistics>
           <stbeacon><reports gzip="true" extended="true"/></stbeacon></provision>"#
    )
}

fn session(player: &Player, id: &str) {
    player.play(id, "udp://239.1.1.1:1234");
    player.tell("close", id, r#","reason":"end""#);
}

fn is_gzip(got: &Got) -> bool {
    got.header("Content-Encoding") == Some("gzip")
}

#[test]
fn a_server_that_takes_it_gets_it() {
    let server = Server::start(Vec::new());
    let test_box = TestBox::started(&provisioning(&server.url()));
    let player = test_box.connect();
    for (delivered, id) in [(0_u64, "1-1"), (1, "1-2")] {
        session(&player, id);
        let got = server.next();
        assert!(is_gzip(&got), "{got:?}");
        let report = &got.reports()[0];
        assert_eq!(report["qoe"]["session"], id);
        // How the agent itself fares rides along.
        let agent = &report["qoe"]["agent"];
        assert!(agent["rss_bytes"].as_u64() > Some(1 << 20), "{agent}");
        assert_eq!(agent["reports_delivered"], delivered, "{agent}");
        test_box.wait_for_status("/deliveries/delivered_reports", &(delivered + 1).into());
        let length: usize = got.header("Content-Length").unwrap().parse().unwrap();
        assert!(length < got.body.len(), "{length} bytes for {}", got.body.len());
        assert_eq!(got.header("Content-Type"), Some("application/json"));
    }
}

/// Nothing is lost, nothing is sent twice, and it is tried once.
#[rstest]
#[case::unsupported(415)]
#[case::bad(400)]
fn a_server_that_does_not_take_it_gets_it_plain(#[case] status: u16) {
    let server = Server::answering(move |got| Answer {
        status: if is_gzip(got) { status } else { 200 },
        ..Answer::default()
    });
    let test_box = TestBox::started(&provisioning(&server.url()));
    let player = test_box.connect();
    session(&player, "1-1");
    let (first, second) = (server.next(), server.next());
    assert!(is_gzip(&first) && !is_gzip(&second));
    assert_eq!(first.body, second.body);
    test_box.wait_for_log("takes no gzip");
    test_box.wait_for_status("/deliveries/delivered_reports", &1.into());
    session(&player, "1-2");
    let third = server.next();
    assert!(!is_gzip(&third), "{third:?}");
    assert_eq!(third.reports()[0]["qoe"]["session"], "1-2");
    assert!(!test_box.log().contains("k=v"), "the query may be a secret");
}
