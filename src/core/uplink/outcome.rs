//! How a request ended, and what that means.

use crate::time::Millis;

/// Names one request until its outcome is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestId(u64);

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server answered.
    Status {
        /// HTTP status code, redirects followed where that is allowed.
        code: u16,
        /// What its `Retry-After` asks for; see [`super::retry_after`].
        retry_after: Option<Millis>,
    },
    /// There was no answer: timeout, refused, DNS, TLS.
    Unreachable,
}

/// What was decided, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The server has the reports.
    Delivered {
        /// How many.
        reports: usize,
    },
    /// They will be sent again.
    Retry {
        /// Not before.
        at: Millis,
    },
    /// They will be sent again in two parts.
    Split,
    /// The server does not take this report; it is dropped.
    Refused,
    /// No such request is on its way.
    Unknown,
}

/// Why a report was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The server did not take it.
    Refused,
    /// It waited too long.
    Aged,
    /// Too much waited.
    Full,
}

/// What became of the reports so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// The server has them.
    pub delivered: u64,
    /// See [`DropReason::Refused`].
    pub dropped_refused: u64,
    /// See [`DropReason::Aged`].
    pub dropped_aged: u64,
    /// See [`DropReason::Full`].
    pub dropped_full: u64,
    /// Requests that were sent.
    pub requests: u64,
    /// Requests that failed.
    pub failed_requests: u64,
}

// === impl Outcome ===

impl Outcome {
    /// Whether the server only asks for patience (RFC 9110 §15.5.9, RFC 8470 §5.2, RFC 6585 §4).
    pub(super) const fn is_a_wait(self) -> bool {
        matches!(self, Self::Status { code: 408 | 425 | 429, .. })
    }
}

// === impl RequestId ===

impl RequestId {
    pub(super) const fn new(number: u64) -> Self {
        Self(number)
    }
}

// === impl DeliveryCounts ===

impl DeliveryCounts {
    pub(super) fn drop(&mut self, reason: DropReason, reports: u64) {
        let sum = match reason {
            DropReason::Refused => &mut self.dropped_refused,
            DropReason::Aged => &mut self.dropped_aged,
            DropReason::Full => &mut self.dropped_full,
        };
        *sum = sum.saturating_add(reports);
    }
}
