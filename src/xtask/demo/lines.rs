//! `cargo xtask demo --lines`: a play-back with all that can happen in one, beside the lines that tell of it.

use std::process::Command;

use stbeacon_core::line::keys::{Event, Metric};
use stbeacon_tests::show::{Finding, Performance, perform};
use stbeacon_tests::{Artifacts, ReceivedLine, Said, Way};

use super::text;
use crate::{run, ui};

/// Keys of a line that the time line shows: what has happened since the line before.
const SHOWN: [Metric; 12] = [
    Metric::PlayerState,
    Metric::StartupTime,
    Metric::PlayClockTime,
    Metric::RebufferCount,
    Metric::RebufferTime,
    Metric::PauseCount,
    Metric::PauseDuration,
    Metric::SeekCount,
    Metric::SeekIntervals,
    Metric::TransitionUpSwitchCount,
    Metric::TransitionDownSwitchCount,
    Metric::EndReasonCode,
];

/// Those that are left out where they are 0.
const COUNTS: [Metric; 7] = [
    Metric::RebufferCount,
    Metric::RebufferTime,
    Metric::PauseCount,
    Metric::PauseDuration,
    Metric::SeekCount,
    Metric::TransitionUpSwitchCount,
    Metric::TransitionDownSwitchCount,
];

/// Plays it, shows it, and says how many things are not as they were done.
pub(super) fn demo(way: Way) -> Result<(), String> {
    ui::title("Playing");
    println!(
        "  HLS on demand, three renditions, from a local server; an application with playbin, under the tracer.\n"
    );
    let performance = perform(way, true, |step| println!("  {step} …")).map_err(text)?;

    ui::title("What was done, and the lines that arrived");
    timeline(&performance);

    ui::title("The busiest line, decoded by `stbeacon line decode`");
    let busiest = performance.lines.iter().filter(|line| event(line) == Some(Event::Playing));
    if let Some(line) = busiest.max_by_key(|line| line.target.len()) {
        println!("\n  GET {}\n", line.target);
        let daemon = Artifacts::find().and_then(|artifacts| artifacts.daemon()).map_err(text)?;
        run::visibly(Command::new(daemon).args(["line", "decode", &line.target]))?;
    }

    ui::title("Done and reported");
    let findings = performance.findings();
    println!("  {:28} {:>20}   {:>20}", "", "done", "reported");
    findings.iter().for_each(show);
    let wrong = findings.iter().filter(|finding| !finding.right).count();
    if wrong == 0 {
        println!(
            "\n{} the lines say what was done, within the samplers' grain of 500 ms.",
            ui::green("Right:")
        );
        Ok(())
    } else {
        Err(format!("{wrong} things are not as they were done"))
    }
}

fn show(finding: &Finding) {
    let Finding { what, done, reported, right } = finding;
    let mark = if *right { ui::green("✓") } else { ui::red("✗") };
    println!("  {what:28} {done:>20}   {reported:>20} {mark}");
}

/// Everything in the order in which it happened, by the clock of the attempt.
fn timeline(performance: &Performance) {
    let opened = performance.opened();
    let clock = |at: u64| at.saturating_sub(opened);
    let mut rows: Vec<(u64, String)> = Vec::new();
    rows.extend(performance.network.iter().map(|(at, what)| (clock(*at), what.clone())));
    rows.extend(performance.said.iter().filter_map(|said| Some((clock(said.at), deed(said)?))));
    rows.extend(performance.lines.iter().map(|line| {
        let at = line.integer(Metric::CurrentClockTime).unwrap_or(0);
        (at, format!("{:34} {}", "", ui::bold(&summary(line))))
    }));
    rows.sort_by_key(|(at, _)| *at);
    for (at, what) in rows {
        println!("  {:3}.{:03}  {what}", at / 1000, at % 1000);
    }
}

/// What the player or its viewer did; `None` for what is of no interest.
fn deed(said: &Said) -> Option<String> {
    let at = said.position.map_or_else(String::new, |ms| format!(" at {:.1} s", ms as f64 / 1000.0));
    match said.what.as_str() {
        "where" | "paused" => None,
        "seek" => said.to.map(|to| format!("seek{at} to {:.1} s", to as f64 / 1000.0)),
        "filling" => Some(format!("the buffer is empty{at}")),
        "filled" => Some("the buffer is full".to_owned()),
        what => Some(format!("{what}{at}")),
    }
}

fn event(line: &ReceivedLine) -> Option<Event> {
    line.read().ok()?.event()
}

/// `P e=3 dx=10 m=PL x=7827 …`
fn summary(line: &ReceivedLine) -> String {
    let Ok(read) = line.read() else { return line.target.clone() };
    let mut words = vec![read.value(Metric::EventCode).unwrap_or("?").to_owned()];
    for metric in [Metric::SequenceId, Metric::LogInterval].into_iter().chain(SHOWN) {
        let value = read.value(metric).filter(|value| !(COUNTS.contains(&metric) && *value == "0"));
        let is_start = event(line) != Some(Event::PlayStart) && metric == Metric::StartupTime;
        if let Some(value) = value.filter(|_| !is_start) {
            words.push(format!("{}={value}", metric.key()));
        }
    }
    words.join(" ")
}
