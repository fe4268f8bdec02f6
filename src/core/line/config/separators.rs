//! What stands between keys, and what stands for it in a value.

use std::sync::LazyLock;

use thiserror::Error;

use crate::line::escape::PLAIN;

/// The two separators of a configuration, such that a reader can always tell them apart.
///
/// In a value, the separator is written as its stand-in. So that a value that holds the stand-in itself survives,
/// the stand-in's second character is percent-encoded where it follows the first in the original value (and the
/// first one everywhere, where the two are alike or there is only one): `*@*` is written `*%40*`. Nothing public
/// says what becomes of an original `*@*`; a reader that takes `%XX` apart first sees what it would have seen anyway.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Separators {
    /// One of [`SEPARATORS`].
    param: u8,
    /// Of [`STAND_INS`], and without `param`.
    stand_in: Box<str>,
    /// The byte that could begin or continue a false stand-in, see [`Separators::would_mislead`].
    guarded: u8,
    /// The byte that it has to follow for that; `None` where it is guarded everywhere.
    guarded_behind: Option<u8>,
    /// Which bytes of a value are written as they are, wherever they stand: one look tells, for each byte of a line.
    kept: [bool; 256],
    /// Whether all of [`Separators::is_usual`] are.
    usual_kept: bool,
}

/// Why two texts cannot be the separators.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SeparatorsError {
    /// The separator is not one of the few characters that can be.
    #[error("the separator is none of ~ & ! $ * @ ' +")]
    Param,
    /// The stand-in is empty, over eight characters, or holds others than those that can be.
    #[error("what stands for the separator is not one to eight of - . _ ~ ( ) / * @ ! '")]
    StandIn,
    /// The stand-in holds the separator.
    #[error("what stands for the separator holds the separator")]
    Same,
}

/// What can separate keys: characters of a query (RFC 3986 §3.4) that no structured value needs.
const SEPARATORS: &[u8] = b"~&!$*@'+";
/// What a stand-in can consist of: characters that a value leaves as they are and that no structured value needs.
const STAND_INS: &[u8] = b"-._~()/*@!'";

// === impl Separators ===

impl Separators {
    /// Checks a pair, as a configuration gives it.
    ///
    /// # Errors
    /// See [`SeparatorsError`].
    pub fn new(param: &str, stand_in: &str) -> Result<Self, SeparatorsError> {
        let &[param] = param.as_bytes() else { return Err(SeparatorsError::Param) };
        if !SEPARATORS.contains(&param) {
            return Err(SeparatorsError::Param);
        }
        if !(1..=8).contains(&stand_in.len()) || !stand_in.bytes().all(|b| STAND_INS.contains(&b)) {
            return Err(SeparatorsError::StandIn);
        }
        if stand_in.as_bytes().contains(&param) {
            return Err(SeparatorsError::Same);
        }
        let (guarded, guarded_behind) = match stand_in.as_bytes() {
            [first, second, ..] if first != second => (*second, Some(*first)),
            [first, ..] => (*first, None),
            [] => return Err(SeparatorsError::StandIn),
        };
        let mut kept = PLAIN;
        for byte in [param, guarded] {
            if let Some(kept) = kept.get_mut(usize::from(byte)) {
                *kept = false;
            }
        }
        let is_kept = |byte| kept.get(usize::from(byte)) == Some(&true);
        let usual_kept = (0..=u8::MAX).filter(|byte| Self::is_usual(*byte)).all(is_kept);
        let stand_in = stand_in.into();
        Ok(Self { param, stand_in, guarded, guarded_behind, kept, usual_kept })
    }

    /// `~` and `*@*`.
    pub(in crate::line) fn usual() -> &'static Self {
        static USUAL: LazyLock<Separators> = LazyLock::new(Separators::default);
        &USUAL
    }

    /// What stands between keys; ASCII.
    #[must_use]
    pub const fn param(&self) -> u8 {
        self.param
    }

    /// What stands for it in a value.
    #[must_use]
    pub const fn stand_in(&self) -> &str {
        &self.stand_in
    }

    /// Whether a byte of a value is written as it is, wherever it stands.
    pub(in crate::line) fn keep(&self, byte: u8) -> bool {
        self.kept.get(usize::from(byte)).copied().unwrap_or(false)
    }

    /// Letters, digits, and what stands between them in lists.
    #[inline]
    pub(in crate::line) const fn is_usual(byte: u8) -> bool {
        byte.is_ascii_alphanumeric() || matches!(byte, b',' | b'-' | b'.' | b':' | b';' | b'(' | b')')
    }

    /// Whether a value of nothing but [usual](Self::is_usual) bytes is written as it is.
    #[inline]
    pub(in crate::line) const fn keep_usual(&self) -> bool {
        self.usual_kept
    }

    /// Whether these bytes of a value are all written as they are, wherever they stand.
    pub(in crate::line) fn keep_all(&self, mut bytes: &[u8]) -> bool {
        while let Some((eight, rest)) = bytes.split_first_chunk::<8>() {
            // Without a branch for each byte.
            if !eight.iter().fold(true, |kept, byte| kept & self.keep(*byte)) {
                return false;
            }
            bytes = rest;
        }
        bytes.iter().all(|byte| self.keep(*byte))
    }

    /// Whether `byte` of a value, behind `before` of the same value, has to be percent-encoded lest the two
    /// begin a stand-in.
    pub(in crate::line) fn would_mislead(&self, before: Option<u8>, byte: u8) -> bool {
        byte == self.guarded && (self.guarded_behind.is_none() || before == self.guarded_behind)
    }
}

impl Default for Separators {
    /// `~` and `*@*`.
    #[allow(clippy::expect_used, reason = "the pair has no input, and is tested")]
    fn default() -> Self {
        Self::new("~", "*@*").expect("the usual separators are a pair")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("~", "*@*")]
    #[case("&", "-")]
    #[case("~", "**")]
    #[case("*", "~")]
    fn good(#[case] param: &str, #[case] stand_in: &str) {
        let separators = Separators::new(param, stand_in).unwrap();
        assert_eq!((separators.param(), separators.stand_in()), (param.as_bytes()[0], stand_in));
    }

    #[rstest]
    #[case("", "*@*", SeparatorsError::Param)]
    #[case("~~", "*@*", SeparatorsError::Param)]
    #[case("=", "*@*", SeparatorsError::Param)]
    #[case("%", "*@*", SeparatorsError::Param)]
    #[case(",", "*@*", SeparatorsError::Param)]
    #[case("a", "*@*", SeparatorsError::Param)]
    #[case("é", "*@*", SeparatorsError::Param)]
    #[case("~", "", SeparatorsError::StandIn)]
    #[case("~", "%7E", SeparatorsError::StandIn)]
    #[case("~", "a", SeparatorsError::StandIn)]
    #[case("~", "*********", SeparatorsError::StandIn)]
    #[case("~", "*~*", SeparatorsError::Same)]
    fn bad(#[case] param: &str, #[case] stand_in: &str, #[case] error: SeparatorsError) {
        assert_eq!(Separators::new(param, stand_in), Err(error));
    }

    #[test]
    fn default_is_valid() {
        assert_eq!(Separators::new("~", "*@*"), Ok(Separators::default()));
    }
}
