//! What the agent sends, as its own tests have pinned it: read from their snapshots.

use std::path::Path;

/// The body of a snapshot of core, by its path below `src/core` without what all have.
fn snapshot(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../core").join(format!("{path}.snap"));
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.splitn(3, "---\n").nth(2).unwrap().to_owned()
}

/// A session's lines, each with when it was sent, in ms. What stands between them is left out.
pub(crate) fn lines(name: &str) -> Vec<(u64, String)> {
    let text = snapshot(&format!("beacon/tests/snapshots/stbeacon_core__beacon__tests__wire__{name}"));
    text.lines()
        .filter_map(|line| line.split_once(" s "))
        .map(|(at, line)| (ms(at), line.to_owned()))
        .collect()
}

/// A session's heartbeats, each with when it was sent, in ms.
pub(crate) fn heartbeats() -> Vec<(u64, String)> {
    let text = snapshot("heartbeat/snapshots/stbeacon_core__heartbeat__tests__a_session_on_the_wire");
    let mut beats: Vec<(u64, String)> = Vec::new();
    for line in text.lines() {
        if let Some((at, _)) = line.split_once(" s POST ") {
            beats.push((ms(at), String::new()));
        } else if let Some((_, body)) = beats.last_mut() {
            body.push_str(line);
        }
    }
    beats
}

/// The body of a request with reports: `media`, `extended_media` or `network`.
pub(crate) fn reports(name: &str) -> String {
    snapshot(&format!("stb/snapshots/stbeacon_core__stb__tests__{name}_on_the_wire"))
}

/// From seconds with three decimals.
fn ms(text: &str) -> u64 {
    text.replace('.', "").parse().unwrap()
}
