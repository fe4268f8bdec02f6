//! Lines: written by a channel, and read again.

use std::hint::black_box;

use serde::ser::{SerializeMap as _, Serializer};
use stbeacon_core::line::config::Config;
use stbeacon_core::line::decode::Line;
use stbeacon_core::line::value::Typed;

use super::Case;
use super::busy::{Busy, playing_line};

/// Splits the line in two.
const SPLIT_LINE: usize = Config::DEFAULT_LINE / 2;

/// A playing line with all keys.
pub(crate) fn playing() -> Case {
    written(Config::MAX_LINE)
}

/// The same line where half of the usual limit splits it.
pub(crate) fn split() -> Case {
    written(SPLIT_LINE)
}

/// The line taken apart again, every value with its type.
pub(crate) fn decode() -> Case {
    let line = playing_line();
    let json = to_json(&line);
    let (keys, bytes) = (line.split('~').count(), line.len());
    Case {
        what: format!("a playing line read, {keys} keys, every value with its type"),
        unit: "line",
        units: 1,
        bytes: as_f64(bytes),
        work: Box::new(move || {
            let Ok(line) = Line::read(black_box(&line)) else { return };
            for field in &line.fields {
                black_box(field.typed());
            }
        }),
        peer: "serde_json::Value of the same values, lists as text",
        peer_work: Box::new(move || {
            black_box(serde_json::from_slice::<serde_json::Value>(black_box(&json)).ok());
        }),
    }
}

fn written(max_line: usize) -> Case {
    let mut busy = Busy::new(max_line);
    let parts = busy.line();
    let bytes = parts.iter().map(String::len).sum();
    let keys: usize = parts.iter().map(|part| part.split('~').count()).sum();
    let values = Values::of(&playing_line());
    let mut json = Vec::new();
    Case {
        what: format!("a playing line of {keys} keys written by a channel, in {} part(s)", parts.len()),
        unit: "line",
        units: 1,
        bytes: as_f64(bytes),
        work: Box::new(move || busy.next(|part| _ = black_box(part))),
        peer: "serde_json of the same values, lists as text, into a buffer that is kept",
        peer_work: Box::new(move || {
            json.clear();
            black_box(values.write(&mut json).is_ok());
        }),
    }
}

/// The values of a line as a flat JSON object has them. What has an inside is text, ready as it is: that is in
/// favour of the peer.
struct Values(Vec<(String, Value)>);

enum Value {
    Integer(i64),
    Text(String),
}

impl Values {
    fn of(line: &str) -> Self {
        let Ok(line) = Line::read(line) else { return Self(Vec::new()) };
        let value = |typed: Option<_>, text: &str| match typed {
            Some(Ok(Typed::Integer(number))) => Value::Integer(number),
            _ => Value::Text(text.to_owned()),
        };
        let fields = line.fields.iter();
        Self(fields.map(|field| (field.key.to_owned(), value(field.typed(), &field.value))).collect())
    }

    fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        let mut serializer = serde_json::Serializer::new(out);
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &self.0 {
            match value {
                Value::Integer(number) => map.serialize_entry(key, number)?,
                Value::Text(text) => map.serialize_entry(key, text)?,
            }
        }
        map.end()
    }
}

fn to_json(line: &str) -> Vec<u8> {
    let mut json = Vec::new();
    // Writing to memory cannot fail.
    let _ = Values::of(line).write(&mut json);
    json
}

#[expect(clippy::cast_precision_loss, reason = "a few thousand")]
pub(super) fn as_f64(number: usize) -> f64 {
    number as f64
}
