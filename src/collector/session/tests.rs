//! Sessions as the agent tells them, and as nobody should.

// Helpers outside of a test function are tests too: what they cannot do fails the test.
#![allow(clippy::indexing_slicing, clippy::unwrap_used)]

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;
use stbeacon_core::stb::{Report, receive_batch};

use super::*;
use crate::tests_golden as golden;

const T0: UnixMs = UnixMs(1_700_000_000_000);

/// What took messages, and what they came to.
#[derive(Default)]
struct Told {
    rules: Rules,
    networks: Networks,
    sessions: BTreeMap<Key, Session>,
    ledger: Ledger,
}

impl Told {
    fn context<'c>(rules: &'c Rules, networks: &'c Networks, at: u64) -> Context<'c> {
        Context { now: T0 + at, rules, networks, beat_interval: 20_000 }
    }

    fn line(&mut self, at: u64, text: &str) -> line::Taken {
        let received = line::Received::read(text, "192.0.2.1", "192.0.2.0/24").unwrap();
        let context = Self::context(&self.rules, &self.networks, at);
        let session = self.sessions.remove(&received.key());
        let (session, taken) = received.apply(session.map(Box::new), &context, &mut self.ledger);
        self.sessions.extend(session.map(|session| (session.key.clone(), *session)));
        taken
    }

    fn lines<'l>(&mut self, lines: impl IntoIterator<Item = &'l (u64, String)>) {
        for (at, line) in lines {
            self.line(*at, line);
        }
    }

    fn beat(&mut self, at: u64, body: &str) -> bool {
        let received = beat::Received::read(body.as_bytes(), "192.0.2.1", "192.0.2.0/24").unwrap();
        let context = Self::context(&self.rules, &self.networks, at);
        let session = self.sessions.remove(&received.key());
        let (session, is_news) = received.apply(session, &context, &mut self.ledger);
        self.sessions.insert(session.key.clone(), session);
        is_news
    }

    fn reports(&mut self, at: u64, body: &str) {
        for report in receive_batch(body.as_bytes()).unwrap().reports {
            let Report::Media(report) = report else { continue };
            let received =
                report::Received { device: "00:11".to_owned(), subnet: "192.0.2.0/24".to_owned(), report };
            let context = Self::context(&self.rules, &self.networks, at);
            let (mut key, other) = received.keys();
            if let Some(other) =
                other.filter(|_| self.sessions.get(&key).is_some_and(|s| received.is_after(s)))
            {
                key = other;
            }
            let session = self.sessions.remove(&key);
            let session = received.apply(key.clone(), session, &context, &mut self.ledger);
            self.sessions.insert(key, session);
        }
    }

    fn end_silent(&mut self, at: u64) {
        let context = Self::context(&self.rules, &self.networks, at);
        for session in self.sessions.values_mut() {
            if session.deadline(T0).is_some_and(|deadline| deadline <= context.now) {
                session.end_by_silence(&context, &mut self.ledger);
            }
        }
    }

    /// The figures of all; the two ways to come by them agree.
    fn total(&self) -> Figures {
        let mut sum = Figures::default();
        for session in self.sessions.values() {
            sum += session.total;
        }
        assert_eq!(self.ledger.sum(), sum);
        Figures { running: [0; SAMPLES], ..sum }
    }
}

#[test]
fn a_film_as_lines() {
    let mut told = Told::default();
    told.lines(&golden::lines("vod_with_seeks_and_pauses"));
    let expected = Figures {
        attempts: 1,
        plays: 1,
        ended_plays: 1,
        startup_ms: 1_000,
        startups: 1,
        playing_ms: 301_400,
        seek_buffering_ms: 1_100,
        restart_ms: 1_100,
        restarts: 2,
        bits: 602_800_000,
        rated_ms: 301_400,
        frames: 7_523,
        frames_ms: 301_400,
        frames_dropped: 34,
        ..Figures::default()
    };
    assert_eq!(told.total(), expected);
    let session = told.sessions.values().next().unwrap();
    assert_eq!(session.start, T0 + 1_000);
    assert_eq!(session.joined, Some(T0 + 2_000));
    assert_eq!(session.end.unwrap(), End { at: T0 + 310_000, outcome: Outcome::Played, by_silence: false });
    assert_eq!(session.labels.known(Known::Asset), "A film");
    assert_eq!(session.labels.known(Known::Device), "model-5");
    assert_eq!(session.labels.known(Known::Delivery), "VoD");
    assert_eq!(session.labels.known(Known::Protocol), "https");
    assert_eq!(session.missing(), 0);
}

#[test]
fn interval_attribution_of_lines() {
    let mut told = Told::default();
    told.lines(&golden::lines("vod_with_seeks_and_pauses"));
    let at = |ms: u64| told.ledger.0.get(&(T0 + ms).minute()).copied().unwrap_or_default();
    assert_eq!((at(0).attempts, at(0).plays), (1, 1));
    assert_eq!(at(310_000).ended_plays, 1);
    assert_eq!(at(0).ended_plays, 0);
    // T0 lies 20 s into its minute. The second line's 291.4 s of play lie evenly in the 295 s from 7 s on.
    let playing: Vec<_> = told.ledger.0.values().map(|figures| figures.playing_ms).collect();
    let share = |seconds: i64| 291_400 * seconds / 295;
    assert_eq!(playing[0], 5_000 + share(33));
    assert!((playing[1] - share(60)).abs() <= 1);
    // It ran from 2 s to 310 s: ten seconds apart it was seen 30 times.
    let samples: i64 = told.ledger.0.values().flat_map(|figures| figures.running).sum();
    assert_eq!(samples, 30);
}

#[rstest]
#[case::error_after_start("error_after_start", Figures { plays: 1, startups: 1, startup_ms: 1_000, ended_plays: 1, play_failures_technical: 1, playing_ms: 7_000, bits: 14_000_000, rated_ms: 7_000, frames: 175, frames_ms: 7_000, ..Figures::default() })]
#[case::failure_before_start("failure_before_start", Figures { start_failures_technical: 1, ..Figures::default() })]
fn failures_as_lines(#[case] name: &str, #[case] expected: Figures) {
    let mut told = Told::default();
    told.lines(&golden::lines(name));
    assert_eq!(told.total(), Figures { attempts: 1, ..expected });
}

#[test]
fn a_business_failure() {
    let rules = Rules(vec!["contains:not.found".parse().unwrap()]);
    let mut told = Told { rules, ..Told::default() };
    told.lines(&golden::lines("failure_before_start"));
    let total = told.total();
    assert_eq!((total.start_failures_business, total.start_failures_technical), (1, 0));
}

#[test]
fn rebuffers_as_lines() {
    let mut told = Told::default();
    told.lines(&golden::lines("live_with_rebuffers_astride_a_line"));
    let total = told.total();
    assert_eq!((total.playing_ms, total.rebuffering_ms), (258_300, 42_700));
    assert_eq!((total.rebuffered_plays, total.startup_ms, total.rated_ms), (1, 500, 0));
}

#[test]
fn a_title_switch_is_two_sessions() {
    let mut told = Told::default();
    told.lines(&golden::lines("title_switch"));
    let total = told.total();
    assert_eq!((total.attempts, total.plays, total.ended_plays), (2, 2, 2));
    assert_eq!(total.playing_ms, 31_000 + 9_000);
    let assets: Vec<_> = told.sessions.values().map(|session| session.labels.known(Known::Asset)).collect();
    assert_eq!(assets, ["News", "Weather"]);
}

#[test]
fn repeated_lines_change_nothing() {
    let (mut once, mut thrice) = (Told::default(), Told::default());
    let lines = golden::lines("vod_with_seeks_and_pauses");
    once.lines(&lines);
    for (at, line) in &lines {
        thrice.line(*at, line);
        assert_eq!(thrice.line(*at + 7, line), line::Taken::Repeated);
    }
    thrice.lines(&lines);
    assert_eq!(thrice.total(), once.total());
}

#[test]
fn totals_make_up_for_lost_lines() {
    let lines = golden::lines("live_with_rebuffers_astride_a_line");
    for lost in 0..lines.len() - 1 {
        let mut told = Told::default();
        told.lines(lines.iter().enumerate().filter(|(index, _)| *index != lost).map(|(_, line)| line));
        let total = told.total();
        assert_eq!((total.attempts, total.plays, total.ended_plays), (1, 1, 1), "without line {lost}");
        assert_eq!((total.playing_ms, total.rebuffering_ms), (258_300, 42_700), "without line {lost}");
        assert_eq!(told.sessions.values().next().unwrap().missing(), 1);
        // What comes after the last line has been made up for.
        assert_eq!(told.line(400_000, &lines[lost].1), line::Taken::Aside);
        assert_eq!(told.total(), total);
        assert_eq!(told.sessions.values().next().unwrap().missing(), 0);
    }
}

#[test]
fn a_line_in_parts_counts_when_all_have_come() {
    let start = "a=I~c=1~d=box~e=0~f=R~w=0";
    let parts = ["a=S~c=1~d=box~e=1~f=R~w=900~za=1~zb=2~ap=900", "a=S~c=1~d=box~e=1~f=R~w=900~za=2~zb=2~m=I"];
    let mut told = Told::default();
    assert_eq!(told.line(0, start), line::Taken::Counted);
    assert_eq!(told.line(900, parts[1]), line::Taken::Part);
    assert_eq!(told.line(900, parts[1]), line::Taken::Repeated);
    assert_eq!(told.total().plays, 0);
    assert_eq!(told.line(900, parts[0]), line::Taken::Counted);
    assert_eq!(told.line(900, parts[0]), line::Taken::Repeated);
    assert_eq!((told.total().plays, told.total().startup_ms), (1, 900));
}

#[test]
fn cumulative_lines() {
    let mut told = Told::default();
    told.line(0, "a=I~c=1~d=box~e=0~f=C~w=0");
    told.line(1_000, "a=S~c=1~d=box~e=1~f=C~w=1000~dx=1~ap=1000");
    told.line(11_000, "a=P~c=1~d=box~e=2~f=C~w=11000~dx=10~x=9000~da=1000~dg=1");
    told.line(21_000, "a=P~c=1~d=box~e=3~f=C~w=21000~dx=10~x=19000~da=1000~dg=3");
    let total = told.total();
    assert_eq!((total.playing_ms, total.rebuffering_ms, total.restarts), (19_000, 1_000, 3));
}

#[rstest]
#[case("", "byte 0")]
#[case("a=P", "c (attemptId)")]
#[case("a=P~c=1", "e (sequenceId)")]
#[case("c=1~e=0", "a (eventCode)")]
#[case("a=P~c=1~e=x", "\"x\"")]
#[case("a=P~c=1~e=-1", "\"-1\"")]
#[case("a=P~c=1~e=4294967296", "4294967296")]
fn lines_of_no_use(#[case] text: &str, #[case] error: &str) {
    let told = line::Received::read(text, "192.0.2.1", "").unwrap_err().to_string();
    assert!(told.contains(error), "{told}");
}

#[test]
fn a_film_as_heartbeats() {
    let mut told = Told::default();
    for (at, body) in golden::heartbeats() {
        assert!(told.beat(at, &body));
        assert!(!told.beat(at + 50, &body), "a repetition is told from news");
    }
    let expected = Figures {
        attempts: 1,
        plays: 1,
        ended_plays: 1,
        startup_ms: 900,
        startups: 1,
        playing_ms: 13_500,
        seek_buffering_ms: 500,
        restart_ms: 500,
        restarts: 1,
        bits: 27_000_000,
        rated_ms: 13_500,
        frames: 336,
        frames_ms: 13_500,
        ..Figures::default()
    };
    assert_eq!(told.total(), expected);
    let session = told.sessions.values().next().unwrap();
    assert_eq!(session.start, T0 + 100);
    assert_eq!(session.end.unwrap().at, T0 + 15_000);
    assert_eq!(session.labels.known(Known::Asset), "Evening news");
}

#[test]
fn the_state_at_the_top_recovers_what_events_would_have_told() {
    let beats = golden::heartbeats();
    let mut told = Told::default();
    // The second one, which tells of the first picture, is lost.
    told.beat(beats[0].0, &beats[0].1);
    let mut third: serde_json::Value = serde_json::from_str(&beats[2].1).unwrap();
    third["evs"] = json!([]);
    third["ps"] = json!(3);
    told.beat(beats[2].0, &third.to_string());
    let total = told.total();
    assert_eq!((total.plays, total.startups), (1, 0), "when the first picture came is not known");
    assert_eq!(told.sessions.values().next().unwrap().missing(), 1);
}

fn beat(seq: u32, st: u64, ps: u8, events: &serde_json::Value) -> String {
    json!({ "t": "CwsSessionHb", "cid": "K", "clid": "1.2.3.4", "sid": -7, "iid": 9, "seq": seq,
            "sst": T0.0, "st": st, "ps": ps, "br": 1000, "evs": events })
    .to_string()
}

#[test]
fn a_silent_session_ends_where_it_was_last_and_may_come_back() {
    let mut told = Told::default();
    told.beat(0, &beat(0, 0, 6, &json!([])));
    told.beat(20_000, &beat(1, 20_000, 3, &json!([{ "t": "CwsStateChangeEvent", "new": { "ps": 3 }, "old": {}, "st": 500, "seq": 0, "pht": 0 }])));
    told.end_silent(119_999);
    assert_eq!(told.total().ended_plays, 0);
    told.end_silent(120_000);
    assert_eq!((told.total().ended_plays, told.total().playing_ms), (1, 19_500));
    assert_eq!(told.sessions.values().next().unwrap().end.unwrap().at, T0 + 20_000);
    let before = told.ledger.0.clone();

    told.beat(200_000, &beat(2, 200_000, 3, &json!([])));
    assert_eq!((told.total().ended_plays, told.total().playing_ms), (0, 199_500), "the end is taken back");
    assert_eq!(before.values().map(|figures| figures.ended_plays).sum::<i64>(), 1);
    told.beat(
        201_000,
        &beat(
            3,
            201_000,
            1,
            &json!([{ "t": "CwsErrorEvent", "err": "x", "ft": true, "st": 201_000, "seq": 1, "pht": 0 }]),
        ),
    );
    told.end_silent(900_000);
    assert_eq!(told.total().play_failures_technical, 1);
}

#[test]
fn ads_and_waiting_are_no_startup_time() {
    let state = |st: u64, seq: u32, ps: u8| json!({ "t": "CwsStateChangeEvent", "new": { "ps": ps }, "old": {}, "st": st, "seq": seq, "pht": 0 });
    let mut told = Told::default();
    told.beat(0, &beat(0, 0, 6, &json!([])));
    let events = json!([state(1_000, 0, 98), state(16_000, 1, 6), state(17_500, 2, 3)]);
    told.beat(20_000, &beat(1, 20_000, 3, &events));
    assert_eq!(told.total().startup_ms, 2_500);

    let ad = beat(0, 0, 3, &json!([])).replace("\"K\"", "\"K\",\"ad\":true").replace("-7", "8");
    let before = told.total();
    told.beat(20_000, &ad);
    assert_eq!(told.total(), before, "an ad counts nowhere");
}

#[rstest]
#[case::not_json("{", "not JSON")]
#[case::a_list("[]", "found []")]
#[case::other("{\"t\":\"CwsOther\"}", "CwsOther")]
#[case::no_session("{\"t\":\"CwsSessionHb\",\"iid\":1,\"seq\":0}", "no sid")]
fn no_heartbeats(#[case] body: &str, #[case] error: &str) {
    let told = beat::Received::read(body.as_bytes(), "192.0.2.1", "").unwrap_err().to_string();
    assert!(told.contains(error), "{told}");
}

#[test]
fn other_makers_heartbeats_are_taken() {
    let mut told = Told::default();
    told.beat(0, r#"{"t":"CwsSessionHb","cid":"K","clid":"0.0.0.0","sid":5,"iid":1,"seq":0,"pht":-1,"bl":-1,"st":0.4,"sst":1700000000000,
        "br":null,"pm":{"dvm":7},"pver":2.8,"vid":12,"an":1984,"tags":{"a":1},"hbinfos":"?","ps":3,"new":1,
        "evs":[{"t":"CwsDataSamplesEvent","x":[]},{"t":"CwsStateChangeEvent","new":{"ps":3,"br":-1},"old":{},"st":0,"seq":0,"pht":-1},7]}"#);
    assert_eq!((told.total().attempts, told.total().plays), (1, 1));
    let session = told.sessions.values().next().unwrap();
    assert_eq!((session.device.as_str(), session.labels.known(Known::Asset)), ("12", "1984"));
}

/// What a session comes to does not hang on what nobody needs of an event.
#[rstest]
#[case::no_playhead(json!({ "t": "CwsErrorEvent", "err": "x", "ft": true, "st": 15_000, "seq": 0 }))]
#[case::unknown_playhead(json!({ "t": "CwsErrorEvent", "err": "x", "ft": true, "st": 15_000, "seq": 0, "pht": -1, "bl": -1 }))]
#[case::no_number(json!({ "t": "CwsErrorEvent", "err": "x", "ft": true, "st": 15_000, "pht": 0 }))]
#[case::no_time(json!({ "t": "CwsErrorEvent", "err": "x", "ft": true }))]
#[case::unknown_time(json!({ "t": "CwsErrorEvent", "err": "x", "ft": true, "st": null }))]
#[case::no_name(json!({ "t": "CwsErrorEvent", "ft": true, "st": 15_000.7 }))]
#[case::a_number(json!({ "t": "CwsErrorEvent", "err": 404, "ft": true, "st": 15_000 }))]
fn events_that_tell_less_count_the_same(#[case] error: serde_json::Value) {
    let mut told = Told::default();
    told.beat(0, &beat(0, 0, 6, &json!([{ "t": "CwsStateChangeEvent", "new": { "ps": 3 }, "st": 500 }])));
    told.beat(20_000, &beat(1, 20_000, 1, &json!([error, { "t": "CwsSessionEndEvent", "pht": -1 }])));
    let total = told.total();
    assert_eq!((total.plays, total.startup_ms, total.play_failures_technical), (1, 500, 1));
    assert_eq!(told.sessions.values().next().unwrap().end.unwrap().at, T0 + 20_000);
}

#[rstest]
#[case("-1", Some(-1))]
#[case("4294967295", Some(-1))]
#[case("2147483648", Some(i32::MIN))]
#[case("4294967296", None)]
fn a_client_may_tell_its_instance_without_a_sign(#[case] iid: &str, #[case] known: Option<i32>) {
    let body = format!(r#"{{"t":"CwsSessionHb","clid":"1.2.3.4","sid":5,"iid":{iid},"seq":0}}"#);
    let read = beat::Received::read(body.as_bytes(), "192.0.2.1", "");
    let key = known.map(|iid| Key(format!("b|1.2.3.4|{iid}|5")));
    assert_eq!(read.ok().map(|read| read.key()), key);
}

#[test]
fn a_client_without_an_id_is_always_given_the_same() {
    let client = |clid: &str, vid: &str| {
        let body = format!(
            r#"{{"t":"CwsSessionHb","cid":"K","clid":"{clid}","vid":"{vid}","sid":5,"iid":-1,"seq":0}}"#
        );
        beat::Received::read(body.as_bytes(), "192.0.2.1", "").unwrap().client
    };
    let given = client("0.0.0.0", "box-1");
    assert_eq!(given, client("0.0.0.0", "box-1"));
    assert_ne!(given, client("0.0.0.0", "box-2"));
    assert_eq!(client(&given, "box-1"), given, "and keeps it");
    assert_eq!(client("1.2.3.4", "box-1"), "1.2.3.4");
}

#[test]
fn a_stock_report() {
    let mut told = Told::default();
    let body = golden::reports("media");
    told.reports(50_000, &body);
    told.reports(60_000, &body);
    let expected = Figures {
        attempts: 1,
        plays: 1,
        ended_plays: 1,
        playing_ms: 30_000,
        bits: 117_647_040,
        rated_ms: 30_000,
        frames: 697,
        frames_ms: 30_000,
        frames_dropped: 3,
        ..Figures::default()
    };
    assert_eq!(told.total(), expected);
}

#[test]
fn a_report_with_figures() {
    let mut told = Told::default();
    told.reports(50_000, &golden::reports("extended_media"));
    let total = told.total();
    assert_eq!((total.startup_ms, total.playing_ms, total.rebuffering_ms), (500, 25_500, 1_000));
    assert_eq!((total.seek_buffering_ms, total.restarts), (500, 1));
    assert_eq!((total.ended_plays, total.play_failures_technical), (1, 1));
    assert_eq!(total.bits, 3_254_901 * 25_500 / 1000);
    let session = told.sessions.values().next().unwrap();
    assert_eq!(session.start, T0 + 9_500);
    assert_eq!(session.labels.known(Known::Asset), "Вечер");
}

/// A report with figures, of a session that has played up to `end` seconds.
fn report(end: u64, playing_ms: u64, reason: &str) -> String {
    json!([{ "type": "media", "timestamp": 1_700_000_000 + end, "url": "udp://a", "begin": 1_700_000_010, "end": 1_700_000_000 + end,
             "video": { "frames_decoded": end }, "qoe": { "session": "412-1", "close_reason": reason, "join_ms": 500, "playing_ms": playing_ms } }])
    .to_string()
}

#[test]
fn reports_of_a_session_that_runs() {
    let mut told = Told::default();
    told.reports(40_000, &report(40, 29_000, ""));
    assert_eq!((told.total().playing_ms, told.total().ended_plays), (29_000, 0));
    told.reports(70_000, &report(70, 58_000, ""));
    told.reports(71_000, &report(40, 29_000, ""));
    assert_eq!(told.total().playing_ms, 58_000, "one that was overtaken counts nothing");
    told.reports(90_000, &report(90, 77_000, "stop"));
    let total = told.total();
    assert_eq!((total.attempts, total.plays, total.ended_plays, total.playing_ms), (1, 1, 1, 77_000));
}

#[test]
fn a_name_that_is_used_again_is_another_session() {
    let mut told = Told::default();
    told.reports(90_000, &report(90, 77_000, "stop"));
    let again = report(190, 60_000, "stop").replace("\"begin\":1700000010", "\"begin\":1700000110");
    told.reports(190_000, &again);
    told.reports(191_000, &again);
    let total = told.total();
    assert_eq!((told.sessions.len(), total.attempts, total.playing_ms), (2, 2, 137_000));
}

#[test]
fn a_box_whose_clock_was_never_set() {
    let body = r#"[{"type":"media","timestamp":100,"begin":40,"end":100,"video":{"frames_decoded":1500}}]"#;
    let mut told = Told::default();
    told.reports(0, body);
    assert_eq!(told.total().playing_ms, 60_000);
    let session = told.sessions.values().next().unwrap();
    assert_eq!((session.start, session.end.unwrap().at), (T0 - 60_000, T0));
}

#[test]
fn one_message_books_two_days_at_most() {
    let mut told = Told::default();
    let begin = T0.0 / 1000 - 20 * 86_400;
    let end = T0.0 / 1000;
    told.reports(0, &format!(r#"[{{"type":"media","timestamp":{end},"begin":{begin},"end":{end},"avg_bitrate":18446744073709551615,"video":{{"frames_decoded":18446744073709551615}}}}]"#));
    told.beat(0, &beat(0, u64::MAX, 3, &json!([])));
    told.line(0, "a=P~c=1~d=b~e=4294967295~w=9223372036854775807~dx=99999999999999~x=9223372036854775807~fl=340282366920938463463374607431768211455:18446744073709551615");
    assert!(told.ledger.0.len() <= 3 * (2880 + 8), "{} minutes", told.ledger.0.len());
    let total = told.total();
    let longest = i64::try_from(LONGEST).unwrap();
    assert!((0..=3 * longest).contains(&total.playing_ms), "{}", total.playing_ms);
    assert!((0..=3 * longest * 1_000_000).contains(&total.bits));
}

/// Something that a box may do between two heartbeats.
#[derive(Debug, Clone)]
enum Step {
    State(u8),
    Seek,
    Sought,
    Error(bool),
    Wait(u64),
    Send,
    Lose,
    Repeat,
    Silence,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        prop::sample::select(vec![3_u8, 3, 6, 12, 98, 1]).prop_map(Step::State),
        Just(Step::Seek),
        Just(Step::Sought),
        any::<bool>().prop_map(Step::Error),
        (1_u64..70_000).prop_map(Step::Wait),
        Just(Step::Send),
        Just(Step::Send),
        Just(Step::Lose),
        Just(Step::Repeat),
        Just(Step::Silence),
    ]
}

proptest! {
    /// Whatever a box tells: minutes add up to the session, no time is counted twice, nothing is negative.
    #[test]
    fn laws_of_heartbeats(steps in prop::collection::vec(step(), 1..60)) {
        let mut told = Told::default();
        let (mut now, mut state, mut seq, mut event) = (0, 100, 0, 0);
        let mut events = Vec::new();
        let mut last = None;
        for step in steps {
            let mut note = |mut what: serde_json::Value| {
                what["st"] = now.into();
                what["seq"] = event.into();
                what["pht"] = 0.into();
                event += 1;
                events.push(what);
            };
            match step {
                Step::State(ps) => {
                    state = ps;
                    note(json!({ "t": "CwsStateChangeEvent", "new": { "ps": ps }, "old": {} }));
                }
                Step::Seek => note(json!({ "t": "CwsSeekEvent", "act": "pss" })),
                Step::Sought => note(json!({ "t": "CwsSeekEvent", "act": "pse" })),
                Step::Error(ft) => note(json!({ "t": "CwsErrorEvent", "err": "e", "ft": ft })),
                Step::Wait(ms) => now += ms,
                Step::Send | Step::Lose => {
                    let body = beat(seq, now, state, &json!(std::mem::take(&mut events)));
                    seq += 1;
                    if matches!(step, Step::Send) {
                        prop_assert!(told.beat(now, &body));
                        last = Some(body);
                    }
                }
                Step::Repeat => {
                    if let Some(last) = &last {
                        let before = told.total();
                        let end = told.sessions.values().next().and_then(|session| session.end);
                        prop_assert!(!told.beat(now, last));
                        if end.is_none() {
                            prop_assert_eq!(told.total(), before);
                        }
                    }
                }
                Step::Silence => {
                    now += 150_000;
                    told.end_silent(now);
                }
            }
        }
        told.end_silent(now + 1_000_000);
        let total = told.total();
        prop_assert!(total.values().all(|value| value >= 0), "{:?}", total);
        prop_assert!(told.ledger.0.values().all(|minute| minute.playing_ms <= 60_000));
        let spent = total.playing_ms + total.rebuffering_ms + total.seek_buffering_ms;
        prop_assert!(spent <= i64::try_from(now).unwrap());
        prop_assert_eq!(total.attempts, i64::from(last.is_some()));
        let ended = total.ended_plays + total.exits_before_start + total.start_failures();
        prop_assert_eq!(ended, total.attempts, "each session ends once");
        prop_assert_eq!(total.plays, total.ended_plays);
    }
}
