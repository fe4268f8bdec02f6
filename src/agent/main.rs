//! `stbeacon`, the daemon that makes reports of what players tell it, and the commands around it.

#![forbid(unsafe_code)]

mod box_facts;
mod check;
mod cli;
mod clock;
mod control;
mod daemon;
mod disk;
mod doctor;
mod elements;
mod enable_tracer;
mod files;
mod http;
mod line;
mod logging;
mod netlink;
mod play;
mod players;
mod provision;
mod random;
mod run;
mod sample;
mod sampler;
mod secrets;
mod service;
mod signals;
mod sockets;
mod status;
mod ts;
mod utc;

use std::process::ExitCode;

use lexopt::Arg;

use self::cli::Failure;

/// One command: `stbeacon NAME …`.
struct Command {
    name: &'static str,
    /// What it does, in the overview that `stbeacon --help` prints.
    summary: &'static str,
    /// Reads the rest of the command line and does it; `--help` included.
    run: fn(lexopt::Parser) -> Result<ExitCode, Failure>,
}

/// In the order in which `--help` lists them.
const COMMANDS: &[Command] = &[
    Command { name: "run", summary: "run the daemon", run: run::run },
    Command { name: "status", summary: "show what the running daemon knows", run: status::run },
    Command { name: "check", summary: "check a provisioning file", run: check::run },
    Command { name: "line", summary: "take Media Analytics lines apart, list their keys", run: line::run },
    Command { name: "ts", summary: "analyse a transport stream: a file, or from the network", run: ts::run },
    Command { name: "sample", summary: "print one network report for each interface, now", run: sample::run },
    Command { name: "doctor", summary: "say why a player is or is not seen", run: doctor::run },
    Command { name: "elements", summary: "check the table of hardware elements", run: elements::run },
    Command {
        name: "play",
        summary: "play a stream with an unmodified player and the tracer",
        run: play::run,
    },
    Command {
        name: "enable-tracer",
        summary: "have systemd start a player with the plug-in in it",
        run: enable_tracer::run,
    },
];

fn main() -> ExitCode {
    match dispatch(lexopt::Parser::from_env()) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn dispatch(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    match args.next()? {
        Some(Arg::Long("help") | Arg::Short('h')) => {
            cli::print(&overview());
            Ok(ExitCode::SUCCESS)
        }
        Some(Arg::Long("version") | Arg::Short('V')) => {
            cli::print(concat!("stbeacon ", env!("CARGO_PKG_VERSION"), "\n"));
            Ok(ExitCode::SUCCESS)
        }
        Some(Arg::Value(name)) => {
            let command = COMMANDS.iter().find(|command| name == command.name).ok_or_else(|| {
                let names: Vec<_> = COMMANDS.iter().map(|command| command.name).collect();
                Failure::usage(format!("no command {name:?}; there are: {}", names.join(", ")))
            })?;
            (command.run)(args)
        }
        Some(other) => Err(Failure::from(other.unexpected())),
        None => Err(Failure::usage("which command? See stbeacon --help")),
    }
}

fn overview() -> String {
    let mut text = String::from(
        "Quality-of-experience agent for Linux set-top boxes.\n\nUsage: stbeacon COMMAND [OPTIONS]\n\nCommands:\n",
    );
    for Command { name, summary, .. } in COMMANDS {
        text.push_str(&format!("  {name:<13} {summary}\n"));
    }
    text.push_str("\nOptions:\n  -h, --help     this text; after a command: that command's own\n");
    text.push_str("  -V, --version  the version\n\n");
    text.push_str(cli::EXIT_CODES);
    text.push('\n');
    text
}
