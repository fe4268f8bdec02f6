//! Reading a value from left to right, with errors that know where they are.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::Decimal;

/// Where a value is not what its key says it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct ValueError {
    /// Byte in the decoded value, from 0.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
    /// What stands there; `None` at the end.
    pub found: Option<char>,
}

/// A place in a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

// === impl ValueError ===

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {} of the value: expected {}, found ", self.at, self.expected)?;
        match self.found {
            Some(c) => write!(f, "{c:?}"),
            None => f.write_str("its end"),
        }
    }
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(super) fn error(&self, expected: &'static str) -> ValueError {
        ValueError { at: self.at, expected, found: self.rest().chars().next() }
    }

    /// Goes over `c` where it is next.
    pub(super) fn eat(&mut self, c: char) -> bool {
        let eaten = self.rest().starts_with(c);
        if eaten {
            self.at += c.len_utf8();
        }
        eaten
    }

    pub(super) fn expect(&mut self, c: char, expected: &'static str) -> Result<(), ValueError> {
        if self.eat(c) { Ok(()) } else { Err(self.error(expected)) }
    }

    pub(super) fn skip_spaces(&mut self) {
        while self.eat(' ') {}
    }

    /// All up to the next of `ends`, or to the end.
    pub(super) fn until(&mut self, ends: &[char]) -> &'a str {
        let rest = self.rest();
        let length = rest.find(ends).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).unwrap_or_default()
    }

    /// A whole number without sign.
    pub(super) fn integer<T: FromStr>(&mut self, expected: &'static str) -> Result<T, ValueError> {
        self.parsed(self.digits(), expected)
    }

    /// A whole number, perhaps below zero.
    pub(super) fn signed<T: FromStr>(&mut self, expected: &'static str) -> Result<T, ValueError> {
        let sign = usize::from(self.rest().starts_with('-'));
        let digits = Self { text: self.text, at: self.at + sign }.digits();
        self.parsed(if digits == 0 { 0 } else { sign + digits }, expected)
    }

    /// A number with or without decimals, perhaps below zero.
    pub(super) fn decimal(&mut self, expected: &'static str) -> Result<Decimal, ValueError> {
        let rest = self.rest();
        let sign = usize::from(rest.starts_with('-'));
        let length = rest.bytes().skip(sign).take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        self.parsed(sign + length, expected)
    }

    /// Elements joined by `,`, spaces around it allowed; none in an empty value.
    pub(super) fn list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, ValueError>,
    ) -> Result<Vec<T>, ValueError> {
        let mut elements = Vec::new();
        self.skip_spaces();
        while !self.is_at_end() {
            elements.push(element(self)?);
            self.skip_spaces();
            if !self.is_at_end() {
                self.expect(',', "a comma or the end")?;
            }
            self.skip_spaces();
        }
        Ok(elements)
    }

    /// Elements joined by `,` and nothing else: what begins with a text may begin with a space.
    pub(super) fn exact_list<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, ValueError>,
    ) -> Result<Vec<T>, ValueError> {
        let mut elements = Vec::new();
        while !self.is_at_end() {
            elements.push(element(self)?);
            if !self.is_at_end() {
                self.expect(',', "a comma or the end")?;
            }
        }
        Ok(elements)
    }

    pub(super) fn end(&self) -> Result<(), ValueError> {
        if self.is_at_end() { Ok(()) } else { Err(self.error("the end")) }
    }

    fn digits(&self) -> usize {
        self.rest().bytes().take_while(u8::is_ascii_digit).count()
    }

    fn parsed<T: FromStr>(&mut self, length: usize, expected: &'static str) -> Result<T, ValueError> {
        let number = self.rest().get(..length).and_then(|text| text.parse().ok());
        let number = number.ok_or_else(|| self.error(expected))?;
        self.at += length;
        Ok(number)
    }
}
