//! The figures as lines tell them: what each metric of the playing group is.

use super::super::stalls::IDLE;
use super::super::text::push_some;
use super::Figures;
use crate::line::encode::Pen;
use crate::line::keys::Metric;
use crate::time::Millis;

impl Figures {
    /// The value of a metric of the playing group; `other` writes that of any other.
    #[inline]
    pub(in crate::beacon) fn write<'p>(
        &self,
        metric: Metric,
        out: Pen<'p>,
        other: impl FnOnce(Pen<'p>) -> Pen<'p>,
    ) -> Pen<'p> {
        let Self { sum, samples, buckets, stints, stalls, viewer, .. } = self;
        match metric {
            Metric::PlayerState => out.text(self.activity.code()),
            Metric::PlayBackBitRate => samples.bitrate.write(out),
            Metric::AudioBandwidth => samples.audio_bandwidth.write(out),
            Metric::VideoBandwidth => samples.video_bandwidth.write(out),
            Metric::DataBandwidth => samples.data_bandwidth.write(out),
            Metric::DroppedFrames => out.number(self.since_line(|counted| counted.dropped)),
            Metric::CurrentStreamTime => out.number(self.head.ms()),
            Metric::PlayClockTime => out.number(sum.play),
            Metric::PlayStreamTime => out.number(self.covered().1),
            Metric::RebufferCount => out.number(sum.rebuffers),
            Metric::RebufferTime => out.number(sum.rebuffering),
            Metric::AverageFps => samples.fps.write(out),
            Metric::BytesLoaded => out.number(self.since_line(|counted| counted.bytes)),
            Metric::PauseCount => out.number(sum.pauses),
            Metric::PauseDuration => out.number(sum.paused),
            Metric::PauseIntervals => viewer.write_pauses(out),
            Metric::SeekCount => out.number(sum.seeks),
            Metric::SeekTime => out.number(sum.seeking),
            Metric::SeekIntervals => viewer.write_seeks(out),
            Metric::PauseSeekSession => viewer.write_actions(out),
            Metric::BandwidthPercent => samples.bandwidth_percent.write(out),
            Metric::BufferLength => samples.buffer.write_average(out),
            Metric::AverageFpsPercent => samples.fps_percent.write(out),
            Metric::TotalBandwidth => samples.bandwidth.write(out),
            Metric::ResumeBufferCount => out.number(sum.resumes),
            Metric::ResumeBufferTime => out.number(sum.resuming),
            Metric::BytesPlayed => out.number(self.since_line(|counted| counted.played)),
            Metric::AvailableBandwidth => samples.throughput.write(out),
            Metric::FullScreenClockTime => out.number(sum.full_screen),
            Metric::BufferTime => samples.buffer.write(out),
            Metric::IsView => out.flag(self.is_view() && !self.view_told),
            Metric::IsSessionWithRebuffer => out.flag(self.has_rebuffer() && !self.rebuffer_told),
            Metric::LiveDelay => samples.live_delay.write(out),
            Metric::Rtt => samples.rtt.write(out),
            Metric::BucketCount => {
                push_some(self.division.duration.map(|_| u64::from(self.division.count)), out)
            }
            Metric::BucketPlays => buckets.write_plays(&self.division, out),
            Metric::BucketPauseCounts => buckets.write(|bucket| bucket.pauses, out),
            Metric::BucketPauseTimes => buckets.write(|bucket| bucket.paused, out),
            Metric::BucketSeeks => buckets.write(|bucket| bucket.seeks, out),
            Metric::BucketForwardSeeks => buckets.write(|bucket| bucket.forward, out),
            Metric::BucketBackwardSeeks => buckets.write(|bucket| bucket.backward, out),
            Metric::BucketRebufferCounts => buckets.write(|bucket| bucket.rebuffers, out),
            Metric::BucketRebufferTimes => buckets.write(|bucket| bucket.rebuffering, out),
            Metric::BucketResumeBufferCounts => buckets.write(|bucket| bucket.resumes, out),
            Metric::BucketResumeBufferTimes => buckets.write(|bucket| bucket.resuming, out),
            Metric::BucketSeekTimes => buckets.write(|bucket| bucket.seeking, out),
            Metric::BucketFullScreenTimes => buckets.write(|bucket| bucket.full_screen, out),
            Metric::TransitionCount => out.number(stints.up.count + stints.down.count),
            Metric::TransitionUpSwitchCount => out.number(stints.up.count),
            Metric::TransitionDownSwitchCount => out.number(stints.down.count),
            Metric::TransitionTime => out.number(stints.took),
            Metric::UpSwitchReasonCounts => stints.up.write_reasons(out),
            Metric::DownSwitchReasonCounts => stints.down.write_reasons(out),
            Metric::TransitionStreamTimeSession => stints.write_session(out),
            Metric::TransitionStreamTimes => stints.write_times(out),
            Metric::BitRateBucketTimes => stints.write_classes(out),
            Metric::AveragedBitRate => stints.write_weighted(out),
            Metric::RebufferSession => self.write_stalls(out),
            Metric::AdSession => self.ads.write_session(out),
            Metric::AdCount => out.number(self.ads.line.count),
            Metric::AdPlayClockTime => out.number(self.ads.line.play),
            Metric::AdStartupTime => out.number(self.ads.line.startup),
            Metric::AdPauseTime => out.number(sum.ad_paused),
            Metric::AsmSession => self.servers.write(out),
            Metric::RebufferStatus => out.text(if stalls.idle { IDLE } else { "" }),
            Metric::SocialSharing => self.write_shares(out),
            // Of the whole attempt.
            Metric::TotalRebufferTime => out.number(self.total.rebuffering),
            Metric::TotalRebufferCount => out.number(self.total.rebuffers),
            Metric::TotalPlayClockTime => out.number(self.total.play),
            Metric::TotalPlayStreamTime => out.number(self.covered().0),
            Metric::MaxPersistentBitRate => push_some(Some(stints.max).filter(|rate| *rate > 0), out),
            Metric::TotalAdPlayClockTime => out.number(self.ads.total.play),
            Metric::TotalAdStartCount => out.number(self.ads.total.count),
            Metric::TotalAdAbandonCount => out.number(self.ads.total.abandoned),
            _ => other(out),
        }
    }

    /// `rs`
    pub(in crate::beacon) fn write_stalls<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        self.stalls.write(if self.cumulative { self.init } else { self.line }, out)
    }

    /// `so`
    #[inline(never)]
    fn write_shares<'p>(&self, out: Pen<'p>) -> Pen<'p> {
        out.list(|mut out| {
            for (key, count) in &self.shares {
                out = out.text(key).marks(*b":").number_and(*count, b',');
            }
            out
        })
    }

    /// `dx`: seconds since the last line.
    #[inline(never)]
    pub(in crate::beacon) fn write_interval<'p>(&self, at: Millis, out: Pen<'p>) -> Pen<'p> {
        let ms = at.since(self.line).0;
        if ms % 1000 == 0 { out.number(ms / 1000) } else { out.seconds(ms) }
    }
}
