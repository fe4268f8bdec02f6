//! The `qoe` object: what a session knows and the stock report has no field for.

use serde::de::IntoDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::measured::MediaOptions;
use super::redact::{redact, redact_text};
use crate::player::{CloseReason, Frames, Rtp, TsView};
use crate::session::Snapshot;

/// Quality of experience of one play-back. Unknown text is `""`, an unknown number is 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
#[serde(default)]
pub struct Qoe {
    /// The player's name for the session; all reports of one play-back have the same.
    pub session: String,
    /// Why it ended; empty while it runs.
    #[serde(serialize_with = "reason_or_empty", deserialize_with = "empty_or_reason")]
    #[cfg_attr(feature = "schema", schemars(schema_with = "super::schema::close_reason"))]
    pub close_reason: Option<CloseReason>,
    /// From the attempt to the first picture, in ms; 0 if it never came.
    pub join_ms: u64,
    /// From the attempt until it played, in ms.
    pub startup_ms: u64,
    /// Time in which it played, in ms.
    pub playing_ms: u64,
    /// Time for which the user had paused it, in ms.
    pub paused_ms: u64,
    /// Time for which it waited for data in mid-play, in ms; start-up and seeks apart.
    pub rebuffering_ms: u64,
    /// Time from seeks until it played again, in ms.
    pub seeking_ms: u64,
    /// How often it waited for data in mid-play; start-up and seeks apart.
    pub rebuffers: u64,
    /// How often the user paused.
    pub pauses: u64,
    /// How often the user moved the playhead.
    pub seeks: u64,
    /// Average of the nominal bit rate over the time played, in bit/s.
    pub nominal_bitrate: u64,
    /// Switches to a higher nominal bit rate.
    pub switches_up: u64,
    /// Switches to a lower nominal bit rate.
    pub switches_down: u64,
    /// Frames lost before the decoder: presentation-time slots that no frame filled.
    pub frames_lost: PerMedium,
    /// Frames that came out of the decoder flagged corrupted; they are in `frames_failed` too.
    pub frames_corrupted: PerMedium,
    /// Whether transport packets could be seen: only then do the next six, and `discontinuties`, say anything.
    pub ts: TsView,
    /// Estimate of the transport packets lost in discontinuities.
    pub lost_packets: u64,
    /// Counter jumps at the first packet of a fragment; never part of `discontinuties`.
    pub fragment_jumps: u64,
    /// How often packets could not be found any more (ETSI TR 101 290, 1.1).
    pub sync_losses: u64,
    /// Packets with a wrong sync byte (1.2).
    pub sync_byte_errors: u64,
    /// Packets that whoever received them had flagged as erroneous (2.1).
    pub transport_errors: u64,
    /// Packets whose payload is scrambled.
    pub scrambled_packets: u64,
    /// What happened on the way to a stream that came by RTP; all 0 for any other.
    pub rtp: RtpFigures,
    /// How many errors the player told.
    pub errors: u64,
    /// The last error, a fatal one before any other: the player's code.
    pub error_code: String,
    /// The same error's text.
    pub error_message: String,
    /// 1 if that error ended it, else 0.
    pub error_fatal: u8,
    /// Title of what was played.
    pub title: String,
    /// Video codec, as the player names it.
    pub video_codec: String,
    /// Audio codec, as the player names it.
    pub audio_codec: String,
    /// Container format, as the player names it.
    pub container: String,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// The agent itself, when the report was taken.
    pub agent: AgentFigures,
}

/// RTP streams of one play-back together. Times in µs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
#[serde(default)]
pub struct RtpFigures {
    /// Packets that arrived.
    pub packets: u64,
    /// Packets that never arrived, by their sequence numbers (RFC 3550).
    pub lost: u64,
    /// How often some were missing, however many, and whether or not they came later.
    pub gaps: u64,
    /// Packets that arrived behind a later one.
    pub reordered: u64,
    /// Packets that had arrived already.
    pub duplicates: u64,
    /// Interarrival jitter (RFC 3550) at the end.
    pub jitter_us: u64,
    /// The greatest.
    pub jitter_max_us: u64,
    /// Delay factor of the media delivery index (RFC 4445): the greatest of all seconds; 0 where the stream's rate is
    /// not known.
    pub mdi_delay_factor_us: u64,
    /// Media loss rate of that index: packets lost or out of order in the worst second.
    pub mdi_media_loss: u64,
}

/// How the agent that tells all this fares: what it holds and what it has lost, so that silence can be told from
/// peace. Counted since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
#[serde(default)]
pub struct AgentFigures {
    /// Its memory that is in RAM, in bytes; 0 if unknown.
    pub rss_bytes: u64,
    /// Reports that the server took.
    pub reports_delivered: u64,
    /// Reports that are lost, for whatever reason.
    pub reports_dropped: u64,
    /// Reports that wait for delivery.
    pub queue_reports: u64,
    /// What they take, in bytes.
    pub queue_bytes: u64,
    /// What was written to flash, in bytes.
    pub flash_written_bytes: u64,
    /// Requests to the server, answered or not.
    pub requests: u64,
    /// Those of them that were not answered with 2xx.
    pub requests_failed: u64,
    /// How they were answered.
    pub answers: AgentAnswers,
    /// Why reports were lost; together `reports_dropped`.
    pub drops: AgentDrops,
    /// How long the report that has waited longest has, in ms; 0 if none waits.
    pub queue_oldest_ms: u64,
}

/// Requests by the class of their answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
#[serde(default)]
pub struct AgentAnswers {
    /// Taken.
    pub status_2xx: u64,
    /// Redirects that are not followed.
    pub status_3xx: u64,
    /// What was sent is not wanted, or not now.
    pub status_4xx: u64,
    /// The server has failed.
    pub status_5xx: u64,
    /// No status that there is.
    pub status_other: u64,
    /// No answer: the network, a name, TLS.
    pub unreachable: u64,
}

/// Reports that are lost, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
#[serde(default)]
pub struct AgentDrops {
    /// The server did not take them.
    pub refused: u64,
    /// They waited too long.
    pub aged: u64,
    /// There were too many.
    pub full: u64,
    /// There was no room on the disk.
    pub no_space: u64,
    /// They were damaged on the disk.
    pub corrupt: u64,
    /// They were longer than a report may be.
    pub too_large: u64,
    /// Reporting was turned off.
    pub off: u64,
}

/// One number for pictures and one for sound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(deny_unknown_fields))]
#[serde(default)]
pub struct PerMedium {
    /// Pictures.
    pub video: u64,
    /// Sound.
    pub audio: u64,
}

// === impl Qoe ===

impl Qoe {
    pub(super) fn new(snapshot: &Snapshot, options: &MediaOptions) -> Self {
        let Snapshot { totals, counts, tags, representation, .. } = snapshot;
        let per_medium =
            |of: fn(&Frames) -> u64| PerMedium { video: of(&counts.video), audio: of(&counts.audio) };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let error = snapshot.error.clone().unwrap_or_default();
        let error_message = if options.url_redact {
            // Players like to quote the URL in their errors.
            let url = &snapshot.open.url;
            let quoted = !url.is_empty() && error.message.contains(url.as_str());
            let message = if quoted { error.message.replace(url, &redact(url)) } else { error.message };
            redact_text(&message)
        } else {
            error.message
        };
        Self {
            session: snapshot.id.as_str().to_owned(),
            close_reason: snapshot.closed,
            join_ms: totals.join.unwrap_or_default().0,
            startup_ms: totals.startup.0,
            playing_ms: totals.playing.0,
            paused_ms: totals.paused.0,
            rebuffering_ms: totals.rebuffering.0,
            seeking_ms: totals.seeking.0,
            rebuffers: totals.rebuffers,
            pauses: totals.pauses,
            seeks: totals.seeks,
            nominal_bitrate: totals.avg_nominal_bitrate(),
            switches_up: totals.switches_up,
            switches_down: totals.switches_down,
            frames_lost: per_medium(|frames| frames.lost),
            frames_corrupted: per_medium(|frames| frames.corrupted),
            ts: counts.ts,
            lost_packets: counts.lost_packets,
            fragment_jumps: counts.fragment_jumps,
            sync_losses: counts.sync_losses,
            sync_byte_errors: counts.sync_byte_errors,
            transport_errors: counts.transport_errors,
            scrambled_packets: counts.scrambled_packets,
            rtp: counts.rtp.into(),
            errors: snapshot.errors,
            error_code: error.code,
            error_message,
            error_fatal: u8::from(error.fatal),
            title: text(&tags.title),
            video_codec: text(&tags.video_codec),
            audio_codec: text(&tags.audio_codec),
            container: text(&tags.container),
            width: representation.width.unwrap_or_default(),
            height: representation.height.unwrap_or_default(),
            agent: options.agent,
        }
    }
}

impl Qoe {
    /// As much of an object as can be read; `None` for what is no object. A field that is not what it should be is left
    /// out. A reason that is not known, a newer agent's, is taken for a stop: that it ended is certain.
    pub(super) fn of_what_is_right(value: &Value) -> Option<Self> {
        let mut fields = value.as_object()?.clone();
        let reads = |name: &str, value: &Value| {
            Self::deserialize(Value::Object(Map::from_iter([(name.to_owned(), value.clone())]))).is_ok()
        };
        if let Some(reason) = fields.get_mut("close_reason").filter(|reason| reason.is_string()) {
            if !reads("close_reason", reason) {
                *reason = "stop".into();
            }
        }
        fields.retain(|name, value| reads(name, value));
        Self::deserialize(Value::Object(fields)).ok()
    }
}

impl From<Rtp> for RtpFigures {
    fn from(rtp: Rtp) -> Self {
        let Rtp { received, missing, recovered, gaps, reordered, duplicates, .. } = rtp;
        Self {
            packets: received,
            lost: missing.saturating_sub(recovered),
            gaps,
            reordered,
            duplicates,
            jitter_us: rtp.jitter,
            jitter_max_us: rtp.jitter_max,
            mdi_delay_factor_us: rtp.delay_factor,
            mdi_media_loss: rtp.media_loss,
        }
    }
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn reason_or_empty<S: Serializer>(reason: &Option<CloseReason>, serializer: S) -> Result<S::Ok, S::Error> {
    match reason {
        Some(reason) => reason.serialize(serializer),
        None => serializer.serialize_str(""),
    }
}

fn empty_or_reason<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<CloseReason>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.is_empty() {
        return Ok(None);
    }
    CloseReason::deserialize(text.into_deserializer()).map(Some)
}
