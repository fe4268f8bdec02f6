//! What the daemon tells of itself over the control socket: one JSON object, all numbers integers.
//!
//! Fields are only ever added. Times are ms of `CLOCK_BOOTTIME` lengths, not points.

use serde::{Deserialize, Serialize};
use stbeacon_core::player::{Bitrate, CloseReason, PlayerError, Tags};
use stbeacon_core::session::{Counts, Phase, Snapshot, Totals};
use stbeacon_core::spool::Drops;
use stbeacon_core::stb::{AgentAnswers, AgentDrops, Duplex, Network, redact};
use stbeacon_core::time::Millis;

/// The daemon at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Status {
    pub(crate) version: String,
    pub(crate) pid: u32,
    /// Since it started.
    pub(crate) uptime_ms: u64,
    /// Memory of the daemon that is in RAM.
    pub(crate) rss_bytes: u64,
    /// Whether the calendar clock is set; until then reports wait.
    pub(crate) clock_set: bool,
    pub(crate) provisioning: ProvisioningStatus,
    pub(crate) players: Vec<PlayerStatus>,
    pub(crate) sessions: Vec<SessionStatus>,
    pub(crate) interfaces: Vec<InterfaceStatus>,
    pub(crate) queue: QueueStatus,
    pub(crate) deliveries: DeliveryStatus,
    /// Reports that are lost, by reason.
    pub(crate) dropped: DropStatus,
    /// Channels of Media Analytics lines, in the order of the provisioning.
    pub(crate) lines: Vec<LineStatus>,
    /// Absent where none are provisioned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) heartbeats: Option<HeartbeatStatus>,
    pub(crate) datagrams: DatagramStatus,
    /// The last thing that went wrong; absent if nothing has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<ErrorStatus>,
}

/// What is in force. Without user-info and query in URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ProvisioningStatus {
    pub(crate) file: String,
    pub(crate) in_force: InForce,
    /// Absent where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) server: Option<ServerStatus>,
    /// Empty while reporting is off.
    pub(crate) statistics_url: String,
    pub(crate) accum_period_ms: u64,
    /// 0 while network reports are off.
    pub(crate) network_period_ms: u64,
    pub(crate) media: bool,
    /// 0 without reports in mid-play.
    pub(crate) media_period_ms: u64,
}

/// Where that which is in force came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InForce {
    /// Nothing was ever had.
    #[default]
    Nothing,
    File,
    /// The last good copy of the file.
    FileCopy,
    /// Fetched since the daemon started.
    Server,
    /// Fetched before it started.
    ServerCopy,
}

/// The provisioning server. Without user-info and query in its URL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ServerStatus {
    pub(crate) url: String,
    /// Since the last good file came; absent if none has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fetched_ago_ms: Option<u64>,
    /// In a row.
    pub(crate) failures: u32,
    /// Until the next attempt; absent while one is under way, or if none is planned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_fetch_ms: Option<u64>,
}

/// One connection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PlayerStatus {
    /// As the kernel says.
    pub(crate) pid: i32,
    /// As the kernel says, too.
    pub(crate) uid: u32,
    /// As it calls itself; empty until it has said so.
    pub(crate) name: String,
    pub(crate) connected_ms: u64,
    pub(crate) sessions: usize,
}

/// One session, as a report of it would be now, and all that a report has no field for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionStatus {
    pub(crate) session: String,
    pub(crate) pid: i32,
    pub(crate) url: String,
    pub(crate) proto: String,
    pub(crate) id: String,
    pub(crate) phase: Phase,
    /// Since the attempt began.
    pub(crate) age_ms: u64,
    pub(crate) avg_bitrate: u64,
    pub(crate) totals: Totals,
    pub(crate) counts: Counts,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) position_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) duration_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) buffer_ms: Option<u64>,
    /// Pictures a second × 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fps_milli: Option<u64>,
    pub(crate) representation: Bitrate,
    pub(crate) tags: Tags,
    pub(crate) errors: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<PlayerError>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) closed: Option<CloseReason>,
}

/// One interface, as a report of it would be now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InterfaceStatus {
    pub(crate) name: String,
    pub(crate) speed: u64,
    pub(crate) duplex: Duplex,
    pub(crate) ip: String,
    pub(crate) netmask: String,
    pub(crate) gateway: String,
    pub(crate) received_bytes: u64,
    pub(crate) received_total_packets: u64,
    pub(crate) received_multicast_packets: u64,
    pub(crate) received_error_packets: u64,
    pub(crate) received_discard_packets: u64,
    pub(crate) sent_bytes: u64,
    pub(crate) sent_total_packets: u64,
    pub(crate) sent_error_packets: u64,
}

/// Reports that are not with the server yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct QueueStatus {
    /// Measured, in the accumulation period that runs.
    pub(crate) accumulating: u64,
    /// Until that period ends; absent while reporting is off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accumulates_ms: Option<u64>,
    /// Waiting to be sent or on their way.
    pub(crate) reports: u64,
    /// Bytes of the files of all that waits.
    pub(crate) bytes: u64,
    /// How many of all are on flash.
    pub(crate) on_flash: u64,
    /// How long the oldest has waited; absent if none waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oldest_ms: Option<u64>,
    /// Bytes written to flash since the start.
    pub(crate) flash_written: u64,
    /// What is wrong with the spool's directories now.
    pub(crate) faults: Vec<String>,
    /// Whether a request is on its way.
    pub(crate) sending: bool,
    /// Until the next attempt; absent if nothing waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_attempt_ms: Option<u64>,
}

/// Requests by how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DeliveryStatus {
    pub(crate) requests: u64,
    pub(crate) delivered_reports: u64,
    pub(crate) status_2xx: u64,
    pub(crate) status_3xx: u64,
    pub(crate) status_4xx: u64,
    pub(crate) status_5xx: u64,
    pub(crate) status_other: u64,
    /// No answer: the network, TLS, or a file that provisioning names.
    pub(crate) unreachable: u64,
}

/// Reports, or lines, that are lost, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DropStatus {
    /// The server does not take them.
    pub(crate) refused: u64,
    /// They waited too long.
    pub(crate) aged: u64,
    /// Too many waited.
    pub(crate) full: u64,
    /// There was no room on the disk.
    pub(crate) no_space: u64,
    /// They were damaged on the disk.
    pub(crate) corrupt: u64,
    /// They were longer than a report may be.
    pub(crate) too_large: u64,
    /// Reporting was turned off.
    pub(crate) off: u64,
}

/// One channel of lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LineStatus {
    /// Where its configuration is from.
    pub(crate) config: String,
    /// Where lines go; empty until the configuration is there.
    pub(crate) target: String,
    /// Whether the configuration is there, and has lines sent at all.
    pub(crate) active: bool,
    pub(crate) delivery: OutletStatus,
    /// Values that were cut or left out because a line has no room for them.
    pub(crate) cut: u64,
    /// Events that were given up because there were too many before the configuration was there.
    pub(crate) lost_events: u64,
}

/// Heartbeats to one gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HeartbeatStatus {
    pub(crate) gateway: String,
    pub(crate) delivery: OutletStatus,
    /// Events that were given up because there were too many before a heartbeat could be made.
    pub(crate) lost_events: u64,
    /// Until the next one is made; absent while nothing plays, or there is nothing new to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_ms: Option<u64>,
}

/// What goes one by one to one endpoint: lines or heartbeats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OutletStatus {
    /// How many wait or are on their way.
    pub(crate) waiting: u64,
    /// Bytes of the files that they are in.
    pub(crate) bytes: u64,
    /// How many of them are on flash.
    pub(crate) on_flash: u64,
    /// How long the oldest has waited; absent if none waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) oldest_ms: Option<u64>,
    /// Until the next attempt; absent if nothing waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_attempt_ms: Option<u64>,
    pub(crate) delivered: u64,
    /// Those that are lost, by reason.
    pub(crate) dropped: DropStatus,
    pub(crate) answers: DeliveryStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_error: Option<ErrorStatus>,
}

/// What players sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct DatagramStatus {
    pub(crate) taken: u64,
    /// No message of the protocol, or too long for one.
    pub(crate) malformed: u64,
    /// Well formed, but without sense: of a session that is not open, or another's.
    pub(crate) rejected: u64,
}

/// Something that went wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorStatus {
    pub(crate) message: String,
    pub(crate) ago_ms: u64,
}

// === impl SessionStatus ===

impl SessionStatus {
    pub(crate) fn new(snapshot: Snapshot, pid: i32) -> Self {
        let avg_bitrate = snapshot.avg_bitrate();
        let Snapshot { id, open, opened, at, phase, totals, counts, latest, representation, tags, .. } =
            snapshot;
        Self {
            session: id.into(),
            pid,
            url: redact(&open.url),
            proto: open.proto,
            id: open.id,
            phase,
            age_ms: at.since(opened).0,
            avg_bitrate,
            totals,
            counts,
            position_ms: latest.position,
            duration_ms: latest.duration,
            buffer_ms: latest.buffer,
            fps_milli: latest.fps.map(milli),
            representation,
            tags,
            errors: snapshot.errors,
            error: snapshot.error,
            closed: snapshot.closed,
        }
    }
}

/// Frame rates are finite and not negative: the session takes no others.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn milli(fps: f64) -> u64 {
    (fps * 1000.0).round() as u64
}

// === impl InterfaceStatus ===

impl From<Network> for InterfaceStatus {
    fn from(network: Network) -> Self {
        let text = |ip: Option<std::net::Ipv4Addr>| ip.map_or_else(String::new, |ip| ip.to_string());
        let Network { name, speed, duplex, ip, netmask, gateway, stat } = network;
        Self {
            name,
            speed,
            duplex,
            ip: text(ip),
            netmask: text(netmask),
            gateway: text(gateway),
            received_bytes: stat.received_bytes,
            received_total_packets: stat.received_total_packets,
            received_multicast_packets: stat.received_multicast_packets,
            received_error_packets: stat.received_error_packets,
            received_discard_packets: stat.received_discard_packets,
            sent_bytes: stat.sent_bytes,
            sent_total_packets: stat.sent_total_packets,
            sent_error_packets: stat.sent_error_packets,
        }
    }
}

// === impl DropStatus ===

impl DropStatus {
    /// All that is lost, for whatever reason.
    pub(crate) fn sum(self) -> u64 {
        let Self { refused, aged, full, no_space, corrupt, too_large, off } = self;
        [refused, aged, full, no_space, corrupt, too_large, off].into_iter().fold(0, u64::saturating_add)
    }
}

impl From<Drops> for DropStatus {
    fn from(Drops { full, aged, no_space, corrupt, too_large, refused, off }: Drops) -> Self {
        Self { refused, aged, full, no_space, corrupt, too_large, off }
    }
}

impl From<DropStatus> for AgentDrops {
    fn from(DropStatus { refused, aged, full, no_space, corrupt, too_large, off }: DropStatus) -> Self {
        Self { refused, aged, full, no_space, corrupt, too_large, off }
    }
}

// === impl DeliveryStatus ===

impl From<DeliveryStatus> for AgentAnswers {
    fn from(status: DeliveryStatus) -> Self {
        let DeliveryStatus {
            status_2xx, status_3xx, status_4xx, status_5xx, status_other, unreachable, ..
        } = status;
        Self { status_2xx, status_3xx, status_4xx, status_5xx, status_other, unreachable }
    }
}

impl DeliveryStatus {
    /// Requests that were not answered with 2xx.
    pub(crate) fn failed(&self) -> u64 {
        let Self { status_3xx, status_4xx, status_5xx, status_other, unreachable, .. } = *self;
        [status_3xx, status_4xx, status_5xx, status_other, unreachable]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// Counts one answer.
    pub(crate) const fn count(&mut self, status: u16) {
        let class = match status {
            200..=299 => &mut self.status_2xx,
            300..=399 => &mut self.status_3xx,
            400..=499 => &mut self.status_4xx,
            500..=599 => &mut self.status_5xx,
            _ => &mut self.status_other,
        };
        *class = class.saturating_add(1);
    }
}

// === impl DropStatus ===

impl DropStatus {
    /// Each reason by its name, and how many.
    pub(crate) const fn reasons(&self) -> [(&'static str, u64); 7] {
        let Self { refused, aged, full, no_space, corrupt, too_large, off } = *self;
        [
            ("refused", refused),
            ("aged", aged),
            ("full", full),
            ("no_space", no_space),
            ("corrupt", corrupt),
            ("too_large", too_large),
            ("off", off),
        ]
    }
}

// === impl ErrorStatus ===

impl ErrorStatus {
    pub(crate) fn new(message: &str, ago: Millis) -> Self {
        Self { message: message.to_owned(), ago_ms: ago.0 }
    }
}
