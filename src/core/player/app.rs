//! What only the application around a player knows: titles, the window, shares, servers.
//!
//! Nothing of it is needed for a session; whatever is told ends up in beacon lines and heartbeats.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `asset`: what is played, in the words of its maker. A later one replaces the fields it names.
///
/// A title or an id that differs from the one told before, in a session that plays, begins a new attempt on
/// the line channels: another programme on the same stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asset {
    /// The title, for people to read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The operator's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// The series it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show: Option<String>,
    /// Its category, such as `sports`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Its category inside that one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_category: Option<String>,
    /// The event that it shows, such as a match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// When that event begins, as the application writes times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_start: Option<String>,
    /// When that event ends, as the application writes times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_end: Option<String>,
    /// How long it is, as the operator states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<String>,
    /// Whether it is live; where this is not told, a stream with a duration is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<bool>,
}

/// `dimensions`: values of the operator's own, named `_cd_` and digits. A later one replaces what it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dimensions {
    /// By name.
    pub dimensions: BTreeMap<String, String>,
}

/// `delivery`: where the stream comes from. A later one replaces the fields it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delivery {
    /// Name of the content delivery network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdn: Option<String>,
    /// Address of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_ip: Option<String>,
    /// How the box is connected, such as `ethernet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connectivity: Option<String>,
    /// How long it took to connect, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_time: Option<u64>,
    /// Whether the player can change to an alternate server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asm: Option<bool>,
}

/// `measures`: what the player measures of the transfer. Each value holds until a later message replaces it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Measures {
    /// Throughput of the last download, in bit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<u64>,
    /// Rate at which the buffer fills, in bit/s. Where it is not told, it is counted from `bytes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<u64>,
    /// The part of `bandwidth` that is sound, in bit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_bandwidth: Option<u64>,
    /// The part of `bandwidth` that is pictures, in bit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_bandwidth: Option<u64>,
    /// The part of `bandwidth` that is neither, in bit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_bandwidth: Option<u64>,
    /// How far the picture is behind the event, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_delay: Option<f64>,
    /// Round trip to the server, in ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt: Option<f64>,
    /// Pictures a second as encoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoded_fps: Option<f64>,
    /// Bit rate as encoded, in bit/s.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoded_bitrate: Option<u64>,
}

/// `window`: how it is shown. A later one replaces the fields it names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Window {
    /// Whether the picture fills the screen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_screen: Option<bool>,
    /// Width of the window in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height of the window in pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// `share`: the viewer told others of what is played.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Where and how: 1 to 16 letters and digits, such as `fbs`.
    pub key: String,
}

/// `server_switch`: the stream now comes from another server. Told when the switch is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerSwitch {
    /// How long it took, in ms.
    #[serde(default)]
    pub duration: u64,
    /// Round trip at the time, in ms.
    #[serde(default)]
    pub rtt: u64,
    /// Why.
    pub reason: ServerSwitchReason,
    /// Host before.
    #[serde(default)]
    pub from: String,
    /// Host from now on.
    #[serde(default)]
    pub to: String,
    /// Address from now on.
    #[serde(default)]
    pub ip: String,
    /// What kind of host that is.
    #[serde(default)]
    pub kind: HostKind,
}

/// Why the server was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerSwitchReason {
    /// First choice at the start.
    Startup,
    /// A server demanded it.
    Forced,
    /// The primary server is back.
    PrimaryAvailable,
    /// The round trip to another is shorter.
    LowRtt,
    /// The manifest could not be had.
    ManifestFailed,
    /// The box has another address.
    IpChanged,
    /// There was a gap in the data.
    DataGap,
}

/// What kind of host serves the stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostKind {
    /// The one meant to serve.
    #[default]
    Primary,
    /// Another.
    Alternate,
    /// Another in the same region.
    AlternateInRegion,
    /// Another in another region.
    AlternateOutRegion,
    /// One that monitors end users.
    Eum,
}

/// `switching`: the player has decided to change the bit rate; the `bitrate` that follows completes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Switching {
    /// Nominal bit rate it goes for, in bit/s; absent if unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bitrate: Option<u64>,
    /// Why; empty if unknown.
    pub reasons: Vec<SwitchReason>,
}

/// Why a player changes the bit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwitchReason {
    /// There is more or less bandwidth.
    Bandwidth,
    /// Frames were dropped, or no longer are.
    Frames,
    /// The buffer has become fuller or emptier.
    Buffer,
    /// Anything else.
    Other,
}

/// `visit`: the viewer comes to the application, or leaves it. Belongs to the connection, not to a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// Start or end.
    pub phase: VisitPhase,
    /// The application's own id of it; left out, the daemon makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// Which end of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VisitPhase {
    /// It begins. One that runs ends.
    Start,
    /// It ends.
    End,
}

// === impl Asset ===

impl Asset {
    /// Takes over the fields that `new` names.
    pub fn update(&mut self, new: Self) {
        let Self { title, asset, show, category, sub_category, event, event_start, event_end, length, live } =
            new;
        for (field, new) in [
            (&mut self.title, title),
            (&mut self.asset, asset),
            (&mut self.show, show),
            (&mut self.category, category),
            (&mut self.sub_category, sub_category),
            (&mut self.event, event),
            (&mut self.event_start, event_start),
            (&mut self.event_end, event_end),
            (&mut self.length, length),
        ] {
            replace(field, new);
        }
        replace(&mut self.live, live);
    }

    /// Whether `new` names another title or id than this one did.
    #[must_use]
    pub fn is_left_for(&self, new: &Self) -> bool {
        let differs = |old: &Option<String>, new: &Option<String>| matches!((old, new), (Some(old), Some(new)) if old != new);
        differs(&self.title, &new.title) || differs(&self.asset, &new.asset)
    }

    pub(super) fn texts(&mut self) -> [Option<&mut String>; 9] {
        let Self {
            title, asset, show, category, sub_category, event, event_start, event_end, length, ..
        } = self;
        [title, asset, show, category, sub_category, event, event_start, event_end, length]
            .map(Option::as_mut)
    }
}

// === impl Delivery ===

impl Delivery {
    /// Takes over the fields that `new` names.
    pub fn update(&mut self, new: Self) {
        let Self { cdn, server_ip, connectivity, connect_time, asm } = new;
        replace(&mut self.cdn, cdn);
        replace(&mut self.server_ip, server_ip);
        replace(&mut self.connectivity, connectivity);
        replace(&mut self.connect_time, connect_time);
        replace(&mut self.asm, asm);
    }

    pub(super) fn texts(&mut self) -> [Option<&mut String>; 3] {
        [&mut self.cdn, &mut self.server_ip, &mut self.connectivity].map(Option::as_mut)
    }
}

// === impl Measures ===

impl Measures {
    /// Takes over the fields that `new` names.
    pub fn update(&mut self, new: Self) {
        let Self {
            throughput,
            bandwidth,
            audio_bandwidth,
            video_bandwidth,
            data_bandwidth,
            live_delay,
            rtt,
            encoded_fps,
            encoded_bitrate,
        } = new;
        for (field, new) in [
            (&mut self.throughput, throughput),
            (&mut self.bandwidth, bandwidth),
            (&mut self.audio_bandwidth, audio_bandwidth),
            (&mut self.video_bandwidth, video_bandwidth),
            (&mut self.data_bandwidth, data_bandwidth),
            (&mut self.encoded_bitrate, encoded_bitrate),
        ] {
            replace(field, new);
        }
        for (field, new) in
            [(&mut self.live_delay, live_delay), (&mut self.rtt, rtt), (&mut self.encoded_fps, encoded_fps)]
        {
            replace(field, new);
        }
    }
}

// === impl Window ===

impl Window {
    /// Takes over the fields that `new` names.
    pub fn update(&mut self, new: Self) {
        replace(&mut self.full_screen, new.full_screen);
        replace(&mut self.width, new.width);
        replace(&mut self.height, new.height);
    }
}

// === impl ServerSwitchReason ===

impl ServerSwitchReason {
    /// The number that beacon lines have for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Startup => 0,
            Self::Forced => 1,
            Self::PrimaryAvailable => 2,
            Self::LowRtt => 3,
            Self::ManifestFailed => 4,
            Self::IpChanged => 5,
            Self::DataGap => 6,
        }
    }
}

// === impl HostKind ===

impl HostKind {
    /// The number that beacon lines have for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Primary => 0,
            Self::Alternate => 1,
            Self::AlternateInRegion => 2,
            Self::AlternateOutRegion => 3,
            Self::Eum => 4,
        }
    }
}

pub(super) fn replace<T>(field: &mut Option<T>, new: Option<T>) {
    if new.is_some() {
        *field = new;
    }
}

#[cfg(test)]
mod tests;
