//! What a player may do, and how often it is complained about.

use std::collections::BTreeMap;

use stbeacon_core::time::Millis;

/// How many players may be connected at once.
pub(crate) const MAX_PLAYERS: usize = 64;

/// How many datagrams a second are read of one connection on average. A player that sends more waits: its
/// socket fills up.
const RATE: u64 = 500;

/// How many may come at once, such as all that a player re-sends after a reconnect.
const BURST: u64 = 1000;

/// A connection that sends more malformed datagrams than this within [`WINDOW`] is closed.
pub(crate) const MAX_MALFORMED: u32 = 30;
const WINDOW: Millis = Millis::from_secs(60);

/// How often the log complains about one process.
const COMPLAINT_PERIOD: Millis = Millis::from_secs(60);

/// Of how many processes the last complaint is remembered.
const MAX_REMEMBERED: usize = 256;

/// Limits the rate of one connection: a bucket of [`BURST`] that fills by [`RATE`] a second.
#[derive(Debug)]
pub(super) struct Throttle {
    /// In thousandths of a datagram.
    credit: u64,
    at: Millis,
}

/// Counts the malformed datagrams of one connection.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    since: Millis,
    malformed: u32,
}

/// When each process was last complained about.
#[derive(Debug, Default)]
pub(crate) struct Complaints {
    last: BTreeMap<i32, Millis>,
}

// === impl Throttle ===

impl Throttle {
    pub(super) const fn new(now: Millis) -> Self {
        Self { credit: BURST * 1000, at: now }
    }

    /// Takes one datagram; how long to wait before the next, zero mostly.
    pub(super) fn take(&mut self, now: Millis) -> Millis {
        // `RATE` datagrams a second are `RATE` thousandths of one a millisecond.
        let earned = now.since(self.at).0.saturating_mul(RATE);
        self.at = self.at.max(now);
        self.credit = self.credit.saturating_add(earned).min(BURST * 1000).saturating_sub(1000);
        if self.credit >= 1000 { Millis(0) } else { Millis((1000 - self.credit).div_ceil(RATE)) }
    }
}

// === impl Conduct ===

impl Conduct {
    /// Takes note of a malformed datagram; whether the connection may stay.
    pub(super) fn malformed(&mut self, now: Millis) -> bool {
        if now.since(self.since) >= WINDOW {
            *self = Self { since: now, malformed: 0 };
        }
        self.malformed = self.malformed.saturating_add(1);
        self.malformed <= MAX_MALFORMED
    }
}

// === impl Complaints ===

impl Complaints {
    /// Whether to complain about this process now; at most once a minute.
    pub(crate) fn due(&mut self, now: Millis, pid: i32) -> bool {
        if self.last.get(&pid).is_some_and(|last| now.since(*last) < COMPLAINT_PERIOD) {
            return false;
        }
        if self.last.len() >= MAX_REMEMBERED {
            self.last.retain(|_, last| now.since(*last) < COMPLAINT_PERIOD);
        }
        // With so many bad processes at once none of the new ones is worth a line.
        if self.last.len() >= MAX_REMEMBERED {
            return false;
        }
        self.last.insert(pid, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut throttle = Throttle::new(Millis(0));
        for _ in 0..BURST - 1 {
            assert_eq!(throttle.take(Millis(0)), Millis(0));
        }
        let mut now = Millis(0);
        for _ in 0..RATE {
            now = now + throttle.take(now);
        }
        assert!((900..=1100).contains(&now.0), "{now}");
        // Idle time earns no more than a burst.
        let later = now + Millis::from_secs(3600);
        let free = (0..2 * BURST).take_while(|_| throttle.take(later) == Millis(0)).count();
        assert_eq!(free as u64, BURST - 1);
    }

    #[test]
    fn repeated_malformed_datagrams_end_a_connection_and_rare_ones_do_not() {
        let mut conduct = Conduct::default();
        for minute in 0..10 {
            for second in 0..MAX_MALFORMED {
                assert!(conduct.malformed(Millis::from_secs(60 * minute + u64::from(second))));
            }
        }
        assert!(!conduct.malformed(Millis::from_secs(60 * 9 + 59)));
    }

    #[test]
    fn one_complaint_a_minute_for_each_process() {
        let mut complaints = Complaints::default();
        assert!(complaints.due(Millis(0), 1));
        assert!(complaints.due(Millis(0), 2));
        assert!(!complaints.due(Millis(59_999), 1));
        assert!(complaints.due(Millis(60_000), 1));
    }

    #[test]
    fn memory_of_complaints_is_bounded() {
        let mut complaints = Complaints::default();
        let complained = (0..10_000).filter(|pid| complaints.due(Millis(0), *pid)).count();
        assert_eq!(complained, MAX_REMEMBERED);
        assert!(complaints.due(Millis(60_000), 1));
        assert!(complaints.last.len() <= MAX_REMEMBERED);
    }
}
