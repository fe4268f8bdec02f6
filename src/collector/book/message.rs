//! What the book is told, and why it may not take it.

use stbeacon_core::stb::NetworkReport;
use thiserror::Error;

use super::MAX_LIVE;
use crate::session::{Key, beat, line, report};
use crate::store::StoreError;

/// Something that was received.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// A report of a play-back.
    Media(Box<report::Received>),
    /// A report of a network interface.
    Network { device: String, report: Box<NetworkReport> },
    /// A line.
    Line(Box<line::Received>),
    /// A heartbeat.
    Beat(Box<beat::Received>),
}

/// Why a message was not taken.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    #[error("the store cannot be read: {0}")]
    Store(#[from] StoreError),
    #[error("{MAX_LIVE} sessions run; there is no room for another")]
    Full,
}

// === impl Message ===

impl Message {
    /// Sessions that it may be of.
    pub(crate) fn keys(&self) -> Vec<Key> {
        match self {
            Self::Media(received) => {
                let (key, other) = received.keys();
                std::iter::once(key).chain(other).collect()
            }
            Self::Network { .. } => Vec::new(),
            Self::Line(received) => vec![received.key()],
            Self::Beat(received) => vec![received.key()],
        }
    }
}
