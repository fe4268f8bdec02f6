//! When a server that has failed is asked again.

use super::backoff::Backoff;
use super::policy::DeliveryPolicy;
use crate::time::Millis;

/// Shut for a while by failures in a row, whatever was sent; opened by a success.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Gate {
    /// Since the last success.
    failures: u32,
    /// Nothing is sent before.
    opens: Millis,
    /// How many requests have succeeded.
    successes: u64,
}

/// What the policy says about waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    backoff: Backoff,
    max_retry_after: Millis,
}

// === impl Gate ===

impl Gate {
    pub(super) fn is_open(&self, now: Millis) -> bool {
        self.opens <= now
    }

    pub(super) const fn opens(&self) -> Millis {
        self.opens
    }

    pub(super) const fn successes(&self) -> u64 {
        self.successes
    }

    /// What was known of the server is void: it is another one now.
    pub(super) fn reset(&mut self, now: Millis) {
        (self.failures, self.opens) = (0, now);
    }

    pub(super) fn handle_success(&mut self) {
        (self.failures, self.opens) = (0, Millis(0));
        self.successes = self.successes.saturating_add(1);
    }

    pub(super) fn handle_failure(&mut self) {
        self.failures = self.failures.saturating_add(1);
    }

    /// Shuts for all: the failure was nothing that what was sent could be blamed for.
    pub(super) fn shut(
        &mut self,
        now: Millis,
        patience: Patience,
        asked: Option<Millis>,
        random: u64,
    ) -> Millis {
        self.opens = now + patience.delay(self.failures, asked, random);
        self.opens
    }

    /// One failure says nothing about what comes next; more in a row do.
    pub(super) fn hold_back(&mut self, now: Millis, patience: Patience, asked: Option<Millis>, random: u64) {
        if self.failures > 1 || asked.is_some() {
            self.opens = now + patience.delay(self.failures.saturating_sub(1), asked, random);
        }
    }
}

// === impl Patience ===

impl Patience {
    /// The delay after so many failures in a row, or what the server has asked for.
    pub(super) fn delay(self, failures: u32, asked: Option<Millis>, random: u64) -> Millis {
        match asked {
            // With the jitter, so that all who were told the same do not come back together.
            Some(asked) => asked.min(self.max_retry_after) + self.backoff.delay(1, random),
            None => self.backoff.delay(failures, random),
        }
    }
}

impl From<&DeliveryPolicy> for Patience {
    fn from(policy: &DeliveryPolicy) -> Self {
        Self { backoff: policy.backoff, max_retry_after: policy.max_retry_after }
    }
}
