//! How a server has answered so far.

use stbeacon_core::time::Millis;
use stbeacon_core::uplink::{Outcome, retry_after};

use crate::status::{DeliveryStatus, ErrorStatus};
use crate::{clock, http};

/// Answers by class, and the last thing that went wrong.
#[derive(Debug, Default)]
pub(super) struct Answers {
    classes: DeliveryStatus,
    last_error: Option<(Millis, String)>,
}

/// What an answer means for a delivery, and in words what is wrong with it; empty if nothing is.
pub(super) fn judge(answers: &mut Answers, outcome: http::Outcome) -> (Outcome, String) {
    match outcome {
        http::Outcome::Answered(answer) => {
            let code = answer.status;
            answers.count(code);
            let unix_now = clock::wall_anchor().map(|anchor| anchor.unix_ms / 1000);
            let retry_after = answer.retry_after.and_then(|text| retry_after(&text, unix_now));
            let is_good = (200..300).contains(&code);
            let error = if is_good { String::new() } else { format!("the server answered {code}") };
            (Outcome::Status { code, retry_after }, error)
        }
        http::Outcome::Failed(error) => {
            answers.count_unreachable();
            (Outcome::Unreachable, error)
        }
    }
}

// === impl Answers ===

impl Answers {
    pub(super) const fn count(&mut self, status: u16) {
        self.classes.count(status);
    }

    pub(super) const fn count_unreachable(&mut self) {
        self.classes.unreachable = self.classes.unreachable.saturating_add(1);
    }

    pub(super) fn note_error(&mut self, now: Millis, error: String) {
        self.last_error = Some((now, error));
    }

    /// With the number of requests that were made.
    pub(super) const fn status(&self, requests: u64) -> DeliveryStatus {
        DeliveryStatus { requests, ..self.classes }
    }

    pub(super) fn error_status(&self, now: Millis) -> Option<ErrorStatus> {
        self.last_error.as_ref().map(|(at, error)| ErrorStatus::new(error, now.since(*at)))
    }
}
