//! Alerts that somebody has set: a metric beyond a threshold, told by enough sessions, at certain times of the day, and
//! not again for a while. Pure.

use serde::{Deserialize, Serialize};

use super::metric::{Metric, Window};
use crate::filters::{ALL_TRAFFIC, Filter, FilterId};
use crate::time::{DAY, MINUTE, Minute, UnixMs};

/// An alert that somebody has set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Its own among all of them.
    pub(crate) id: u32,
    pub(crate) name: String,
    /// Name of the saved filter whose sessions it is about; none for all of them.
    #[serde(default)]
    pub(crate) filter: Option<String>,
    pub(crate) metric: Metric,
    pub(crate) condition: Condition,
    /// In the metric's unit: per cent, seconds, bit/s or a number.
    pub(crate) threshold: f64,
    /// It is told by no fewer attempts, plays at once or ended plays than that.
    #[serde(default = "default_sample_size")]
    pub(crate) sample_size: i64,
    /// Over how many minutes, the running one included.
    #[serde(default = "default_minutes")]
    pub(crate) minutes: u64,
    /// Only from then on, by UTC.
    #[serde(default)]
    pub(crate) from: Option<TimeOfDay>,
    /// Only until then, by UTC.
    #[serde(default)]
    pub(crate) until: Option<TimeOfDay>,
    /// How long it stays silent once it has spoken.
    #[serde(default = "default_cool_down")]
    pub(crate) cool_down_minutes: u64,
    #[serde(default)]
    pub(crate) priority: Priority,
}

/// On which side of the threshold it speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Condition {
    Above,
    Below,
}

/// P1 is the most urgent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Priority {
    P1,
    #[default]
    P2,
    P3,
}

/// Minutes since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct TimeOfDay(u64);

/// That it speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spoken {
    /// `9.4 > 5.0`: the value and the threshold.
    pub(crate) condition: String,
    pub(crate) samples: i64,
}

const fn default_sample_size() -> i64 {
    1
}

const fn default_minutes() -> u64 {
    5
}

const fn default_cool_down() -> u64 {
    30
}

// === impl Rule ===

impl Rule {
    /// The filter that it is about, by its number and name; `None` where there is none of that name, or where it has not
    /// counted for all of the time that begins at `from`: what it has not counted is not known.
    pub(crate) fn about<'f>(&self, saved: &'f [Filter], from: Minute) -> Option<(FilterId, &'f str)> {
        let Some(name) = &self.filter else { return Some(ALL_TRAFFIC) };
        let filter = saved.iter().find(|filter| filter.wanted.enabled && filter.wanted.name == *name)?;
        (!filter.misses_some(from)).then_some((filter.id, &filter.wanted.name))
    }

    /// Whether it speaks at `now` about what happened in its minutes. `last` is when it spoke before.
    pub(crate) fn look(&self, window: &Window, now: UnixMs, last: Option<UnixMs>) -> Option<Spoken> {
        let is_silent = last.is_some_and(|last| now < last + self.cool_down_minutes.saturating_mul(MINUTE));
        let samples = self.metric.samples(window);
        if is_silent || samples < self.sample_size || !self.is_time(now) {
            return None;
        }
        let value = self.metric.value(window)?;
        let (is_beyond, sign) = match self.condition {
            Condition::Above => (value > self.threshold, '>'),
            Condition::Below => (value < self.threshold, '<'),
        };
        is_beyond.then(|| Spoken { condition: format!("{value:.1} {sign} {:.1}", self.threshold), samples })
    }

    fn is_time(&self, now: UnixMs) -> bool {
        let at = now.0 % DAY / MINUTE;
        let from = self.from.map_or(0, |from| from.0);
        let until = self.until.map_or(24 * 60, |until| until.0);
        // A time that ends before it begins goes on over midnight.
        if from <= until { from <= at && at < until } else { at >= from || at < until }
    }
}

impl TryFrom<String> for TimeOfDay {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text
            .split_once(':')
            .and_then(|(hours, minutes)| Some((hours.parse::<u64>().ok()?, minutes.parse::<u64>().ok()?)));
        match parts {
            Some((hours, minutes)) if hours * 60 + minutes <= 24 * 60 && minutes < 60 => {
                Ok(Self(hours * 60 + minutes))
            }
            _ => Err(format!("{text:?}: expected a time of the day such as 06:30")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::figures::Figures;

    fn rule(more: serde_json::Value) -> Rule {
        let mut rule = json!({ "id": 1, "name": "n", "metric": "video_start_failures", "condition": "above", "threshold": 5.0,
            "sample_size": 25 });
        for (name, value) in more.as_object().unwrap() {
            rule[name] = value.clone();
        }
        serde_json::from_value(rule).unwrap()
    }

    fn window(attempts: i64, failures: i64) -> Window {
        let figures = Figures { attempts, start_failures_technical: failures, ..Figures::default() };
        Window { figures, peak: 0 }
    }

    fn at(hours: u64, minutes: u64) -> UnixMs {
        UnixMs(20_000 * DAY + (hours * 60 + minutes) * MINUTE)
    }

    #[rstest]
    #[case::beyond(json!({}), 100, 10, Some("10.0 > 5.0"))]
    #[case::at_the_threshold(json!({}), 100, 5, None)]
    #[case::too_few(json!({}), 24, 24, None)]
    #[case::enough(json!({}), 25, 25, Some("100.0 > 5.0"))]
    #[case::nothing(json!({ "sample_size": 0 }), 0, 0, None)]
    #[case::below(json!({ "condition": "below" }), 100, 1, Some("1.0 < 5.0"))]
    #[case::a_number(json!({ "metric": "attempts", "condition": "below", "sample_size": 0 }), 0, 0, Some("0.0 < 5.0"))]
    #[case::not_yet(json!({ "from": "13:00" }), 100, 10, None)]
    #[case::not_any_more(json!({ "until": "12:00" }), 100, 10, None)]
    #[case::over_midnight(json!({ "from": "22:00", "until": "12:01" }), 100, 10, Some("10.0 > 5.0"))]
    #[case::over_midnight_not(json!({ "from": "22:00", "until": "06:00" }), 100, 10, None)]
    fn at_noon(
        #[case] more: serde_json::Value,
        #[case] attempts: i64,
        #[case] failures: i64,
        #[case] spoken: Option<&str>,
    ) {
        let spoke = rule(more).look(&window(attempts, failures), at(12, 0), None);
        assert_eq!(spoke.as_ref().map(|spoken| spoken.condition.as_str()), spoken);
        assert!(spoke.is_none_or(|spoken| spoken.samples == attempts));
    }

    #[test]
    fn a_filter_counts_once_it_has_counted_all_the_time() {
        let wanted = json!([{ "name": "Films", "rules": { "field": "CDN", "op": "equals", "value": "x" } }]);
        let wanted = crate::filters::Wanted::read_all(&wanted).unwrap().remove(0);
        let mut saved = [Filter { id: FilterId(7), made: UnixMs(10 * MINUTE + 1), wanted }];
        let (all, films) = (rule(json!({})), rule(json!({ "filter": "Films" })));
        assert_eq!(all.about(&[], Minute(0)), Some(ALL_TRAFFIC));
        assert_eq!(films.about(&[], Minute(99)), None);
        let known: Vec<_> = (9..13).map(|from| films.about(&saved, Minute(from)).is_some()).collect();
        assert_eq!(known, [false, false, true, true]);
        assert_eq!(films.about(&saved, Minute(11)), Some((FilterId(7), "Films")));
        saved[0].wanted.enabled = false;
        assert_eq!(films.about(&saved, Minute(11)), None);
    }

    #[rstest]
    #[case("24:01")]
    #[case("9")]
    #[case("x:00")]
    #[case("12:60")]
    fn no_times_of_day(#[case] text: &str) {
        assert!(TimeOfDay::try_from(text.to_owned()).is_err());
    }

    proptest! {
        /// Over a day in which it always would, it speaks once a cool-down, beginning at once.
        #[test]
        fn cools_down(cool_down in 1_u64..600) {
            let rule = rule(json!({ "cool_down_minutes": cool_down }));
            let (mut last, mut spoken) = (None, 0);
            for minute in 0..24 * 60 {
                let now = at(0, minute);
                if rule.look(&window(100, 50), now, last).is_some() {
                    spoken += 1;
                    last = Some(now);
                }
            }
            prop_assert_eq!(spoken, (24 * 60_u64).div_ceil(cool_down));
        }

        /// What is worse than what it speaks about, it speaks about as well.
        #[test]
        fn is_monotonous(attempts in 25_i64..500, failures in 0_i64..500, more in 0_i64..100) {
            let failures = failures.min(attempts);
            let worse = (failures + more).min(attempts);
            let rule = rule(json!({}));
            let speaks = |failures| rule.look(&window(attempts, failures), at(1, 0), None).is_some();
            prop_assert!(!speaks(failures) || speaks(worse));
        }
    }
}
