//! What became of a session, piece by piece: the time line that people look at.
//!
//! Whatever is booked is a piece, too; so a session's pieces add up to its totals.

use std::collections::BTreeMap;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::figures::Figures;
use crate::time::UnixMs;

/// Something that happened from one moment to another; at once where they are the same.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Piece {
    pub(crate) from: UnixMs,
    pub(crate) to: UnixMs,
    pub(crate) figures: Figures,
    /// Told besides the pieces that divide the time.
    pub(crate) is_aside: bool,
    /// Totals that are not added up anywhere, as they were told at the end of it.
    pub(crate) tells: Vec<(&'static str, u64)>,
    /// The error that it ended with.
    pub(crate) error: Option<String>,
}

// === impl Piece ===

impl Piece {
    /// What was booked.
    pub(crate) const fn booked(from: UnixMs, to: UnixMs, figures: Figures) -> Self {
        Self { from, to, figures, is_aside: false, tells: Vec::new(), error: None }
    }

    /// Totals as they are told at a moment.
    pub(crate) fn told(at: UnixMs, tells: Vec<(&'static str, u64)>) -> Self {
        Self { tells, ..Self::booked(at, at, Figures::default()) }
    }
}

/// As it is stored and shown: `from` and `to` in ms since 1970, and all that is not 0.
impl Serialize for Piece {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("from", &self.from.0)?;
        fields.serialize_entry("to", &self.to.0)?;
        for (name, value) in Figures::NAMES.iter().zip(self.figures.values()).filter(|(_, value)| *value != 0)
        {
            fields.serialize_entry(name, &value)?;
        }
        if self.is_aside {
            fields.serialize_entry("aside", &true)?;
        }
        if !self.tells.is_empty() {
            let tells: BTreeMap<_, _> = self.tells.iter().copied().collect();
            fields.serialize_entry("told", &tells)?;
        }
        if let Some(error) = &self.error {
            fields.serialize_entry("error", error)?;
        }
        fields.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_and_shown() {
        let figures = Figures { playing_ms: 1500, running: [1; 6], ..Figures::default() };
        let piece = Piece::booked(UnixMs(1000), UnixMs(2500), figures);
        let json = |piece: &Piece| serde_json::to_string(piece).unwrap();
        assert_eq!(json(&piece), r#"{"from":1000,"to":2500,"playing_ms":1500}"#);
        let mut told = Piece::told(UnixMs(7), vec![("discontinuities", 3)]);
        told.error = Some("E1".to_owned());
        assert_eq!(json(&told), r#"{"from":7,"to":7,"told":{"discontinuities":3},"error":"E1"}"#);
    }
}
