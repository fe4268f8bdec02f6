//! When the box slept (suspend to RAM or disk), told from two clocks.
//!
//! `CLOCK_BOOTTIME` goes on while a box is suspended and `CLOCK_MONOTONIC` stands still (clock_gettime(2)). By how much
//! the one gets ahead of the other is how long the box slept. No service manager has to be asked, and nothing is missed
//! where the daemon itself was stopped: time in which it merely did not run passes on both clocks.

use crate::time::Millis;

/// Shorter sleeps are not noticed: the two clocks are not read at the same instant.
pub const SHORTEST: Millis = Millis::from_secs(1);

/// From this length on a sleep ends what played: nobody has watched it any more.
///
/// A shorter one is a box that was put to sleep by mistake, or woke up again at once: its sessions go on, and have
/// paused meanwhile.
pub const LONG: Millis = Millis::from_secs(30);

/// Both clocks, read one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// `CLOCK_MONOTONIC` just before.
    pub before: Millis,
    /// `CLOCK_BOOTTIME`.
    pub boottime: Millis,
    /// `CLOCK_MONOTONIC` just after.
    pub after: Millis,
}

/// A time in which the box slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sleep {
    /// The last moment at which it is known to have been awake.
    pub from: Millis,
    /// As much later as it slept.
    pub to: Millis,
}

/// Watches both clocks.
#[derive(Debug)]
pub struct SleepWatch {
    last: Reading,
}

// === impl Sleep ===

impl Sleep {
    /// How long it was.
    #[must_use]
    pub const fn length(&self) -> Millis {
        self.to.since(self.from)
    }

    /// Whether sessions end with it.
    #[must_use]
    pub const fn is_long(&self) -> bool {
        self.length().0 >= LONG.0
    }
}

// === impl Reading ===

impl Reading {
    /// The least that the box can have slept since it booted, by this reading.
    const fn least(&self) -> Millis {
        self.boottime.since(self.after)
    }

    /// The most that it can have slept.
    const fn most(&self) -> Millis {
        self.boottime.since(self.before)
    }
}

// === impl SleepWatch ===

impl SleepWatch {
    /// Looks from here on.
    #[must_use]
    pub const fn new(first: Reading) -> Self {
        Self { last: first }
    }

    /// Takes a reading; gives the sleep since the last one, if there was any.
    ///
    /// A program that is held up between two clocks sees them apart: only what cannot have been that is a sleep.
    pub fn look(&mut self, now: Reading) -> Option<Sleep> {
        let last = std::mem::replace(&mut self.last, now);
        let slept = now.least().since(last.most());
        let from = last.boottime;
        (slept >= SHORTEST).then_some(Sleep { from, to: from + slept })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Read in no time.
    const fn at(boottime: u64, slept: u64) -> Reading {
        held_up(boottime, slept, 0, 0)
    }

    /// Held up before and after boot time was read.
    const fn held_up(boottime: u64, slept: u64, before: u64, after: u64) -> Reading {
        let monotonic = boottime - slept;
        Reading {
            before: Millis(monotonic - before),
            boottime: Millis(boottime),
            after: Millis(monotonic + after),
        }
    }

    #[rstest]
    #[case::awake(at(10_000, 0), at(10_500, 0), None)]
    #[case::stopped_for_long(at(10_000, 0), at(900_000, 0), None)]
    #[case::slept(at(10_000, 0), at(70_200, 60_000), Some((10_000, 70_000)))]
    #[case::slept_before_and_again(at(500_000, 400_000), at(510_000, 405_000), Some((500_000, 505_000)))]
    #[case::slept_before(at(500_000, 400_000), at(510_000, 400_000), None)]
    #[case::too_short_to_tell(at(10_000, 0), at(11_500, 999), None)]
    #[case::held_up_in_the_first(held_up(10_000, 0, 0, 5_000), at(20_000, 0), None)]
    #[case::held_up_in_the_second(at(10_000, 0), held_up(20_000, 0, 5_000, 0), None)]
    #[case::held_up_and_slept(at(10_000, 0), held_up(90_000, 60_000, 0, 2_000), Some((10_000, 68_000)))]
    fn a_sleep_is_told(#[case] last: Reading, #[case] now: Reading, #[case] expected: Option<(u64, u64)>) {
        let expected = expected.map(|(from, to)| Sleep { from: Millis(from), to: Millis(to) });
        assert_eq!(SleepWatch::new(last).look(now), expected);
    }

    #[rstest]
    #[case::shortest(1_000, false)]
    #[case::just_short(29_999, false)]
    #[case::long(30_000, true)]
    fn a_long_one_ends_sessions(#[case] length: u64, #[case] is_long: bool) {
        let sleep = Sleep { from: Millis(7), to: Millis(7 + length) };
        assert_eq!(sleep.is_long(), is_long);
    }

    proptest! {
        /// However the program is held up: no sleep is told that was none, every one that is told lies in the time
        /// between its two readings, and what is told of its length is never more than it was, and never less by more
        /// than the program was held up.
        #[test]
        fn no_more_is_told_than_was_slept(
            turns in prop::collection::vec((0..5_000_u64, prop_oneof![Just(0), 0..200_000_u64], 0..3_000_u64, 0..3_000_u64), 1..40),
        ) {
            let mut truth = (Millis(1_000_000), 0);
            let mut held = 0;
            let mut watch = SleepWatch::new(at(1_000_000, 0));
            for (awake, slept, before, after) in turns {
                let last = truth.0;
                truth = (last + Millis(awake + before + slept), truth.1 + slept);
                let told = watch.look(held_up(truth.0.0, truth.1, before, after));
                let least = slept.saturating_sub(held + after);
                held = before;
                match told {
                    Some(sleep) => {
                        prop_assert!(sleep.from == last && sleep.to <= truth.0);
                        prop_assert!(sleep.length().0 <= slept && sleep.length().0 >= least);
                    }
                    None => prop_assert!(least < SHORTEST.0),
                }
            }
        }
    }
}
