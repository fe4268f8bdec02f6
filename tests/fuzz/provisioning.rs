//! Files that an integrator writes: provisioning, and the table of elements.

use stbeacon_core::provisioning::{HttpUrl, Provisioning};
use stbeacon_core::stb::redact;

/// Reads a provisioning file, and explains it; and the same as a table of elements, for what is fuzzed is shared by both.
///
/// # Panics
/// Where something does not hold.
pub fn check(data: &[u8]) {
    crate::elements::check(data);
    let parsed = match Provisioning::parse_bytes(data) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(crate::lies_in(data, error.line, error.column), "{error}");
            assert!(!error.found.is_empty() && !error.remedy.is_empty());
            return;
        }
    };
    for note in &parsed.notes {
        assert!(crate::lies_in(data, note.line, note.column), "{note}");
    }
    let explained = parsed.explain().to_string();
    assert!(explained.lines().count() >= 10, "{explained}");
    let Some(statistics) = parsed.provisioning.statistics else { return };
    assert!(statistics.accum_period.0 >= 1000);
    let url = statistics.url.as_str();
    assert_eq!(
        HttpUrl::parse(url).as_ref(),
        Ok(&statistics.url),
        "an address is one however often it is read"
    );
    let shown = redact(url);
    assert_eq!(redact(&shown), shown, "{url:?}");
    assert!(!shown.contains(['?', '#']), "{url:?}");
    assert!(!authority(&shown).contains('@'), "{url:?} is shown as {shown:?}");
}

/// What stands between the scheme and the path.
fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}
