//! Results for people, and for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::program::{Allocations, Measured, Times, by_name};
use crate::ui;

/// One line a benchmark, with its peer below.
pub(super) fn times(measured: &Measured) -> String {
    let Measured { times, allocations, .. } = measured;
    let mut out = format!("  {:18} {:>11} {:>11} {:>8}  {}\n", "", "median", "best", "alloc", "");
    let allocations = by_name(allocations);
    for one in times {
        let Times { name, what, unit, ours, peer, theirs, ratio, .. } = one;
        let count = |of: fn(&Allocations) -> u64| {
            allocations.get(name.as_str()).map_or_else(String::new, |found| of(found).to_string())
        };
        let ns = |ns: f64| format!("{ns:.1} ns");
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "  {:18} {:>11} {:>11} {:>8}  per {unit}: {what}",
            ui::bold(&format!("{name:18}")),
            ns(ours.median),
            ns(ours.best),
            count(|found| found.count)
        );
        let _ = writeln!(
            out,
            "  {:18} {:>11} {:>11} {:>8}  {peer}; {}",
            "",
            ns(theirs.median),
            ns(theirs.best),
            count(|found| found.peer),
            ui::bold(&format!("× {ratio:.2}"))
        );
    }
    out + "\n  × is the peer's time divided by ours, the median of pairs that ran one after the other: above 1 ours is faster.\n"
}

/// Everything that was measured.
pub(super) fn json(builds: &[Measured]) -> Result<String, String> {
    #[derive(Serialize)]
    struct All<'a> {
        machine: String,
        builds: &'a [Measured],
    }

    serde_json::to_string_pretty(&All { machine: machine(), builds }).map_err(|error| error.to_string())
}

/// The processor, as the kernel names it.
pub(super) fn machine() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    model.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}
