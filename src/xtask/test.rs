//! `cargo xtask test`: everything a change must pass.

mod again;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Instant;

use lexopt::prelude::*;
use stbeacon_tests::Artifacts;

use crate::system::Needs;
use crate::{Failure, bench, emulate, fuzz, package, run, system, tools, ui};

const HELP: &str = "\
Everything a change must pass. Installs what is missing first.

Usage: cargo xtask test [STEP…]

Without a step, all of them but the last run, in this order; what goes on a box is built, and random histories are
played, while the tests wait for players:
";

/// One thing a change must pass.
struct Step {
    name: &'static str,
    what: &'static str,
    run: Run,
    /// The step that it may begin with, where that one runs, too: in its turn it is waited for.
    beside: Option<&'static str>,
}

/// How a step is taken.
#[derive(Clone, Copy)]
enum Run {
    Plain(fn() -> Result<(), String>),
    /// One that may pass, and yet have something to tell.
    Telling(fn() -> Result<Option<String>, String>),
}

const STEPS: &[Step] = &[
    Step::alone("fmt", "every file is formatted", fmt),
    Step::alone("clippy", "no lint of any crate, warnings included", clippy),
    Step::alone("deny", "licences, duplicate and banned crates", deny),
    Step {
        name: "unit",
        what: "unit, property and snapshot tests of each crate",
        run: Run::Telling(unit),
        beside: None,
    },
    Step::alone("bench", "no more instructions and allocations than before", bench::check_gates),
    Step::alone("fuzz", "ten seconds of random input for all that reads any", fuzz::briefly),
    Step {
        name: "whole",
        what: "whole programs: real pipelines, sockets, interfaces",
        run: Run::Telling(whole),
        beside: None,
    },
    Step {
        name: "package",
        what: "what goes on a box: built by the minimum rustc, packed for armhf, and no bigger than before",
        run: Run::Plain(package::for_armhf),
        beside: Some("unit"),
    },
    Step::alone(
        "emulate",
        "the packages on emulated armhf boxes: installed, played on, upgraded, removed",
        emulate::briefly,
    ),
    Step {
        name: "laws",
        what: "laws of lines over 10 000 random histories each",
        run: Run::Plain(laws),
        beside: Some("whole"),
    },
];

/// What does not run by itself: a browser takes a minute to install.
const ASKED_FOR: Step = Step::alone("page", "the collector's page in a real browser, without a screen", page);

pub(crate) fn main(mut args: lexopt::Parser) -> Result<(), Failure> {
    let mut chosen = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                print!("{HELP}");
                for step in STEPS.iter().chain([&ASKED_FOR]) {
                    println!("  {:8} {}", step.name, step.what);
                }
                println!("\nExample: cargo xtask test fmt clippy");
                return Ok(());
            }
            Value(name) => {
                let step = STEPS.iter().chain([&ASKED_FOR]).find(|step| name == step.name);
                chosen.push(step.ok_or_else(|| lexopt::Error::from(format!("no step {name:?}")))?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if chosen.is_empty() {
        chosen.extend(STEPS);
    }
    system::ensure(Needs::All)?;

    let mut asides: Vec<(&str, Aside)> = Vec::new();
    let mut results = Vec::new();
    for (position, step) in chosen.iter().enumerate() {
        for later in chosen.iter().skip(position + 1) {
            let begun = asides.iter().any(|(name, _)| *name == later.name);
            if later.beside == Some(step.name) && !begun {
                asides.push((later.name, Aside::start(later.name).map_err(Failure::from)?));
            }
        }
        ui::title(&format!("{}: {}", step.name, step.what));
        let start = Instant::now();
        let begun = asides.iter().position(|(name, _)| *name == step.name);
        let result = match (begun, step.run) {
            (Some(begun), _) => asides.remove(begun).1.finish().map(|()| None),
            (None, Run::Plain(run)) => run().map(|()| None),
            (None, Run::Telling(run)) => run(),
        };
        if let Err(error) = &result {
            println!("{}", ui::red(error));
        }
        results.push((step.name, result, start.elapsed()));
    }

    ui::title("Result");
    for (name, result, time) in &results {
        let verdict = if result.is_ok() { ui::green("passed") } else { ui::red("failed") };
        let note = result.as_ref().ok().and_then(Option::as_ref).map(|note| ui::red(&format!(", {note}")));
        let seconds = ui::dim(&format!("{:.0} s", time.as_secs_f64()));
        println!("  {name:8} {verdict} {seconds}{}", note.unwrap_or_default());
    }
    let failed = results.iter().filter(|(_, result, _)| result.is_err()).count();
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} steps failed", results.len()).into()) }
}

// === impl Step ===

impl Step {
    const fn alone(name: &'static str, what: &'static str, run: fn() -> Result<(), String>) -> Self {
        Self { name, what, run: Run::Plain(run), beside: None }
    }
}

/// A step that uses the processors while the tests wait for clocks and players.
struct Aside {
    shown: String,
    child: Child,
    printed: PathBuf,
}

fn fmt() -> Result<(), String> {
    run::visibly(&mut run::cargo(&["fmt", "--all", "--check"]))
}

fn clippy() -> Result<(), String> {
    run::visibly(&mut run::cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--quiet",
        "--",
        "-D",
        "warnings",
    ]))
}

fn deny() -> Result<(), String> {
    let program = tools::cargo_deny()?;
    let check = |args: &[&str]| run::visibly(run::command(&program).args(["--log-level", "warn"]).args(args));
    let everything = ["--workspace", "--all-features", "check", "--allow", "license-not-encountered"];
    check(&[&everything[..], &["licenses", "sources"]].concat())?;
    // A test's dependencies cost a box nothing. The collector runs on no box, and keeps to the same.
    for installed in ["src/agent/Cargo.toml", "src/tracer/Cargo.toml", "src/collector/Cargo.toml"] {
        check(&[
            "--manifest-path",
            installed,
            "--exclude-dev",
            "check",
            "--allow",
            "unnecessary-skip",
            "--allow",
            "unmatched-skip",
            "bans",
        ])?;
    }
    Ok(())
}

/// All of the crates' own tests, or those of them that are named: always with the same features, or cargo builds anew.
const TEST: [&str; 6] = ["test", "--workspace", "--exclude", "stbeacon-tests", "--locked", "--quiet"];

fn unit() -> Result<Option<String>, String> {
    in_company("unit", &TEST)
}

/// The tests that take random histories, with more of them than there is time for in every build.
fn laws() -> Result<(), String> {
    let which =
        ["--lib", "--", "beacon::tests::laws", "beacon::tests::oracle", "line::encode", "line::escape"];
    run::visibly(run::cargo(&TEST).args(which).env("PROPTEST_CASES", "10000"))
}

fn whole() -> Result<Option<String>, String> {
    // The whole-program tests run what a box runs; cargo does not build other packages' programs for a test.
    let build = ["build", "--workspace", "--locked", "--quiet"];
    let panicking = build.iter().copied().chain(["--features", "gst-plugin-stbeacon/test-panic"]);
    run::visibly(&mut run::cargo(&panicking.collect::<Vec<_>>()))?;
    Artifacts::find().and_then(|artifacts| artifacts.keep_panicking_tracer()).map_err(|e| e.to_string())?;
    run::visibly(&mut run::cargo(&build))?;
    in_company("whole", &["test", "--package", "stbeacon-tests", "--locked", "--quiet"])
}

/// Runs many tests at once, and those that fail so once more; what there is to tell of these.
fn in_company(name: &str, tests: &[&str]) -> Result<Option<String>, String> {
    // They wait more than they compute: for players in real time, for a daemon's periods.
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) * 2;
    let make = |more: &[&str]| {
        let mut command = run::cargo(tests);
        command.args(more).env("RUST_TEST_THREADS", threads.to_string());
        command
    };
    let log = run::target().join(format!("{name}.log"));
    let unsteady = again::run(make, &log, &mut std::io::stdout())?;
    Ok((!unsteady.is_empty()).then(|| format!("at a second attempt alone: {}", unsteady.join(", "))))
}

fn page() -> Result<(), String> {
    system::ensure(Needs::Browser)?;
    let test =
        ["test", "--package", "stbeacon-collector", "--test", "collector", "--locked", "--quiet", "--"];
    run::visibly(&mut run::cargo(&[&test[..], &["--ignored", "browser::"]].concat()))?;
    println!("Screenshots are in {}.", run::target().join("tmp/page").display());
    Ok(())
}

// === impl Aside ===

impl Aside {
    /// Starts it at the lowest priority: what it takes of the processors, no test would have used.
    fn start(name: &str) -> Result<Self, String> {
        let this = std::env::current_exe().map_err(|e| format!("where this program is: {e}"))?;
        let printed = run::target().join(format!("{name}.log"));
        let log = File::create(&printed).map_err(|e| format!("{}: {e}", printed.display()))?;
        let errors = log.try_clone().map_err(|e| format!("{}: {e}", printed.display()))?;
        let mut command = run::command("nice");
        command
            .args(["-n", "19"])
            .arg(this)
            .args(["test", name])
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors);
        let shown = format!("cargo xtask test {name}");
        let child = command.spawn().map_err(|e| format!("{shown}: {e}"))?;
        Ok(Self { shown, child, printed })
    }

    /// Waits for it, and shows what it printed.
    fn finish(mut self) -> Result<(), String> {
        let status = self.child.wait().map_err(|e| format!("{}: {e}", self.shown))?;
        let printed = fs::read(&self.printed).map_err(|e| format!("{}: {e}", self.printed.display()))?;
        println!("{}", String::from_utf8_lossy(&printed).trim_end());
        if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", self.shown)) }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Ended already, mostly: both fail then.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
