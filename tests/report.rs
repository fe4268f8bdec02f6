//! A report as a strict receiver reads it, written from the format's description and not from our own encoder.

use std::fmt;

use jsonschema::Validator;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// What a body has to be: right by the published JSON Schema, and by the rules that real receivers have.
pub struct Judge {
    schema: Validator,
}

/// One element of a body.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Report {
    /// One playback.
    Media(Media),
    /// One interface.
    Network(Network),
}

/// One playback. Times are UNIX seconds.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Media {
    /// When it was measured.
    pub timestamp: u64,
    /// What was played.
    pub url: String,
    /// Content id.
    pub id: String,
    /// TV protocol.
    pub proto: String,
    /// In bit/s.
    pub avg_bitrate: u64,
    /// Start of playback.
    pub begin: u64,
    /// End of playback.
    pub end: u64,
    /// Continuity-counter errors; the wire's spelling.
    pub discontinuties: u64,
    /// Pictures.
    pub video: Frames,
    /// Sound.
    pub audio: Frames,
    /// The extension, where it is provisioned.
    pub qoe: Option<Value>,
}

/// What became of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Frames {
    /// Left the decoder.
    pub frames_decoded: u64,
    /// Too late.
    pub frames_dropped: u64,
    /// Damaged.
    pub frames_failed: u64,
}

/// One interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Network {
    /// When it was measured.
    pub timestamp: u64,
    /// Interface name.
    pub name: String,
    /// In Mbit/s.
    pub speed: u64,
    /// full or half.
    pub duplex: String,
    /// IPv4 address.
    pub ip: String,
    /// IPv4 netmask.
    pub netmask: String,
    /// IPv4 gateway.
    pub gateway: String,
    /// Counters.
    pub stat: Stat,
}

/// Interface counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Stat {
    /// Bytes in.
    pub received_bytes: u64,
    /// Packets in.
    pub received_total_packets: u64,
    /// Of these, multicast.
    pub received_multicast_packets: u64,
    /// Bad packets in.
    pub received_error_packets: u64,
    /// Packets given up on the way in.
    pub received_discard_packets: u64,
    /// Bytes out.
    pub sent_bytes: u64,
    /// Packets out.
    pub sent_total_packets: u64,
    /// Bad packets out.
    pub sent_error_packets: u64,
}

impl Frames {
    /// Whole frames only: nothing dropped, nothing failed.
    #[must_use]
    pub const fn clean(decoded: u64) -> Self {
        Self { frames_decoded: decoded, frames_dropped: 0, frames_failed: 0 }
    }
}

// === impl Judge ===

impl Judge {
    /// With the schema that the project publishes.
    ///
    /// # Errors
    /// If that is no schema.
    pub fn new() -> Result<Self, Error> {
        let schema = stbeacon_core::stb::batch_schema();
        let schema = jsonschema::validator_for(schema.as_value()).map_err(|e| Error::io("the schema", e))?;
        Ok(Self { schema })
    }

    /// Reads a body as the strictest receiver would.
    ///
    /// # Errors
    /// Says what is wrong and where: not an array, `null` or a fractional number anywhere outside the extension,
    /// another `type`, a field missing or of the wrong kind, an end before the beginning, or what the schema says.
    pub fn read(&self, body: &[u8]) -> Result<Vec<Report>, String> {
        let body: Value = serde_json::from_slice(body).map_err(|e| format!("not JSON: {e}"))?;
        let Value::Array(elements) = &body else { return Err("not a JSON array".to_owned()) };
        if elements.is_empty() {
            return Err("an empty array".to_owned());
        }
        let reports = elements
            .iter()
            .enumerate()
            .map(|(i, element)| one(element).map_err(|e| format!("[{i}]{e}")))
            .collect::<Result<_, _>>()?;
        match self.schema.iter_errors(&body).next() {
            None => Ok(reports),
            Some(error) => Err(format!("schema: {}: {error}", error.instance_path())),
        }
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judge")
    }
}

fn one(element: &Value) -> Result<Report, String> {
    plain(element, "")?;
    let report = Report::deserialize(element).map_err(|e| format!(": {e}"))?;
    match &report {
        Report::Media(media) if media.end < media.begin => Err(".end: before begin".to_owned()),
        Report::Media(media) if media.timestamp != media.end => Err(".timestamp: is not end".to_owned()),
        Report::Network(network) if !matches!(network.duplex.as_str(), "full" | "half") => {
            Err(format!(".duplex: {:?} is neither full nor half", network.duplex))
        }
        _ => Ok(report),
    }
}

/// No `null`, no fraction, no negative number; what is inside `qoe` is ours and may have its own.
fn plain(value: &Value, at: &str) -> Result<(), String> {
    match value {
        Value::Null => Err(format!("{at}: null")),
        Value::Number(n) if !n.is_u64() => Err(format!("{at}: {n} is no whole number")),
        Value::Object(fields) => {
            fields.iter().try_for_each(|(key, value)| plain(value, &format!("{at}.{key}")))
        }
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(i, value)| plain(value, &format!("{at}[{i}]")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MEDIA: &str = r#"{"type":"media","timestamp":9,"url":"u","id":"","proto":"","avg_bitrate":1,"begin":8,
        "end":9,"discontinuties":0,"video":{"frames_decoded":1,"frames_dropped":0,"frames_failed":0},
        "audio":{"frames_decoded":1,"frames_dropped":0,"frames_failed":0}}"#;

    #[test]
    fn takes_a_whole_report() {
        let reports = Judge::new().unwrap().read(format!("[{MEDIA}]").as_bytes()).unwrap();
        assert!(matches!(&reports[..], [Report::Media(m)] if m.video == Frames::clean(1)));
    }

    #[rstest]
    #[case::no_array("{}", "not a JSON array")]
    #[case::nothing("[]", "an empty array")]
    #[case::trailing_comma("[1,]", "not JSON")]
    #[case::null_string(r#"[{"type":"media","url":null}]"#, "[0].url: null")]
    #[case::fraction(r#"[{"type":"media","timestamp":9.5}]"#, "[0].timestamp: 9.5")]
    #[case::negative(r#"[{"type":"media","stat":{"a":-1}}]"#, "[0].stat.a: -1")]
    #[case::third_type(r#"[{"type":"qoe","timestamp":9}]"#, "unknown variant `qoe`")]
    #[case::no_gateway(
        r#"[{"type":"network","timestamp":9,"name":"eth0","speed":1,"duplex":"full","ip":"","netmask":""}]"#,
        "missing field `gateway`"
    )]
    #[case::only_the_schema_knows(
        &format!("[{}]", MEDIA.replacen('{', r#"{"adaptive_bandwidth":"fast","#, 1)),
        "schema: /0"
    )]
    fn refuses(#[case] body: &str, #[case] why: &str) {
        let error = Judge::new().unwrap().read(body.as_bytes()).unwrap_err();
        assert!(error.contains(why), "{error:?} does not say {why:?}");
    }
}
