//! A store that is full: what questions, memory and a restart take then.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::{Collector, Goal, Row, ask, median, scratch};
use crate::footprint::number;
use crate::{run, ui};

/// A MetricLens of 24 hours: each metric of it by the values of a dimension.
const LENS: &str = "\
metric=attempts&metric=plays&metric=ended-plays&metric=exit-before-video-starts&metric=video-start-failures&\
metric=video-start-time&metric=rebuffering-ratio&metric=connection-induced-rebuffering-ratio&metric=bitrate&\
metric=video-playback-failures&metric=video-restart-time&metric=concurrent-plays";

/// Dimensions, and how many values they have.
const DIMENSIONS: [(&str, &str); 3] = [
    ("a MetricLens over 24 h by asset (200 values)", "asset_name"),
    ("the same by subnet (391 values)", "subnet"),
    ("the same by data channel (1 value)", "data_channel"),
];
/// What tools that poll the older API ask for: the last hour.
const HOUR: &str =
    "/insights/2.6/metrics.json?metrics=quality_metriclens&account=1&filter_ids=1&metriclens_dimension_id=12";

pub(super) fn measure(program: &Path, rounds: usize, sessions: u64) -> Result<Vec<Row>, String> {
    let data = scratch("bench-store")?;
    let _ = std::fs::remove_dir_all(&data);
    let rows = ui::step("sessions, through book and store", || {
        let mut fill = Command::new(program);
        fill.args(["bench-fill", "--sessions", &sessions.to_string(), "--data"]).arg(&data);
        run::told(&mut fill)
    })
    .and_then(|told| {
        print!("  {told}");
        of_store(program, &data, rounds, sessions)
    });
    let _ = std::fs::remove_dir_all(&data);
    rows
}

/// Of a store that is full.
pub(super) fn of_store(
    program: &Path,
    data: &Path,
    rounds: usize,
    sessions: u64,
) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    let mut starts = Vec::new();
    for round in 0..=rounds {
        let collector = Collector::start(program, data)?;
        let took = collector.took.as_secs_f64();
        collector.stop()?;
        // The first one writes what the filling has left in the log.
        if round > 0 {
            starts.push(took);
        }
    }
    rows.push(median("from its start to its first answer", "s", starts, Some(Goal::AtMost(2.0))));

    let collector = Collector::start(program, data)?;
    for (what, dimension) in DIMENSIONS {
        let path = format!(
            "/insights/3.0/metrics/custom-selection/group-by/{dimension}?days=1&granularity=P1D&{LENS}"
        );
        rows.push(median(what, "ms", times(&collector, &path, rounds)?, Some(Goal::AtMost(200.0))));
    }
    rows.push(median(
        "a MetricLens over the last hour by asset",
        "ms",
        times(&collector, HOUR, rounds)?,
        None,
    ));
    let status = PathBuf::from(format!("/proc/{}/status", collector.process.pid()));
    let most = Some(Goal::AtMost(150.0));
    rows.push(single(
        "memory after these questions (RSS)",
        "MB",
        f64::from(number(&status, "VmRSS:")?) / 1000.0,
        most,
    ));
    rows.push(single("most memory it ever had", "MB", f64::from(number(&status, "VmHWM:")?) / 1000.0, most));
    collector.stop()?;

    let bytes = size(data)?;
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let each = bytes as f64 / sessions as f64;
    rows.push(single("the store for each session, sums and time lines included", "bytes", each, None));
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    rows.push(single("the whole store", "MB", bytes as f64 / 1e6, None));
    Ok(rows)
}

/// How long each answer takes, in ms; the first question is for caches.
fn times(collector: &Collector, path: &str, rounds: usize) -> Result<Vec<f64>, String> {
    let mut times = Vec::new();
    for round in 0..=rounds {
        let asked = Instant::now();
        let answer = ask(collector.address, path)?;
        if answer.as_object().is_none_or(serde_json::Map::is_empty) {
            return Err(format!("{path}: nothing is answered: {answer}"));
        }
        if round > 0 {
            times.push(asked.elapsed().as_secs_f64() * 1000.0);
        }
    }
    Ok(times)
}

fn single(what: &str, unit: &'static str, value: f64, goal: Option<Goal>) -> Row {
    Row { what: what.to_owned(), value, unit, quartiles: None, goal }
}

fn size(directory: &Path) -> Result<u64, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let metadata = entry.metadata().map_err(failed)?;
        bytes += if metadata.is_dir() { size(&entry.path())? } else { metadata.len() };
    }
    Ok(bytes)
}
