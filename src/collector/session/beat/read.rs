//! Heartbeats of any maker's client, as they are received.

use serde_json::{Map, Value};
use stbeacon_core::heartbeat::{Event, Heartbeat};
use thiserror::Error;

use super::Received;
use crate::labels::clipped;

/// Most events of one heartbeat that are looked at.
const MAX_EVENTS: usize = 4096;
/// What is text, and by some makers a number.
const TEXTS: &[&str] = &["cid", "clid", "vid", "an", "pn", "rs", "url", "pver", "clv", "fw", "fwv"];
/// A client that was given no id yet.
const NO_ID: &str = "0.0.0.0";

/// Why a body is no heartbeat.
#[derive(Debug, Error)]
pub(crate) enum NotABeat {
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("expected an object, with t \"CwsSessionHb\"; found {0}")]
    Kind(String),
    #[error("the heartbeat has no {0}, which says what it is of")]
    Missing(&'static str),
}

// === impl Received ===

impl Received {
    /// Reads a body that was sent from `address`, in `subnet`. Events that are not known, and what is of no use in
    /// others, are left out.
    ///
    /// # Errors
    /// Where it is no heartbeat, or does not say of which session.
    pub(crate) fn read(body: &[u8], address: &str, subnet: &str) -> Result<Self, NotABeat> {
        let mut fields = match serde_json::from_slice(body)? {
            Value::Object(fields) => fields,
            other => return Err(NotABeat::Kind(clipped(&other.to_string(), 40))),
        };
        match fields.get("t") {
            Some(Value::String(kind)) if kind == "CwsSessionHb" => {}
            other => {
                let found = other.map_or_else(|| "nothing".to_owned(), Value::to_string);
                return Err(NotABeat::Kind(clipped(&found, 40)));
            }
        }
        if let Some(missing) = ["sid", "iid", "seq"].into_iter().find(|field| !is_number(fields.get(*field)))
        {
            return Err(NotABeat::Missing(missing));
        }
        let events = fields.remove("evs");
        fields.remove("hbinfos");
        tidy(&mut fields, &["sid", "iid"]);
        // Some take it for an unsigned number of 32 bits.
        if let Some(iid) = fields.get_mut("iid") {
            if let Some(unsigned) = iid.as_u64().and_then(|iid| u32::try_from(iid).ok()) {
                *iid = Value::from(i32::from_ne_bytes(unsigned.to_ne_bytes()));
            }
        }
        for name in TEXTS {
            fields.get_mut(*name).into_iter().for_each(make_text);
        }
        if let Some(Value::Object(platform)) = fields.get_mut("pm") {
            platform.values_mut().for_each(make_text);
        }
        if let Some(Value::Object(tags)) = fields.get_mut("tags") {
            tags.values_mut().for_each(make_text);
        }
        let beat: Heartbeat = serde_json::from_value(Value::Object(fields))?;
        let events = match events {
            Some(Value::Array(events)) => {
                events.into_iter().take(MAX_EVENTS).filter_map(|event| read_event(event, beat.st)).collect()
            }
            _ => Vec::new(),
        };
        let client = client(&beat);
        let device = if beat.vid.is_empty() { address } else { &beat.vid };
        Ok(Self { client, device: device.to_owned(), subnet: subnet.to_owned(), events, beat })
    }
}

/// The client's id; one that was given none yet is always given the same, so that what it repeats is known again.
fn client(beat: &Heartbeat) -> String {
    let given: Vec<_> = beat.clid.split('.').map(str::parse::<u32>).collect();
    if given.len() == 4 && given.iter().all(Result::is_ok) && beat.clid != NO_ID {
        return beat.clid.clone();
    }
    // FNV-1a (RFC 9923), 64 bit.
    let text = [beat.cid.as_bytes(), b"\0", beat.vid.as_bytes()].concat();
    let hash = text.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    format!("{}.{}.{}.1", hash >> 32, hash & u64::from(u32::MAX), u32::from_ne_bytes(beat.iid.to_ne_bytes()))
}

fn is_number(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.as_i64().is_some())
}

/// An event of a heartbeat that was sent at `now`; what nobody needs may be missing. `None` for one of another kind.
fn read_event(mut event: Value, now: u64) -> Option<Event> {
    let fields = event.as_object_mut()?;
    tidy(fields, &[]);
    fields.entry("st").or_insert_with(|| now.into());
    for name in ["err", "name"] {
        fields.get_mut(name).into_iter().for_each(make_text);
    }
    if let Some(Value::Object(attributes)) = fields.get_mut("attr") {
        attributes.values_mut().for_each(make_text);
    }
    serde_json::from_value(event).ok()
}

/// Makes numbers whole and none of them negative, but for those named, and takes nothings out.
fn tidy(fields: &mut Map<String, Value>, signed: &[&str]) {
    fields.retain(|name, value| match value {
        Value::Null => false,
        Value::Number(number) if !signed.contains(&name.as_str()) => match number.as_f64() {
            Some(float) if number.as_u64().is_none() => {
                let is_whole = float >= 0.0;
                *value = Value::from(rounded(float));
                is_whole
            }
            _ => true,
        },
        Value::Object(inner) if name == "new" || name == "old" => {
            tidy(inner, &[]);
            true
        }
        _ => true,
    });
}

fn make_text(value: &mut Value) {
    if !value.is_string() {
        *value = Value::from(if value.is_null() { String::new() } else { clipped(&value.to_string(), 128) });
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what fits before it is cast"
)]
fn rounded(value: f64) -> u64 {
    value.round().clamp(0.0, 1e15) as u64
}
