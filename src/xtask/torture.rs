//! `cargo xtask torture`: kills at random instants, while the server is at its worst.

use std::io::{IsTerminal as _, Write as _};

use lexopt::prelude::*;
use stbeacon_tests::torture::{Plan, run as torture};

use crate::system::Needs;
use crate::{Failure, run, system, ui};

const HELP: &str = "\
Kills the daemon at random instants, now and then the player with it, while its server refuses, hangs, resets and
answers with errors; then the server comes to its senses, and everything that the daemon had taken must arrive.

The whole-program tests do the same with 200 kills.

Usage: cargo xtask torture [OPTIONS]

Options:
      --kills N  how often [default: 2000]
      --seed N   of the random numbers [default: 1]
  -h, --help     this text

Examples:
  cargo xtask torture
  cargo xtask torture --kills 100 --seed 42

Exits with 0 if nothing was lost, nothing corrupt and every repetition recognisable, with 1 otherwise.
";

pub(crate) fn main(mut args: lexopt::Parser) -> Result<(), Failure> {
    let mut plan = Plan { kills: 2_000, seed: 1 };
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("kills") => plan.kills = args.value()?.parse()?,
            Long("seed") => plan.seed = args.value()?.parse()?,
            other => return Err(other.unexpected().into()),
        }
    }
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
