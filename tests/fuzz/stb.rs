//! The body of a request with STB statistics, as the collector reads it.

use stbeacon_core::stb::{decode_batch, encode_batch};

/// Reads a body; what is taken is written and read again.
///
/// # Panics
/// Where something does not hold.
pub fn check(data: &[u8]) {
    let decoded = match decode_batch(data) {
        Ok(decoded) => decoded,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let body = encode_batch(&decoded.reports);
    let again = decode_batch(&body).unwrap_or_else(|e| panic!("{}: {e}", String::from_utf8_lossy(&body)));
    assert_eq!(again.reports, decoded.reports);
    assert!(again.skipped.is_empty());
    assert_eq!(encode_batch(&again.reports), body);
    // What is written needs no repair: any reader of JSON takes it, and finds the same number of reports.
    let strict: Vec<serde_json::Value> = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(strict.len(), decoded.reports.len());
}
