//! Who speaks: what lines say about the box, whatever is played.

use std::collections::BTreeMap;

/// The box and its software, as lines describe them. What is empty is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// `d`: the box, by an id that it keeps across restarts.
    pub viewer_id: String,
    /// `pd`: which player of the operator's.
    pub player_id: String,
    /// `ak`: kind of player.
    pub player_type: String,
    /// `aj`: version of the player.
    pub player_version: String,
    /// `ay`: version of the agent.
    pub plugin_version: String,
    /// `al`: operating system, in short.
    pub os: String,
    /// `os`: operating system with its version.
    pub full_os: String,
    /// `sa`: model of the box.
    pub device: String,
    /// `ai`: user agent with which streams are fetched.
    pub user_agent: String,
    /// `cn`: how the box is connected, where the player does not tell.
    pub connectivity: String,
    /// `cm`: the delivery network, where the player does not tell.
    pub cdn: String,
    /// Custom dimensions, by key; what the player tells comes before them.
    pub dimensions: BTreeMap<String, String>,
}

/// A GUID from 128 random bits (RFC 9562 §5.4).
#[must_use]
pub fn guid(random: u128) -> String {
    let bits = (random & !(0xf << 76) & !(0b11 << 62)) | (0x4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0..8), part(8..12), part(12..16), part(16..20), part(20..32))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_guid_is_of_version_4() {
        assert_eq!(super::guid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(super::guid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
