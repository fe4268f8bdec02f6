//! Tables by the values of a dimension: MetricLens.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Told, for_each, number};
use crate::figures::Figures;
use crate::insights::Version;

/// A row of quality metrics for each value of a dimension.
pub(in super::super) fn quality(told: &[Told], version: Version) -> Value {
    table(told, |_, _, figures| quality_row(figures, version), |told| quality_row(&told.sum(), version))
}

/// A row of audience metrics for each value of a dimension. The peak of all together does not follow from theirs, which may
/// be of other moments: the minutes tell it.
pub(in super::super) fn audience(told: &[Told]) -> Value {
    let row =
        |peak: i64, figures: &Figures| vec![peak.into(), figures.plays.into(), figures.ended_plays.into()];
    let peak_of = |told: &Told, value: &str| {
        told.peaks.iter().find(|(name, _)| name == value).map_or(0, |(_, peak)| (*peak).max(0))
    };
    table(
        told,
        |told, value, figures| row(peak_of(told, value), figures),
        |told| {
            let peaks = told.minutes.iter().map(|(_, figures)| figures.concurrent_plays());
            row(peaks.max().unwrap_or_default(), &told.sum())
        },
    )
}

/// Rows for the same values in each filter's table: 0 where one does not have it.
fn table(
    told: &[Told],
    row: impl Fn(&Told, &str, &Figures) -> Vec<Value>,
    total: impl Fn(&Told) -> Vec<Value>,
) -> Value {
    let names: BTreeSet<_> =
        told.iter().flat_map(|told| &told.values).map(|(name, _)| name.as_str()).collect();
    let none = Figures::default();
    let of = |told: &Told| {
        let figures = told.by_value();
        let rows: Vec<_> =
            names.iter().map(|name| row(told, name, figures.get(name).copied().unwrap_or(&none))).collect();
        json!({ "rows": rows, "total_row": total(told) })
    };
    json!({ "type": "metriclens", "meta": {}, "xvalues": names, "tables": for_each(told, of) })
}

pub(super) fn quality_row(figures: &Figures, version: Version) -> Vec<Value> {
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

#[cfg(test)]
mod tests {
    use super::super::tests::{figures, told};
    use super::*;
    use crate::time::Minute;

    #[test]
    fn a_quality_table() {
        let table = quality(&[told("1", &["CDN-A"])], Version::V24);
        let row = "[200,1.5,3.0,95.5,2.1,0.8,4200000.0,2.0,150,0.4,1.2]";
        let expected = format!(
            r#"{{"meta":{{}},"tables":{{"1":{{"rows":[{row}],"total_row":{row}}}}},"type":"metriclens","xvalues":["CDN-A"]}}"#
        );
        assert_eq!(table.to_string(), expected);
    }

    /// Two were watched at other times than a third.
    #[test]
    fn the_peak_of_all_together_is_neither_the_sum_of_peaks_nor_the_largest() {
        let minute = |at, running| (Minute(at), Figures { running, ..Figures::default() });
        let told = Told {
            minutes: vec![minute(1, [0, 7, 2, 0, 0, 0]), minute(2, [4, 0, 0, 0, 0, 0])],
            peaks: [("A", 4), ("B", 3), ("C", 4)].map(|(value, peak)| (value.to_owned(), peak)).to_vec(),
            ..told("1", &["A", "B", "C"])
        };
        let table = &audience(&[told])["tables"]["1"];
        assert_eq!(table["rows"], json!([[4, 191, 150], [3, 191, 150], [4, 191, 150]]));
        assert_eq!(table["total_row"], json!([7, 573, 450]));
    }

    #[test]
    fn version_2_6_tells_business_from_technology() {
        let (old, new) = (quality_row(&figures(), Version::V24), quality_row(&figures(), Version::V26));
        assert_eq!(new.get(..old.len()), Some(&old[..]));
        assert_eq!(Value::from(new[old.len()..].to_vec()).to_string(), "[1.0,0.5,2.0,0.0]");
    }
}
