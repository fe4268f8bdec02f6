//! What the agent sends, and what is answered of it.

use std::io::Write;
use std::process::Stdio;
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use rstest::rstest;
use serde_json::{Value, json};

use crate::golden;
use crate::harness::{Collector, command, ended, lines_of_the_past};

const DEVICES: u32 = 13;
const CHANNELS: u32 = 19;
const CITIES: u32 = 20;
const ISPS: u32 = 21;

/// A heartbeat as if it were sent now.
fn of_today(body: &str) -> String {
    let mut beat: Value = serde_json::from_str(body).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    beat["sst"] = json!(u64::try_from(now).unwrap() - 15_000);
    beat.to_string()
}

#[test]
fn lines_reports_and_heartbeats_become_sessions() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());

    for line in lines_of_the_past("error_after_start") {
        let answer = collector.line(&line);
        assert_eq!((answer.status, answer.body.get(..6)), (200, Some(&b"GIF89a"[..])), "{}", answer.text());
        assert!(answer.head.contains("content-type: image/gif"), "{}", answer.head);
    }
    for (seq, (_, body)) in golden::heartbeats().iter().enumerate() {
        let answer = collector.post("/0/wsg", "", of_today(body).as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let told: Value = serde_json::from_slice(&answer.body).unwrap();
        let expected = json!({ "t": "CwsServerResponse", "err": "ok", "sid": 2, "seq": seq, "clid": told["clid"],
            "cfg": { "hbi": 20, "maxhbinfos": 2, "slg": false, "csi_en": false } });
        assert_eq!(told, expected);
    }
    let mac = "Mac-Address: 00:11:22:33:44:55\r\n";
    for name in ["media", "extended_media", "network", "network_without_address"] {
        let answer = collector.post("/drop?k=v", mac, golden::reports(name).as_bytes());
        assert_eq!(answer.text(), "200 {\"refused\":[],\"reports\":1,\"skipped\":0}");
    }

    let status = collector.status();
    let received = json!({ "reports": 4, "lines": 5, "heartbeats": 3, "repeated": 0, "folded": 0 });
    let expected =
        json!({ "running_sessions": 0, "store_writable": true, "spooled_bytes": 0, "received": received });
    assert_eq!(status, expected);

    // Attempts, VSF %, EBVS %, plays %, VST s, rebuffering %, bit/s, VPF %, ended plays, CIRR %, VRT s, then VSF-T, -B,
    // VPF-T, -B.
    let lines = collector.quality(CHANNELS, "lines");
    assert_eq!(
        lines,
        [1.0, 0.0, 0.0, 100.0, 1.0, 0.0, 2_000_000.0, 100.0, 1.0, 0.0, 0.0, 0.0, 0.0, 100.0, 0.0]
    );
    let beats = collector.quality(CHANNELS, "heartbeats");
    let seeking = 3.5714;
    assert_eq!(
        beats,
        [1.0, 0.0, 0.0, 100.0, 0.9, seeking, 2_000_000.0, 0.0, 1.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0]
    );
    assert_eq!(collector.quality(DEVICES, "model-5").first(), Some(&2.0), "both ways in name the same model");
    assert!(collector.stop().success());
}

#[test]
fn series_in_time_and_simple_ones() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    for line in lines_of_the_past("vod_with_seeks_and_pauses") {
        assert_eq!(collector.line(&line).status, 200);
    }
    let metrics =
        "attempts,plays,avg_bitrate,ended_plays,quality_summary,ended_plays_timeseries,concurrent_plays";
    let answer = collector
        .ask(&format!("/insights/2.4/metrics.json?metrics={metrics}&account=1&filter_ids=1,7&ab_units=kbps"));
    let sum = |name: &str| {
        let values = answer[name]["filters"]["1"].as_array().unwrap();
        values.iter().map(|value| value.as_f64().unwrap()).sum::<f64>()
    };
    assert_eq!(
        (sum("attempts"), sum("plays"), sum("ended_plays"), sum("ended_plays_timeseries")),
        (1.0, 1.0, 1.0, 1.0)
    );
    assert!(sum("concurrent_plays") >= 1.0);
    assert!(sum("avg_bitrate") >= 2000.0);
    let attempts = &answer["attempts"];
    assert_eq!(attempts["type"], "time_series");
    assert_eq!(attempts["timestamps"].as_array().unwrap().len(), 60);
    assert_eq!(
        attempts["meta"],
        json!({ "status": 0, "filters_warmup": [], "filters_not_exist": [7], "filters_incomplete_data": [] })
    );
    assert_eq!(answer["ended_plays"]["type"], "simple_series");
    assert_eq!(answer["quality_summary"]["type"], "label_series");
    assert_eq!(answer["quality_summary"]["xvalues"].as_array().unwrap().len(), 11);
    assert_eq!(answer["quality_summary"]["filters"]["1"][6], 2_000_000.0);
}

#[test]
fn accounts_filters_and_dimensions() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    assert_eq!(collector.line("a=I~c=1~d=b~e=0~w=0~_cd_1000=lab").status, 200);
    let accounts = collector.ask("/insights/2.4/accounts.json");
    assert_eq!(accounts, json!({ "default": "c3.stbeacon", "count": 1, "accounts": { "c3.stbeacon": "1" } }));
    assert_eq!(collector.ask("/insights/2.6/filters.json?account=1"), json!({ "1": "All Traffic" }));
    let dimensions = collector.ask("/insights/2.4/metriclens_dimension_list.json?account=1");
    assert_eq!((&dimensions["CDNs"], &dimensions["_cd_1000"]), (&json!(11), &json!(1000)));
    assert!(dimensions.as_object().unwrap().values().all(|id| id.as_u64().unwrap() > 0));
    assert_eq!(collector.quality(1000, "lab").first(), Some(&1.0));
    let audience =
        "/insights/2.4/metrics.json?metrics=audience_metriclens&account=1&metriclens_dimension_id=1000";
    let audience = collector.ask(audience)["audience_metriclens"].take();
    assert_eq!(audience["tables"]["1"]["rows"], json!([[0, 0, 0]]));
}

#[test]
fn a_proxy_says_where_a_box_is() {
    let data = tempfile::tempdir().unwrap();
    let table = data.path().join("networks.csv");
    std::fs::write(&table, "network,city\n127.0.0.0/8,Linz\n192.0.2.0/24,Vienna\n").unwrap();
    let mut command = command(data.path());
    command.args(["--proxy", "127.0.0.0/8", "--networks"]).arg(&table);
    let collector = Collector::start_with(command);
    let from = |told: &str, line: &str| collector.send("GET", &format!("/9.gif?{line}"), told, b"").status;
    assert_eq!(from("X-Forwarded-For: 198.51.100.1, 192.0.2.7\r\n", "a=I~c=1~d=b~e=0~w=0"), 200);
    assert_eq!(from("X-Forwarded-For: unknown\r\n", "a=I~c=2~d=c~e=0~w=0"), 200);
    assert_eq!(collector.quality(CITIES, "Vienna").first(), Some(&1.0));
    assert_eq!(collector.quality(CITIES, "Linz").first(), Some(&1.0));
}

#[test]
fn a_directory_is_one_collectors_alone() {
    let data = tempfile::tempdir().unwrap();
    let first = Collector::start(data.path());
    let output = command(data.path()).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{log}");
    assert!(log.contains("another collector runs on it"), "{log}");
    first.kill();
    assert!(Collector::start(data.path()).stop().success());
}

#[test]
fn cities_and_isps_are_those_of_the_operators_table() {
    let data = tempfile::tempdir().unwrap();
    let table = data.path().join("networks.csv");
    std::fs::write(&table, "network,city,isp\n127.0.0.0/8,Vienna,\n").unwrap();
    let mut command = command(data.path());
    command.arg("--networks").arg(&table);
    let collector = Collector::start_with(command);
    assert_eq!(collector.line("a=I~c=1~d=b~e=0~w=0").status, 200);
    assert_eq!(collector.quality(CITIES, "Vienna").first(), Some(&1.0));
    assert_eq!(collector.quality(ISPS, "unknown").first(), Some(&1.0));
    drop(collector);

    std::fs::write(&table, "network,city\n127.0.0.0/33,Vienna\n").unwrap();
    let mut command = crate::harness::command(data.path());
    let output = command.arg("--networks").arg(&table).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("networks.csv: line 2: network: \"127.0.0.0/33\" is no network"), "{log}");
}

#[rstest]
#[case("/insights/2.4/metrics.json?metrics=attempts", 400, "InvalidAccount")]
#[case("/insights/2.4/metrics.json?metrics=attempts&account=2", 400, "InvalidAccount")]
#[case("/insights/2.4/metrics.json?account=1", 400, "InvalidMetric")]
#[case("/insights/2.4/metrics.json?account=1&metrics=views", 400, "InvalidMetric")]
#[case("/insights/2.4/metrics.json?account=1&metrics=quality_metriclens", 400, "InvalidDimension")]
#[case(
    "/insights/2.4/metrics.json?account=1&metrics=quality_metriclens&metriclens_dimension_id=0",
    400,
    "InvalidDimension"
)]
#[case(
    "/insights/2.4/metrics.json?account=1&metrics=quality_metriclens&metriclens_dimension_id=1000",
    400,
    "InvalidDimension"
)]
#[case("/insights/2.4/metrics.json?account=1&metrics=attempts&filter_ids=x", 400, "InvalidFilter")]
#[case("/insights/2.5/accounts.json", 404, "NotFound")]
#[case("/insights/nothing", 404, "NotFound")]
fn questions_that_make_no_sense(#[case] path: &str, #[case] code: u16, #[case] reason: &str) {
    let data = tempfile::tempdir().unwrap();
    let answer = Collector::start(data.path()).get(path);
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &told["code"], &told["reason"]),
        (code, &json!(code), &json!(reason)),
        "{told}"
    );
    assert!(told["request"].as_str().unwrap().starts_with("/insights/") && told["message"].is_string());
}

#[test]
fn compressed_bodies() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(golden::reports("media").as_bytes()).unwrap();
    let body = encoder.finish().unwrap();
    let answer = collector.post("/", "Content-Encoding: gzip\r\n", &body);
    assert_eq!(answer.text(), "200 {\"refused\":[],\"reports\":1,\"skipped\":0}");
    assert_eq!(collector.post("/", "Content-Encoding: br\r\n", &body).status, 415);
    assert_eq!(collector.post("/", "Content-Encoding: gzip\r\n", b"[]").status, 400);
}

#[test]
fn what_is_asked_needs_a_password_where_there_is_one() {
    use std::os::unix::fs::PermissionsExt;

    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("users");
    std::fs::write(&file, "ada:s3cret\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let start = |more: &[&str]| {
        let mut command = command(data.path());
        command.arg("--credentials").arg(&file).args(more);
        Collector::start_with(command)
    };
    let good = "Authorization: Basic YWRhOnMzY3JldA==\r\n";
    let line = "/9.gif?a=I~c=1~d=b~e=0~w=0";

    let collector = start(&[]);
    for path in ["/insights/2.4/accounts.json", "/-/status"] {
        let refused = collector.get(path);
        assert_eq!((refused.status, refused.text().contains("{\"message\":\"Unauthorized\"}")), (401, true));
        assert!(refused.head.contains("www-authenticate: basic"), "{}", refused.head);
        assert_eq!(collector.send("GET", path, good, b"").status, 200);
    }
    assert_eq!(collector.get(line).status, 200, "boxes need none");
    drop(collector);

    let collector = start(&["--boxes-too"]);
    assert_eq!(collector.get(line).status, 401);
    assert_eq!(collector.send("GET", line, good, b"").status, 200);
}

#[rstest]
#[case(&["--listen", "0.0.0.0:0"], 2, "--credentials FILE")]
#[case(&["--listen", "nowhere"], 2, "expected ADDRESS:PORT")]
#[case(&["--heartbeat-interval", "0"], 2, "1 to 3600")]
#[case(&["--keep-minutes", "0"], 2, "expected 1 to 36500")]
#[case(&["--max-size", "-1"], 2, "--help")]
#[case(&["--tls-cert", "x"], 2, "--tls-key")]
#[case(&["--boxes-too"], 2, "--credentials")]
#[case(&["--business-error", "x"], 2, "equals:TEXT")]
#[case(&["--nonsense"], 2, "--help")]
#[case(&["--credentials", "/nonexistent/users"], 1, "/nonexistent/users")]
#[case(&["--data", "/proc/nowhere"], 3, "/proc/nowhere")]
fn command_lines_that_make_no_sense(#[case] args: &[&str], #[case] code: i32, #[case] told: &str) {
    let data = tempfile::tempdir().unwrap();
    let output = command(data.path()).args(args).stderr(Stdio::piped()).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{log}");
    assert!(log.contains(told), "{log}");
}

#[test]
fn a_load_arrives_whole() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let mut load = std::process::Command::new(env!("CARGO_BIN_EXE_stbeacon-collector"));
    let to = format!("http://{}/", collector.address);
    load.args([
        "load",
        "--to",
        &to,
        "--boxes",
        "20",
        "--rate",
        "0",
        "--sessions",
        "120",
        "--connections",
        "4",
    ]);
    let output = load.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.starts_with("120 of 120 sessions taken"), "{told}");
    let metrics = "metric=attempts&metric=plays&metric=ended-plays&metric=rebuffering-ratio&metric=bitrate";
    let all =
        collector.ask(&format!("/insights/3.0/metrics/custom-selection?days=2&{metrics}"))["total"].take();
    let of = |name: &str, kind: &str| all["metrics"][name][kind].as_f64().unwrap();
    assert_eq!(of("attempts", "count"), 120.0);
    assert!(of("plays", "count") > 90.0 && of("plays", "count") == of("ended_plays", "count"), "{all}");
    assert!(of("rebuffering_ratio", "ratio") > 0.0 && of("bitrate", "bps") > 1_500_000.0, "{all}");
    assert_eq!(collector.status()["running_sessions"], 0);

    drop(collector);
    // What is longer than a quarter of a page has a page of its own besides, and the store is three times as large.
    let sizes = ended(data.path()).iter().map(|(key, state)| key.len() + state.len()).collect::<Vec<_>>();
    let usual = sizes.iter().sum::<usize>() / sizes.len();
    assert!((200..960).contains(&usual), "{usual} bytes");

    let output = load.output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && log.contains("120 × 0"), "{log}");
}

#[test]
fn a_load_of_all_three_ways_arrives_whole() {
    let data = tempfile::tempdir().unwrap();
    let collector = Collector::start(data.path());
    let to = format!("http://{}/", collector.address);
    let mut load = std::process::Command::new(env!("CARGO_BIN_EXE_stbeacon-collector"));
    load.args(["load", "--to", &to, "--source", "mixed", "--at-once", "--boxes", "30", "--rate", "0"]);
    load.args(["--sessions", "60", "--length", "120", "--connections", "4"]);
    let output = load.output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.starts_with("60 of 60 sessions taken"), "{told}{log}");
    let metrics = "metric=attempts&metric=ended-plays&metric=bitrate&metric=frame-rate";
    let page = "/insights/3.0/metrics/custom-selection/group-by/data-channel";
    let mut all = collector.ask(&format!("{page}?days=2&granularity=P3D&{metrics}"))["total"].take();
    let by_channel = all["dimensional_data"].take();
    let of = |channel: &serde_json::Value, name: &str, kind: &str| {
        channel["metrics"][name][kind].as_f64().unwrap_or_default()
    };
    let channels = by_channel.as_array().unwrap();
    assert_eq!(channels.iter().map(|channel| of(channel, "attempts", "count")).sum::<f64>(), 60.0);
    assert_eq!(channels.len(), 3, "{by_channel}");
    for channel in channels {
        // Lines tell no time of day: sent at once, they end in minutes to come.
        let is_lines = channel["dimension"]["value"] == "lines";
        assert!(is_lines || of(channel, "ended_plays", "count") > 5.0, "{channel}");
        assert!(of(channel, "bitrate", "bps") > 1_500_000.0, "{channel}");
        // At the very end of a minute there is not a whole picture in it.
        let frame_rate = of(channel, "frame_rate", "value");
        assert!((20.0..30.0).contains(&frame_rate) || is_lines && frame_rate < 30.0, "{channel}");
    }
    assert_eq!(collector.status()["running_sessions"], 0);
}

#[test]
fn the_manual_names_every_option() {
    let manual = std::fs::read_to_string("../../packaging/man/stbeacon-collector.8").unwrap();
    let manual = manual.replace('\\', "");
    let data = tempfile::tempdir().unwrap();
    for args in [["--help"].as_slice(), &["load", "--help"]] {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_stbeacon-collector"));
        let help = program.current_dir(data.path()).args(args).output().unwrap().stdout;
        let help = String::from_utf8(help).unwrap();
        let options: Vec<_> = help
            .lines()
            .filter(|line| line.starts_with("      --") || line.starts_with("  -"))
            .flat_map(|line| line.split_whitespace().filter(|word| word.starts_with("--")).take(1))
            .collect();
        assert!(options.len() > 9, "{help}");
        let missing: Vec<_> = options.iter().filter(|option| !manual.contains(*option)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}

#[test]
fn help_has_examples() {
    let data = tempfile::tempdir().unwrap();
    let output = command(data.path()).arg("--help").stdout(Stdio::piped()).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && help.contains("Examples:\n  stbeacon-collector --data"), "{help}");
    assert!(help.lines().all(|line| line.chars().count() <= 140));
}
