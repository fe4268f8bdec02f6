//! The figures of one attempt on one channel: since the last line, and in all.

mod metrics;

use super::ads::Ads;
use super::buckets::{Buckets, Division};
use super::coverage::Coverage;
use super::samples::Samples;
use super::stalls::Stalls;
use super::stints::Stints;
use super::switches::Servers;
use super::viewer::Viewer;
use crate::line::config::{Config, LogType};
use crate::session::{Activity, Counts, Fact, Head, Span};
use crate::time::Millis;

/// Play-back of this length, in ms, makes an attempt a view.
const VIEW: u64 = 5000;

/// Everything that adds up.
#[derive(Debug, Clone)]
pub(super) struct Figures {
    /// When the attempt began: 0 on the clock of its lines.
    pub(super) init: Millis,
    /// When the last line was.
    pub(super) line: Millis,
    cumulative: bool,
    rebuffer_limit: u64,
    pub(super) live: Option<bool>,
    pub(super) duration: Option<u64>,
    pub(super) division: Division,

    pub(super) activity: Activity,
    pub(super) head: Head,
    pub(super) joined: bool,
    /// Whether how the attempt began was seen: not if a daemon before this one was there.
    pub(super) saw_start: bool,
    /// Up to when everything is known.
    pub(super) settled: Millis,
    /// Total of the session when this attempt, or the line, began; `None` until one is told.
    counts: Option<Counted>,
    counted: Counted,
    coverage: Coverage,
    /// What earlier lines told of the coverage, in ms.
    covered: u64,
    pub(super) sum: Sums,
    pub(super) total: Total,
    pub(super) samples: Samples,
    pub(super) buckets: Buckets,
    pub(super) stints: Stints,
    pub(super) stalls: Stalls,
    pub(super) viewer: Viewer,
    pub(super) ads: Ads,
    pub(super) servers: Servers,
    /// Shares since the last line, sorted.
    shares: Vec<(String, u64)>,
    view_told: bool,
    rebuffer_told: bool,
}

/// Plain sums since the last line; times in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) play: u64,
    pub(super) rebuffers: u64,
    pub(super) rebuffering: u64,
    pub(super) resumes: u64,
    pub(super) resuming: u64,
    pub(super) pauses: u64,
    pub(super) paused: u64,
    pub(super) seeks: u64,
    pub(super) seeking: u64,
    pub(super) ad_paused: u64,
    pub(super) full_screen: u64,
}

/// Sums of the whole attempt; times in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) play: u64,
    pub(super) rebuffers: u64,
    pub(super) rebuffering: u64,
    pub(super) connecting: u64,
    pub(super) buffering: u64,
}

/// What the player counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    dropped: u64,
    bytes: u64,
    played: u64,
}

impl Figures {
    pub(super) fn new(config: &Config, init: Millis) -> Self {
        let length = config.bucket_length.0;
        Self {
            init,
            line: init,
            cumulative: config.log_type == LogType::Cumulative,
            rebuffer_limit: config.rebuffer_limit.0,
            live: None,
            duration: None,
            division: Division { count: config.bucket_count, length, duration: None },
            activity: Activity::Init,
            head: Head(0),
            joined: false,
            saw_start: true,
            settled: init,
            counts: Some(Counted::default()),
            counted: Counted::default(),
            coverage: Coverage::default(),
            covered: 0,
            sum: Sums::default(),
            total: Total::default(),
            samples: Samples::default(),
            buckets: Buckets::default(),
            stints: Stints::new(config.rate_classes.clone()),
            stalls: Stalls::default(),
            viewer: Viewer::default(),
            ads: Ads::default(),
            servers: Servers::default(),
            shares: Vec::new(),
            view_told: false,
            rebuffer_told: false,
        }
    }

    /// Another programme of the same session: its figures begin at zero, what goes on goes on.
    pub(super) fn restart(&mut self, at: Millis) {
        (self.init, self.line) = (at, at);
        self.counts = Some(self.counted);
        self.coverage = Coverage::default();
        self.covered = 0;
        self.sum = Sums::default();
        self.total = Total::default();
        self.samples = Samples::default();
        self.buckets.clear();
        self.stints.restart();
        self.stalls.restart();
        self.viewer.restart();
        self.ads.restart();
        self.servers.clear();
        self.shares.clear();
        (self.view_told, self.rebuffer_told) = (false, false);
        self.saw_start = true;
    }

    /// A daemon before this one told of what was until now.
    pub(super) fn adopt(&mut self, at: Millis) {
        let (init, line) = (self.init, self.line);
        self.restart(at);
        (self.init, self.line) = (init, line);
        self.counts = None;
        self.saw_start = false;
    }

    pub(super) fn clock(&self, at: Millis) -> u64 {
        at.since(self.init).0
    }

    pub(super) fn span(&mut self, span: &Span) {
        let ms = span.length().0;
        self.activity = span.activity;
        self.head = span.head_to;
        self.settled = self.settled.max(span.to);
        self.samples.add(self.init, span);
        let Self { sum, total, buckets, division, .. } = self;
        let add = |sum: &mut u64| *sum = sum.saturating_add(ms);
        if span.activity != Activity::Playing && span.full_screen && span.joined {
            add(&mut buckets.at(division, span.anchor).full_screen);
        }
        if span.full_screen && (span.joined || span.activity == Activity::Playing) {
            add(&mut sum.full_screen);
        }
        match span.activity {
            Activity::Init | Activity::Ended => {}
            Activity::Connecting => add(&mut total.connecting),
            Activity::InitBuffering => add(&mut total.buffering),
            Activity::Playing => {
                add(&mut sum.play);
                add(&mut total.play);
                buckets.play(division, span);
                self.coverage.add(span.head_from, span.head_to);
                self.stints.play(span.gauges.bitrate, span.head_from, ms);
            }
            Activity::Rebuffering | Activity::ResumeBuffering => {
                let bucket = buckets.at(division, span.anchor);
                add(&mut sum.rebuffering);
                add(&mut total.rebuffering);
                add(&mut bucket.rebuffering);
                if span.activity == Activity::ResumeBuffering {
                    add(&mut sum.resuming);
                    add(&mut bucket.resuming);
                }
                self.stalls.spend(span.from, ms);
            }
            Activity::Seeking | Activity::SeekBuffering => {
                add(&mut sum.seeking);
                add(&mut buckets.at(division, span.anchor).seeking);
            }
            Activity::Paused => {
                add(&mut sum.paused);
                add(&mut buckets.at(division, span.anchor).paused);
                self.viewer.spend_pause(ms);
            }
            Activity::AdLoading => self.ads.spend_loading(if span.loading_ad { ms } else { 0 }),
            Activity::AdPlaying => self.ads.spend_playing(ms),
        }
        if span.paused_for_ad {
            add(&mut sum.ad_paused);
        }
    }

    /// Takes what happened at one moment; what concerns the attempt alone is not for here.
    pub(super) fn fact(&mut self, at: Millis, fact: &Fact) {
        self.settled = self.settled.max(at);
        let clock = self.clock(at);
        let division = self.division;
        match fact {
            Fact::Span(span) => self.span(span),
            Fact::FirstFrame { .. } => self.joined = true,
            Fact::PauseBegan { head } => {
                self.sum.pauses += 1;
                self.buckets.at(&division, *head).pauses += 1;
                self.viewer.pause(*head, clock);
            }
            Fact::PauseEnded { head } => self.viewer.resume(*head, clock),
            Fact::SeekBegan { from, to } => {
                self.sum.seeks += 1;
                let bucket = self.buckets.at(&division, *from);
                bucket.seeks += 1;
                if let Some(to) = to {
                    bucket.forward += u64::from(to > from);
                    bucket.backward += u64::from(to < from);
                }
                self.head = *from;
            }
            Fact::SeekEnded { from, to, began, surprise } => {
                if *surprise {
                    let bucket = self.buckets.at(&division, *from);
                    bucket.forward += u64::from(to > from);
                    bucket.backward += u64::from(to < from);
                }
                self.viewer.seek(*from, *to, self.clock(*began), clock);
                self.head = *to;
            }
            Fact::StallBegan { head, resume } => {
                self.sum.rebuffers += 1;
                self.total.rebuffers += 1;
                let bucket = self.buckets.at(&division, *head);
                bucket.rebuffers += 1;
                if *resume {
                    bucket.resumes += 1;
                    self.sum.resumes += 1;
                }
                self.stalls.begin(at);
            }
            Fact::StallEnded => self.stalls.end(at),
            Fact::Switched { from, to, head, reasons, took } => {
                self.stints.switch(*from, *to, *head, reasons, took.map(|took| took.0));
            }
            Fact::Counted { counts, bytes_played, duration } => {
                self.count(counts, *bytes_played);
                self.duration = *duration;
                self.divide();
            }
            Fact::AdBegan { paused_before } => self.ads.begin(paused_before.0),
            Fact::AdEnded(record) => self.ads.end(record),
            Fact::ServerSwitched { switch, head } => self.servers.switch(switch, *head, clock),
            Fact::Shared(key) => self.share(key),
            Fact::Asset { asset, .. } => {
                self.live = asset.live;
                self.divide();
            }
            Fact::Opened(_)
            | Fact::Entered(_)
            | Fact::Resumed { .. }
            | Fact::Representation(_)
            | Fact::AdStarted(_)
            | Fact::Dimensions(_)
            | Fact::Delivery(_)
            | Fact::Window(_)
            | Fact::Tags(_)
            | Fact::Error(_) => {}
            Fact::Closed { .. } => self.activity = Activity::Ended,
        }
    }

    /// A line was written: what it told is not told again.
    pub(super) fn next_line(&mut self, at: Millis) {
        self.line = at;
        self.view_told |= self.is_view();
        self.rebuffer_told |= self.has_rebuffer();
        if self.cumulative {
            return;
        }
        self.counts = self.counts.map(|_| self.counted);
        self.covered = self.coverage.ms();
        self.sum = Sums::default();
        self.samples = Samples::default();
        self.buckets.clear();
        self.stints.clear();
        self.stalls.next_line();
        self.viewer.next_line();
        self.ads.next_line();
        self.servers.clear();
        self.shares.clear();
    }

    /// The start line told of these ads.
    pub(super) fn ads_told(&mut self) {
        if !self.cumulative {
            self.ads.told();
        }
    }

    /// Stream that was played for the first time, in ms: in the attempt, and since the last line.
    pub(super) fn covered(&self) -> (u64, u64) {
        let all = self.coverage.ms();
        (all, all - self.covered.min(all))
    }

    pub(super) fn is_view(&self) -> bool {
        self.total.play >= VIEW
    }

    pub(super) fn has_rebuffer(&self) -> bool {
        self.stalls.longest >= self.rebuffer_limit.max(1)
    }

    fn divide(&mut self) {
        self.division.duration = self.duration.filter(|ms| *ms > 0 && self.live != Some(true));
    }

    fn count(&mut self, counts: &Counts, played: u64) {
        self.counted = Counted { dropped: counts.video.dropped, bytes: counts.bytes, played };
        self.counts.get_or_insert(self.counted);
    }

    fn since_line(&self, of: impl Fn(&Counted) -> u64) -> u64 {
        self.counts.map_or(0, |before| of(&self.counted).saturating_sub(of(&before)))
    }

    fn share(&mut self, key: &str) {
        const MAX_SHARES: usize = 64;
        match self.shares.binary_search_by(|share| share.0.as_str().cmp(key)) {
            Ok(index) => {
                if let Some(share) = self.shares.get_mut(index) {
                    share.1 = share.1.saturating_add(1);
                }
            }
            Err(index) if self.shares.len() < MAX_SHARES => self.shares.insert(index, (key.to_owned(), 1)),
            Err(_) => {}
        }
    }
}
