//! Holds the page of all messages (`MESSAGES.md`) against the types that are read and written.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::value::Error as Nothing;
use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer, forward_to_deserialize_any};
use serde_json::{Map, Value, json};

use super::*;
use crate::session::{RateTime, Totals};

const PAGE: &str = include_str!("MESSAGES.md");

/// One line of the page's table.
struct Row {
    message: &'static str,
    field: &'static str,
    holds: &'static str,
    /// `None` where the field is needed.
    default: Option<Value>,
}

fn rows() -> Vec<Row> {
    let lines = PAGE.lines().filter(|line| line.starts_with("| `"));
    let rows = lines.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [message, field, holds, meaning, default] = cells[..] else { panic!("five cells: {line}") };
        assert!(!meaning.is_empty(), "{line}");
        let default = (default != "*needed*").then(|| {
            serde_json::from_str(default.trim_matches('`')).unwrap_or_else(|e| panic!("{line}: {e}"))
        });
        Row { message: message.trim_matches('`'), field: field.trim_matches('`'), holds, default }
    });
    rows.collect()
}

/// What serde asks for when it reads a `T`: the fields of a structure, the variants of an enumeration.
struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Nothing;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Nothing> {
        Err(Nothing::custom("neither a structure nor an enumeration"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Nothing> {
        *self.0 = fields;
        Err(Nothing::custom("no more is wanted"))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Nothing> {
        *self.0 = variants;
        Err(Nothing::custom("no more is wanted"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map identifier ignored_any
    }
}

fn names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    assert!(T::deserialize(Names(&mut names)).is_err());
    assert!(!names.is_empty());
    names
}

/// The fields of each message as the code has them, by the place at which they stand.
fn code() -> Vec<(&'static str, &'static str, &'static [&'static str])> {
    vec![
        ("hello", "", names::<Hello>()),
        ("visit", "", names::<Visit>()),
        ("open", "", names::<Open>()),
        ("resume", "totals.", names::<Totals>()),
        ("state", "", &["state"]),
        ("counters", "", names::<Counters>()),
        ("counters", "video.", names::<Frames>()),
        ("counters", "audio.", names::<Frames>()),
        ("counters", "rtp.", names::<Rtp>()),
        ("seek", "", names::<Seek>()),
        ("bitrate", "", names::<Bitrate>()),
        ("buffering", "", names::<Buffering>()),
        ("error", "", names::<PlayerError>()),
        ("tags", "tags.", names::<Tags>()),
        ("asset", "", names::<Asset>()),
        ("dimensions", "", names::<Dimensions>()),
        ("delivery", "", names::<Delivery>()),
        ("measures", "", names::<Measures>()),
        ("window", "", names::<Window>()),
        ("share", "", names::<Share>()),
        ("server_switch", "", names::<ServerSwitch>()),
        ("switching", "", names::<Switching>()),
        ("ad", "", names::<Ad>()),
        ("close", "", &["reason"]),
    ]
}

/// The name of an event on the wire. A new one makes this fail to compile, until it is in [`code`] too.
fn name(event: &Event) -> &'static str {
    match event {
        Event::Hello(_) => "hello",
        Event::Visit(_) => "visit",
        Event::Session(_, event) => match event {
            SessionEvent::Open(_) => "open",
            SessionEvent::Resume(_) => "resume",
            SessionEvent::State(_) => "state",
            SessionEvent::FirstFrame => "first_frame",
            SessionEvent::Counters(_) => "counters",
            SessionEvent::Seek(_) => "seek",
            SessionEvent::Bitrate(_) => "bitrate",
            SessionEvent::Buffering(_) => "buffering",
            SessionEvent::Error(_) => "error",
            SessionEvent::Tags(_) => "tags",
            SessionEvent::Asset(_) => "asset",
            SessionEvent::Dimensions(_) => "dimensions",
            SessionEvent::Delivery(_) => "delivery",
            SessionEvent::Measures(_) => "measures",
            SessionEvent::Window(_) => "window",
            SessionEvent::Share(_) => "share",
            SessionEvent::ServerSwitch(_) => "server_switch",
            SessionEvent::Switching(_) => "switching",
            SessionEvent::Ad(_) => "ad",
            SessionEvent::Close(_) => "close",
        },
    }
}

/// A value of the kind that a row says, and no default.
fn sample(holds: &str) -> Value {
    match holds {
        "integer" => json!(7),
        "number" => json!(1.5),
        "text" => json!("x"),
        "flag" => json!(true),
        "object" => json!({ "_cd_1": "x" }),
        "list" => json!([{ "bitrate": 1, "played": 2 }]),
        _ => match holds.strip_prefix("list of ") {
            Some(variants) => json!(self::variants(variants)),
            None => json!(self::variants(holds).last()),
        },
    }
}

/// The words in backticks, if it is nothing but such.
fn variants(holds: &str) -> Vec<&str> {
    let words = holds.split(' ').filter_map(|word| word.strip_prefix('`')?.strip_suffix('`'));
    let words: Vec<_> = words.collect();
    assert_eq!(words.len(), holds.split(' ').count(), "no kind: {holds}");
    words
}

fn put(message: &mut Map<String, Value>, field: &str, value: Value) {
    match field.split_once('.') {
        Some((outer, inner)) => {
            let object = message.entry(outer).or_insert_with(|| json!({})).as_object_mut().unwrap();
            object.insert(inner.to_owned(), value);
        }
        None => {
            message.insert(field.to_owned(), value);
        }
    }
}

/// A message of a kind with every field of the page but one.
fn message(rows: &[Row], kind: &str, without: &str) -> Map<String, Value> {
    let mut message = Map::new();
    put(&mut message, "v", json!(VERSION));
    put(&mut message, "type", json!(kind));
    put(&mut message, "at", json!(5));
    if !["hello", "visit"].contains(&kind) {
        put(&mut message, "session", json!("a"));
    }
    for row in rows.iter().filter(|row| row.message == kind) {
        // The object is there, if empty, also where its only field is not.
        if let Some((outer, _)) = row.field.split_once('.') {
            message.entry(outer).or_insert_with(|| json!({}));
        }
        if row.field != without {
            put(&mut message, row.field, sample(row.holds));
        }
    }
    message
}

fn decode(message: &Map<String, Value>) -> Result<Message, DecodeError> {
    Message::decode(&serde_json::to_vec(message).unwrap())
}

#[test]
fn the_page_has_exactly_the_fields_that_the_code_has() {
    let code = code();
    let nested: Vec<_> = code.iter().map(|(kind, place, _)| (*kind, place.trim_end_matches('.'))).collect();
    let known: BTreeSet<_> = code
        .iter()
        .flat_map(|(kind, place, fields)| fields.iter().map(move |field| (*kind, format!("{place}{field}"))))
        .filter(|(kind, field)| !nested.contains(&(*kind, field)))
        .collect();
    let rows = rows();
    let told: BTreeSet<_> = rows.iter().map(|row| (row.message, row.field.to_owned())).collect();
    assert_eq!(told, known);
    assert_eq!(rows.len(), told.len(), "each field once");
    assert_eq!(names::<RateTime>(), ["bitrate", "played"]);
}

#[test]
fn the_page_has_every_choice_that_the_code_has() {
    let code = BTreeMap::from([
        (("visit", "phase"), names::<VisitPhase>()),
        (("state", "state"), names::<PlayerState>()),
        (("counters", "ts"), names::<TsView>()),
        (("seek", "phase"), names::<SeekPhase>()),
        (("server_switch", "reason"), names::<ServerSwitchReason>()),
        (("server_switch", "kind"), names::<HostKind>()),
        (("switching", "reasons"), names::<SwitchReason>()),
        (("ad", "phase"), names::<AdPhase>()),
        (("ad", "kind"), names::<AdKind>()),
        (("ad", "status"), names::<AdStatus>()),
        (("close", "reason"), names::<CloseReason>()),
    ]);
    let rows = rows();
    let told = rows.iter().filter(|row| row.holds.contains('`'));
    let told: BTreeMap<_, _> = told
        .map(|row| ((row.message, row.field), variants(row.holds.trim_start_matches("list of "))))
        .collect();
    assert_eq!(told.keys().collect::<Vec<_>>(), code.keys().collect::<Vec<_>>());
    for (place, variants) in told {
        assert_eq!(variants, code[&place], "{place:?}");
    }
}

#[test]
fn what_is_left_out_is_what_the_page_says() {
    let rows = rows();
    for Row { message: kind, field, default, .. } in &rows {
        let whole = message(&rows, kind, "");
        let read = decode(&whole).unwrap_or_else(|e| panic!("{kind}: {e}"));
        assert_eq!(name(&read.event), *kind);
        let without = message(&rows, kind, field);
        let Some(default) = default else {
            assert!(decode(&without).is_err(), "{kind} without {field} is no message");
            continue;
        };
        let mut told = without.clone();
        put(&mut told, field, default.clone());
        let told = decode(&told).unwrap_or_else(|e| panic!("{kind}, {field}: {default}: {e}"));
        assert_eq!(decode(&without).unwrap(), told, "{kind} without {field}");
        assert_ne!(told, read, "{kind}: {field} matters");
    }
}

#[test]
fn the_page_names_the_messages_without_fields() {
    let read = decode(&message(&[], "first_frame", "")).unwrap();
    assert_eq!(name(&read.event), "first_frame");
    assert!(PAGE.contains("`first_frame` has no fields of its own"));
}
