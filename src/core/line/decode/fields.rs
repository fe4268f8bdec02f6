//! The keys of a line one by one, for who wants to keep none of them.

use std::borrow::Cow;

use super::{DecodeError, DecodeFault, Field, Meaning, Style, address, shown};
use crate::line::config::Separators;
use crate::line::keys::Metric;

/// What a key consists of.
const KEY: [bool; 256] = key();

/// The keys of a line in their order, each once, as they are read. Behind one that is broken there is none.
#[derive(Debug, Clone)]
pub struct Fields<'a, 's> {
    separators: &'s Separators,
    style: Style,
    /// What stood in front of the line.
    pub(super) address: Option<&'a str>,
    line: &'a str,
    /// Where the line begins in what is read.
    start: usize,
    /// What of it is not read; `None` at its end.
    rest: Option<&'a str>,
    /// Metrics that have come: a bit of each.
    seen: [u64; Metric::COUNT.div_ceil(64)],
    /// Other keys that have: they are few.
    others: Vec<&'a str>,
}

// === impl Fields ===

impl<'a> Fields<'a, 'static> {
    /// Of a line, a query or an address, with the usual separators.
    ///
    /// # Errors
    /// Where there is no line.
    pub fn of(text: &'a str) -> Result<Self, DecodeError> {
        Self::with(text, Separators::usual())
    }
}

impl<'a, 's> Fields<'a, 's> {
    pub(super) fn with(text: &'a str, separators: &'s Separators) -> Result<Self, DecodeError> {
        let separator = char::from(separators.param());
        let (address, start) = address(text)?;
        let line = text.get(start..).unwrap_or_default();
        let line = line.strip_suffix(separator).unwrap_or(line);
        if line.is_empty() {
            return Err(DecodeError { at: start, fault: DecodeFault::Empty });
        }
        let style = Style::of(line, separator);
        let (rest, others) = (Some(line), Vec::new());
        Ok(Self { separators, style, address, line, start, rest, seen: Default::default(), others })
    }

    /// About how many there are.
    pub(super) const fn about(&self) -> usize {
        self.line.len() / 8 + 1
    }

    fn read(&mut self, rest: &'a str) -> Result<Field<'a>, DecodeError> {
        let at = self.start + self.line.len() - rest.len();
        let field = match self.usual(rest, at) {
            Some((field, behind)) => {
                self.rest = behind;
                field
            }
            None => {
                let (text, behind) = match rest.split_once(char::from(self.separators.param())) {
                    Some((text, behind)) => (text, Some(behind)),
                    None => (rest, None),
                };
                self.rest = behind;
                Field::read(text, at, self.separators, self.style)?
            }
        };
        if self.is_new(&field) {
            return Ok(field);
        }
        self.rest = None;
        let mut before =
            Self { rest: Some(self.line), seen: Default::default(), others: Vec::new(), ..self.clone() };
        let first = before.find_map(|there| there.ok().filter(|there| there.is_same(&field)));
        let first = first.map_or(at, |there| there.at);
        Err(DecodeError { at, fault: DecodeFault::Twice { key: shown(field.key), first } })
    }

    /// The first one and what is behind it, where its value is written as it is; it is looked at once.
    fn usual(&self, rest: &'a str, at: usize) -> Option<(Field<'a>, Option<&'a str>)> {
        let bytes = rest.as_bytes();
        let equals = bytes.iter().position(|byte| !KEY.get(usize::from(*byte)).copied().unwrap_or(false))?;
        if equals == 0 || bytes.get(equals) != Some(&b'=') {
            return None;
        }
        let value = bytes.get(equals + 1..)?;
        let length = value.iter().position(|byte| !self.separators.keep(*byte));
        let end = equals + 1 + length.unwrap_or(value.len());
        let behind = match bytes.get(end) {
            None => None,
            Some(byte) if *byte == self.separators.param() => Some(rest.get(end + 1..)?),
            Some(_) => return None,
        };
        let (key, raw) = (rest.get(..equals)?, rest.get(equals + 1..end)?);
        let meaning = Meaning::of(key, self.style);
        Some((Field { key, meaning, raw, value: Cow::Borrowed(raw), at }, behind))
    }

    /// Notes a key; `false` where it was there before.
    fn is_new(&mut self, field: &Field<'a>) -> bool {
        let Meaning::Metric(metric) = field.meaning else {
            let is_new = !self.others.contains(&field.key);
            self.others.push(field.key);
            return is_new;
        };
        let number = metric as usize;
        let Some(word) = self.seen.get_mut(number / 64) else { return true };
        let bit = 1 << (number % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }
}

impl<'a> Iterator for Fields<'a, '_> {
    type Item = Result<Field<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let field = self.read(rest);
        if field.is_err() {
            self.rest = None;
        }
        Some(field)
    }
}

#[allow(
    clippy::indexing_slicing,
    reason = "constant evaluation has no other access; a wrong index cannot build"
)]
const fn key() -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        byte += 1;
    }
    table
}
