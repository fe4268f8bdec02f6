//! Player protocol v1: what a player tells the daemon.
//!
//! A player connects to the `SOCK_SEQPACKET` socket `/run/stbeacon/player.sock` and sends one JSON object a
//! datagram, at most [`MAX_DATAGRAM`] bytes of UTF-8. The GStreamer tracer is one such player; any other may
//! speak the same protocol. Every message has
//!
//! * `v`: the protocol version, [`VERSION`];
//! * `type`: what it is, see [`Event`] and [`Reply`];
//! * `at`: when it happened, in ms of `CLOCK_BOOTTIME` ([`Millis`]). Time need not be in order; the daemon
//!   takes an earlier time for "now".
//!
//! All but `hello` and `visit` name the `session` they belong to: 1 to [`MAX_SESSION_ID`] bytes, unique on the
//! box until it reboots. A connection may carry any number of sessions. Fields that are not known are ignored,
//! and so is a message whose `type` is not known, so a newer player can talk to an older daemon. A field that is
//! described as optional may be left out or be `null`.
//!
//! ```text
//! {"v":1,"type":"hello","at":81234,"pid":412,"player":"acme-tv"}
//! {"v":1,"type":"open","at":81240,"session":"412-1","url":"udp://239.1.1.1:1234","proto":"iptv","id":"233"}
//! {"v":1,"type":"buffering","at":81300,"session":"412-1","percent":40}
//! {"v":1,"type":"buffering","at":81900,"session":"412-1","percent":100}
//! {"v":1,"type":"state","at":81900,"session":"412-1","state":"playing"}
//! {"v":1,"type":"first_frame","at":81950,"session":"412-1"}
//! {"v":1,"type":"bitrate","at":81950,"session":"412-1","bitrate":4200000,"width":1280,"height":720}
//! {"v":1,"type":"counters","at":82400,"session":"412-1","video":{"decoded":25,"dropped":1,"failed":0},
//!  "audio":{"decoded":40},"bytes":240000,"discontinuities":2,"position":1000,"duration":60000,"buffer":900,"fps":24.9}
//! {"v":1,"type":"seek","at":83000,"session":"412-1","phase":"start","from":1600,"to":30000}
//! {"v":1,"type":"seek","at":83400,"session":"412-1","phase":"end","from":1600,"to":30000}
//! {"v":1,"type":"tags","at":83400,"session":"412-1","tags":{"title":"Evening news"}}
//! {"v":1,"type":"error","at":90000,"session":"412-1","code":"http-404","message":"Not Found","fatal":true}
//! {"v":1,"type":"close","at":90001,"session":"412-1","reason":"error"}
//! ```
//!
//! What only the application around the player knows is told by further messages. All of them are optional, and
//! so are their fields but those without which they would say nothing (`phase`, `key`, `reason`, `dimensions`):
//!
//! ```text
//! {"v":1,"type":"visit","at":81230,"phase":"start","id":"6f1c"}
//! {"v":1,"type":"asset","at":81241,"session":"412-1","title":"Evening news","asset":"n-2207","show":"News",
//!  "category":"information","sub_category":"daily","live":false}
//! {"v":1,"type":"dimensions","at":81241,"session":"412-1","dimensions":{"_cd_1000":"lab","_cd_1001":"2 rooms"}}
//! {"v":1,"type":"delivery","at":81290,"session":"412-1","cdn":"ExampleCDN","server_ip":"192.0.2.7",
//!  "connectivity":"ethernet","connect_time":38,"asm":true}
//! {"v":1,"type":"ad","at":81300,"session":"412-1","phase":"load","id":"spot-9","kind":"pre","duration":15000,
//!  "title":"Soap","category":"home","partner":"p-3","server":"ads.example","daypart":"prime","industry":"retail"}
//! {"v":1,"type":"ad","at":81420,"session":"412-1","phase":"start","id":"spot-9"}
//! {"v":1,"type":"ad","at":81900,"session":"412-1","phase":"end","id":"spot-9","status":"skipped"}
//! {"v":1,"type":"window","at":81900,"session":"412-1","full_screen":true,"width":1920,"height":1080}
//! {"v":1,"type":"measures","at":82400,"session":"412-1","throughput":21000000,"bandwidth":4300000,
//!  "audio_bandwidth":128000,"video_bandwidth":4100000,"live_delay":12.5,"rtt":31.5,"encoded_fps":25,
//!  "encoded_bitrate":4180000}
//! {"v":1,"type":"switching","at":82500,"session":"412-1","bitrate":2500000,"reasons":["bandwidth","buffer"]}
//! {"v":1,"type":"server_switch","at":82900,"session":"412-1","duration":120,"rtt":18,"reason":"low_rtt",
//!  "from":"a.example","to":"b.example","ip":"192.0.2.8","kind":"alternate_in_region"}
//! {"v":1,"type":"share","at":83400,"session":"412-1","key":"fbs"}
//! {"v":1,"type":"visit","at":90002,"phase":"end"}
//! ```
//!
//! What makes no sense in its place — the end of an ad that was never loaded nor started, a start of a second
//! ad over one that plays, something that happened more than a minute before its session was opened — is refused;
//! the session stays as it was.
//!
//! A session ends with `close`, or when the connection ends. `counters` are totals since the session opened
//! and are sent every [`COUNTERS_PERIOD`] while anything runs, and once before `close`. A total that goes
//! down is taken for a replaced element that counts anew.
//!
//! A player never waits for the daemon: it sends without blocking, drops what is not taken at once, and keeps
//! its totals, which hold what was dropped. Where nobody listens it tries again after half a second, then after
//! twice as long each time, up to half a minute, and says nothing about it.
//!
//! After a reconnect (the daemon was restarted) a player sends `hello`, then for each running session `open`
//! with its original time, `resume` with what it has kept of the session, `state`, and `counters`; and of the
//! further messages those that still hold. The examples in `packaging/examples` do all that.
//!
//! The daemon sends one message of its own, [`Reply::Reported`]: it has closed the session's books, because it
//! is about to stop, or because the box has slept (suspend). It hangs up then. What the player plays on belongs to a
//! new session with totals from zero: from those that it had told at `counted`, for what it has told since has come too
//! late for the report.
//!
#![doc = include_str!("MESSAGES.md")]

mod ad;
mod app;
mod counters;
mod id;
#[cfg(test)]
mod messages;
mod wire;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use self::ad::{Ad, AdKind, AdPhase, AdStatus};
pub use self::app::{
    Asset, Delivery, Dimensions, HostKind, Measures, ServerSwitch, ServerSwitchReason, Share, SwitchReason,
    Switching, Visit, VisitPhase, Window,
};
pub use self::counters::{Counters, Frames, Rtp, TsView};
pub use self::id::{InvalidSessionId, SessionId};

use crate::session::Totals;
use crate::time::Millis;

/// The version of the protocol that this page describes.
pub const VERSION: u32 = 1;

/// The longest datagram, in bytes, that either side sends or accepts.
pub const MAX_DATAGRAM: usize = 8 * 1024;

/// The longest session id, in bytes.
pub const MAX_SESSION_ID: usize = 64;

/// How often `counters` are sent while anything runs.
pub const COUNTERS_PERIOD: Millis = Millis(500);

/// Where the daemon listens unless told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/stbeacon/player.sock";

/// The environment variable that overrides [`DEFAULT_SOCKET`], for the daemon and the tracer alike.
pub const SOCKET_ENV: &str = "STBEACON_SOCKET";

/// One message from a player, with the time at which it happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// When it happened.
    pub at: Millis,
    /// What happened.
    pub event: Event,
}

/// What happened in a player.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all messages are the largest, counters: none allocates"
)]
pub enum Event {
    /// First message of a connection: who speaks.
    Hello(Hello),
    /// Something happened in a session.
    Session(SessionId, SessionEvent),
    /// The viewer comes to the application, or leaves it.
    Visit(Visit),
}

/// What happened in one session.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionEvent {
    /// The attempt to play begins. For a known session with another URL: that one ends, a new one begins.
    Open(Open),
    /// What a player kept of a session that an earlier daemon knew, sent after `open`.
    Resume(Totals),
    /// The user-visible state changed.
    State(PlayerState),
    /// The first picture (for audio alone: the first sound) came out.
    FirstFrame,
    /// Totals of the session so far.
    Counters(Counters),
    /// A seek starts or has ended.
    Seek(Seek),
    /// The stream's bit rate or representation is now another.
    Bitrate(Bitrate),
    /// The player waits for data, or has enough again.
    Buffering(Buffering),
    /// Something went wrong.
    Error(PlayerError),
    /// Facts about what is played.
    Tags(Tags),
    /// What is played, in the words of its maker.
    Asset(Box<Asset>),
    /// Values of the operator's own.
    Dimensions(Dimensions),
    /// Where the stream comes from.
    Delivery(Delivery),
    /// What the player measures of the transfer.
    Measures(Measures),
    /// How it is shown.
    Window(Window),
    /// The viewer told others of it.
    Share(Share),
    /// Another server took over.
    ServerSwitch(ServerSwitch),
    /// The player is about to change the bit rate.
    Switching(Switching),
    /// An ad is loaded, starts or ends.
    Ad(Box<Ad>),
    /// The session is over.
    Close(CloseReason),
}

/// `hello`: who speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The process, as it sees itself; the daemon trusts the kernel's word (SO_PEERCRED) instead.
    pub pid: u32,
    /// The player's name, for people to read.
    #[serde(default)]
    pub player: String,
}

/// `open`: what is played.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The URL as the player was given it; `""` if it has none.
    #[serde(default)]
    pub url: String,
    /// The TV protocol that started the stream; `""` if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proto: String,
    /// The content's id inside that protocol; `""` if unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
}

/// `state`: what the user asked of the player. Waiting for data is told by `buffering`, not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PlayerState {
    /// The clock runs, or would run if there were data.
    Playing,
    /// The user has paused.
    Paused,
}

/// `seek`: the playhead is moved, or the rate is changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Seek {
    /// Start or end.
    pub phase: SeekPhase,
    /// Playhead before the seek, in ms; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// Playhead asked for, in ms; absent if unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// Play-back rate from here on; 1 is normal speed, negative is backwards.
    #[serde(default = "normal_rate")]
    pub rate: f64,
}

/// Which end of a seek.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeekPhase {
    /// The user asked.
    Start,
    /// The first frame after it came out.
    End,
}

/// `bitrate`: the representation that plays from now on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bitrate {
    /// Nominal bit rate in bit/s.
    pub bitrate: u64,
    /// Picture width in pixels; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Picture height in pixels; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// `buffering`: how full the player's buffer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffering {
    /// 0 to 100; below 100 the player waits. A stall that no buffer element announced is told as 0.
    pub percent: u8,
}

/// `error`: what went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayerError {
    /// The player's own code, stable and short, such as `gst-resource-error-quark:3`.
    pub code: String,
    /// For people to read.
    #[serde(default)]
    pub message: String,
    /// Whether the session cannot go on.
    #[serde(default)]
    pub fatal: bool,
}

/// `tags`: facts about what is played. A later one replaces the fields it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tags {
    /// The programme's or track's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Video codec, as the player names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_codec: Option<String>,
    /// Audio codec, as the player names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_codec: Option<String>,
    /// Container format, as the player names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CloseReason {
    /// The stream came to its end.
    End,
    /// The user, or the application, stopped it.
    Stop,
    /// It could not go on; an `error` said why.
    Error,
    /// Another stream took its place without a stop between.
    Replaced,
    /// The player went away without a word; only the daemon says this.
    PlayerGone,
    /// The daemon stops; only the daemon says this.
    AgentStop,
    /// The box fell asleep; only the daemon says this.
    Suspended,
}

/// What the daemon tells a player.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The session's books are closed and reported; what is played on is a new session from zero.
    Reported {
        /// Which one.
        session: SessionId,
        /// The time that the last `counters` bore which are in the report; 0 if none were. What later ones counted is in
        /// no report: it belongs to the new session. [`Millis::MAX`] in a message that does not say.
        counted: Millis,
    },
}

/// Why a datagram is not a message of this protocol.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// Longer than [`MAX_DATAGRAM`].
    #[error("datagram of {0} bytes, more than the {MAX_DATAGRAM} allowed")]
    TooLong(usize),
    /// Not JSON, or a field is missing or of the wrong type.
    #[error("not a message: {0}")]
    Json(#[from] serde_json::Error),
    /// Another protocol version.
    #[error("protocol version {0}, this side speaks {VERSION}")]
    Version(u32),
    /// A type this version does not know; to be ignored, not held against the player.
    #[error("unknown message type {0:?}")]
    UnknownType(String),
}

impl DecodeError {
    /// Whether the message is one that a newer player may rightly send.
    #[must_use]
    pub const fn is_ignorable(&self) -> bool {
        matches!(self, Self::UnknownType(_))
    }
}

fn normal_rate() -> f64 {
    1.0
}

#[cfg(test)]
mod tests;
