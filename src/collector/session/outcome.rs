//! What a session has come to.

use serde::{Deserialize, Serialize};

use crate::figures::Figures;
use crate::time::UnixMs;

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) at: UnixMs,
    pub(crate) outcome: Outcome,
    /// Nobody said so: it fell silent.
    pub(crate) by_silence: bool,
}

/// What a session has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It was played, and ended.
    Played,
    /// It was played until a fatal error.
    PlayFailed { business: bool },
    /// It ended before a first picture.
    Left,
    /// A fatal error came before a first picture.
    StartFailed { business: bool },
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn figures(self) -> Figures {
        let mut figures = Figures::default();
        match self {
            Self::Played => figures.ended_plays = 1,
            Self::PlayFailed { business } => {
                figures.ended_plays = 1;
                if business {
                    figures.play_failures_business = 1;
                } else {
                    figures.play_failures_technical = 1;
                }
            }
            Self::Left => figures.exits_before_start = 1,
            Self::StartFailed { business: true } => figures.start_failures_business = 1,
            Self::StartFailed { business: false } => figures.start_failures_technical = 1,
        }
        figures
    }
}
