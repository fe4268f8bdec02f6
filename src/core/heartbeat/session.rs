//! One session, as heartbeats tell it.

use std::collections::{BTreeMap, VecDeque};

use super::wire::{Change, Event, EventKind, Heartbeat, Info, PROTOCOL, PlayingState, SeekAct};
use super::{MAX_EVENTS, Settings};
use crate::player::{Ad, Open};
use crate::session::{Activity, Fact, Head, Span};
use crate::time::{Millis, WallAnchor};

/// Time between two samples of the frame rate, in ms.
const SAMPLING: u64 = 500;

#[derive(Debug)]
pub(super) struct Session {
    opened: Millis,
    /// UNIX time of `opened`, in ms; once it was told it stays.
    began: Option<u64>,
    sequence: u32,
    event_sequence: u32,
    waiting: VecDeque<Event>,
    due: Option<Millis>,
    /// One was made that has not arrived.
    unanswered: bool,
    /// The next that follows on one such is not made before.
    not_before: Millis,
    infos: VecDeque<Info>,
    ended: bool,
    is_ad: bool,
    state: PlayingState,
    head: Head,
    joined: bool,
    joined_paused: bool,
    bitrate: u64,
    buffer: Option<u64>,
    encoded_fps: Option<f64>,
    /// Σ pictures a second, in ten-thousandths, and how many samples.
    fps: (u128, u64),
    /// Σ bit/s × ms and Σ ms at known rates.
    rated: (u128, u64),
    dropped: (u64, u64),
    size: (Option<u32>, Option<u32>),
    duration: Option<u64>,
    live: Option<bool>,
    url: String,
    name: Option<String>,
    title: Option<String>,
    cdn: Option<String>,
    tags: BTreeMap<String, String>,
}

/// What a heartbeat needs that is not the session's own.
pub(super) struct Frame<'f> {
    pub(super) settings: &'f Settings,
    pub(super) sid: i32,
    pub(super) instance: i32,
    pub(super) wall: &'f WallAnchor,
    pub(super) now: Millis,
}

impl Session {
    fn new(opened: Millis) -> Self {
        Self {
            opened,
            began: None,
            sequence: 0,
            event_sequence: 0,
            waiting: VecDeque::new(),
            due: Some(opened),
            unanswered: false,
            not_before: Millis(0),
            infos: VecDeque::new(),
            ended: false,
            is_ad: false,
            state: PlayingState::Unknown,
            head: Head(0),
            joined: false,
            joined_paused: false,
            bitrate: 0,
            buffer: None,
            encoded_fps: None,
            fps: (0, 0),
            rated: (0, 0),
            dropped: (0, 0),
            size: (None, None),
            duration: None,
            live: None,
            url: String::new(),
            name: None,
            title: None,
            cdn: None,
            tags: BTreeMap::new(),
        }
    }

    pub(super) fn content(at: Millis, open: &Open) -> Self {
        let name = Some(open.id.clone()).filter(|id| !id.is_empty());
        Self { url: open.url.clone(), name, ..Self::new(at) }
    }

    /// An ad that has just started; `content` is the session it interrupts.
    pub(super) fn ad(at: Millis, ad: &Ad, content: i32) -> Self {
        let mut this = Self::new(at);
        this.is_ad = true;
        this.joined = true;
        this.title = ad.title.clone().or_else(|| Some(ad.id.clone()).filter(|id| !id.is_empty()));
        this.duration = ad.duration;
        this.tags.insert("c3.csid".to_owned(), content.to_string());
        this.enter(at, PlayingState::Playing);
        this
    }

    /// When its next heartbeat is due. While one has not arrived, another is made only for its events, and seldom.
    pub(super) fn due(&self) -> Option<Millis> {
        match self.due {
            Some(due) if self.unanswered && !self.ended => {
                (!self.waiting.is_empty()).then(|| due.max(self.not_before))
            }
            due => due,
        }
    }

    /// Whether its end is told with what was made last.
    pub(super) const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether what was made still waits.
    pub(super) const fn keep_waiting(&mut self, waits: bool) {
        self.unanswered &= waits;
    }

    /// Gives up the oldest events of too many; says how many.
    pub(super) fn shed(&mut self) -> u64 {
        let extra = self.waiting.len().saturating_sub(MAX_EVENTS);
        self.waiting.drain(..extra);
        extra.try_into().unwrap_or(u64::MAX)
    }

    pub(super) fn fact(&mut self, at: Millis, fact: &Fact) {
        match fact {
            Fact::Span(span) => self.span(span),
            Fact::Entered(activity) => self.enter(at, state(*activity)),
            Fact::Resumed { startup, .. } => self.joined |= startup.is_some(),
            Fact::FirstFrame { .. } => {
                self.joined = true;
                self.joined_paused = self.state == PlayingState::Paused;
                self.due = Some(at);
            }
            Fact::PauseBegan { head } | Fact::PauseEnded { head } | Fact::StallBegan { head, .. } => {
                self.head = *head;
            }
            Fact::SeekBegan { from, to } => {
                self.head = *from;
                self.note(at, EventKind::Seek { act: SeekAct::Pss, skto: to.map(Head::ms) });
            }
            Fact::SeekEnded { to, .. } => {
                self.head = *to;
                self.note(at, EventKind::Seek { act: SeekAct::Pse, skto: None });
            }
            Fact::Switched { from, to, .. } => {
                let change = |rate: u64| Change { ps: None, br: Some(rate / 1000).filter(|rate| *rate > 0) };
                self.bitrate = *to;
                self.note(at, EventKind::StateChange { new: change(*to), old: change(*from) });
            }
            Fact::Representation(representation) => {
                self.bitrate = representation.bitrate;
                self.size = (representation.width, representation.height);
            }
            Fact::Counted { counts, duration, .. } => {
                self.duration = *duration;
                self.dropped = (counts.video.dropped, self.dropped.1.saturating_add(1));
            }
            Fact::Asset { asset, .. } => {
                self.live = asset.live;
                self.name = asset.asset.clone().or_else(|| self.name.take());
                self.title = asset.title.clone().or_else(|| self.title.take());
                let category = asset.category.clone().map(|category| ("category".to_owned(), category));
                let show = asset.show.clone().map(|show| ("show".to_owned(), show));
                self.tags.extend(category.into_iter().chain(show));
            }
            Fact::Tags(tags) => self.title = self.title.take().or_else(|| tags.title.clone()),
            Fact::Dimensions(dimensions) => self.tags.extend(dimensions.dimensions.clone()),
            Fact::Delivery(delivery) => self.cdn.clone_from(&delivery.cdn),
            Fact::Error(error) => self.fail(at, &error.code, error.fatal),
            Fact::Shared(key) => self.custom(at, "share", &[("key", key)]),
            Fact::ServerSwitched { switch, head } => {
                self.head = *head;
                self.custom(
                    at,
                    "server_switch",
                    &[("from", &switch.from), ("to", &switch.to), ("ip", &switch.ip)],
                );
            }
            Fact::Closed { .. } => self.end(at),
            Fact::Opened(_)
            | Fact::StallEnded
            | Fact::AdBegan { .. }
            | Fact::AdStarted(_)
            | Fact::AdEnded(_)
            | Fact::Window(_) => {}
        }
    }

    fn span(&mut self, span: &Span) {
        let gauges = &span.gauges;
        self.head = span.head_to;
        self.buffer = gauges.buffer;
        self.encoded_fps = gauges.measures.encoded_fps;
        if span.activity != Activity::Playing {
            return;
        }
        let ms = span.length().0;
        if gauges.bitrate > 0 {
            let weight = u128::from(gauges.bitrate).saturating_mul(ms.into());
            self.rated = (self.rated.0.saturating_add(weight), self.rated.1.saturating_add(ms));
        }
        let points = |at: Millis| at.since(self.opened).0 / SAMPLING;
        let samples = points(span.to) - points(span.from);
        if let Some(fps) = gauges.fps {
            let fps = rounded(fps * 10_000.0);
            let sum = u128::from(fps).saturating_mul(samples.into());
            self.fps = (self.fps.0.saturating_add(sum), self.fps.1.saturating_add(samples));
        }
    }

    fn enter(&mut self, at: Millis, state: PlayingState) {
        let before = std::mem::replace(&mut self.state, state);
        if before != state {
            let change = |state| Change { ps: Some(state as u8), br: None };
            self.note(at, EventKind::StateChange { new: change(state), old: change(before) });
        }
    }

    pub(super) fn fail(&mut self, at: Millis, code: &str, fatal: bool) {
        self.note(at, EventKind::Error { err: code.to_owned(), ft: fatal });
        if fatal {
            self.due = Some(at);
        }
    }

    fn custom(&mut self, at: Millis, name: &str, attr: &[(&str, &str)]) {
        let attr = attr.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.note(at, EventKind::Custom { name: name.to_owned(), attr });
    }

    pub(super) fn end(&mut self, at: Millis) {
        self.enter(at, PlayingState::Stopped);
        self.note(at, EventKind::SessionEnd {});
        self.ended = true;
        self.due = Some(at);
    }

    fn note(&mut self, at: Millis, kind: EventKind) {
        let (st, pht) = (at.since(self.opened).0, self.head.ms());
        self.waiting.push_back(Event { kind, st, seq: self.event_sequence, pht, bl: self.buffer });
        self.event_sequence = self.event_sequence.wrapping_add(1);
    }

    /// The heartbeat that is due.
    pub(super) fn beat(&mut self, frame: &Frame<'_>) -> Heartbeat {
        let Frame { settings, sid, instance, wall, now } = *frame;
        let events: Vec<_> = self.waiting.drain(..).collect();
        let seq = self.sequence;
        self.sequence = self.sequence.wrapping_add(1);
        let infos = std::mem::take(&mut self.infos);
        self.unanswered = true;
        self.not_before = now + settings.interval;
        self.due = (!self.ended).then_some(self.not_before);
        let began = *self.began.get_or_insert_with(|| unix_ms(wall, self.opened));
        let platform = &settings.platform;
        let mut tags = settings.tags.clone();
        tags.extend(self.tags.clone());
        let known = |rate: u64| Some(rate / 1000).filter(|rate| *rate > 0);
        let average =
            self.rated.0.checked_div(u128::from(self.rated.1)).and_then(|rate| u64::try_from(rate).ok());
        Heartbeat {
            t: "CwsSessionHb".to_owned(),
            cid: settings.customer_key.clone(),
            clid: settings.client_id.clone(),
            sid,
            iid: instance,
            seq,
            pver: PROTOCOL.to_owned(),
            clv: settings.client_version.clone(),
            caps: 0,
            pm: platform.clone(),
            fw: platform.fw.clone(),
            fwv: platform.fwv.clone(),
            vid: settings.viewer_id.clone(),
            an: self.title.clone().or_else(|| self.name.clone()).unwrap_or_default(),
            pn: settings.player_name.clone(),
            lv: self.live.or(self.duration.map(|_| false)),
            rs: self.cdn.clone(),
            url: self.url.clone(),
            cl: self.duration.map(|ms| ms / 1000),
            efps: self.encoded_fps.map(rounded),
            rfpstot: u64::try_from((self.fps.0 + 5_000) / 10_000).unwrap_or(u64::MAX),
            rfpscnt: self.fps.1,
            br: known(self.bitrate),
            avgbr: average.and_then(known),
            w: self.size.0,
            h: self.size.1,
            pht: self.head.ms(),
            bl: self.buffer,
            ps: self.state as u8,
            pj: self.joined_paused,
            dftot: self.dropped.0,
            dfcnt: self.dropped.1,
            tags,
            ad: self.is_ad,
            sf: 7,
            sst: began,
            st: now.since(self.opened).0,
            evs: events,
            hbinfos: infos.into(),
            sdk: true,
        }
    }

    /// Not later than this, if at all.
    pub(super) fn hasten(&mut self, until: Millis) {
        self.due = self.due.map(|due| due.min(until));
    }

    /// How a heartbeat fared, for the next one to tell.
    pub(super) fn inform(&mut self, info: Info, most: usize) {
        self.infos.push_back(info);
        while self.infos.len() > most {
            self.infos.pop_front();
        }
    }
}

/// UNIX time of a monotonic point, in ms; 0 for what lies before 1970.
const fn unix_ms(wall: &WallAnchor, at: Millis) -> u64 {
    wall.unix_ms.saturating_add(at.since(wall.at).0).saturating_sub(wall.at.since(at).0)
}

const fn state(activity: Activity) -> PlayingState {
    match activity {
        Activity::Init => PlayingState::Unknown,
        Activity::Playing => PlayingState::Playing,
        Activity::Paused => PlayingState::Paused,
        Activity::AdLoading | Activity::AdPlaying => PlayingState::NotMonitored,
        Activity::Ended => PlayingState::Stopped,
        Activity::Connecting
        | Activity::InitBuffering
        | Activity::Rebuffering
        | Activity::Seeking
        | Activity::SeekBuffering
        | Activity::ResumeBuffering => PlayingState::Buffering,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "measures are checked to lie in 0 to 1e9 before a session takes them"
)]
fn rounded(value: f64) -> u64 {
    value.round().clamp(0.0, 1e14) as u64
}
