//! `cargo xtask bench`: what the work costs, beside a peer; and the gates that keep it from costing more.
//!
//! Times are for people: no gate is on a clock. Gates are on what a machine's load does not change, allocations
//! and instructions, and are kept in [`GATES`].

mod callgrind;
mod collector;
mod gates;
mod overhead;
mod peers;
mod program;
mod table;
mod watched;

use lexopt::prelude::*;

use self::gates::Gates;
use self::program::{Build, Measured, Program};
use crate::system::Needs;
use crate::{Failure, run, system, ui};

const HELP: &str = "\
What the agent's work costs: time beside a named peer's, instructions, allocations.

Builds the benchmarks as they go on a box (optimised for size) and for speed, runs each in turns with its peer
within the same seconds, and shows a table; the figures are kept as JSON in target/bench.json. Then checks what a
machine's load does not change, instructions and allocations, against src/bench/gates.json.

Usage: cargo xtask bench [--gates | --bless]
       cargo xtask bench tracer [--rounds N] [--tracers FILE]
       cargo xtask bench peers [--rounds N]
       cargo xtask bench collector [--rounds N] [--sessions N [--data DIR]]

  tracer       what the plug-in costs a player, alone: CPU time of a player without it, with it, and with GStreamer's
               own tracers, run in turns; instructions for each buffer; kept in target/bench-tracer.json
  peers        whole programs beside ours, run in turns: 1 GB of transport stream by ffmpeg, tsparse and TSDuck, as far
               as they are there, and one look at 1, 50 and 500 interfaces by ip; kept in target/bench-peers.json
  collector    how many lines the collector takes, each on the disk when it is answered, beside nginx answering with a
               picture; and, with a store that is full, what questions, memory and a restart take; kept in
               target/bench-collector.json

Options:
      --rounds N
               how often each player or program is run [default: 11]
      --sessions N
               in the collector's store; 1000000 take 2 GB below target/ and some minutes [default: 1000000]
      --data DIR
               a store that `stbeacon-collector bench-fill` has filled with so many (--sessions): only that is measured, and
               it stays
      --program FILE
               the collector that is measured [default: it is built]
      --tracers FILE
               libgstrstracers.so, built from the crate gst-plugin-tracers: its tracers are measured, too
      --gates  only the gates, without any clock: what `cargo xtask test bench` runs
      --bless  sets the gates to what was measured now
  -h, --help   this text

Exits with 0 if the gates hold, with 1 otherwise. Instructions depend on the compiler: where rustc is not the one
that the gates were measured with, that gate is left out, and the output says so.
";

pub(crate) fn main(mut args: lexopt::Parser) -> Result<(), Failure> {
    let (mut only_gates, mut bless, mut only_tracer, mut only_peers) = (false, false, false, false);
    let (mut only_collector, mut sessions, mut program) = (false, None, None);
    let (mut data, mut foreign) = (None::<std::path::PathBuf>, None::<std::path::PathBuf>);
    let mut rounds = overhead::ROUNDS;
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                print!("{HELP}");
                return Ok(());
            }
            Long("gates") => only_gates = true,
            Long("bless") => bless = true,
            Long("rounds") => rounds = args.value()?.parse()?,
            Long("sessions") => sessions = Some(args.value()?.parse()?),
            Long("tracers") => foreign = Some(args.value()?.into()),
            Long("data") => data = Some(args.value()?.into()),
            Long("program") => program = Some(args.value()?.into()),
            Value(name) if name == "tracer" => only_tracer = true,
            Value(name) if name == "peers" => only_peers = true,
            Value(name) if name == "collector" => only_collector = true,
            other => return Err(other.unexpected().into()),
        }
    }
    system::ensure(Needs::All)?;
    if only_tracer {
        overhead::show(rounds, foreign.as_deref())?;
        return Ok(Gates::read()?.check_tracer()?);
    }
    if only_peers {
        return Ok(peers::show(rounds)?);
    }
    if only_collector {
        if data.is_some() && sessions.is_none() {
            return Err(lexopt::Error::from("--data needs --sessions N: with how many it was filled").into());
        }
        let sessions = sessions.unwrap_or(collector::SESSIONS);
        return Ok(collector::show(rounds, sessions, program, data.as_deref())?);
    }
    if bless {
        return Ok(bless_gates()?);
    }
    if !only_gates {
        show_times()?;
        peers::show(rounds)?;
        overhead::show(rounds, foreign.as_deref())?;
    }
    Ok(check_gates()?)
}

/// Instructions and allocations against what they were.
pub(crate) fn check_gates() -> Result<(), String> {
    ui::title("Gates: instructions and allocations, as built for a box");
    let program = Program::build(Build::Box)?;
    let gates = Gates::read()?;
    match (gates.check(&program), gates.check_tracer()) {
        (Err(one), Err(other)) => Err(format!("{one}\n{other}")),
        (one, other) => one.and(other),
    }
}

fn bless_gates() -> Result<(), String> {
    let program = Program::build(Build::Box)?;
    let gates = Gates::measure(&program)?;
    gates.write()?;
    println!("{}", gates.table());
    println!("Written to {}.", gates::file().display());
    Ok(())
}

fn show_times() -> Result<(), String> {
    let mut builds = Vec::new();
    for build in [Build::Box, Build::Speed] {
        let program = Program::build(build)?;
        ui::title(&format!("Measured: {}", build.what()));
        let (times, allocations) = (program.times()?, program.allocations()?);
        let measured = Measured { build: build.profile(), times, allocations };
        print!("{}", table::times(&measured));
        builds.push(measured);
    }
    let path = run::target().join("bench.json");
    let json = table::json(&builds)?;
    std::fs::write(&path, json).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("\nKept in {}.", path.display());
    Ok(())
}
