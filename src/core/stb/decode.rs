//! From a request's body to reports: lenient where devices in the field are careless, exact where they are wrong.

use std::net::Ipv4Addr;

use serde_json::{Map, Value};
use thiserror::Error;

use super::lenient::repair;
use super::report::{
    Duplex, FrameCounts, InterfaceStat, Media, MediaReport, Network, NetworkReport, Report, Span,
};

/// A batch, understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The reports, in the order in which they stand in the body.
    pub reports: Vec<Report>,
    /// What was left out because its type is not known.
    pub skipped: Vec<Skipped>,
}

/// A batch, as far as it could be understood.
#[derive(Debug, Default)]
pub struct Received {
    /// The reports, in the order in which they stand in the body.
    pub reports: Vec<Report>,
    /// What was left out because its type is not known.
    pub skipped: Vec<Skipped>,
    /// Why others were left out.
    pub refused: Vec<DecodeError>,
}

/// A report whose type is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in the batch, from 0.
    pub index: usize,
    /// Its type.
    pub kind: String,
}

/// Why a body is no batch of reports.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Not JSON, even with what devices are known to do wrong put right.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Neither an array nor an object.
    #[error("expected an array of reports, found {0}")]
    NotABatch(&'static str),
    /// A report is wrong.
    #[error("report {index}, field {field:?}: expected {expected}, found {found}")]
    Field {
        /// Its place in the batch, from 0.
        index: usize,
        /// The field, with its parent as in `stat.sent_bytes`; empty for the report as a whole.
        field: String,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: String,
    },
}

/// Reads the body of a request.
///
/// Taken as well as what [`super::encode_batch`] makes, since devices send it: a trailing comma, closing brackets
/// missing at the end, a timestamp that is a decimal string, `id` or `proto` left out, a single report that is in
/// no array, unknown fields, unknown types.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode_batch(body: &[u8]) -> Result<Decoded, DecodeError> {
    let mut decoded = Decoded::default();
    for (index, item) in items(body)?.iter().enumerate() {
        match report(item, Manner::Exact) {
            Ok(report) => decoded.reports.push(report),
            Err(Fault::UnknownType(kind)) => decoded.skipped.push(Skipped { index, kind }),
            Err(Fault::Field { field, expected, found }) => {
                return Err(DecodeError::Field { index, field, expected, found });
            }
        }
    }
    Ok(decoded)
}

/// Reads the body of a request as a receiver does that wants whatever can be had of it.
///
/// Besides what [`decode_batch`] takes: fields that are missing, `null` or nonsense have their defaults, and numbers may
/// be decimal strings or fractions. A report without `type` or `timestamp`, or with an end before its beginning, is left
/// out, and the others are not.
///
/// # Errors
/// Where it is no batch at all.
pub fn receive_batch(body: &[u8]) -> Result<Received, DecodeError> {
    let mut received = Received::default();
    for (index, item) in items(body)?.iter().enumerate() {
        match report(item, Manner::Lenient) {
            Ok(report) => received.reports.push(report),
            Err(Fault::UnknownType(kind)) => received.skipped.push(Skipped { index, kind }),
            Err(Fault::Field { field, expected, found }) => {
                received.refused.push(DecodeError::Field { index, field, expected, found });
            }
        }
    }
    Ok(received)
}

fn items(body: &[u8]) -> Result<Vec<Value>, DecodeError> {
    match serde_json::from_slice(&repair(body))? {
        Value::Array(items) => Ok(items),
        object @ Value::Object(_) => Ok(vec![object]),
        other => Err(DecodeError::NotABatch(kind_of(&other))),
    }
}

enum Fault {
    UnknownType(String),
    Field { field: String, expected: &'static str, found: String },
}

/// What is made of a field that is missing or not as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// An error.
    Exact,
    /// Its default, wherever there is one.
    Lenient,
}

/// The fields of one object.
struct Fields<'a> {
    /// `""`, or the name of the field that holds the object, with a dot.
    path: &'static str,
    /// `None` where the object is missing and may be.
    map: Option<&'a Map<String, Value>>,
    manner: Manner,
}

fn report(item: &Value, manner: Manner) -> Result<Report, Fault> {
    let Value::Object(map) = item else {
        return Err(Fault::Field {
            field: String::new(),
            expected: "an object",
            found: kind_of(item).to_owned(),
        });
    };
    let fields = Fields { path: "", map: Some(map), manner };
    match fields.text("type")? {
        "network" => Ok(Report::Network(network(&fields)?)),
        "media" => Ok(Report::Media(media(&fields)?)),
        other => Err(Fault::UnknownType(other.to_owned())),
    }
}

fn network(fields: &Fields<'_>) -> Result<NetworkReport, Fault> {
    let stat = fields.object("stat", "stat.")?;
    let network = Network {
        name: fields.owned("name")?,
        speed: fields.number("speed")?,
        duplex: fields.duplex("duplex")?,
        ip: fields.address("ip")?,
        netmask: fields.address("netmask")?,
        gateway: fields.address("gateway")?,
        stat: InterfaceStat {
            received_bytes: stat.number("received_bytes")?,
            received_discard_packets: stat.number("received_discard_packets")?,
            received_error_packets: stat.number("received_error_packets")?,
            received_multicast_packets: stat.number("received_multicast_packets")?,
            received_total_packets: stat.number("received_total_packets")?,
            sent_bytes: stat.number("sent_bytes")?,
            sent_error_packets: stat.number("sent_error_packets")?,
            sent_total_packets: stat.number("sent_total_packets")?,
        },
    };
    Ok(NetworkReport { timestamp: fields.timestamp()?, network })
}

fn media(fields: &Fields<'_>) -> Result<MediaReport, Fault> {
    let frames = |fields: &Fields<'_>| {
        Ok(FrameCounts {
            frames_decoded: fields.number("frames_decoded")?,
            frames_dropped: fields.number("frames_dropped")?,
            frames_failed: fields.number("frames_failed")?,
        })
    };
    let (begin, end) = fields.bounds()?;
    let span = Span::new(begin, end).ok_or_else(|| {
        fields.fault("end", "a time not before begin", format!("{end}, {} s before it", begin - end))
    })?;
    let media = Media {
        url: fields.owned("url")?,
        avg_bitrate: fields.number("avg_bitrate")?,
        discontinuities: fields.number("discontinuties")?,
        id: fields.owned_if_known("id")?,
        proto: fields.owned_if_known("proto")?,
        video: frames(&fields.object("video", "video.")?)?,
        audio: frames(&fields.object("audio", "audio.")?)?,
        adaptive_bandwidth: match fields.get("adaptive_bandwidth") {
            Some(_) => Some(fields.number("adaptive_bandwidth")?),
            None => None,
        },
        qoe: match fields.get("qoe").map(serde::Deserialize::deserialize) {
            Some(Ok(qoe)) => Some(qoe),
            Some(Err(error)) if fields.manner == Manner::Exact => {
                let error: serde_json::Error = error;
                return Err(fields.fault("qoe", "figures", error.to_string()));
            }
            Some(Err(_)) => fields.get("qoe").and_then(super::qoe::Qoe::of_what_is_right).map(Box::new),
            None => None,
        },
    };
    Ok(MediaReport { timestamp: fields.timestamp()?, span, media })
}

impl<'a> Fields<'a> {
    fn fault(&self, name: &str, expected: &'static str, found: String) -> Fault {
        Fault::Field { field: format!("{}{name}", self.path), expected, found }
    }

    fn missing(&self, name: &str, expected: &'static str) -> Fault {
        self.fault(name, expected, "nothing".to_owned())
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        let is_there = |value: &&Value| self.manner == Manner::Exact || !value.is_null();
        self.map.and_then(|map| map.get(name)).filter(is_there)
    }

    /// What stands there for want of anything better, if that will do; else the fault.
    fn or_default<T: Default>(&self, fault: Fault) -> Result<T, Fault> {
        if self.manner == Manner::Lenient { Ok(T::default()) } else { Err(fault) }
    }

    fn timestamp(&self) -> Result<u64, Fault> {
        let expected = "UNIX seconds";
        match self.get("timestamp") {
            Some(Value::String(text)) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map_err(|_| self.fault("timestamp", expected, format!("{text:?}")))
            }
            Some(value) => match value.as_u64().or_else(|| self.lenient_number(value)) {
                Some(number) => Ok(number),
                None => Err(self.fault("timestamp", expected, shown(value))),
            },
            None => Err(self.missing("timestamp", expected)),
        }
    }

    /// Beginning and end; where a lenient reader finds none, both are when it was measured.
    fn bounds(&self) -> Result<(u64, u64), Fault> {
        if self.manner == Manner::Exact {
            return Ok((self.number("begin")?, self.number("end")?));
        }
        let number = |name| self.get(name).and_then(|value| self.lenient_number(value));
        let end = number("end").map_or_else(|| self.timestamp(), Ok)?;
        Ok((number("begin").unwrap_or(end), end))
    }

    fn number(&self, name: &str) -> Result<u64, Fault> {
        let expected = "an integer not below 0";
        let Some(value) = self.get(name) else { return self.or_default(self.missing(name, expected)) };
        match value.as_u64().or_else(|| self.lenient_number(value)) {
            Some(number) => Ok(number),
            None => self.or_default(self.fault(name, expected, shown(value))),
        }
    }

    /// A number that is written as a text or with a fraction.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what fits before it is cast"
    )]
    fn lenient_number(&self, value: &Value) -> Option<u64> {
        if self.manner == Manner::Exact {
            return None;
        }
        match value {
            Value::String(text) => text.trim().parse().ok(),
            _ => value.as_u64().or_else(|| value.as_f64().map(|number| number.clamp(0.0, 1e18) as u64)),
        }
    }

    fn text(&self, name: &str) -> Result<&'a str, Fault> {
        let expected = "a string";
        let Some(value) = self.get(name) else { return self.or_default(self.missing(name, expected)) };
        match value.as_str() {
            Some(text) => Ok(text),
            None => self.or_default(self.fault(name, expected, shown(value))),
        }
    }

    fn owned(&self, name: &str) -> Result<String, Fault> {
        match self.get(name) {
            Some(Value::Number(number)) if self.manner == Manner::Lenient => Ok(number.to_string()),
            _ => self.text(name).map(str::to_owned),
        }
    }

    /// For a field that the stock page has "if known".
    fn owned_if_known(&self, name: &str) -> Result<String, Fault> {
        if self.get(name).is_some() { self.owned(name) } else { Ok(String::new()) }
    }

    fn address(&self, name: &str) -> Result<Option<Ipv4Addr>, Fault> {
        let text = self.text(name)?;
        if text.is_empty() {
            return Ok(None);
        }
        match text.parse() {
            Ok(address) => Ok(Some(address)),
            Err(_) => self.or_default(self.fault(name, "an IPv4 address or \"\"", format!("{text:?}"))),
        }
    }

    fn duplex(&self, name: &str) -> Result<Duplex, Fault> {
        match self.text(name)? {
            "full" => Ok(Duplex::Full),
            "half" => Ok(Duplex::Half),
            other => self.or_default(self.fault(name, "\"full\" or \"half\"", format!("{other:?}"))),
        }
    }

    fn object(&self, name: &str, path: &'static str) -> Result<Self, Fault> {
        let inner = |map| Self { path, map, manner: self.manner };
        match self.get(name) {
            Some(Value::Object(map)) => Ok(inner(Some(map))),
            _ if self.manner == Manner::Lenient => Ok(inner(None)),
            Some(other) => Err(self.fault(name, "an object", shown(other))),
            None => Err(self.missing(name, "an object")),
        }
    }
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Numbers as they are; of anything else only what it is, for it may be long or secret.
fn shown(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        other => kind_of(other).to_owned(),
    }
}
