//! What the work may cost: allocations, and instructions of one compiler.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::program::Program;
use super::{callgrind, watched};
use crate::{run, ui};

/// How much more instructions than at the last blessing are too many, in per mille.
const TOLERANCE: u64 = 30;

/// How often the plug-in is measured at the most: how much a start of a player does is not the same each time.
const TRIES: usize = 3;

/// What the plug-in adds to a push, by this name.
const TRACER: &str = "tracer-push";

/// What was measured when somebody last looked at it and said yes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Gates {
    /// `rustc -vV` in one line: instructions are another compiler's own business.
    rustc: String,
    /// Of one go each; by benchmark.
    benchmarks: BTreeMap<String, Gate>,
    /// Of the plug-in, in a player.
    tracer: TracerGate,
}

/// What the plug-in adds to a buffer that reaches a sink, through elements that are not watched.
#[derive(Debug, Serialize, Deserialize)]
struct TracerGate {
    /// Some of it is GStreamer's own.
    gstreamer: String,
    instructions: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Gate {
    allocations: u64,
    instructions: u64,
}

/// Where they are kept.
pub(super) fn file() -> PathBuf {
    run::root().join("src/bench/gates.json")
}

impl Gates {
    pub(super) fn read() -> Result<Self, String> {
        let path = file();
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
    }

    pub(super) fn write(&self) -> Result<(), String> {
        let path = file();
        let text = serde_json::to_string_pretty(self).map_err(|e| e.to_string())?;
        std::fs::write(&path, text + "\n").map_err(|e| format!("{}: {e}", path.display()))
    }

    pub(super) fn measure(program: &Program) -> Result<Self, String> {
        let mut benchmarks = BTreeMap::new();
        for measured in program.allocations()? {
            let instructions = ui::step(&format!("instructions of {}", measured.name), || {
                program.instructions(&measured.name, measured.units)
            })?;
            benchmarks.insert(measured.name, Gate { allocations: measured.count, instructions });
        }
        let plug_in = watched::build()?;
        let instructions = ui::step("instructions of the plug-in", || {
            let mut tries =
                (0..TRIES).map(|_| callgrind::push_instructions(&plug_in)).collect::<Result<Vec<_>, _>>()?;
            tries.sort_unstable();
            tries.into_iter().nth(TRIES / 2).ok_or_else(|| "it was never measured".to_owned())
        })?;
        let tracer = TracerGate { gstreamer: watched::gstreamer()?, instructions };
        Ok(Self { rustc: rustc()?, benchmarks, tracer })
    }

    /// One line a benchmark.
    pub(super) fn table(&self) -> String {
        let lines = self.benchmarks.iter().map(|(name, gate)| {
            format!(
                "  {name:18} {:>12} instructions {:>5} allocations\n",
                gate.instructions, gate.allocations
            )
        });
        let tracer = format!("  {:18} {:>12} instructions\n", TRACER, self.tracer.instructions);
        lines.chain([tracer]).collect()
    }

    /// The plug-in's gate.
    pub(super) fn check_tracer(&self) -> Result<(), String> {
        let (rustc, gstreamer) = (rustc()?, watched::gstreamer()?);
        if rustc != self.rustc || gstreamer != self.tracer.gstreamer {
            println!("  {}", ui::red("The plug-in's gate is LEFT OUT: it was measured with others."));
            println!("  then: {}, {}\n  now:  {rustc}, {gstreamer}", self.rustc, self.tracer.gstreamer);
            return Ok(());
        }
        let allowed = self.tracer.instructions + self.tracer.instructions * TOLERANCE / 1000;
        let tracer = watched::build()?;
        let mut instructions = u64::MAX;
        for _ in 0..TRIES {
            instructions = instructions.min(callgrind::push_instructions(&tracer)?);
            if instructions <= allowed {
                break;
            }
        }
        let more = instructions > allowed;
        let line = format!("{instructions} instructions, {allowed} allowed");
        println!("  {TRACER:18} {line:34} {}", mark(more));
        if instructions < self.tracer.instructions / 2 {
            // A player without the plug-in takes none more.
            let told = self.tracer.instructions;
            return Err(format!(
                "{TRACER}: {instructions} instructions, where {told} are known: is it loaded at all?"
            ));
        }
        if more { Err(format!("{TRACER}: {line}")) } else { Ok(()) }
    }

    pub(super) fn check(&self, program: &Program) -> Result<(), String> {
        let rustc = rustc()?;
        let same = rustc == self.rustc;
        if !same {
            println!(
                "{}",
                ui::red("The gate on instructions is LEFT OUT: they were measured with another rustc.")
            );
            println!("  then: {}\n  now:  {rustc}", self.rustc);
            println!(
                "  `cargo xtask bench --bless` sets it anew; the gate on allocations holds all the same."
            );
        }
        let mut wrong = Vec::new();
        let mut known = 0;
        for measured in program.allocations()? {
            let name = measured.name;
            let Some(gate) = self.benchmarks.get(&name) else {
                wrong.push(format!("{name} has no gate yet: `cargo xtask bench --bless` sets it"));
                continue;
            };
            known += 1;
            let more = measured.count > gate.allocations;
            let line = format!("{} allocations, {} allowed", measured.count, gate.allocations);
            println!("  {name:18} {line:34} {}", mark(more));
            if more {
                wrong.push(format!("{name}: {line}"));
            }
            if same {
                let instructions = program.instructions(&name, measured.units)?;
                let allowed = gate.instructions + gate.instructions * TOLERANCE / 1000;
                let more = instructions > allowed;
                let line = format!("{instructions} instructions, {allowed} allowed");
                println!("  {:18} {line:34} {}", "", mark(more));
                if more {
                    wrong.push(format!("{name}: {line}"));
                } else if instructions + gate.instructions * TOLERANCE / 1000 < gate.instructions {
                    println!(
                        "  {:18} fewer than the {} at the last blessing: bless anew",
                        "", gate.instructions
                    );
                }
            }
        }
        if known < self.benchmarks.len() {
            wrong.push("a benchmark that has a gate is gone".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }
}

fn mark(wrong: bool) -> String {
    if wrong { ui::red("✗") } else { ui::green("✓") }
}

/// The compiler and the machine it compiles for, in one line.
fn rustc() -> Result<String, String> {
    let text =
        run::told(run::command(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())).arg("-vV"))?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    Ok(format!("{} {}", field("release:"), field("host:")))
}
