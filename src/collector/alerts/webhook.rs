//! What a webhook is told, and when it is tried again. Pure.

use serde_json::{Value, json};

use super::ai::{Cause, Deviation};
use super::manual::{Rule, Spoken};
use crate::filters::FilterId;

/// From one try to the next, in ms: the first is at once.
const TRIES: [u64; 4] = [10_000, 15_000, 90_000, 180_000];

/// When it is tried again after so many tries; `None` where it is given up.
pub(super) fn next_try(tries: u32) -> Option<u64> {
    TRIES.get(usize::try_from(tries).ok()?.checked_sub(1)?).copied()
}

/// An alert that somebody has set.
pub(super) fn manual(rule: &Rule, filter: (FilterId, &str), spoken: &Spoken, event: &str) -> Value {
    let (filter, filter_name) = filter;
    json!({
        "alert_id": rule.id,
        "event_id": event,
        "alert_name": rule.name,
        "priority": rule.priority,
        "filter_name": filter_name,
        "filter_id": filter.0.to_string(),
        "metric_name": rule.metric.name(),
        "condition": spoken.condition,
        "sample_size": spoken.samples,
        "custom_fields": {},
    })
}

/// An alert that nobody has set; `at` is its time as text, `devices` how many boxes began a session since then.
pub(super) fn ai(
    deviation: &Deviation,
    cause: Option<&Cause>,
    event: &str,
    at: &str,
    account: &str,
    devices: i64,
) -> Value {
    let root_cause = cause.map_or_else(
        || "All Traffic".to_owned(),
        |cause| format!("{}: {} ({:.0} %)", cause.dimension, cause.value, cause.contribution * 100.0),
    );
    let (low, high) = (deviation.mean - deviation.range, deviation.mean + deviation.range);
    json!({
        "value": round(deviation.value),
        "source": "stbeacon-collector",
        "version": env!("CARGO_PKG_VERSION"),
        "event_id": event,
        "severity": deviation.severity.name(),
        "alert_time": at,
        "root_cause": root_cause,
        "metric_name": deviation.metric.name(),
        "account_name": format!("c3.{account}"),
        "alert_source": "AI Alert",
        "custom_fields": { "baseline": round(deviation.mean), "usual_from": round(low.max(0.0)), "usual_to": round(high) },
        "cumulative_impacted_unique_devices": devices,
    })
}

fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::super::ai::Severity;
    use super::super::metric::Metric;
    use super::*;
    use crate::filters::ALL_TRAFFIC;

    #[test]
    fn five_tries_in_five_minutes() {
        let waits: Vec<_> = (1..10).map_while(next_try).collect();
        assert_eq!(waits, [10_000, 15_000, 90_000, 180_000]);
        assert_eq!(next_try(5), None);
    }

    #[test]
    fn bodies() {
        let rule: Rule =
            serde_json::from_value(json!({ "id": 7, "name": "Starts", "metric": "video_start_failures",
            "condition": "above", "threshold": 5, "priority": "P1" }))
            .unwrap();
        let spoken = Spoken { condition: "9.4 > 5.0".to_owned(), samples: 30 };
        let expected = json!({ "alert_id": 7, "event_id": "3", "alert_name": "Starts", "priority": "P1",
            "filter_name": "All Traffic", "filter_id": "1", "metric_name": "Video Start Failures",
            "condition": "9.4 > 5.0", "sample_size": 30, "custom_fields": {} });
        assert_eq!(manual(&rule, ALL_TRAFFIC, &spoken, "3"), expected);
        let of_films = manual(&rule, (FilterId(12), "Films"), &spoken, "3");
        assert_eq!((&of_films["filter_name"], &of_films["filter_id"]), (&json!("Films"), &json!("12")));

        let metric = Metric::VideoStartFailures;
        let deviation =
            Deviation { metric, value: 20.0, mean: 2.0, range: 3.0, severity: Severity::Critical };
        let cause = Cause { dimension: "CDNs".to_owned(), value: "CDN-A".to_owned(), contribution: 0.98 };
        let body = ai(&deviation, Some(&cause), "4", "2026-03-01T12:34:56.789Z", "acme", 17);
        let expected = json!({ "value": 20.0, "source": "stbeacon-collector", "version": env!("CARGO_PKG_VERSION"),
            "event_id": "4", "severity": "critical", "alert_time": "2026-03-01T12:34:56.789Z",
            "root_cause": "CDNs: CDN-A (98 %)", "metric_name": "Video Start Failures", "account_name": "c3.acme",
            "alert_source": "AI Alert", "cumulative_impacted_unique_devices": 17,
            "custom_fields": { "baseline": 2.0, "usual_from": 0.0, "usual_to": 5.0 } });
        assert_eq!(body, expected);
    }
}
