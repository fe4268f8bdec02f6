//! Programme clock references of one PID (H.222.0 §2.4.3.5).

use super::PACKET;

/// Ticks of the system clock in a second.
pub(super) const HZ: u64 = 27_000_000;

/// Where references begin anew: 33 bits at 90 kHz, times 300.
const WRAP: u64 = (1 << 33) * 300;

/// A difference of more is a jump, not time that has passed.
const MOST_PASSED: u64 = HZ;

/// Between two references at most (TR 101 290, 2.3).
pub(super) const MOST_BETWEEN: u64 = HZ / 10;

/// ± 500 ns (2.4), in ticks.
const ACCURATE: f64 = 13.5;

/// So far off the line, 100 µs, it is not the clock that is wrong: the rate has changed, or packets are missing.
const ON_LINE: f64 = 2_700.0;

/// References that make the line.
const LINE: usize = 32;

/// As many must lie on it before another is judged by it.
const FEWEST: usize = 8;

/// What is known of the references of a PID.
#[derive(Debug, Clone)]
pub(super) struct Pcr {
    last: Option<u64>,
    /// `discontinuity_indicator` has announced another clock, and no reference of it has come yet.
    is_announced: bool,
    line: Line,
}

/// What a reference tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    /// Ticks since the one before; 0 if it is the first, or there was a jump.
    pub(super) passed: u64,
    /// It jumps, and nothing has announced that (2.3b).
    pub(super) is_jump: bool,
    /// It is more than 500 ns off (2.4).
    pub(super) is_inaccurate: bool,
}

// === impl Pcr ===

impl Pcr {
    pub(super) fn new() -> Self {
        Self { last: None, is_announced: false, line: Line::new() }
    }

    /// A packet of the PID has `discontinuity_indicator`.
    pub(super) const fn announce(&mut self) {
        self.is_announced = true;
    }

    /// Takes the reference of the packet that is the `index`-th of the stream.
    pub(super) fn take(&mut self, value: u64, index: u64) -> Step {
        let last = self.last.replace(value);
        let is_announced = std::mem::take(&mut self.is_announced);
        let ahead = last.map(|last| (value + WRAP - last) % WRAP).filter(|_| !is_announced);
        let Some(passed) = ahead.filter(|ahead| *ahead <= MOST_PASSED) else {
            self.line.clear();
            let is_inaccurate = self.line.is_off(index, 0);
            return Step { passed: 0, is_jump: ahead.is_some(), is_inaccurate };
        };
        let is_inaccurate = self.line.is_off(index, passed);
        Step { passed, is_jump: passed > MOST_BETWEEN, is_inaccurate }
    }
}

/// The value in a packet that has one.
pub(super) fn value(packet: &[u8; PACKET]) -> u64 {
    let [.., e, f] = *packet.first_chunk::<12>().unwrap_or(&[0; 12]);
    let [_, _, _, _, _, _, a, b, c, d, ..] = *packet;
    let base = u64::from(u32::from_be_bytes([a, b, c, d])) << 1 | u64::from(e >> 7);
    // Nine bits hold more than the 300 they should count to.
    (base * 300 + u64::from(u16::from_be_bytes([e & 1, f]))) % WRAP
}

/// Where a stream has a constant rate, references lie on a line over the packets' numbers.
///
/// Whether one is off is told by the line through those before it. Where those do not lie on one, the rate is not
/// constant, and nothing can be told.
#[derive(Debug, Clone)]
struct Line {
    /// Number of the packet, and ticks, since the line's first; the oldest at `count % LINE`.
    points: [(f64, f64); LINE],
    count: usize,
    origin: u64,
    now: f64,
}

// === impl Line ===

impl Line {
    const fn new() -> Self {
        Self { points: [(0.0, 0.0); LINE], count: 0, origin: 0, now: 0.0 }
    }

    const fn clear(&mut self) {
        self.count = 0;
    }

    /// Takes a reference `passed` ticks behind the one before.
    #[expect(clippy::cast_precision_loss, reason = "within a second each: far below 2⁵²")]
    fn is_off(&mut self, index: u64, passed: u64) -> bool {
        if self.count == 0 {
            (self.origin, self.now) = (index, 0.0);
            self.push(0.0, 0.0);
            return false;
        }
        let x = index.saturating_sub(self.origin) as f64;
        self.now += passed as f64;
        let Some(expected) = self.at(x) else {
            self.push(x, self.now);
            return false;
        };
        let off = self.now - expected;
        if off.abs() > ON_LINE {
            // It begins anew with this one.
            self.count = 0;
            return self.is_off(index, 0);
        }
        // One that is off must not bend the line by more than an accurate one could.
        self.push(x, expected + off.clamp(-ACCURATE, ACCURATE));
        self.count > FEWEST && off.abs() > ACCURATE
    }

    fn push(&mut self, x: f64, y: f64) {
        if let Some(point) = self.points.get_mut(self.count % LINE) {
            *point = (x, y);
        }
        // Never 0 again, and the place in the ring stays right.
        self.count = if self.count >= 2 * LINE { self.count - LINE + 1 } else { self.count + 1 };
    }

    /// The line of least squares, there; `None` while there is none.
    #[expect(clippy::cast_precision_loss, reason = "at most 32")]
    fn at(&self, x: f64) -> Option<f64> {
        let points = self.points.get(..self.count.min(LINE))?;
        if points.len() < 2 {
            return None;
        }
        let n = points.len() as f64;
        let (sum_x, sum_y) = points.iter().fold((0.0, 0.0), |(sx, sy), (px, py)| (sx + px, sy + py));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (xx, xy) = points.iter().fold((0.0, 0.0), |(xx, xy), (px, py)| {
            (xx + (px - mean_x) * (px - mean_x), xy + (px - mean_x) * (py - mean_y))
        });
        (xx > 0.0).then(|| mean_y + xy / xx * (x - mean_x))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    const NONE: Step = Step { passed: 0, is_jump: false, is_inaccurate: false };

    #[rstest]
    #[case::even(&[(0, 0, false), (27_000, 1, false)], Step { passed: 27_000, ..NONE })]
    #[case::at_the_limit(&[(0, 0, false), (MOST_BETWEEN, 1, false)], Step { passed: MOST_BETWEEN, ..NONE })]
    #[case::over_it(&[(0, 0, false), (MOST_BETWEEN + 1, 1, false)], Step { passed: MOST_BETWEEN + 1, is_jump: true, ..NONE })]
    #[case::over_a_second(&[(0, 0, false), (HZ + 1, 1, false)], Step { is_jump: true, ..NONE })]
    #[case::back(&[(27_000, 0, false), (26_999, 1, false)], Step { is_jump: true, ..NONE })]
    #[case::announced(&[(27_000, 0, false), (9, 1, true)], NONE)]
    #[case::around_the_end(&[(WRAP - 1, 0, false), (26_999, 1, false)], Step { passed: 27_000, ..NONE })]
    fn steps(#[case] references: &[(u64, u64, bool)], #[case] expected: Step) {
        let mut pcr = Pcr::new();
        let mut step = NONE;
        for (value, index, is_announced) in references {
            if *is_announced {
                pcr.announce();
            }
            step = pcr.take(*value, *index);
        }
        assert_eq!(step, expected);
    }

    /// References every 100 packets of a stream at 10 Mbit/s, each so many ticks off.
    fn off(offsets: impl IntoIterator<Item = i64>) -> Vec<usize> {
        let mut pcr = Pcr::new();
        let due = |n: u64| n * 100 * 1504 * HZ / 10_000_000;
        let steps = offsets.into_iter().zip(0_u64..).map(|(off, n)| {
            let value = (due(n) + HZ).checked_add_signed(off).unwrap();
            pcr.take(value, n * 100).is_inaccurate
        });
        steps.enumerate().filter_map(|(n, is_off)| is_off.then_some(n)).collect()
    }

    #[test]
    fn one_that_is_off_is_one_error() {
        for ticks in [15, -15, 40, -40, 400, -400, 2_600] {
            let offsets = (0..200).map(|n| if n == 50 || n == 120 { ticks } else { 0 });
            assert_eq!(off(offsets), [50, 120], "{ticks} ticks");
        }
        assert_eq!(off((0..200).map(|n| if n % 2 == 0 { 6 } else { -6 })), [0; 0], "within ± 500 ns");
    }

    #[test]
    fn where_the_rate_changes_nothing_can_be_told() {
        let mut pcr = Pcr::new();
        let mut value = 0;
        for n in 0..500_u64 {
            value += 27_000 * (10 + n * n % 17);
            assert!(!pcr.take(value, n * 100).is_inaccurate, "{n}");
        }
    }

    #[test]
    fn values_are_read_from_packets() {
        let mut packet = [0_u8; PACKET];
        packet[6..12].copy_from_slice(&[0x12, 0x34, 0x56, 0x78, 0x9f, 0x2b]);
        assert_eq!(value(&packet), ((0x1234_5678_u64 << 1) | 1) * 300 + 0x12b);
    }

    #[test]
    fn the_largest_value_is_none_of_another_time() {
        let mut packet = [0_u8; PACKET];
        packet[6..12].fill(0xff);
        let mut pcr = Pcr::new();
        assert_eq!(value(&packet), 211);
        pcr.take(value(&packet), 0);
        assert!(pcr.take(0, 1).is_jump, "211 ticks back");
    }

    proptest! {
        #[test]
        fn any_references_are_survived(references in prop::collection::vec((any::<u64>(), 0..1_000_u64), 0..200)) {
            let (mut pcr, mut index) = (Pcr::new(), 0);
            for (value, packets) in references {
                index += packets;
                let step = pcr.take(value % WRAP, index);
                prop_assert!(step.passed <= MOST_PASSED);
            }
        }
    }
}
