//! Ads, which only the application around a player knows.

use serde::{Deserialize, Serialize};

use super::app::replace;

/// `ad`: an ad is loaded, starts or ends. `load` is told once the content has given way to it, before the
/// content is paused for it; until the content plays again, all time is the ad's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ad {
    /// Load, start or end.
    pub phase: AdPhase,
    /// Its id, name or URL. On `start` and `end` it may be left out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// Its place; where it is not told, one before the first picture is `pre` and any other `mid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<AdKind>,
    /// How long it is, in ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// Its title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its category.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Id of the partner who sold it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partner: Option<String>,
    /// The server it comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// The part of the day it was sold for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub daypart: Option<String>,
    /// The industry it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub industry: Option<String>,
    /// The event it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// On `end`: how it ended; left out, it ended normally.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<AdStatus>,
    /// On `end`: how much of it was played, 0 to 100, for a player that does not know the duration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

/// Which point in an ad's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdPhase {
    /// It is being fetched.
    Load,
    /// Its first picture is out.
    Start,
    /// It is over.
    End,
}

/// An ad's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdKind {
    /// Before the content.
    Pre,
    /// In the midst of it.
    Mid,
    /// After it.
    Post,
}

/// How an ad ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdStatus {
    /// It played to its end.
    #[default]
    Normal,
    /// The viewer closed it.
    Skipped,
    /// The application was closed during it.
    AppClosed,
    /// It could not go on.
    Error,
}

// === impl Ad ===

impl Ad {
    /// An ad message that names nothing but its phase and its id.
    #[must_use]
    pub fn new(phase: AdPhase, id: impl Into<String>) -> Self {
        Self {
            phase,
            id: id.into(),
            kind: None,
            duration: None,
            title: None,
            category: None,
            partner: None,
            server: None,
            daypart: None,
            industry: None,
            event: None,
            status: None,
            percent: None,
        }
    }

    /// Takes over the fields that `new` names; the phase stays.
    pub fn update(&mut self, new: Self) {
        let Self { title, category, partner, server, daypart, industry, event, .. } = new;
        if !new.id.is_empty() {
            self.id = new.id;
        }
        for (field, new) in [
            (&mut self.title, title),
            (&mut self.category, category),
            (&mut self.partner, partner),
            (&mut self.server, server),
            (&mut self.daypart, daypart),
            (&mut self.industry, industry),
            (&mut self.event, event),
        ] {
            replace(field, new);
        }
        replace(&mut self.kind, new.kind);
        replace(&mut self.duration, new.duration);
        replace(&mut self.status, new.status);
        replace(&mut self.percent, new.percent);
    }

    pub(super) fn texts(&mut self) -> [Option<&mut String>; 8] {
        let Self { id, title, category, partner, server, daypart, industry, event, .. } = self;
        let [a, b, c, d, e, f, g] =
            [title, category, partner, server, daypart, industry, event].map(Option::as_mut);
        [Some(id), a, b, c, d, e, f, g]
    }
}

// === impl AdKind ===

impl AdKind {
    /// The number that beacon lines have for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Pre => 0,
            Self::Mid => 1,
            Self::Post => 2,
        }
    }
}

// === impl AdStatus ===

impl AdStatus {
    /// The number that beacon lines have for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Normal => 0,
            Self::Skipped => 1,
            Self::AppClosed => 2,
            Self::Error => 3,
        }
    }
}
