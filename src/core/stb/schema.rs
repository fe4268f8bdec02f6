//! The JSON Schema of a request's body, made from the types that write it.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::wire::ReportWire;

/// The JSON Schema (draft 2020-12) of a request's body as this agent sends it: stricter than what
/// [`super::decode_batch`] takes. No field may be missing, `null`, fractional or unknown.
#[must_use]
pub fn batch_schema() -> Schema {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Vec<ReportWire<'static>>>();
    schema.insert("title".to_owned(), "STB statistics".into());
    let description = "The body of one request: an array of independent reports.";
    schema.insert("description".to_owned(), description.into());
    schema
}

/// An IPv4 address, or nothing.
pub(super) fn address(_: &mut SchemaGenerator) -> Schema {
    const OCTET: &str = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    json_schema!({ "type": "string", "pattern": format!("^({OCTET}(\\.{OCTET}){{3}})?$") })
}

/// The reason why a session ended, or nothing.
pub(super) fn close_reason(generator: &mut SchemaGenerator) -> Schema {
    let reason = generator.subschema_for::<crate::player::CloseReason>();
    json_schema!({ "anyOf": [{ "type": "string", "const": "" }, reason] })
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use jsonschema::Validator;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::super::{Media, MediaReport, Network, NetworkReport, Qoe, Report, encode_batch};
    use super::*;

    /// Where the schema is checked in.
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/stb-report.schema.json");

    const RENEW: &str = "STBEACON_RENEW_SCHEMA";

    fn valid(body: &Value) -> bool {
        static VALIDATOR: LazyLock<Validator> =
            LazyLock::new(|| jsonschema::validator_for(batch_schema().as_value()).unwrap());
        VALIDATOR.is_valid(body)
    }

    fn good() -> Value {
        let media =
            Media { qoe: Some(Box::new(Qoe::default())), adaptive_bandwidth: Some(1), ..Media::default() };
        let media = MediaReport { timestamp: 1, span: super::super::Span::default(), media };
        let network = NetworkReport { timestamp: 1, network: Network::default() };
        let reports = [Report::Media(media), Report::Network(network)];
        serde_json::from_slice(&encode_batch(&reports)).unwrap()
    }

    #[test]
    fn is_checked_in_as_it_is() {
        let schema = batch_schema().to_value();
        if std::env::var_os(RENEW).is_some() {
            let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            std::fs::write(FILE, text).unwrap();
        }
        let file = std::fs::read(FILE).unwrap_or_default();
        let file = serde_json::from_slice::<Value>(&file).unwrap_or_default();
        assert!(
            file == schema,
            "packaging/stb-report.schema.json is not what the types say. If the wire is meant to change, renew it: \
             {RENEW}=1 cargo test -p stbeacon-core --features schema schema"
        );
    }

    #[test]
    fn takes_good_reports() {
        assert!(valid(&good()));
        assert!(valid(&json!([])));
        let mut least = good();
        least[0].as_object_mut().unwrap().retain(|key, _| key != "qoe" && key != "adaptive_bandwidth");
        assert!(valid(&least));
    }

    #[rstest]
    #[case::third_type("/0/type", json!("weather"))]
    #[case::swapped_type("/1/type", json!("media"))]
    #[case::fractional_time("/0/timestamp", json!(1.5))]
    #[case::time_as_text("/0/timestamp", json!("1"))]
    #[case::negative("/0/avg_bitrate", json!(-1))]
    #[case::duplex("/1/duplex", json!("both"))]
    #[case::no_address("/1/ip", json!("::1"))]
    #[case::octet("/1/ip", json!("1.2.3.256"))]
    #[case::reason("/0/qoe/close_reason", json!("boredom"))]
    #[case::not_an_array("", json!({}))]
    fn refuses(#[case] pointer: &str, #[case] value: Value) {
        let mut body = good();
        *body.pointer_mut(pointer).unwrap() = value;
        assert!(!valid(&body));
    }

    /// Pointers to everything in a value.
    fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
        into.push(at.to_owned());
        match value {
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(n, item)| pointers(item, &format!("{at}/{n}"), into));
            }
            Value::Object(map) => {
                map.iter().for_each(|(key, item)| pointers(item, &format!("{at}/{key}"), into))
            }
            _ => {}
        }
    }

    /// Nowhere null, nowhere a fraction, nothing left out, nothing added.
    #[test]
    fn refuses_any_slip() {
        let good = good();
        let mut all = Vec::new();
        pointers(&good, "", &mut all);
        assert!(all.len() > 60);
        for pointer in &all {
            for slip in [Value::Null, json!(1.5), json!(true)] {
                let mut body = good.clone();
                *body.pointer_mut(pointer).unwrap() = slip.clone();
                assert!(!valid(&body), "{slip} at {pointer:?}");
            }
            if let Some(Value::Object(map)) = good.pointer(pointer) {
                for key in map.keys().filter(|key| !["qoe", "adaptive_bandwidth"].contains(&key.as_str())) {
                    let mut body = good.clone();
                    body.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(key);
                    assert!(!valid(&body), "without {key} at {pointer:?}");
                }
                let mut body = good.clone();
                body.pointer_mut(pointer).unwrap()["more"] = json!("");
                assert!(!valid(&body), "with more at {pointer:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn takes_any_report_there_can_be(report in super::super::tests::report()) {
            let body = serde_json::from_slice(&encode_batch(&[report])).unwrap();
            prop_assert!(valid(&body));
        }
    }
}
