//! Sessions as STB reports tell them: a play-back a report, or several of one that runs, each with all so far.
//!
//! A stock report tells no more than when it played, how fast and how many frames: all of that time counts as played, and
//! one without a single frame is no play. What this agent adds (`qoe`) tells the time apart. There is no time line in
//! either, so what is told for a span counts evenly over it.

use serde::{Deserialize, Serialize};
use stbeacon_core::stb::MediaReport;

use super::story::Piece;
use super::{Context, Key, Ledger, Session, ToldBy, believable_start, signed};
use crate::figures::{Figures, is_nothing};
use crate::labels::{Known, clipped};
use crate::networks::Networks;
use crate::time::{MINUTE, UnixMs};

/// Reports gather for a while on the box; the usual time is 15 minutes, and nothing tells it. Twice that and a
/// minute.
const PATIENCE: u64 = 31 * MINUTE;
/// Longest part of a name that goes into a key, in characters.
const MAX_PART: usize = 512;

/// A report of a play-back as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// The box.
    pub(crate) device: String,
    /// The network it is in.
    pub(crate) subnet: String,
    pub(crate) report: MediaReport,
}

/// What is known of a session that is told by reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Where the last report ended by the box's clock, in UNIX seconds.
    until: u64,
    /// Whether it said that it is the last one.
    closed: bool,
    /// What has to be added to the box's clock, in ms.
    correction: i64,
    /// The sums of the last report.
    sums: Sums,
}

/// What a report counts from the beginning of its session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Sums {
    #[serde(skip_serializing_if = "is_nothing")]
    playing: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    rebuffering: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    seeking: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    seeks: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    bits: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    rated: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    frames: u64,
    #[serde(skip_serializing_if = "is_nothing")]
    dropped: u64,
}

// === impl Received ===

impl Received {
    /// What the session is known by. A player's name for it is used again after a reboot: where that is not the
    /// session that `known` finds under it, the time of its beginning tells them apart.
    pub(crate) fn keys(&self) -> (Key, Option<Key>) {
        let part = |text: &str| clipped(text, MAX_PART);
        let (device, media, begin) = (part(&self.device), &self.report.media, self.report.span.begin());
        match media.qoe.as_ref().map(|qoe| part(&qoe.session)).filter(|session| !session.is_empty()) {
            Some(session) => {
                (Key(format!("r|{device}|{session}")), Some(Key(format!("r|{device}|{session}|{begin}"))))
            }
            None => (Key(format!("r|{device}|{begin}|{}|{}", part(&media.id), part(&media.url))), None),
        }
    }

    /// Whether this is of another session than the one that was found under the player's name for it.
    pub(crate) fn is_after(&self, session: &Session) -> bool {
        matches!(&session.told_by, ToldBy::Report(state) if state.closed && state.until < self.report.span.begin())
    }

    /// Takes it into the session that it is of, or begins that.
    pub(crate) fn apply(
        &self,
        key: Key,
        session: Option<Session>,
        context: &Context<'_>,
        ledger: &mut Ledger,
    ) -> Session {
        let mut session = session.unwrap_or_else(|| self.begin(key, context, ledger));
        let ToldBy::Report(state) = session.told_by.clone() else { return session };
        let sums = Sums::of(&self.report);
        let until = self.report.span.end();
        let qoe = self.report.media.qoe.as_deref();
        let closes = qoe.is_none_or(|qoe| qoe.close_reason.is_some());
        let is_news =
            until > state.until || (until == state.until && (sums != state.sums || closes && !state.closed));
        // What was told before is told again, or was overtaken by what it is part of.
        if !is_news && session.total.attempts > 0 && session.end.is_some_and(|end| !end.by_silence) {
            return session;
        }
        session.hear(context, ledger);
        if !is_news {
            return session;
        }
        session.reopen(ledger);
        self.label(&mut session, context.networks);

        let at = corrected(until, state.correction).min(context.now + crate::time::AHEAD).max(session.told);
        if session.joined.is_none() && is_play(&self.report) {
            let startup = qoe.map(|qoe| qoe.join_ms);
            let joined = startup.map_or(session.start, |startup| session.start + startup);
            session.join(joined.min(at), startup, ledger);
        }
        if let Some(qoe) = qoe.filter(|qoe| qoe.error_fatal > 0) {
            let error = if qoe.error_code.is_empty() { &qoe.error_message } else { &qoe.error_code };
            session.fail(error);
        }
        let from = session.told.max(session.joined.unwrap_or(session.told));
        session.slice(from, at, sums.figures() - state.sums.figures(), ledger);
        session.told = at;
        ledger.1.push(Piece::told(at, self.tells()));
        if closes {
            session.end_at(at, false, context, ledger);
        }
        session.told_by = ToldBy::Report(State { until, closed: closes, sums, ..state });
        session
    }

    /// Totals that no metric is made of.
    fn tells(&self) -> Vec<(&'static str, u64)> {
        let media = &self.report.media;
        let mut tells = vec![
            ("discontinuities", media.discontinuities),
            ("video_frames_decoded", media.video.frames_decoded),
            ("video_frames_dropped", media.video.frames_dropped),
            ("video_frames_failed", media.video.frames_failed),
            ("audio_frames_decoded", media.audio.frames_decoded),
            ("audio_frames_dropped", media.audio.frames_dropped),
        ];
        if let Some(qoe) = media.qoe.as_deref() {
            tells.extend([
                ("rebuffers", qoe.rebuffers),
                ("pauses", qoe.pauses),
                ("paused_ms", qoe.paused_ms),
                ("seeks", qoe.seeks),
                ("lost_packets", qoe.lost_packets),
            ]);
        }
        tells
    }

    fn begin(&self, key: Key, context: &Context<'_>, ledger: &mut Ledger) -> Session {
        let (begin, end) = (self.report.span.begin(), self.report.span.end());
        let told = UnixMs::from_secs(begin);
        let began = believable_start(told, UnixMs::from_secs(end).since(told), context.now);
        let correction = signed(began.0).saturating_sub(signed(told.0));
        // A span begins with the first picture where there was one.
        let qoe = self.report.media.qoe.as_deref();
        let start = began - qoe.filter(|_| is_play(&self.report)).map_or(0, |qoe| qoe.join_ms);
        let state = State { until: 0, closed: false, correction, sums: Sums::default() };
        let mut session =
            Session::new(key, &self.device, start, PATIENCE, context.now, ToldBy::Report(state));
        self.label(&mut session, context.networks);
        session.begin(ledger);
        session
    }

    fn label(&self, session: &mut Session, networks: &Networks) {
        let media = &self.report.media;
        let labels = &mut session.labels;
        labels.set_subnet(&self.subnet, networks);
        labels.set(Known::Protocol, media.url.split_once("://").map_or("", |(scheme, _)| scheme));
        labels.set(Known::Asset, if media.id.is_empty() { &media.url } else { &media.id });
        labels.set(Known::Player, &media.proto);
        if let Some(qoe) = media.qoe.as_deref() {
            labels.set(Known::Asset, &qoe.title);
        }
    }
}

// === impl Sums ===

impl Sums {
    fn of(report: &MediaReport) -> Self {
        let (media, span) = (&report.media, report.span);
        let frames = media.video.frames_decoded.saturating_sub(media.video.frames_dropped);
        let (playing, rate) = match media.qoe.as_deref() {
            Some(qoe) if qoe.nominal_bitrate > 0 => (qoe.playing_ms, qoe.nominal_bitrate),
            Some(qoe) => (qoe.playing_ms, media.avg_bitrate),
            None if is_play(report) => ((span.end() - span.begin()).saturating_mul(1000), media.avg_bitrate),
            None => (0, 0),
        };
        let bits = u128::from(rate) * u128::from(playing) / 1000;
        let qoe = media.qoe.as_deref();
        Self {
            playing,
            rebuffering: qoe.map_or(0, |qoe| qoe.rebuffering_ms),
            seeking: qoe.map_or(0, |qoe| qoe.seeking_ms),
            seeks: qoe.map_or(0, |qoe| qoe.seeks),
            bits: u64::try_from(bits).unwrap_or(u64::MAX),
            rated: if rate > 0 { playing } else { 0 },
            frames,
            dropped: media.video.frames_dropped,
        }
    }

    fn figures(&self) -> Figures {
        Figures {
            playing_ms: signed(self.playing),
            rebuffering_ms: signed(self.rebuffering),
            seek_buffering_ms: signed(self.seeking),
            restart_ms: signed(self.seeking),
            restarts: signed(self.seeks),
            bits: signed(self.bits),
            rated_ms: signed(self.rated),
            frames: signed(self.frames),
            frames_ms: if self.frames > 0 { signed(self.playing) } else { 0 },
            frames_dropped: signed(self.dropped),
            ..Figures::default()
        }
    }
}

/// Whether a picture or a sound was ever shown.
fn is_play(report: &MediaReport) -> bool {
    let media = &report.media;
    let decoded = media.video.frames_decoded.saturating_add(media.audio.frames_decoded) > 0;
    match media.qoe.as_deref() {
        Some(qoe) => qoe.join_ms > 0 || qoe.playing_ms > 0 && decoded,
        None => decoded,
    }
}

fn corrected(secs: u64, correction: i64) -> UnixMs {
    UnixMs(UnixMs::from_secs(secs).0.saturating_add_signed(correction))
}
