//! What the plug-in costs a player: CPU time and instructions, without it, with it by either way in, and with
//! GStreamer's own tracers.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::Serialize;
use stbeacon_tests::clips::{Audio, Recipe, Video};
use stbeacon_tests::{Player, PlayerSocket, Way};

use super::table;
use crate::{run, ui};

/// How often each variant is run, unless told otherwise.
pub(super) const ROUNDS: usize = 11;

/// How long one run may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Who watches.
#[derive(Debug, Clone, Copy)]
struct Variant {
    name: &'static str,
    way: Way,
    /// `GST_TRACERS` besides.
    tracers: &'static str,
    /// They are in a plug-in that comes neither with GStreamer nor with us.
    is_foreign: bool,
}

const fn peer(name: &'static str, tracers: &'static str) -> Variant {
    Variant { name, way: Way::Unwatched, tracers, is_foreign: false }
}

const fn ours(name: &'static str, way: Way) -> Variant {
    Variant { name, way, tracers: "", is_foreign: false }
}

const fn foreign(name: &'static str, tracers: &'static str) -> Variant {
    Variant { name, way: Way::Unwatched, tracers, is_foreign: true }
}

/// The first is what the others are held against; the second shows how far apart two of the same are.
const VARIANTS: [Variant; 7] = [
    peer("nobody", ""),
    peer("nobody, again", ""),
    ours("stbeacon, GST_TRACERS", Way::Tracers),
    ours("stbeacon, LD_PRELOAD", Way::Preload),
    peer("stats", "stats"),
    peer("latency(flags=element)", "latency(flags=element)"),
    peer("rusage", "rusage"),
];

/// Those of the crate gst-plugin-tracers, where it is at hand. What they find they write to a file.
const FOREIGN: [Variant; 3] = [
    foreign("pad-push-timings", "pad-push-timings(file=/dev/null)"),
    foreign("buffer-lateness", "buffer-lateness(file=/dev/null)"),
    foreign("queue-levels", "queue-levels(file=/dev/null)"),
];

/// What watches.
pub(super) struct Plugins {
    ours: PathBuf,
    /// The directory of the crate gst-plugin-tracers' plug-in.
    foreign: Option<PathBuf>,
}

// === impl Plugins ===

impl Plugins {
    fn directory(plugin: &Path) -> Result<PathBuf, String> {
        let path = plugin.canonicalize().map_err(|e| format!("--tracers {}: {e}", plugin.display()))?;
        let directory = path.parent().filter(|_| path.is_file());
        let directory = directory.ok_or_else(|| format!("--tracers {}: not a file", plugin.display()))?;
        Ok(directory.to_owned())
    }

    fn variants(&self) -> impl Iterator<Item = Variant> {
        VARIANTS.into_iter().chain(FOREIGN.into_iter().filter(|_| self.foreign.is_some()))
    }

    /// None of them twice.
    fn once(&self) -> impl Iterator<Item = Variant> {
        self.variants().filter(|variant| variant.name != "nobody, again")
    }
}

/// One pipeline, and what its overhead may be.
struct Scene {
    name: &'static str,
    what: &'static str,
    pipeline: String,
    /// In per cent; `None`: no more than two runs of the same differ by.
    goal: Option<f64>,
}

/// What one scene costs with one variant.
#[derive(Debug, Serialize)]
struct Cost {
    scene: &'static str,
    variant: &'static str,
    /// User and system, in ms: median, first and third quartile of all rounds.
    cpu_ms: [f64; 3],
    /// To `nobody` of the same round: median of all rounds.
    ratio: f64,
    /// Its first and third quartile.
    ratio_quartiles: [f64; 2],
}

/// Instructions that one more buffer takes in the thread that streams.
#[derive(Debug, Serialize)]
struct Instructions {
    variant: &'static str,
    /// Through four elements that nobody watches, and a sink that is.
    four: u64,
    /// Through eight of them.
    eight: u64,
}

/// Instructions of all threads.
#[derive(Debug, Serialize)]
struct Total {
    variant: &'static str,
    instructions: u64,
}

#[derive(Serialize)]
struct Kept<'a> {
    machine: String,
    rounds: usize,
    cpu: &'a [Cost],
    instructions_per_buffer: &'a [Instructions],
    /// Of all threads, to the end of (a).
    instructions: &'a [Total],
}

/// Measures everything and shows it; beside the plug-in of the crate gst-plugin-tracers, where that is built.
pub(super) fn show(rounds: usize, foreign: Option<&Path>) -> Result<(), String> {
    let plugins = Plugins { foreign: foreign.map(Plugins::directory).transpose()?, ..build()? };
    let scenes = scenes()?;
    let mut costs = Vec::new();
    for scene in &scenes {
        ui::title(&format!("({}) {}", scene.name, scene.what));
        let measured = measure(&plugins, scene, rounds)?;
        print!("{}", text(&measured, scene));
        costs.extend(measured);
    }
    ui::title("Instructions for one buffer through the pipeline of (c), in the thread that streams");
    let mut instructions = Vec::new();
    for variant in plugins.once() {
        let [four, eight] = [4, 8].map(|elements| per_buffer(&plugins, variant, elements, [2_000, 12_000]));
        instructions.push(Instructions { variant: variant.name, four: four?, eight: eight? });
    }
    print!("{}", instructions_text(&instructions));
    let [demultiplexed, ..] = &scenes;
    ui::title(&format!("Instructions of all threads, ({}) {}", demultiplexed.name, demultiplexed.what));
    let mut totals = Vec::new();
    for variant in plugins.once() {
        let total = collected(&plugins, variant, &demultiplexed.pipeline)?.values().sum();
        totals.push(Total { variant: variant.name, instructions: total });
    }
    print!("{}", totals_text(&totals));
    let kept = Kept {
        machine: table::machine(),
        rounds,
        cpu: &costs,
        instructions_per_buffer: &instructions,
        instructions: &totals,
    };
    let path = run::target().join("bench-tracer.json");
    let json = serde_json::to_string_pretty(&kept).map_err(|error| error.to_string())?;
    std::fs::write(&path, json).map_err(|e| format!("{}: {e}", path.display()))?;
    println!("\nKept in {}.", path.display());
    Ok(())
}

/// Instructions that the plug-in adds to one buffer that passes four elements which it does not watch, and reaches a
/// sink that it does.
pub(super) fn push_instructions(plugins: &Plugins) -> Result<u64, String> {
    let watched = ours("stbeacon", Way::Tracers);
    let [with, without] = [watched, peer("nobody", "")].map(|variant| {
        // A registry of plug-ins that is not there yet takes minutes to make under callgrind.
        play(plugins, variant, &listener()?, &worst(1, 1))?;
        per_buffer(plugins, variant, 4, [500, 2_500])
    });
    Ok(with?.saturating_sub(without?))
}

/// GStreamer's own part of that is its own business: its version.
pub(super) fn gstreamer() -> Result<String, String> {
    let told = run::told(run::command("gst-launch-1.0").arg("--version"))?;
    Ok(told.lines().nth(1).unwrap_or_default().trim().to_owned())
}

/// The plug-in, built.
pub(super) fn build() -> Result<Plugins, String> {
    ui::step("the plug-in, as what goes on a box", || {
        let words =
            ["build", "--locked", "--quiet", "--package", "gst-plugin-stbeacon", "--profile", "tracer"];
        run::quietly(&mut run::cargo(&words))
    })?;
    Ok(Plugins { ours: run::target().join("tracer/libgststbeacon.so"), foreign: None })
}

fn scenes() -> Result<[Scene; 3], String> {
    let recipe =
        |pictures| Recipe { kbits: 8000, noise: true, ..Recipe::ts(Video::H264, Audio::Aac, pictures) };
    let clip = |pictures| {
        let make = || recipe(pictures).make().map_err(|error| error.to_string());
        ui::step(&format!("a clip of {} s", pictures / 25), make)
    };
    let (minute, short) = (clip(1500)?, clip(250)?);
    Ok([
        Scene {
            name: "a",
            what: "a file of 60 s at 8 Mbit/s, demultiplexed and parsed",
            pipeline: format!(
                "filesrc location={} ! tsdemux name=d d. ! queue ! h264parse ! fakesink d. ! queue ! aacparse ! fakesink",
                minute.path.display()
            ),
            goal: Some(1.0),
        },
        Scene {
            name: "b",
            what: "playbin, decoding 10 s in software",
            pipeline: format!("playbin uri={} video-sink=fakesink audio-sink=fakesink", short.uri()),
            goal: None,
        },
        Scene { name: "c", what: WORST, pipeline: worst(200_000, 4), goal: Some(8.0) },
    ])
}

const WORST: &str = "the worst case: fakesrc 200 000 × 188 bytes ! 4 × identity ! fakesink";

fn worst(buffers: u64, elements: usize) -> String {
    let identities = "! identity ".repeat(elements);
    format!("fakesrc num-buffers={buffers} sizetype=fixed sizemax=188 {identities}! fakesink")
}

/// A player of this variant, with somebody who listens to the plug-in, and keeps quiet.
fn player(plugins: &Plugins, variant: Variant, socket: &PlayerSocket) -> Result<Player, String> {
    let player = Player::stock(variant.way).map_err(|error| error.to_string())?.socket(socket.path());
    let player = if variant.way == Way::Unwatched { player } else { player.tracer(plugins.ours.clone()) };
    let player = match &plugins.foreign {
        Some(directory) if variant.is_foreign => {
            let registry = run::target().join("bench-foreign-registry");
            player
                .env("GST_PLUGIN_PATH", &directory.to_string_lossy())
                .env("GST_REGISTRY", &registry.to_string_lossy())
        }
        _ => player,
    };
    Ok(if variant.tracers.is_empty() { player } else { player.env("GST_TRACERS", variant.tracers) })
}

fn listener() -> Result<PlayerSocket, String> {
    PlayerSocket::listen().map_err(|error| error.to_string())
}

fn play(plugins: &Plugins, variant: Variant, socket: &PlayerSocket, pipeline: &str) -> Result<(), String> {
    let process = player(plugins, variant, socket)?.gst_launch(pipeline);
    let ended = process.and_then(|process| process.wait(LIMIT)).and_then(|player| player.success());
    ended.map(drop).map_err(|error| error.to_string())
}

fn measure(plugins: &Plugins, scene: &Scene, rounds: usize) -> Result<Vec<Cost>, String> {
    let socket = listener()?;
    let mut found: Vec<_> = plugins.variants().map(|variant| (variant, Vec::new())).collect();
    // The first round is for registries and caches.
    for round in 0..=rounds {
        for (variant, times) in &mut found {
            let before = children();
            play(plugins, *variant, &socket, &scene.pipeline)?;
            if round > 0 {
                times.push(children() - before);
            }
        }
    }
    let base = found.first().map(|(_, times)| times.clone()).unwrap_or_default();
    let costs = found.into_iter().map(|(variant, times)| {
        let ratios = times.iter().zip(&base).map(|(time, base)| time / base).collect();
        let [q1, ratio, q3] = quartiles(ratios);
        let [low, median, high] = quartiles(times);
        Cost {
            scene: scene.name,
            variant: variant.name,
            cpu_ms: [median, low, high],
            ratio,
            ratio_quartiles: [q1, q3],
        }
    });
    Ok(costs.collect())
}

/// CPU time of all programs that were run and have ended, in ms.
pub(super) fn children() -> f64 {
    let ms = |usage: Usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    #[expect(clippy::cast_precision_loss, reason = "microseconds of an hour at most")]
    let ms = getrusage(UsageWho::RUSAGE_CHILDREN).map_or(0, ms) as f64;
    ms / 1000.0
}

pub(super) fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let at =
        |part: usize| values.get((values.len().saturating_sub(1)) * part / 4).copied().unwrap_or(f64::NAN);
    [at(1), at(2), at(3)]
}

/// Instructions of the thread that streams: what `many` buffers take more than `few`, so that setting up is not in it.
fn per_buffer(
    plugins: &Plugins,
    variant: Variant,
    elements: usize,
    [few, many]: [u64; 2],
) -> Result<u64, String> {
    let count = |buffers| least(plugins, variant, &worst(buffers, elements));
    let (short, long) = (count(few)?, count(many)?);
    // The thread that streams is the one that has more to do with more buffers. It need not be the one that has the
    // most to do: starting takes tens of millions of instructions.
    let grown =
        long.iter().map(|(thread, long)| long.saturating_sub(short.get(thread).copied().unwrap_or(*long)));
    match grown.max() {
        Some(more) if more >= many - few => Ok(more / (many - few)),
        _ => Err(format!(
            "callgrind, {}: no thread has more to do with {many} buffers than with {few}",
            variant.name
        )),
    }
}

/// Instructions of each thread, of two runs. Now and then, in one start of a player of several, the thread that streams
/// does some 300 000 instructions more than in the others, whatever the number of buffers.
fn least(plugins: &Plugins, variant: Variant, pipeline: &str) -> Result<BTreeMap<OsString, u64>, String> {
    let mut least = collected(plugins, variant, pipeline)?;
    for (thread, again) in collected(plugins, variant, pipeline)? {
        least.entry(thread).and_modify(|once| *once = again.min(*once)).or_insert(again);
    }
    Ok(least)
}

/// Instructions of each thread.
fn collected(plugins: &Plugins, variant: Variant, pipeline: &str) -> Result<BTreeMap<OsString, u64>, String> {
    let fail = |error: &dyn std::fmt::Display| format!("callgrind, {}: {error}", variant.name);
    let socket = listener()?;
    let folder = run::target().join("callgrind-tracer");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).map_err(|error| fail(&error))?;
    let mut command = player(plugins, variant, &socket)?.command("valgrind").map_err(|error| fail(&error))?;
    command.args(["--tool=callgrind", "--separate-threads=yes"]);
    command.arg(format!("--callgrind-out-file={}", folder.join("out").display()));
    command.args(["gst-launch-1.0", "-q"]).args(pipeline.split_whitespace());
    run::quietly(&mut command)?;
    let files = std::fs::read_dir(&folder).map_err(|error| fail(&error))?;
    let totals = files.filter_map(|file| {
        let file = file.ok()?;
        let text = std::fs::read_to_string(file.path()).ok()?;
        let totals = text.lines().find_map(|line| line.strip_prefix("totals:"))?;
        Some((file.file_name(), totals.split_whitespace().next()?.parse().ok()?))
    });
    let totals: BTreeMap<_, _> = totals.collect();
    if totals.is_empty() { Err(fail(&"it did not say how many instructions were run")) } else { Ok(totals) }
}

fn text(costs: &[Cost], scene: &Scene) -> String {
    let mut out = format!("  {:26} {:>10} {:>10} {:>18}\n", "", "CPU time", "overhead", "quartiles");
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    for Cost { variant, cpu_ms: [median, ..], ratio, ratio_quartiles: [low, high], .. } in costs {
        let quartiles = format!("{:+.1} … {:+.1} %", percent(*low), percent(*high));
        let ms = format!("{median:.1} ms");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "  {variant:26} {ms:>10} {:>8.1} % {quartiles:>18}", percent(*ratio));
    }
    let noise = costs.get(1).map(|cost| cost.ratio_quartiles.map(percent));
    let noise = noise.map_or(0.0, |[low, high]| low.abs().max(high.abs()));
    let goal = scene.goal.unwrap_or(noise);
    for cost in costs.iter().filter(|cost| cost.variant.starts_with("stbeacon")) {
        let overhead = percent(cost.ratio);
        let mark = if overhead <= goal { ui::green("✓") } else { ui::red("✗") };
        let _ = writeln!(out, "  {mark} {}: {overhead:+.1} %, the goal is {goal:.1} % at most", cost.variant);
    }
    let _ = writeln!(out, "  Two runs of the same differ by up to {noise:.1} % here, outliers left out.");
    out
}

fn instructions_text(all: &[Instructions]) -> String {
    let mut out = format!("  {:26} {:>12} {:>12} {:>12}\n", "", "4 identities", "8", "each adds");
    let base = all.first();
    for one in all {
        let each = one.eight.saturating_sub(one.four) / 4;
        let more = base.map_or(0, |base| one.four.saturating_sub(base.four));
        let _ = writeln!(
            out,
            "  {:26} {:>12} {:>12} {each:>12}  {more} more than nobody's",
            one.variant, one.four, one.eight
        );
    }
    out
}

fn totals_text(all: &[Total]) -> String {
    let mut out = String::new();
    let base = all.first().map_or(0, |base| base.instructions);
    for Total { variant, instructions } in all {
        #[expect(clippy::cast_precision_loss, reason = "2⁵³ instructions take weeks under callgrind")]
        let percent = (*instructions as f64 / base as f64 - 1.0) * 100.0;
        let _ = writeln!(out, "  {variant:26} {instructions:>14} {percent:>+8.1} %");
    }
    out
}
