//! `cargo xtask fuzz`: what reads input from outside, against input that nobody would send.
//!
//! libFuzzer on the stable compiler: LLVM's coverage pass is asked for by flags, and `libfuzzer-sys` brings the rest.
//! Without the address sanitizer, which only nightly has; nothing that is fuzzed has unsafe code.

use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use lexopt::prelude::*;

use crate::system::Needs;
use crate::{Failure, run, system, ui};

const HELP: &str = "\
Run the fuzz targets: what reads input from outside, against input that nobody would send.

Usage: cargo xtask fuzz [OPTIONS] [TARGET…]

Options:
      --seconds N   how long each target runs [default: 10]
      --seed N      where the random numbers begin [default: 1]
      --input FILE  run one target on one file and no other, as after a crash
  -h, --help        this text

Targets (all of them, if none is named):
";

const EXAMPLES: &str = "
Examples:
  cargo xtask fuzz
  cargo xtask fuzz player --seconds 3600
  cargo xtask fuzz line --input target/fuzz/line/crash-0123

What a run finds out about reaching new code is kept in target/fuzz/TARGET/corpus, and the next one goes on from there.
";

/// Coverage as libFuzzer reads it: counters at each edge, and what is compared with what.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// The most memory that a target may come to, in MiB.
const MEMORY: u32 = 512;

/// The longest that one input may take, in seconds.
const PATIENCE: u32 = 10;

struct Target {
    name: &'static str,
    what: &'static str,
    /// The longest input, in bytes.
    longest: usize,
}

const TARGETS: &[Target] = &[
    Target { name: "line", what: "lines as they are received", longest: 4096 },
    Target { name: "encode", what: "values of lines that are sent", longest: 8192 },
    Target { name: "config", what: "beacon configurations", longest: 8192 },
    Target {
        name: "player",
        what: "players' datagrams, and what befalls their connections",
        longest: 16_384,
    },
    Target { name: "provisioning", what: "provisioning files", longest: 4096 },
    Target { name: "ts", what: "transport streams, cut anywhere", longest: 8192 },
    Target { name: "stb", what: "bodies of STB statistics", longest: 4096 },
];

/// How it is to be run.
struct Options {
    targets: Vec<&'static Target>,
    seconds: u64,
    seed: u32,
    input: Option<PathBuf>,
}

pub(crate) fn main(mut args: lexopt::Parser) -> Result<(), Failure> {
    let mut options = Options::default();
    let mut chosen = Vec::new();
    while let Some(arg) = args.next()? {
        match arg {
            Short('h') | Long("help") => {
                print!("{HELP}");
                for target in TARGETS {
                    println!("  {:13} {}", target.name, target.what);
                }
                print!("{EXAMPLES}");
                return Ok(());
            }
            Long("seconds") => options.seconds = args.value()?.parse::<u64>()?.max(1),
            // 0 means a random one to libFuzzer.
            Long("seed") => options.seed = args.value()?.parse::<u32>()?.max(1),
            Long("input") => options.input = Some(args.value()?.into()),
            Value(name) => {
                let target = TARGETS.iter().find(|target| name == target.name);
                chosen.push(target.ok_or_else(|| lexopt::Error::from(format!("no target {name:?}")))?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    if options.input.is_some() && chosen.len() != 1 {
        return Err(lexopt::Error::from("--input goes with one target").into());
    }
    if !chosen.is_empty() {
        options.targets = chosen;
    }
    system::ensure(Needs::All)?;
    Ok(run(&options)?)
}

/// The short run that every change must pass.
pub(crate) fn briefly() -> Result<(), String> {
    run(&Options::default())
}

fn run(options: &Options) -> Result<(), String> {
    let programs = ui::step("build", build)?;
    let directory = directory();
    // Any of them writes the seeds of all.
    run::quietly(run::command(programs.join("line")).env("STBEACON_FUZZ_SEEDS", &directory))?;
    let mut failed = Vec::new();
    if let (Some(input), [target]) = (&options.input, options.targets.as_slice()) {
        if let Err(error) = run::visibly(target.command(&programs, &directory).arg(absolute(input))) {
            println!("{error}");
            failed.push(target.name);
        }
        return summary(&failed);
    }
    // Each target runs on a processor of its own.
    let at_once = thread::available_parallelism().map_or(1, NonZero::get);
    for targets in options.targets.chunks(at_once) {
        let names: Vec<_> = targets.iter().map(|target| target.name).collect();
        let results =
            ui::step(&names.join(", "), || Ok(fuzz_together(targets, &programs, &directory, options)))?;
        for (target, result) in targets.iter().zip(results) {
            match result {
                Ok(figures) => println!("    {:13} {}", target.name, ui::dim(&figures)),
                Err(error) => {
                    println!("{error}");
                    failed.push(target.name);
                }
            }
        }
    }
    summary(&failed)
}

fn fuzz_together(
    targets: &[&'static Target],
    programs: &Path,
    directory: &Path,
    options: &Options,
) -> Vec<Result<String, String>> {
    thread::scope(|scope| {
        let fuzz = |target: &&'static Target| {
            let target = *target;
            scope.spawn(move || target.fuzz(programs, directory, options))
        };
        let running: Vec<_> = targets.iter().map(fuzz).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, _>| {
            thread.join().unwrap_or_else(|_| Err("the thread that ran it panicked".to_owned()))
        };
        running.into_iter().map(join).collect()
    })
}

fn summary(failed: &[&str]) -> Result<(), String> {
    if failed.is_empty() { Ok(()) } else { Err(format!("fuzzing found something: {}", failed.join(", "))) }
}

/// Builds the targets, and says where they are.
fn build() -> Result<PathBuf, String> {
    let host = host()?;
    let mut build = run::cargo(&["build", "--locked", "--quiet", "--package", "stbeacon-fuzz"]);
    build
        .args(["--features", "libfuzzer", "--bins", "--profile", "fuzz", "--target-dir"])
        .arg(build_directory());
    // With its target named, the flags are not for build scripts.
    build.args(["--target", &host]).env("RUSTFLAGS", FLAGS).env_remove("CARGO_ENCODED_RUSTFLAGS");
    run::quietly(&mut build)?;
    Ok(build_directory().join(host).join("fuzz"))
}

fn build_directory() -> PathBuf {
    run::target().join("fuzz").join("build")
}

/// Where corpora and findings are.
fn directory() -> PathBuf {
    run::target().join("fuzz")
}

/// What this compiler compiles for.
fn host() -> Result<String, String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("-vV").output().map_err(|e| format!("rustc -vV: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// A path that the command line gave, which is not that of the repository's root.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

// === impl Options ===

impl Default for Options {
    fn default() -> Self {
        Self { targets: TARGETS.iter().collect(), seconds: 10, seed: 1, input: None }
    }
}

// === impl Target ===

impl Target {
    fn command(&self, programs: &Path, directory: &Path) -> Command {
        let mut command = run::command(programs.join(self.name));
        command.arg(format!("-artifact_prefix={}/", directory.join(self.name).display()));
        command.arg(format!("-timeout={PATIENCE}"));
        command.arg(format!("-rss_limit_mb={MEMORY}"));
        command.arg(format!("-max_len={}", self.longest));
        command
    }

    /// Runs the target for its time; gives a line of figures.
    fn fuzz(&self, programs: &Path, directory: &Path, options: &Options) -> Result<String, String> {
        let own = directory.join(self.name);
        let corpus = own.join("corpus");
        fs::create_dir_all(&corpus).map_err(|e| format!("{}: {e}", corpus.display()))?;
        let mut command = self.command(programs, directory);
        command.arg(format!("-max_total_time={}", options.seconds));
        command.arg(format!("-seed={}", options.seed));
        command.arg(format!("-dict={}", own.join("dictionary").display()));
        command.arg("-print_final_stats=1");
        // New inputs go to the first directory; the others are read alone. Among them is what was found before.
        command.arg(&corpus).arg(own.join("seeds"));
        let found = run::root().join("tests/fuzz/seeds").join(self.name);
        command.args(found.is_dir().then_some(found));
        let output = command.stdin(Stdio::null()).output().map_err(|e| format!("{}: {e}", self.name))?;
        let log = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return Ok(figures(&log));
        }
        Err(self.finding(&log))
    }

    /// What a crash said, and how to see it again.
    fn finding(&self, log: &str) -> String {
        let lines: Vec<_> = log.lines().collect();
        let said = lines.iter().position(|line| line.contains("panicked at") || line.contains("ERROR:"));
        let said = said.and_then(|start| lines.get(start..)).unwrap_or(&lines);
        let short: Vec<_> = said.iter().take(30).copied().collect();
        let marker = "Test unit written to ";
        let file = log.lines().find_map(|line| line.split_once(marker)).map(|(_, file)| file);
        let again = file.map_or_else(String::new, |file| {
            format!("\nto see it again: cargo xtask fuzz {} --input {file}", self.name)
        });
        format!("{}{again}", short.join("\n"))
    }
}

/// A line of figures from libFuzzer's own.
fn figures(log: &str) -> String {
    let stat = |name: &str| {
        let line = log.lines().rfind(|line| line.starts_with(&format!("stat::{name}:")))?;
        line.rsplit(' ').next().map(str::to_owned)
    };
    let stat = |name: &str| stat(name).unwrap_or_else(|| "?".to_owned());
    // `#2000000	DONE   cov: 12 ft: 12 corp: 5/22b lim: …`
    let done = log.lines().rfind(|line| line.contains("DONE") && line.contains("cov: ")).unwrap_or_default();
    let after = |name: &str| {
        let value = done.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next());
        value.unwrap_or("?").to_owned()
    };
    format!(
        "{} inputs, {} a second, {} edges reached, {} inputs kept, {} MiB at most",
        stat("number_of_executed_units"),
        stat("average_exec_per_sec"),
        after("cov: "),
        after("corp: ").split('/').next().unwrap_or("?"),
        stat("peak_rss_mb"),
    )
}
