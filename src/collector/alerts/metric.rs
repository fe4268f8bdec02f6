//! What alerts watch.

use serde::{Deserialize, Serialize};

use crate::figures::Figures;
use crate::time::Minute;

/// A metric that an alert can be set on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Per cent of attempts.
    VideoStartFailures,
    /// Per cent of attempts.
    ExitsBeforeVideoStart,
    /// Per cent of ended plays.
    VideoPlaybackFailures,
    /// Per cent of the time watched, seeks left out.
    ConnectionInducedRebufferingRatio,
    /// Seconds.
    VideoStartupTime,
    /// Bit/s.
    AverageBitrate,
    Attempts,
    Plays,
    EndedPlays,
    /// The most at once.
    ConcurrentPlays,
}

/// What happened in some minutes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Window {
    pub(crate) figures: Figures,
    /// Most plays at once.
    pub(crate) peak: i64,
}

// === impl Window ===

impl Window {
    /// Some minutes together.
    pub(crate) fn of(minutes: &[(Minute, Figures)]) -> Self {
        minutes.iter().fold(Self::default(), |mut window, (_, figures)| {
            window.figures += *figures;
            window.peak = window.peak.max(figures.concurrent_plays());
            window
        })
    }
}

// === impl Metric ===

impl Metric {
    /// Those that have a usual value, which an alert can find by itself.
    pub(crate) const WATCHED: [Self; 6] = [
        Self::VideoStartFailures,
        Self::ExitsBeforeVideoStart,
        Self::VideoPlaybackFailures,
        Self::ConnectionInducedRebufferingRatio,
        Self::VideoStartupTime,
        Self::AverageBitrate,
    ];

    /// As people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::VideoStartFailures => "Video Start Failures",
            Self::ExitsBeforeVideoStart => "Exits Before Video Start",
            Self::VideoPlaybackFailures => "Video Playback Failures",
            Self::ConnectionInducedRebufferingRatio => "Connection Induced Rebuffering Ratio",
            Self::VideoStartupTime => "Video Startup Time",
            Self::AverageBitrate => "Average Bitrate",
            Self::Attempts => "Attempts",
            Self::Plays => "Plays",
            Self::EndedPlays => "Ended Plays",
            Self::ConcurrentPlays => "Concurrent Plays",
        }
    }

    /// Whether less of it is worse.
    pub(crate) const fn is_worse_below(self) -> bool {
        matches!(
            self,
            Self::AverageBitrate | Self::Attempts | Self::Plays | Self::EndedPlays | Self::ConcurrentPlays
        )
    }

    /// The least deviation that is worth a word, in the metric's unit.
    pub(crate) const fn least_deviation(self) -> f64 {
        match self {
            Self::VideoStartupTime => 0.5,
            Self::AverageBitrate => 100_000.0,
            _ => 2.0,
        }
    }

    /// Its value; nothing where there is nothing to make it of.
    pub(crate) fn value(self, window: &Window) -> Option<f64> {
        match self {
            Self::Attempts => Some(float(window.figures.attempts)),
            Self::Plays => Some(float(window.figures.plays)),
            Self::EndedPlays => Some(float(window.figures.ended_plays)),
            Self::ConcurrentPlays => Some(float(window.peak)),
            _ => {
                let (part, whole) = self.parts(&window.figures);
                (whole > 0.0).then(|| part / whole)
            }
        }
    }

    /// What it is a quotient of, in its unit; the whole is 0 for what is no quotient.
    pub(crate) fn parts(self, figures: &Figures) -> (f64, f64) {
        let watched = figures
            .playing_ms
            .saturating_add(figures.rebuffering_ms)
            .saturating_add(figures.seek_buffering_ms);
        let (part, whole, scale) = match self {
            Self::VideoStartFailures => (figures.start_failures(), figures.attempts, 100.0),
            Self::ExitsBeforeVideoStart => (figures.exits_before_start, figures.attempts, 100.0),
            Self::VideoPlaybackFailures => (figures.play_failures(), figures.ended_plays, 100.0),
            Self::ConnectionInducedRebufferingRatio => (figures.rebuffering_ms, watched, 100.0),
            Self::VideoStartupTime => (figures.startup_ms, figures.startups, 0.001),
            Self::AverageBitrate => (figures.bits, figures.rated_ms, 1000.0),
            Self::Attempts | Self::Plays | Self::EndedPlays | Self::ConcurrentPlays => (0, 0, 1.0),
        };
        (float(part) * scale, float(whole))
    }

    /// How many sessions it is told by.
    pub(crate) const fn samples(self, window: &Window) -> i64 {
        match self {
            Self::VideoStartFailures
            | Self::ExitsBeforeVideoStart
            | Self::VideoStartupTime
            | Self::Attempts
            | Self::Plays => window.figures.attempts,
            Self::VideoPlaybackFailures | Self::EndedPlays => window.figures.ended_plays,
            Self::ConnectionInducedRebufferingRatio | Self::AverageBitrate | Self::ConcurrentPlays => {
                window.peak
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a quotient is for people and statistics")]
const fn float(count: i64) -> f64 {
    count as f64
}
