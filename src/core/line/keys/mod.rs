//! The dictionary: every key a line can carry, in one table.
//!
//! The list that people read (`stbeacon line keys`, the manual page, [`markdown`]) and the
//! built-in configuration are made from the same table, so that they cannot drift.

mod lookup;
mod render;
mod table;

use std::fmt;

pub use self::render::{markdown, roff, text};
pub use self::table::Metric;

/// What a line is about, in the order in which a session sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Event {
    /// `I`: an attempt began.
    Init,
    /// `S`: its first picture was shown.
    PlayStart,
    /// `P`: it went on.
    Playing,
    /// `C`: it ended after its first picture.
    Complete,
    /// `E`: it failed, or ended before its first picture.
    Error,
    /// `V`: the visit is over.
    Visit,
    /// `H`: a sign of life, where the configuration asks for it.
    Heartbeat,
    /// `F`: something the viewer told at once, such as a share, where the configuration asks for it.
    Feedback,
}

/// The lines that a metric stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Events(u8);

/// One code of a value that has few, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code(pub &'static str, pub &'static str);

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// One of these codes and no other.
    Codes(&'static [Code]),
    /// One of these codes, or one that is not known here.
    OpenCodes(&'static [Code]),
    /// `0` or `1`.
    Flag,
    /// A whole number.
    Integer,
    /// A number, four decimals at most.
    Decimal,
    /// `SUM:COUNT` of samples.
    SumCount,
    /// `WIDTH*HEIGHT` in pixels.
    Size,
    /// `BUCKET:VALUE,…`: buckets are parts of the stream, numbered from 1.
    Buckets,
    /// Four counts by reason: bandwidth, dropped frames, buffer, other.
    ReasonCounts,
    /// `POSITION:DURATION,…` in seconds and ms.
    Pauses,
    /// `FROM-TO,…` in seconds.
    Seeks,
    /// `P(POSITION:CLOCK),R(…),S(POSITION:CLOCK-POSITION:CLOCK)` in seconds and ms.
    PauseSeek,
    /// `RATE:HEAD:PLAYED:REASON:COUNT,…` in bit/s and ms; the reason is four 0 or 1.
    Stints,
    /// `RATE:PLAYED,…` in bit/s and ms.
    RateTimes,
    /// `CLASS:PLAYED,…` in ms.
    ClassTimes,
    /// `Σ(RATE×TIME):ΣTIME` in bit/s and ms.
    WeightedRate,
    /// `T1:T2;START:DURATION;…` in ms.
    Rebuffers,
    /// Fifteen fields an ad, ads joined by `,`.
    Ads,
    /// Nine fields a switch, switches joined by `,`.
    ServerSwitches,
    /// `SERVICE:COUNT,…`.
    Shares,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nothing: a text, a ratio, or several units that [`Kind`] names.
    None,
    /// Things.
    Count,
    /// Milliseconds.
    Milliseconds,
    /// Seconds.
    Seconds,
    /// Bits a second.
    BitsPerSecond,
    /// Bytes.
    Bytes,
    /// Frames a second.
    FramesPerSecond,
    /// Hundredths.
    Percent,
}

/// One row of the table.
struct Entry {
    key: &'static str,
    name: &'static str,
    kind: Kind,
    unit: Unit,
    events: Events,
    adds: bool,
    about: &'static str,
}

// === impl Metric ===

impl Metric {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// The short name on the wire: one to three lower-case letters.
    #[must_use]
    pub const fn key(self) -> &'static str {
        self.entry().key
    }

    /// The long name, in configurations and, with `useKey="0"`, on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// How its value is written.
    #[must_use]
    pub const fn kind(self) -> Kind {
        self.entry().kind
    }

    /// What its number counts.
    #[must_use]
    pub const fn unit(self) -> Unit {
        self.entry().unit
    }

    /// The lines it stands in as the built-in configuration has it; none where that does not list it.
    #[must_use]
    pub const fn events(self) -> Events {
        self.entry().events
    }

    /// Whether its values add up to the session's total, part by part, as long as lines are relative.
    #[must_use]
    pub const fn adds_up(self) -> bool {
        self.entry().adds
    }

    /// What it says, in one sentence.
    #[must_use]
    pub const fn about(self) -> &'static str {
        self.entry().about
    }

    /// Whether it is said once in a session, as the built-in configuration has it.
    #[must_use]
    pub const fn is_once(self) -> bool {
        matches!(self, Self::IsView | Self::IsSessionWithRebuffer | Self::IsVisitStart)
    }

    /// The metric of a short key, exactly as written.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        lookup::by_key(key)
    }

    /// The metric of a long name; letters count the same in either case, as they do in the field.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        lookup::by_name(name)
    }
}

impl fmt::Display for Metric {
    /// `rs (rebufferSession)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.key(), self.name())
    }
}

// === impl Event ===

impl Event {
    /// All of them, in order.
    pub const ALL: [Self; 8] = [
        Self::Init,
        Self::PlayStart,
        Self::Playing,
        Self::Complete,
        Self::Error,
        Self::Visit,
        Self::Heartbeat,
        Self::Feedback,
    ];

    /// The code on the wire, in `a`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Init => "I",
            Self::PlayStart => "S",
            Self::Playing => "P",
            Self::Complete => "C",
            Self::Error => "E",
            Self::Visit => "V",
            Self::Heartbeat => "H",
            Self::Feedback => "F",
        }
    }

    /// The element of a configuration that lists the event's keys.
    #[must_use]
    pub const fn element(self) -> &'static str {
        match self {
            Self::Init => "init",
            Self::PlayStart => "playStart",
            Self::Playing => "playing",
            Self::Complete => "complete",
            Self::Error => "error",
            Self::Visit => "visit",
            Self::Heartbeat => "heartBeat",
            Self::Feedback => "feedback",
        }
    }

    /// The event of a code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|event| event.code() == code)
    }

    /// Whether its lines carry the playing group behind their own.
    #[must_use]
    pub const fn carries_playing(self) -> bool {
        matches!(self, Self::Complete | Self::Error)
    }
}

// === impl Events ===

impl Events {
    /// In none.
    pub const NONE: Self = Self(0);
    /// In every line: the common group.
    pub const ALL: Self = Self(u8::MAX);

    pub(super) const fn of(events: &[Event]) -> Self {
        let mut set = Self::NONE;
        let mut rest = events;
        while let [first, others @ ..] = rest {
            set = set.and(*first);
            rest = others;
        }
        set
    }

    const fn and(self, event: Event) -> Self {
        Self(self.0 | (1 << event as u8))
    }

    /// Whether lines of this event carry it.
    #[must_use]
    pub const fn contains(self, event: Event) -> bool {
        self.0 & (1 << event as u8) != 0
    }

    /// Whether it is part of the common group.
    #[must_use]
    pub const fn is_common(self) -> bool {
        self.0 == u8::MAX
    }
}

impl fmt::Display for Events {
    /// `S P C E`; `all`; `-` where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_common() {
            return f.write_str("all");
        }
        let mut codes = Event::ALL.into_iter().filter(|event| self.contains(*event)).map(Event::code);
        f.write_str(codes.next().unwrap_or("-"))?;
        codes.try_for_each(|code| write!(f, " {code}"))
    }
}

// === impl Kind ===

impl Kind {
    /// Its form in a few characters, for a list.
    #[must_use]
    pub const fn form(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Codes(_) | Self::OpenCodes(_) => "code",
            Self::Flag => "0/1",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::SumCount => "SUM:COUNT",
            Self::Size => "W*H",
            Self::Buckets => "bucket:value,…",
            Self::ReasonCounts => "n,n,n,n",
            Self::Pauses => "pos:ms,…",
            Self::Seeks => "from-to,…",
            Self::PauseSeek => "P(pos:clock),…",
            Self::Stints => "rate:head:ms:reason:n,…",
            Self::RateTimes => "rate:ms,…",
            Self::ClassTimes => "class:ms,…",
            Self::WeightedRate => "Σrate×ms:Σms",
            Self::Rebuffers => "T1:T2;start:ms;…",
            Self::Ads => "15 fields,…",
            Self::ServerSwitches => "9 fields,…",
            Self::Shares => "service:n,…",
        }
    }

    /// What stands between the elements of a list; `None` for a value that is no list.
    #[must_use]
    pub const fn element_separator(self) -> Option<char> {
        match self {
            Self::Buckets
            | Self::Pauses
            | Self::Seeks
            | Self::PauseSeek
            | Self::Stints
            | Self::RateTimes
            | Self::ClassTimes
            | Self::Ads
            | Self::ServerSwitches
            | Self::Shares => Some(','),
            Self::Rebuffers => Some(';'),
            Self::Text
            | Self::Codes(_)
            | Self::OpenCodes(_)
            | Self::Flag
            | Self::Integer
            | Self::Decimal
            | Self::SumCount
            | Self::Size
            | Self::ReasonCounts
            | Self::WeightedRate => None,
        }
    }

    /// Whether its values consist of nothing but digits, letters and `, - . : ; ( )`, whoever tells them.
    #[must_use]
    pub const fn is_of_figures(self) -> bool {
        match self {
            Self::Flag
            | Self::Integer
            | Self::Decimal
            | Self::SumCount
            | Self::Buckets
            | Self::ReasonCounts
            | Self::Pauses
            | Self::Seeks
            | Self::PauseSeek
            | Self::Stints
            | Self::RateTimes
            | Self::WeightedRate
            | Self::Rebuffers
            | Self::Codes(_) => true,
            // With names of an operator's, a player's or a stream's, or with a `*`.
            Self::Text
            | Self::OpenCodes(_)
            | Self::Size
            | Self::ClassTimes
            | Self::Ads
            | Self::ServerSwitches
            | Self::Shares => false,
        }
    }

    /// The codes of a value that has few.
    #[must_use]
    pub const fn codes(self) -> &'static [Code] {
        match self {
            Self::Codes(codes) | Self::OpenCodes(codes) => codes,
            _ => &[],
        }
    }
}

// === impl Unit ===

impl Unit {
    /// As it stands behind a number; empty where there is none.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::None | Self::Count => "",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::BitsPerSecond => "bit/s",
            Self::Bytes => "bytes",
            Self::FramesPerSecond => "fps",
            Self::Percent => "%",
        }
    }
}

#[cfg(test)]
mod tests;
