//! What is asked for: read from the path and the query, and checked.

use axum::http::StatusCode;

use super::super::Failure;
use super::shape::Metric;
use crate::filters::{ALL_TRAFFIC, FilterId};
use crate::labels::{Dimension, Known, clipped};
use crate::time::{Minute, UnixMs};

/// Minutes in a day.
const DAY: u64 = 24 * 60;
/// Longest time at once, and oldest, in minutes.
const MAX_RANGE: u64 = 90 * DAY;
const MAX_AGE: u64 = 396 * DAY;
/// Most metrics of a request.
const MAX_METRICS: usize = 12;
/// Most steps of an answer.
const MAX_STEPS: u64 = 10_000;
/// Most values of a dimension that are asked for by name, and that are answered.
const MAX_VALUES: usize = 100;
const MAX_LIMIT: usize = 5_000;

/// What of a request counts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asked {
    /// With the names that the client uses.
    pub(super) metrics: Vec<(String, Metric)>,
    pub(super) filter: FilterId,
    /// The one that it is told by, or that values are chosen of.
    pub(super) dimension: Option<Dimension>,
    pub(super) is_grouped: bool,
    /// Values that are chosen; none chooses all.
    pub(super) values: Vec<String>,
    pub(super) from: Minute,
    pub(super) until: Minute,
    /// In minutes.
    pub(super) step: u64,
    pub(super) limit: usize,
    pub(super) sort_by: Option<Metric>,
    pub(super) is_ascending: bool,
}

/// The dimensions' names in paths and queries.
pub(super) const fn key(known: Known) -> &'static str {
    match known {
        Known::Cdn => "cdn",
        Known::Asset => "asset_name",
        Known::Device => "device_model",
        Known::Firmware => "firmware_version",
        Known::Subnet => "subnet",
        Known::Protocol => "streaming_protocol",
        Known::Player => "player_name",
        Known::Delivery => "live_or_vod",
        Known::Channel => "data_channel",
        Known::City => "city",
        Known::Isp => "isp",
    }
}

// === impl Asked ===

impl Asked {
    pub(super) fn read(page: &str, query: &[(String, String)], now: UnixMs) -> Result<Self, Failure> {
        let parts: Vec<_> = page.trim_end_matches('/').split('/').collect();
        let (kind, metric, group) = match parts.as_slice() {
            [kind, metric] => (*kind, *metric, None),
            [kind, metric, "group-by", dimension] => (*kind, *metric, Some(dimension_of(dimension)?)),
            [kind, metric, "group-by", "dimension-tag", tag] => {
                (*kind, *metric, Some(Dimension::Own((*tag).to_owned())))
            }
            _ => return Err(Failure::not_found()),
        };
        let is_real_time = match kind {
            "metrics" => false,
            "real-time-metrics" => true,
            _ => return Err(Failure::not_found()),
        };
        // The last one of several.
        let one = |name: &str| {
            let value = query.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            value.filter(|value| !value.is_empty())
        };
        let several = query.iter().filter(|(key, _)| key == "metric").map(|(_, value)| value.as_str());
        let names: Vec<_> = if metric == "custom-selection" { several.collect() } else { vec![metric] };
        if names.is_empty() || names.len() > MAX_METRICS {
            return Err(Failure::bad("expected 1 to 12 times metric=", "InvalidMetric"));
        }
        let metrics: Result<Vec<_>, _> = names
            .into_iter()
            .map(|name| metric_of(name).map(|metric| (name.replace('-', "_"), metric)))
            .collect();
        let filter = match one("filter_id") {
            None => ALL_TRAFFIC.0,
            Some(id) => FilterId(number(id, "filter_id")?),
        };
        let (chosen, values) = chosen(query)?;
        if let (Some(group), Some(chosen)) = (&group, &chosen) {
            if group != chosen {
                return Err(Failure::bad(
                    "one dimension at a time can be told; save a filter for the other one, see /bulk_filters/",
                    "InvalidDimension",
                ));
            }
        }
        // Who asks for minutes, and for no other range, means them here as well.
        let is_of_range = |(name, value): &(String, String)| {
            !value.is_empty() && (name == "days" || name.starts_with("start_") || name.starts_with("end_"))
        };
        let of_minutes = is_real_time || one("minutes").is_some() && !query.iter().any(is_of_range);
        let (from, until) = if of_minutes { last_minutes(&one, now)? } else { range(&one, now)? };
        let span = until.0 - from.0;
        let step = match one("granularity") {
            Some(text) => {
                let step = minutes_of(text).filter(|step| *step > 0);
                step.ok_or_else(|| {
                    Failure::bad("granularity: expected PT1M to P1D or more", "InvalidConfig")
                })?
            }
            None if span <= 180 => 1,
            None if span <= 7 * DAY => 60,
            None => DAY,
        };
        if span / step > MAX_STEPS {
            return Err(Failure::unprocessable("the range has more than 10 000 steps of that granularity"));
        }
        let limit = match one("limit") {
            None => MAX_LIMIT,
            Some(text) => number::<usize>(text, "limit")?.clamp(1, MAX_LIMIT),
        };
        Ok(Self {
            metrics: metrics?,
            filter,
            is_grouped: group.is_some(),
            dimension: group.or(chosen),
            values,
            from,
            until,
            step,
            limit,
            sort_by: one("sort_by").map(metric_of).transpose()?,
            is_ascending: match one("order") {
                None | Some("desc") => false,
                Some("asc") => true,
                Some(_) => return Err(Failure::bad("order: expected asc or desc", "InvalidConfig")),
            },
        })
    }

    /// The values that are chosen, if any.
    pub(super) fn only(&self) -> Option<&[String]> {
        Some(self.values.as_slice()).filter(|values| !values.is_empty())
    }
}

fn metric_of(name: &str) -> Result<Metric, Failure> {
    Metric::from_name(&name.replace('_', "-"))
        .ok_or_else(|| Failure::bad(format!("there is no metric {:?}", clipped(name, 60)), "InvalidMetric"))
}

fn dimension_of(name: &str) -> Result<Dimension, Failure> {
    let name = name.replace('-', "_");
    let known = Known::ALL.into_iter().find(|known| key(*known) == name);
    known.map(Dimension::Known).ok_or_else(|| {
        Failure::bad(format!("there is no dimension {:?}", clipped(&name, 60)), "InvalidDimension")
    })
}

/// The dimension that values are chosen of, and these. Parameters that are none of ours are left alone.
fn chosen(query: &[(String, String)]) -> Result<(Option<Dimension>, Vec<String>), Failure> {
    let (mut dimension, mut values) = (None, Vec::new());
    for (name, value) in query {
        let found = match name.strip_prefix("tag_") {
            Some(tag) => Some(Dimension::Own(tag.to_owned())),
            None => Known::ALL.into_iter().find(|known| key(*known) == name).map(Dimension::Known),
        };
        let Some(found) = found else { continue };
        if dimension.as_ref().is_some_and(|before| *before != found) {
            let message =
                "values of one dimension at a time can be chosen; save a filter, see /bulk_filters/";
            return Err(Failure::bad(message, "InvalidDimension"));
        }
        dimension = Some(found);
        values.push(value.clone());
    }
    if values.len() > MAX_VALUES {
        return Err(Failure::bad("at most 100 values can be chosen", "InvalidDimension"));
    }
    Ok((dimension, values))
}

fn last_minutes<'q>(
    one: &impl Fn(&str) -> Option<&'q str>,
    now: UnixMs,
) -> Result<(Minute, Minute), Failure> {
    let minutes: u64 = one("minutes").map_or(Ok(5), |text| number(text, "minutes"))?;
    if !(1..=15).contains(&minutes) {
        return Err(Failure::bad("minutes: expected 1 to 15", "InvalidConfig"));
    }
    let until = now.minute().0 + 1;
    Ok((Minute(until - minutes), Minute(until)))
}

fn range<'q>(one: &impl Fn(&str) -> Option<&'q str>, now: UnixMs) -> Result<(Minute, Minute), Failure> {
    let until = moment(one, "end")?;
    let from = moment(one, "start")?;
    let now = now.minute().0 + 1;
    let days: u64 = one("days").map_or(Ok(1), |text| number(text, "days"))?;
    let until = until.unwrap_or(now);
    let from = from.unwrap_or_else(|| until.saturating_sub(days.saturating_mul(DAY)));
    if from >= until {
        return Err(Failure::bad("the end has to be after the start, and days at least 1", "InvalidConfig"));
    }
    if until - from > MAX_RANGE {
        return Err(Failure::unprocessable("the range is longer than 90 days"));
    }
    if from < now.saturating_sub(MAX_AGE) {
        return Err(Failure::unprocessable("the range begins more than 13 months ago"));
    }
    Ok((Minute(from), Minute(until)))
}

/// A moment in one of three ways, in minutes since 1970.
fn moment<'q>(one: &impl Fn(&str) -> Option<&'q str>, name: &str) -> Result<Option<u64>, Failure> {
    let wrong = |name: String| {
        Failure::bad(
            format!("{name}: expected a date such as 2026-01-31, or whole seconds or ms"),
            "InvalidConfig",
        )
    };
    if let Some(date) = one(&format!("{name}_date")) {
        let day = day(date).ok_or_else(|| wrong(format!("{name}_date")))?;
        return Ok(Some(day * DAY));
    }
    for (unit, per_minute) in [("epoch", 60), ("epoch_ms", 60_000)] {
        let name = format!("{name}_{unit}");
        if let Some(text) = one(&name) {
            let number: u64 = text.parse().map_err(|_| wrong(name))?;
            // Far enough for anybody, and no overflow behind it.
            return Ok(Some((number / per_minute).min(1 << 40)));
        }
    }
    Ok(None)
}

/// A date by ISO 8601, in days since 1970. Years are counted from March, so that the leap day comes last in its year.
fn day(text: &str) -> Option<u64> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    days.checked_sub(719_468)
}

/// A duration by ISO 8601, weeks to minutes, in whole minutes.
fn minutes_of(text: &str) -> Option<u64> {
    let (date, time) = text.strip_prefix('P')?.split_once('T').unwrap_or((text.get(1..)?, ""));
    let mut sum = 0_u64;
    for (part, units) in [(date, [('W', 7 * DAY), ('D', DAY)]), (time, [('H', 60), ('M', 1)])] {
        let mut rest = part;
        for (unit, minutes) in units {
            if let Some((count, behind)) = rest.split_once(unit) {
                sum = sum.checked_add(count.parse::<u64>().ok()?.checked_mul(minutes)?)?;
                rest = behind;
            }
        }
        if !rest.is_empty() {
            return None;
        }
    }
    Some(sum)
}

fn number<T: std::str::FromStr>(text: &str, name: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::bad(format!("{name}: expected a whole number"), "InvalidConfig"))
}

// === impl Failure ===

impl Failure {
    fn unprocessable(message: &str) -> Self {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        Self { status, message: message.to_owned(), reason: "InvalidConfig" }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// 2023-11-14 22:13:20.
    const NOW: UnixMs = UnixMs(1_700_000_000_000);

    fn read(page: &str, query: &str) -> Result<Asked, Failure> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let pairs: Vec<_> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Asked::read(page, &pairs, NOW)
    }

    #[rstest]
    #[case("metrics/plays", "", 1440, 60)]
    #[case("metrics/plays", "days=90", 90 * 1440, 1440)]
    #[case("metrics/plays", "days=2&granularity=PT15M", 2880, 15)]
    #[case("metrics/plays", "minutes=5", 5, 1)]
    #[case("metrics/plays", "minutes=5&days=2", 2880, 60)]
    #[case("metrics/plays", "start_epoch=1699990000&end_epoch=1699993600", 60, 1)]
    #[case("metrics/plays", "start_epoch_ms=1699990000000&end_epoch=1699993600", 60, 1)]
    #[case("metrics/plays", "start_date=2023-11-01&end_date=2023-11-03", 2880, 60)]
    #[case("real-time-metrics/plays", "", 5, 1)]
    #[case("real-time-metrics/plays", "minutes=15&granularity=PT5M", 15, 5)]
    fn ranges(#[case] page: &str, #[case] query: &str, #[case] minutes: u64, #[case] step: u64) {
        let asked = read(page, query).unwrap();
        assert_eq!((asked.until.0 - asked.from.0, asked.step), (minutes, step));
    }

    #[rstest]
    #[case("metrics/plays", "days=91", 422, "longer than 90 days")]
    #[case("metrics/plays", "start_date=2022-10-01&end_date=2022-10-02", 422, "13 months")]
    #[case("metrics/plays", "days=30&granularity=PT1M", 422, "10 000 steps")]
    #[case("metrics/plays", "start_date=yesterday", 400, "start_date")]
    #[case("metrics/plays", "start_epoch=2&end_epoch=1", 400, "after the start")]
    #[case("metrics/plays", "granularity=P1M", 400, "granularity")]
    #[case("metrics/plays", "order=up", 400, "order")]
    #[case("metrics/plays", "cdn=a&player_name=b", 400, "save a filter")]
    #[case("metrics/plays/group-by/cdn", "player_name=b", 400, "save a filter")]
    #[case("metrics/plays/group-by/weather", "", 400, "no dimension")]
    #[case("metrics/views", "", 400, "no metric")]
    #[case("metrics/custom-selection", "", 400, "1 to 12")]
    #[case("real-time-metrics/plays", "minutes=16", 400, "1 to 15")]
    #[case("metrics/plays", "minutes=16", 400, "1 to 15")]
    #[case("past-metrics/plays", "", 404, "nothing is here")]
    #[case("metrics", "", 404, "nothing is here")]
    fn what_makes_no_sense(#[case] page: &str, #[case] query: &str, #[case] status: u16, #[case] told: &str) {
        let failure = read(page, query).unwrap_err();
        assert!(failure.status == status && failure.message.contains(told), "{failure:?}");
    }

    #[test]
    fn metrics_keep_the_names_that_they_are_asked_by() {
        let query =
            "metric=exits-before-video-start&metric=exit_before_video_starts&metric=bitrate&cdn=a&cdn=b";
        let asked = read("metrics/custom-selection/group-by/cdn", query).unwrap();
        let names: Vec<_> = asked.metrics.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["exits_before_video_start", "exit_before_video_starts", "bitrate"]);
        assert_eq!(asked.metrics[0].1, asked.metrics[1].1);
        assert_eq!((asked.is_grouped, asked.values.len()), (true, 2));
        assert_eq!(asked.dimension, Some(Dimension::Known(Known::Cdn)));
    }

    #[rstest]
    #[case("1970-01-01", Some(0))]
    #[case("2000-02-29", Some(11_016))]
    #[case("2023-11-14", Some(19_675))]
    #[case("2100-03-01", Some(47_541))]
    #[case("1969-12-31", None)]
    #[case("2023-13-01", None)]
    #[case("2023-11", None)]
    fn dates(#[case] text: &str, #[case] days: Option<u64>) {
        assert_eq!(day(text), days);
    }

    #[rstest]
    #[case("PT1M", Some(1))]
    #[case("PT1H30M", Some(90))]
    #[case("P1DT1H", Some(1500))]
    #[case("P1W", Some(10_080))]
    #[case("P1M", None)]
    #[case("1M", None)]
    #[case("PT99999999999999999999H", None)]
    #[case("P", Some(0))]
    fn durations(#[case] text: &str, #[case] minutes: Option<u64>) {
        assert_eq!(minutes_of(text), minutes);
    }
}
