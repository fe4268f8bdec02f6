//! Media Analytics lines and heartbeats, as endpoints see them.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::json;
use stbeacon_core::heartbeat::Heartbeat;
use stbeacon_core::line::decode::Line;
use stbeacon_core::line::keys::Metric;

use crate::common::{Answer, Got, Server, TestBox};

/// A configuration that sends to `host`, the first P a second after S.
fn config(host: &str, beacon_id: &str) -> String {
    format!(
        r#"<AkamaiPlayerAnalyticsConfig><beaconId>{beacon_id}</beaconId><isActive>1</isActive>
        <logTo logInterval="1" secondaryLogTime="1" logType="relative" maxLogLineLength="2048"
            urlParamSeparator="~" encodedParamSeparator="*@*"><host>{host}</host><path>/9.gif</path></logTo>
        <statistics useKey="1">
          <common><dataMetrics><data key="a" name="eventCode"/><data key="b" name="beaconId"/>
            <data key="c" name="attemptId"/><data key="d" name="viewerId"/><data key="e" name="sequenceId"/>
            <data key="pd" name="playerId"/><data key="aw" name="streamUrl"/><data key="tt" name="title"/>
            <data key="_cd_1000" name="site"/></dataMetrics></common>
          <init eventCode="I"><dataMetrics/></init><playStart eventCode="S"><dataMetrics/></playStart>
          <playing eventCode="P"><dataMetrics><data key="x" name="playClockTime"/></dataMetrics></playing>
          <complete eventCode="C"><dataMetrics><data key="xa" name="endReasonCode"/></dataMetrics></complete>
          <error eventCode="E"><dataMetrics><data key="ca" name="errorCode"/></dataMetrics></error>
        </statistics></AkamaiPlayerAnalyticsConfig>"#
    )
}

fn provisioning(elements: &str) -> String {
    format!("<provision><stbeacon>{elements}</stbeacon></provision>")
}

/// A value of the line that came.
fn value(got: &Got, metric: Metric) -> Option<String> {
    Line::read(&got.path).unwrap().value(metric).map(str::to_owned)
}

fn event_and_number(got: &Got) -> (String, String) {
    (value(got, Metric::EventCode).unwrap(), value(got, Metric::SequenceId).unwrap())
}

fn pair(event: &str, number: &str) -> (String, String) {
    (event.to_owned(), number.to_owned())
}

#[test]
fn a_session_leaves_as_lines_in_order_over_one_connection() {
    let server = Server::start(Vec::new());
    let test_box = TestBox::new("");
    let file = test_box.path("beacon.xml");
    fs::write(&file, config(&server.address, "beacon-1")).unwrap();
    test_box.provision(&provisioning(&format!(
        r#"<media_analytics config="{}" player_id="lounge"><dimension key="_cd_1000" value="лаб ~1"/></media_analytics>"#,
        file.display()
    )));
    let mut test_box = test_box;
    test_box.start();
    let player = test_box.connect();
    player.play("1-1", "http://cdn.example/vod/a.m3u8?t=1");
    let (init, start, playing) = (server.next(), server.next(), server.next());
    player.tell("close", "1-1", r#","reason":"end""#);
    let mut last = server.next();
    while value(&last, Metric::EventCode).as_deref() == Some("P") {
        last = server.next();
    }
    assert!(init.path.starts_with("/9.gif?a=I~b=beacon-1~"), "{}", init.path);
    assert_eq!(event_and_number(&init), pair("I", "0"));
    assert_eq!(event_and_number(&start), pair("S", "1"));
    assert_eq!(event_and_number(&playing), pair("P", "2"));
    assert_eq!(value(&last, Metric::EventCode).as_deref(), Some("C"));
    assert_eq!(value(&last, Metric::EndReasonCode).as_deref(), Some("Play.End.Detected"));
    for line in [&init, &start, &playing, &last] {
        assert_eq!(value(line, Metric::AttemptId), value(&init, Metric::AttemptId));
        assert_eq!(value(line, Metric::PlayerId).as_deref(), Some("lounge"));
        assert_eq!(value(line, Metric::StreamUrl).as_deref(), Some("http://cdn.example/vod/a.m3u8?t=1"));
        assert!(line.path.contains("~_cd_1000=%D0%BB%D0%B0%D0%B1%20*@*1"), "{}", line.path);
        assert_eq!(line.peer, init.peer, "kept alive");
        assert!(line.body.is_empty());
    }
    let viewer = value(&init, Metric::ViewerId).unwrap();
    assert_eq!(fs::read_to_string(test_box.path("state/viewer-id")).unwrap().trim(), viewer);
    test_box.wait_for_status("/lines/0/delivery/waiting", &json!(0));
    assert_eq!(test_box.status()["lines"][0]["target"], format!("http://{}/9.gif", server.address));
}

#[test]
fn several_channels_stand_side_by_side_and_one_that_is_dead_holds_up_no_other() {
    let (one, two) = (Server::start(Vec::new()), Server::start(Vec::new()));
    let dead = "127.0.0.1:9";
    let test_box = TestBox::started(&provisioning(&format!(
        r#"<media_analytics host="{dead}"/><media_analytics host="{}" path="/a.gif" player_id="p1"/>
           <media_analytics host="http://{}" path="/b.gif" viewer_id="me"/>"#,
        one.address, two.address
    )));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    for (server, path) in [(&one, "/a.gif?a=I~"), (&two, "/b.gif?a=I~")] {
        let (init, start) = (server.next(), server.next());
        assert!(init.path.starts_with(path), "{}", init.path);
        assert_eq!(event_and_number(&start), pair("S", "1"));
    }
    test_box.wait_for_status("/lines/0/delivery/waiting", &json!(2));
    assert_eq!(test_box.status()["lines"][1]["delivery"]["delivered"], 2);
}

#[test]
fn lines_wait_for_a_configuration_that_is_fetched() {
    let lines = Server::start(Vec::new());
    let host = lines.address.clone();
    let server = Server::answering(move |_| Answer {
        status: 200,
        body: config(&host, "fetched").into_bytes(),
        ..Answer::default()
    });
    let test_box = TestBox::new("");
    let secret = test_box.secret("token", "t0ken", 0o600);
    test_box.provision(&provisioning(&format!(
        r#"<media_analytics config="http://{}/beacon.xml?k=1"><auth scheme="bearer" secret_file="{}"/></media_analytics>"#,
        server.address,
        secret.display()
    )));
    let mut test_box = test_box;
    test_box.start();
    let fetch = server.next();
    assert_eq!(
        (fetch.path.as_str(), fetch.header("Authorization")),
        ("/beacon.xml?k=1", Some("Bearer t0ken"))
    );
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    assert_eq!(event_and_number(&lines.next()), pair("I", "0"));
    assert_eq!(value(&lines.next(), Metric::BeaconId).as_deref(), Some("fetched"));

    // On a reload it is fetched anew.
    test_box.signal(Signal::SIGHUP);
    assert_eq!(server.next().path, "/beacon.xml?k=1");
    assert!(!test_box.log().contains("k=1"), "what may be a secret is in no log");
}

#[test]
fn the_last_good_configuration_stays() {
    let lines = Server::start(Vec::new());
    let state = Arc::new(AtomicU16::new(200));
    let (host, says) = (lines.address.clone(), Arc::clone(&state));
    let server = Server::answering(move |_| match says.load(Ordering::SeqCst) {
        // Cut short in the middle.
        1 => Answer {
            status: 200,
            body: config(&host, "cut").into_bytes()[..300].to_vec(),
            ..Answer::default()
        },
        200 => Answer { status: 200, body: config(&host, "good").into_bytes(), ..Answer::default() },
        status => Answer { status, ..Answer::default() },
    });
    let element = format!(r#"<media_analytics config="http://{}/beacon.xml"/>"#, server.address);
    let mut test_box = TestBox::started(&provisioning(&element));
    test_box.wait_for_log("lines go to");
    state.store(1, Ordering::SeqCst);
    test_box.signal(Signal::SIGHUP);
    test_box.wait_for_log("beacon.xml:4:");
    test_box.wait_for_log("stays as it was");
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    assert_eq!(value(&lines.next(), Metric::BeaconId).as_deref(), Some("good"));

    // It outlives a restart without the server.
    assert!(test_box.stop().success());
    state.store(503, Ordering::SeqCst);
    test_box.start();
    test_box.wait_for_log("the last good beacon configuration is used");
    let player = test_box.connect();
    while value(&lines.next(), Metric::EventCode).as_deref() != Some("C") {}
    player.play("1-2", "udp://239.1.1.1:1234");
    assert_eq!(value(&lines.next(), Metric::BeaconId).as_deref(), Some("good"));
}

/// What waits for a configuration that never comes is bounded, and what is given up is told.
#[test]
fn too_much_for_a_configuration_that_never_comes() {
    let server = Server::answering(|_| Answer { status: 503, ..Answer::default() });
    let element = format!(r#"<media_analytics config="http://{}/beacon.xml"/>"#, server.address);
    let test_box = TestBox::started(&provisioning(&element));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    test_box.wait_for_status("/lines/0/lost_events", &json!(0));
    for _ in 0..1100 {
        player.tell("state", "1-1", r#","state":"paused""#);
        player.tell("state", "1-1", r#","state":"playing""#);
    }
    test_box.wait_for_log("4096 events are given up");
    test_box.wait_for_status("/lines/0/lost_events", &json!(4096));
}

#[test]
fn lines_wait_for_an_endpoint_in_trouble_and_keep_their_order() {
    let server = Server::start(vec![(503, vec![("Retry-After", "1".to_owned())])]);
    let test_box =
        TestBox::started(&provisioning(&format!(r#"<media_analytics host="{}"/>"#, server.address)));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("close", "1-1", r#","reason":"stop""#);
    let refused = server.next();
    let taken: Vec<_> = (0..3).map(|_| server.next()).collect();
    assert_eq!(refused.path, taken[0].path, "the same line again");
    let order: Vec<_> = taken.iter().map(event_and_number).collect();
    assert_eq!(order, [pair("I", "0"), pair("S", "1"), pair("C", "2")]);
    assert!(server.is_silent_for(Duration::from_millis(300)));
}

#[test]
fn lines_outlive_a_kill_and_keep_their_order() {
    let state = Arc::new(AtomicU16::new(503));
    let says = Arc::clone(&state);
    let server =
        Server::answering(move |_| Answer { status: says.load(Ordering::SeqCst), ..Answer::default() });
    let mut test_box =
        TestBox::started(&provisioning(&format!(r#"<media_analytics host="{}"/>"#, server.address)));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("close", "1-1", r#","reason":"end""#);
    let first = server.next();
    test_box.wait_for_status("/lines/0/delivery/waiting", &json!(3));
    test_box.signal(Signal::SIGKILL);
    test_box.ended();
    state.store(200, Ordering::SeqCst);
    test_box.start();
    let taken: Vec<_> = (0..3).map(|_| server.next()).collect();
    assert_eq!(first.path, taken[0].path, "the same line again, with the same number");
    let order: Vec<_> = taken.iter().map(event_and_number).collect();
    assert_eq!(order, [pair("I", "0"), pair("S", "1"), pair("C", "2")]);
    test_box.wait_for_status("/lines/0/delivery/waiting", &json!(0));

    // A stop leaves them to the next start too.
    state.store(503, Ordering::SeqCst);
    let player = test_box.connect();
    player.play("1-2", "udp://239.1.1.1:1234");
    server.next();
    assert!(test_box.stop().success());
    assert!(
        test_box.log().contains("could not be delivered, and wait for the next start"),
        "{}",
        test_box.log()
    );
    state.store(200, Ordering::SeqCst);
    test_box.start();
    let mut events = Vec::new();
    while events.last().is_none_or(|(event, _)| event != "C") {
        events.push(event_and_number(&server.next()));
    }
    events.dedup();
    let tail = events.split_off(events.len() - 3);
    assert_eq!(tail, [pair("I", "0"), pair("S", "1"), pair("C", "2")]);
}

#[test]
fn sessions_become_heartbeats() {
    let server = Server::answering(|_| Answer {
        status: 200,
        body: br#"{"t":"CwsServerResponse","err":"ok","clid":"1.2.3.4","cfg":{"hbi":1,"slg":true}}"#.to_vec(),
        ..Answer::default()
    });
    let mut test_box = TestBox::started(&provisioning(&format!(
        r#"<heartbeat gateway="http://{}" customer_key="KEY" interval="60" viewer_id="v"><dimension key="site" value="lab"/></heartbeat>"#,
        server.address
    )));
    let player = test_box.connect();
    player.tell("open", "1-1", r#","url":"http://cdn.example/a.m3u8""#);
    let beat = |got: &Got| {
        assert_eq!((got.path.as_str(), got.header("Content-Type")), ("/0/wsg", Some("application/json")));
        serde_json::from_str::<Heartbeat>(&got.body).unwrap()
    };
    let first = beat(&server.next());
    assert_eq!((first.seq, first.cid.as_str(), first.clid.as_str()), (0, "KEY", "0.0.0.0"));
    assert_eq!((first.vid.as_str(), first.tags["site"].as_str()), ("v", "lab"));
    player.tell("state", "1-1", r#","state":"playing""#);
    player.tell("first_frame", "1-1", "");
    let second = beat(&server.next());
    assert_eq!((second.sid, second.seq, second.clid.as_str()), (first.sid, 1, "1.2.3.4"));
    // The service asks for one a second.
    let third = beat(&server.next());
    assert_eq!((third.seq, third.ps), (2, 3));
    player.tell("close", "1-1", r#","reason":"end""#);
    let mut last = beat(&server.next());
    while !format!("{:?}", last.evs).contains("SessionEnd") {
        last = beat(&server.next());
    }
    assert_eq!(fs::read_to_string(test_box.path("state/heartbeat-client-id")).unwrap(), "1.2.3.4");
    assert!(test_box.stop().success());
}

/// What a receiver knows a heartbeat by, and whether it tells the end of its session.
fn known_by(got: &Got) -> ((String, i32, i32, u32), bool) {
    let beat: Heartbeat = serde_json::from_str(&got.body).unwrap();
    let ends = got.body.contains("CwsSessionEndEvent");
    ((beat.clid, beat.iid, beat.sid, beat.seq), ends)
}

#[test]
fn heartbeats_that_no_service_takes_outlive_the_daemon() {
    let status = Arc::new(AtomicU16::new(503));
    let state = Arc::clone(&status);
    let server =
        Server::answering(move |_| Answer { status: state.load(Ordering::SeqCst), ..Answer::default() });
    let gateway = format!(r#"<heartbeat gateway="http://{}" customer_key="K"/>"#, server.address);
    let mut test_box = TestBox::started(&provisioning(&gateway));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    let (refused, _) = known_by(&server.next());
    assert_eq!(refused.3, 0);
    player.tell("close", "1-1", r#","reason":"end""#);
    test_box.wait_for_log("session 1-1 has ended");
    test_box.wait_until("two wait", |test_box| {
        test_box.status()["heartbeats"]["delivery"]["waiting"].as_u64() >= Some(2)
    });
    test_box.signal(Signal::SIGKILL);
    test_box.ended();

    // The next daemon sends what waits, in order, and each is known again.
    status.store(200, Ordering::SeqCst);
    test_box.start();
    let mut taken = vec![known_by(&server.next())];
    while !taken.last().unwrap().1 {
        taken.push(known_by(&server.next()));
    }
    taken.dedup();
    assert_eq!(taken[0].0, refused, "the same again");
    let numbers: Vec<_> = taken.iter().map(|((.., seq), _)| *seq).collect();
    assert_eq!(numbers, (0..u32::try_from(taken.len()).unwrap()).collect::<Vec<_>>());
    let session = |((clid, iid, sid, _), _): &((String, i32, i32, u32), bool)| (clid.clone(), *iid, *sid);
    assert!(taken.iter().all(|beat| session(beat) == session(&taken[0])), "{taken:?}");
    test_box.wait_for_status("/heartbeats/delivery/waiting", &json!(0));

    // A stop leaves them to the next start too.
    status.store(503, Ordering::SeqCst);
    let player = test_box.connect();
    player.play("1-2", "udp://239.1.1.1:1234");
    server.next();
    assert!(test_box.stop().success());
    assert!(test_box.log().contains("heartbeats could not be delivered, and wait"), "{}", test_box.log());
    status.store(200, Ordering::SeqCst);
    test_box.start();
    while !known_by(&server.next()).1 {}
    test_box.wait_for_status("/heartbeats/delivery/waiting", &json!(0));
    drop(player);
}

/// One that the service does not take, or fails of, holds up neither its session nor another.
#[rstest]
#[case::refused(400)]
#[case::server_fails_of_it(500)]
fn a_heartbeat_that_is_not_taken_blocks_none(#[case] status: u16) {
    let server = Server::answering(move |got| {
        let is_bad = got.body.contains("poison");
        Answer { status: if is_bad { status } else { 200 }, ..Answer::default() }
    });
    let gateway =
        format!(r#"<heartbeat gateway="http://{}" customer_key="K" interval="1"/>"#, server.address);
    let test_box = TestBox::started(&provisioning(&gateway));
    let player = test_box.connect();
    player.play("bad", "udp://poison.example");
    while !server.next().body.contains("poison") {}
    player.play("good", "udp://239.1.1.1:1234");
    let mut good = Vec::new();
    while good.len() < 3 {
        let got = server.next();
        if !got.body.contains("poison") {
            good.push(known_by(&got).0.3);
        }
    }
    assert_eq!(good, [0, 1, 2]);
    if status == 400 {
        test_box.wait_until("drops", |test_box| {
            test_box.status()["heartbeats"]["delivery"]["dropped"]["refused"].as_u64() >= Some(1)
        });
    }
}

#[test]
fn a_stop_tells_all_outputs() {
    let (lines, beats) = (Server::start(Vec::new()), Server::start(Vec::new()));
    let mut test_box = TestBox::started(&provisioning(&format!(
        r#"<media_analytics host="{}"/><heartbeat gateway="http://{}" customer_key="K"/>"#,
        lines.address, beats.address
    )));
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    lines.next();
    beats.next();
    assert!(test_box.stop().success());
    let mut last = lines.next();
    while value(&last, Metric::EventCode).as_deref() != Some("C") {
        last = lines.next();
    }
    assert_eq!(value(&last, Metric::EndReasonCode).as_deref(), Some("Application.Close"));
    let mut last = beats.next();
    while !last.body.contains("CwsSessionEndEvent") {
        last = beats.next();
    }
    drop(player);
}

#[test]
fn a_channel_provisioned_in_mid_session_knows_what_plays() {
    let server = Server::start(Vec::new());
    let test_box = TestBox::started("<provision/>");
    let player = test_box.connect();
    player.play("1-1", "http://cdn.example/a.m3u8");
    test_box.wait_for_status("/sessions/0/phase", &json!("playing"));
    test_box.provision(&provisioning(&format!(r#"<media_analytics host="{}"/>"#, server.address)));
    test_box.signal(Signal::SIGHUP);
    let (init, start) = (server.next(), server.next());
    assert_eq!(event_and_number(&init), pair("I", "0"));
    assert_eq!(event_and_number(&start), pair("S", "1"));
    assert_eq!(value(&start, Metric::StreamUrl).as_deref(), Some("http://cdn.example/a.m3u8"));
    // And one that is not provisioned any more says nothing.
    test_box.provision("<provision/>");
    test_box.signal(Signal::SIGHUP);
    test_box.wait_for_status("/lines", &json!([]));
    player.tell("close", "1-1", r#","reason":"end""#);
    assert!(server.is_silent_for(Duration::from_millis(500)));
}
