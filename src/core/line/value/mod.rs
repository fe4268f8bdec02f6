//! Values in their own types: what stands behind a key, taken apart and put together again.
//!
//! Reading is a little wider than writing: spaces behind a comma and a comma at the end are taken, as published
//! examples have them. What is written is what is read again.

mod cursor;
mod decimal;
mod figures;
mod histories;
mod sessions;

use std::fmt;

use serde::Serialize;

pub use self::cursor::ValueError;
pub use self::decimal::{Decimal, NotADecimal};
pub use self::figures::{Bucket, ClassTime, RateTime, ReasonCounts, Share, Size, SumCount, WeightedRate};
pub use self::histories::{Moment, Pause, Rebuffer, Rebuffers, Seek, Stint, SwitchReasons, ViewerAction};
pub use self::sessions::{Ad, FIELD_ESCAPE, ServerSwitch};

use self::cursor::Cursor;
use self::figures::Csv;
use super::keys::{Code, Kind};

/// A value in the type that its key says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Typed {
    /// [`Kind::Text`].
    Text(String),
    /// [`Kind::Codes`] and [`Kind::OpenCodes`].
    Code {
        /// As written.
        code: String,
        /// What it means; `None` for one that is not known here.
        meaning: Option<&'static str>,
    },
    /// [`Kind::Flag`].
    Flag(bool),
    /// [`Kind::Integer`].
    Integer(i64),
    /// [`Kind::Decimal`].
    Decimal(Decimal),
    /// [`Kind::SumCount`].
    SumCount(SumCount),
    /// [`Kind::Size`].
    Size(Size),
    /// [`Kind::Buckets`].
    Buckets(Vec<Bucket>),
    /// [`Kind::ReasonCounts`].
    ReasonCounts(ReasonCounts),
    /// [`Kind::Pauses`].
    Pauses(Vec<Pause>),
    /// [`Kind::Seeks`].
    Seeks(Vec<Seek>),
    /// [`Kind::PauseSeek`].
    PauseSeek(Vec<ViewerAction>),
    /// [`Kind::Stints`].
    Stints(Vec<Stint>),
    /// [`Kind::RateTimes`].
    RateTimes(Vec<RateTime>),
    /// [`Kind::ClassTimes`].
    ClassTimes(Vec<ClassTime>),
    /// [`Kind::WeightedRate`].
    WeightedRate(WeightedRate),
    /// [`Kind::Rebuffers`].
    Rebuffers(Rebuffers),
    /// [`Kind::Ads`].
    Ads(Vec<Ad>),
    /// [`Kind::ServerSwitches`].
    ServerSwitches(Vec<ServerSwitch>),
    /// [`Kind::Shares`].
    Shares(Vec<Share>),
}

// === impl Typed ===

impl Typed {
    /// Takes a decoded value apart.
    ///
    /// # Errors
    /// Where it is not what its kind says.
    pub fn read(kind: Kind, text: &str) -> Result<Self, ValueError> {
        let mut value = Cursor::new(text);
        let typed = match kind {
            Kind::Text => return Ok(Self::Text(text.to_owned())),
            Kind::Codes(codes) => {
                return code(codes, text).ok_or_else(|| value.error("one of the codes of this key"));
            }
            Kind::OpenCodes(codes) => {
                return Ok(
                    code(codes, text).unwrap_or_else(|| Self::Code { code: text.to_owned(), meaning: None })
                );
            }
            Kind::Flag => {
                let off = value.eat('0');
                if !off {
                    value.expect('1', "0 or 1")?;
                }
                Self::Flag(!off)
            }
            Kind::Integer => Self::Integer(value.signed("a whole number")?),
            Kind::Decimal => Self::Decimal(value.decimal("a number")?),
            Kind::SumCount => Self::SumCount(SumCount::read(&mut value)?),
            Kind::Size => Self::Size(Size::read(&mut value)?),
            Kind::Buckets => Self::Buckets(value.list(Bucket::read)?),
            Kind::ReasonCounts => Self::ReasonCounts(ReasonCounts::read(&mut value)?),
            Kind::Pauses => Self::Pauses(value.list(Pause::read)?),
            Kind::Seeks => Self::Seeks(value.list(Seek::read)?),
            Kind::PauseSeek => Self::PauseSeek(value.list(ViewerAction::read)?),
            Kind::Stints => Self::Stints(value.list(Stint::read)?),
            Kind::RateTimes => Self::RateTimes(value.list(RateTime::read)?),
            Kind::ClassTimes => Self::ClassTimes(value.list(ClassTime::read)?),
            Kind::WeightedRate => Self::WeightedRate(WeightedRate::read(&mut value)?),
            Kind::Rebuffers => Self::Rebuffers(Rebuffers::read(&mut value)?),
            Kind::Ads => Self::Ads(value.exact_list(Ad::read)?),
            Kind::ServerSwitches => Self::ServerSwitches(value.exact_list(ServerSwitch::read)?),
            Kind::Shares => Self::Shares(value.list(Share::read)?),
        };
        value.end()?;
        Ok(typed)
    }
}

impl fmt::Display for Typed {
    /// As it stands in a line, before it is escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Code { code: text, .. } => f.write_str(text),
            Self::Flag(on) => write!(f, "{}", u8::from(*on)),
            Self::Integer(number) => number.fmt(f),
            Self::Decimal(number) => number.fmt(f),
            Self::SumCount(value) => value.fmt(f),
            Self::Size(value) => value.fmt(f),
            Self::Buckets(list) => Csv(list).fmt(f),
            Self::ReasonCounts(value) => value.fmt(f),
            Self::Pauses(list) => Csv(list).fmt(f),
            Self::Seeks(list) => Csv(list).fmt(f),
            Self::PauseSeek(list) => Csv(list).fmt(f),
            Self::Stints(list) => Csv(list).fmt(f),
            Self::RateTimes(list) => Csv(list).fmt(f),
            Self::ClassTimes(list) => Csv(list).fmt(f),
            Self::WeightedRate(value) => value.fmt(f),
            Self::Rebuffers(value) => value.fmt(f),
            Self::Ads(list) => Csv(list).fmt(f),
            Self::ServerSwitches(list) => Csv(list).fmt(f),
            Self::Shares(list) => Csv(list).fmt(f),
        }
    }
}

fn code(codes: &'static [Code], text: &str) -> Option<Typed> {
    let Code(code, meaning) = codes.iter().find(|Code(code, _)| *code == text)?;
    Some(Typed::Code { code: (*code).to_owned(), meaning: Some(meaning) })
}

fn joined<T: fmt::Display>(f: &mut fmt::Formatter<'_>, list: &[T], separator: &str) -> fmt::Result {
    list.iter().enumerate().try_for_each(|(i, element)| {
        if i > 0 {
            f.write_str(separator)?;
        }
        element.fmt(f)
    })
}

#[cfg(test)]
mod tests;
