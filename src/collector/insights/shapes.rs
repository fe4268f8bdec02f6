//! The shapes of answers: series in time, single values, labelled values, tables by the values of a dimension.
//!
//! Pure. Values are plain numbers, never `null` and never text; timestamps are in ms.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value, json};

use super::Version;
use crate::figures::Figures;
use crate::time::Minute;

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    /// A value a minute.
    Series(Series),
    /// A value in all.
    Simple(Series),
    /// Each quality metric in all.
    Summary,
    /// Quality metrics of each value of a dimension.
    QualityLens,
    /// Audience metrics of each value of a dimension.
    AudienceLens,
}

/// What has one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Series {
    Attempts,
    AverageBitrate,
    ConcurrentPlays,
    ExitsBeforeStart,
    Plays,
    RebufferedPlays,
    RebufferingRatio,
    StartFailures,
    EndedPlays,
    ConnectionRebufferingRatio,
    PlaybackFailures,
    RestartTime,
    FrameRate,
}

/// What bit rates are told in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Units {
    Bits,
    Kilobits,
}

const TIME_SERIES: &[(&str, Series)] = &[
    ("attempts", Series::Attempts),
    ("avg_bitrate", Series::AverageBitrate),
    ("concurrent_plays", Series::ConcurrentPlays),
    ("exits_before_video_start", Series::ExitsBeforeStart),
    ("plays", Series::Plays),
    ("rebuffered_plays", Series::RebufferedPlays),
    ("rebuffering_ratio", Series::RebufferingRatio),
    ("video_start_failures", Series::StartFailures),
    ("ended_plays_timeseries", Series::EndedPlays),
    ("connection_induced_rebuffering_ratio_timeseries", Series::ConnectionRebufferingRatio),
    ("video_playback_failures_timeseries", Series::PlaybackFailures),
    ("video_restart_time_timeseries", Series::RestartTime),
    // Ours.
    ("average_frame_rate", Series::FrameRate),
];
const SIMPLE_SERIES: &[(&str, Series)] = &[
    ("ended_plays", Series::EndedPlays),
    ("connection_induced_rebuffering_ratio", Series::ConnectionRebufferingRatio),
    ("video_playback_failures", Series::PlaybackFailures),
    ("video_restart_time", Series::RestartTime),
];
const SUMMARY: &str = "quality_summary";
const QUALITY_LENS: &str = "quality_metriclens";
const AUDIENCE_LENS: &str = "audience_metriclens";

/// Columns of a quality table, in order.
const QUALITY: [&str; 11] = [
    "Attempts",
    "Video Start Failures",
    "Exits Before Video Start",
    "Plays",
    "Video Startup Time",
    "Rebuffering Ratio",
    "Average Bitrate",
    "Video Playback Failures",
    "Ended Plays",
    "Connection Induced Rebuffering Ratio",
    "Video Restart Time",
];
/// Columns that version 2.6 has besides.
const QUALITY_26: [&str; 4] = [
    "Video Start Failures Technical",
    "Video Start Failures Business",
    "Video Playback Failures Technical",
    "Video Playback Failures Business",
];

// === impl Metric ===

impl Metric {
    pub(super) fn from_name(name: &str) -> Option<Self> {
        let find = |table: &[(&str, Series)]| {
            table.iter().find(|(known, _)| *known == name).map(|(_, series)| *series)
        };
        match name {
            SUMMARY => Some(Self::Summary),
            QUALITY_LENS => Some(Self::QualityLens),
            AUDIENCE_LENS => Some(Self::AudienceLens),
            _ => find(TIME_SERIES).map(Self::Series).or_else(|| find(SIMPLE_SERIES).map(Self::Simple)),
        }
    }

    pub(super) fn name(self) -> String {
        let find = |table: &[(&str, Series)], series| {
            table.iter().find(|(_, known)| *known == series).map_or("", |(name, _)| name).to_owned()
        };
        match self {
            Self::Series(series) => find(TIME_SERIES, series),
            Self::Simple(series) => find(SIMPLE_SERIES, series),
            Self::Summary => SUMMARY.to_owned(),
            Self::QualityLens => QUALITY_LENS.to_owned(),
            Self::AudienceLens => AUDIENCE_LENS.to_owned(),
        }
    }
}

// === impl Series ===

impl Series {
    fn value(self, figures: &Figures, units: Units) -> Value {
        match self {
            Self::Attempts => figures.attempts.into(),
            Self::AverageBitrate => number(match units {
                Units::Bits => figures.bitrate(),
                Units::Kilobits => figures.bitrate() / 1000.0,
            }),
            Self::ConcurrentPlays => figures.concurrent_plays().into(),
            Self::ExitsBeforeStart => number(figures.percent_of_attempts(figures.exits_before_start)),
            Self::Plays => figures.plays.into(),
            Self::RebufferedPlays => figures.rebuffered_plays.into(),
            Self::RebufferingRatio => number(figures.rebuffering_ratio()),
            Self::StartFailures => number(figures.percent_of_attempts(figures.start_failures())),
            Self::EndedPlays => figures.ended_plays.into(),
            Self::ConnectionRebufferingRatio => number(figures.connection_rebuffering_ratio()),
            Self::PlaybackFailures => number(figures.percent_of_ended(figures.play_failures())),
            Self::RestartTime => number(figures.restart_seconds()),
            Self::FrameRate => number(figures.frame_rate()),
        }
    }

    /// One value for each minute, those without anything in them included.
    pub(super) fn time_line(
        self,
        minutes: &[(Minute, Figures)],
        from: Minute,
        until: Minute,
        units: Units,
        filters: &[String],
    ) -> Value {
        let known: BTreeMap<_, _> = minutes.iter().map(|(minute, figures)| (*minute, figures)).collect();
        let none = Figures::default();
        let all = || (from.0..until.0).map(Minute);
        let values: Vec<_> =
            all().map(|minute| self.value(known.get(&minute).copied().unwrap_or(&none), units)).collect();
        let timestamps: Vec<_> = all().map(|minute| minute.start().0).collect();
        json!({
            "type": "time_series",
            "meta": {},
            "timestamps": timestamps,
            "filters": for_each(filters, &Value::Array(values)),
        })
    }

    /// One value in all.
    pub(super) fn single(self, values: &[(String, Figures)], units: Units, filters: &[String]) -> Value {
        let value = self.value(&sum(values), units);
        json!({ "type": "simple_series", "meta": {}, "filters": for_each(filters, &json!([value])) })
    }
}

/// Each quality metric in all.
pub(super) fn summary(values: &[(String, Figures)], version: Version, filters: &[String]) -> Value {
    let names: Vec<_> = QUALITY.iter().chain(QUALITY_26.iter().filter(|_| version == Version::V26)).collect();
    let row = Value::Array(quality_row(&sum(values), version));
    json!({ "type": "label_series", "meta": {}, "xvalues": names, "filters": for_each(filters, &row) })
}

/// A row of quality metrics for each value of a dimension.
pub(super) fn quality(values: &[(String, Figures)], version: Version, filters: &[String]) -> Value {
    let rows = values.iter().map(|(_, figures)| quality_row(figures, version));
    table(values.iter().map(|(name, _)| name), rows, quality_row(&sum(values), version), filters)
}

/// A row of audience metrics for each value of a dimension; the peak of all together is not known from theirs, so that
/// column of the total is their largest.
pub(super) fn audience(values: &[(String, Figures)], peaks: &[(String, i64)], filters: &[String]) -> Value {
    let peaks: BTreeMap<_, _> = peaks.iter().map(|(name, peak)| (name, *peak)).collect();
    let row =
        |peak: i64, figures: &Figures| vec![peak.into(), figures.plays.into(), figures.ended_plays.into()];
    let rows =
        values.iter().map(|(name, figures)| row(peaks.get(name).copied().unwrap_or_default(), figures));
    let total = row(peaks.values().copied().max().unwrap_or_default(), &sum(values));
    table(values.iter().map(|(name, _)| name), rows, total, filters)
}

fn table<'v>(
    names: impl Iterator<Item = &'v String>,
    rows: impl Iterator<Item = Vec<Value>>,
    total: Vec<Value>,
    filters: &[String],
) -> Value {
    let (names, rows): (Vec<_>, Vec<_>) = (names.collect(), rows.collect());
    let table = json!({ "rows": rows, "total_row": total });
    json!({ "type": "metriclens", "meta": {}, "xvalues": names, "tables": for_each(filters, &table) })
}

fn quality_row(figures: &Figures, version: Version) -> Vec<Value> {
    let of_attempts = |count| number(figures.percent_of_attempts(count));
    let of_ended = |count| number(figures.percent_of_ended(count));
    let mut row = vec![
        figures.attempts.into(),
        of_attempts(figures.start_failures()),
        of_attempts(figures.exits_before_start),
        of_attempts(figures.plays),
        number(figures.startup_seconds()),
        number(figures.rebuffering_ratio()),
        number(figures.bitrate()),
        of_ended(figures.play_failures()),
        figures.ended_plays.into(),
        number(figures.connection_rebuffering_ratio()),
        number(figures.restart_seconds()),
    ];
    if version == Version::V26 {
        row.extend([
            of_attempts(figures.start_failures_technical),
            of_attempts(figures.start_failures_business),
            of_ended(figures.play_failures_technical),
            of_ended(figures.play_failures_business),
        ]);
    }
    row
}

fn for_each(filters: &[String], value: &Value) -> Map<String, Value> {
    filters.iter().map(|filter| (filter.clone(), value.clone())).collect()
}

fn sum(values: &[(String, Figures)]) -> Figures {
    values.iter().fold(Figures::default(), |mut sum, (_, figures)| {
        sum += *figures;
        sum
    })
}

/// To four decimals; 0 for what is no number.
fn number(value: f64) -> Value {
    let rounded = (value * 10_000.0).round() / 10_000.0;
    Number::from_f64(rounded).map_or_else(|| 0.into(), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Figures {
        Figures {
            attempts: 200,
            plays: 191,
            exits_before_start: 6,
            start_failures_technical: 2,
            start_failures_business: 1,
            ended_plays: 150,
            play_failures_technical: 3,
            startup_ms: 401_100,
            startups: 191,
            playing_ms: 99_200,
            rebuffering_ms: 400,
            seek_buffering_ms: 400,
            bits: 4_200_000,
            rated_ms: 1_000,
            restart_ms: 2_400,
            restarts: 2,
            ..Figures::default()
        }
    }

    #[test]
    fn a_quality_table() {
        let table = quality(&[("CDN-A".to_owned(), figures())], Version::V24, &["1".to_owned()]);
        let row = "[200,1.5,3.0,95.5,2.1,0.8,4200000.0,2.0,150,0.4,1.2]";
        let expected = format!(
            r#"{{"meta":{{}},"tables":{{"1":{{"rows":[{row}],"total_row":{row}}}}},"type":"metriclens","xvalues":["CDN-A"]}}"#
        );
        assert_eq!(table.to_string(), expected);
    }

    #[test]
    fn version_2_6_tells_business_from_technology() {
        let (old, new) = (quality_row(&figures(), Version::V24), quality_row(&figures(), Version::V26));
        assert_eq!(new.get(..old.len()), Some(&old[..]));
        assert_eq!(Value::from(new[old.len()..].to_vec()).to_string(), "[1.0,0.5,2.0,0.0]");
    }

    #[test]
    fn a_time_series() {
        let minutes = [(Minute(28_333_334), figures())];
        let (from, until) = (Minute(28_333_333), Minute(28_333_335));
        let line = Series::Attempts.time_line(&minutes, from, until, Units::Bits, &["1".to_owned()]);
        let expected = r#"{"filters":{"1":[0,200]},"meta":{},"timestamps":[1699999980000,1700000040000],"type":"time_series"}"#;
        assert_eq!(line.to_string(), expected);
        let kilobits = Series::AverageBitrate.value(&figures(), Units::Kilobits);
        assert_eq!(kilobits, json!(4200.0));
    }

    #[test]
    fn names_go_both_ways() {
        let names = TIME_SERIES.iter().chain(SIMPLE_SERIES).map(|(name, _)| *name);
        for name in names.chain([SUMMARY, QUALITY_LENS, AUDIENCE_LENS]) {
            assert_eq!(Metric::from_name(name).unwrap().name(), name);
        }
        assert_eq!(Metric::from_name("views"), None);
    }
}
