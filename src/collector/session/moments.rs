//! A session's attempt and its play, which may come to count elsewhere when more is known of it.

use super::Session;
use crate::figures::Figures;
use crate::time::Minute;

/// What is booked of a session's attempt, and of its play.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    start: Minute,
    attempts: i64,
    joined: Minute,
    plays: i64,
    startup_ms: i64,
    startups: i64,
}

// === impl Moments ===

impl Moments {
    /// By minute, what is not nothing.
    pub(crate) fn figures(self) -> impl Iterator<Item = (Minute, Figures)> {
        let Self { attempts, plays, startup_ms, startups, .. } = self;
        let attempt = Figures { attempts, ..Figures::default() };
        let play = Figures { plays, startup_ms, startups, ..Figures::default() };
        let both = [(self.start, attempt), (self.joined, play)];
        both.into_iter().filter(|(_, figures)| !figures.is_zero())
    }
}

// === impl Session ===

impl Session {
    /// Its attempt and its play, as they are booked.
    pub(crate) fn moments(&self) -> Moments {
        let Figures { attempts, plays, startup_ms, startups, .. } = self.total;
        let joined = self.joined.unwrap_or(self.start).minute();
        Moments { start: self.start.minute(), attempts, joined, plays, startup_ms, startups }
    }
}
