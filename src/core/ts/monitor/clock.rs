//! When things happened.

use std::time::Duration;

use super::super::PACKET;
use super::super::pcr::HZ;
use super::super::timer::Timer;
use super::Clock;

/// Something that happened, and what it happened to: the PID's place among all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    /// A section of the PAT.
    Pat,
    /// A section of the CAT.
    Cat,
    /// The first scrambled packet.
    Scrambled,
    /// A PAT has named this PID.
    PmtDue(usize),
    /// A section of a PMT.
    Pmt(usize),
    /// A PMT has named this PID, of pictures or sound.
    StreamDue(usize),
    /// A PTS.
    Pts(usize),
    /// There may be some, but they are scrambled now.
    PtsHidden(usize),
    /// A PCR.
    Pcr(usize),
}

/// What has happened waits here until it is known when.
#[derive(Debug)]
pub(super) struct Timeline {
    clock: Clock,
    /// In ticks of 27 MHz.
    now: u64,
    /// With the number of their packet; those before `known` with their time instead.
    marks: Vec<(Mark, u64)>,
    known: usize,
    taken: usize,
    /// The PID whose references tell the time.
    reference: Option<Reference>,
    /// Packets, and ticks, between references.
    packets: u64,
    ticks: u64,
}

#[derive(Debug, Clone, Copy)]
struct Reference {
    slot: usize,
    /// The number of the packet with the last one.
    index: u64,
    /// Another PID that has references, and for how long now this one had none.
    other: Option<(usize, u64)>,
}

/// More cannot happen between two references of a sane stream.
const MARKS: usize = 4096;

/// A PID without references for so long, while another has some, tells the time no longer.
const GONE: u64 = HZ;

// === impl Timeline ===

impl Timeline {
    pub(super) fn new(clock: Clock) -> Self {
        Self {
            clock,
            now: 0,
            marks: Vec::with_capacity(MARKS),
            known: 0,
            taken: 0,
            reference: None,
            packets: 0,
            ticks: 0,
        }
    }

    pub(super) const fn now(&self) -> u64 {
        self.now
    }

    /// The first packet is here: a timer begins, if it is known when that is.
    pub(super) fn start(&self, timer: &mut Timer) {
        if self.clock == Clock::Arrival {
            timer.begin(self.now);
        }
    }

    /// Whether it makes a difference that it is so late.
    pub(super) fn is_news(&self, ticks: u64) -> bool {
        self.clock == Clock::Arrival && ticks > self.now
    }

    /// It is so late.
    pub(super) const fn arrive(&mut self, ticks: u64) {
        self.now = ticks;
    }

    /// This happened, with the `index`-th packet.
    pub(super) fn mark(&mut self, mark: Mark, index: u64) {
        if self.marks.len() >= MARKS {
            // Only where time stands still. They are told to be as late as the last reference.
            self.resolve(|now, _| now);
        }
        match self.clock {
            Clock::Arrival => {
                self.marks.push((mark, self.now));
                self.known = self.marks.len();
            }
            Clock::Pcr => self.marks.push((mark, index)),
        }
    }

    /// What has happened, and when; in order.
    pub(super) fn next(&mut self) -> Option<(Mark, u64)> {
        if self.taken < self.known {
            self.taken += 1;
            return self.marks.get(self.taken - 1).copied();
        }
        self.marks.drain(..self.known);
        (self.known, self.taken) = (0, 0);
        None
    }

    /// The PID with this place has a reference, so many ticks after the one before. Gives whether time has gone on.
    pub(super) fn reference(&mut self, slot: usize, passed: u64, index: u64) -> bool {
        let Some(mut reference) = self.reference else {
            return self.take_up(slot, index);
        };
        if reference.slot != slot {
            let gone = reference.other.filter(|(other, _)| *other == slot).map(|(_, ticks)| ticks + passed);
            // The first to be seen stands in.
            if reference.other.is_none() || gone.is_some() {
                reference.other = Some((slot, gone.unwrap_or(0)));
                self.reference = Some(reference);
            }
            return gone.is_some_and(|gone| gone > GONE) && self.take_up(slot, index);
        }
        let (before, first, packets) = (self.now, reference.index, index - reference.index);
        if passed > 0 {
            self.packets += packets;
            self.ticks += passed;
        }
        self.reference = Some(Reference { slot, index, other: None });
        if self.clock == Clock::Arrival {
            return false;
        }
        self.now += passed;
        let span = u128::from(packets.max(1));
        self.resolve(|_, index| {
            let part = u128::from(passed) * u128::from(index.saturating_sub(first)) / span;
            before + u64::try_from(part).unwrap_or(passed)
        });
        true
    }

    fn take_up(&mut self, slot: usize, index: u64) -> bool {
        self.reference = Some(Reference { slot, index, other: None });
        if self.clock == Clock::Pcr {
            self.resolve(|now, _| now);
        }
        self.clock == Clock::Pcr
    }

    /// Gives marks their time, from now and the number of their packet.
    fn resolve(&mut self, time: impl Fn(u64, u64) -> u64) {
        for (_, at) in self.marks.iter_mut().skip(self.known) {
            *at = time(self.now, *at);
        }
        self.known = self.marks.len();
    }

    pub(super) fn bitrate(&self) -> Option<u64> {
        const BITS: u128 = 8 * PACKET as u128;
        let rate = (u128::from(self.packets) * BITS * u128::from(HZ)).checked_div(u128::from(self.ticks))?;
        u64::try_from(rate).ok()
    }

    pub(super) fn duration(&self) -> Duration {
        Duration::from_nanos(u64::try_from(u128::from(self.ticks) * 1000 / 27).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(timeline: &mut Timeline) -> Vec<(Mark, u64)> {
        std::iter::from_fn(|| timeline.next()).collect()
    }

    #[test]
    fn time_between_references_goes_by_packets() {
        let mut timeline = Timeline::new(Clock::Pcr);
        timeline.mark(Mark::Pat, 3);
        assert_eq!(all(&mut timeline), []);
        assert!(timeline.reference(0, 0, 10));
        assert_eq!(all(&mut timeline), [(Mark::Pat, 0)], "before the first there is no time");
        timeline.mark(Mark::Pmt(1), 15);
        timeline.mark(Mark::Pts(2), 19);
        assert!(timeline.reference(0, 1000, 20));
        assert_eq!(all(&mut timeline), [(Mark::Pmt(1), 500), (Mark::Pts(2), 900)]);
        assert_eq!(timeline.bitrate(), Some(10 * 1504 * 27_000));
    }

    #[test]
    fn where_references_end_others_take_over() {
        let mut timeline = Timeline::new(Clock::Pcr);
        timeline.reference(0, 0, 1);
        let takes_over = (2..).find(|index| timeline.reference(1, HZ / 10, *index));
        assert_eq!(
            takes_over,
            Some(13),
            "its first tells nothing of how long; the eleventh tenth is over a second"
        );
        timeline.reference(1, HZ / 10, 14);
        assert_eq!(timeline.now(), HZ / 10);
    }

    #[test]
    fn marks_without_references_are_bounded() {
        let mut timeline = Timeline::new(Clock::Pcr);
        for index in 0..3 * MARKS as u64 {
            timeline.mark(Mark::Pat, index);
            while timeline.next().is_some() {}
            assert!(timeline.marks.len() <= MARKS);
        }
    }
}
