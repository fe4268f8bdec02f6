//! What has changed, to be written down.

use std::collections::BTreeMap;

use stbeacon_core::stb::NetworkReport;

use crate::figures::Figures;
use crate::filters::{Filter, FilterId};
use crate::session::story::Piece;
use crate::session::{Key, Session};
use crate::sketch::Sketches;
use crate::tally::Place;

/// What is to be written down.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// As they are now.
    pub(crate) sessions: Vec<Session>,
    /// To be added.
    pub(crate) rollups: BTreeMap<Place, Figures>,
    /// To be merged with what is there.
    pub(crate) sketches: BTreeMap<Place, Sketches>,
    /// What became of sessions, to be added to what is known of them.
    pub(crate) stories: BTreeMap<Key, Vec<Piece>>,
    /// Box and measurement.
    pub(crate) networks: Vec<(String, NetworkReport)>,
    /// As they are now; one that is `None` is no more.
    pub(crate) filters: BTreeMap<FilterId, Option<Filter>>,
    pub(crate) counts: Counts,
}

/// What has come, since the store was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) reports: i64,
    pub(crate) lines: i64,
    pub(crate) heartbeats: i64,
    /// What was there before.
    pub(crate) repeated: i64,
    /// Values of dimensions that were not told apart from others any more.
    pub(crate) folded: i64,
}

// === impl Counts ===

impl Counts {
    /// Both together.
    pub(crate) const fn plus(self, more: &Self) -> Self {
        Self {
            reports: self.reports.saturating_add(more.reports),
            lines: self.lines.saturating_add(more.lines),
            heartbeats: self.heartbeats.saturating_add(more.heartbeats),
            repeated: self.repeated.saturating_add(more.repeated),
            folded: self.folded.saturating_add(more.folded),
        }
    }

    /// Sets one by its name.
    pub(crate) fn set(&mut self, name: &str, number: i64) {
        match name {
            "reports" => self.reports = number,
            "lines" => self.lines = number,
            "heartbeats" => self.heartbeats = number,
            "repeated" => self.repeated = number,
            "folded" => self.folded = number,
            _ => {}
        }
    }

    /// Name and number.
    pub(crate) const fn named(&self) -> [(&'static str, i64); 5] {
        [
            ("reports", self.reports),
            ("lines", self.lines),
            ("heartbeats", self.heartbeats),
            ("repeated", self.repeated),
            ("folded", self.folded),
        ]
    }
}

// === impl Changes ===

impl Changes {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.rollups.is_empty()
            && self.networks.is_empty()
            && self.filters.is_empty()
            && self.counts == Counts::default()
    }
}
