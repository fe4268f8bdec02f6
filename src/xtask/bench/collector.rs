//! `cargo xtask bench collector`: how much the collector takes beside nginx, and how it fares with a full store.

mod ingest;
mod store;

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde::Serialize;
use stbeacon_tests::{Artifacts, Finished, Process};

use super::overhead::quartiles;
use super::table;
use crate::demo::collector::ask;
use crate::{run, ui};

/// Sessions in the store, unless told otherwise: a tenth of what the goals are for, which takes 2 GB instead of 20.
pub(super) const SESSIONS: u64 = 1_000_000;
/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// What anybody may ask, and what is answered as soon as anything is.
const STATUS: &str = "/-/status";

/// One row of a table.
#[derive(Debug, Serialize)]
struct Row {
    what: String,
    value: f64,
    unit: &'static str,
    /// Quartiles, where it is a median.
    quartiles: Option<[f64; 2]>,
    goal: Option<Goal>,
}

/// What it is to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

#[derive(Serialize)]
struct Kept {
    machine: String,
    rounds: usize,
    sessions: u64,
    ingest: Vec<Row>,
    store: Vec<Row>,
}

/// Measures everything and shows it; with a store that is full already, only what that is asked.
pub(super) fn show(
    rounds: usize,
    sessions: u64,
    program: Option<PathBuf>,
    data: Option<&Path>,
) -> Result<(), String> {
    let rounds = rounds.max(1);
    let program = match program {
        Some(program) => program,
        None => ui::step("the collector, as its package has it", build)?,
    };
    let mut ingest = Vec::new();
    if data.is_none() {
        ui::title("Lines taken, beside nginx answering with a picture: in turns, on the same 64 connections");
        ingest = ingest::measure(&program, rounds)?;
        print!("{}", text(&ingest));
    }
    ui::title(&format!("A store with {sessions} sessions of the last 24 hours"));
    let store = match data {
        Some(data) => store::of_store(&program, data, rounds, sessions)?,
        None => store::measure(&program, rounds, sessions)?,
    };
    print!("{}", text(&store));
    let kept = Kept { machine: table::machine(), rounds, sessions, ingest, store };
    let path = run::target().join("bench-collector.json");
    let json = serde_json::to_string_pretty(&kept).map_err(|error| error.to_string())?;
    std::fs::write(&path, json).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("\nOn a clock, so nothing fails by it. Kept in {}.", path.display());
    Ok(())
}

fn build() -> Result<PathBuf, String> {
    let words = ["build", "--profile", "collector", "--locked", "--quiet", "--package", "stbeacon-collector"];
    run::quietly(&mut run::cargo(&words))?;
    Ok(run::target().join("collector/stbeacon-collector"))
}

/// An empty directory below the target directory.
fn scratch(name: &str) -> Result<PathBuf, String> {
    let scratch = Artifacts::find().and_then(|artifacts| artifacts.scratch(name));
    scratch.map_err(|error| error.to_string())
}

/// A collector that runs.
struct Collector {
    process: Process,
    address: SocketAddr,
    /// From its start to its first answer.
    took: Duration,
}

// === impl Collector ===

impl Collector {
    fn start(program: &Path, data: &Path) -> Result<Self, String> {
        let address = free_address()?;
        let mut command = Command::new(program);
        command.args(["--rate", "0", "--listen", &address.to_string(), "--data"]).arg(data);
        let begun = Instant::now();
        let mut process = Process::start(&mut command).map_err(|error| error.to_string())?;
        while let Err(error) = ask(address, STATUS) {
            let runs = process.is_running().map_err(|error| error.to_string())?;
            if !runs || begun.elapsed() > PATIENCE {
                return Err(process.error(&format!("the collector does not answer: {error}")).to_string());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Self { process, address, took: begun.elapsed() })
    }

    fn stop(self) -> Result<(), String> {
        let stopped = self.process.signal(Signal::SIGTERM);
        let ended = stopped.and_then(|()| self.process.wait(PATIENCE)).and_then(Finished::success);
        ended.map(|_| ()).map_err(|error| error.to_string())
    }
}

/// Nobody listens there now.
fn free_address() -> Result<SocketAddr, String> {
    let bound = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    bound.map_err(|error| format!("127.0.0.1: {error}"))
}

fn median(what: &str, unit: &'static str, values: Vec<f64>, goal: Option<Goal>) -> Row {
    let [low, value, high] = quartiles(values);
    Row { what: what.to_owned(), value, unit, quartiles: Some([low, high]), goal }
}

// === impl Goal ===

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(least) => format!("≥ {least}"),
            Self::AtMost(most) => format!("≤ {most}"),
        }
    }
}

fn text(rows: &[Row]) -> String {
    let mut out = String::new();
    for Row { what, value, unit, quartiles, goal } in rows {
        let digits = if *value < 100.0 { 1 } else { 0 };
        let quartiles = quartiles.map_or_else(String::new, |[low, high]| format!("({low:.1} … {high:.1})"));
        let goal = goal.map_or_else(String::new, |goal| {
            let text = format!("goal {}", goal.text());
            if goal.is_met(*value) { ui::green(&text) } else { ui::red(&text) }
        });
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {what:52} {value:>10.digits$} {unit:22} {quartiles:>24}  {goal}");
    }
    out
}
