//! When what has gathered is to be sent.

use super::backoff::scale;
use crate::time::Millis;

/// How often to look again whether the calendar clock can be trusted.
const CLOCK_RECHECK: Millis = Millis(5_000);

/// Says when an accumulation period is over; what gathers is in the spool meanwhile.
///
/// After it was off, and when the box boots, the first period is uniform between one and two: a fleet of boxes
/// that reboots together does not report together. All periods run on the monotonic clock.
#[derive(Debug, Default)]
pub struct Accumulator {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    period: Millis,
    /// When the period that runs now began.
    since: Millis,
    /// The random number of the first period; 0 in all others.
    random: u64,
    /// When it ends, or is looked at again.
    due: Millis,
}

impl Accumulator {
    /// Off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the accumulation period; `None` turns reporting off.
    ///
    /// `random` is uniform over all of `u64`, and used only if reporting was off. Another period counts from
    /// when the current one began.
    pub fn set_period(&mut self, now: Millis, period: Option<Millis>, random: u64) {
        let Some(period) = period else {
            self.running = None;
            return;
        };
        match &mut self.running {
            Some(running) if running.period == period => {}
            Some(running) => {
                running.period = period;
                running.due = running.end().max(now);
            }
            None => {
                let mut running = Running { period, since: now, random, due: now };
                running.due = running.end();
                self.running = Some(running);
            }
        }
    }

    /// Whether reporting is on.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.running.is_some()
    }

    /// Ends the current period now: the agent is about to stop.
    pub fn handle_stop(&mut self, now: Millis) {
        if let Some(running) = &mut self.running {
            running.due = running.due.min(now);
        }
    }

    /// Whether a period is over and what has gathered may go.
    ///
    /// `waits_for_clock` says that there is something that cannot be stamped yet: then it is asked again soon.
    pub fn poll_release(&mut self, now: Millis, waits_for_clock: bool) -> bool {
        let Some(running) = self.running.as_mut().filter(|running| running.due <= now) else { return false };
        if waits_for_clock {
            running.due = now + CLOCK_RECHECK;
            return false;
        }
        running.restart(now);
        true
    }

    /// When [`Accumulator::poll_release`] is to be asked next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.running.as_ref().map(|running| running.due)
    }
}

impl Running {
    fn end(&self) -> Millis {
        self.since + self.period + Millis(scale(self.period.0, self.random))
    }

    /// Begins the next period where this one was to end, or now if that is long ago.
    fn restart(&mut self, now: Millis) {
        let end = self.end();
        self.since = if end <= now && now < end + self.period { end } else { now };
        self.random = 0;
        self.due = self.end();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const MINUTE: Millis = Millis(60_000);

    fn on(random: u64) -> Accumulator {
        let mut accumulator = Accumulator::new();
        accumulator.set_period(Millis(0), Some(MINUTE), random);
        accumulator
    }

    #[rstest]
    #[case::shortest(0, 60_000)]
    #[case::middle(1 << 63, 90_000)]
    #[case::longest(u64::MAX, 119_999)]
    fn the_first_period_is_longer(#[case] random: u64, #[case] due: u64) {
        let mut accumulator = on(random);
        assert_eq!(accumulator.poll_timeout(), Some(Millis(due)));
        assert!(!accumulator.poll_release(Millis(due - 1), false));
        assert!(accumulator.poll_release(Millis(due), false));
        assert_eq!(accumulator.poll_timeout(), Some(Millis(due + 60_000)), "the second is not");
    }

    #[test]
    fn lateness_does_not_add_up_and_is_not_caught_up_with_either() {
        let mut accumulator = on(0);
        assert!(accumulator.poll_release(Millis(60_100), false));
        assert!(!accumulator.poll_release(Millis(60_100), false));
        assert_eq!(accumulator.poll_timeout(), Some(Millis(120_000)));
        assert!(accumulator.poll_release(Millis(900_000), false));
        assert!(!accumulator.poll_release(Millis(900_000), false), "once, however long the box slept");
        assert_eq!(accumulator.poll_timeout(), Some(Millis(960_000)));
    }

    #[test]
    fn it_waits_for_a_sane_clock() {
        let mut accumulator = on(0);
        assert!(!accumulator.poll_release(Millis(60_000), true));
        assert_eq!(accumulator.poll_timeout(), Some(Millis(65_000)), "the clock is not set yet");
        assert!(accumulator.poll_release(Millis(65_000), false));
        assert_eq!(accumulator.poll_timeout(), Some(Millis(120_000)));
    }

    #[rstest]
    #[case::shorter_over_already(Millis(10_000), 30_000)]
    #[case::shorter(Millis(40_000), 40_000)]
    #[case::longer(Millis(90_000), 90_000)]
    #[case::the_same(MINUTE, 60_000)]
    fn another_period_counts_from_the_same_beginning(#[case] period: Millis, #[case] due: u64) {
        let mut accumulator = on(0);
        accumulator.set_period(Millis(30_000), Some(period), u64::MAX);
        assert_eq!(accumulator.poll_timeout(), Some(Millis(due)));
        assert!(accumulator.poll_release(Millis(due), false));
    }

    #[test]
    fn on_again_is_random_again() {
        let mut accumulator = on(0);
        accumulator.set_period(Millis(10), None, 0);
        assert_eq!((accumulator.is_on(), accumulator.poll_timeout()), (false, None));
        assert!(!accumulator.poll_release(Millis::MAX, false));
        accumulator.set_period(Millis(1_000), Some(MINUTE), 1 << 63);
        assert_eq!(accumulator.poll_timeout(), Some(Millis(91_000)));
    }

    #[test]
    fn a_stop_ends_the_period_at_once() {
        let mut accumulator = on(u64::MAX);
        accumulator.handle_stop(Millis(2));
        assert!(accumulator.poll_release(Millis(2), false));
    }

    proptest! {
        /// Whatever happens: it is not due in the past once it was asked, and releases no more often than once a
        /// period, a change of the period or a stop apart.
        #[test]
        fn no_period_ends_twice(
            steps in prop::collection::vec((0..5_u8, 0..90_000_u64, any::<u64>()), 0..60),
        ) {
            let mut accumulator = Accumulator::new();
            let (mut now, mut released) = (Millis(0), None);
            for (step, time, random) in steps {
                now = now + Millis(time);
                match step {
                    0 => {
                        accumulator.set_period(now, Some(Millis(time + 1)), random);
                        released = None;
                    }
                    1 => accumulator.set_period(now, None, random),
                    2 => {
                        accumulator.handle_stop(now);
                        released = None;
                    }
                    _ => {
                        if accumulator.poll_release(now, random % 3 == 0) {
                            prop_assert!(accumulator.is_on());
                            prop_assert!(released.is_none_or(|before| now > before));
                            released = Some(now);
                        }
                        prop_assert!(accumulator.poll_timeout().is_none_or(|due| due > now));
                    }
                }
            }
        }
    }
}
