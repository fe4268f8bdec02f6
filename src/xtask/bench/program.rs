//! The program that does the work: how it is built, and what it tells.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{run, ui};

/// How it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Build {
    /// As what goes on a box.
    Box,
    /// For speed.
    Speed,
}

/// The program, built.
pub(super) struct Program {
    path: PathBuf,
}

/// Everything that was measured of one build.
#[derive(Debug, Serialize)]
pub(super) struct Measured {
    pub(super) build: &'static str,
    pub(super) times: Vec<Times>,
    pub(super) allocations: Vec<Allocations>,
}

/// What one benchmark takes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Times {
    pub(super) name: String,
    pub(super) what: String,
    pub(super) unit: String,
    /// In ns a unit.
    pub(super) ours: Nanoseconds,
    pub(super) peer: String,
    /// In ns a unit.
    pub(super) theirs: Nanoseconds,
    /// Theirs to ours: the median of the pairs that ran one after the other.
    pub(super) ratio: f64,
    /// Units in one go.
    pub(super) units: u64,
    /// Bytes a unit.
    pub(super) bytes: f64,
}

/// Of all rounds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Nanoseconds {
    pub(super) best: f64,
    pub(super) median: f64,
}

/// What one benchmark allocates in one go.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Allocations {
    pub(super) name: String,
    pub(super) count: u64,
    pub(super) peer: u64,
    /// Units in one go.
    pub(super) units: u64,
}

impl Build {
    /// Its name in the workspace's Cargo.toml.
    pub(super) const fn profile(self) -> &'static str {
        match self {
            Self::Box => "box",
            Self::Speed => "speed",
        }
    }

    pub(super) const fn what(self) -> &'static str {
        match self {
            Self::Box => "as what goes on a box (opt-level z)",
            Self::Speed => "built for speed (opt-level 3)",
        }
    }
}

impl Program {
    pub(super) fn build(build: Build) -> Result<Self, String> {
        let profile = build.profile();
        ui::step(&format!("the benchmarks, {}", build.what()), || {
            let words = ["build", "--locked", "--quiet", "--package", "stbeacon-bench", "--profile", profile];
            run::quietly(&mut run::cargo(&words))
        })?;
        Ok(Self { path: run::target().join(profile).join("stbeacon-bench") })
    }

    pub(super) fn times(&self) -> Result<Vec<Times>, String> {
        self.json("times")
    }

    pub(super) fn allocations(&self) -> Result<Vec<Allocations>, String> {
        self.json("allocations")
    }

    /// Writes a multiplex of so many bytes.
    pub(super) fn write_mux(&self, file: &Path, bytes: u64) -> Result<(), String> {
        run::quietly(run::command(&self.path).arg("mux").arg(file).arg(bytes.to_string()))
    }

    /// What it takes to analyse a file's content in memory.
    pub(super) fn over_file<T: for<'de> Deserialize<'de>>(&self, file: &Path) -> Result<T, String> {
        let text = run::told(run::command(&self.path).arg("file").arg(file))?;
        serde_json::from_str(&text).map_err(|error| format!("{} file: {error}", self.path.display()))
    }

    /// Instructions of one go: what some more goes add to a run, so that setting up is not in it.
    pub(super) fn instructions(&self, name: &str, units: u64) -> Result<u64, String> {
        // One go over a whole stream is long enough.
        let (few, many) = if units > 1 { (2, 4) } else { (500, 1500) };
        let added = self.collected(name, many)?.saturating_sub(self.collected(name, few)?);
        Ok(added / (many - few))
    }

    fn collected(&self, name: &str, times: u64) -> Result<u64, String> {
        let mut callgrind = run::command("valgrind");
        callgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1"]);
        let text = run::told(callgrind.arg(&self.path).args(["run", name, &times.to_string()]))?;
        let collected = text.lines().find_map(|line| line.split_once("Collected :"));
        let number = collected.and_then(|(_, number)| number.trim().parse().ok());
        number.ok_or_else(|| format!("callgrind did not say how many instructions {name} took:\n{text}"))
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, what: &str) -> Result<T, String> {
        let text = run::told(run::command(&self.path).arg(what))?;
        serde_json::from_str(&text).map_err(|error| format!("{} {what}: {error}", self.path.display()))
    }
}

/// Measured values by the name of the benchmark.
pub(super) fn by_name(list: &[Allocations]) -> BTreeMap<&str, &Allocations> {
    list.iter().map(|one| (one.name.as_str(), one)).collect()
}
