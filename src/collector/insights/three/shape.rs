//! The shape of answers: steps in time, each with its metrics or with those of each value of a dimension.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Map, Value, json};

use super::super::shapes::number;
use super::query::{Asked, key};
use crate::figures::Figures;
use crate::filters::{ALL_TRAFFIC, Filter};
use crate::labels::Dimension;
use crate::sketch::{Kind, Samples, Sketches, States};
use crate::store::{Cell, Sketched};
use crate::time::{self, Minute};
use crate::utc::utc_text;

/// What is told of a value of a dimension, in a step or in all.
#[derive(Debug, Default)]
struct One {
    figures: Figures,
    /// Empty where no metric needs them.
    sketches: Sketches,
}

/// What the store tells.
#[derive(Debug, Default)]
pub(super) struct Told {
    steps: BTreeMap<Minute, HashMap<String, One>>,
    /// Of the whole time.
    totals: HashMap<String, One>,
}

macro_rules! metrics {
    ($($metric:ident $($name:literal)|+,)*) => {
        /// What can be asked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Metric { $($metric),* }

        impl Metric {
            /// By its name in paths.
            pub(super) fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($($name)|+ => Some(Self::$metric),)*
                    _ => None,
                }
            }

            /// Their names; of those with several the first.
            #[cfg(test)]
            pub(super) const NAMES: &[&[&str]] = &[$(&[$($name),+]),*];
        }
    };
}

metrics! {
    Attempts "attempts",
    Plays "plays",
    ConcurrentPlays "concurrent-plays",
    EndedPlays "ended-plays",
    ExitsBeforeStart "exit-before-video-starts" | "exits-before-video-start",
    StartFailures "video-start-failures",
    StartFailuresTechnical "video-start-failures-technical",
    StartFailuresBusiness "video-start-failures-business",
    StartTime "video-start-time",
    RebufferingRatio "rebuffering-ratio",
    ConnectionRebufferingRatio "connection-induced-rebuffering-ratio",
    RebufferedPlays "rebuffered-plays",
    Bitrate "bitrate" | "average-bitrate",
    PlaybackFailures "video-playback-failures",
    PlaybackFailuresTechnical "video-playback-failures-technical",
    PlaybackFailuresBusiness "video-playback-failures-business",
    RestartTime "video-restart-time",
    FrameRate "average-frame-rate" | "frame-rate",
    UniqueDevices "unique-devices",
}

// === impl Metric ===

impl Metric {
    /// What it needs beside sums.
    pub(super) const fn states(self) -> States {
        match self {
            Self::EndedPlays | Self::UniqueDevices => States::DEVICES,
            Self::StartTime => States::of(Kind::Startup),
            Self::RestartTime => States::of(Kind::Restart),
            _ => States::NONE,
        }
    }

    fn value(self, of: &One) -> Value {
        let (of, sketches) = (&of.figures, &of.sketches);
        let share = |count: i64, percentage: f64| json!({ "count": count, "percentage": number(percentage) });
        let of_attempts = |count| share(count, of.percent_of_attempts(count));
        let of_ended = |count| share(count, of.percent_of_ended(count));
        match self {
            Self::Attempts => json!({ "count": of.attempts }),
            Self::Plays => of_attempts(of.plays),
            Self::ConcurrentPlays => json!({ "count": of.concurrent_plays() }),
            Self::EndedPlays => {
                json!({ "count": of.ended_plays, "per_unique_device": number(each(of.ended_plays, sketches.devices())) })
            }
            Self::ExitsBeforeStart => of_attempts(of.exits_before_start),
            Self::StartFailures => of_attempts(of.start_failures()),
            Self::StartFailuresTechnical => of_attempts(of.start_failures_technical),
            Self::StartFailuresBusiness => of_attempts(of.start_failures_business),
            Self::StartTime => seconds(of.startup_seconds(), sketches.of(Kind::Startup)),
            Self::RebufferingRatio => json!({ "ratio": number(of.rebuffering_ratio()) }),
            Self::ConnectionRebufferingRatio => json!({ "ratio": number(of.connection_rebuffering_ratio()) }),
            Self::RebufferedPlays => json!({ "count": of.rebuffered_plays }),
            Self::Bitrate => json!({ "bps": number(of.bitrate()) }),
            Self::PlaybackFailures => of_ended(of.play_failures()),
            Self::PlaybackFailuresTechnical => of_ended(of.play_failures_technical),
            Self::PlaybackFailuresBusiness => of_ended(of.play_failures_business),
            Self::RestartTime => seconds(of.restart_seconds(), sketches.of(Kind::Restart)),
            Self::FrameRate => json!({ "value": number(of.frame_rate()) }),
            Self::UniqueDevices => json!({ "count": sketches.devices() }),
        }
    }

    /// What values are put in order by: the main number of it.
    fn rank(self, of: &One) -> f64 {
        let value = self.value(of);
        ["count", "ratio", "bps", "value"]
            .into_iter()
            .find_map(|name| value.get(name)?.as_f64())
            .unwrap_or(0.0)
    }
}

/// A mean, and percentiles where there are samples.
fn seconds(mean: f64, samples: Option<&Samples>) -> Value {
    let mut told = json!({ "value": number(mean) });
    if let (Some(samples), Some(told)) = (samples, told.as_object_mut()) {
        let percentile = |part| number(samples.quantile(part).unwrap_or_default() / 1000.0);
        told.insert("p50".to_owned(), percentile(0.5));
        told.insert("p95".to_owned(), percentile(0.95));
    }
    told
}

#[expect(clippy::cast_precision_loss, reason = "a quotient is for people and statistics")]
fn each(count: i64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { count as f64 / of as f64 }
}

/// Puts sums and sketches together.
pub(super) fn told(cells: Vec<Cell>, totals: Vec<Cell>, sketched: Vec<Sketched>) -> Told {
    let mut told = Told::default();
    for cell in cells {
        told.steps.entry(cell.at).or_default().entry(cell.value).or_default().figures = cell.figures;
    }
    for cell in totals {
        told.totals.entry(cell.value).or_default().figures = cell.figures;
    }
    for Sketched { at, value, sketches } in sketched {
        told.totals.entry(value.clone()).or_default().sketches.merge(&sketches);
        told.steps.entry(at).or_default().entry(value).or_default().sketches = sketches;
    }
    told
}

/// All of it.
pub(super) fn answer(asked: &Asked, filter: Option<&Filter>, all: &Told) -> Value {
    let metrics = |of: &One| -> Value {
        let all = asked.metrics.iter().map(|(name, metric)| (name.clone(), metric.value(of)));
        Value::Object(all.collect::<Map<_, _>>())
    };
    let none = One::default();
    let nothing = HashMap::new();
    let values = in_order(asked, &all.totals);
    let told = |found: &HashMap<String, One>| -> (&'static str, Value) {
        if !asked.is_grouped {
            return ("metrics", metrics(found.values().next().unwrap_or(&none)));
        }
        let rows = values.iter().filter_map(|value| {
            let one = found.get(*value)?;
            Some(json!({ "dimension": dimension(asked, value), "metrics": metrics(one) }))
        });
        ("dimensional_data", rows.collect())
    };
    let first = asked.from.0 - asked.from.0 % asked.step;
    let starts = (first..asked.until.0).step_by(usize::try_from(asked.step).unwrap_or(usize::MAX));
    let line: Vec<_> = starts
        .map(|at| {
            let (name, told) = told(all.steps.get(&Minute(at)).unwrap_or(&nothing));
            let start = Minute(at).start();
            json!({ "timestamp": { "epoch_ms": start.0, "iso_date": utc_text(UNIX_EPOCH + Duration::from_millis(start.0)) }, name: told })
        })
        .collect();
    let (name, total) = told(&all.totals);
    json!({ "_meta": meta(asked, filter), "total": { name: total }, "time_series": line })
}

fn meta(asked: &Asked, filter: Option<&Filter>) -> Value {
    let mut about = json!({
        "id": asked.filter.0.to_string(),
        "name": filter.map_or(ALL_TRAFFIC.1, |filter| filter.wanted.name.as_str()),
    });
    if let (Some(filter), Some(about)) = (filter, about.as_object_mut()) {
        about.insert("warming_up".to_owned(), filter.is_warming_up(time::now().minute()).into());
        about.insert("incomplete_data".to_owned(), filter.misses_some(asked.from).into());
    }
    let mut meta = json!({ "filter_info": about });
    if let (true, Some(dimension), Some(meta)) = (asked.is_grouped, &asked.dimension, meta.as_object_mut()) {
        let description = match dimension {
            Dimension::Known(known) => known.title(),
            Dimension::Own(name) => name,
            Dimension::All => "",
        };
        meta.insert("group_by_dimension".to_owned(), json!({ "description": description }));
    }
    meta
}

fn dimension(asked: &Asked, value: &str) -> Value {
    let key = match &asked.dimension {
        Some(Dimension::Known(known)) => key(*known),
        Some(Dimension::Own(name)) => name,
        Some(Dimension::All) | None => "",
    };
    json!({ "key": key, "value": value })
}

/// The values that are told, as they are to be told: by a metric over the whole time, attempts if none is named.
fn in_order<'t>(asked: &Asked, totals: &'t HashMap<String, One>) -> Vec<&'t str> {
    let by = asked.sort_by.unwrap_or(Metric::Attempts);
    let is_wanted = |(value, _): &(&String, &One)| asked.only().is_none_or(|only| only.contains(value));
    let mut ranked: Vec<_> =
        totals.iter().filter(is_wanted).map(|(value, one)| (by.rank(one), value.as_str())).collect();
    ranked.sort_by(|(one, one_name), (other, other_name)| {
        let order = one.total_cmp(other);
        let order = if asked.is_ascending { order } else { order.reverse() };
        order.then_with(|| one_name.cmp(other_name))
    });
    ranked.into_iter().take(asked.limit).map(|(_, value)| value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_found_and_has_a_number() {
        for names in Metric::NAMES {
            let metric = Metric::from_name(names.first().unwrap()).unwrap();
            assert!(names.iter().all(|name| Metric::from_name(name) == Some(metric)));
            let value = metric.value(&One::default());
            assert!(value.as_object().unwrap().values().all(Value::is_number), "{names:?}: {value}");
        }
    }
}
