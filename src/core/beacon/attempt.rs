//! One attempt to play, as one channel tells it.

use std::cell::Cell;
use std::sync::Arc;

use super::figures::Figures;
use super::identity::Identity;
use super::stream::Stream;
use super::text::{push_some, push_text};
use super::visit::Visit;
use crate::line::config::Config;
use crate::line::encode::{Kept, Pen, Sent, Values};
use crate::line::keys::{Event, Metric};
use crate::player::{Asset, Bitrate, Delivery, Dimensions, PlayerError, Tags, Window};
use crate::session::{Fact, Gauges, Peer};
use crate::time::Millis;

/// What a channel knows of one attempt.
#[derive(Debug)]
pub(super) struct Attempt {
    pub(super) config: Arc<Config>,
    pub(super) peer: Peer,
    /// `c`
    pub(super) guid: String,
    /// `e` of the next line.
    pub(super) sequence: u64,
    /// `e` of the next heartbeat line.
    pub(super) beat_sequence: u64,
    pub(super) beat: Millis,
    pub(super) sent: Sent,
    /// Of playing lines.
    pub(super) kept: Kept,
    pub(super) figures: Figures,
    pub(super) story: Story,
    /// When the start line was.
    pub(super) started: Option<Millis>,
    /// When the next playing line is due.
    pub(super) due: Option<Millis>,
    pub(super) beat_due: Option<Millis>,
    /// It has had its last line.
    pub(super) over: bool,
    /// It is the first of its visit, and no line has said so.
    pub(super) opens_visit: bool,
}

/// What is known of the stream and its surroundings.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// Goes up whenever something is told that stays in one line after the other, see [`stays`].
    revision: u64,
    url: String,
    stream: Stream,
    pub(super) asset: Asset,
    pub(super) dimensions: Dimensions,
    pub(super) delivery: Delivery,
    pub(super) window: Window,
    pub(super) tags: Tags,
    pub(super) representation: Bitrate,
    pub(super) gauges: Gauges,
    /// From the attempt to the first picture.
    pub(super) startup: Option<Millis>,
    pub(super) error: Option<PlayerError>,
    pub(super) first_title: bool,
}

/// One line that is being written.
pub(super) struct Draft<'a> {
    pub(super) event: Event,
    pub(super) at: Millis,
    pub(super) identity: &'a Identity,
    pub(super) attempt: &'a Attempt,
    pub(super) visit: &'a str,
    /// `xa` or `ca`
    pub(super) reason: &'a str,
    /// Whether `gb` was asked for.
    pub(super) asked_ads: Cell<bool>,
    /// Whether `va` was asked for.
    pub(super) asked_visit: Cell<bool>,
}

/// A visit line that is being written.
pub(super) struct VisitDraft<'a> {
    pub(super) at: Millis,
    pub(super) identity: &'a Identity,
    pub(super) visit: &'a Visit,
}

impl Attempt {
    pub(super) fn new(config: Arc<Config>, peer: Peer, guid: String, at: Millis) -> Self {
        let figures = Figures::new(&config, at);
        let beat_due = config.sends(Event::Heartbeat).then(|| at + config.heartbeat_interval);
        Self {
            config,
            peer,
            guid,
            sequence: 0,
            beat_sequence: 0,
            beat: at,
            sent: Sent::default(),
            kept: Kept::default(),
            figures,
            story: Story::default(),
            started: None,
            due: None,
            beat_due,
            over: false,
            opens_visit: false,
        }
    }

    /// The same session plays another programme: everything that is the attempt's own begins anew.
    pub(super) fn restart(&mut self, config: Arc<Config>, guid: String, at: Millis) {
        self.figures.restart(at);
        self.beat_due = config.sends(Event::Heartbeat).then(|| at + config.heartbeat_interval);
        self.config = config;
        self.guid = guid;
        (self.sequence, self.beat_sequence, self.beat) = (0, 0, at);
        self.sent = Sent::default();
        (self.started, self.due) = (None, None);
        (self.over, self.opens_visit) = (false, false);
        self.story.error = None;
        self.story.revision += 1;
    }

    /// When something is due, if nothing happens until then.
    pub(super) fn due(&self) -> Option<Millis> {
        [self.due, self.beat_due].into_iter().flatten().min()
    }
}

impl Story {
    /// Takes over what is only replaced.
    pub(super) fn fact(&mut self, fact: &Fact) {
        self.revision += u64::from(matches!(
            fact,
            Fact::Opened(_)
                | Fact::Asset { .. }
                | Fact::Dimensions(_)
                | Fact::Delivery(_)
                | Fact::Window(_)
                | Fact::Tags(_)
                | Fact::Representation(_)
        ));
        match fact {
            Fact::Opened(open) => {
                self.url.clone_from(&open.url);
                self.stream = Stream::parse(&open.url);
            }
            Fact::Span(span) => self.gauges = span.gauges,
            Fact::Asset { asset, .. } => self.asset.clone_from(asset),
            Fact::Dimensions(dimensions) => self.dimensions.clone_from(dimensions),
            Fact::Delivery(delivery) => self.delivery.clone_from(delivery),
            Fact::Window(window) => self.window = *window,
            Fact::Tags(tags) => self.tags.clone_from(tags),
            Fact::Representation(representation) => self.representation.clone_from(representation),
            Fact::Error(error) => self.error = Some(error.clone()),
            _ => {}
        }
    }

    fn is_live(&self, figures: &Figures) -> Option<bool> {
        self.asset.live.or(figures.duration.map(|_| false))
    }

    /// The value of what is known of the stream, or of who plays it.
    #[inline(never)]
    fn write<'p>(&self, metric: Metric, figures: &Figures, identity: &Identity, out: Pen<'p>) -> Pen<'p> {
        let Self { asset, stream, .. } = self;
        match metric {
            Metric::HostName => out.text(&stream.host),
            Metric::AppName => out.text(&stream.app),
            Metric::StreamName => out.text(&stream.name),
            Metric::Port => out.text(&stream.port),
            Metric::Protocol => out.text(&stream.protocol),
            Metric::Format => out.text(stream.format),
            Metric::StreamUrl => out.text(&self.url),
            Metric::DeliveryType => out.text(match self.is_live(figures) {
                Some(true) => "L",
                Some(false) => "O",
                None => "-",
            }),
            Metric::Title => push_text(told(&asset.title).or(self.tags.title.as_ref()), out),
            Metric::Show => push_text(asset.show.as_ref(), out),
            Metric::Category => push_text(asset.category.as_ref(), out),
            Metric::SubCategory => push_text(asset.sub_category.as_ref(), out),
            Metric::EventName => push_text(asset.event.as_ref(), out),
            Metric::EventStartTime => push_text(asset.event_start.as_ref(), out),
            Metric::EventEndTime => push_text(asset.event_end.as_ref(), out),
            Metric::ContentLength => push_text(asset.length.as_ref(), out),
            Metric::Cdn => push_text(told(&self.delivery.cdn).or(Some(&identity.cdn)), out),
            Metric::Connectivity => {
                push_text(told(&self.delivery.connectivity).or(Some(&identity.connectivity)), out)
            }
            Metric::ServerIp => push_text(self.delivery.server_ip.as_ref(), out),
            Metric::IsAsmEnabled => push_some(self.delivery.asm.map(u64::from), out),
            Metric::IsFirstTitle => out.number(u64::from(self.first_title)),
            Metric::ConnectTime => {
                let seen = figures.saw_start.then_some(figures.total.connecting);
                push_some(self.delivery.connect_time.or(seen), out)
            }
            Metric::BufferingTime => push_some(figures.saw_start.then_some(figures.total.buffering), out),
            Metric::StreamLength => push_some(figures.duration, out),
            Metric::EncodedFps => match self.gauges.measures.encoded_fps {
                Some(fps) => out.fixed::<4>(super::samples::ten_thousandths(fps)),
                None => out,
            },
            Metric::EncodedBitRate => {
                let nominal = Some(self.representation.bitrate).filter(|rate| *rate > 0);
                push_some(self.gauges.measures.encoded_bitrate.or(nominal), out)
            }
            Metric::VideoSize => size(self.representation.width, self.representation.height, out),
            Metric::BrowserSize => size(self.window.width, self.window.height, out),
            _ => identity.write(metric, out),
        }
    }
}

/// What is told, unless it is empty.
fn told(text: &Option<String>) -> Option<&String> {
    text.as_ref().filter(|text| !text.is_empty())
}

/// Whether a metric is told by facts of its own alone: no time that goes by changes it.
const fn stays(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::AttemptId
            | Metric::ViewerId
            | Metric::PlayerId
            | Metric::PlayerType
            | Metric::PlayerVersion
            | Metric::PluginVersion
            | Metric::Os
            | Metric::FullOs
            | Metric::Device
            | Metric::UserAgent
            | Metric::Connectivity
            | Metric::Cdn
            | Metric::HostName
            | Metric::AppName
            | Metric::StreamName
            | Metric::Port
            | Metric::Protocol
            | Metric::Format
            | Metric::StreamUrl
            | Metric::Title
            | Metric::Show
            | Metric::Category
            | Metric::SubCategory
            | Metric::EventName
            | Metric::EventStartTime
            | Metric::EventEndTime
            | Metric::ContentLength
            | Metric::ServerIp
            | Metric::IsAsmEnabled
            | Metric::BucketLength
            | Metric::VideoSize
            | Metric::BrowserSize
    )
}

fn size(width: Option<u32>, height: Option<u32>, out: Pen<'_>) -> Pen<'_> {
    match width.zip(height) {
        Some((width, height)) => out.number_and(width.into(), b'*').number(height.into()),
        None => out,
    }
}

impl Identity {
    fn write<'p>(&self, metric: Metric, out: Pen<'p>) -> Pen<'p> {
        out.text(match metric {
            Metric::ViewerId => &self.viewer_id,
            Metric::PlayerId => &self.player_id,
            Metric::PlayerType => &self.player_type,
            Metric::PlayerVersion => &self.player_version,
            Metric::PluginVersion => &self.plugin_version,
            Metric::Os => &self.os,
            Metric::FullOs => &self.full_os,
            Metric::Device => &self.device,
            Metric::UserAgent => &self.user_agent,
            Metric::Connectivity => &self.connectivity,
            Metric::Cdn => &self.cdn,
            _ => "",
        })
    }
}

impl Values for Draft<'_> {
    fn write<'p>(&self, metric: Metric, out: Pen<'p>) -> Pen<'p> {
        let Self { attempt, event, at, .. } = self;
        let figures = &attempt.figures;
        let ends = || matches!(event, Event::Complete | Event::Error);
        match metric {
            Metric::AttemptId => out.text(&attempt.guid),
            Metric::SequenceId if *event == Event::Heartbeat => out.number(attempt.beat_sequence),
            Metric::SequenceId => out.number(attempt.sequence),
            Metric::EndOfStream => out.number(u64::from(ends())),
            Metric::VisitId => out.text(self.visit),
            Metric::CurrentClockTime => out.number(figures.clock(*at)),
            Metric::LogInterval => figures.write_interval(*at, out),
            // The start line is what play-back began with; the end is the end.
            Metric::PlayerState if *event == Event::PlayStart => out.marks(*b"I"),
            Metric::PlayerState if ends() => out.marks(*b"E"),
            Metric::StartupTime => push_some(
                attempt
                    .story
                    .startup
                    .map(|time| if time > attempt.config.startup_limit { 0 } else { time.0 }),
                out,
            ),
            Metric::BucketLength => out.number(attempt.config.bucket_length.0 / 1000),
            Metric::IsVisitStart => {
                self.asked_visit.set(self.asked_visit.get() | attempt.opens_visit);
                out.flag(attempt.opens_visit)
            }
            Metric::EndReasonCode if *event == Event::Complete => out.text(self.reason),
            Metric::ErrorCode if *event == Event::Error => out.text(self.reason),
            Metric::LastHTime if *event == Event::Heartbeat => out.number(at.since(attempt.beat).0),
            Metric::IsSessionWithRebufferH => out.number(u64::from(figures.has_rebuffer())),
            Metric::RebufferSessionH => figures.write_stalls(out),
            Metric::AdSession => {
                self.asked_ads.set(true);
                figures.ads.write_session(out)
            }
            // Each writes as the last thing it does, so that this is but a way to who writes.
            _ => figures.write(metric, out, |out| attempt.story.write(metric, figures, self.identity, out)),
        }
    }

    fn are_typed(&self) -> bool {
        true
    }

    fn revision(&self) -> Option<u64> {
        // Other lines are few.
        (self.event == Event::Playing).then_some(self.attempt.story.revision)
    }

    fn stays(&self, metric: Metric) -> bool {
        stays(metric)
    }

    fn dimensions_stay(&self) -> bool {
        true
    }

    fn write_dimension<'p>(&self, key: &str, _name: &str, out: Pen<'p>) -> Pen<'p> {
        let told = &self.attempt.story.dimensions.dimensions;
        push_text(told.get(key).or_else(|| self.identity.dimensions.get(key)), out)
    }
}

impl Values for VisitDraft<'_> {
    fn write<'p>(&self, metric: Metric, out: Pen<'p>) -> Pen<'p> {
        let Visit { id, began, sums, .. } = self.visit;
        match metric {
            Metric::SequenceId | Metric::EndOfStream => out.number(0),
            Metric::VisitId => out.text(id),
            Metric::CurrentClockTime | Metric::VisitInterval => out.number(self.at.since(*began).0),
            Metric::IsVisitEnd => out.marks(*b"1"),
            Metric::VisitAttempts => out.number(sums.attempts),
            Metric::VisitPlays => out.number(sums.plays),
            Metric::VisitViews => out.number(sums.views),
            Metric::VisitErrors => out.number(sums.errors),
            Metric::VisitStartupErrors => out.number(sums.startup_errors),
            Metric::VisitPlayClockTime => out.number(sums.play),
            Metric::VisitPlayStreamTime => out.number(sums.covered),
            Metric::VisitRebufferCount => out.number(sums.rebuffers),
            Metric::VisitRebufferTime => out.number(sums.rebuffering),
            Metric::VisitUniqueTitles => out.number(self.visit.titles()),
            Metric::VisitAdPlayClockTime => out.number(sums.ad_play),
            Metric::VisitAdStartCount => out.number(sums.ads),
            Metric::VisitAdAbandonCount => out.number(sums.abandoned_ads),
            Metric::VisitMaxPersistentBitRateBucket => out.text(self.visit.longest_class()),
            metric => self.identity.write(metric, out),
        }
    }

    fn write_dimension<'p>(&self, key: &str, _name: &str, out: Pen<'p>) -> Pen<'p> {
        push_text(self.identity.dimensions.get(key), out)
    }
}
