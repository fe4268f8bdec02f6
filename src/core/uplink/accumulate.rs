//! Gathering measurements until it is time to send them.

use std::collections::VecDeque;

use super::backoff::scale;
use crate::stb::{Measured, Report};
use crate::time::{Millis, WallAnchor};

/// How often to look again whether the calendar clock can be trusted.
const CLOCK_RECHECK: Millis = Millis(5_000);

/// Gathers measurements for an accumulation period, then gives them out as one batch of reports.
///
/// After it was off, and when the box boots, the first period is uniform between one and two: a fleet of boxes
/// that reboots together does not report together. All periods run on the monotonic clock.
#[derive(Debug)]
pub struct Accumulator {
    limits: HoldLimits,
    held: VecDeque<Measured>,
    /// [`Measured::approx_bytes`] of all that is held.
    bytes: usize,
    running: Option<Running>,
    counts: HoldCounts,
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

/// How much may be held; the oldest goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldLimits {
    /// Most measurements.
    pub records: usize,
    /// Most bytes, by [`Measured::approx_bytes`].
    pub bytes: usize,
}

/// What became of measurements that never were in a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HoldCounts {
    /// Dropped because there were too many.
    pub dropped_full: u64,
    /// Dropped because reporting is off.
    pub dropped_off: u64,
}

impl Accumulator {
    /// Holds nothing, and is off.
    #[must_use]
    pub fn new(limits: HoldLimits) -> Self {
        let counts = HoldCounts::default();
        Self { limits, held: VecDeque::new(), bytes: 0, running: None, counts }
    }

    /// Sets the accumulation period; `None` turns reporting off and drops what is held.
    ///
    /// `random` is uniform over all of `u64`, and used only if reporting was off. Another period counts from
    /// when the current one began; what is held stays.
    pub fn set_period(&mut self, now: Millis, period: Option<Millis>, random: u64) {
        let Some(period) = period else {
            self.running = None;
            self.counts.dropped_off = self.counts.dropped_off.saturating_add(len(&self.held));
            self.held.clear();
            self.bytes = 0;
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

    /// Takes a measurement. While reporting is off it is dropped and counted.
    pub fn push(&mut self, measured: Measured) {
        if self.running.is_none() {
            self.counts.dropped_off = self.counts.dropped_off.saturating_add(1);
            return;
        }
        self.bytes = self.bytes.saturating_add(measured.approx_bytes());
        self.held.push_back(measured);
        while self.held.len() > self.limits.records || self.bytes > self.limits.bytes {
            let Some(oldest) = self.held.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.approx_bytes());
            self.counts.dropped_full = self.counts.dropped_full.saturating_add(1);
        }
    }

    /// Ends the current period now: the agent is about to stop.
    pub fn handle_stop(&mut self, now: Millis) {
        if let Some(running) = &mut self.running {
            running.due = running.due.min(now);
        }
    }

    /// The reports of a period that is over; `None` while it runs, or where there are none.
    ///
    /// `anchor` is `None` while the calendar clock cannot be trusted. Then all stays held, with its monotonic
    /// times, and [`Accumulator::poll_timeout`] says when to try again.
    pub fn poll_batch(&mut self, now: Millis, anchor: Option<&WallAnchor>) -> Option<Vec<Report>> {
        let running = self.running.as_mut().filter(|running| running.due <= now)?;
        if !self.held.is_empty() && anchor.is_none() {
            running.due = now + CLOCK_RECHECK;
            return None;
        }
        running.restart(now);
        let anchor = anchor.filter(|_| !self.held.is_empty())?;
        self.bytes = 0;
        Some(self.held.drain(..).map(|measured| measured.stamp(anchor)).collect())
    }

    /// For measurements that are kept elsewhere: whether a period is over and what was kept may go.
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

    /// When [`Accumulator::poll_batch`] next has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        self.running.as_ref().map(|running| running.due)
    }

    /// How many measurements are held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// What was dropped so far.
    #[must_use]
    pub const fn counts(&self) -> &HoldCounts {
        &self.counts
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

impl Default for HoldLimits {
    fn default() -> Self {
        Self { records: 4_096, bytes: 1 << 20 }
    }
}

fn len(held: &VecDeque<Measured>) -> u64 {
    u64::try_from(held.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::stb::Network;

    const ANCHOR: WallAnchor = WallAnchor { at: Millis(0), unix_ms: 1_700_000_000_000 };
    const MINUTE: Millis = Millis(60_000);

    fn measured(at: u64) -> Measured {
        Measured::Network { at: Millis(at), network: Network::default() }
    }

    fn on(random: u64) -> Accumulator {
        let mut accumulator = Accumulator::new(HoldLimits::default());
        accumulator.set_period(Millis(0), Some(MINUTE), random);
        accumulator
    }

    #[rstest]
    #[case::shortest(0, 60_000)]
    #[case::middle(1 << 63, 90_000)]
    #[case::longest(u64::MAX, 119_999)]
    fn the_first_period_is_longer(#[case] random: u64, #[case] due: u64) {
        let mut accumulator = on(random);
        accumulator.push(measured(5_000));
        assert_eq!(accumulator.poll_timeout(), Some(Millis(due)));
        assert_eq!(accumulator.poll_batch(Millis(due - 1), Some(&ANCHOR)), None);
        let batch = accumulator.poll_batch(Millis(due), Some(&ANCHOR)).unwrap();
        assert_eq!(batch[0].timestamp(), 1_700_000_005);
        assert_eq!(accumulator.poll_timeout(), Some(Millis(due + 60_000)), "the second is not");
    }

    #[test]
    fn what_is_kept_elsewhere_is_released_when_a_period_is_over() {
        let mut accumulator = on(0);
        assert!(!accumulator.poll_release(Millis(59_999), false));
        assert!(!accumulator.poll_release(Millis(60_000), true));
        assert_eq!(accumulator.poll_timeout(), Some(Millis(65_000)), "the clock is not set yet");
        assert!(accumulator.poll_release(Millis(65_000), false));
        assert!(!accumulator.poll_release(Millis(65_000), false));
        assert_eq!(accumulator.poll_timeout(), Some(Millis(120_000)));
    }

    #[test]
    fn an_empty_period_passes_without_a_batch() {
        let mut accumulator = on(0);
        assert_eq!(accumulator.poll_batch(Millis(60_100), Some(&ANCHOR)), None);
        assert_eq!(accumulator.poll_timeout(), Some(Millis(120_000)), "lateness does not add up");
        assert_eq!(accumulator.poll_batch(Millis(900_000), None), None);
        assert_eq!(accumulator.poll_timeout(), Some(Millis(960_000)), "and is not caught up with either");
    }

    #[test]
    fn waits_for_a_sane_clock_and_keeps_the_times() {
        let mut accumulator = on(0);
        accumulator.push(measured(1_000));
        assert_eq!(accumulator.poll_batch(Millis(60_000), None), None);
        assert_eq!(accumulator.poll_timeout(), Some(Millis(65_000)));
        accumulator.push(measured(61_000));
        let batch = accumulator.poll_batch(Millis(65_000), Some(&ANCHOR)).unwrap();
        let times: Vec<_> = batch.iter().map(Report::timestamp).collect();
        assert_eq!(times, [1_700_000_001, 1_700_000_061]);
    }

    #[rstest]
    #[case::shorter_over_already(Millis(10_000), 30_000)]
    #[case::shorter(Millis(40_000), 40_000)]
    #[case::longer(Millis(90_000), 90_000)]
    #[case::the_same(MINUTE, 60_000)]
    fn another_period_keeps_what_is_held(#[case] period: Millis, #[case] due: u64) {
        let mut accumulator = on(0);
        accumulator.push(measured(1));
        accumulator.set_period(Millis(30_000), Some(period), u64::MAX);
        assert_eq!(accumulator.poll_timeout(), Some(Millis(due)));
        assert_eq!(accumulator.poll_batch(Millis(due), Some(&ANCHOR)).unwrap().len(), 1);
    }

    #[test]
    fn off_drops_and_on_again_is_random_again() {
        let mut accumulator = on(0);
        accumulator.push(measured(1));
        accumulator.set_period(Millis(10), None, 0);
        accumulator.push(measured(2));
        assert_eq!(accumulator.poll_timeout(), None);
        assert_eq!(accumulator.counts(), &HoldCounts { dropped_off: 2, dropped_full: 0 });
        accumulator.set_period(Millis(1_000), Some(MINUTE), 1 << 63);
        assert_eq!(accumulator.poll_timeout(), Some(Millis(91_000)));
    }

    #[test]
    fn a_stop_gives_all_out_at_once() {
        let mut accumulator = on(u64::MAX);
        accumulator.push(measured(1));
        accumulator.handle_stop(Millis(2));
        assert_eq!(accumulator.poll_batch(Millis(2), Some(&ANCHOR)).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn every_measurement_is_held_given_or_counted(
            records in 0..8_usize,
            steps in prop::collection::vec((0..5_u8, 0..90_000_u64, any::<u64>()), 0..60),
        ) {
            let mut accumulator = Accumulator::new(HoldLimits { records, bytes: 3_000 });
            let (mut now, mut pushed, mut given) = (Millis(0), 0_u64, 0);
            for (step, time, random) in steps {
                now = now + Millis(time);
                match step {
                    0 | 1 => {
                        accumulator.push(measured(now.0));
                        pushed += 1;
                    }
                    2 => accumulator.set_period(now, Some(Millis(time + 1)), random),
                    3 => accumulator.set_period(now, None, random),
                    _ => {
                        let anchor = (random % 3 > 0).then_some(&ANCHOR);
                        given += accumulator.poll_batch(now, anchor).map_or(0, |batch| batch.len() as u64);
                        prop_assert!(accumulator.poll_timeout().is_none_or(|due| due > now));
                    }
                }
                prop_assert!(accumulator.len() <= records);
                let HoldCounts { dropped_full, dropped_off } = accumulator.counts();
                prop_assert_eq!(accumulator.len() as u64 + given + dropped_full + dropped_off, pushed);
            }
        }
    }
}
