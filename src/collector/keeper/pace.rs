//! How much comes.

use std::time::{Duration, Instant};

/// How long it is counted at a time.
const SLOT: Duration = Duration::from_millis(100);
/// So many requests in two slots are much.
const MUCH: usize = 64;

/// Requests of the last moments.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// When the slot that is counted began.
    began: Option<Instant>,
    now: usize,
    before: usize,
}

// === impl Pace ===

impl Pace {
    /// So many have come by then.
    pub(super) fn note(&mut self, requests: usize, at: Instant) {
        let age = self.began.map_or(Duration::MAX, |began| at.saturating_duration_since(began));
        if age >= SLOT {
            self.before = if age < 2 * SLOT { self.now } else { 0 };
            (self.now, self.began) = (0, Some(at));
        }
        self.now += requests;
    }

    /// Whether it is so much that one write of the store for each few of them is work for nothing.
    pub(super) const fn is_quick(&self) -> bool {
        self.now + self.before >= MUCH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn much_at_once_and_again_little() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        let after = |ms| begin + Duration::from_millis(ms);
        assert!(!pace.is_quick());
        for (at, requests, is_quick) in [
            (0, 63, false),
            (99, 1, true),
            (150, 1, true),
            (260, 1, false),
            (1_000, 64, true),
            (1_201, 0, false),
        ] {
            pace.note(requests, after(at));
            assert_eq!(pace.is_quick(), is_quick, "{at} ms");
        }
    }
}
