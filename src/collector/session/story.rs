//! What became of a session, piece by piece: the time line that people look at.
//!
//! Whatever is booked is a piece, too; so a session's pieces add up to its totals.

use serde_json::{Map, Value};

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

    /// As it is stored and shown: `from` and `to` in ms since 1970, and all that is not 0.
    pub(crate) fn json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert("from".to_owned(), self.from.0.into());
        fields.insert("to".to_owned(), self.to.0.into());
        for (name, value) in Figures::NAMES.iter().zip(self.figures.values()).filter(|(_, value)| *value != 0)
        {
            fields.insert((*name).to_owned(), value.into());
        }
        if self.is_aside {
            fields.insert("aside".to_owned(), true.into());
        }
        if !self.tells.is_empty() {
            let tells =
                self.tells.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
            fields.insert("told".to_owned(), Value::Object(tells));
        }
        if let Some(error) = &self.error {
            fields.insert("error".to_owned(), error.as_str().into());
        }
        Value::Object(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_and_shown() {
        let figures = Figures { playing_ms: 1500, running: [1; 6], ..Figures::default() };
        let piece = Piece::booked(UnixMs(1000), UnixMs(2500), figures);
        assert_eq!(piece.json().to_string(), r#"{"from":1000,"playing_ms":1500,"to":2500}"#);
        let mut told = Piece::told(UnixMs(7), vec![("discontinuities", 3)]);
        told.error = Some("E1".to_owned());
        assert_eq!(told.json().to_string(), r#"{"error":"E1","from":7,"to":7,"told":{"discontinuities":3}}"#);
    }
}
