//! Lines as they are received.
//!
//! A line, a query or a whole address is taken apart: every key with its name and its decoded value. What breaks is
//! said with its byte and what is wrong there. A separator at the end is accepted; none is ever written.
//!
//! A value is decoded in the opposite order of writing: first the separator's stand-in, then `%XX`. So an original
//! `*@*`, which is written `*%40*`, does not become a separator.

mod fields;
mod join;

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

pub use self::fields::Fields;
pub use self::join::{JoinError, join};

use super::config::Separators;
use super::escape::{Fault, unescaped};
use super::keys::{Event, Metric};
use super::value::{Typed, ValueError};

/// Most bytes of a key that an error shows.
const SHOWN: usize = 40;

/// A line, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// What stood in front of the `?`: host and path; `None` for a line alone.
    pub address: Option<&'a str>,
    /// Its keys in their order, each once.
    pub fields: Vec<Field<'a>>,
    separator: char,
}

/// One key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<'a> {
    /// As written: a short key, a long name, or anything else.
    pub key: &'a str,
    /// What the key stands for.
    pub meaning: Meaning,
    /// As written.
    pub raw: &'a str,
    /// Decoded.
    pub value: Cow<'a, str>,
    /// Where the key begins in what was read, in bytes from 0.
    pub at: usize,
}

/// What a key stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// One of the dictionary.
    Metric(Metric),
    /// A value of the operator's own, `_cd_…`.
    Dimension,
    /// Nothing that is known here.
    Unknown,
}

/// Where a line breaks, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("byte {at}: {fault}")]
pub struct DecodeError {
    /// In bytes from 0, in what was read.
    pub at: usize,
    /// What is wrong there.
    pub fault: DecodeFault,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DecodeFault {
    /// The input itself is no text.
    #[error("this is not UTF-8")]
    NotText,
    /// An address without `?`.
    #[error("the address has no ? and so no line")]
    NoQuery,
    /// Nothing at all.
    #[error("the line has no keys")]
    Empty,
    /// Two separators in a row, or one at the beginning.
    #[error("expected a key, found a separator")]
    NoField,
    /// A text without `=`.
    #[error("{0:?} has no = and so no value")]
    NoValue(String),
    /// `=` without a key.
    #[error("expected a key, found =")]
    NoKey,
    /// A key that holds what no key does.
    #[error("a key cannot hold {0:?}")]
    Key(char),
    /// A key that was there before.
    #[error("{key} is there a second time, first at byte {first}")]
    Twice {
        /// The key.
        key: String,
        /// Where it was first.
        first: usize,
    },
    /// `%` without two hexadecimal digits.
    #[error("in {0}: expected two hexadecimal digits behind %")]
    Escape(String),
    /// What `%XX` stands for is no text.
    #[error("in {0}: the bytes written as %XX are not UTF-8")]
    Utf8(String),
    /// A character that has to be written as `%XX`.
    #[error("in {key}: {found:?} has to be written as {}", Escaped(*found))]
    Raw {
        /// The key whose value it is in.
        key: String,
        /// The character.
        found: char,
    },
}

// === impl Line ===

impl<'a> Line<'a> {
    /// Reads a line, a query or an address, with the usual separators.
    ///
    /// # Errors
    /// Where it breaks, and why.
    pub fn read(text: &'a str) -> Result<Self, DecodeError> {
        Self::read_with(text, Separators::usual())
    }

    /// As [`Line::read`], from bytes.
    ///
    /// # Errors
    /// As [`Line::read`], and where the bytes are not UTF-8.
    pub fn read_bytes(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let text = std::str::from_utf8(bytes)
            .map_err(|error| DecodeError { at: error.valid_up_to(), fault: DecodeFault::NotText })?;
        Self::read(text)
    }

    /// As [`Line::read`], with the separators of a configuration.
    ///
    /// # Errors
    /// As [`Line::read`].
    pub fn read_with(text: &'a str, separators: &Separators) -> Result<Self, DecodeError> {
        let mut read = Fields::with(text, separators)?;
        let mut fields = Vec::with_capacity(read.about());
        for field in &mut read {
            fields.push(field?);
        }
        Ok(Self { address: read.address, fields, separator: char::from(separators.param()) })
    }

    /// The field of a metric, under its key or its name.
    #[must_use]
    pub fn field(&self, metric: Metric) -> Option<&Field<'a>> {
        self.fields.iter().find(|field| field.meaning == Meaning::Metric(metric))
    }

    /// The decoded value of a metric.
    #[must_use]
    pub fn value(&self, metric: Metric) -> Option<&str> {
        self.field(metric).map(|field| &*field.value)
    }

    /// Which line it is; `None` where it does not say so.
    #[must_use]
    pub fn event(&self) -> Option<Event> {
        self.value(Metric::EventCode).and_then(Event::from_code)
    }

    /// Which part this is, from 1, and how many there are; `None` for a whole line, and where the two make no sense.
    #[must_use]
    pub fn part(&self) -> Option<(u32, u32)> {
        let number = |metric| self.value(metric).and_then(|value| value.parse::<u32>().ok());
        let (part, total) = (number(Metric::PartNumber)?, number(Metric::TotalParts)?);
        (1..=total).contains(&part).then_some((part, total))
    }
}

impl fmt::Display for Line<'_> {
    /// The line as it was written, without its address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, field) in self.fields.iter().enumerate() {
            if index > 0 {
                write!(f, "{}", self.separator)?;
            }
            write!(f, "{}={}", field.key, field.raw)?;
        }
        Ok(())
    }
}

// === impl Field ===

impl<'a> Field<'a> {
    fn read(text: &'a str, at: usize, separators: &Separators, style: Style) -> Result<Self, DecodeError> {
        let error = |offset, fault| Err(DecodeError { at: at + offset, fault });
        if text.is_empty() {
            return error(0, DecodeFault::NoField);
        }
        // Keys are short: what searches long texts quickly is slower here.
        let equals = text.bytes().position(|byte| byte == b'=');
        let Some((key, raw)) = equals.and_then(|at| Some((text.get(..at)?, text.get(at + 1..)?))) else {
            return error(0, DecodeFault::NoValue(shown(text)));
        };
        if key.is_empty() {
            return error(0, DecodeFault::NoKey);
        }
        let is_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if let Some(offset) = key.bytes().position(|byte| !is_key(byte)) {
            // Whatever is before it is of one byte each, so that a character begins there.
            let c = key.get(offset..).and_then(|rest| rest.chars().next()).unwrap_or_default();
            return error(offset, DecodeFault::Key(c));
        }
        let value = match unescaped(raw, separators) {
            Ok(value) => value,
            Err((offset, fault)) => {
                let key_shown = shown(key);
                let fault = match fault {
                    Fault::Escape => DecodeFault::Escape(key_shown),
                    Fault::Utf8 => DecodeFault::Utf8(key_shown),
                    Fault::Raw(found) => DecodeFault::Raw { key: key_shown, found },
                };
                return error(key.len() + 1 + offset, fault);
            }
        };
        Ok(Self { key, meaning: Meaning::of(key, style), raw, value, at })
    }

    /// The long name of its key; `None` where there is none.
    #[must_use]
    pub const fn name(&self) -> Option<&'static str> {
        match self.meaning {
            Meaning::Metric(metric) => Some(metric.name()),
            Meaning::Dimension | Meaning::Unknown => None,
        }
    }

    /// The value in the type that its key says; `None` where the key says nothing.
    ///
    /// # Errors
    /// Where the value is not of that type.
    pub fn typed(&self) -> Option<Result<Typed, ValueError>> {
        match self.meaning {
            Meaning::Metric(metric) => Some(Typed::read(metric.kind(), &self.value)),
            Meaning::Dimension | Meaning::Unknown => None,
        }
    }

    /// Whether it is the same key as another, be it in short or in long.
    fn is_same(&self, other: &Self) -> bool {
        match self.meaning {
            Meaning::Metric(_) => self.meaning == other.meaning,
            Meaning::Dimension | Meaning::Unknown => self.key == other.key,
        }
    }
}

// === impl Meaning ===

impl Meaning {
    fn of(key: &str, style: Style) -> Self {
        let metric = match style {
            Style::Keys => Metric::from_key(key).or_else(|| Metric::from_name(key)),
            Style::Names => Metric::from_name(key).or_else(|| Metric::from_key(key)),
        };
        match metric {
            Some(metric) => Self::Metric(metric),
            None if key.starts_with("_cd_") => Self::Dimension,
            None => Self::Unknown,
        }
    }
}

/// Whether a line has short keys or long names: `os` is one of each, and not of the same metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Keys,
    Names,
}

// === impl Style ===

impl Style {
    /// What the first key tells that can be only one of the two.
    fn of(line: &str, separator: char) -> Self {
        let keys = line.split(separator).filter_map(|field| field.split_once('=')).map(|(key, _)| key);
        let mut told = keys.filter_map(|key| match (Metric::from_key(key), Metric::from_name(key)) {
            (Some(_), None) => Some(Self::Keys),
            (None, Some(_)) => Some(Self::Names),
            _ => None,
        });
        told.next().unwrap_or(Self::Keys)
    }
}

/// `%3D` for `=`.
struct Escaped(char);

impl fmt::Display for Escaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = [0; 4];
        self.0.encode_utf8(&mut bytes).bytes().try_for_each(|byte| write!(f, "%{byte:02X}"))
    }
}

/// What stands in front of the line, and where the line begins.
///
/// A `?` inside a value is always escaped, so the first one ends the address; a text that has its first key before
/// that has none.
fn address(text: &str) -> Result<(Option<&str>, usize), DecodeError> {
    let has_scheme = ["http://", "https://"]
        .into_iter()
        .any(|scheme| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme)));
    match text.split_once('?') {
        Some((address, _)) if has_scheme || address.starts_with('/') || !address.contains('=') => {
            Ok(((!address.is_empty()).then_some(address), address.len() + 1))
        }
        None if has_scheme => Err(DecodeError { at: text.len(), fault: DecodeFault::NoQuery }),
        _ => Ok((None, 0)),
    }
}

/// The beginning of a text, for an error.
fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
