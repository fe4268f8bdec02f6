//! The media delivery index (RFC 4445): how much has to be buffered, and how much is missing.

use std::time::Duration;

/// One interval's index; written DF:MLR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Index {
    /// The delay factor (§3.1): so long must a buffer hold the stream to give it out evenly. 1 s at most, and the time
    /// of one packet at least.
    pub delay_factor: Duration,
    /// The media loss rate (§3.2): packets lost or out of order within the interval.
    pub media_loss: u64,
}

/// Measures one stream, in intervals of a second.
#[derive(Debug, Clone)]
pub struct Mdi {
    /// Bits per second.
    rate: u64,
    interval: Option<Interval>,
    /// Packets that are missing before the first one.
    lost: u64,
}

#[derive(Debug, Clone)]
struct Interval {
    start: Duration,
    received: u64,
    /// Bytes in the virtual buffer, which may owe some.
    min: i64,
    max: i64,
    lost: u64,
}

/// The RFC's own proposal (§3.1).
const INTERVAL: Duration = Duration::from_secs(1);

// === impl Mdi ===

impl Mdi {
    /// For a stream with this nominal rate of its media in bit/s: of a transport stream, what its PCRs tell. With 0,
    /// there is no delay factor to tell, and no index.
    #[must_use]
    pub const fn new(rate: u64) -> Self {
        Self { rate, interval: None, lost: 0 }
    }

    /// The rate is another one: what is measured begins anew.
    pub fn set_rate(&mut self, rate: u64) {
        if self.rate != rate {
            *self = Self::new(rate);
        }
    }

    /// Packets are missing, or out of order: so many.
    pub const fn lose(&mut self, packets: u64) {
        match &mut self.interval {
            Some(interval) => interval.lost += packets,
            None => self.lost += packets,
        }
    }

    /// Takes a packet of so many bytes of media that arrived at `at`, on any clock that runs evenly. Gives the index of
    /// the interval that is over with it.
    pub fn packet(&mut self, at: Duration, bytes: usize) -> Option<Index> {
        if self.rate == 0 {
            return None;
        }
        let over = self.interval.as_ref().filter(|interval| at.saturating_sub(interval.start) >= INTERVAL);
        let index = over.map(|interval| interval.index(self.rate));
        let start = over.map(|interval| interval.start);
        if let Some(start) = start {
            // Whole intervals in which nothing came have no index.
            let whole = at.saturating_sub(start).as_secs();
            self.interval = Some(Interval::new(start + Duration::from_secs(whole), 0));
        }
        let lost = std::mem::take(&mut self.lost);
        let interval = self.interval.get_or_insert_with(|| Interval::new(at, lost));
        interval.packet(at, bytes, self.rate);
        index
    }
}

// === impl Interval ===

impl Interval {
    const fn new(start: Duration, lost: u64) -> Self {
        Self { start, received: 0, min: i64::MAX, max: i64::MIN, lost }
    }

    fn packet(&mut self, at: Duration, bytes: usize, rate: u64) {
        let nanos = at.saturating_sub(self.start).as_nanos();
        let drained = i64::try_from(nanos * u128::from(rate) / 8_000_000_000).unwrap_or(i64::MAX);
        let level = |received: u64| i64::try_from(received).unwrap_or(i64::MAX).saturating_sub(drained);
        let before = level(self.received);
        self.received = self.received.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
        let after = level(self.received);
        self.min = self.min.min(before);
        self.max = self.max.max(after);
    }

    fn index(&self, rate: u64) -> Index {
        let span = u128::from(self.max.saturating_sub(self.min).unsigned_abs());
        let nanos = (span * 8_000_000_000).checked_div(u128::from(rate)).unwrap_or_default();
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        Index { delay_factor: Duration::from_nanos(nanos), media_loss: self.lost }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// Seven transport packets.
    const BYTES: usize = 1316;

    /// One such packet a millisecond.
    const RATE: u64 = BYTES as u64 * 8 * 1000;

    /// Ten seconds of packets in bursts of so many; a stream that is as even as that allows.
    fn bursts(of: u32) -> Vec<Index> {
        let mut mdi = Mdi::new(RATE);
        (0..10_000)
            .filter_map(|n: u32| mdi.packet(Duration::from_millis((n / of * of).into()), BYTES))
            .collect()
    }

    #[rstest]
    #[case(1)]
    #[case(5)]
    #[case(50)]
    #[case(200)]
    fn what_comes_in_bursts_must_be_held_so_long(#[case] packets: u32) {
        let indices = bursts(packets);
        assert_eq!(indices.len(), 9);
        let expected = Index { delay_factor: Duration::from_millis(packets.into()), media_loss: 0 };
        assert_eq!(indices, [expected; 9]);
    }

    #[test]
    fn a_gap_in_time_must_be_bridged() {
        let mut mdi = Mdi::new(RATE);
        let late = |n: u32| if (300..420).contains(&n) { 420 } else { n };
        let indices: Vec<_> =
            (0..2_001).filter_map(|n| mdi.packet(Duration::from_millis(late(n).into()), BYTES)).collect();
        let factors: Vec<_> = indices.iter().map(|index| index.delay_factor.as_millis()).collect();
        assert_eq!(factors, [121, 1], "120 ms without a packet, and the packet's own time");
    }

    #[test]
    fn losses_count_where_they_happen() {
        let mut mdi = Mdi::new(RATE);
        mdi.lose(2);
        let mut indices = Vec::new();
        for n in 0..3_001 {
            if n == 1_500 {
                mdi.lose(7);
            }
            indices.extend(mdi.packet(Duration::from_millis(n), BYTES));
        }
        assert_eq!(indices.iter().map(|index| index.media_loss).collect::<Vec<_>>(), [2, 7, 0]);
    }

    #[test]
    fn silence_has_no_index() {
        let mut mdi = Mdi::new(RATE);
        let at = [0, 1, 2, 60_500, 60_501, 61_000].map(Duration::from_millis);
        let indices: Vec<_> = at.into_iter().filter_map(|at| mdi.packet(at, BYTES)).collect();
        assert_eq!(indices.len(), 2, "one for the second before it, one for the half second behind it");
        assert_eq!(indices[0].delay_factor, Duration::from_millis(1));
    }

    #[test]
    fn without_a_rate_nothing_is_told() {
        let mut mdi = Mdi::new(0);
        assert_eq!((mdi.packet(Duration::ZERO, 1), mdi.packet(Duration::from_secs(5), 1)), (None, None));
        mdi.set_rate(RATE);
        assert_eq!(mdi.packet(Duration::from_secs(6), BYTES), None);
        assert!(mdi.packet(Duration::from_secs(7), BYTES).is_some());
    }

    proptest! {
        /// The span between the fullest and the emptiest moment, counted again from all that arrived.
        #[test]
        fn the_delay_factor_is_the_buffers_span(gaps in prop::collection::vec((0..40_000_u64, 1..2_000_usize), 1..200)) {
            let mut mdi = Mdi::new(RATE);
            let (mut at, mut arrivals, mut index) = (Duration::ZERO, Vec::new(), None);
            for (gap, bytes) in gaps {
                at += Duration::from_micros(gap);
                index = mdi.packet(at, bytes);
                if index.is_some() {
                    break;
                }
                arrivals.push((at, bytes));
            }
            let Some(index) = index else { return Ok(()) };
            let start = arrivals[0].0;
            let level = |count: usize, at: Duration| {
                let received: usize = arrivals[..count].iter().map(|(_, bytes)| bytes).sum();
                received as f64 - (at - start).as_secs_f64() * RATE as f64 / 8.0
            };
            let levels = arrivals.iter().enumerate().flat_map(|(n, (at, _))| [level(n, *at), level(n + 1, *at)]);
            let (min, max) = levels.fold((f64::MAX, f64::MIN), |(min, max), level| (min.min(level), max.max(level)));
            let expected = (max - min) * 8.0 / RATE as f64;
            prop_assert!((index.delay_factor.as_secs_f64() - expected).abs() < 2e-6, "{index:?}, expected {expected}");
        }
    }
}
