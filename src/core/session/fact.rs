//! What the session state machine tells those who follow sessions closely: beacon lines and heartbeats.
//!
//! A session is cut into [`Span`]s without gap or overlap, and what happens between two of them is a [`Fact`].
//! Whoever adds up the spans of a session comes to its [`Totals`](super::Totals), to the millisecond.

use serde::{Deserialize, Serialize};

use super::{Counts, Peer, Snapshot};
use crate::player::{
    Ad, AdKind, AdStatus, Asset, Bitrate, CloseReason, Delivery, Dimensions, Measures, Open, PlayerError,
    ServerSwitch, SwitchReason, Tags, Window,
};
use crate::player::{SessionId, Visit};
use crate::time::Millis;

/// One entry of the journal, in the order of time within a session.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every entry is of the large kind")]
pub enum Entry {
    /// Something about one session.
    Session {
        /// Which one.
        id: SessionId,
        /// The connection it belongs to.
        peer: Peer,
        /// When; never before the entry of that session that came last.
        at: Millis,
        /// What.
        fact: Fact,
    },
    /// A visit begins or ends.
    Visit {
        /// The connection it belongs to.
        peer: Peer,
        /// When.
        at: Millis,
        /// What the application told.
        visit: Visit,
    },
    /// The connection is gone; its sessions ended before.
    Gone {
        /// Which one.
        peer: Peer,
        /// When.
        at: Millis,
    },
}

/// What happened in a session, or how a stretch of it went.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The attempt begins.
    Opened(Open),
    /// It has run before this journal knew of it.
    Resumed {
        /// From the attempt to the first picture, where there was one.
        startup: Option<Millis>,
        /// Whether what it counted until now was told by another; then only what comes on top of that is new.
        earlier: bool,
    },
    /// A stretch of time went by.
    Span(Span),
    /// It does something else from here on.
    Entered(Activity),
    /// The first picture came.
    FirstFrame {
        /// From the attempt to now, ads apart.
        startup: Millis,
    },
    /// The user paused.
    PauseBegan {
        /// The playhead there.
        head: Head,
    },
    /// The user resumed, or an ad or the end took the pause's place.
    PauseEnded {
        /// The playhead there.
        head: Head,
    },
    /// A seek began.
    SeekBegan {
        /// The playhead it leaves.
        from: Head,
        /// The playhead it goes for, where that is known.
        to: Option<Head>,
    },
    /// A seek ended: its first frame came, or another seek took its place.
    SeekEnded {
        /// The playhead it left.
        from: Head,
        /// Where it came to.
        to: Head,
        /// When it began.
        began: Millis,
        /// Whether `to` was not known when it began.
        surprise: bool,
    },
    /// The player waits for data in mid-play; counted in [`Totals::rebuffers`](super::Totals::rebuffers).
    StallBegan {
        /// The playhead there.
        head: Head,
        /// Whether it came from resuming a pause.
        resume: bool,
    },
    /// The player has enough data again, or a seek took the stall's place.
    StallEnded,
    /// Another nominal bit rate plays from here on.
    Switched {
        /// In bit/s; 0 if it was unknown.
        from: u64,
        /// In bit/s; 0 if it is unknown.
        to: u64,
        /// Where.
        head: Head,
        /// Why; empty if unknown.
        reasons: Vec<SwitchReason>,
        /// From the player's decision until now, where it told one.
        took: Option<Millis>,
    },
    /// The representation that plays now.
    Representation(Bitrate),
    /// What was counted in the session so far.
    Counted {
        /// Frames, bytes, continuity.
        counts: Counts,
        /// Bytes that have left the buffer for the screen.
        bytes_played: u64,
        /// How long the stream is, in ms, where that is known.
        duration: Option<u64>,
    },
    /// An ad began to load, or to play without loading.
    AdBegan {
        /// How long the content had been paused before it.
        paused_before: Millis,
    },
    /// An ad's first picture is out.
    AdStarted(Box<Ad>),
    /// An ad is over.
    AdEnded(Box<AdRecord>),
    /// The stream comes from another server.
    ServerSwitched {
        /// What the player told.
        switch: Box<ServerSwitch>,
        /// The playhead there.
        head: Head,
    },
    /// The viewer told others of it.
    Shared(String),
    /// What is played, all that is known of it.
    Asset {
        /// The whole.
        asset: Box<Asset>,
        /// Whether it is another programme than the one before.
        switched: bool,
    },
    /// Values of the operator's own, all that are known.
    Dimensions(Box<Dimensions>),
    /// Where the stream comes from, all that is known of it.
    Delivery(Box<Delivery>),
    /// How it is shown.
    Window(Window),
    /// Facts that the stream tells of itself.
    Tags(Box<Tags>),
    /// Something went wrong.
    Error(PlayerError),
    /// The session is over.
    Closed {
        /// Why.
        reason: CloseReason,
        /// All that it came to.
        snapshot: Box<Snapshot>,
    },
}

/// A stretch of a session in which nothing changed but time and the playhead.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Its beginning.
    pub from: Millis,
    /// Its end; later than `from`.
    pub to: Millis,
    /// What the session did.
    pub activity: Activity,
    /// The playhead at its beginning.
    pub head_from: Head,
    /// The playhead at its end.
    pub head_to: Head,
    /// The playhead where the pause, rebuffer or seek that this stretch belongs to began; else `head_from`.
    pub anchor: Head,
    /// Whether the content was paused for an ad.
    pub paused_for_ad: bool,
    /// Whether an ad was being loaded.
    pub loading_ad: bool,
    /// Whether the picture filled the screen.
    pub full_screen: bool,
    /// Whether the first picture has come.
    pub joined: bool,
    /// What the gauges showed.
    pub gauges: Gauges,
}

/// A point in the stream, in µs from its beginning, so that any play-back rate moves it exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Head(pub i64);

/// What is no sum: each holds until it is told anew.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Gauges {
    /// Nominal bit rate of what plays, in bit/s; 0 if unknown.
    pub bitrate: u64,
    /// Pictures rendered a second.
    pub fps: Option<f64>,
    /// Data buffered ahead of the playhead, in ms.
    pub buffer: Option<u64>,
    /// What the player measures; `bandwidth` is counted from bytes where the player does not tell it.
    pub measures: Measures,
}

/// What a session does, in the twelve states of a beacon line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Opened, and nothing asked of the player yet.
    Init,
    /// Asked to play; no data yet.
    Connecting,
    /// Data comes; it does not play yet.
    InitBuffering,
    /// The picture moves.
    Playing,
    /// It waits for data in mid-play.
    Rebuffering,
    /// The playhead is being moved.
    Seeking,
    /// A seek emptied the buffer, which fills again.
    SeekBuffering,
    /// The user has paused.
    Paused,
    /// It waits for data right after a pause.
    ResumeBuffering,
    /// An ad is awaited, or the content after it.
    AdLoading,
    /// An ad plays.
    AdPlaying,
    /// It is over.
    Ended,
}

/// An ad that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdRecord {
    /// What was told of it.
    pub ad: Ad,
    /// Its place.
    pub kind: AdKind,
    /// The content's playhead where it began.
    pub head: Head,
    /// From its load to its first picture.
    pub startup: Millis,
    /// How long it played.
    pub played: Millis,
    /// Whether its first picture came.
    pub started: bool,
    /// How it ended.
    pub status: AdStatus,
}

// === impl Activity ===

impl Activity {
    /// The code that beacon lines have for it.
    #[must_use]
    #[inline]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Init => "I",
            Self::Connecting => "C",
            Self::InitBuffering => "IB",
            Self::Playing => "PL",
            Self::Rebuffering => "B",
            Self::Seeking => "SK",
            Self::SeekBuffering => "SB",
            Self::Paused => "PS",
            Self::ResumeBuffering => "RB",
            Self::AdLoading => "AL",
            Self::AdPlaying => "AP",
            Self::Ended => "E",
        }
    }
}

// === impl Head ===

impl Head {
    /// The last point that is told apart: some thirty years.
    pub const MAX: Self = Self(1_000_000_000_000_000);

    /// From ms; at most [`Head::MAX`].
    #[must_use]
    pub fn from_ms(ms: u64) -> Self {
        Self(i64::try_from(ms).map_or(Self::MAX.0, |ms| ms.saturating_mul(1000))).clamped()
    }

    /// In whole ms, rounded down.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.0.unsigned_abs() / 1000
    }

    pub(super) fn clamped(self) -> Self {
        self.clamp(Self(0), Self::MAX)
    }
}

// === impl Span ===

impl Span {
    /// How long it is.
    #[must_use]
    pub const fn length(&self) -> Millis {
        self.to.since(self.from)
    }

    /// Cuts it at `at`; the first part ends there, and nothing is lost between the two.
    ///
    /// `None` where `at` does not lie inside.
    #[must_use]
    pub fn split(self, at: Millis) -> Option<(Self, Self)> {
        if at <= self.from || at >= self.to {
            return None;
        }
        let part = i128::from(at.since(self.from).0);
        let whole = i128::from(self.length().0);
        let moved = i128::from(self.head_to.0) - i128::from(self.head_from.0);
        let moved = moved * part / whole;
        let middle = i64::try_from(i128::from(self.head_from.0) + moved).unwrap_or(self.head_from.0);
        let head = Head(middle);
        // What belongs to a pause, a rebuffer or a seek keeps its anchor; what moves begins anew at the cut.
        let anchor = if self.activity == Activity::Playing { head } else { self.anchor };
        Some((Self { to: at, head_to: head, ..self }, Self { from: at, head_from: head, anchor, ..self }))
    }
}

// === impl AdRecord ===

impl AdRecord {
    /// How much of it was played: -1 not at all, then 0 to 4 for quarters, 4 being all of it.
    #[must_use]
    pub fn play_bucket(&self) -> i8 {
        if !self.started {
            return -1;
        }
        let percent = match (self.ad.percent, self.ad.duration) {
            (Some(percent), _) => u64::from(percent),
            (None, Some(duration)) if duration > 0 => self.played.0.saturating_mul(100) / duration,
            _ if self.status == AdStatus::Normal => 100,
            _ => 0,
        };
        match percent {
            0..25 => 0,
            25..50 => 1,
            50..75 => 2,
            75..100 => 3,
            _ => 4,
        }
    }
}
