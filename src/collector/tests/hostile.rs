//! What nobody should send: it is refused, bounded, and harms nobody else.

use std::io::{Read, Write};
use std::time::Duration;

use rstest::rstest;
use serde_json::Value;

use crate::golden;
use crate::harness::{Collector, answer, command, request};

/// A good line is still taken.
fn assert_well(collector: &Collector, id: &str) {
    let line = format!("a=I~c={id}~d=box~e=0~f=R~w=0");
    assert_eq!(collector.line(&line).status, 200);
}

#[rstest]
#[case::no_query("GET", "/9.gif", "", 404, "?a=")]
#[case::no_line("GET", "/?x", "", 400, "no = and so no value")]
#[case::no_attempt("GET", "/?a=P", "", 400, "c (attemptId)")]
#[case::bad_escape("GET", "/?a=P~c=%zz~e=0", "", 400, "two hexadecimal digits")]
#[case::method("PUT", "/", "", 405, "expected GET or POST")]
#[case::no_json("POST", "/", "{", 400, "not JSON")]
#[case::no_reports("POST", "/", "7", 400, "expected an array")]
#[case::no_time("POST", "/", r#"[{"type":"media"}]"#, 400, "UNIX seconds")]
#[case::no_heartbeat("POST", "/0/wsg", "{}", 400, "CwsSessionHb")]
fn is_told_what_is_wrong(
    #[case] method: &str,
    #[case] path: &str,
    #[case] body: &str,
    #[case] status: u16,
    #[case] told: &str,
) {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let answer = collector.send(method, path, "", body.as_bytes());
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.text().contains(told), "{}", answer.text());
    assert_well(&collector, "1");
}

/// A page whose name leads to this machine asks in a browser that runs on it.
#[test]
fn nobody_asks_by_another_name() {
    let data = tempfile::tempdir().unwrap();
    let mut command = command(data.path());
    command.args(["--host", "qoe.example.net"]);
    let collector = Collector::start_with(command);
    let status = |path: &str, host: &str| {
        let mut stream = collector.connect();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        answer(&mut stream).unwrap().status
    };
    for path in ["/", "/ui/overview", "/insights/2.4/accounts.json", "/bulk_filters/", "/-/status"] {
        assert_eq!(status(path, "evil.example:8480"), 421, "{path}");
        assert_eq!(status(path, "127.0.0.1:8480"), 200, "{path}");
        assert_eq!(status(path, "qoe.example.net"), 200, "{path}");
    }
    assert_eq!(status("/9.gif?a=I~c=1~d=b~e=0~w=0", "collector.example"), 200, "boxes call it as they like");
}

#[test]
fn one_bad_report_does_not_cost_the_others() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let good = golden::reports("media");
    let good = good.trim().trim_start_matches('[').trim_end_matches(']');
    let body = format!(
        r#"[{good},{{"type":"media","timestamp":1,"begin":9,"end":1}},{{"type":"cpu","timestamp":1}},]"#
    );
    let answer = collector.post("/", "", body.as_bytes());
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &told["reports"], &told["skipped"]), (200, &1.into(), &1.into()), "{told}");
    assert!(told["refused"][0].as_str().unwrap().contains("report 1, field \"end\""), "{told}");
}

#[test]
fn too_much_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let large = vec![b' '; 3 * 1024 * 1024];
    // It may end the connection before all of that is sent.
    let mut stream = collector.connect();
    let head = format!("POST / HTTP/1.1\r\nHost: c\r\nContent-Length: {}\r\n\r\n", large.len());
    stream.write_all(head.as_bytes()).unwrap();
    let _ = stream.write_all(&large);
    assert!(answer(&mut stream).is_none_or(|answer| answer.status == 413));

    let headers: String = (0..200).map(|number| format!("X-{number}: x\r\n")).collect();
    let many = collector.send("GET", "/?a=P~c=1~e=0", &headers, b"");
    assert_eq!(many.status, 431, "{}", many.text());
    let mut stream = collector.connect();
    let _ = stream.write_all(format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(100_000)).as_bytes());
    assert!(answer(&mut stream).is_none_or(|answer| (400..=431).contains(&answer.status)));

    let deep = "[".repeat(500_000);
    assert_eq!(collector.post("/", "", deep.as_bytes()).status, 400);
    assert_eq!(collector.post("/0/wsg", "", deep.as_bytes()).status, 400);
    assert_well(&collector, "1");
}

#[test]
fn slow_clients_hold_nobody_up() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut stream = collector.connect();
        stream.write_all(b"POST / HTTP/1.1\r\nContent-Le").unwrap();
        slow.push(stream);
    }
    assert_well(&collector, "1");
    drop(slow);
    assert_well(&collector, "2");
}

#[test]
fn bytes_that_are_no_http() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    for bytes in
        [&b"\x16\x03\x01\x02\x00"[..], b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n"]
    {
        let mut stream = collector.connect();
        stream.write_all(bytes).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    assert_well(&collector, "1");
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
fn random(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    usize::try_from((z ^ (z >> 31)) % below.max(1) as u64).unwrap()
}

/// What boxes send, with some bytes changed, doubled, cut out or put in.
fn spoiled(bytes: &[u8], state: &mut u64) -> Vec<u8> {
    const PIECES: [&[u8]; 12] = [
        b"-1",
        b"1e999",
        b"18446744073709551616",
        b"null",
        b"[[[[",
        b"\"",
        b"}",
        b",",
        b"~",
        b"=",
        b"%",
        b"\xff\xfe",
    ];
    let mut bytes = bytes.to_vec();
    for _ in 0..=random(state, 4) {
        let at = random(state, bytes.len());
        let until = (at + random(state, 12)).min(bytes.len());
        match random(state, 4) {
            0 => bytes[at] = u8::try_from(random(state, 256)).unwrap(),
            1 => drop(bytes.drain(at..until)),
            2 => drop(bytes.splice(at..at, bytes[at..until].to_vec())),
            _ => drop(bytes.splice(at..until, PIECES[random(state, PIECES.len())].to_vec())),
        }
        bytes.push(b' ');
    }
    bytes
}

#[test]
fn what_is_spoiled_on_its_way_is_taken_or_refused_and_never_a_failure() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    // The same each time, but for who wants to look further.
    let mut state = std::env::var("STBEACON_SEED").map_or(1, |seed| seed.parse().unwrap());
    let bodies: Vec<_> = ["media", "extended_media", "network"]
        .map(|name| ("/drop", golden::reports(name)))
        .into_iter()
        .chain(golden::heartbeats().into_iter().map(|(_, body)| ("/0/wsg", body)))
        .collect();
    let lines = golden::lines("vod_with_seeks_and_pauses");
    let mut stream = collector.connect();
    let mut taken = 0;
    for round in 0..400 {
        if round % 2 == 0 {
            let (path, body) = &bodies[random(&mut state, bodies.len())];
            request(&mut stream, "POST", path, "", &spoiled(body.as_bytes(), &mut state));
        } else {
            let line = spoiled(lines[random(&mut state, lines.len())].1.as_bytes(), &mut state);
            // What cannot stand in a request's first line is not what is looked at here.
            let line: String = line
                .iter()
                .filter(|byte| byte.is_ascii_graphic() && **byte != b'#')
                .map(|byte| char::from(*byte))
                .collect();
            request(&mut stream, "GET", &format!("/9.gif?{line}"), "", b"");
        }
        let Some(answer) = answer(&mut stream) else {
            stream = collector.connect();
            continue;
        };
        assert!(matches!(answer.status, 200 | 400 | 413), "{}", answer.text());
        taken += usize::from(answer.status == 200);
        if answer.head.contains("connection: close") {
            stream = collector.connect();
        }
    }
    assert!(taken > 0, "all that was spoiled was refused");
    // All that was taken can be asked of.
    let all =
        collector.ask("/insights/3.0/metrics/custom-selection?metric=attempts&metric=bitrate&metric=plays");
    assert!(all["total"]["metrics"]["attempts"]["count"].is_u64(), "{all}");
    assert_eq!(collector.status()["store_writable"], true);
}

#[test]
fn text_is_text_wherever_it_comes_from() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let title = "'); DROP TABLE session; -- <script>alert(1)</script>\"";
    let escaped: String = title.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let line = format!("a=I~c=1~d=box~e=0~f=R~w=0~tt={escaped}");
    assert_eq!(collector.line(&line).status, 200);
    const ASSETS: u32 = 12;
    assert_eq!(collector.quality(ASSETS, title).first(), Some(&1.0));
    assert_eq!(collector.status()["running_sessions"], 1);
}

#[test]
fn one_address_may_not_take_all() {
    let data = tempfile::tempdir().unwrap();
    let mut command = command(data.path());
    command.args(["--rate", "1"]);
    let collector = Collector::start_with(command);
    let line = |number: usize| collector.line(&format!("a=I~c={number}~d=box~e=0~f=R~w=0"));
    let answers: Vec<_> = (0..40).map(line).collect();
    let taken = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((20..30).contains(&taken), "{taken} taken");
    let refused = answers.last().unwrap();
    assert_eq!(refused.status, 429);
    assert!(refused.head.contains("retry-after: 5"), "{}", refused.head);
}
