//! What the page is told, made of what the store tells. Pure.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::figures::Figures;
use crate::labels::{Dimension, Labels};
use crate::session::{Outcome, Session};
use crate::sketch::{Kind, Sketches};
use crate::store::{BoxSeen, Interface};
use crate::time::{MINUTE, Minute, UnixMs};

/// Most points of a plot; of a longer time each stands for several minutes.
const MAX_POINTS: u64 = 360;

/// What is drawn over time.
const SERIES: [&str; 12] = [
    "attempts",
    "plays",
    "ended_plays",
    "start_failures",
    "exits_before_start",
    "play_failures",
    "startup_s",
    "restart_s",
    "rebuffering",
    "connection_rebuffering",
    "bitrate",
    "frame_rate",
];

/// All sessions together, from a minute until another one.
pub(super) fn overview(
    minutes: &[(Minute, Figures)],
    sketches: &Sketches,
    from: Minute,
    until: Minute,
    running: usize,
    now: UnixMs,
) -> Value {
    let length = until.0.saturating_sub(from.0).max(1);
    let step = length.div_ceil(MAX_POINTS);
    let points = usize::try_from(length.div_ceil(step)).unwrap_or(0);
    let mut sums = vec![(Figures::default(), 0); points];
    let mut total = (Figures::default(), 0);
    for (minute, figures) in minutes {
        let place = minute.0.checked_sub(from.0).map(|at| usize::try_from(at / step).unwrap_or(usize::MAX));
        let Some((sum, peak)) = place.and_then(|place| sums.get_mut(place)) else { continue };
        *sum += *figures;
        total.0 += *figures;
        *peak = figures.concurrent_plays().max(*peak);
        total.1 = total.1.max(*peak);
    }
    let mut series = Map::new();
    let peaks: Vec<_> = sums.iter().map(|(_, peak)| *peak).collect();
    series.insert("concurrent_plays".to_owned(), peaks.into());
    let mut totals = Map::new();
    totals.insert("concurrent_plays".to_owned(), total.1.into());
    for name in SERIES {
        let values: Vec<_> = sums.iter().map(|(figures, _)| plain(metric(name, figures))).collect();
        series.insert(name.to_owned(), values.into());
        totals.insert(name.to_owned(), plain(metric(name, &total.0)));
    }
    let plays = of(total.0.attempts, total.0.percent_of_attempts(total.0.plays));
    totals.insert("plays_percent".to_owned(), plain(plays));
    let startup = |part| Some(sketches.of(Kind::Startup)?.quantile(part)? / 1000.0);
    totals.insert("startup_median_s".to_owned(), plain(startup(0.5)));
    totals.insert("startup_p95_s".to_owned(), plain(startup(0.95)));
    totals.insert("devices".to_owned(), sketches.devices().into());
    json!({
        "now": now.0,
        "running": running,
        "from": from.start().0,
        "step": step * MINUTE,
        "series": series,
        "totals": totals,
    })
}

/// One of [`SERIES`]; nothing where there is nothing to make it of.
fn metric(name: &str, figures: &Figures) -> Option<f64> {
    match name {
        "attempts" => Some(count(figures.attempts)),
        "plays" => Some(count(figures.plays)),
        "ended_plays" => Some(count(figures.ended_plays)),
        "start_failures" => of(figures.attempts, figures.percent_of_attempts(figures.start_failures())),
        "exits_before_start" => of(figures.attempts, figures.percent_of_attempts(figures.exits_before_start)),
        "play_failures" => of(figures.ended_plays, figures.percent_of_ended(figures.play_failures())),
        "startup_s" => of(figures.startups, figures.startup_seconds()),
        "restart_s" => of(figures.restarts, figures.restart_seconds()),
        "rebuffering" => of(watched(figures), figures.rebuffering_ratio()),
        "connection_rebuffering" => of(watched(figures), figures.connection_rebuffering_ratio()),
        "bitrate" => of(figures.rated_ms, figures.bitrate()),
        "frame_rate" => of(figures.frames_ms, figures.frame_rate()),
        _ => None,
    }
}

/// One session.
pub(super) fn session(session: &Session) -> Value {
    let total = &session.total;
    json!({
        "key": session.key.0,
        "device": session.device,
        "start": session.start.0,
        "joined": session.joined.map(|joined| joined.0),
        "told": session.told.0,
        "ended": session.end.map(|end| end.at.0),
        "by_silence": session.end.is_some_and(|end| end.by_silence),
        "outcome": session.end.map(|end| outcome(end.outcome)),
        "missing": session.missing(),
        "labels": labels(&session.labels),
        "playing_ms": total.playing_ms,
        "rebuffering_ms": total.rebuffering_ms,
        "seek_buffering_ms": total.seek_buffering_ms,
        "seeks": total.restarts,
        "frames_dropped": total.frames_dropped,
        "startup_s": plain(of(total.startups, total.startup_seconds())),
        "rebuffering": plain(of(watched(total), total.rebuffering_ratio())),
        "bitrate": plain(of(total.rated_ms, total.bitrate())),
        "frame_rate": plain(of(total.frames_ms, total.frame_rate())),
    })
}

/// Boxes and their interfaces.
pub(super) fn fleet(boxes: &[BoxSeen], interfaces: &[Interface], now: UnixMs) -> Value {
    let mut by_box: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for interface in interfaces {
        by_box.entry(&interface.device).or_default().push(interface_row(interface));
    }
    let mut rows: Vec<_> = boxes
        .iter()
        .map(|seen| {
            json!({
                "device": seen.device,
                "sessions": seen.sessions,
                "running": seen.running,
                "newest": seen.newest.0,
                "interfaces": by_box.remove(seen.device.as_str()).unwrap_or_default(),
            })
        })
        .collect();
    // Those that have told of interfaces and of nothing else.
    rows.extend(by_box.into_iter().map(|(device, interfaces)| {
        json!({ "device": device, "sessions": 0, "running": 0, "newest": null, "interfaces": interfaces })
    }));
    json!({ "now": now.0, "boxes": rows })
}

/// The last measurement, and what went through since the one before: nothing where counters began anew.
fn interface_row(interface: &Interface) -> Value {
    let mut row = interface.last.clone();
    let rate = |name: &str| {
        let before = interface.before.as_ref()?;
        let counted = |report: &Value| report.get("stat")?.get(name)?.as_u64();
        let measured = |report: &Value| report.get("timestamp")?.as_u64();
        let seconds = measured(&interface.last)?.checked_sub(measured(before)?)?;
        let bytes = counted(&interface.last)?.checked_sub(counted(before)?)?;
        bytes.saturating_mul(8).checked_div(seconds)
    };
    let (received, sent) = (rate("received_bytes"), rate("sent_bytes"));
    if let Some(row) = row.as_object_mut() {
        row.insert("received_rate".to_owned(), received.into());
        row.insert("sent_rate".to_owned(), sent.into());
    }
    row
}

const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Played => "played",
        Outcome::PlayFailed { business: false } => "playback failed",
        Outcome::PlayFailed { business: true } => "playback failed (business)",
        Outcome::Left => "left before start",
        Outcome::StartFailed { business: false } => "start failed",
        Outcome::StartFailed { business: true } => "start failed (business)",
    }
}

fn labels(labels: &Labels) -> Map<String, Value> {
    let named = labels.all().filter_map(|(dimension, value)| {
        let name = match dimension {
            Dimension::All => return None,
            Dimension::Known(known) => known.name().to_owned(),
            Dimension::Own(name) => name,
        };
        Some((name, value.into()))
    });
    named.collect()
}

const fn watched(figures: &Figures) -> i64 {
    figures.playing_ms.saturating_add(figures.rebuffering_ms).saturating_add(figures.seek_buffering_ms)
}

/// A metric, where there is something that it is made of.
fn of(whole: i64, metric: f64) -> Option<f64> {
    (whole > 0).then_some(metric)
}

#[expect(clippy::cast_precision_loss, reason = "it is drawn")]
const fn count(count: i64) -> f64 {
    count as f64
}

/// To four decimals.
fn plain(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| ((value * 10_000.0).round() / 10_000.0).into())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn figures(attempts: i64, running: i64) -> Figures {
        Figures { attempts, running: [running; 6], ..Figures::default() }
    }

    #[test]
    fn an_hour_minute_by_minute() {
        let minutes =
            [(Minute(100), figures(3, 2)), (Minute(102), figures(1, 1)), (Minute(200), figures(9, 9))];
        let told = overview(&minutes, &Sketches::default(), Minute(100), Minute(103), 5, UnixMs(7));
        assert_eq!(told["step"], 60_000);
        assert_eq!(told["from"], 6_000_000);
        assert_eq!(told["series"]["attempts"], json!([3.0, 0.0, 1.0]));
        assert_eq!(told["series"]["concurrent_plays"], json!([2, 0, 1]));
        assert_eq!(told["series"]["start_failures"], json!([0.0, null, 0.0]));
        assert_eq!(told["series"]["bitrate"], json!([null, null, null]));
        assert_eq!(
            (&told["totals"]["attempts"], &told["totals"]["concurrent_plays"]),
            (&json!(4.0), &json!(2))
        );
    }

    #[test]
    fn a_week_in_few_points_loses_nothing() {
        let week = 7 * 24 * 60;
        let minutes: Vec<_> = (0..week).map(|minute| (Minute(minute), figures(1, 4))).collect();
        let told = overview(&minutes, &Sketches::default(), Minute(0), Minute(week), 0, UnixMs(0));
        let points = told["series"]["attempts"].as_array().unwrap();
        assert!(points.len() <= 360);
        let sum: f64 = points.iter().map(|point| point.as_f64().unwrap()).sum();
        assert_eq!(sum, 10_080.0);
        assert_eq!(told["totals"]["concurrent_plays"], 4, "peaks are not added up");
    }

    #[rstest]
    #[case(Some((90, 1_000)), json!(800))]
    #[case::counters_began_anew(Some((90, 9_000)), json!(null))]
    #[case::twice_in_a_second(Some((100, 1_000)), json!(null))]
    #[case::the_first(None, json!(null))]
    fn rates(#[case] before: Option<(u64, u64)>, #[case] expected: Value) {
        let report = |at: u64, bytes: u64| json!({ "timestamp": at, "name": "eth0", "stat": { "received_bytes": bytes } });
        let interface = Interface {
            device: "box".to_owned(),
            last: report(100, 2_000),
            before: before.map(|(at, bytes)| report(at, bytes)),
        };
        assert_eq!(interface_row(&interface)["received_rate"], expected);
    }

    #[test]
    fn boxes_that_tell_of_interfaces_alone_are_there_too() {
        let seen = BoxSeen { device: "a".to_owned(), sessions: 2, running: 1, newest: UnixMs(5) };
        let interface = Interface { device: "b".to_owned(), last: json!({ "name": "eth0" }), before: None };
        let told = fleet(&[seen], &[interface], UnixMs(9));
        assert_eq!(told["boxes"][0]["running"], 1);
        assert_eq!(told["boxes"][1]["device"], "b");
        assert_eq!(told["boxes"][1]["interfaces"][0]["name"], "eth0");
    }
}
