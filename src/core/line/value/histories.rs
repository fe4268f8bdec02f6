//! Values that are histories: pauses, seeks, stints at a bit rate, rebuffers.

use std::fmt;

use serde::Serialize;

use super::Decimal;
use super::cursor::{Cursor, ValueError};
use super::figures::{rate, shown_rate};

/// One pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Pause {
    /// Stream head in seconds.
    pub position: Decimal,
    /// In ms.
    pub duration: u64,
}

/// One seek.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Seek {
    /// Stream head in seconds.
    pub from: Decimal,
    /// Stream head in seconds.
    pub to: Decimal,
}

/// A point of the stream at a time of the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// Stream head in seconds.
    pub position: Decimal,
    /// In ms since the attempt was initialised.
    pub clock: u64,
}

/// What the viewer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ViewerAction {
    /// `P(…)`.
    Pause(Moment),
    /// `R(…)`.
    Resume(Moment),
    /// `S(…-…)`.
    Seek {
        /// Where and when it began.
        from: Moment,
        /// Where and when it played again.
        to: Moment,
    },
}

/// Why the bit rate changed; several may be true.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SwitchReasons {
    /// The viewer's bandwidth changed.
    pub bandwidth: bool,
    /// Frames were dropped.
    pub frames: bool,
    /// The buffer changed.
    pub buffer: bool,
    /// Anything else.
    pub other: bool,
}

/// One stint at one bit rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stint {
    /// In bit/s; `None`, written `-`, where it is not known.
    pub rate: Option<u64>,
    /// Stream head where it began, in ms.
    pub head: u64,
    /// Time played since the line before, in ms.
    pub played: u64,
    /// Why it began; `None`, written as nothing, where that is not known.
    pub reasons: Option<SwitchReasons>,
    /// How often the session has played this rate, this time included.
    pub count: u64,
}

/// One rebuffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Rebuffer {
    /// In ms after the line before; 0 where it went on from there.
    pub start: u64,
    /// In ms.
    pub duration: u64,
}

/// The rebuffers since the line before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rebuffers {
    /// Whether the first one began before that line.
    pub continued: bool,
    /// From the end of the one before these to the start of the first, in ms; -1 where it is the session's first.
    pub since_last: i64,
    /// In order.
    pub rebuffers: Vec<Rebuffer>,
}

// === impl Pause ===

impl Pause {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let position = value.decimal("a position in seconds")?;
        value.expect(':', "a colon and the length of the pause in ms")?;
        Ok(Self { position, duration: value.integer("the length of the pause in ms")? })
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.duration)
    }
}

// === impl Seek ===

impl Seek {
    /// Reads `from-to`; also `from:to`, as one description of the key has it.
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let from = value.decimal("a position in seconds")?;
        if !value.eat(':') {
            value.expect('-', "a hyphen and the position sought, in seconds")?;
        }
        Ok(Self { from, to: value.decimal("the position sought, in seconds")? })
    }
}

impl fmt::Display for Seek {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.from, self.to)
    }
}

// === impl Moment ===

impl Moment {
    fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let position = value.decimal("a position in seconds")?;
        value.expect(':', "a colon and a clock in ms")?;
        Ok(Self { position, clock: value.integer("a clock in ms")? })
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.clock)
    }
}

// === impl ViewerAction ===

impl ViewerAction {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let before = *value;
        let action = value.rest().chars().next();
        let known = ['P', 'R', 'S'].into_iter().any(|c| value.eat(c));
        if !known {
            return Err(before.error("P (pause), R (resume) or S (seek)"));
        }
        value.expect('(', "an opening parenthesis")?;
        let first = Moment::read(value)?;
        let action = match action {
            Some('P') => Self::Pause(first),
            Some('R') => Self::Resume(first),
            _ => {
                value.skip_spaces();
                value.expect('-', "a hyphen and where the seek went")?;
                value.skip_spaces();
                Self::Seek { from: first, to: Moment::read(value)? }
            }
        };
        value.expect(')', "a closing parenthesis")?;
        Ok(action)
    }
}

impl fmt::Display for ViewerAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pause(at) => write!(f, "P({at})"),
            Self::Resume(at) => write!(f, "R({at})"),
            Self::Seek { from, to } => write!(f, "S({from}-{to})"),
        }
    }
}

// === impl SwitchReasons ===

impl SwitchReasons {
    /// Reads four `0` or `1`, or nothing.
    fn read(value: &mut Cursor<'_>) -> Result<Option<Self>, ValueError> {
        if value.rest().starts_with(':') {
            return Ok(None);
        }
        let mut flag = || {
            let zero = value.eat('0');
            if zero || value.eat('1') {
                Ok(!zero)
            } else {
                Err(value.error("four 0 or 1, one for each reason"))
            }
        };
        Ok(Some(Self { bandwidth: flag()?, frames: flag()?, buffer: flag()?, other: flag()? }))
    }
}

impl fmt::Display for SwitchReasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        [self.bandwidth, self.frames, self.buffer, self.other]
            .into_iter()
            .try_for_each(|reason| write!(f, "{}", u8::from(reason)))
    }
}

// === impl Stint ===

impl Stint {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let rate = rate(value)?;
        value.expect(':', "a colon and the stream head in ms")?;
        let head = value.integer("the stream head in ms")?;
        value.expect(':', "a colon and the time played in ms")?;
        let played = value.integer("the time played in ms")?;
        value.expect(':', "a colon and the reasons")?;
        let reasons = SwitchReasons::read(value)?;
        value.expect(':', "a colon and how often the rate was seen")?;
        Ok(Self { rate, head, played, reasons, count: value.integer("how often the rate was seen")? })
    }
}

impl fmt::Display for Stint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}:", shown_rate(self.rate), self.head, self.played)?;
        if let Some(reasons) = &self.reasons {
            write!(f, "{reasons}")?;
        }
        write!(f, ":{}", self.count)
    }
}

// === impl Rebuffers ===

impl Rebuffers {
    pub(super) fn read(value: &mut Cursor<'_>) -> Result<Self, ValueError> {
        let continued = value.eat('1');
        if !continued {
            value.expect('0', "0 or 1, whether the first rebuffer is continued")?;
        }
        value.expect(':', "a colon and the time since the last rebuffer")?;
        let since_last = value.signed("the time since the last rebuffer in ms")?;
        let mut rebuffers = Vec::new();
        while !value.is_at_end() {
            value.expect(';', "a semicolon")?;
            value.skip_spaces();
            if value.is_at_end() {
                break;
            }
            let start = value.integer("the start of a rebuffer in ms")?;
            value.expect(':', "a colon and the length of the rebuffer in ms")?;
            rebuffers.push(Rebuffer { start, duration: value.integer("the length of the rebuffer in ms")? });
        }
        Ok(Self { continued, since_last, rebuffers })
    }
}

impl fmt::Display for Rebuffers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{};", u8::from(self.continued), self.since_last)?;
        self.rebuffers.iter().try_for_each(|one| write!(f, "{}:{};", one.start, one.duration))
    }
}
