//! Complete sessions, byte for byte.

use std::fmt::Write;

use insta::assert_snapshot;

use super::harness::*;
use crate::line::decode;
use crate::line::keys::{Event, Metric};
use crate::player::{
    AdKind, AdPhase, AdStatus, Asset, CloseReason, Delivery, Dimensions, HostKind, Measures, SeekPhase,
    ServerSwitch, ServerSwitchReason, SessionEvent, Share, SwitchReason, Window,
};
use crate::time::Millis;

const FILM: &str = "https://cdn-a.example/vod/film/master.m3u8";
/// Ten minutes.
const LENGTH: u64 = 600_000;

/// A film that opened at 1000 and has played since 2000.
fn film(b: &mut Box) -> &mut Box {
    b.at(1000).ok(open(FILM));
    b.at(1200).ok(PLAY);
    b.at(1300).ok(percent(10));
    b.at(1900).ok(percent(100)).ok(rate(2_000_000));
    b.at(2000).ok(SessionEvent::FirstFrame).ok(counters(0, LENGTH))
}

#[test]
fn vod_with_seeks_and_pauses() {
    let mut b = Box::builtin();
    film(&mut b);
    b.ok(SessionEvent::Asset(std::boxed::Box::new(Asset {
        title: Some("A film".into()),
        category: Some("drama".into()),
        ..Asset::default()
    })));
    b.at(7000).ok(counters(5000, LENGTH));
    b.at(10_000).ok(counters(8000, LENGTH)).ok(PAUSE);
    b.at(11_500).ok(PLAY);
    b.at(20_000).ok(seek(SeekPhase::Start, 16_500, 300_000)).ok(percent(0));
    b.at(20_700).ok(seek(SeekPhase::End, 16_500, 300_000));
    b.at(20_900).ok(percent(100));
    b.at(21_000).ok(SessionEvent::Window(Window { full_screen: Some(true), ..Window::default() }));
    b.at(60_900).ok(counters(340_000, LENGTH));
    b.at(61_000).ok(seek(SeekPhase::Start, 340_100, 10_000));
    b.at(61_200).ok(seek(SeekPhase::End, 340_100, 10_000));
    b.at(301_000).ok(PAUSE);
    b.at(305_000).ok(PLAY);
    b.at(306_000).ok(SessionEvent::Share(Share { key: "fbs".into() }));
    b.at(310_000).ok(SessionEvent::Close(CloseReason::End));
    assert_snapshot!(b.wire());
    assert_eq!(b.course(), "I0 S1 P5 P295 C8");
}

#[test]
fn live_with_rebuffers_astride_a_line() {
    let mut b = Box::builtin();
    b.at(0).ok(open("udp://@239.1.1.1:1234")).ok(PLAY);
    b.at(500).ok(SessionEvent::FirstFrame).ok(counters(7_200_000, 0));
    b.ok(SessionEvent::Asset(std::boxed::Box::new(Asset { live: Some(true), ..Asset::default() })));
    b.at(1000).ok(counters(7_200_500, 0));
    b.at(3000).ok(percent(0));
    b.at(3200).ok(percent(100));
    b.at(5000).ok(percent(0));
    b.at(6000).ok(percent(100));
    b.at(100_000).ok(percent(0));
    b.at(140_000).ok(percent(100));
    b.at(299_000).ok(PAUSE);
    b.at(299_500).ok(PLAY).ok(percent(0));
    b.at(301_000).ok(percent(100));
    b.at(302_000).ok(STOP);
    assert_snapshot!(b.wire());
    assert_eq!(
        b.values(Metric::RebufferSession)[2..],
        ["0:-1;2500:200;4500:500;", "1:0;0:500;94500:40000;294000:1000;", "1:0;0:500;"]
    );
}

#[test]
fn abr_with_switches_up_and_down() {
    let mut b = Box::builtin();
    film(&mut b);
    b.ok(SessionEvent::Measures(Measures {
        throughput: Some(6_000_000),
        bandwidth: Some(3_000_000),
        audio_bandwidth: Some(128_000),
        video_bandwidth: Some(2_800_000),
        encoded_fps: Some(25.0),
        ..Measures::default()
    }));
    b.at(4000).ok(switching(&[SwitchReason::Bandwidth]));
    b.at(4800).ok(rate(4_500_000));
    b.at(30_000).ok(switching(&[SwitchReason::Bandwidth, SwitchReason::Buffer])).ok(rate(900_000));
    b.at(50_000).ok(rate(2_000_000));
    b.at(302_500).ok(switching(&[SwitchReason::Frames]));
    b.at(303_000).ok(rate(900_000));
    b.at(305_000).ok(STOP);
    assert_snapshot!(b.wire());
    let stints = b.values(Metric::TransitionStreamTimeSession);
    assert_eq!(
        stints[2..],
        [
            "2000000:0:2800::1,4500000:2800:2200:1000:1",
            "4500000:2800:23000:1000:1,900000:28000:20000:1010:1,2000000:48000:252000::2",
            "2000000:48000:1000::2,900000:301000:2000:0100:2",
        ]
    );
}

#[test]
fn ads_before_amid_and_after() {
    let mut b = Box::builtin();
    b.at(1000).ok(open(FILM));
    b.at(1100).ok(ad(AdPhase::Load, "pre:1,a", |ad| {
        (ad.duration, ad.title, ad.server) =
            (Some(8000), Some("Soap, new".into()), Some("ads.example".into()));
    }));
    b.at(1500).ok(ad(AdPhase::Start, "pre:1,a", |_| {}));
    b.at(9500).ok(ad_end("pre:1,a", AdStatus::Normal));
    b.at(9600).ok(PLAY).ok(rate(2_000_000));
    b.at(10_000).ok(SessionEvent::FirstFrame).ok(counters(0, LENGTH));
    b.at(20_000).ok(ad(AdPhase::Load, "mid", |ad| ad.duration = Some(20_000))).ok(PAUSE);
    b.at(20_500).ok(ad(AdPhase::Start, "mid", |_| {}));
    b.at(31_500).ok(ad_end("mid", AdStatus::Skipped));
    b.at(31_600).ok(ad(AdPhase::Load, "mid-2", |_| {}));
    b.at(33_600).ok(ad_end("mid-2", AdStatus::Error));
    b.at(33_700).ok(PLAY);
    b.at(50_000).ok(ad(AdPhase::Start, "post", |ad| (ad.kind, ad.percent) = (Some(AdKind::Post), Some(60))));
    b.at(53_000).ok(STOP);
    assert_snapshot!(b.wire());
    assert_eq!(b.values(Metric::PlayClockTime)[2..], ["5000", "21300"]);
    assert_eq!(b.values(Metric::PauseCount)[2..], ["0", "0"]);
    assert_eq!(b.values(Metric::AdCount)[2..], ["1", "3"]);
}

#[test]
fn failure_before_start() {
    let mut b = Box::builtin();
    b.at(1000).ok(open("https://cdn-a.example/none.m3u8")).ok(PLAY);
    b.at(1400).ok(failure("http-404")).ok(SessionEvent::Close(CloseReason::Error));
    assert_snapshot!(b.wire());
}

#[test]
fn left_before_start() {
    let mut b = Box::builtin();
    b.at(1000).ok(open(FILM)).ok(PLAY);
    b.at(4000).ok(STOP);
    assert_eq!(b.course(), "I0 E3");
    assert_eq!(b.values(Metric::ErrorCode)[1], "Application.Close.NoStart");
}

#[test]
fn error_after_start() {
    let mut b = Box::builtin();
    film(&mut b);
    b.at(9000).ok(failure("gst-stream-error-quark:7"));
    b.at(9100).ok(SessionEvent::Close(CloseReason::Error));
    assert_snapshot!(b.wire());
    assert_eq!(b.course(), "I0 S1 P5 P2 E0");
}

#[test]
fn power_cut_and_restart() {
    let mut old = Box::builtin();
    film(&mut old);
    old.at(60_000).ok(counters(58_000, LENGTH)).turn();
    // The daemon dies here; the player goes on, and tells the next one what it kept.
    let kept = old.sessions.live(old.now).next().unwrap().totals;
    let mut new = Box::builtin();
    new.sleep(1000).ok(open(FILM));
    new.sleep(63_000)
        .ok(SessionEvent::Resume(kept))
        .ok(PLAY)
        .ok(rate(2_000_000))
        .ok(counters(61_000, LENGTH));
    new.at(70_000).ok(counters(68_000, LENGTH)).ok(STOP);
    assert_snapshot!(format!("{}--- power cut ---\n{}", old.wire(), new.wire()));
    assert_eq!(new.values(Metric::PlayClockTime)[2..], ["5000", "2000"]);
    assert_eq!(new.values(Metric::BytesLoaded)[2..], ["0", "3500000"]);
}

#[test]
fn title_switch() {
    let mut b = Box::builtin();
    film(&mut b);
    let title = |title: &str| {
        let asset = Asset { title: Some(title.into()), live: Some(true), ..Asset::default() };
        SessionEvent::Asset(std::boxed::Box::new(asset))
    };
    b.ok(title("News"));
    b.at(30_000).ok(counters(28_000, 0));
    b.at(33_000).ok(percent(0));
    b.at(34_000).ok(title("Weather"));
    b.at(35_000).ok(percent(100));
    b.at(44_000).ok(STOP);
    assert_snapshot!(b.wire());
    assert_eq!(b.course(), "I0 S1 P5 C27 I0 S0 P5 C5");
    assert_eq!(b.values(Metric::SequenceId), ["0", "1", "2", "3", "0", "1", "2", "3"]);
    assert_eq!(b.values(Metric::RebufferCount)[2..4], ["0", "1"]);
    assert_eq!(b.values(Metric::RebufferSession)[6], "1:0;0:1000;");
}

#[test]
fn stream_switch() {
    let mut b = Box::builtin();
    film(&mut b);
    b.at(8000).ok(open("https://cdn-a.example/vod/other.mp4"));
    b.at(8100).ok(PLAY).ok(SessionEvent::FirstFrame);
    b.at(9000).ok(STOP);
    assert_eq!(b.course(), "I0 S1 P5 C1 I0 S0.100 C0.900");
    let reasons = b.values(Metric::EndReasonCode);
    assert_eq!((reasons[3].as_str(), reasons[6].as_str()), ("Stream.Switched", "Application.Close"));
    let ids = b.values(Metric::AttemptId);
    assert!(ids[0] == ids[3] && ids[4] == ids[6] && ids[0] != ids[4]);
}

#[test]
fn a_url_of_3000_characters_is_split() {
    let mut b = Box::builtin();
    let query: String = (0..300).map(|n| format!("p{n:03}=%20~&;")).collect();
    b.at(1000).ok(open(&format!("{FILM}?{}", &query[..2950]))).ok(PLAY);
    b.at(2000).ok(SessionEvent::FirstFrame);
    b.at(3000).ok(STOP);
    let mut keys = String::new();
    for line in &b.lines[0] {
        assert!(line.text.len() <= 2048);
        let read = decode::Line::read(&line.text).unwrap();
        let listed: Vec<_> = read.fields.iter().map(|field| field.key).collect();
        writeln!(keys, "{} {:?} {}", line.event.code(), read.part(), listed.join(" ")).unwrap();
    }
    assert_snapshot!(keys);
    assert!(b.values(Metric::SequenceId).is_sorted(), "parts share the number of their line");
    assert!(b.channels[0].cut() > 0);
}

#[test]
fn servers_dimensions_and_delivery() {
    let text = crate::line::config::builtin_text();
    let dimensions = r#"<data key="_cd_1000" name="site"/><data key="_cd_1001" name="room"/>"#;
    let text =
        text.replacen("</dataMetrics>\n    </common>", &format!("{dimensions}</dataMetrics></common>"), 1);
    let mut b = Box::new([crate::line::config::Config::parse(&text).unwrap().config]);
    film(&mut b);
    b.ok(SessionEvent::Dimensions(Dimensions { dimensions: [("_cd_1001".into(), "2 rooms".into())].into() }));
    b.ok(SessionEvent::Delivery(Delivery {
        cdn: Some("ExampleCDN".into()),
        server_ip: Some("192.0.2.7".into()),
        asm: Some(true),
        ..Delivery::default()
    }));
    b.ok(SessionEvent::Measures(Measures {
        live_delay: Some(12.3456),
        rtt: Some(31.5),
        ..Measures::default()
    }));
    b.at(5000).ok(SessionEvent::ServerSwitch(ServerSwitch {
        duration: 120,
        rtt: 18,
        reason: ServerSwitchReason::LowRtt,
        from: "a.example:80".into(),
        to: "b.example".into(),
        ip: "192.0.2.8".into(),
        kind: HostKind::AlternateInRegion,
    }));
    b.at(9000).ok(STOP);
    assert_snapshot!(b.wire());
}

#[test]
fn a_daemon_that_stops_completes_what_runs() {
    let mut b = Box::builtin();
    film(&mut b);
    b.at(8000);
    b.sessions.handle_stop(Millis(8000));
    b.turn();
    assert_eq!(b.course(), "I0 S1 P5 C1");
}

#[test]
fn a_channel_that_comes_later_is_introduced() {
    let mut b = Box::new([]);
    film(&mut b);
    b.at(20_000).ok(counters(18_000, LENGTH));
    let mut channel = crate::beacon::Channel::new(identity());
    channel.set_config(config(""), &mut || 9);
    for entry in b.sessions.introduce().collect::<Vec<_>>() {
        channel.handle_entry(&entry, &mut || 9);
    }
    b.add(channel);
    b.at(30_000).ok(counters(28_000, LENGTH)).ok(STOP);
    assert_eq!(b.course(), "I0 S19 P5 C5");
    assert_eq!(b.values(Metric::PlayClockTime)[2..], ["5000", "5000"]);
    assert_eq!(b.values(Metric::BytesLoaded)[2..], ["0", "5000000"]);
}

/// Keys that nothing on a box can fill: pages, browsers, buffers by kind of medium, sizes of files.
const WITHOUT_SOURCE: [Metric; 14] = [
    Metric::PageHost,
    Metric::PageReferrerHost,
    Metric::Browser,
    Metric::PlayerReferrer,
    Metric::PageReferrer,
    Metric::PageUrl,
    Metric::BytesTotal,
    Metric::AudioBufferLength,
    Metric::VideoBufferLength,
    Metric::DataBufferLength,
    Metric::PartNumber,
    Metric::TotalParts,
    Metric::ScriptDisabled,
    Metric::SessionGuid,
];

#[test]
fn every_key_that_has_a_source_leaves_the_box() {
    let text = |text: &str| Some(text.to_owned());
    // Heartbeat lines that list everything there is, and limits that no line comes near to.
    let all = config_with(Event::Heartbeat, "").tap(|c| c.heartbeat_interval.0 = 40_000);
    let mut b = Box::new([]);
    let mut channel = crate::beacon::Channel::new(crate::beacon::Identity {
        player_type: "gst".into(),
        player_version: "1.22".into(),
        full_os: "Linux 6.1".into(),
        user_agent: "box/1".into(),
        ..identity()
    });
    channel.set_config(all, &mut || 1);
    b.add(channel);
    b.at(1000).ok(open("https://cdn-a.example:8443/vod/film/master.m3u8")).ok(PLAY);
    b.ok(SessionEvent::Asset(std::boxed::Box::new(Asset {
        title: text("A film"),
        asset: text("n-1"),
        show: text("Films"),
        category: text("drama"),
        sub_category: text("short"),
        event: text("premiere"),
        event_start: text("20:15"),
        event_end: text("21:45"),
        length: text("90 min"),
        live: Some(false),
    })));
    b.ok(SessionEvent::Delivery(Delivery {
        cdn: text("ExampleCDN"),
        server_ip: text("192.0.2.7"),
        connectivity: text("ethernet"),
        connect_time: Some(38),
        asm: Some(true),
    }));
    b.ok(SessionEvent::Measures(Measures {
        throughput: Some(6_000_000),
        bandwidth: Some(3_000_000),
        audio_bandwidth: Some(128_000),
        video_bandwidth: Some(2_800_000),
        data_bandwidth: Some(1_000),
        live_delay: Some(2.5),
        rtt: Some(12.0),
        encoded_fps: Some(25.0),
        encoded_bitrate: Some(2_010_000),
    }));
    b.ok(SessionEvent::Window(Window { full_screen: Some(true), width: Some(1920), height: Some(1080) }));
    b.ok(rate(2_000_000)).ok(SessionEvent::FirstFrame).ok(counters(0, LENGTH));
    b.at(10_000).ok(switching(&[SwitchReason::Buffer])).ok(rate(900_000));
    b.at(11_000).ok(seek(SeekPhase::Start, 9_000, 200_000));
    b.at(11_500).ok(seek(SeekPhase::End, 9_000, 200_000));
    b.at(12_000).ok(seek(SeekPhase::Start, 200_500, 100_000));
    b.at(12_500).ok(seek(SeekPhase::End, 200_500, 100_000));
    b.at(20_000).ok(PAUSE);
    b.at(21_000).ok(PLAY).ok(percent(0));
    b.at(60_000).ok(percent(100));
    b.at(70_000).ok(ad(AdPhase::Load, "1", |_| {})).ok(PAUSE);
    b.at(71_000).ok(ad(AdPhase::Start, "1", |_| {}));
    b.at(75_000).ok(ad_end("1", AdStatus::Normal)).ok(PLAY);
    b.ok(SessionEvent::Share(Share { key: "fbs".into() }));
    b.ok(SessionEvent::ServerSwitch(ServerSwitch {
        duration: 120,
        rtt: 18,
        reason: ServerSwitchReason::DataGap,
        from: "a.example".into(),
        to: "b.example".into(),
        ip: "192.0.2.8".into(),
        kind: HostKind::Alternate,
    }));
    b.at(200_000).ok(STOP);
    b.ok(open("https://cdn-a.example/none.mp4")).ok(STOP);
    b.gone();

    let seen: std::collections::BTreeSet<_> = b.lines[0]
        .iter()
        .flat_map(|line| {
            let read = decode::Line::read(&line.text).unwrap();
            let known = Metric::ALL.iter().copied().filter(|metric| read.field(*metric).is_some());
            known.collect::<Vec<_>>()
        })
        .collect();
    // Set where an operator's file says so.
    let configured = [Metric::BeaconId];
    let missing: Vec<_> = Metric::ALL
        .iter()
        .filter(|metric| {
            !seen.contains(metric) && !WITHOUT_SOURCE.contains(metric) && !configured.contains(metric)
        })
        .map(ToString::to_string)
        .collect();
    assert_eq!(missing, [""; 0]);
    let split = [Metric::PartNumber, Metric::TotalParts];
    let filled: Vec<_> =
        WITHOUT_SOURCE.iter().filter(|metric| seen.contains(metric) && !split.contains(metric)).collect();
    assert!(filled.is_empty(), "has a source after all: {filled:?}");
}
