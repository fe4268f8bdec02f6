//! `cargo xtask test`: everything a change must pass.

use std::time::Instant;

use lexopt::prelude::*;
use stbeacon_tests::Artifacts;

use crate::system::Needs;
use crate::{Failure, bench, emulate, fuzz, package, run, system, tools, ui};

const HELP: &str = "\
Everything a change must pass. Installs what is missing first.

Usage: cargo xtask test [STEP…]

Without a step, all of them but the last run, in this order:
";

/// One thing a change must pass.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn() -> Result<(), String>,
}

const STEPS: &[Step] = &[
    Step { name: "fmt", what: "every file is formatted", run: fmt },
    Step { name: "clippy", what: "no lint of any crate, warnings included", run: clippy },
    Step { name: "deny", what: "licences, duplicate and banned crates", run: deny },
    Step { name: "unit", what: "unit, property and snapshot tests of each crate", run: unit },
    Step { name: "laws", what: "laws of lines over 10 000 random histories each", run: laws },
    Step { name: "bench", what: "no more instructions and allocations than before", run: bench::check_gates },
    Step { name: "fuzz", what: "ten seconds of random input for all that reads any", run: fuzz::briefly },
    Step {
        name: "package",
        what: "what goes on a box: built by the minimum rustc, packed for armhf, and no bigger than before",
        run: package::for_armhf,
    },
    Step {
        name: "emulate",
        what: "the packages on emulated armhf boxes: installed, played on, upgraded, removed",
        run: emulate::briefly,
    },
    Step { name: "whole", what: "whole programs: real pipelines, sockets, interfaces", run: whole },
];

/// What does not run by itself: a browser takes a minute to install.
const ASKED_FOR: Step =
    Step { name: "page", what: "the collector's page in a real browser, without a screen", run: page };

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

    let mut results = Vec::new();
    for step in chosen {
        ui::title(&format!("{}: {}", step.name, step.what));
        let start = Instant::now();
        let result = (step.run)();
        if let Err(error) = &result {
            println!("{}", ui::red(error));
        }
        results.push((step.name, result.is_ok(), start.elapsed()));
    }

    ui::title("Result");
    for (name, passed, time) in &results {
        let verdict = if *passed { ui::green("passed") } else { ui::red("failed") };
        println!("  {name:8} {verdict} {}", ui::dim(&format!("{:.0} s", time.as_secs_f64())));
    }
    let failed = results.iter().filter(|(_, passed, _)| !passed).count();
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} steps failed", results.len()).into()) }
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
            "bans",
        ])?;
    }
    Ok(())
}

fn unit() -> Result<(), String> {
    run::visibly(&mut run::cargo(&[
        "test",
        "--workspace",
        "--exclude",
        "stbeacon-tests",
        "--locked",
        "--quiet",
    ]))
}

/// The tests that take random histories, with more of them than there is time for in every build.
fn laws() -> Result<(), String> {
    // Only what runs the histories is optimised, and overflow is still looked for: every other crate is there already.
    let optimise = |package: &str| format!("profile.dev.package.{package}.opt-level=2");
    let optimised = ["stbeacon-core", "proptest"].map(optimise);
    let optimised = optimised.iter().flat_map(|setting| ["--config", setting]);
    let which = ["--", "beacon::tests::laws", "beacon::tests::oracle", "line::encode", "line::escape"];
    let mut laws = run::cargo(&["test", "--locked", "--quiet", "--package", "stbeacon-core", "--lib"]);
    run::visibly(laws.args(optimised).args(which).env("PROPTEST_CASES", "10000"))
}

fn whole() -> Result<(), String> {
    // The whole-program tests run what a box runs; cargo does not build other packages' programs for a test.
    let build = ["build", "--workspace", "--locked", "--quiet"];
    let panicking = build.iter().copied().chain(["--features", "gst-plugin-stbeacon/test-panic"]);
    run::visibly(&mut run::cargo(&panicking.collect::<Vec<_>>()))?;
    Artifacts::find().and_then(|artifacts| artifacts.keep_panicking_tracer()).map_err(|e| e.to_string())?;
    run::visibly(&mut run::cargo(&build))?;
    // They wait more than they compute: for players in real time, for a daemon's periods.
    let threads = std::thread::available_parallelism().map_or(2, std::num::NonZero::get) * 2;
    let mut whole = run::cargo(&["test", "--package", "stbeacon-tests", "--locked", "--quiet"]);
    run::visibly(whole.env("RUST_TEST_THREADS", threads.to_string()))
}

fn page() -> Result<(), String> {
    system::ensure(Needs::Browser)?;
    let test =
        ["test", "--package", "stbeacon-collector", "--test", "collector", "--locked", "--quiet", "--"];
    run::visibly(&mut run::cargo(&[&test[..], &["--ignored", "browser::"]].concat()))?;
    println!("Screenshots are in {}.", run::target().join("tmp/page").display());
    Ok(())
}
