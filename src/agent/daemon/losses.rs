//! What the spool has given up, for the log: at once, and then at most once a minute.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use stbeacon_core::spool::{DropReason, Dropped};
use stbeacon_core::time::Millis;

const PERIOD: Millis = Millis::from_secs(60);

/// What has been given up and not been told yet.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Reports and lines, by reason.
    untold: BTreeMap<DropReason, (u64, u64)>,
    /// Nothing is told before.
    not_before: Millis,
}

// === impl Losses ===

impl Losses {
    pub(super) fn note(&mut self, dropped: &Dropped, is_report: bool) {
        // What a server refuses, or nobody wants any more, is told where that is decided.
        if matches!(dropped.reason, DropReason::Refused | DropReason::Off) {
            return;
        }
        let (reports, lines) = self.untold.entry(dropped.reason).or_default();
        let count = if is_report { reports } else { lines };
        *count = count.saturating_add(dropped.records);
    }

    /// What is to be said now.
    pub(super) fn take(&mut self, now: Millis) -> Option<String> {
        if self.poll_timeout()? > now {
            return None;
        }
        self.not_before = now + PERIOD;
        let mut text = String::new();
        for (reason, (reports, lines)) in std::mem::take(&mut self.untold) {
            let separator = if text.is_empty() { "" } else { "; " };
            let _ = write!(text, "{separator}{reports} reports and {lines} lines are lost: {}", why(reason));
        }
        Some(text)
    }

    pub(super) fn poll_timeout(&self) -> Option<Millis> {
        (!self.untold.is_empty()).then_some(self.not_before)
    }
}

const fn why(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Full => "too much waits, and the oldest goes first",
        DropReason::Aged => "they have waited too long",
        DropReason::NoSpace => "the disk has no room for them",
        DropReason::Corrupt => "they are damaged on the disk",
        DropReason::TooLarge => "they are longer than the spool takes",
        DropReason::Refused => "the server does not take them",
        DropReason::Off => "nobody wants them any more",
    }
}

#[cfg(test)]
mod tests {
    use stbeacon_core::spool::Queue;

    use super::*;

    fn dropped(records: u64, reason: DropReason) -> Dropped {
        Dropped { queue: Queue(0), first: 1, last: records, records, reason }
    }

    #[test]
    fn losses_are_told_at_once_and_then_once_a_minute() {
        let mut losses = Losses::default();
        assert_eq!((losses.poll_timeout(), losses.take(Millis(5))), (None, None));
        losses.note(&dropped(9, DropReason::Refused), true);
        assert_eq!(losses.poll_timeout(), None, "that is told by who knows the server's answer");
        losses.note(&dropped(3, DropReason::Full), true);
        losses.note(&dropped(40, DropReason::Full), false);
        losses.note(&dropped(1, DropReason::Aged), true);
        assert_eq!(
            losses.take(Millis(1_000)).as_deref(),
            Some(
                "3 reports and 40 lines are lost: too much waits, and the oldest goes first; \
                 1 reports and 0 lines are lost: they have waited too long"
            )
        );
        losses.note(&dropped(7, DropReason::NoSpace), false);
        losses.note(&dropped(7, DropReason::NoSpace), false);
        assert_eq!((losses.poll_timeout(), losses.take(Millis(60_999))), (Some(Millis(61_000)), None));
        assert_eq!(
            losses.take(Millis(61_000)).as_deref(),
            Some("0 reports and 14 lines are lost: the disk has no room for them")
        );
        assert_eq!(losses.poll_timeout(), None);
    }
}
