//! What a session has come to, as sums and as a picture of one moment.

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use crate::player::{Bitrate, CloseReason, Counters, Open, PlayerError, SessionId, Tags};
use crate::time::Millis;

/// How many different bit rates are kept apart; the time of further ones counts in the average alone.
pub(super) const MAX_RATES: usize = 32;

/// What a session is doing. Every millisecond of it belongs to exactly one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// From the attempt until it plays: connecting, first buffering, first picture.
    Startup,
    /// The picture moves.
    Playing,
    /// The user has paused.
    Paused,
    /// It waits for data in mid-play, through no wish of the user.
    Rebuffering,
    /// From a seek until it plays again, the buffering it causes included.
    Seeking,
    /// An ad has the content's place. Only a player that tells its ads has this phase.
    Ad,
}

/// What a session has come to: the part of its figures that is kept as sums.
///
/// A player sends it as `resume`, so that a daemon that was restarted goes on where the old one was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// From the attempt to the first picture; absent until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join: Option<Millis>,
    /// Whether it ever played, that is left [`Phase::Startup`].
    pub started: bool,
    /// Time in [`Phase::Startup`].
    pub startup: Millis,
    /// Time in [`Phase::Playing`].
    pub playing: Millis,
    /// Time in [`Phase::Paused`].
    pub paused: Millis,
    /// Time in [`Phase::Rebuffering`].
    pub rebuffering: Millis,
    /// Time in [`Phase::Seeking`].
    pub seeking: Millis,
    /// Time in [`Phase::Ad`].
    #[serde(skip_serializing_if = "is_zero")]
    pub ads: Millis,
    /// How often it had to wait for data in mid-play; start-up and seeks apart.
    pub rebuffers: u64,
    /// How often the user paused.
    pub pauses: u64,
    /// How often the user moved the playhead.
    pub seeks: u64,
    /// Switches to a higher bit rate.
    pub switches_up: u64,
    /// Switches to a lower bit rate.
    pub switches_down: u64,
    /// Nominal bit rate of what plays now, in bit/s; 0 while unknown.
    pub bitrate: u64,
    /// Time played at a known bit rate.
    pub rated: Millis,
    /// Σ nominal bit rate × time played at it, in bit/s × ms.
    pub rate_time: u64,
    /// Time played at each bit rate, in the order in which they first came.
    pub rates: Vec<RateTime>,
}

/// Time played at one nominal bit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateTime {
    /// In bit/s.
    pub bitrate: u64,
    /// Playing time.
    pub played: Millis,
}

/// A session at one moment: what every output is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The player's name for it.
    pub id: SessionId,
    /// What is played.
    pub open: Open,
    /// When the attempt began.
    pub opened: Millis,
    /// When the first picture came; `None` if it never did.
    pub first_frame: Option<Millis>,
    /// The moment of this snapshot, or the session's end.
    pub at: Millis,
    /// What it is doing, or was doing when it ended.
    pub phase: Phase,
    /// Where its time went, and what happened.
    pub totals: Totals,
    /// Frames, bytes, continuity.
    pub counts: Counts,
    /// The newest counters for what is no sum: position, duration, buffer, frame rate.
    pub latest: Counters,
    /// Nominal representation that plays now.
    pub representation: Bitrate,
    /// Facts about what is played.
    pub tags: Tags,
    /// The last error, a fatal one before any other.
    pub error: Option<PlayerError>,
    /// How many errors there were.
    pub errors: u64,
    /// Why it ended; `None` while it runs.
    pub closed: Option<CloseReason>,
}

impl Snapshot {
    /// When play-back began: the first picture, or the attempt where none came.
    #[must_use]
    pub fn begin(&self) -> Millis {
        self.first_frame.unwrap_or(self.opened)
    }

    /// Average bit rate of the stream in bit/s: bytes that entered the demuxer × 8 / playing time.
    /// 0 where nothing was played.
    #[must_use]
    pub fn avg_bitrate(&self) -> u64 {
        let bits_ms = u128::from(self.counts.bytes) * 8 * 1000;
        let rate = bits_ms.checked_div(u128::from(self.totals.playing.0)).unwrap_or(0);
        u64::try_from(rate).unwrap_or(u64::MAX)
    }
}

impl Totals {
    /// Average of the nominal bit rate over the time played at a known one, in bit/s; 0 while none is known.
    #[must_use]
    pub fn avg_nominal_bitrate(&self) -> u64 {
        self.rate_time.checked_div(self.rated.0).unwrap_or(0)
    }

    /// Adds `elapsed` to the sum of `phase`.
    pub(super) fn spend(&mut self, phase: Phase, elapsed: Millis) {
        let sum = match phase {
            Phase::Startup => &mut self.startup,
            Phase::Playing => &mut self.playing,
            Phase::Paused => &mut self.paused,
            Phase::Rebuffering => &mut self.rebuffering,
            Phase::Seeking => &mut self.seeking,
            Phase::Ad => &mut self.ads,
        };
        *sum = *sum + elapsed;
        if phase == Phase::Playing && self.bitrate > 0 {
            self.rated = self.rated + elapsed;
            self.rate_time = self.rate_time.saturating_add(self.bitrate.saturating_mul(elapsed.0));
            let bitrate = self.bitrate;
            if let Some(rate) = self.rates.iter_mut().find(|rate| rate.bitrate == bitrate) {
                rate.played = rate.played + elapsed;
            } else if self.rates.len() < MAX_RATES {
                self.rates.push(RateTime { bitrate, played: elapsed });
            }
        }
    }
}

fn is_zero(time: &Millis) -> bool {
    time.0 == 0
}
