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
