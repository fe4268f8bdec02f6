//! Media Analytics lines of a real play-back.

use rstest::rstest;
use stbeacon_tests::{Error, Way, show};

/// Pauses, seeks, a network that starves and renditions that change: what lines say is what was done.
#[rstest]
fn lines_tell_what_was_done(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    let performance = show::perform(way, false, |_| {})?;
    let findings = performance.findings();
    let wrong: Vec<_> = findings.iter().filter(|finding| !finding.right).map(ToString::to_string).collect();
    let lines: Vec<_> = performance.lines.iter().map(|line| line.target.as_str()).collect();
    assert!(
        wrong.is_empty(),
        "{}\nthe player: {:#?}\nthe network: {:?}\nrenditions: {:?}\nlines:\n{}",
        wrong.join("\n"),
        performance.said.iter().filter(|said| said.what != "where").collect::<Vec<_>>(),
        performance.network,
        performance.renditions,
        lines.join("\n")
    );
    Ok(())
}
