//! The project's own commands, run as `cargo xtask COMMAND`.
//!
//! This program builds on any machine with Rust alone: what else is needed it looks for, and installs.

#![forbid(unsafe_code)]

mod bench;
mod cross;
mod demo;
mod emulate;
mod footprint;
mod fuzz;
mod package;
mod run;
mod system;
mod test;
mod tools;
mod torture;
mod ui;

use std::process::ExitCode;

use lexopt::prelude::*;

const HELP: &str = "\
The project's own commands.

Usage: cargo xtask COMMAND [OPTIONS]

Commands:
  demo      Play a test stream under the tracer, and show the reports that arrive
  test      Everything a change must pass: format, lints, licences, all tests
  bench     What the work costs: time beside a peer's, instructions, allocations
  torture   Kill the daemon at random before a server at its worst: nothing may be lost
  fuzz      What reads input from outside, against input that nobody would send
  package   Make .deb and .ipk packages for boxes, and check them
  footprint What the daemon costs a box: memory, threads, wake-ups
  emulate   Install the packages on emulated ARM boxes in docker, play, and check what arrives
  setup     Install what the other commands need, and nothing else

Options:
  -h, --help   This text; `cargo xtask COMMAND --help` tells more
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(error)) => {
            eprintln!("error: {error}\nTry `cargo xtask --help`.");
            ExitCode::from(2)
        }
        Err(Failure::Failed(error)) => {
            eprintln!("{} {error}", ui::red("error:"));
            ExitCode::FAILURE
        }
    }
}

/// Why a command did not do what it was asked.
enum Failure {
    /// The command line makes no sense.
    Usage(lexopt::Error),
    /// It was tried, and did not work.
    Failed(String),
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<String> for Failure {
    fn from(error: String) -> Self {
        Self::Failed(error)
    }
}

fn dispatch() -> Result<(), Failure> {
    let mut args = lexopt::Parser::from_env();
    match args.next()? {
        None | Some(Short('h') | Long("help")) => {
            print!("{HELP}");
            Ok(())
        }
        Some(Value(command)) => match command.to_str() {
            Some("demo") => demo::main(args),
            Some("test") => test::main(args),
            Some("bench") => bench::main(args),
            Some("torture") => torture::main(args),
            Some("fuzz") => fuzz::main(args),
            Some("emulate") => emulate::main(args),
            Some("footprint") => footprint::main(args),
            Some("package") => package::main(args),
            Some("setup") => setup(args),
            _ => Err(lexopt::Error::from(format!("no command {command:?}")).into()),
        },
        Some(other) => Err(other.unexpected().into()),
    }
}

fn setup(mut args: lexopt::Parser) -> Result<(), Failure> {
    match args.next()? {
        None => Ok(system::ensure(system::Needs::All)?),
        Some(Short('h') | Long("help")) => {
            println!(
                "Installs what the project's commands need from Debian's packages.\n\nUsage: cargo xtask setup"
            );
            Ok(())
        }
        Some(other) => Err(other.unexpected().into()),
    }
}
