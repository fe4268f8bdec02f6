//! How long to be patient, and with how much.

use super::backoff::Backoff;
use crate::time::Millis;

/// Limits of patience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeliveryPolicy {
    /// Between attempts.
    pub backoff: Backoff,
    /// A longer `Retry-After` is taken for this.
    pub max_retry_after: Millis,
    /// What waits for longer is dropped.
    pub max_age: Millis,
    /// Most reports, or lines, that may wait.
    pub max_reports: usize,
    /// Most bytes on the wire that may wait.
    pub max_bytes: usize,
}

// === impl DeliveryPolicy ===

impl Default for DeliveryPolicy {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            max_retry_after: Millis::from_secs(3_600),
            max_age: Millis::from_secs(7 * 24 * 3_600),
            max_reports: 16_384,
            max_bytes: 8 << 20,
        }
    }
}
