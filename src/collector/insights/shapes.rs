//! The shapes of answers: series in time, single values, labelled values; tables by the values of a
//! dimension are in [`lens`].
//!
//! Pure. Values are plain numbers, never `null` and never text; timestamps are in ms.

mod lens;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Number, Value, json};

pub(super) use self::lens::{audience, quality};
use super::Version;
use super::distribution::Distribution;
use crate::figures::Figures;
use crate::sketch::Sketches;
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
    /// The assets with most plays.
    TopAssets,
    /// What part of samples lies where.
    Distribution(&'static Distribution),
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

/// What the store tells of a filter; what a metric does not need is empty.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub(super) filter: String,
    /// Of all values together.
    pub(super) minutes: Vec<(Minute, Figures)>,
    /// Of each value of a dimension.
    pub(super) values: Vec<(String, Figures)>,
    pub(super) peaks: Vec<(String, i64)>,
    /// Of all values together.
    pub(super) sketches: Sketches,
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
const TOP_ASSETS: &str = "top_assets_summary";
/// How many assets are the top ones.
const TOP: usize = 10;
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
            TOP_ASSETS => Some(Self::TopAssets),
            QUALITY_LENS => Some(Self::QualityLens),
            AUDIENCE_LENS => Some(Self::AudienceLens),
            _ => find(TIME_SERIES)
                .map(Self::Series)
                .or_else(|| find(SIMPLE_SERIES).map(Self::Simple))
                .or_else(|| Distribution::from_name(name).map(Self::Distribution)),
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
            Self::TopAssets => TOP_ASSETS.to_owned(),
            Self::Distribution(distribution) => distribution.name.to_owned(),
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
    pub(super) fn time_line(self, told: &[Told], from: Minute, until: Minute, units: Units) -> Value {
        let none = Figures::default();
        let all = || (from.0..until.0).map(Minute);
        let line = |told: &Told| -> Value {
            let known: BTreeMap<_, _> =
                told.minutes.iter().map(|(minute, figures)| (*minute, figures)).collect();
            all().map(|minute| self.value(known.get(&minute).copied().unwrap_or(&none), units)).collect()
        };
        let timestamps: Vec<_> = all().map(|minute| minute.start().0).collect();
        json!({ "type": "time_series", "meta": {}, "timestamps": timestamps, "filters": for_each(told, line) })
    }

    /// One value in all.
    pub(super) fn single(self, told: &[Told], units: Units) -> Value {
        let value = |told: &Told| json!([self.value(&told.sum(), units)]);
        json!({ "type": "simple_series", "meta": {}, "filters": for_each(told, value) })
    }
}

// === impl Told ===

impl Told {
    fn sum(&self) -> Figures {
        self.values.iter().fold(Figures::default(), |mut sum, (_, figures)| {
            sum += *figures;
            sum
        })
    }

    fn by_value(&self) -> HashMap<&str, &Figures> {
        self.values.iter().map(|(value, figures)| (value.as_str(), figures)).collect()
    }
}

/// Each quality metric in all.
pub(super) fn summary(told: &[Told], version: Version) -> Value {
    let names: Vec<_> = QUALITY.iter().chain(QUALITY_26.iter().filter(|_| version == Version::V26)).collect();
    let row = |told: &Told| lens::quality_row(&told.sum(), version).into();
    json!({ "type": "label_series", "meta": {}, "xvalues": names, "filters": for_each(told, row) })
}

/// What part of samples lies where, in per cent.
pub(super) fn distribution(told: &[Told], distribution: &Distribution) -> Value {
    let row = |told: &Told| distribution.shares(&told.sketches).into_iter().map(number).collect();
    json!({ "type": "label_series", "meta": {}, "xvalues": distribution.labels(), "filters": for_each(told, row) })
}

/// Plays of those assets that have most of them.
pub(super) fn top_assets(told: &[Told]) -> Value {
    let mut plays: BTreeMap<&str, i64> = BTreeMap::new();
    for (value, figures) in told.iter().flat_map(|told| &told.values) {
        let sum = plays.entry(value).or_default();
        *sum = sum.saturating_add(figures.plays);
    }
    let mut names: Vec<_> = plays.into_iter().filter(|(_, plays)| *plays > 0).collect();
    names.sort_by_key(|(name, plays)| (Reverse(*plays), *name));
    let names: Vec<_> = names.into_iter().take(TOP).map(|(name, _)| name).collect();
    let row = |told: &Told| -> Value {
        let figures = told.by_value();
        names.iter().map(|name| figures.get(name).map_or(0, |figures| figures.plays)).collect()
    };
    json!({ "type": "label_series", "meta": {}, "xvalues": names, "filters": for_each(told, row) })
}

fn for_each(told: &[Told], value: impl Fn(&Told) -> Value) -> Map<String, Value> {
    told.iter().map(|told| (told.filter.clone(), value(told))).collect()
}

/// To four decimals; 0 for what is no number.
pub(super) fn number(value: f64) -> Value {
    let rounded = (value * 10_000.0).round() / 10_000.0;
    Number::from_f64(rounded).map_or_else(|| 0.into(), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::insights::distribution;

    pub(super) fn figures() -> Figures {
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

    pub(super) fn told(filter: &str, values: &[&str]) -> Told {
        let values = values.iter().map(|value| ((*value).to_owned(), figures())).collect();
        Told { filter: filter.to_owned(), values, ..Told::default() }
    }

    #[test]
    fn tables_of_several_filters_have_the_same_rows() {
        let table = quality(&[told("1", &["A", "B"]), told("7", &["B"])], Version::V24);
        assert_eq!(table["xvalues"], json!(["A", "B"]));
        let rows = table["tables"]["7"]["rows"].as_array().unwrap();
        assert_eq!((rows.len(), &rows[0][0], &rows[1][0]), (2, &json!(0), &json!(200)));
        let top = top_assets(&[told("1", &["A", "B"]), told("7", &["B"])]);
        assert_eq!(top["xvalues"], json!(["B", "A"]));
        assert_eq!(top["filters"], json!({ "1": [191, 191], "7": [191, 0] }));
    }

    #[test]
    fn a_time_series() {
        let told = Told { minutes: vec![(Minute(28_333_334), figures())], ..told("1", &[]) };
        let (from, until) = (Minute(28_333_333), Minute(28_333_335));
        let line = Series::Attempts.time_line(&[told], from, until, Units::Bits);
        let expected = r#"{"filters":{"1":[0,200]},"meta":{},"timestamps":[1699999980000,1700000040000],"type":"time_series"}"#;
        assert_eq!(line.to_string(), expected);
        let kilobits = Series::AverageBitrate.value(&figures(), Units::Kilobits);
        assert_eq!(kilobits, json!(4200.0));
    }

    #[test]
    fn names_go_both_ways() {
        let names = TIME_SERIES.iter().chain(SIMPLE_SERIES).map(|(name, _)| *name);
        let distributions = distribution::ALL.iter().map(|distribution| distribution.name);
        for name in names.chain(distributions).chain([SUMMARY, TOP_ASSETS, QUALITY_LENS, AUDIENCE_LENS]) {
            assert_eq!(Metric::from_name(name).unwrap().name(), name);
        }
        assert_eq!(Metric::from_name("views"), None);
    }
}
