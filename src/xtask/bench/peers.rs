//! Whole programs beside ours: what else analyses transport streams, and what else tells of interfaces.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use stbeacon_tests::Netns;

use super::overhead::{children, quartiles};
use super::program::{Build, Program};
use super::table;
use crate::{run, ui};

/// Bytes of the multiplex.
const MUX: u64 = 1_000_000_000;

/// Interfaces of a box.
const INTERFACES: [u32; 3] = [1, 50, 500];

/// A program that is run.
struct Peer {
    name: &'static str,
    command: Vec<String>,
}

/// What a program takes.
#[derive(Debug, Serialize)]
struct Cost {
    name: &'static str,
    /// User and system, in ms: median, first and third quartile of all rounds.
    cpu_ms: [f64; 3],
}

/// What an analyser takes inside a program, in ns a packet.
#[derive(Debug, Serialize, Deserialize)]
struct Inside {
    what: String,
    best: f64,
    median: f64,
}

#[derive(Serialize)]
struct Kept {
    machine: String,
    rounds: usize,
    /// In memory, as built for a box and for speed.
    transport_stream_in_memory: Vec<(&'static str, Vec<Inside>)>,
    transport_stream: Vec<Cost>,
    interfaces: Vec<(u32, Vec<Cost>)>,
}

/// Measures everything and shows it.
pub(super) fn show(rounds: usize) -> Result<(), String> {
    let daemon = ui::step("the daemon, as a box gets it", || {
        run::quietly(&mut run::cargo(&["build", "--release", "--locked", "--quiet", "-p", "stbeacon"]))?;
        Ok(run::target().join("release/stbeacon"))
    })?;
    let file = run::target().join("bench-mux.ts");
    let programs = [Build::Box, Build::Speed].map(|build| Program::build(build).map(|made| (build, made)));
    let [small, fast] = programs;
    let programs = [small?, fast?];
    let [_, (_, fast)] = &programs;
    ui::step("a multiplex of 1 GB and 40 PIDs", || fast.write_mux(&file, MUX))?;

    ui::title("1 GB of 40 PIDs in memory, in pieces of 64 KiB");
    let mut inside = Vec::new();
    for (build, program) in &programs {
        let found: Vec<Inside> = program.over_file(&file)?;
        println!("  {}", build.what());
        for Inside { what, best, median } in &found {
            println!("    {what:44} {median:>6.1} ns a packet, at best {best:.1}: {:.1} GB/s", 188.0 / best);
        }
        inside.push((build.profile(), found));
    }

    ui::title("The same as a file, by whole programs: CPU time");
    if let Some(read) = read_by_ffmpeg(&file)? {
        println!("  {}", ui::dim(&format!("ffmpeg reads all of it: {read}")));
    }
    let transport_stream = costs(transport_stream(&daemon, &file), rounds)?;
    print!("{}", text(&transport_stream));

    let mut interfaces = Vec::new();
    for count in INTERFACES {
        ui::title(&format!("One look at {count} interfaces and loopback, by whole programs: CPU time"));
        let Some((netns, _others)) = netns(count)? else { break };
        let within = costs(samplers(&daemon, &netns), rounds)?;
        print!("{}", text(&within));
        interfaces.push((count, within));
    }

    let kept = Kept {
        machine: table::machine(),
        rounds,
        transport_stream_in_memory: inside,
        transport_stream,
        interfaces,
    };
    let path = run::target().join("bench-peers.json");
    let json = serde_json::to_string_pretty(&kept).map_err(|error| error.to_string())?;
    std::fs::write(&path, json).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("\nKept in {}.", path.display());
    Ok(())
}

/// What ffmpeg says that it has read, where it is on this machine; an error if that is not nearly all: a peer that leaves
/// most of the work out is none.
fn read_by_ffmpeg(file: &Path) -> Result<Option<String>, String> {
    if !is_program("ffmpeg") {
        return Ok(None);
    }
    let mut ffmpeg = run::command("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "verbose", "-i"]).arg(file);
    let output = ffmpeg.args(FFMPEG).output().map_err(|e| format!("ffmpeg: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let total = said.lines().find_map(|line| line.trim().strip_prefix("Total: ")?.strip_suffix(" demuxed"));
    let bytes = total.and_then(|total| {
        let (_, bytes) = total.split_once('(')?;
        bytes.split_whitespace().next()?.parse::<u64>().ok()
    });
    match (total, bytes) {
        // Headers are the rest: four bytes of each packet, and those of PES packets.
        (Some(total), Some(bytes)) if bytes > MUX / 20 * 19 => Ok(Some(total.to_owned())),
        _ => Err(format!("ffmpeg has not read all of {} ({}): {total:?}", file.display(), output.status)),
    }
}

/// Everything is demultiplexed, nothing is decoded, nothing is written.
const FFMPEG: [&str; 7] = ["-map", "0", "-c", "copy", "-f", "null", "-"];

fn transport_stream(daemon: &Path, file: &Path) -> Vec<Peer> {
    let (daemon, file) = (daemon.display().to_string(), file.display().to_string());
    vec![
        peer("stbeacon ts", &[&daemon, "ts", "--json", &file]),
        peer(
            "ffmpeg -c copy -f null",
            &[&["ffmpeg", "-nostdin", "-v", "error", "-i", &file], &FFMPEG[..]].concat(),
        ),
        peer(
            "tsparse ! fakesink",
            &[
                "gst-launch-1.0",
                "-q",
                "filesrc",
                &format!("location={file}"),
                "!",
                "tsparse",
                "!",
                "fakesink",
            ],
        ),
        peer("tsp -P continuity", &["tsp", "-I", "file", &file, "-P", "continuity", "-O", "drop"]),
        peer("cat (reading the file alone)", &["cat", &file]),
    ]
}

fn samplers(daemon: &Path, netns: &Netns) -> Vec<Peer> {
    let inside = ["ip", "netns", "exec", netns.name()];
    let daemon = daemon.display().to_string();
    vec![
        peer("stbeacon sample", &[&inside[..], &[&daemon, "sample"]].concat()),
        peer("ip -s -j addr", &[&inside[..], &["ip", "-s", "-j", "addr"]].concat()),
        peer("nothing (entering the namespace)", &[&inside[..], &["true"]].concat()),
    ]
}

fn peer(name: &'static str, words: &[&str]) -> Peer {
    Peer { name, command: words.iter().map(|word| (*word).to_owned()).collect() }
}

/// A namespace with so many interfaces that run, and the one with their other ends.
fn netns(count: u32) -> Result<Option<(Netns, Netns)>, String> {
    let make = || Netns::make().map_err(|error| error.to_string());
    let (Some(own), Some(others)) = (make()?, make()?) else { return Ok(None) };
    let mut batch = String::new();
    for n in 0..count {
        let (high, low) = (n / 250, n % 250);
        // Writing to a string cannot fail.
        let _ = writeln!(batch, "link add eth{n} type veth peer name peer{n} netns {}", others.name());
        let _ = writeln!(batch, "addr add 10.{high}.{low}.1/24 dev eth{n}\nlink set eth{n} up");
    }
    let file = run::target().join("bench-interfaces.batch");
    std::fs::write(&file, batch).map_err(|e| format!("{}: {e}", file.display()))?;
    ui::step(&format!("{count} interfaces"), || {
        let mut ip = Command::new("ip");
        run::quietly(ip.args(["-n", own.name(), "-batch"]).arg(&file))
    })?;
    Ok(Some((own, others)))
}

/// CPU time of programs that take turns; those that are not on the machine, or fail, are named and left out.
fn costs(peers: Vec<Peer>, rounds: usize) -> Result<Vec<Cost>, String> {
    let there = |peer: &Peer| {
        let is_there = peer.command.first().is_some_and(|program| is_program(program));
        if !is_there {
            println!("  {:32} {}", peer.name, ui::dim("is not on this machine: left out"));
        }
        is_there
    };
    let mut found: Vec<_> = peers.into_iter().filter(there).map(|peer| (peer, Vec::new())).collect();
    for round in 0..=rounds {
        let mut failed = Vec::new();
        for (index, (peer, times)) in found.iter_mut().enumerate() {
            let [program, args @ ..] = peer.command.as_slice() else { continue };
            let before = children();
            let mut command = run::command(program);
            command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let status = command.status().map_err(|e| format!("{program}: {e}"))?;
            match status.code() {
                Some(0) => {}
                // What a peer took until it gave up is no measure of it.
                _ if round == 0 && index > 0 => {
                    println!("  {:32} {}", peer.name, ui::dim(&format!("fails ({status}): left out")));
                    failed.push(peer.name);
                }
                _ => return Err(format!("{}: {status}", peer.name)),
            }
            // The first round is for caches.
            if round > 0 {
                times.push(children() - before);
            }
        }
        found.retain(|(peer, _)| !failed.contains(&peer.name));
    }
    let costs = found.into_iter().map(|(peer, times)| {
        let [low, median, high] = quartiles(times);
        Cost { name: peer.name, cpu_ms: [median, low, high] }
    });
    Ok(costs.collect())
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    name.contains('/') || std::env::split_paths(&path).any(|folder: PathBuf| folder.join(name).is_file())
}

fn text(costs: &[Cost]) -> String {
    let mut out = String::new();
    let ours = costs.first().map_or(f64::NAN, |cost| cost.cpu_ms[0]);
    for Cost { name, cpu_ms: [median, low, high] } in costs {
        let quartiles = format!("({low:.1} … {high:.1})");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {name:32} {median:>9.1} ms {quartiles:>20}  × {:.2}", median / ours);
    }
    out + "  × is CPU time divided by ours.\n"
}
