//! What a session says when it is asked: it changes nothing.

use super::{Session, Waiting};
use crate::player::{Open, PlayerState};
use crate::session::fact::{Activity, Fact, Gauges};
use crate::session::totals::{Phase, Snapshot};
use crate::time::Millis;

// === impl Session ===

impl Session {
    pub(in crate::session) fn what(&self) -> &Open {
        &self.open
    }

    pub(in crate::session) fn url(&self) -> &str {
        &self.open.url
    }

    /// What one who has not followed the session must know of it to follow it from here.
    pub(in crate::session) fn introduction(&self) -> Vec<(Millis, Fact)> {
        let mut facts = vec![(self.opened, Fact::Opened(self.open.clone()))];
        let startup = self.startup_time();
        facts.push((self.settled, Fact::Resumed { startup, earlier: true }));
        facts.push((self.settled, Fact::Representation(self.representation.clone())));
        facts.push((self.settled, Fact::Tags(Box::new(self.tags.clone()))));
        facts.push((self.settled, self.counted()));
        facts.push((self.settled, Fact::Entered(self.activity())));
        facts.extend(self.told.facts().into_iter().map(|fact| (self.settled, fact)));
        facts
    }

    pub(in crate::session) fn opened(&self) -> Millis {
        self.opened
    }

    pub(in crate::session) fn snapshot(&self, now: Millis) -> Snapshot {
        let at = now.max(self.settled);
        let phase = self.phase();
        let mut totals = self.totals.clone();
        totals.spend(phase, at.since(self.settled));
        Snapshot {
            id: self.id.clone(),
            open: self.open.clone(),
            opened: self.opened,
            first_frame: self.first_frame,
            at,
            phase,
            totals,
            counts: *self.counting.sum(),
            latest: self.latest,
            representation: self.representation.clone(),
            tags: self.tags.clone(),
            error: self.error.clone(),
            errors: self.errors,
            closed: None,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        match (self.state, self.waiting) {
            _ if self.ads.any() => Phase::Ad,
            (Some(PlayerState::Paused), _) if self.first_frame.is_some() => {
                if self.paused_for_ad {
                    Phase::Ad
                } else {
                    Phase::Paused
                }
            }
            _ if !self.totals.started => Phase::Startup,
            _ if self.seeking => Phase::Seeking,
            (_, Some(Waiting::Seek)) => Phase::Seeking,
            (_, Some(Waiting::Stall { .. })) => Phase::Rebuffering,
            (_, None) => Phase::Playing,
        }
    }

    pub(super) fn activity(&self) -> Activity {
        match self.phase() {
            Phase::Startup if self.data || self.first_frame.is_some() => Activity::InitBuffering,
            Phase::Startup if self.state.is_some() => Activity::Connecting,
            Phase::Startup => Activity::Init,
            Phase::Playing => Activity::Playing,
            Phase::Paused => Activity::Paused,
            Phase::Rebuffering if matches!(self.waiting, Some(Waiting::Stall { resume: true, .. })) => {
                Activity::ResumeBuffering
            }
            Phase::Rebuffering => Activity::Rebuffering,
            Phase::Seeking if self.waiting.is_some() => Activity::SeekBuffering,
            Phase::Seeking => Activity::Seeking,
            Phase::Ad if self.ads.plays() => Activity::AdPlaying,
            Phase::Ad => Activity::AdLoading,
        }
    }

    /// From the attempt to the first picture, ads apart.
    pub(super) fn startup_time(&self) -> Option<Millis> {
        self.first_frame.map(|first| first.since(self.opened))
    }

    pub(super) fn gauges(&self) -> Gauges {
        let mut measures = self.told.measures;
        measures.bandwidth = measures.bandwidth.or(self.filling.bandwidth);
        Gauges { bitrate: self.totals.bitrate, fps: self.latest.fps, buffer: self.latest.buffer, measures }
    }

    pub(super) fn counted(&self) -> Fact {
        let duration = self.latest.duration;
        Fact::Counted { counts: *self.counting.sum(), bytes_played: self.filling.bytes_played, duration }
    }
}
