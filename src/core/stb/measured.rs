//! Measurements before it is known what time it is, and how they become reports.

use super::qoe::{AgentFigures, Qoe};
use super::redact::redact;
use super::report::{FrameCounts, Media, MediaReport, Network, NetworkReport, Report, Span};
use crate::player::Frames;
use crate::session::Snapshot;
use crate::time::{Millis, WallAnchor};

/// A measurement with its monotonic times.
///
/// It becomes a [`Report`] once the calendar clock can be trusted, at the latest possible moment: all its times
/// then come from one [`WallAnchor`], so that a step of the calendar clock cannot put its end before its
/// beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measured {
    /// Of a network interface.
    Network {
        /// When it was measured.
        at: Millis,
        /// What was measured.
        network: Network,
    },
    /// Of a play-back.
    Media {
        /// When it began.
        begin: Millis,
        /// When it ended, or was measured if it goes on.
        end: Millis,
        /// What was measured.
        media: Media,
    },
}

/// How media reports are made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MediaOptions {
    /// Adds the `qoe` object.
    pub extended: bool,
    /// Strips user-info and query from URLs; see [`redact`].
    pub url_redact: bool,
    /// For the `qoe` object.
    pub agent: AgentFigures,
}

// === impl Measured ===

impl Measured {
    /// A play-back as its session says.
    #[must_use]
    pub fn media(snapshot: &Snapshot, options: &MediaOptions) -> Self {
        let Snapshot { open, counts, .. } = snapshot;
        let url = if options.url_redact { redact(&open.url) } else { open.url.clone() };
        let media = Media {
            url,
            avg_bitrate: snapshot.avg_bitrate(),
            discontinuities: counts.discontinuities,
            id: open.id.clone(),
            proto: open.proto.clone(),
            video: counts.video.into(),
            audio: counts.audio.into(),
            adaptive_bandwidth: None,
            qoe: options.extended.then(|| Box::new(Qoe::new(snapshot, options))),
        };
        Self::Media { begin: snapshot.begin(), end: snapshot.at, media }
    }

    /// When it was measured.
    #[must_use]
    pub const fn at(&self) -> Millis {
        match self {
            Self::Network { at, .. } => *at,
            Self::Media { end, .. } => *end,
        }
    }

    /// The report it becomes, now that the calendar time is known.
    #[must_use]
    pub fn stamp(self, anchor: &WallAnchor) -> Report {
        match self {
            Self::Network { at, network } => {
                Report::Network(NetworkReport { timestamp: anchor.unix_secs(at), network })
            }
            Self::Media { begin, end, media } => {
                let end = anchor.unix_secs(end);
                let span = Span::new(anchor.unix_secs(begin).min(end), end).unwrap_or_default();
                Report::Media(MediaReport { timestamp: end, span, media })
            }
        }
    }
}

// === impl MediaReport ===

impl MediaReport {
    /// A play-back as its session says, where the calendar time is known already.
    #[must_use]
    pub fn from_snapshot(snapshot: &Snapshot, anchor: &WallAnchor, options: &MediaOptions) -> Self {
        match Measured::media(snapshot, options).stamp(anchor) {
            Report::Media(report) => report,
            Report::Network(NetworkReport { timestamp, .. }) => {
                Self { timestamp, span: Span::default(), media: Media::default() }
            }
        }
    }
}

// === impl FrameCounts ===

impl From<Frames> for FrameCounts {
    fn from(frames: Frames) -> Self {
        Self { frames_decoded: frames.decoded, frames_dropped: frames.dropped, frames_failed: frames.failed }
    }
}
