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
    let items = match serde_json::from_slice(&repair(body))? {
        Value::Array(items) => items,
        object @ Value::Object(_) => vec![object],
        other => return Err(DecodeError::NotABatch(kind_of(&other))),
    };
    let mut decoded = Decoded::default();
    for (index, item) in items.iter().enumerate() {
        match report(item) {
            Ok(report) => decoded.reports.push(report),
            Err(Fault::UnknownType(kind)) => decoded.skipped.push(Skipped { index, kind }),
            Err(Fault::Field { field, expected, found }) => {
                return Err(DecodeError::Field { index, field, expected, found });
            }
        }
    }
    Ok(decoded)
}

enum Fault {
    UnknownType(String),
    Field { field: String, expected: &'static str, found: String },
}

/// The fields of one object.
struct Fields<'a> {
    /// `""`, or the name of the field that holds the object, with a dot.
    path: &'static str,
    map: &'a Map<String, Value>,
}

fn report(item: &Value) -> Result<Report, Fault> {
    let Value::Object(map) = item else {
        return Err(Fault::Field {
            field: String::new(),
            expected: "an object",
            found: kind_of(item).to_owned(),
        });
    };
    let fields = Fields { path: "", map };
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
    let (begin, end) = (fields.number("begin")?, fields.number("end")?);
    let span = Span::new(begin, end).ok_or_else(|| {
        fields.fault("end", "a time not before begin", format!("{end}, {} s before it", begin - end))
    })?;
    let media =
        Media {
            url: fields.owned("url")?,
            avg_bitrate: fields.number("avg_bitrate")?,
            discontinuities: fields.number("discontinuties")?,
            id: fields.owned_if_known("id")?,
            proto: fields.owned_if_known("proto")?,
            video: frames(&fields.object("video", "video.")?)?,
            audio: frames(&fields.object("audio", "audio.")?)?,
            adaptive_bandwidth: match fields.map.get("adaptive_bandwidth") {
                Some(_) => Some(fields.number("adaptive_bandwidth")?),
                None => None,
            },
            qoe: match fields.map.get("qoe") {
                Some(qoe) => {
                    let qoe = serde::Deserialize::deserialize(qoe);
                    Some(qoe.map_err(|error: serde_json::Error| {
                        fields.fault("qoe", "figures", error.to_string())
                    })?)
                }
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

    fn timestamp(&self) -> Result<u64, Fault> {
        let expected = "UNIX seconds";
        match self.map.get("timestamp") {
            Some(Value::String(text)) if text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().map_err(|_| self.fault("timestamp", expected, format!("{text:?}")))
            }
            Some(value) => value.as_u64().ok_or_else(|| self.fault("timestamp", expected, shown(value))),
            None => Err(self.missing("timestamp", expected)),
        }
    }

    fn number(&self, name: &str) -> Result<u64, Fault> {
        let expected = "an integer not below 0";
        let value = self.map.get(name).ok_or_else(|| self.missing(name, expected))?;
        value.as_u64().ok_or_else(|| self.fault(name, expected, shown(value)))
    }

    fn text(&self, name: &str) -> Result<&'a str, Fault> {
        let expected = "a string";
        let value = self.map.get(name).ok_or_else(|| self.missing(name, expected))?;
        value.as_str().ok_or_else(|| self.fault(name, expected, shown(value)))
    }

    fn owned(&self, name: &str) -> Result<String, Fault> {
        self.text(name).map(str::to_owned)
    }

    /// For a field that the stock page has "if known".
    fn owned_if_known(&self, name: &str) -> Result<String, Fault> {
        if self.map.contains_key(name) { self.owned(name) } else { Ok(String::new()) }
    }

    fn address(&self, name: &str) -> Result<Option<Ipv4Addr>, Fault> {
        let text = self.text(name)?;
        if text.is_empty() {
            return Ok(None);
        }
        let address = text.parse();
        address.map(Some).map_err(|_| self.fault(name, "an IPv4 address or \"\"", format!("{text:?}")))
    }

    fn duplex(&self, name: &str) -> Result<Duplex, Fault> {
        match self.text(name)? {
            "full" => Ok(Duplex::Full),
            "half" => Ok(Duplex::Half),
            other => Err(self.fault(name, "\"full\" or \"half\"", format!("{other:?}"))),
        }
    }

    fn object(&self, name: &str, path: &'static str) -> Result<Self, Fault> {
        match self.map.get(name) {
            Some(Value::Object(map)) => Ok(Self { path, map }),
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
