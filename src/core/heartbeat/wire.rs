//! Heartbeats and answers as JSON has them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The protocol's version.
pub const PROTOCOL: &str = "2.8";

/// One heartbeat. What is not known is left out, and what is left out has its default where one is read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Heartbeat {
    /// What this is: `CwsSessionHb`.
    pub t: String,
    /// The operator's key.
    pub cid: String,
    /// The client's id, four dotted numbers of 32 bits; `0.0.0.0` until the service gave one.
    pub clid: String,
    /// The session's id.
    pub sid: i32,
    /// This run of the client.
    pub iid: i32,
    /// Number of this heartbeat in its session, from 0, without gaps.
    pub seq: u32,
    /// [`PROTOCOL`]
    pub pver: String,
    /// Version of the client.
    pub clv: String,
    /// Capabilities: none.
    pub caps: u32,
    /// The box.
    pub pm: Platform,
    /// Name of the player framework.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fw: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fwv: String,
    /// The viewer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub vid: String,
    /// The asset's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub an: String,
    /// The player's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub pn: String,
    /// Whether it is live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lv: Option<bool>,
    /// The content delivery network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rs: Option<String>,
    /// The stream's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Length of the content, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cl: Option<u64>,
    /// Pictures a second as encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub efps: Option<u64>,
    /// Rendered pictures a second, sampled: the sum, rounded.
    pub rfpstot: u64,
    /// How many samples.
    pub rfpscnt: u64,
    /// Nominal bit rate, in kbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub br: Option<u64>,
    /// Average of the nominal bit rate over the time played at a known one, in kbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avgbr: Option<u64>,
    /// Width of the picture, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub w: Option<u32>,
    /// Height of the picture, in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub h: Option<u32>,
    /// The playhead, in ms.
    pub pht: u64,
    /// What is buffered, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bl: Option<u64>,
    /// What it does, see [`PlayingState`].
    pub ps: u8,
    /// Whether the first picture came to a paused player.
    pub pj: bool,
    /// Dropped frames.
    pub dftot: u64,
    /// How often they were counted.
    pub dfcnt: u64,
    /// The operator's own values.
    pub tags: BTreeMap<String, String>,
    /// Whether it is an ad.
    pub ad: bool,
    /// What kind of session: 7 is video.
    pub sf: u8,
    /// When the session began, in ms since 1970.
    pub sst: u64,
    /// Time since then, in ms.
    pub st: u64,
    /// What has happened since the last heartbeat that arrived.
    pub evs: Vec<Event>,
    /// How the last heartbeats fared.
    pub hbinfos: Vec<Info>,
    /// Made by a library, not by a page.
    pub sdk: bool,
}

/// The box, as heartbeats describe it. What is empty is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    /// Schema of these fields.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sch: String,
    /// Brand.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dvb: String,
    /// Manufacturer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dvma: String,
    /// Model.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dvm: String,
    /// Type of device.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dvt: String,
    /// Version of the device.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub dvv: String,
    /// Operating system.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub os: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub osv: String,
    /// Category of device: `STB`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cat: String,
    /// Name of the player framework.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fw: String,
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub fwv: String,
}

/// Something that happened. What is left out but the kind and the time has its default where one is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
    /// When, in ms since the session began.
    pub st: u64,
    /// Number of the event in its session, from 0.
    #[serde(default)]
    pub seq: u32,
    /// The playhead, in ms.
    #[serde(default)]
    pub pht: u64,
    /// What was buffered, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bl: Option<u64>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum EventKind {
    /// State or bit rate changed.
    #[serde(rename = "CwsStateChangeEvent")]
    StateChange {
        /// From here on.
        #[serde(default)]
        new: Change,
        /// Before.
        #[serde(default)]
        old: Change,
    },
    /// Something went wrong.
    #[serde(rename = "CwsErrorEvent")]
    Error {
        /// The player's code.
        #[serde(default)]
        err: String,
        /// Whether the session cannot go on.
        #[serde(default)]
        ft: bool,
    },
    /// A seek begins or ends.
    #[serde(rename = "CwsSeekEvent")]
    Seek {
        /// `pss` begins, `pse` ends.
        act: SeekAct,
        /// Where to, in ms.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        skto: Option<u64>,
    },
    /// Anything else the application told.
    #[serde(rename = "CwsCustomEvent")]
    Custom {
        /// What.
        #[serde(default)]
        name: String,
        /// More of it.
        #[serde(default)]
        attr: BTreeMap<String, String>,
    },
    /// The session is over.
    #[serde(rename = "CwsSessionEndEvent")]
    SessionEnd {},
}

/// What changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Change {
    /// State, see [`PlayingState`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ps: Option<u8>,
    /// Nominal bit rate, in kbit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub br: Option<u64>,
}

/// Which point of a seek.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeekAct {
    /// The player begins to seek.
    Pss,
    /// The player has sought.
    Pse,
    /// The viewer presses a button.
    Bd,
    /// The viewer lets it go.
    Bu,
}

/// States of a player, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum PlayingState {
    /// Over.
    Stopped = 1,
    /// The picture moves.
    Playing = 3,
    /// It waits for data.
    Buffering = 6,
    /// The viewer has paused.
    Paused = 12,
    /// Something else has its place: an ad, which has a session of its own.
    NotMonitored = 98,
    /// Nothing is known yet.
    Unknown = 100,
}

/// How a heartbeat fared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Which one.
    pub seq: u32,
    /// Until its answer, in ms; -1 where there was none.
    pub rtt: i64,
    /// `ok`, or what went wrong.
    pub err: String,
}

/// What the service answers. What it does not say stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// `ok`, or what it did not like.
    pub err: Option<String>,
    /// The client's id from now on.
    pub clid: Option<String>,
    /// Where heartbeats go from now on.
    pub gw: Option<String>,
    /// Settings.
    pub cfg: Option<AnswerConfig>,
}

/// Settings from the service.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AnswerConfig {
    /// Time between two heartbeats, in seconds.
    pub hbi: Option<u64>,
    /// How many [`Info`]s a heartbeat may carry.
    pub maxhbinfos: Option<u64>,
    /// Where heartbeats go from now on.
    pub gw: Option<String>,
}
