use proptest::prelude::*;
use rstest::rstest;

use super::*;

/// The messages that the module's own page shows, each on one line.
fn documented() -> Vec<String> {
    let page = include_str!("mod.rs");
    let block = page.split("```").nth(1).expect("the page has an example");
    let mut messages: Vec<String> = Vec::new();
    for line in block.lines().skip(1).filter_map(|line| line.strip_prefix("//! ")) {
        match messages.last_mut() {
            Some(message) if !line.starts_with('{') => message.push_str(line.trim_start()),
            _ => messages.push(line.to_owned()),
        }
    }
    messages
}

fn id(text: &str) -> SessionId {
    SessionId::try_new(text).unwrap()
}

fn decode(text: &str) -> Result<Message, DecodeError> {
    Message::decode(text.as_bytes())
}

fn encode(message: &Message) -> String {
    let mut out = Vec::new();
    message.encode(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn every_documented_message_is_understood_and_every_kind_is_documented() {
    let mut kinds = std::collections::BTreeSet::new();
    for text in documented() {
        let message = decode(&text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(decode(&encode(&message)).unwrap(), message, "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        kinds.insert(value["type"].as_str().unwrap().to_owned());
    }
    let all = [
        "bitrate",
        "buffering",
        "close",
        "counters",
        "error",
        "first_frame",
        "hello",
        "open",
        "seek",
        "state",
        "tags",
    ];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all);
}

#[test]
fn documented_messages_drive_a_session_to_its_end() {
    let mut sessions = crate::session::Sessions::new();
    for text in documented() {
        let message = decode(&text).unwrap();
        sessions.handle_message(message.at, crate::session::Peer(1), message).unwrap();
    }
    let closed = sessions.poll_snapshot().expect("the page's session is closed");
    assert_eq!(closed.closed, Some(CloseReason::Error));
    assert_eq!(closed.counts.discontinuities, 2);
    assert_eq!(closed.totals.seeks, 1);
}

#[rstest]
#[case::not_json("hello", "not a message: expected value at line 1 column 1")]
#[case::truncated(r#"{"v":1,"type":"hel"#, "not a message: EOF while parsing a string at line 1 column 18")]
#[case::no_type(r#"{"v":1,"at":3}"#, "not a message: missing field `type` at line 1 column 14")]
#[case::other_version(r#"{"v":2,"type":"hello","at":3}"#, "protocol version 2, this side speaks 1")]
#[case::no_session(r#"{"v":1,"type":"first_frame","at":3}"#, "not a message: missing field `session`")]
#[case::empty_session(
    r#"{"v":1,"type":"first_frame","at":3,"session":""}"#,
    "not a message: a session id has 1 to 64 bytes and no control characters at line 1 column 47"
)]
#[case::negative_time(
    r#"{"v":1,"type":"first_frame","at":-3,"session":"a"}"#,
    "not a message: invalid value: integer `-3`, expected u64 at line 1 column 35"
)]
#[case::negative_total(
    r#"{"v":1,"type":"counters","at":3,"session":"a","bytes":-1}"#,
    "not a message: invalid value: integer `-1`, expected u64 at line 1 column 56"
)]
#[case::unknown_state(
    r#"{"v":1,"type":"state","at":3,"session":"a","state":"asleep"}"#,
    "not a message: unknown variant `asleep`, expected `playing` or `paused` at line 1 column 59"
)]
fn says_what_is_wrong(#[case] text: &str, #[case] error: &str) {
    assert_eq!(decode(text).unwrap_err().to_string(), error);
}

#[test]
fn a_type_of_a_newer_player_is_ignorable_and_nothing_else_is() {
    let newer = decode(r#"{"v":1,"type":"hologram","at":3,"session":"a","depth":4}"#).unwrap_err();
    assert!(newer.is_ignorable());
    assert!(!decode("{").unwrap_err().is_ignorable());
}

#[test]
fn unknown_fields_and_absent_optional_ones_do_no_harm() {
    let message =
        decode(r#"{"v":1,"type":"counters","at":3,"session":"a","x":{"y":[1]},"fps":null}"#).unwrap();
    let expected = SessionEvent::Counters(Counters::default());
    assert_eq!(message, Message { at: Millis(3), event: Event::Session(id("a"), expected) });
}

#[test]
fn longer_than_a_datagram_is_refused_before_it_is_read() {
    let long = vec![b' '; MAX_DATAGRAM + 1];
    assert!(matches!(Message::decode(&long), Err(DecodeError::TooLong(n)) if n == MAX_DATAGRAM + 1));
}

#[test]
fn a_reply_reads_back() {
    let reply = Reply::Reported { session: id("412-1"), counted: Millis(6) };
    let mut out = Vec::new();
    reply.encode(Millis(7), &mut out);
    assert_eq!(
        String::from_utf8_lossy(&out),
        r#"{"v":1,"type":"reported","at":7,"session":"412-1","counted":6}"#
    );
    assert_eq!(Reply::decode(&out).unwrap(), (Millis(7), reply));
    let (_, older) = Reply::decode(br#"{"v":1,"type":"reported","at":7,"session":"412-1"}"#).unwrap();
    assert_eq!(older, Reply::Reported { session: id("412-1"), counted: Millis::MAX });
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes);
        let _ = Reply::decode(&bytes);
    }

    #[test]
    fn long_texts_are_cut_to_fit_and_stay_text(url in "\\PC{0,9000}", message in "[é\"\\\\\u{1}]{0,6000}") {
        let events = [
            SessionEvent::Open(Open { url, proto: String::new(), id: String::new() }),
            SessionEvent::Error(PlayerError { code: "x".into(), message, fatal: true }),
        ];
        for event in events {
            let mut message = Message { at: Millis(1), event: Event::Session(id("s"), event) };
            let mut out = Vec::new();
            message.encode_bounded(&mut out);
            prop_assert!(out.len() <= MAX_DATAGRAM);
            prop_assert_eq!(Message::decode(&out).unwrap(), message);
        }
    }

    #[test]
    fn counters_read_back(
        video in any::<[u64; 5]>(), bytes in any::<u64>(), position in any::<Option<u64>>(),
        quarters in prop::option::of(0..4000_u16),
    ) {
        let [decoded, dropped, failed, corrupted, lost] = video;
        let counters = Counters {
            video: Frames { decoded, dropped, failed, corrupted, lost },
            bytes, position, fps: quarters.map(|n| f64::from(n) / 4.0), ts: TsView::Seen, ..Counters::default()
        };
        let message = Message { at: Millis(9), event: Event::Session(id("s"), SessionEvent::Counters(counters)) };
        prop_assert_eq!(decode(&encode(&message)).unwrap(), message);
    }
}
