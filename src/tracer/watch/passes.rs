//! The passes in which a demuxer that pulls reads a file.
//!
//! Before it plays, it looks at the beginning for the programme and at the end for the duration, then begins
//! again. What was counted while it looked would count twice. So a reading that goes back to where it began,
//! without a flush between, takes back what it had counted.

use stbeacon_core::ts::Counts;

/// Counts of all passes that were not taken back.
#[derive(Debug, Default)]
pub(super) struct Passes {
    /// Of the passes that a flush ended.
    kept: Counts,
    /// The analyser's counts when this pass began.
    base: Counts,
    first: Option<u64>,
    next: u64,
}

impl Passes {
    /// A flush: what was counted stays, and a new pass begins.
    pub(super) fn begin(&mut self, counts: &Counts) {
        self.kept = self.counts(counts);
        self.base = *counts;
        self.first = None;
    }

    /// Reads `length` bytes at `offset`; gives whether they do not follow what was read before.
    pub(super) fn jumps(&mut self, offset: u64, length: u64, counts: &Counts) -> bool {
        let jumps = self.first.is_some() && offset != self.next;
        if jumps && self.first.is_some_and(|first| offset <= first) {
            self.base = *counts;
            self.first = Some(offset);
        }
        self.first.get_or_insert(offset);
        self.next = offset.saturating_add(length);
        jumps
    }

    /// What counts of the analyser's `counts`.
    pub(super) fn counts(&self, counts: &Counts) -> Counts {
        let since = |kept: u64, now: u64, base: u64| kept.saturating_add(now.saturating_sub(base));
        let Self { kept, base, .. } = self;
        Counts {
            packets: since(kept.packets, counts.packets, base.packets),
            discontinuities: since(kept.discontinuities, counts.discontinuities, base.discontinuities),
            lost_packets: since(kept.lost_packets, counts.lost_packets, base.lost_packets),
            fragment_jumps: since(kept.fragment_jumps, counts.fragment_jumps, base.fragment_jumps),
            sync_losses: since(kept.sync_losses, counts.sync_losses, base.sync_losses),
            sync_byte_errors: since(kept.sync_byte_errors, counts.sync_byte_errors, base.sync_byte_errors),
            transport_errors: since(kept.transport_errors, counts.transport_errors, base.transport_errors),
            scrambled: since(kept.scrambled, counts.scrambled, base.scrambled),
            ..Counts::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(discontinuities: u64) -> Counts {
        Counts { discontinuities, ..Counts::default() }
    }

    #[test]
    fn what_the_scan_found_is_found_again_in_play() {
        let mut passes = Passes::default();
        assert!(!passes.jumps(0, 100, &found(0)));
        assert!(passes.jumps(900, 100, &found(2)), "to the end of the file");
        assert!(passes.jumps(0, 100, &found(3)), "back to its beginning");
        assert_eq!(passes.counts(&found(3)).discontinuities, 0);
        assert!(!passes.jumps(100, 900, &found(5)));
        assert_eq!(passes.counts(&found(6)).discontinuities, 3);
    }

    #[test]
    fn a_seek_back_takes_nothing_back() {
        let mut passes = Passes::default();
        passes.jumps(0, 100, &found(0));
        passes.begin(&found(4));
        passes.jumps(0, 100, &found(4));
        assert_eq!(passes.counts(&found(5)).discontinuities, 5);
    }
}
