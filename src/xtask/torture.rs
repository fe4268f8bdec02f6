//! `cargo xtask torture`: kills at random instants, while the server is at its worst.

use std::io::{IsTerminal as _, Write as _};

use lexopt::prelude::*;
use stbeacon_tests::torture::{Plan, run as torture};

use crate::system::Needs;
use crate::{Failure, run, system, ui};

/// The test that kills the collector.
const COLLECTOR: &str = "faults::what_was_answered_outlives_a_kill_and_nothing_counts_twice";

const HELP: &str = "\
Kills the daemon at random instants, now and then the player with it, while its server refuses, hangs, resets and
answers with errors; then the server comes to its senses, and everything that the daemon had taken must arrive.

The whole-program tests do the same with 200 kills.

Usage: cargo xtask torture [OPTIONS]

Options:
      --kills N    how often [default: 2000; of the collector: 200]
      --seed N     of the random numbers [default: 1]
      --collector  kill the collector under load instead: what it has answered must be there, and there once
  -h, --help       this text

Examples:
  cargo xtask torture
  cargo xtask torture --kills 100 --seed 42
  cargo xtask torture --collector

Exits with 0 if nothing was lost, nothing corrupt and every repetition recognisable, with 1 otherwise.
";

pub(crate) fn main(mut args: lexopt::Parser) -> Result<(), Failure> {
    let (mut kills, mut seed, mut collector) = (None, 1, false);
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("kills") => kills = Some(args.value()?.parse()?),
            Long("seed") => seed = args.value()?.parse()?,
            Long("collector") => collector = true,
            other => return Err(other.unexpected().into()),
        }
    }
    if collector {
        return of_collector(kills.unwrap_or(200));
    }
    let plan = Plan { kills: kills.unwrap_or(2_000), seed };
    system::ensure(Needs::Demo)?;
    ui::title("Building");
    run::visibly(&mut run::cargo(&["build", "--locked", "-p", "stbeacon"]))?;

    ui::title(&format!("{} kills, seed {}", plan.kills, plan.seed));
    let shows = std::io::stdout().is_terminal();
    let outcome = torture(plan, |kills| {
        if shows {
            print!("\r  killed {kills} times …");
            // Standard output that is gone is no reason to stop.
            let _ = std::io::stdout().flush();
        }
    });
    let outcome = outcome.map_err(|error| error.to_string())?;
    println!("\r  {}", outcome.to_string().replace('\n', "\n  "));
    for wrong in &outcome.wrong {
        println!("  {} {wrong}", ui::red("wrong:"));
    }
    if outcome.wrong.is_empty() {
        println!("\n{} everything that was taken has arrived.", ui::green("Right:"));
        Ok(())
    } else {
        Err(format!("{} things are wrong", outcome.wrong.len()).into())
    }
}

/// The same test that runs with all others, with more kills.
fn of_collector(kills: u32) -> Result<(), Failure> {
    ui::title(&format!("{kills} kills of the collector"));
    let mut test =
        run::cargo(&["test", "--locked", "-p", "stbeacon-collector", "--test", "collector", "--", "--exact"]);
    test.arg(COLLECTOR).env("STBEACON_KILLS", kills.to_string());
    run::visibly(&mut test)?;
    println!("\n{} what was answered is there, and nothing counts twice.", ui::green("Right:"));
    Ok(())
}
