//! Times and allocations of one benchmark.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::allocations;
use crate::cases::{self, Case};

/// How often the benchmark and its peer take turns.
const ROUNDS: usize = 25;
/// How long one turn takes, about.
const TURN: Duration = Duration::from_millis(12);

/// What a benchmark takes.
#[derive(Debug, Serialize)]
pub(crate) struct Times {
    name: &'static str,
    what: String,
    unit: &'static str,
    /// In ns a unit.
    ours: Nanoseconds,
    peer: &'static str,
    /// In ns a unit.
    theirs: Nanoseconds,
    /// Theirs to ours: the median of the pairs that ran one after the other.
    ratio: f64,
    /// Units in one go.
    units: u64,
    /// Bytes that are read or written, a unit.
    bytes: f64,
}

/// Of all rounds.
#[derive(Debug, Serialize)]
struct Nanoseconds {
    best: f64,
    median: f64,
}

/// What a benchmark allocates.
#[derive(Debug, Serialize)]
pub(crate) struct Allocations {
    name: &'static str,
    /// In one go, once it has gone often.
    count: u64,
    /// The peer's.
    peer: u64,
    /// Units in one go.
    units: u64,
}

pub(crate) fn times((name, mut case): (&'static str, Case)) -> Times {
    let (ours, theirs) = (goes(&mut *case.work), goes(&mut *case.peer_work));
    let mut found = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        found.0.push(turn(&mut *case.work, ours));
        found.1.push(turn(&mut *case.peer_work, theirs));
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let units = case.units as f64;
    // A machine that is busy for a while is so for both of a pair.
    let ratios = found.0.iter().zip(&found.1).map(|(ours, theirs)| theirs / ours).collect();
    let (_, ratio) = best_and_median(ratios);
    let (ours, theirs) = (Nanoseconds::of(found.0, units), Nanoseconds::of(found.1, units));
    Times {
        name,
        what: case.what,
        unit: case.unit,
        ratio,
        ours,
        peer: case.peer,
        theirs,
        units: case.units,
        bytes: case.bytes,
    }
}

/// One way to look at a file's content, in ns a packet.
#[derive(Debug, Serialize)]
pub(crate) struct Inside {
    what: &'static str,
    best: f64,
    median: f64,
}

/// Looks at a file's content in memory, by each way in turn.
pub(crate) fn over_file(file: &str) -> Result<Vec<Inside>, String> {
    const ROUNDS: usize = 7;
    let content = std::fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    #[expect(clippy::cast_precision_loss, reason = "a few millions")]
    let packets = (content.len() / stbeacon_core::ts::PACKET) as f64;
    let mut found = cases::ways().map(|(what, way)| (what, way, Vec::new()));
    for _ in 0..ROUNDS {
        for (_, way, times) in &mut found {
            let start = Instant::now();
            way(&content);
            times.push(start.elapsed().as_secs_f64() * 1e9 / packets);
        }
    }
    let inside = found.into_iter().map(|(what, _, times)| {
        let (best, median) = best_and_median(times);
        Inside { what, best, median }
    });
    Ok(inside.collect())
}

pub(crate) fn allocations((name, mut case): (&'static str, Case)) -> Allocations {
    const GOES: u64 = 64;
    let fewest = |work: &mut dyn FnMut()| {
        (0..GOES).for_each(|_| work());
        // A buffer that grows once in many goes is no cost of each.
        (0..GOES).map(|_| allocations::of(&mut *work)).min().unwrap_or_default()
    };
    let (count, peer) = (fewest(&mut *case.work), fewest(&mut *case.peer_work));
    Allocations { name, count, peer, units: case.units }
}

/// How many goes make a turn.
fn goes(work: &mut dyn FnMut()) -> u32 {
    let mut goes = 1;
    loop {
        let start = Instant::now();
        (0..goes).for_each(|_| work());
        if start.elapsed() > TURN / 2 || goes > u32::MAX / 2 {
            return goes;
        }
        goes *= 2;
    }
}

/// ns of one go.
fn turn(work: &mut dyn FnMut(), goes: u32) -> f64 {
    let start = Instant::now();
    (0..goes).for_each(|_| work());
    start.elapsed().as_secs_f64() * 1e9 / f64::from(goes)
}

// === impl Nanoseconds ===

impl Nanoseconds {
    fn of(goes: Vec<f64>, units: f64) -> Self {
        let (best, median) = best_and_median(goes);
        Self { best: best / units, median: median / units }
    }
}

fn best_and_median(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    (at(0), at(values.len() / 2))
}
