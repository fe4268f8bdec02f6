//! What is sampled every half second, as sums.
//!
//! A gauge holds until it is told anew, so a stretch of time adds its gauges as often as the sampling grid has
//! points in it: the sums are what a timer would have come to, without one.

use crate::line::encode::Pen;
use crate::session::{Activity, Gauges, Span};
use crate::time::Millis;

/// Time between two samples.
const PERIOD: u64 = 500;

/// Values are kept in ten-thousandths: what lines have room for, and exact to add.
const UNIT: u128 = 10_000;

/// Samples of one value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SumCount {
    pub(super) sum: u128,
    pub(super) count: u64,
}

/// Everything that is sampled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Samples {
    /// `n`, bit/s, while it plays.
    pub(super) bitrate: SumCount,
    /// `o`, bit/s.
    pub(super) audio_bandwidth: SumCount,
    /// `p`, bit/s.
    pub(super) video_bandwidth: SumCount,
    /// `q`, bit/s.
    pub(super) data_bandwidth: SumCount,
    /// `db`, pictures a second, while it plays.
    pub(super) fps: SumCount,
    /// `dk`, ratio.
    pub(super) bandwidth_percent: SumCount,
    /// `dm`, percent, while it plays.
    pub(super) fps_percent: SumCount,
    /// `dn`, bit/s.
    pub(super) bandwidth: SumCount,
    /// `dr`, bit/s.
    pub(super) throughput: SumCount,
    /// `du` and `dl`, ms.
    pub(super) buffer: SumCount,
    /// `dy`, seconds.
    pub(super) live_delay: SumCount,
    /// `dz`, ms.
    pub(super) rtt: SumCount,
}

impl SumCount {
    fn add(&mut self, value: Option<u128>, times: u64) {
        if let Some(value) = value {
            self.sum = self.sum.saturating_add(value.saturating_mul(u128::from(times)));
            self.count = self.count.saturating_add(times);
        }
    }

    /// `SUM:COUNT`; nothing without samples.
    pub(super) fn write<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        if self.count == 0 {
            return out;
        }
        out.fixed_and::<4>(self.sum, b':').number(self.count)
    }

    /// The average; nothing without samples.
    pub(super) fn write_average<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        // Sums of many years are narrow.
        let average = match u64::try_from(self.sum) {
            Ok(sum) => sum.checked_div(self.count).map(u128::from),
            Err(_) => self.sum.checked_div(self.count.into()),
        };
        match average {
            Some(average) => out.fixed::<4>(average),
            None => out,
        }
    }
}

impl Samples {
    /// Adds a stretch of time. The sampling grid begins at `origin`; a point on the border of two stretches
    /// belongs to the first.
    pub(super) fn add(&mut self, origin: Millis, span: &Span) {
        let points = |until: Millis| until.since(origin).0 / PERIOD;
        let times = points(span.to) - points(span.from);
        if times == 0 {
            return;
        }
        let Gauges { bitrate, fps, buffer, measures } = span.gauges;
        let whole = |value: Option<u64>| value.map(|value| u128::from(value) * UNIT);
        let bitrate = Some(bitrate).filter(|rate| *rate > 0);
        if span.activity == Activity::Playing {
            let fps = fps.map(ten_thousandths);
            let encoded = measures.encoded_fps.map(ten_thousandths).filter(|fps| *fps > 0);
            self.bitrate.add(whole(bitrate), times);
            self.fps.add(fps, times);
            self.fps_percent.add(fps.zip(encoded).map(|(fps, encoded)| fps * 100 * UNIT / encoded), times);
        }
        self.audio_bandwidth.add(whole(measures.audio_bandwidth), times);
        self.video_bandwidth.add(whole(measures.video_bandwidth), times);
        self.data_bandwidth.add(whole(measures.data_bandwidth), times);
        self.bandwidth.add(whole(measures.bandwidth), times);
        self.throughput.add(whole(measures.throughput), times);
        let needed = [bitrate, measures.throughput].into_iter().flatten().min().filter(|rate| *rate > 0);
        let percent = whole(measures.bandwidth).zip(needed).map(|(sum, needed)| sum / u128::from(needed));
        self.bandwidth_percent.add(percent, times);
        self.buffer.add(whole(buffer), times);
        self.live_delay.add(measures.live_delay.map(ten_thousandths), times);
        self.rtt.add(measures.rtt.map(ten_thousandths), times);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "measures are checked to lie in 0 to 1e9 before a session takes them"
)]
pub(super) fn ten_thousandths(value: f64) -> u128 {
    (value * 10_000.0).round().clamp(0.0, 1e13) as u128
}
