//! What the plug-in costs a player: CPU time and instructions, without it, with it by either way in, and with
//! GStreamer's own tracers.

use std::fmt::Write as _;
use std::path::Path;

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::Serialize;
use stbeacon_tests::clips::{Audio, Recipe, Video};

use super::callgrind::{self, Instructions, Total, WORST, instructions_text, totals_text, worst};
use super::watched::{Plugins, listener, play};
use super::{table, watched};
use crate::{run, ui};

/// How often each variant is run, unless told otherwise.
pub(super) const ROUNDS: usize = 11;

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
    let plugins = watched::build()?.beside(foreign)?;
    let scenes = scenes()?;
    let mut costs = Vec::new();
    for scene in &scenes {
        ui::title(&format!("({}) {}", scene.name, scene.what));
        let measured = measure(&plugins, scene, rounds)?;
        print!("{}", text(&measured, scene));
        costs.extend(measured);
    }
    ui::title("Instructions for one buffer through the pipeline of (c), in the thread that streams");
    let instructions = callgrind::per_variant(&plugins)?;
    print!("{}", instructions_text(&instructions));
    let [demultiplexed, ..] = &scenes;
    ui::title(&format!("Instructions of all threads, ({}) {}", demultiplexed.name, demultiplexed.what));
    let totals = callgrind::totals(&plugins, &demultiplexed.pipeline)?;
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
