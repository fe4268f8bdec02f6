//! Instructions that a player takes, by callgrind: they do not change with what else the machine does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;

use serde::Serialize;
use stbeacon_tests::Way;

use super::watched::{Plugins, Variant, listener, ours, peer, play, player};
use crate::run;

/// Instructions that one more buffer takes in the thread that streams.
#[derive(Debug, Serialize)]
pub(super) struct Instructions {
    variant: &'static str,
    /// Through four elements that nobody watches, and a sink that is.
    four: u64,
    /// Through eight of them.
    eight: u64,
}

/// Instructions of all threads.
#[derive(Debug, Serialize)]
pub(super) struct Total {
    variant: &'static str,
    instructions: u64,
}

/// Instructions for one buffer, by who watches.
pub(super) fn per_variant(plugins: &Plugins) -> Result<Vec<Instructions>, String> {
    let all = plugins.once().map(|variant| {
        let [four, eight] = [4, 8].map(|elements| per_buffer(plugins, variant, elements, [2_000, 12_000]));
        Ok(Instructions { variant: variant.name, four: four?, eight: eight? })
    });
    all.collect()
}

/// Instructions of all threads to the end of a pipeline, by who watches.
pub(super) fn totals(plugins: &Plugins, pipeline: &str) -> Result<Vec<Total>, String> {
    let all = plugins.once().map(|variant| {
        let instructions = collected(plugins, variant, pipeline)?.values().sum();
        Ok(Total { variant: variant.name, instructions })
    });
    all.collect()
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

pub(super) const WORST: &str = "the worst case: fakesrc 200 000 × 188 bytes ! 4 × identity ! fakesink";

pub(super) fn worst(buffers: u64, elements: usize) -> String {
    let identities = "! identity ".repeat(elements);
    format!("fakesrc num-buffers={buffers} sizetype=fixed sizemax=188 {identities}! fakesink")
}

pub(super) fn instructions_text(all: &[Instructions]) -> String {
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

pub(super) fn totals_text(all: &[Total]) -> String {
    let mut out = String::new();
    let base = all.first().map_or(0, |base| base.instructions);
    for Total { variant, instructions } in all {
        #[expect(clippy::cast_precision_loss, reason = "2⁵³ instructions take weeks under callgrind")]
        let percent = (*instructions as f64 / base as f64 - 1.0) * 100.0;
        let _ = writeln!(out, "  {variant:26} {instructions:>14} {percent:>+8.1} %");
    }
    out
}
