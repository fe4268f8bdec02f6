//! What is added up: the sums of one session, of one minute, of one value of a dimension, and the metrics made of
//! them.
//!
//! All figures are sums of whole numbers, so that they merge in any order and in any grouping without loss. A metric
//! is a quotient of two of them and is made last, when it is asked for.
//!
//! | metric | of |
//! |---|---|
//! | attempts, plays, EBVS, VSF, VPF, ended plays | counts; technical and business failures apart |
//! | VST, VRT | Σ ms / Σ count |
//! | rebuffering ratio | (rebuffering + seek buffering) / (playing + both) |
//! | CIRR | rebuffering / (playing + rebuffering + seek buffering) |
//! | average bit rate | Σ bit / Σ s played at a known rate |
//! | frame rate | Σ frames / Σ s played while frames were told |
//! | concurrent plays | the largest of the samples taken every ten seconds |

use std::ops::{AddAssign, Neg, Sub};

use serde::{Deserialize, Serialize};

use crate::time::LONGEST;

/// Highest bit rate that is believed, in bits a millisecond: 1 Gbit/s.
const MOST_BITS: i64 = 1_000_000;

/// How often in a minute it is looked who plays.
pub(crate) const SAMPLES: usize = 6;

macro_rules! figures {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Sums.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default)]
        pub(crate) struct Figures {
            // Most are 0 in most sessions: what is not written is 0 when it is read.
            $($(#[$doc])* #[serde(skip_serializing_if = "is_nothing")] pub(crate) $name: i64,)*
            /// Plays that run at the first millisecond of each ten seconds of a minute; for a session it is how
            /// often it was seen.
            #[serde(skip_serializing_if = "is_nothing")]
            pub(crate) running: [i64; SAMPLES],
        }

        impl Figures {
            /// Names of the sums, `running` left out.
            pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// The sums in the order of [`Figures::NAMES`], and then `running`.
            pub(crate) fn values(&self) -> impl Iterator<Item = i64> + use<> {
                [$(self.$name),*].into_iter().chain(self.running)
            }

            /// From what [`Figures::values`] gives; what is missing is 0.
            pub(crate) fn from_values(values: impl IntoIterator<Item = i64>) -> Self {
                let mut values = values.into_iter();
                let mut next = || values.next().unwrap_or_default();
                Self { $($name: next(),)* running: std::array::from_fn(|_| next()) }
            }

            /// Each sum of two, by a function; `running` is left 0.
            fn each(&self, of: impl Fn(i64) -> i64) -> Self {
                Self { $($name: of(self.$name),)* running: [0; SAMPLES] }
            }
        }

        impl AddAssign for Figures {
            fn add_assign(&mut self, other: Self) {
                $(self.$name = self.$name.saturating_add(other.$name);)*
                for (sum, more) in self.running.iter_mut().zip(other.running) {
                    *sum = sum.saturating_add(more);
                }
            }
        }
    };
}

figures! {
    /// Sessions that began.
    attempts,
    /// Sessions that showed a first picture.
    plays,
    /// Sessions that ended before a first picture and without a fatal error.
    exits_before_start,
    /// Sessions that ended before a first picture with a fatal error that no business rule names.
    start_failures_technical,
    /// The same, with an error that a business rule names.
    start_failures_business,
    /// Sessions that ended after a first picture.
    ended_plays,
    /// Those of them that a fatal error ended that no business rule names.
    play_failures_technical,
    /// Those of them that a fatal error ended that a business rule names.
    play_failures_business,
    /// From attempts to first pictures, in ms, ads and waiting for the viewer left out.
    startup_ms,
    /// How many plays that is the sum of.
    startups,
    /// Time played, in ms.
    playing_ms,
    /// Time spent waiting for data in mid-play, in ms, seeks left out.
    rebuffering_ms,
    /// Time from seeks until it played again, in ms, as far as the picture stood.
    seek_buffering_ms,
    /// Bits of what was played: bit rate × time.
    bits,
    /// Time played at a known bit rate, in ms.
    rated_ms,
    /// From a viewer's seeks until it played again, in ms.
    restart_ms,
    /// How many seeks that is the sum of.
    restarts,
    /// Plays that have waited for data in mid-play.
    rebuffered_plays,
    /// Pictures shown.
    frames,
    /// Time played while pictures were told, in ms.
    frames_ms,
    /// Pictures given up as too late.
    frames_dropped,
}

// === impl Figures ===

impl Figures {
    /// Adds sums of another time; of samples the larger ones stay.
    pub(crate) fn follow(&mut self, other: &Self) {
        let mut running = self.running;
        for (most, more) in running.iter_mut().zip(other.running) {
            *most = (*most).max(more);
        }
        *self += *other;
        self.running = running;
    }

    /// Whether nothing is in it.
    pub(crate) fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// What of these sums, told for `length` ms, belongs to the part from `from` to `to` of it. Parts that touch add up to
    /// the whole, exactly.
    pub(crate) fn share(&self, from: u64, to: u64, length: u64) -> Self {
        let part = |value: i64, at: u64| {
            // What is usual fits, and is divided ten times as quickly.
            let short = i64::try_from(at).ok().and_then(|at| value.checked_mul(at));
            if let (Some(value), Ok(length)) = (short, i64::try_from(length)) {
                return value.checked_div(length).unwrap_or(0);
            }
            let value = i128::from(value) * i128::from(at);
            i64::try_from(value.checked_div(length.into()).unwrap_or(0)).unwrap_or_default()
        };
        self.each(|value| if value == 0 { 0 } else { part(value, to) - part(value, from) })
    }

    /// The same within what one message can mean: a box that lies spoils its own figures and no others.
    pub(crate) fn bounded(mut self) -> Self {
        let longest = i64::try_from(LONGEST).unwrap_or(i64::MAX);
        for time in [
            &mut self.startup_ms,
            &mut self.playing_ms,
            &mut self.rebuffering_ms,
            &mut self.seek_buffering_ms,
            &mut self.rated_ms,
            &mut self.restart_ms,
            &mut self.frames_ms,
        ] {
            *time = (*time).clamp(-longest, longest);
        }
        let (bits, many) = (longest * MOST_BITS, 100 * longest / 1000);
        self.bits = self.bits.clamp(-bits, bits);
        for count in [&mut self.restarts, &mut self.frames, &mut self.frames_dropped] {
            *count = (*count).clamp(-many, many);
        }
        self
    }

    /// As it is told: what is taken back where it was never counted, as by a filter that was not yet made, is no less
    /// than nothing.
    pub(crate) fn shown(&self) -> Self {
        Self::from_values(self.values().map(|value| value.max(0)))
    }

    /// Sessions that a fatal error ended before a first picture.
    pub(crate) const fn start_failures(&self) -> i64 {
        self.start_failures_technical.saturating_add(self.start_failures_business)
    }

    /// Sessions that a fatal error ended after a first picture.
    pub(crate) const fn play_failures(&self) -> i64 {
        self.play_failures_technical.saturating_add(self.play_failures_business)
    }

    /// A count as a percentage of the attempts; 0 where there are none.
    pub(crate) fn percent_of_attempts(&self, count: i64) -> f64 {
        percent(count, self.attempts)
    }

    /// A count as a percentage of the ended plays; 0 where there are none.
    pub(crate) fn percent_of_ended(&self, count: i64) -> f64 {
        percent(count, self.ended_plays)
    }

    /// Video start-up time, in s: the mean over plays; 0 where there are none.
    pub(crate) fn startup_seconds(&self) -> f64 {
        quotient(self.startup_ms, self.startups) / 1000.0
    }

    /// Video restart time, in s: the mean over seeks; 0 where there are none.
    pub(crate) fn restart_seconds(&self) -> f64 {
        quotient(self.restart_ms, self.restarts) / 1000.0
    }

    /// Buffering after the first picture as a percentage of the time watched.
    pub(crate) fn rebuffering_ratio(&self) -> f64 {
        percent(self.rebuffering_ms.saturating_add(self.seek_buffering_ms), self.watched_ms())
    }

    /// Buffering that no seek has caused, as a percentage of the time watched.
    pub(crate) fn connection_rebuffering_ratio(&self) -> f64 {
        percent(self.rebuffering_ms, self.watched_ms())
    }

    /// In bit/s, over the time played at a known rate; 0 where there is none.
    pub(crate) fn bitrate(&self) -> f64 {
        quotient(self.bits, self.rated_ms) * 1000.0
    }

    /// Pictures a second; 0 where none were told.
    pub(crate) fn frame_rate(&self) -> f64 {
        quotient(self.frames, self.frames_ms) * 1000.0
    }

    /// Most plays at once, as far as samples can tell.
    pub(crate) fn concurrent_plays(&self) -> i64 {
        self.running.iter().copied().max().unwrap_or_default()
    }

    /// Time playing or buffering, in ms.
    const fn watched_ms(&self) -> i64 {
        self.playing_ms.saturating_add(self.rebuffering_ms).saturating_add(self.seek_buffering_ms)
    }
}

impl Sub for Figures {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self += -other;
        self
    }
}

impl Neg for Figures {
    type Output = Self;

    fn neg(self) -> Self {
        Self::from_values(self.values().map(i64::saturating_neg))
    }
}

/// What is not written where sums are stored.
pub(crate) fn is_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn percent(part: i64, whole: i64) -> f64 {
    quotient(part, whole) * 100.0
}

#[expect(clippy::cast_precision_loss, reason = "a quotient is for people and statistics")]
fn quotient(sum: i64, count: i64) -> f64 {
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn metrics_of_a_small_sum() {
        let figures = Figures {
            attempts: 8,
            plays: 6,
            exits_before_start: 1,
            start_failures_technical: 1,
            ended_plays: 4,
            play_failures_business: 1,
            startup_ms: 9_000,
            startups: 6,
            playing_ms: 90_000,
            rebuffering_ms: 4_000,
            seek_buffering_ms: 6_000,
            bits: 180_000_000,
            rated_ms: 45_000,
            restart_ms: 3_000,
            restarts: 2,
            frames: 2_250,
            frames_ms: 90_000,
            running: [1, 3, 2, 0, 0, 0],
            ..Figures::default()
        };
        assert_eq!(figures.percent_of_attempts(figures.plays), 75.0);
        assert_eq!(figures.percent_of_attempts(figures.start_failures()), 12.5);
        assert_eq!(figures.percent_of_ended(figures.play_failures()), 25.0);
        assert_eq!(figures.startup_seconds(), 1.5);
        assert_eq!(figures.restart_seconds(), 1.5);
        assert_eq!(figures.rebuffering_ratio(), 10.0);
        assert_eq!(figures.connection_rebuffering_ratio(), 4.0);
        assert_eq!(figures.bitrate(), 4_000_000.0);
        assert_eq!(figures.frame_rate(), 25.0);
        assert_eq!(figures.concurrent_plays(), 3);
    }

    #[test]
    fn nothing_is_no_division_by_zero() {
        let none = Figures::default();
        for metric in [
            none.percent_of_attempts(0),
            none.startup_seconds(),
            none.rebuffering_ratio(),
            none.connection_rebuffering_ratio(),
            none.bitrate(),
            none.frame_rate(),
        ] {
            assert_eq!(metric, 0.0);
        }
    }

    proptest! {
        #[test]
        fn values_come_back(values in prop::collection::vec(prop_oneof![Just(0_i64), -1_000..1_000_000_i64], Figures::NAMES.len() + SAMPLES)) {
            let figures = Figures::from_values(values.clone());
            prop_assert_eq!(figures.values().collect::<Vec<_>>(), values);
            prop_assert!((figures - figures).is_zero());
            let stored = serde_json::to_string(&figures).unwrap();
            prop_assert_eq!(serde_json::from_str::<Figures>(&stored).unwrap(), figures);
            prop_assert_eq!(serde_json::to_string(&(figures - figures)).unwrap(), "{}");
        }

        #[test]
        fn parts_add_up_to_the_whole(value in 0_i64..1_000_000_000_000, cuts in prop::collection::vec(0_u64..172_800_000, 0..20)) {
            let length = 172_800_000;
            let whole = Figures { bits: value, playing_ms: value / 3, ..Figures::default() };
            let mut borders = cuts;
            borders.extend([0, length]);
            borders.sort_unstable();
            let mut sum = Figures::default();
            for (from, to) in borders.iter().zip(borders.iter().skip(1)) {
                sum += whole.share(*from, *to, length);
            }
            prop_assert_eq!(sum, whole);
        }
    }
}
