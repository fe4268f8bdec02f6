//! Alerts that nobody has set: a metric that is far from what it is used to be. Pure.
//!
//! The baseline is the mean of the minutes before, and the range in which a value is usual is three standard deviations
//! to either side, at least a tenth of the mean and at least what is worth a word. Only minutes with 25 sessions or more
//! count, before and now. How far beyond the range it is says how severe. The cause is the value of a dimension that has
//! contributed most to the deviation beyond its share of the traffic.

use serde::Serialize;

use super::metric::{Metric, Window};
use crate::figures::Figures;

/// Fewest attempts, plays at once or ended plays in a minute.
pub(crate) const MIN_SAMPLES: i64 = 25;
/// Fewest minutes that make a baseline.
const MIN_BASELINE: usize = 10;
/// Standard deviations that are usual.
const USUAL: f64 = 3.0;
/// The least part of the mean that is unusual.
const LEAST_PART: f64 = 0.1;
/// How much more than its share of the traffic a value has to contribute to be the cause.
const LEAST_EXCESS: f64 = 0.1;

/// How severe an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Severity {
    Info,
    Warning,
    Critical,
}

/// That a metric is not as it is used to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Deviation {
    pub(crate) metric: Metric,
    pub(crate) value: f64,
    pub(crate) mean: f64,
    /// Usual is up to so far from the mean.
    pub(crate) range: f64,
    pub(crate) severity: Severity,
}

/// How a minute divides by the values of a dimension.
#[derive(Debug, Clone)]
pub(crate) struct Split {
    pub(crate) dimension: String,
    /// Each value with its figures.
    pub(crate) values: Vec<(String, Figures)>,
}

/// What has contributed most.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cause {
    pub(crate) dimension: String,
    pub(crate) value: String,
    /// Its part of the deviation; values that did better than usual make others' parts add up to more than 1.
    pub(crate) contribution: f64,
}

/// Looks at a minute, after those before it.
pub(crate) fn look(metric: Metric, before: &[Window], now: &Window) -> Option<Deviation> {
    let usable = |window: &&Window| metric.samples(window) >= MIN_SAMPLES;
    let values: Vec<f64> = before.iter().filter(usable).filter_map(|window| metric.value(window)).collect();
    if values.len() < MIN_BASELINE || !usable(&now) {
        return None;
    }
    let value = metric.value(now)?;
    let mean = mean(values.iter().copied());
    let deviation = self::mean(values.iter().map(|value| (value - mean).powi(2))).sqrt();
    let range = (USUAL * deviation).max(LEAST_PART * mean.abs()).max(metric.least_deviation());
    let beyond = if metric.is_worse_below() { mean - value } else { value - mean } / range;
    let severity = match beyond {
        beyond if beyond >= 3.0 => Severity::Critical,
        beyond if beyond >= 1.5 => Severity::Warning,
        beyond if beyond > 1.0 => Severity::Info,
        _ => return None,
    };
    Some(Deviation { metric, value, mean, range, severity })
}

/// Which value of which dimension has contributed most; `None` where it is all of them alike.
pub(crate) fn cause(deviation: &Deviation, splits: &[Split]) -> Option<Cause> {
    let mut best: Option<(f64, Cause)> = None;
    for Split { dimension, values } in splits {
        let parts: Vec<_> =
            values.iter().map(|(value, figures)| (value, deviation.metric.parts(figures))).collect();
        let excess = |(part, whole): (f64, f64)| {
            let excess = part - deviation.mean * whole;
            if deviation.metric.is_worse_below() { -excess } else { excess }
        };
        let all: f64 = parts.iter().map(|(_, parts)| excess(*parts)).sum();
        let wholes: f64 = parts.iter().map(|(_, (_, whole))| whole).sum();
        if all <= 0.0 || wholes <= 0.0 {
            continue;
        }
        for (value, parts) in parts {
            let contribution = excess(parts) / all;
            let score = contribution - parts.1 / wholes;
            if score > best.as_ref().map_or(LEAST_EXCESS, |(score, _)| *score) {
                let cause = Cause { dimension: dimension.clone(), value: value.clone(), contribution };
                best = Some((score, cause));
            }
        }
    }
    best.map(|(_, cause)| cause)
}

#[expect(clippy::cast_precision_loss, reason = "there are a few dozen")]
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn figures(attempts: i64, failures: i64) -> Figures {
        Figures { attempts, start_failures_technical: failures, ..Figures::default() }
    }

    fn window(attempts: i64, failures: i64) -> Window {
        Window { figures: figures(attempts, failures), peak: 0 }
    }

    #[rstest]
    #[case::as_usual(&[(100, 2); 20], (100, 2), None)]
    #[case::a_little_more(&[(100, 2); 20], (100, 4), None)]
    #[case::more(&[(100, 2); 20], (100, 5), Some(Severity::Warning))]
    #[case::much_more(&[(100, 2); 20], (100, 50), Some(Severity::Critical))]
    #[case::better_is_no_alert(&[(100, 50); 20], (100, 0), None)]
    #[case::too_few_now(&[(100, 2); 20], (24, 24), None)]
    #[case::too_short_a_past(&[(100, 2); 9], (100, 50), None)]
    #[case::too_few_before(&[(24, 1); 20], (100, 50), None)]
    #[case::used_to_vary(&[(100, 0), (100, 20), (100, 0), (100, 20), (100, 0), (100, 20), (100, 0), (100, 20), (100, 0), (100, 20)],
        (100, 35), None)]
    fn start_failures(
        #[case] before: &[(i64, i64)],
        #[case] now: (i64, i64),
        #[case] severity: Option<Severity>,
    ) {
        let before: Vec<_> = before.iter().map(|(attempts, failures)| window(*attempts, *failures)).collect();
        let found = look(Metric::VideoStartFailures, &before, &window(now.0, now.1));
        assert_eq!(found.map(|found| found.severity), severity);
    }

    #[test]
    fn a_bit_rate_that_falls() {
        let window = |rate: i64| Window {
            figures: Figures { bits: rate * 60, rated_ms: 60_000, ..Figures::default() },
            peak: 30,
        };
        let before = [window(4_000_000); 10];
        let found = look(Metric::AverageBitrate, &before, &window(1_000_000)).unwrap();
        assert_eq!((found.value, found.mean, found.severity), (1_000_000.0, 4_000_000.0, Severity::Critical));
        assert_eq!(look(Metric::AverageBitrate, &before, &window(9_000_000)), None);
    }

    fn deviation() -> Deviation {
        let metric = Metric::VideoStartFailures;
        Deviation { metric, value: 20.0, mean: 2.0, range: 2.0, severity: Severity::Critical }
    }

    #[test]
    fn the_cause_is_where_more_fails_than_its_share() {
        let named = |name: &str, attempts, failures| (name.to_owned(), figures(attempts, failures));
        let split = |dimension: &str, values| Split { dimension: dimension.to_owned(), values };
        let dimensions = [
            split("Live or VoD", vec![named("Live", 100, 20)]),
            split("CDNs", vec![named("CDN-A", 50, 19), named("CDN-B", 50, 1)]),
            split("Players", vec![named("p", 50, 10), named("q", 50, 10)]),
        ];
        let found = cause(&deviation(), &dimensions).unwrap();
        assert_eq!((found.dimension.as_str(), found.value.as_str()), ("CDNs", "CDN-A"));
        assert!((found.contribution - 1.0).abs() < 1e-9, "{found:?}");
        assert_eq!(cause(&deviation(), &dimensions[..1]), None, "all of the traffic is no cause");
        assert_eq!(cause(&deviation(), &dimensions[2..]), None, "neither is what fails alike");
    }

    proptest! {
        /// However traffic divides, contributions add up to the whole.
        #[test]
        fn the_parts_make_the_whole(values in prop::collection::vec((1_i64..200, 0_i64..200), 2..8)) {
            let values: Vec<_> = values.into_iter().map(|(attempts, failures)| (attempts, failures.min(attempts))).collect();
            let total: f64 = values.iter().map(|(attempts, failures)| {
                let (part, whole) = Metric::VideoStartFailures.parts(&figures(*attempts, *failures));
                part - 2.0 * whole
            }).sum();
            let named = |(index, (attempts, failures)): (usize, &(i64, i64))| (index.to_string(), figures(*attempts, *failures));
            let split = Split { dimension: "d".to_owned(), values: values.iter().enumerate().map(named).collect() };
            if let Some(found) = cause(&deviation(), &[split]) {
                prop_assert!(total > 0.0);
                let (attempts, failures) = values[found.value.parse::<usize>().unwrap()];
                let (part, whole) = Metric::VideoStartFailures.parts(&figures(attempts, failures));
                prop_assert!((found.contribution - (part - 2.0 * whole) / total).abs() < 1e-9);
                prop_assert!(found.contribution > 0.0);
            }
        }

        /// A past without any variation and the same again is never an alert.
        #[test]
        fn what_is_as_ever_is_no_alert(attempts in 25_i64..1000, failures in 0_i64..1000) {
            let same = window(attempts, failures.min(attempts));
            for metric in Metric::WATCHED {
                prop_assert_eq!(look(metric, &[same; 30], &same), None);
            }
        }
    }
}
