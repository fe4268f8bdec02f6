//! Kills at random instants: what the agent has taken arrives all the same.

use stbeacon_tests::Error;
use stbeacon_tests::torture::{Plan, run};

/// The short form; `cargo xtask torture` is the long one.
#[test]
fn nothing_that_was_taken_is_lost() -> Result<(), Error> {
    let kills = std::env::var("STBEACON_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(200);
    let outcome = run(Plan { kills, seed: 7 }, |_| {})?;
    println!("{outcome}");
    assert_eq!(outcome.wrong, Vec::<String>::new(), "{outcome}");
    assert_eq!(outcome.kills.0, kills);
    // The test itself must have had something to lose.
    assert!(outcome.sessions > usize::try_from(kills).unwrap_or(0), "{outcome}");
    assert!(outcome.faults.len() >= 8, "{outcome}");
    Ok(())
}
