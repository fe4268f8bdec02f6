//! Distributions: which part of what was sampled lies where, as labelled values. Pure.
//!
//! Labels and parts are ours: each label is a stretch of values with its unit, each part is in per cent of the samples, so
//! that filters with more and with fewer of them compare.

use crate::sketch::{Kind, Samples, Sketches, States};

/// A distribution.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Distribution {
    pub(super) name: &'static str,
    kind: Kind,
    unit: &'static str,
    /// How much a sample counts of one unit.
    per_unit: u32,
    /// Where one stretch ends and the next one begins, as samples count.
    borders: &'static [u32],
}

const SECONDS: &[u32] = &[1_000, 2_000, 3_000, 4_000, 5_000, 10_000, 20_000, 30_000, 60_000];
const KILOBITS: &[u32] = &[500, 1_000, 2_000, 3_000, 4_000, 6_000, 8_000, 12_000, 20_000];
const PERCENT: &[u32] = &[20, 50, 100, 200, 500, 1_000, 2_000, 5_000];

/// All of them.
pub(super) const ALL: &[Distribution] = &[
    Distribution {
        name: "video_startup_time",
        kind: Kind::Startup,
        unit: "s",
        per_unit: 1000,
        borders: SECONDS,
    },
    Distribution {
        name: "video_restart_time_distribution",
        kind: Kind::Restart,
        unit: "s",
        per_unit: 1000,
        borders: SECONDS,
    },
    Distribution {
        name: "play_bitrate_distribution",
        kind: Kind::Bitrate,
        unit: "kbps",
        per_unit: 1,
        borders: KILOBITS,
    },
    Distribution {
        name: "play_buffering_ratio_distribution",
        kind: Kind::Rebuffering,
        unit: "%",
        per_unit: 100,
        borders: PERCENT,
    },
    Distribution {
        name: "play_connection_induced_rebuffering_ratio_distribution",
        kind: Kind::ConnectionRebuffering,
        unit: "%",
        per_unit: 100,
        borders: PERCENT,
    },
];

// === impl Distribution ===

impl Distribution {
    pub(super) fn from_name(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|known| known.name == name)
    }

    /// What it is made of.
    pub(super) const fn states(&self) -> States {
        States::of(self.kind)
    }

    /// Its stretches: `0-1 s`, …, `60+ s`.
    pub(super) fn labels(&self) -> Vec<String> {
        let told = |border: u32| f64::from(border) / f64::from(self.per_unit);
        let ends = self.borders.iter().map(|border| Some(*border)).chain([None]);
        let begins = std::iter::once(0).chain(self.borders.iter().copied());
        begins
            .zip(ends)
            .map(|(begin, end)| match end {
                Some(end) => format!("{}-{} {}", told(begin), told(end), self.unit),
                None => format!("{}+ {}", told(begin), self.unit),
            })
            .collect()
    }

    /// What part lies in each, in per cent.
    pub(super) fn shares(&self, sketches: &Sketches) -> Vec<f64> {
        let none = Samples::default();
        sketches.of(self.kind).unwrap_or(&none).shares(self.borders)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sketch::Sample;

    #[test]
    fn labels_and_shares() {
        let [startup, .., rebuffering] = ALL else { panic!("there are several") };
        assert_eq!(startup.labels()[..2], ["0-1 s", "1-2 s"]);
        assert_eq!(startup.labels().last().unwrap(), "60+ s");
        assert_eq!(rebuffering.labels()[..2], ["0-0.2 %", "0.2-0.5 %"]);
        let mut sketches = Sketches::default();
        for ms in [500, 1_000, 1_999, 70_000] {
            sketches.add(Sample::of(Kind::Startup, ms, 1), "");
        }
        assert_eq!(startup.shares(&sketches), [25.0, 50.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 25.0]);
        for distribution in ALL {
            assert_eq!(distribution.shares(&sketches).len(), distribution.labels().len());
            assert!(distribution.borders.is_sorted());
        }
    }
}
