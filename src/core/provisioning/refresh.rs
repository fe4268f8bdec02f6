//! When provisioning is fetched from its server.

use crate::time::Millis;
use crate::uplink::Backoff;

/// After a failure before anything was ever fetched: a box that booted without its network must not wait long.
const FIRST: Backoff = Backoff { floor: Millis(1_000), base: Millis(5_000), cap: Millis(60_000) };

/// After a failure later: the last good one is in force.
const LATER: Backoff = Backoff { floor: Millis(1_000), base: Millis(10_000), cap: Millis(600_000) };

/// However often the network comes and goes, it does not make us ask more often than this.
const LEAST_BETWEEN_NUDGES: Millis = Millis(5_000);

/// The longest that a server may put us off.
const MAX_RETRY_AFTER: Millis = Millis(600_000);

/// Decides when the file is fetched: at once after start, every `reload` ± 10 % after that, and after a failure as
/// [`Backoff`] says.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// `None` while a fetch is under way, or none is needed any more.
    due: Option<Millis>,
    under_way: bool,
    /// Whether to fetch again at once after what is under way.
    again: bool,
    has_succeeded: bool,
    /// In a row.
    failures: u32,
    /// As the last good file says.
    reload: Option<Millis>,
    nudged: Option<Millis>,
}

// === impl Refresh ===

impl Refresh {
    /// Due at once.
    #[must_use]
    pub const fn new(now: Millis) -> Self {
        Self {
            due: Some(now),
            under_way: false,
            again: false,
            has_succeeded: false,
            failures: 0,
            reload: None,
            nudged: None,
        }
    }

    /// Whether to fetch now. After `true` either [`Refresh::handle_good`] or [`Refresh::handle_failure`] has to
    /// follow.
    pub fn poll(&mut self, now: Millis) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            (self.due, self.under_way) = (None, true);
        }
        is_due
    }

    /// When [`Refresh::poll`] next has something to say.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Millis> {
        self.due
    }

    /// Whether a fetch is under way.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        self.under_way
    }

    /// Fetches that failed since the last good one.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// A good file was fetched, and asks to be fetched again after `reload`; `None` means never.
    ///
    /// `random` is uniform over all of `u64`.
    pub fn handle_good(&mut self, now: Millis, reload: Option<Millis>, random: u64) {
        (self.has_succeeded, self.failures, self.reload) = (true, 0, reload);
        self.handle_end(now, reload.map(|reload| jittered(reload, random)));
    }

    /// None was fetched, or a broken one. `retry_after` is what the server asked for, if it did.
    ///
    /// Gives the delay until the next attempt. `random` is uniform over all of `u64`.
    pub fn handle_failure(&mut self, now: Millis, retry_after: Option<Millis>, random: u64) -> Millis {
        self.failures = self.failures.saturating_add(1);
        let backoff = if self.has_succeeded {
            // A file that is to be fresher than the longest delay is asked for in its own pace.
            let cap = self.reload.map_or(LATER.cap, |reload| reload.clamp(FIRST.cap, LATER.cap));
            Backoff { cap, ..LATER }
        } else {
            FIRST
        };
        let asked = retry_after.unwrap_or_default().min(MAX_RETRY_AFTER);
        let delay = backoff.delay(self.failures, random).max(asked);
        self.handle_end(now, Some(delay));
        self.due.map_or(delay, |due| due.since(now))
    }

    /// Somebody asks for it: fetched at once, whatever was planned.
    pub fn handle_request(&mut self, now: Millis) {
        if self.under_way {
            self.again = true;
        } else {
            self.due = Some(now);
        }
    }

    /// The network has changed: what failed before may succeed now.
    pub fn handle_network(&mut self, now: Millis) {
        if self.failures == 0 || self.under_way {
            return;
        }
        let soonest = self.nudged.map_or(now, |nudged| (nudged + LEAST_BETWEEN_NUDGES).max(now));
        if self.due.is_none_or(|due| due > soonest) {
            self.due = Some(soonest);
        }
        self.nudged = Some(soonest);
    }

    fn handle_end(&mut self, now: Millis, delay: Option<Millis>) {
        self.under_way = false;
        self.due = if std::mem::take(&mut self.again) { Some(now) } else { delay.map(|delay| now + delay) };
    }
}

/// Uniform in [0.9, 1.1] × `period`, so that boxes that were switched on together do not come together for ever.
fn jittered(period: Millis, random: u64) -> Millis {
    let tenth = period.0 / 10;
    let spread = (u128::from(tenth) * 2 * u128::from(random)) >> 64;
    Millis((period.0 - tenth).saturating_add(u64::try_from(spread).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HALF: u64 = 1 << 63;

    fn fetching(now: u64) -> Refresh {
        let mut refresh = Refresh::new(Millis(now));
        assert!(refresh.poll(Millis(now)));
        assert_eq!(refresh.poll_timeout(), None);
        refresh
    }

    #[test]
    fn a_good_one_is_fetched_again_in_its_period_or_never() {
        let mut refresh = fetching(0);
        refresh.handle_good(Millis(100), Some(Millis(600_000)), HALF);
        assert_eq!(refresh.poll_timeout(), Some(Millis(600_100)));
        assert!(!refresh.poll(Millis(600_099)));
        assert!(refresh.poll(Millis(600_100)));
        refresh.handle_good(Millis(600_100), None, 0);
        assert_eq!(refresh.poll_timeout(), None);
    }

    #[test]
    fn before_the_first_success_no_delay_is_longer_than_a_minute() {
        let mut refresh = fetching(0);
        let mut now = Millis(0);
        for _ in 0..100 {
            let delay = refresh.handle_failure(now, None, u64::MAX);
            assert!(delay <= Millis(60_000), "{delay}");
            now = now + delay;
            assert!(refresh.poll(now));
        }
        refresh.handle_good(now, Some(Millis(86_400_000)), HALF);
        let mut longest = Millis(0);
        for _ in 0..100 {
            now = refresh.poll_timeout().unwrap();
            assert!(refresh.poll(now));
            longest = longest.max(refresh.handle_failure(now, None, u64::MAX));
        }
        assert!((Millis(599_000)..=Millis(600_000)).contains(&longest), "{longest}");
    }

    #[test]
    fn a_network_that_comes_is_tried_at_once_but_not_without_end() {
        let mut refresh = fetching(0);
        refresh.handle_network(Millis(10));
        assert_eq!(refresh.poll_timeout(), None, "one is under way");
        for _ in 0..5 {
            refresh.handle_failure(Millis(20), None, u64::MAX);
        }
        refresh.handle_network(Millis(1_000));
        assert!(refresh.poll(Millis(1_000)));
        refresh.handle_failure(Millis(1_100), None, u64::MAX);
        refresh.handle_network(Millis(1_200));
        assert_eq!(refresh.poll_timeout(), Some(Millis(6_000)));
        assert!(refresh.poll(Millis(6_000)));
        refresh.handle_good(Millis(6_100), Some(Millis(60_000)), HALF);
        refresh.handle_network(Millis(20_000));
        assert_eq!(refresh.poll_timeout(), Some(Millis(66_100)), "nothing had failed");
    }

    #[test]
    fn a_request_is_heard_also_while_one_is_under_way() {
        let mut refresh = fetching(0);
        refresh.handle_request(Millis(1));
        assert!(!refresh.poll(Millis(1)), "never two at once");
        refresh.handle_good(Millis(2), None, 0);
        assert!(refresh.poll(Millis(2)));
        refresh.handle_good(Millis(3), None, 0);
        refresh.handle_request(Millis(4));
        assert!(refresh.poll(Millis(4)));
    }

    #[test]
    fn a_server_may_put_us_off_but_not_for_ever() {
        let mut refresh = fetching(0);
        assert_eq!(refresh.handle_failure(Millis(0), Some(Millis(120_000)), 0), Millis(120_000));
        assert!(refresh.poll(Millis(120_000)));
        assert_eq!(refresh.handle_failure(Millis(0), Some(Millis::MAX), 0), Millis(600_000));
    }

    proptest! {
        #[test]
        fn jitter_is_a_tenth(period in 1_000u64..366 * 86_400_000, random: u64) {
            let Millis(delay) = jittered(Millis(period), random);
            prop_assert!(delay >= period - period / 10 && delay <= period + period / 10);
        }

        #[test]
        fn there_is_always_a_next_time(steps in prop::collection::vec((0u8..5, 0u64..10_000, any::<u64>()), 1..60)) {
            let mut refresh = Refresh::new(Millis(0));
            let mut now = Millis(0);
            for (step, wait, random) in steps {
                now = now + Millis(wait);
                match step {
                    0 => { refresh.poll(now); }
                    1 if refresh.is_under_way() => refresh.handle_good(now, Some(Millis(1_000)), random),
                    2 if refresh.is_under_way() => { refresh.handle_failure(now, None, random); }
                    3 => refresh.handle_request(now),
                    _ => refresh.handle_network(now),
                }
                prop_assert!(refresh.is_under_way() != refresh.poll_timeout().is_some());
            }
        }
    }
}
