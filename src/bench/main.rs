//! What the agent's work costs, measured: `cargo xtask bench` builds and runs this program.
//!
//! ```text
//! stbeacon-bench times              JSON: time of each benchmark and of its peer, run in turns
//! stbeacon-bench allocations        JSON: allocations of each benchmark
//! stbeacon-bench run NAME TIMES     does the work of one benchmark, and nothing else: for callgrind
//! stbeacon-bench peer NAME TIMES    does the work of its peer
//! stbeacon-bench line               the playing line that the benchmarks of lines are about
//! stbeacon-bench mux FILE BYTES     writes a transport stream of 40 PIDs
//! stbeacon-bench file FILE          JSON: time of each way to look at such a file in memory, run in turns
//! ```

#![expect(clippy::expect_used, reason = "a benchmark of something else than it says is worth nothing")]

mod allocations;
mod cases;
mod measure;

use std::process::ExitCode;

use serde::Serialize;

use self::cases::Case;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match *words.as_slice() {
        ["times"] => print(&cases::all().map(measure::times).collect::<Vec<_>>()),
        ["allocations"] => print(&cases::all().map(measure::allocations).collect::<Vec<_>>()),
        ["mux", file, bytes] => {
            return done(
                bytes
                    .parse()
                    .map_or_else(|_| Err(format!("{bytes:?} bytes")), |bytes| cases::write_mux(file, bytes)),
            );
        }
        ["file", file] => return done(measure::over_file(file).map(|found| print(&found))),
        ["line"] => println!("{}", cases::playing_line()),
        ["run", name, times] => return run(name, times, |case| case.work),
        ["peer", name, times] => return run(name, times, |case| case.peer_work),
        _ => {
            eprintln!(
                "usage: stbeacon-bench times | allocations | line | run NAME TIMES | peer NAME TIMES | mux FILE BYTES | \
                 file FILE"
            );
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn run(name: &str, times: &str, which: impl Fn(Case) -> Box<dyn FnMut()>) -> ExitCode {
    let (Some(case), Ok(times)) = (cases::named(name), times.parse::<u64>()) else {
        eprintln!("error: no benchmark {name:?}, or no number of times {times:?}");
        return ExitCode::FAILURE;
    };
    let mut work = which(case);
    (0..times).for_each(|_| work());
    ExitCode::SUCCESS
}

fn done(result: Result<(), String>) -> ExitCode {
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

fn print(results: &impl Serialize) {
    match serde_json::to_string(results) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("error: {error}"),
    }
}
