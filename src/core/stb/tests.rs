//! The wire, byte by byte, in both directions.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::player::{CloseReason, Message, TsView};
use crate::session::{Peer, Sessions, Snapshot};
use crate::time::{Millis, WallAnchor};

/// The box booted at 1 700 000 000.
const ANCHOR: WallAnchor = WallAnchor { at: Millis(0), unix_ms: 1_700_000_000_000 };

const REDACTED: MediaOptions = MediaOptions { extended: true, url_redact: true, agent: AGENT };

const AGENT: AgentFigures = AgentFigures {
    rss_bytes: 5_000_000,
    reports_delivered: 12,
    reports_dropped: 1,
    queue_reports: 3,
    queue_bytes: 2_100,
    flash_written_bytes: 4_096,
    requests: 9,
    requests_failed: 2,
    answers: AgentAnswers {
        status_2xx: 7,
        status_3xx: 0,
        status_4xx: 0,
        status_5xx: 1,
        status_other: 0,
        unreachable: 1,
    },
    drops: AgentDrops { refused: 0, aged: 1, full: 0, no_space: 0, corrupt: 0, too_large: 0, off: 0 },
    queue_oldest_ms: 61_000,
};

/// The stock page's example of a whole request, with the comma that it has behind the media report's last field.
const STOCK_BATCH: &str = r#"[ { "type" : "media", "timestamp" : 1509629380,
  "url" : "udp://225.100.100.1:1234", "id" : "233", "proto" : "jsonapi", "avg_bitrate" : 1183564,
  "begin" : 1509543180, "end" : 1509543268, "discontinuties" : 0,
  "video" : { "frames_decoded" : 2179, "frames_dropped" : 3, "frames_failed" : 0 },
  "audio" : { "frames_decoded" : 3690, "frames_dropped" : 0, "frames_failed" : 0 }, },
{ "type" : "network", "timestamp" : 1509629381, "duplex" : "full", "gateway" : "192.168.1.1",
  "ip" : "192.168.1.2", "name" : "eth0", "netmask" : "255.255.255.0", "speed" : 100,
  "stat" : { "received_bytes" : 778852400, "received_discard_packets" : 31, "received_error_packets" : 0,
  "received_multicast_packets" : 114356, "received_total_packets" : 908433, "sent_bytes" : 74131849,
  "sent_error_packets" : 0, "sent_total_packets" : 541623 } } ]"#;

fn stock_media() -> Report {
    Report::Media(MediaReport {
        timestamp: 1_509_629_380,
        span: Span::new(1_509_543_180, 1_509_543_268).unwrap(),
        media: Media {
            url: "udp://225.100.100.1:1234".to_owned(),
            avg_bitrate: 1_183_564,
            id: "233".to_owned(),
            proto: "jsonapi".to_owned(),
            video: FrameCounts { frames_decoded: 2179, frames_dropped: 3, frames_failed: 0 },
            audio: FrameCounts { frames_decoded: 3690, frames_dropped: 0, frames_failed: 0 },
            ..Media::default()
        },
    })
}

fn stock_network() -> Report {
    Report::Network(NetworkReport {
        timestamp: 1_509_629_381,
        network: Network {
            name: "eth0".to_owned(),
            speed: 100,
            duplex: Duplex::Full,
            ip: Some(Ipv4Addr::new(192, 168, 1, 2)),
            netmask: Some(Ipv4Addr::new(255, 255, 255, 0)),
            gateway: Some(Ipv4Addr::new(192, 168, 1, 1)),
            stat: InterfaceStat {
                received_bytes: 778_852_400,
                received_discard_packets: 31,
                received_error_packets: 0,
                received_multicast_packets: 114_356,
                received_total_packets: 908_433,
                sent_bytes: 74_131_849,
                sent_error_packets: 0,
                sent_total_packets: 541_623,
            },
        },
    })
}

/// A session with something in every figure, told through the player protocol.
fn played(url: &str) -> Snapshot {
    let mut sessions = Sessions::new();
    let url = serde_json::to_string(url).unwrap();
    let told = format!(
        r#"{{"v":1,"type":"open","at":10000,"session":"412-1","url":{url},"proto":"iptv","id":"233"}}
        {{"v":1,"type":"state","at":10100,"session":"412-1","state":"playing"}}
        {{"v":1,"type":"bitrate","at":10400,"session":"412-1","bitrate":4000000,"width":1280,"height":720}}
        {{"v":1,"type":"first_frame","at":10500,"session":"412-1"}}
        {{"v":1,"type":"tags","at":11000,"session":"412-1","tags":{{"title":"Вечер","video_codec":"H.264"}}}}
        {{"v":1,"type":"buffering","at":20500,"session":"412-1","percent":0}}
        {{"v":1,"type":"buffering","at":21500,"session":"412-1","percent":100}}
        {{"v":1,"type":"state","at":25500,"session":"412-1","state":"paused"}}
        {{"v":1,"type":"state","at":28500,"session":"412-1","state":"playing"}}
        {{"v":1,"type":"bitrate","at":30500,"session":"412-1","bitrate":2000000,"width":640,"height":360}}
        {{"v":1,"type":"seek","at":31500,"session":"412-1","phase":"start"}}
        {{"v":1,"type":"seek","at":32000,"session":"412-1","phase":"end"}}
        {{"v":1,"type":"counters","at":40000,"session":"412-1",
          "video":{{"decoded":700,"dropped":3,"failed":2,"corrupted":1,"lost":6}},"audio":{{"decoded":1200,"lost":4}},
          "bytes":12500000,"discontinuities":5,"lost_packets":9,"fragment_jumps":1,
          "sync_losses":2,"sync_byte_errors":6,"transport_errors":7,"scrambled_packets":8,
          "rtp":{{"received":90,"missing":8,"recovered":3,"gaps":4,"reordered":3,"duplicates":1,"jitter":700,
          "jitter_max":9000,"delay_factor":41000,"media_loss":6}},"ts":"seen"}}
        {{"v":1,"type":"error","at":40100,"session":"412-1","code":"http-404",
          "message":"no http://user:s3cret@host/next?token=s3cret","fatal":true}}
        {{"v":1,"type":"close","at":40500,"session":"412-1","reason":"error"}}"#
    );
    let told = told.replace(",\n          \"", ",\"");
    for line in told.lines() {
        let message = Message::decode(line.trim().as_bytes()).unwrap();
        sessions.handle_message(Millis(50_000), Peer(1), message).unwrap();
    }
    sessions.poll_snapshot().unwrap()
}

/// What `reports` are on the wire, laid out for people.
fn pretty(reports: &[Report]) -> String {
    let exact = encode_batch(reports);
    let laid_out = serde_json::to_string_pretty(reports).unwrap();
    let squeezed: String = laid_out.lines().map(str::trim_start).collect();
    assert_eq!(squeezed.replace("\": ", "\":"), String::from_utf8(exact).unwrap());
    laid_out
}

#[test]
fn network_on_the_wire() {
    insta::assert_snapshot!(pretty(&[stock_network()]));
}

#[test]
fn network_without_address_on_the_wire() {
    let network = Network { name: "wlan0".to_owned(), ..Network::default() };
    insta::assert_snapshot!(pretty(&[Measured::Network { at: Millis(7), network }.stamp(&ANCHOR)]));
}

#[test]
fn media_on_the_wire() {
    let snapshot = played("udp://225.100.100.1:1234");
    let report = MediaReport::from_snapshot(&snapshot, &ANCHOR, &MediaOptions::default());
    insta::assert_snapshot!(pretty(&[Report::Media(report)]));
}

#[test]
fn extended_media_on_the_wire() {
    let report = MediaReport::from_snapshot(&played("http://u:s3cret@h/a?s3cret"), &ANCHOR, &REDACTED);
    let text = pretty(&[Report::Media(report)]);
    assert!(!text.contains("s3cret"), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn a_message_that_quotes_the_url_is_redacted_whatever_the_url_is() {
    let mut snapshot = played("rtsp box:s3 cret@host/live");
    let error = snapshot.error.as_mut().unwrap();
    error.message = format!("cannot play {}", snapshot.open.url);
    let Report::Media(report) = Measured::media(&snapshot, &REDACTED).stamp(&ANCHOR) else { panic!() };
    let qoe = report.media.qoe.unwrap();
    assert_eq!(qoe.error_message, "cannot play host/live");
    assert_eq!(report.media.url, "host/live");
}

#[test]
fn a_measurement_is_stamped_when_the_time_is_known() {
    let measured = Measured::media(&played("a"), &MediaOptions::default());
    assert_eq!(measured.at(), Millis(40_500));
    let later = WallAnchor { at: Millis(100_000), unix_ms: 1_800_000_000_000 };
    let Report::Media(report) = measured.stamp(&later) else { panic!() };
    assert_eq!((report.span.begin(), report.span.end()), (1_799_999_910, 1_799_999_940));
    assert_eq!(report.timestamp, report.span.end());
}

#[rstest]
#[case::begins_before_1970(5_000, 9_000, WallAnchor { at: Millis(8_000), unix_ms: 0 }, 0, 1)]
#[case::told_backwards(9_000, 5_000, ANCHOR, 1_700_000_005, 1_700_000_005)]
fn an_end_is_never_before_its_beginning(
    #[case] begin: u64,
    #[case] end: u64,
    #[case] anchor: WallAnchor,
    #[case] begins: u64,
    #[case] ends: u64,
) {
    let measured = Measured::Media { begin: Millis(begin), end: Millis(end), media: Media::default() };
    let Report::Media(report) = measured.stamp(&anchor) else { panic!() };
    assert_eq!((report.span.begin(), report.span.end(), report.timestamp), (begins, ends, ends));
    assert_eq!(Span::new(2, 1), None);
}

#[test]
fn the_stock_page_is_understood() {
    let decoded = decode_batch(STOCK_BATCH.as_bytes()).unwrap();
    assert_eq!(decoded.reports, [stock_media(), stock_network()]);
    assert_eq!(decoded.skipped, []);
}

#[test]
fn its_single_examples_are_understood() {
    let at = STOCK_BATCH.find("{ \"type\" : \"network\"").unwrap();
    let (media, network) = STOCK_BATCH.split_at(at);
    let media = media.trim_start_matches("[ ").trim_end();
    // The page leaves out the last bracket.
    let network = network.trim_end_matches(" } ]");
    assert_eq!(decode_batch(media.as_bytes()).unwrap().reports, [stock_media()]);
    assert_eq!(decode_batch(network.as_bytes()).unwrap().reports, [stock_network()]);
    let without_end = format!("[ {network} ]");
    assert_eq!(decode_batch(without_end.as_bytes()).unwrap().reports, [stock_network()]);
}

#[rstest]
#[case::timestamp_as_text("1509629380", "\"1509629380\"")]
#[case::unknown_fields("\"discontinuties\" : 0", "\"discontinuties\" : 0, \"mood\": null, \"x\": [1.5]")]
#[case::no_spaces(" : ", ":")]
fn what_devices_do_is_understood(#[case] written: &str, #[case] instead: &str) {
    let body = STOCK_BATCH.replace(written, instead);
    assert_ne!(body, STOCK_BATCH);
    assert_eq!(decode_batch(body.as_bytes()).unwrap().reports, [stock_media(), stock_network()]);
}

#[test]
fn what_is_known_is_optional_where_the_page_says_so() {
    let body =
        STOCK_BATCH.replace("\"id\" : \"233\", \"proto\" : \"jsonapi\",", "\"adaptive_bandwidth\" : 7,");
    let Report::Media(report) = &decode_batch(body.as_bytes()).unwrap().reports[0] else { panic!() };
    assert_eq!((report.media.id.as_str(), report.media.proto.as_str()), ("", ""));
    assert_eq!(report.media.adaptive_bandwidth, Some(7));
}

#[test]
fn an_unknown_type_is_skipped_and_named() {
    let body = STOCK_BATCH.replace("\"media\"", "\"weather\"");
    let decoded = decode_batch(body.as_bytes()).unwrap();
    assert_eq!(decoded.reports, [stock_network()]);
    assert_eq!(decoded.skipped, [Skipped { index: 0, kind: "weather".to_owned() }]);
}

#[rstest]
#[case::null("\"192.168.1.1\"", "null", "report 1, field \"gateway\": expected a string, found null")]
#[case::fraction(
    "1509629381",
    "1509629381.5",
    "report 1, field \"timestamp\": expected UNIX seconds, found 1509629381.5"
)]
#[case::negative(
    "2179",
    "-1",
    "report 0, field \"video.frames_decoded\": expected an integer not below 0, found -1"
)]
#[case::too_large("74131849", "18446744073709551616", "\"stat.sent_bytes\": expected an integer not below 0")]
#[case::missing("\"name\" : \"eth0\", ", "", "report 1, field \"name\": expected a string, found nothing")]
#[case::no_type("\"type\" : \"media\", ", "", "report 0, field \"type\": expected a string, found nothing")]
#[case::duplex("\"full\"", "\"both\"", "field \"duplex\": expected \"full\" or \"half\", found \"both\"")]
#[case::address(
    "\"192.168.1.2\"",
    "\"::1\"",
    "field \"ip\": expected an IPv4 address or \"\", found \"::1\""
)]
#[case::not_an_object(
    "\"stat\" : {",
    "\"stat\" : 3, \"s\" : {",
    "field \"stat\": expected an object, found 3"
)]
#[case::backwards(
    "1509543268",
    "1509543179",
    "field \"end\": expected a time not before begin, found 1509543179, 1 s before it"
)]
#[case::time_as_word("1509629380", "\"today\"", "field \"timestamp\": expected UNIX seconds, found a string")]
#[case::qoe(
    "\"discontinuties\" : 0",
    "\"discontinuties\" : 0, \"qoe\": {\"seeks\": -1}",
    "field \"qoe\": expected figures"
)]
#[case::cut(" } } ]", "", "not JSON: EOF while parsing an object at line 10")]
#[case::not_a_report("[ {", "[ 3, {", "report 0, field \"\": expected an object, found a number")]
fn what_is_wrong_is_named(#[case] written: &str, #[case] instead: &str, #[case] message: &str) {
    let body = STOCK_BATCH.replacen(written, instead, 1);
    assert_ne!(body, STOCK_BATCH);
    let error = decode_batch(body.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[rstest]
#[case("", "not JSON: EOF")]
#[case("\"media\"", "expected an array of reports, found a string")]
#[case("null", "expected an array of reports, found null")]
#[case("\u{feff}[]", "not JSON: expected value at line 1 column 1")]
fn what_is_no_batch_is_named(#[case] body: &str, #[case] message: &str) {
    let error = decode_batch(body.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(message), "{error}");
}

#[test]
fn an_empty_batch_is_one() {
    assert_eq!(encode_batch::<Report>(&[]), b"[]");
    assert_eq!(decode_batch(b"[]").unwrap(), Decoded::default());
    let mut buffer = b"x".to_vec();
    encode_batch_into::<Report>(&mut buffer, &[]);
    assert_eq!(buffer, b"x[]");
}

/// Any text, with what is special in JSON and what is rare in Unicode more often than by chance.
fn text() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        '"',
        '\\',
        '\0',
        '\n',
        '\u{7f}',
        '\u{2028}',
        '\u{fffe}',
        '\u{10ffff}',
        'й',
        '機',
    ]);
    let char = prop_oneof![3 => any::<char>(), 1 => special];
    prop::collection::vec(char, 0..12).prop_map(|chars| chars.into_iter().collect())
}

fn frames() -> impl Strategy<Value = FrameCounts> {
    any::<[u64; 3]>().prop_map(|[frames_decoded, frames_dropped, frames_failed]| FrameCounts {
        frames_decoded,
        frames_dropped,
        frames_failed,
    })
}

fn qoe() -> impl Strategy<Value = Qoe> {
    use CloseReason::{AgentStop, End, Error, PlayerGone, Replaced, Stop, Suspended};
    let reasons = [End, Stop, Error, Replaced, PlayerGone, AgentStop, Suspended].map(Some);
    let reasons = [&[None], &reasons[..]].concat();
    let ts = prop::sample::select(vec![TsView::None, TsView::Seen, TsView::Unavailable]);
    let texts = prop::collection::vec(text(), 7);
    (prop::sample::select(reasons), ts, texts, any::<[u64; 32]>(), any::<[u32; 3]>()).prop_map(
        |(close_reason, ts, texts, n, [fatal, width, height])| {
            let [session, error_code, error_message, title, video_codec, audio_codec, container] =
                <[String; 7]>::try_from(texts).unwrap();
            Qoe {
                session,
                close_reason,
                join_ms: n[0],
                startup_ms: n[1],
                playing_ms: n[2],
                paused_ms: n[3],
                rebuffering_ms: n[4],
                seeking_ms: n[5],
                rebuffers: n[6],
                pauses: n[7],
                seeks: n[8],
                nominal_bitrate: n[9],
                switches_up: n[10],
                switches_down: n[11],
                frames_lost: PerMedium { video: n[12], audio: n[13] },
                frames_corrupted: PerMedium { video: n[14], audio: n[15] },
                ts,
                lost_packets: n[16],
                fragment_jumps: n[17],
                sync_losses: n[9],
                sync_byte_errors: n[10],
                transport_errors: n[11],
                scrambled_packets: n[12],
                rtp: RtpFigures {
                    packets: n[9],
                    lost: n[10],
                    gaps: n[11],
                    reordered: n[12],
                    duplicates: n[13],
                    jitter_us: n[14],
                    jitter_max_us: n[15],
                    mdi_delay_factor_us: n[16],
                    mdi_media_loss: n[17],
                },
                errors: n[18],
                error_code,
                error_message,
                error_fatal: u8::from(fatal % 2 == 0),
                title,
                video_codec,
                audio_codec,
                container,
                width,
                height,
                agent: AgentFigures {
                    rss_bytes: n[19],
                    reports_delivered: n[20],
                    reports_dropped: n[21],
                    queue_reports: n[22],
                    queue_bytes: n[23],
                    flash_written_bytes: n[24],
                    requests: n[25],
                    requests_failed: n[26],
                    answers: AgentAnswers {
                        status_2xx: n[27],
                        status_3xx: n[28],
                        status_4xx: n[29],
                        status_5xx: n[30],
                        status_other: n[31],
                        unreachable: n[0],
                    },
                    drops: AgentDrops {
                        refused: n[1],
                        aged: n[2],
                        full: n[3],
                        no_space: n[4],
                        corrupt: n[5],
                        too_large: n[6],
                        off: n[7],
                    },
                    queue_oldest_ms: n[8],
                },
            }
        },
    )
}

fn media() -> impl Strategy<Value = Report> {
    let texts = (text(), text(), text());
    let numbers = (any::<[u64; 5]>(), any::<Option<u64>>());
    (texts, numbers, frames(), frames(), prop::option::of(qoe())).prop_map(
        |(
            (url, id, proto),
            ([timestamp, a, b, avg_bitrate, discontinuities], adaptive_bandwidth),
            video,
            audio,
            qoe,
        )| {
            let span = Span::new(a.min(b), a.max(b)).unwrap();
            let qoe = qoe.map(Box::new);
            let media =
                Media { url, avg_bitrate, discontinuities, id, proto, video, audio, adaptive_bandwidth, qoe };
            Report::Media(MediaReport { timestamp, span, media })
        },
    )
}

fn network() -> impl Strategy<Value = Report> {
    let address = || any::<Option<u32>>().prop_map(|bits| bits.map(Ipv4Addr::from_bits));
    (text(), any::<[u64; 10]>(), any::<bool>(), address(), address(), address()).prop_map(
        |(name, n, full, ip, netmask, gateway)| {
            let stat = InterfaceStat {
                received_bytes: n[0],
                received_discard_packets: n[1],
                received_error_packets: n[2],
                received_multicast_packets: n[3],
                received_total_packets: n[4],
                sent_bytes: n[5],
                sent_error_packets: n[6],
                sent_total_packets: n[7],
            };
            let duplex = if full { Duplex::Full } else { Duplex::Half };
            let network = Network { name, speed: n[8], duplex, ip, netmask, gateway, stat };
            Report::Network(NetworkReport { timestamp: n[9], network })
        },
    )
}

/// Any report.
pub(super) fn report() -> impl Strategy<Value = Report> {
    prop_oneof![network(), media()]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(reports in prop::collection::vec(report(), 0..5)) {
        let body = encode_batch(&reports);
        let decoded = decode_batch(&body).unwrap();
        prop_assert_eq!(decoded.skipped, vec![]);
        prop_assert_eq!(decoded.reports, reports);
    }

    #[test]
    fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = decode_batch(&bytes);
    }

    #[test]
    fn any_damage_is_survived(report in report(), at: prop::sample::Index, byte: u8) {
        let mut body = encode_batch(&[report]);
        let at = at.index(body.len());
        body[at] = byte;
        let _ = decode_batch(&body);
        body.truncate(at);
        let _ = decode_batch(&body);
    }
}

/// What a receiver makes of what devices in the field leave out or write otherwise.
#[rstest]
#[case::nothing_but_times(r#"[{"type":"media","timestamp":40,"begin":10,"end":40}]"#, 1, 0, 0)]
#[case::nulls(
    r#"[{"type":"media","timestamp":40,"begin":10,"end":40,"url":null,"video":null,"avg_bitrate":null}]"#,
    1,
    0,
    0
)]
#[case::strings(r#"[{"type":"media","timestamp":"40","begin":"10","end":"40","id":233}]"#, 1, 0, 0)]
#[case::fractions(
    r#"[{"type":"network","timestamp":40.7,"speed":99.9,"duplex":"quarter","ip":"x"}]"#,
    1,
    0,
    0
)]
#[case::no_times_but_one(r#"[{"type":"media","timestamp":40}]"#, 1, 0, 0)]
#[case::bad_figures(r#"[{"type":"media","timestamp":40,"qoe":7}]"#, 1, 0, 0)]
#[case::no_timestamp(r#"[{"type":"media"},{"type":"network","timestamp":7}]"#, 1, 0, 1)]
#[case::backwards(r#"[{"type":"media","timestamp":40,"begin":41,"end":40}]"#, 0, 0, 1)]
#[case::no_report(r#"[7,{"timestamp":1},{"type":"cpu","timestamp":1}]"#, 0, 2, 1)]
fn received_leniently(
    #[case] body: &str,
    #[case] reports: usize,
    #[case] skipped: usize,
    #[case] refused: usize,
) {
    let received = receive_batch(body.as_bytes()).unwrap();
    let counts = (received.reports.len(), received.skipped.len(), received.refused.len());
    assert_eq!(counts, (reports, skipped, refused), "{received:?}");
}

#[rstest]
#[case::newer_reason(r#""close_reason":"boredom""#, Some(CloseReason::Stop))]
#[case::known_reason(r#""close_reason":"error","seeks":-1"#, Some(CloseReason::Error))]
#[case::none_yet(r#""close_reason":"","seeks":"two","frames_lost":[]"#, None)]
#[case::no_text(r#""close_reason":7"#, None)]
fn a_lenient_receiver_keeps_the_figures_that_are_right(
    #[case] wrong: &str,
    #[case] reason: Option<CloseReason>,
) {
    let body = format!(r#"[{{"type":"media","timestamp":40,"qoe":{{"session":"s","join_ms":7,{wrong}}}}}]"#);
    let received = receive_batch(body.as_bytes()).unwrap();
    let Some(Report::Media(report)) = received.reports.first() else { panic!("{received:?}") };
    let expected = Qoe { session: "s".to_owned(), join_ms: 7, close_reason: reason, ..Qoe::default() };
    assert_eq!(report.media.qoe.as_deref(), Some(&expected));
    assert!(decode_batch(body.as_bytes()).is_err());
}

#[test]
fn a_lenient_receiver_reads_the_same_of_what_is_right() {
    let exact = decode_batch(STOCK_BATCH.as_bytes()).unwrap();
    let lenient = receive_batch(STOCK_BATCH.as_bytes()).unwrap();
    assert_eq!(lenient.reports, exact.reports);
    assert_eq!(lenient.reports, [stock_media(), stock_network()]);
    assert!(matches!(receive_batch(b"{\"type\""), Err(DecodeError::Json(_))));
    assert!(matches!(receive_batch(b"7"), Err(DecodeError::NotABatch(_))));
}
