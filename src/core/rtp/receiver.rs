//! Sequence numbers and jitter of one stream (RFC 3550, §6.4.1, appendices A.1, A.3 and A.8).
//!
//! Unlike the RFC's example a stream counts from its first packet: what plays has been asked for, and needs no probation.

use std::time::Duration;

use super::packet::Header;

/// A jump forward by so many or more is a new beginning and not a loss (RFC 3550 A.1).
pub const MAX_DROPOUT: u16 = 3000;

/// What is so far or less behind the latest has come late; what is further behind is a new beginning (RFC 3550 A.1).
pub const MAX_MISORDER: u16 = 100;

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that arrived, [`Counts::duplicates`] and [`Counts::stray`] included.
    pub received: u64,
    /// Packets that are missing now. One that arrives late, but not too late, is not missing any more.
    pub lost: u64,
    /// How often packets were missing when the next one arrived, however many, whether or not they came later.
    pub gaps: u64,
    /// Packets that came behind a later one.
    pub reordered: u64,
    /// Packets that had come already.
    pub duplicates: u64,
    /// How often the numbers began anew: another sender, or one that was started again.
    pub restarts: u64,
    /// Packets with a number so far off that nothing can be said of them.
    pub stray: u64,
}

/// Where a packet stands in its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The first one, or the first one after a new beginning.
    First,
    /// The next one.
    Next,
    /// A later one: so many are missing before it.
    After(u64),
    /// One of those that were missing.
    Late,
    /// One that was there already.
    Again,
    /// One that is too far off.
    Stray,
}

/// Follows one stream of packets.
#[derive(Debug, Clone)]
pub struct Receiver {
    clock: u32,
    stream: Option<Stream>,
    counts: Counts,
    /// In 1/16 ticks.
    jitter: u64,
}

#[derive(Debug, Clone)]
struct Stream {
    ssrc: u32,
    /// The latest number.
    max: u16,
    /// How many numbers there are from the first one to the latest.
    span: u64,
    /// Of the latest numbers, which have come: bit n is for `max` − n.
    seen: u128,
    /// What would be next, had the numbers begun anew with the last stray packet.
    anew: Option<u16>,
    /// Arrival less timestamp, in ticks modulo 2³².
    transit: u32,
}

// === impl Receiver ===

impl Receiver {
    /// For a stream whose timestamps count so many ticks per second, such as [`super::VIDEO_CLOCK`]. With 0, nothing is
    /// said of its jitter.
    #[must_use]
    pub const fn new(clock: u32) -> Self {
        Self {
            clock,
            stream: None,
            counts: Counts {
                received: 0,
                lost: 0,
                gaps: 0,
                reordered: 0,
                duplicates: 0,
                restarts: 0,
                stray: 0,
            },
            jitter: 0,
        }
    }

    /// Takes a packet that arrived at `at`, on any clock that runs evenly.
    pub fn packet(&mut self, at: Duration, header: &Header) -> Place {
        self.counts.received += 1;
        let transit = self.ticks(at).wrapping_sub(header.timestamp);
        let Some(stream) = self.stream.as_mut().filter(|stream| stream.ssrc == header.ssrc) else {
            return self.begin(header, transit);
        };
        let place = stream.place(header.sequence);
        match place {
            Place::First => return self.begin(header, transit),
            Place::Next => {}
            Place::After(missing) => {
                self.counts.gaps += 1;
                self.counts.lost += missing;
            }
            Place::Late => {
                self.counts.reordered += 1;
                // It may be older than what is counted from.
                self.counts.lost =
                    self.counts.lost.saturating_sub(u64::from(stream.is_counted(header.sequence)));
            }
            Place::Again => self.counts.duplicates += 1,
            Place::Stray => {
                self.counts.stray += 1;
                return place;
            }
        }
        let later = transit.wrapping_sub(stream.transit);
        let moved = u64::from(later.min(later.wrapping_neg()));
        stream.transit = transit;
        // RFC 3550 A.8: a sixteenth of what it is off, rounded.
        self.jitter = (self.jitter + moved).saturating_sub((self.jitter + 8) >> 4);
        place
    }

    fn begin(&mut self, header: &Header, transit: u32) -> Place {
        self.counts.restarts += u64::from(self.stream.is_some());
        self.jitter = 0;
        let Header { ssrc, sequence, .. } = *header;
        self.stream = Some(Stream { ssrc, max: sequence, span: 1, seen: 1, anew: None, transit });
        Place::First
    }

    fn ticks(&self, at: Duration) -> u32 {
        let ticks = at.as_nanos() * u128::from(self.clock) / 1_000_000_000;
        // Modulo 2³², as the timestamps.
        u32::try_from(ticks & u128::from(u32::MAX)).unwrap_or_default()
    }

    /// What was counted so far.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The mean deviation of the packets' transit times, smoothed; `None` while there is nothing to compare, or the
    /// clock is not known.
    #[must_use]
    pub fn jitter(&self) -> Option<Duration> {
        let nanos = (self.jitter >> 4).saturating_mul(1_000_000_000).checked_div(u64::from(self.clock))?;
        self.stream.as_ref().map(|_| Duration::from_nanos(nanos))
    }
}

// === impl Stream ===

impl Stream {
    fn place(&mut self, number: u16) -> Place {
        let ahead = number.wrapping_sub(self.max);
        let behind = self.max.wrapping_sub(number);
        if (1..MAX_DROPOUT).contains(&ahead) {
            self.seen = self.seen.checked_shl(u32::from(ahead)).unwrap_or(0) | 1;
            self.span += u64::from(ahead);
            self.max = number;
            self.anew = None;
            return if ahead == 1 { Place::Next } else { Place::After(u64::from(ahead) - 1) };
        }
        if behind <= MAX_MISORDER {
            let bit = 1 << behind;
            let is_new = self.seen & bit == 0;
            self.seen |= bit;
            return if is_new { Place::Late } else { Place::Again };
        }
        if self.anew == Some(number) {
            return Place::First;
        }
        self.anew = Some(number.wrapping_add(1));
        Place::Stray
    }

    /// Whether a number is not before the first one.
    const fn is_counted(&self, number: u16) -> bool {
        (self.max.wrapping_sub(number) as u64) < self.span
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rstest::rstest;

    use super::super::VIDEO_CLOCK;
    use super::*;

    fn header(sequence: u16) -> Header {
        Header { payload_type: 33, marker: false, sequence, timestamp: 0, ssrc: 7 }
    }

    fn follow(numbers: &[u16]) -> (Counts, Vec<Place>) {
        let mut receiver = Receiver::new(VIDEO_CLOCK);
        let places = numbers.iter().map(|number| receiver.packet(Duration::ZERO, &header(*number))).collect();
        (*receiver.counts(), places)
    }

    #[rstest]
    #[case::in_order(&[65_534, 65_535, 0, 1], Counts::default())]
    #[case::three_missing(&[1, 5, 6], Counts { lost: 3, gaps: 1, ..Counts::default() })]
    #[case::two_gaps(&[1, 3, 5], Counts { lost: 2, gaps: 2, ..Counts::default() })]
    #[case::swapped(&[1, 3, 2, 4], Counts { gaps: 1, reordered: 1, ..Counts::default() })]
    #[case::swapped_and_again(&[1, 3, 2, 2, 4], Counts { gaps: 1, reordered: 1, duplicates: 1, ..Counts::default() })]
    #[case::twice(&[1, 2, 2, 3], Counts { duplicates: 1, ..Counts::default() })]
    #[case::around_the_end(&[65_533, 2, 65_535], Counts { lost: 3, gaps: 1, reordered: 1, ..Counts::default() })]
    #[case::before_the_first(&[10, 9, 9, 11], Counts { reordered: 1, duplicates: 1, ..Counts::default() })]
    #[case::almost_a_restart(&[0, 2999], Counts { lost: 2998, gaps: 1, ..Counts::default() })]
    #[case::one_stray(&[0, 3000, 1], Counts { stray: 1, ..Counts::default() })]
    #[case::a_restart(&[0, 3000, 3001, 3002], Counts { stray: 1, restarts: 1, ..Counts::default() })]
    #[case::back_to_the_start(&[900, 0, 1, 2], Counts { stray: 1, restarts: 1, ..Counts::default() })]
    #[case::two_strays(&[0, 3000, 9000, 1], Counts { stray: 2, ..Counts::default() })]
    fn what_numbers_tell(#[case] numbers: &[u16], #[case] expected: Counts) {
        let (counts, _) = follow(numbers);
        assert_eq!(counts, Counts { received: numbers.len() as u64, ..expected });
    }

    #[test]
    fn every_packet_has_its_place() {
        let (_, places) = follow(&[5, 6, 9, 7, 9, 5000, 10]);
        use Place::{After, Again, First, Late, Next, Stray};
        assert_eq!(places, [First, Next, After(2), Late, Again, Stray, Next]);
    }

    #[test]
    fn another_sender_is_another_stream() {
        let mut receiver = Receiver::new(VIDEO_CLOCK);
        receiver.packet(Duration::ZERO, &header(1));
        let other = Header { ssrc: 8, ..header(40_000) };
        assert_eq!(receiver.packet(Duration::ZERO, &other), Place::First);
        assert_eq!(*receiver.counts(), Counts { received: 2, restarts: 1, ..Counts::default() });
    }

    /// Packets every 10 ms; each other one is late by so much.
    fn jitter_of(late: Duration, count: u32) -> Duration {
        let mut receiver = Receiver::new(VIDEO_CLOCK);
        for number in 0..count {
            let due = Duration::from_millis(10) * number;
            let at = due + if number % 2 == 1 { late } else { Duration::ZERO };
            let sequence = u16::try_from(number).unwrap();
            // Not far from where timestamps begin anew.
            let timestamp = (900 * number).wrapping_sub(4_000);
            receiver.packet(at, &Header { timestamp, ..header(sequence) });
        }
        receiver.jitter().unwrap()
    }

    #[test]
    fn jitter_comes_to_the_mean_deviation() {
        assert_eq!(jitter_of(Duration::ZERO, 500), Duration::ZERO);
        let jitter = jitter_of(Duration::from_millis(4), 500);
        let off = jitter.abs_diff(Duration::from_millis(4));
        assert!(
            off < Duration::from_micros(120),
            "{jitter:?}: a tick is 11 µs, and it is rounded in sixteenths"
        );
        assert!(jitter_of(Duration::from_millis(4), 3) < Duration::from_millis(1), "it is smoothed");
    }

    #[test]
    fn without_a_clock_there_is_no_jitter() {
        let mut receiver = Receiver::new(0);
        receiver.packet(Duration::ZERO, &header(1));
        assert_eq!(receiver.jitter(), None);
        assert_eq!(Receiver::new(VIDEO_CLOCK).jitter(), None);
    }

    proptest! {
        /// Against a naive count: which numbers there are, and which of them ever came.
        #[test]
        fn lost_is_what_never_came(
            first in any::<u16>(),
            steps in prop::collection::vec((0..5_u64, 0..40_u64, any::<bool>()), 1..300),
        ) {
            let mut receiver = Receiver::new(VIDEO_CLOCK);
            let (mut came, mut now, mut received) = (BTreeSet::new(), 1_000_000_u64, 0_u64);
            let mut send = |receiver: &mut Receiver, number: u64, came: &mut BTreeSet<u64>| {
                let sequence = first.wrapping_add(u16::try_from(number & 0xffff).unwrap());
                receiver.packet(Duration::ZERO, &header(sequence));
                came.insert(number);
                received += 1;
            };
            send(&mut receiver, now, &mut came);
            for (ahead, behind, twice) in steps {
                now += ahead;
                send(&mut receiver, now, &mut came);
                if twice {
                    send(&mut receiver, now - behind, &mut came);
                }
            }
            let counted = came.range(1_000_000..).count() as u64;
            let counts = receiver.counts();
            prop_assert_eq!(counts.lost, now - 1_000_000 + 1 - counted);
            prop_assert_eq!(counts.duplicates, received - came.len() as u64);
            prop_assert_eq!((counts.received, counts.restarts, counts.stray), (received, 0, 0));
        }

        #[test]
        fn any_numbers_are_survived(headers in prop::collection::vec((any::<u16>(), any::<u32>(), 0..3_u32), 0..200)) {
            let mut receiver = Receiver::new(VIDEO_CLOCK);
            for (at, (sequence, timestamp, ssrc)) in headers.iter().enumerate() {
                let header = Header { timestamp: *timestamp, ssrc: *ssrc, ..header(*sequence) };
                receiver.packet(Duration::from_millis(at as u64), &header);
            }
            let counts = receiver.counts();
            prop_assert_eq!(counts.received, headers.len() as u64);
            prop_assert!(counts.reordered + counts.duplicates + counts.restarts + counts.stray <= counts.received);
        }
    }
}
