//! What a player calls a session.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::MAX_SESSION_ID;

/// The name of a session: 1 to [`MAX_SESSION_ID`] bytes without control characters.
///
/// The text lies in it, so that a message that is read takes no allocation for it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    /// Zero behind the text, which has none: compared byte by byte, they are in the order of the texts.
    bytes: [u8; MAX_SESSION_ID],
    length: u8,
}

// === impl SessionId ===

impl SessionId {
    /// A session id from text.
    ///
    /// # Errors
    /// Says what is wrong where the text is empty, too long, or has control characters.
    pub fn try_new(id: impl AsRef<str>) -> Result<Self, InvalidSessionId> {
        let text = id.as_ref();
        let mut bytes = [0; MAX_SESSION_ID];
        let own = bytes.get_mut(..text.len()).ok_or(InvalidSessionId)?;
        if text.is_empty() || text.chars().any(char::is_control) {
            return Err(InvalidSessionId);
        }
        own.copy_from_slice(text.as_bytes());
        Ok(Self { bytes, length: u8::try_from(text.len()).map_err(|_| InvalidSessionId)? })
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..usize::from(self.length)).unwrap_or_default();
        // It was text when it came in.
        std::str::from_utf8(text).unwrap_or_default()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> Self {
        id.as_str().to_owned()
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for SessionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// Takes the text where it lies.
        struct Text;

        impl Visitor<'_> for Text {
            type Value = SessionId;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a session id")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<SessionId, E> {
                SessionId::try_new(text).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SessionId").field(&self.as_str()).finish()
    }
}

/// The text cannot be a session id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a session id has 1 to {MAX_SESSION_ID} bytes and no control characters")]
pub struct InvalidSessionId;
