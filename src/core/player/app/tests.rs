use rstest::rstest;

use super::*;
use crate::player::{Ad, AdPhase, CloseReason, Event, MAX_DATAGRAM, Message, SessionEvent, SessionId};
use crate::session::{Peer, Reject, Sessions};
use crate::time::Millis;

/// The two blocks of messages that the protocol's page shows, each message on one line.
fn documented() -> [Vec<String>; 2] {
    let page = include_str!("../mod.rs");
    [1, 3].map(|block| {
        let block = page.split("```").nth(block).expect("the page has two examples");
        let mut messages: Vec<String> = Vec::new();
        for line in block.lines().skip(1).filter_map(|line| line.strip_prefix("//! ")) {
            match messages.last_mut() {
                Some(message) if !line.starts_with('{') => message.push_str(line.trim_start()),
                _ => messages.push(line.to_owned()),
            }
        }
        messages
    })
}

fn decode(text: &str) -> Message {
    Message::decode(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"))
}

#[test]
fn every_documented_message_reads_back_and_every_kind_is_documented() {
    let [_, messages] = documented();
    let mut kinds = std::collections::BTreeSet::new();
    for text in &messages {
        let message = decode(text);
        let mut out = Vec::new();
        message.encode(&mut out);
        assert_eq!(Message::decode(&out).unwrap(), message, "{text}");
        let (told, encoded): (serde_json::Value, serde_json::Value) =
            (serde_json::from_str(text).unwrap(), serde_json::from_slice(&out).unwrap());
        let fields = |value: &serde_json::Value| value.as_object().unwrap().len();
        assert_eq!(fields(&told), fields(&encoded), "{text}: every field is one that is known");
        kinds.insert(told["type"].as_str().unwrap().to_owned());
    }
    let all = [
        "ad",
        "asset",
        "delivery",
        "dimensions",
        "measures",
        "server_switch",
        "share",
        "switching",
        "visit",
        "window",
    ];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn documented_messages_make_sense_in_the_order_of_their_times() {
    let [basic, further] = documented();
    let mut messages: Vec<_> = basic.iter().chain(&further).map(|text| decode(text)).collect();
    messages.sort_by_key(|message| message.at);
    let mut sessions = Sessions::new();
    for message in messages {
        sessions
            .handle_message(message.at, Peer(1), message.clone())
            .unwrap_or_else(|e| panic!("{message:?}: {e}"));
    }
    let closed = sessions.poll_snapshot().expect("the page's session is closed");
    assert_eq!(closed.closed, Some(CloseReason::Error));
    assert_eq!((closed.totals.ads, closed.totals.seeks), (Millis(600), 1));
}

fn session(event: SessionEvent) -> Message {
    Message { at: Millis(1000), event: Event::Session(SessionId::try_new("a").unwrap(), event) }
}

#[rstest]
#[case::end_without_start(r#""type":"ad","phase":"end","id":"x""#, Reject::NoAd)]
#[case::percent(r#""type":"ad","phase":"load","percent":101"#, Reject::OutOfRange("percent"))]
#[case::dimension(r#""type":"dimensions","dimensions":{"cd_1":"x"}"#, Reject::OutOfRange("dimensions"))]
#[case::share(r#""type":"share","key":"a:b""#, Reject::OutOfRange("key"))]
#[case::delay(r#""type":"measures","live_delay":-1"#, Reject::OutOfRange("live_delay, rtt, encoded_fps"))]
#[case::seek_far(r#""type":"seek","phase":"start","to":9000000000000000"#, Reject::OutOfRange("from, to"))]
#[case::older_than_its_session(r#""type":"share","key":"fbs","at":1"#, Reject::Backwards)]
fn nonsense_is_refused_and_changes_nothing(#[case] fields: &str, #[case] reject: Reject) {
    let mut sessions = Sessions::new();
    sessions.set_journal(true);
    let now = Millis(100_000);
    let open = r#"{"v":1,"type":"open","at":90000,"session":"a","url":"x"}"#;
    sessions.handle_message(now, Peer(1), decode(open)).unwrap();
    while sessions.poll_entry().is_some() {}
    let before = sessions.live(now).next();
    let at = if fields.contains("\"at\"") { "" } else { r#""at":100000,"# };
    let message = decode(&format!(r#"{{"v":1,"session":"a",{at}{fields}}}"#));
    assert_eq!(sessions.handle_message(now, Peer(1), message), Err(reject));
    assert_eq!(sessions.live(now).next(), before);
    assert_eq!(sessions.poll_entry(), None);
}

#[test]
fn a_session_that_is_opened_again_may_tell_of_old_times() {
    let mut sessions = Sessions::new();
    let open = r#"{"v":1,"type":"open","at":1000,"session":"a","url":"x"}"#;
    sessions.handle_message(Millis(1000), Peer(1), decode(open)).unwrap();
    sessions.handle_disconnect(Millis(900_000), Peer(1));
    let now = Millis(1_000_000);
    sessions.handle_message(now, Peer(2), decode(open)).unwrap();
    let state = r#"{"v":1,"type":"state","at":2000,"session":"a","state":"playing"}"#;
    sessions.handle_message(now, Peer(2), decode(state)).unwrap();
}

#[test]
fn a_seek_to_minus_five_is_no_message() {
    let text = r#"{"v":1,"type":"seek","at":3,"session":"a","phase":"start","to":-5}"#;
    let error = Message::decode(text.as_bytes()).unwrap_err();
    assert!(error.to_string().starts_with("not a message: invalid value: integer `-5`"), "{error}");
}

#[test]
fn a_second_ad_waits_for_the_first_to_end() {
    let mut sessions = Sessions::new();
    let mut tell = |event| sessions.handle_message(Millis(1000), Peer(1), session(event));
    let mut ad = |phase, id: &str| tell(SessionEvent::Ad(Box::new(Ad::new(phase, id))));
    assert_eq!(ad(AdPhase::Load, "1"), Err(Reject::NotOpen));
    tell(SessionEvent::Open(crate::player::Open::default())).unwrap();
    let mut ad = |phase, id: &str| tell(SessionEvent::Ad(Box::new(Ad::new(phase, id))));
    ad(AdPhase::Load, "1").unwrap();
    assert_eq!(ad(AdPhase::Load, "2"), Err(Reject::AdRuns));
    assert_eq!(ad(AdPhase::Start, "2"), Err(Reject::AdRuns));
    ad(AdPhase::Start, "").unwrap();
    ad(AdPhase::Load, "2").unwrap();
    assert_eq!(ad(AdPhase::Start, "2"), Err(Reject::AdRuns));
    assert_eq!(ad(AdPhase::End, "3"), Err(Reject::NoAd));
    ad(AdPhase::End, "1").unwrap();
    ad(AdPhase::Start, "2").unwrap();
    ad(AdPhase::End, "").unwrap();
    assert_eq!(ad(AdPhase::End, ""), Err(Reject::NoAd));
}

#[test]
fn texts_without_bound_are_cut_to_fit() {
    let long = "é".repeat(9000);
    let dimensions = (0..500).map(|n| (format!("_cd_{n}"), long.clone())).collect();
    let mut ad = Ad::new(AdPhase::Load, long.clone());
    ad.title = Some(long.clone());
    let events = [
        SessionEvent::Ad(Box::new(ad)),
        SessionEvent::Asset(Box::new(Asset { show: Some(long.clone()), ..Asset::default() })),
        SessionEvent::Dimensions(Dimensions { dimensions }),
        SessionEvent::Switching(Switching { bitrate: None, reasons: vec![SwitchReason::Other; 9000] }),
        SessionEvent::Share(Share { key: long }),
    ];
    for event in events {
        let mut message = session(event);
        let mut out = Vec::new();
        message.encode_bounded(&mut out);
        assert!(out.len() <= MAX_DATAGRAM);
        assert_eq!(Message::decode(&out).unwrap(), message);
    }
}
