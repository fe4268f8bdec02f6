//! A box whose time is moved by hand, with sessions and any number of channels.

use std::fmt::Write;

use crate::beacon::{Channel, Identity, Line};
use crate::line::config::Config;
use crate::line::decode;
use crate::line::keys::{Event, Metric};
use crate::player::{
    Ad, AdPhase, AdStatus, Bitrate, Buffering, CloseReason, Counters, Event as Told, Frames, Message, Open,
    PlayerError, PlayerState, Seek, SeekPhase, SessionEvent, SessionId, SwitchReason, Switching,
};
use crate::session::{Peer, Reject, Sessions};
use crate::time::Millis;

pub(super) const PLAYER: Peer = Peer(1);
pub(super) const PLAY: SessionEvent = SessionEvent::State(PlayerState::Playing);
pub(super) const PAUSE: SessionEvent = SessionEvent::State(PlayerState::Paused);
pub(super) const STOP: SessionEvent = SessionEvent::Close(CloseReason::Stop);

pub(super) struct Box {
    pub(super) sessions: Sessions,
    pub(super) channels: Vec<Channel>,
    pub(super) now: Millis,
    pub(super) lines: Vec<Vec<Line>>,
    random: u128,
}

impl Box {
    pub(super) fn new(configs: impl IntoIterator<Item = Config>) -> Self {
        let mut sessions = Sessions::new();
        sessions.set_journal(true);
        let mut this = Self { sessions, channels: Vec::new(), now: Millis(0), lines: Vec::new(), random: 0 };
        for config in configs {
            let mut channel = Channel::new(identity());
            channel.set_config(config, &mut random(&mut this.random));
            this.add(channel);
        }
        this
    }

    pub(super) fn add(&mut self, channel: Channel) {
        self.channels.push(channel);
        self.lines.push(Vec::new());
    }

    pub(super) fn builtin() -> Self {
        Self::new([config("")])
    }

    /// Moves time on, stopping wherever a channel wants something done.
    pub(super) fn at(&mut self, now: u64) -> &mut Self {
        let now = Millis(now);
        while let Some(due) =
            self.channels.iter().filter_map(Channel::poll_timeout).min().filter(|due| *due <= now)
        {
            self.now = self.now.max(due);
            self.turn();
        }
        self.now = now;
        self
    }

    /// Moves time on without looking at any timer: a daemon that got no time to run.
    pub(super) fn sleep(&mut self, now: u64) -> &mut Self {
        self.now = Millis(now);
        self
    }

    pub(super) fn turn(&mut self) -> &mut Self {
        if self.channels.iter().filter_map(Channel::poll_timeout).any(|due| due <= self.now) {
            self.sessions.settle(self.now);
        }
        while let Some(entry) = self.sessions.poll_entry() {
            for channel in &mut self.channels {
                channel.handle_entry(&entry, &mut random(&mut self.random));
            }
        }
        for (channel, lines) in self.channels.iter_mut().zip(&mut self.lines) {
            channel.handle_timeout(self.now);
            lines.extend(std::iter::from_fn(|| channel.poll_line()));
        }
        self
    }

    pub(super) fn tell(&mut self, event: Told) -> Result<(), Reject> {
        let result = self.sessions.handle_message(self.now, PLAYER, Message { at: self.now, event });
        self.turn();
        result
    }

    pub(super) fn session(&mut self, id: &str, event: SessionEvent) -> Result<(), Reject> {
        self.tell(Told::Session(SessionId::try_new(id).unwrap(), event))
    }

    pub(super) fn ok(&mut self, event: SessionEvent) -> &mut Self {
        self.session("a", event).unwrap();
        self
    }

    pub(super) fn gone(&mut self) -> &mut Self {
        self.sessions.handle_disconnect(self.now, PLAYER);
        self.turn()
    }

    /// What went over the wire, a line each, with its time in front.
    pub(super) fn wire(&self) -> String {
        let mut out = String::new();
        for line in &self.lines[0] {
            writeln!(out, "{} {}", line.at, line.text).unwrap();
        }
        out
    }

    /// The values of one key, line by line; `-` where a line has none.
    pub(super) fn values(&self, metric: Metric) -> Vec<String> {
        self.lines[0].iter().map(|line| value(line, metric).unwrap_or_else(|| "-".to_owned())).collect()
    }

    /// Which lines there were, with the seconds between them.
    pub(super) fn course(&self) -> String {
        let lines = self.lines[0].iter().map(|line| {
            let interval = value(line, Metric::LogInterval).unwrap_or_default();
            format!("{}{}", line.event.code(), interval)
        });
        lines.collect::<Vec<_>>().join(" ")
    }
}

pub(super) fn value(line: &Line, metric: Metric) -> Option<String> {
    let read = decode::Line::read(&line.text).unwrap_or_else(|e| panic!("{}: {e}", line.text));
    read.value(metric).map(str::to_owned)
}

fn random(state: &mut u128) -> impl FnMut() -> u128 + '_ {
    move || {
        *state += 1;
        *state
    }
}

pub(super) fn identity() -> Identity {
    Identity {
        viewer_id: "box-1".into(),
        player_id: "tv".into(),
        plugin_version: "0.1.0".into(),
        os: "Linux".into(),
        device: "model-5".into(),
        dimensions: [("_cd_1000".to_owned(), "lab".to_owned())].into(),
        ..Identity::default()
    }
}

/// The built-in configuration, with attributes of `logTo` put in front of its own.
pub(super) fn config(log_to: &str) -> Config {
    let text = crate::line::config::builtin_text();
    let text = log_to.split_whitespace().fold(text, |text, attribute| {
        let (name, _) = attribute.split_once('=').expect("name=\"value\"");
        let start = text.find(&format!("{name}=")).expect("an attribute of the built-in configuration");
        let end = start + text[start..].match_indices('"').nth(1).unwrap().0 + 1;
        format!("{}{attribute}{}", &text[..start], &text[end..])
    });
    Config::parse(&text).unwrap().config
}

/// A configuration with one more group, which lists every key there is.
pub(super) fn config_with(group: Event, log_to: &str) -> Config {
    let text = crate::line::config::builtin_text();
    let keys: String = Metric::ALL
        .iter()
        .map(|metric| format!("<data key=\"{}\" name=\"{}\"/>", metric.key(), metric.name()))
        .collect();
    let (element, code) = (group.element(), group.code());
    let group =
        format!("<{element} eventCode=\"{code}\"><dataMetrics>{keys}</dataMetrics></{element}></statistics>");
    let text = text.replace("</statistics>", &group);
    let text =
        if log_to.is_empty() { text } else { text.replacen("<logTo ", &format!("<logTo {log_to} "), 1) };
    Config::parse(&text).unwrap().config
}

pub(super) fn open(url: &str) -> SessionEvent {
    SessionEvent::Open(Open { url: url.into(), proto: "vod".into(), id: "7".into() })
}

pub(super) fn percent(percent: u8) -> SessionEvent {
    SessionEvent::Buffering(Buffering { percent })
}

pub(super) fn seek(phase: SeekPhase, from: u64, to: u64) -> SessionEvent {
    SessionEvent::Seek(Seek { phase, from: Some(from), to: Some(to), rate: 1.0 })
}

pub(super) fn rate(bitrate: u64) -> SessionEvent {
    SessionEvent::Bitrate(Bitrate { bitrate, width: Some(1280), height: Some(720) })
}

pub(super) fn switching(reasons: &[SwitchReason]) -> SessionEvent {
    SessionEvent::Switching(Switching { bitrate: None, reasons: reasons.to_vec() })
}

/// Counters of a film of `duration` ms (live if that is 0) that has played up to `position`.
pub(super) fn counters(position: u64, duration: u64) -> SessionEvent {
    SessionEvent::Counters(Counters {
        video: Frames { decoded: 1 + position / 40, dropped: position / 10_000, ..Frames::default() },
        bytes: 100_000 + position * 500,
        position: Some(position),
        duration: Some(duration).filter(|ms| *ms > 0),
        buffer: Some(2_000),
        fps: Some(24.96),
        ..Counters::default()
    })
}

pub(super) fn failure(code: &str) -> SessionEvent {
    SessionEvent::Error(PlayerError { code: code.into(), message: String::new(), fatal: true })
}

pub(super) fn ad(phase: AdPhase, id: &str, change: impl FnOnce(&mut Ad)) -> SessionEvent {
    let mut ad = Ad::new(phase, id);
    change(&mut ad);
    SessionEvent::Ad(std::boxed::Box::new(ad))
}

pub(super) fn ad_end(id: &str, status: AdStatus) -> SessionEvent {
    ad(AdPhase::End, id, |ad| ad.status = Some(status))
}

/// Changes a value on the way.
pub(super) trait Tap: Sized {
    fn tap(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

impl Tap for Config {}
