//! What a session is told apart by: dimensions and their values.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::networks::Networks;

/// Longest value of a dimension, in characters; what is longer is cut.
pub(crate) const MAX_VALUE: usize = 128;
/// Longest name of an operator's own dimension, in characters.
const MAX_NAME: usize = 64;
/// Most dimensions of an operator's own that a session has; further ones are left out.
const MAX_OWN: usize = 8;
/// What stands for a value that is not known.
pub(crate) const UNKNOWN: &str = "unknown";
/// What stands for all values beyond those that are told apart.
pub(crate) const OTHER: &str = "other";

/// A dimension that every session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Known {
    /// How the session was told: report, line or heartbeat.
    Channel,
    /// Content delivery network.
    Cdn,
    /// What was played: title, asset or channel name.
    Asset,
    /// Model of the box.
    Device,
    /// Firmware of the box.
    Firmware,
    /// Network that the box is in: /24 of IPv4, /48 of IPv6.
    Subnet,
    /// Protocol of the stream.
    Protocol,
    /// Name of the player.
    Player,
    /// Live or on demand.
    Delivery,
    /// City that the box is in, where there is a table of them.
    City,
    /// Internet service provider that the box is a customer of, where there is a table of them.
    Isp,
}

/// A dimension: one that every session has, or the operator's own (`_cd_…` of a line, a tag of a heartbeat).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Dimension {
    /// All sessions together.
    All,
    /// One that every session has.
    Known(Known),
    /// The operator's own, by name.
    Own(String),
}

/// The values of one session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Labels {
    known: BTreeMap<Known, String>,
    own: BTreeMap<String, String>,
    #[serde(skip)]
    learned: Learned,
}

/// Dimensions that came to have a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Learned {
    /// A bit for each.
    known: u16,
    own: Vec<String>,
}

const _: () = assert!(Known::ALL.len() <= u16::BITS as usize, "a bit for each");

// === impl Known ===

impl Known {
    /// All of them.
    pub(crate) const ALL: [Self; 11] = [
        Self::Channel,
        Self::Cdn,
        Self::Asset,
        Self::Device,
        Self::Firmware,
        Self::Subnet,
        Self::Protocol,
        Self::Player,
        Self::Delivery,
        Self::City,
        Self::Isp,
    ];

    /// Its number towards clients; never 0, never another one's, never changed.
    pub(crate) const fn id(self) -> u32 {
        match self {
            Self::Cdn => 11,
            Self::Asset => 12,
            Self::Device => 13,
            Self::Firmware => 14,
            Self::Subnet => 15,
            Self::Protocol => 16,
            Self::Player => 17,
            Self::Delivery => 18,
            Self::Channel => 19,
            Self::City => 20,
            Self::Isp => 21,
        }
    }

    /// Whether only a table of networks tells it.
    const fn is_of_a_table(self) -> bool {
        matches!(self, Self::City | Self::Isp)
    }

    /// Its name towards clients.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Cdn => "CDNs",
            Self::Asset => "Assets",
            Self::Device => "Device Models",
            Self::Firmware => "Firmware Versions",
            Self::Subnet => "Subnets",
            Self::Protocol => "Streaming Protocols",
            Self::Player => "Players",
            Self::Delivery => "Live or VoD",
            Self::Channel => "Data Channels",
            Self::City => "Cities",
            Self::Isp => "ISPs",
        }
    }

    /// Its name where one value is meant: in rules of filters and in answers of version 3.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Cdn => "CDN",
            Self::Asset => "Asset Name",
            Self::Device => "Device Model",
            Self::Firmware => "Firmware Version",
            Self::Subnet => "Subnet",
            Self::Protocol => "Streaming Protocol",
            Self::Player => "Player Name",
            Self::Delivery => "Live or VoD",
            Self::Channel => "Data Channel",
            Self::City => "City",
            Self::Isp => "ISP",
        }
    }
}

// === impl Dimension ===

impl Dimension {
    /// Its number, where it is not the operator's own.
    pub(crate) const fn id(&self) -> Option<u32> {
        match self {
            Self::All => Some(0),
            Self::Known(known) => Some(known.id()),
            Self::Own(_) => None,
        }
    }

    /// The one with a number that is not the operator's own.
    pub(crate) fn from_id(id: u32) -> Option<Self> {
        if id == 0 {
            return Some(Self::All);
        }
        Known::ALL.into_iter().find(|known| known.id() == id).map(Self::Known)
    }
}

// === impl Learned ===

impl Learned {
    pub(crate) fn is_empty(&self) -> bool {
        self.known == 0 && self.own.is_empty()
    }

    const fn has(&self, known: Known) -> bool {
        self.known & 1 << known as u16 != 0
    }
}

// === impl Labels ===

impl Labels {
    /// Sets a value that is known; an empty one changes nothing.
    pub(crate) fn set(&mut self, known: Known, value: &str) {
        if self.known.get(&known).is_some_and(|there| there == value) {
            return;
        }
        let value = clipped(value, MAX_VALUE);
        if !value.is_empty() && self.known.insert(known, value).is_none() {
            self.learned.known |= 1 << known as u16;
        }
    }

    /// Sets a value of the operator's own; an empty one changes nothing.
    pub(crate) fn set_own(&mut self, name: &str, value: &str) {
        if self.own.get(name).is_some_and(|there| there == value) {
            return;
        }
        let (name, value) = (clipped(name, MAX_NAME), clipped(value, MAX_VALUE));
        let has_room = self.own.len() < MAX_OWN || self.own.contains_key(&name);
        if has_room && !name.is_empty() && !value.is_empty() && self.own.insert(name.clone(), value).is_none()
        {
            self.learned.own.push(name);
        }
    }

    /// Sets the network that the box is in, and where that is: unknown, where the table does not say.
    pub(crate) fn set_subnet(&mut self, subnet: &str, networks: &Networks) {
        self.set(Known::Subnet, subnet);
        if networks.is_empty() {
            return;
        }
        let home = networks.home(subnet);
        for (known, value) in
            [(Known::City, home.map(|home| &home.city)), (Known::Isp, home.map(|home| &home.isp))]
        {
            self.set(known, value.filter(|value| !value.is_empty()).map_or(UNKNOWN, String::as_str));
        }
    }

    /// The value of a dimension that every session has.
    pub(crate) fn known(&self, known: Known) -> &str {
        self.known.get(&known).map_or(UNKNOWN, String::as_str)
    }

    /// The value of one of the operator's own.
    pub(crate) fn own(&self, name: &str) -> Option<&str> {
        self.own.get(name).map(String::as_str)
    }

    /// Dimensions that came to have a value since this was last asked.
    pub(crate) fn take_learned(&mut self) -> Learned {
        std::mem::take(&mut self.learned)
    }

    /// As they were before these dimensions had a value.
    pub(crate) fn without(&self, learned: &Learned) -> Self {
        let mut labels = self.clone();
        labels.known.retain(|known, _| !learned.has(*known));
        labels.own.retain(|name, _| !learned.own.contains(name));
        labels
    }

    /// Where the session counted before these dimensions had a value and does no more, and where it does since.
    pub(crate) fn moved<'l>(
        &'l self,
        learned: &'l Learned,
    ) -> (impl Iterator<Item = (Dimension, &'l str)>, impl Iterator<Item = (Dimension, &'l str)>) {
        let known = Known::ALL.into_iter().filter(|known| learned.has(*known));
        let from = known.clone().filter(|known| !known.is_of_a_table());
        let from = from.map(|known| (Dimension::Known(known), UNKNOWN));
        let own = self.own.iter().filter(|(name, _)| learned.own.contains(name));
        let own = own.map(|(name, value)| (Dimension::Own(name.clone()), value.as_str()));
        (from, known.map(|known| (Dimension::Known(known), self.known(known))).chain(own))
    }

    /// Each dimension under which the session counts, with its value.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Dimension, &str)> {
        // Without a table nobody asks for what is not in it, and it costs nothing.
        let told = |known: &Known| !known.is_of_a_table() || self.known.contains_key(known);
        let known =
            Known::ALL.into_iter().filter(told).map(|known| (Dimension::Known(known), self.known(known)));
        let own = self.own.iter().map(|(name, value)| (Dimension::Own(name.clone()), value.as_str()));
        std::iter::once((Dimension::All, "")).chain(known).chain(own)
    }
}

/// The beginning of a text, without white space at its ends and without control characters.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    let mut clipped = String::new();
    push_clipped(&mut clipped, text, most);
    clipped
}

/// The same, behind what is there.
pub(crate) fn push_clipped(out: &mut String, text: &str, most: usize) {
    let text = text.trim();
    if text.len() <= most && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        out.push_str(text);
    } else {
        out.extend(text.chars().filter(|c| !c.is_control()).take(most));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn numbers_of_dimensions() {
        let ids: BTreeSet<_> = Known::ALL.into_iter().map(Known::id).collect();
        assert_eq!(ids.len(), Known::ALL.len());
        for known in Known::ALL {
            assert_eq!(Dimension::from_id(known.id()), Some(Dimension::Known(known)));
        }
        assert_eq!(Dimension::from_id(10), None);
        assert!(!ids.contains(&0));
    }

    #[test]
    fn what_is_learned_is_told_once() {
        let mut labels = Labels::default();
        labels.set(Known::Asset, "a");
        labels.set(Known::Cdn, "");
        let learned = labels.take_learned();
        assert!(!learned.is_empty());
        let moved = |labels: &Labels, learned: &Learned| {
            let (from, to) = labels.moved(learned);
            let owned = |(dimension, value): (_, &str)| (dimension, value.to_owned());
            (from.map(owned).collect::<Vec<_>>(), to.map(owned).collect::<Vec<_>>())
        };
        let of = |dimension: Dimension, value: &str| (dimension, value.to_owned());
        let asset = Dimension::Known(Known::Asset);
        assert_eq!(moved(&labels, &learned), (vec![of(asset.clone(), UNKNOWN)], vec![of(asset, "a")]));
        assert!(labels.take_learned().is_empty());

        let before = labels.clone();
        labels.set(Known::Asset, "b");
        labels.set(Known::Cdn, "c");
        labels.set(Known::City, "Wien");
        labels.set_own("x", "1");
        labels.set_own("x", "2");
        let learned = labels.take_learned();
        let (cdn, city) = (Dimension::Known(Known::Cdn), Dimension::Known(Known::City));
        let own = Dimension::Own("x".to_owned());
        // By city nobody counts where there is no table.
        let to = vec![of(cdn.clone(), "c"), of(city, "Wien"), of(own, "2")];
        assert_eq!(moved(&labels, &learned), (vec![of(cdn, UNKNOWN)], to));
        let earlier = labels.without(&learned);
        assert_eq!(
            (earlier.known(Known::Asset), earlier.known(Known::Cdn), earlier.own("x")),
            ("b", UNKNOWN, None)
        );
        labels.set(Known::Asset, "a");
        assert_eq!(labels.without(&learned), before);
    }

    #[test]
    fn values_are_bounded() {
        let mut labels = Labels::default();
        labels.set(Known::Asset, &"x".repeat(1000));
        labels.set(Known::Asset, " ");
        labels.set(Known::Cdn, " a\u{0}b\n");
        for number in 0..100 {
            labels.set_own(&format!("tag{number}"), "v");
        }
        assert_eq!(labels.known(Known::Asset).len(), MAX_VALUE);
        assert_eq!(labels.known(Known::Cdn), "ab");
        assert_eq!(labels.known(Known::Device), UNKNOWN);
        assert_eq!(labels.all().count(), 1 + Known::ALL.len() - 2 + MAX_OWN, "no table of cities and ISPs");
    }
}
