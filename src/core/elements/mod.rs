//! What is known of the elements of a box's hardware: which decode, show and demultiplex where nobody can see it,
//! and where their counts are read.
//!
//! The table is a file, so that an integrator extends it without code: [`FILE`]. It is a strict subset of TOML, read
//! line by line, since what reads it sits inside every player of the box, where a whole TOML reader would be a
//! third of the plug-in. Each row begins with `[[element]]`; each line in it is `key = "text"` or
//! `key = true|false`. Comments begin with `#`. No other tables, no arrays, no values of several lines.
//!
//! ```toml
//! [[element]]
//! name = "acmevdec*"            # factory name; * is any text, ? any one character
//! role = "decoder"              # decoder, sink, demuxer, queue, none
//! medium = "video"              # video, audio; for decoders and sinks whose class and caps do not tell
//! decoded = "frames-decoded"    # a property
//! dropped = "vendor-stats.late" # a field of a structure property
//! failed = "decode-errors"
//! ```
//!
//! | key | roles | meaning | left out |
//! |---|---|---|---|
//! | `name` | all | factory name or glob | *needed* |
//! | `role` | all | what it is; `none`: not to be watched | *needed* |
//! | `medium` | decoder, sink | `video`, `audio` | told by class and caps |
//! | `decoded` | decoder, sink | frames that were decoded | what is seen at the pads |
//! | `rendered` | sink | frames that were shown | `stats`, QoS messages, or what reached it |
//! | `dropped` | decoder, sink | frames given up for lateness | `stats` or QoS messages |
//! | `failed` | decoder, sink | frames that could not be decoded | what is seen at the pads |
//! | `bytes` | demuxer | bytes of the stream that went in | sizes of the buffers that went in |
//! | `hidden` | demuxer | its buffers hold no stream to look at: `ts` is `unavailable` | `false` |
//! | `buffered` | decoder, sink, demuxer, queue | time of the stream that it holds | not told |
//! | `buffered_unit` | as `buffered` | `ns`, `us`, `ms` | `ns` |
//!
//! A figure is read from a property (`"NAME"`) or from a field of a structure property (`"NAME.FIELD"`), or taken from
//! QoS messages (`"qos"`: `dropped` and `rendered` only), or is not this element's to tell (`"none"`). Totals that fall to
//! zero at a flush or a stop are added up. The first row that fits decides; a file's rows come before the built-in
//! ones.

mod parse;

use std::fmt;

pub use self::parse::{MAX_BYTES, MAX_ROWS, Problem};

/// Where an integrator's table is.
pub const FILE: &str = "/etc/stbeacon/elements.toml";

/// The environment variable that names another file, for the plug-in and `stbeacon elements` alike.
pub const FILE_ENV: &str = "STBEACON_ELEMENTS";

/// What is known without a file.
const BUILTIN: &str = include_str!("builtin.toml");

/// All that is known of elements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    rules: Vec<Rule>,
}

/// What is known of elements with one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Factory name; `*` is any text, `?` any one character.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// Picture or sound, where class and caps do not tell.
    pub medium: Option<Medium>,
    /// Frames that were decoded.
    pub decoded: Option<Source>,
    /// Frames that were shown.
    pub rendered: Option<Source>,
    /// Frames given up for lateness.
    pub dropped: Option<Source>,
    /// Frames that could not be decoded.
    pub failed: Option<Source>,
    /// Bytes of the stream that went in.
    pub bytes: Option<Source>,
    /// Time of the stream that it holds.
    pub buffered: Option<Source>,
    /// What `buffered` is told in.
    pub buffered_unit: Unit,
    /// Its buffers hold no stream that could be looked at.
    pub hidden: bool,
}

/// What an element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Compressed in; what comes out may be handles that only a sink of the same make can use.
    Decoder,
    /// Where pictures or sound leave the pipeline.
    Sink,
    /// Where the stream is taken apart.
    Demuxer,
    /// Holds what is to be played later.
    Queue,
    /// Not to be watched, whatever its class says.
    None,
}

/// Picture or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// Picture.
    Video,
    /// Sound.
    Audio,
}

/// Where a figure is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nowhere: it is not this element's to tell.
    None,
    /// From the totals in its QoS messages.
    Qos,
    /// A property that is a whole number.
    Property(String),
    /// A whole number in a property that is a structure.
    Field {
        /// The property.
        property: String,
        /// The structure's field.
        field: String,
    },
}

/// What a time is told in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds, as everywhere in GStreamer.
    #[default]
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Milliseconds.
    Milliseconds,
}

// === impl Table ===

impl Table {
    /// What is known without a file.
    #[must_use]
    pub fn builtin() -> Self {
        // A test holds it to be right; were it not, nothing would be known.
        Self::parse(BUILTIN).unwrap_or_default()
    }

    /// The rows of a file.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of its lines; nothing of such a file is used.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        parse::rules(text).map(|rules| Self { rules })
    }

    /// These rows, and behind them those of `other`.
    #[must_use]
    pub fn then(mut self, other: Self) -> Self {
        self.rules.extend(other.rules);
        self
    }

    /// The first row for elements of a factory.
    #[must_use]
    pub fn rule(&self, factory: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| matches(rule.name.as_bytes(), factory.as_bytes()))
    }

    /// All rows, in the order in which they are tried.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter()
    }
}

/// Whether a name is what a pattern with `*` and `?` says. Linear but for the last `*`, and of fixed memory.
fn matches(mut pattern: &[u8], mut name: &[u8]) -> bool {
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), name.split_first()) {
            (Some((b'*', rest)), _) => {
                star = Some((rest, name));
                pattern = rest;
            }
            (Some((p, more)), Some((n, rest))) if *p == b'?' || p == n => (pattern, name) = (more, rest),
            (None, None) => return true,
            _ => {
                // What the last star stands for is one longer.
                let Some((behind, from)) = star else { return false };
                let Some((_, rest)) = from.split_first() else { return false };
                star = Some((behind, rest));
                (pattern, name) = (behind, rest);
            }
        }
    }
}

// === impl Rule ===

impl fmt::Display for Rule {
    /// One line for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.role)?;
        if let Some(medium) = self.medium {
            write!(f, " of {medium}")?;
        }
        let figures = [
            ("decoded", &self.decoded),
            ("rendered", &self.rendered),
            ("dropped", &self.dropped),
            ("failed", &self.failed),
            ("bytes", &self.bytes),
            ("buffered", &self.buffered),
        ];
        for (name, source) in figures {
            if let Some(source) = source {
                write!(f, ", {name} from {source}")?;
            }
        }
        if self.buffered.is_some() {
            write!(f, " in {}", self.buffered_unit)?;
        }
        if self.hidden { f.write_str(", its bytes hidden") } else { Ok(()) }
    }
}

// === impl Role, Medium, Source, Unit ===

impl Role {
    const NAMES: [(&str, Self); 5] = [
        ("decoder", Self::Decoder),
        ("sink", Self::Sink),
        ("demuxer", Self::Demuxer),
        ("queue", Self::Queue),
        ("none", Self::None),
    ];
}

impl Medium {
    const NAMES: [(&str, Self); 2] = [("video", Self::Video), ("audio", Self::Audio)];
}

impl Unit {
    const NAMES: [(&str, Self); 3] =
        [("ns", Self::Nanoseconds), ("us", Self::Microseconds), ("ms", Self::Milliseconds)];

    /// So much of this unit, in ms.
    #[must_use]
    pub const fn to_ms(self, value: u64) -> u64 {
        match self {
            Self::Nanoseconds => value / 1_000_000,
            Self::Microseconds => value / 1_000,
            Self::Milliseconds => value,
        }
    }
}

fn name_of<T: PartialEq>(names: &[(&'static str, T)], value: &T) -> &'static str {
    names.iter().find(|(_, known)| known == value).map_or("", |(name, _)| name)
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&Self::NAMES, self))
    }
}

impl fmt::Display for Medium {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&Self::NAMES, self))
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&Self::NAMES, self))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("nowhere"),
            Self::Qos => f.write_str("QoS messages"),
            Self::Property(name) => write!(f, "{name}"),
            Self::Field { property, field } => write!(f, "{property}.{field}"),
        }
    }
}

#[cfg(test)]
mod tests;
