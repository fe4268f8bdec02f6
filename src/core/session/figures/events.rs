//! What becomes of a session when something happens in it.

use super::super::ads::Scene;
use super::super::fact::{Fact, Head};
use super::super::totals::{MAX_RATES, Totals};
use super::{Mark, Session, Target, Waiting};
use crate::player::{Ad, AdPhase, Bitrate, Counters, PlayerError, PlayerState, Seek, SeekPhase, Tags};
use crate::time::Millis;

impl Session {
    pub(super) fn resume(&mut self, totals: Totals) {
        // A player that begins a new account after the old one was closed tells totals from zero.
        let earlier = totals.playing.0 > 0 && !self.counting.starts_from_next();
        if self.counting.starts_from_next() {
            // Its earlier part has been reported; only whether it ever played is still of interest.
            self.totals.started = totals.started;
            self.first_frame = totals.join.map(|_| self.settled);
        } else {
            self.first_frame = totals.join.map(|join| self.opened + join);
            // A total that the wire may carry but no session can have come to does no more harm than a wrong
            // sum.
            self.totals = totals;
            self.totals.rates.truncate(MAX_RATES);
        }
        self.tell_with(|this| Fact::Resumed { startup: this.startup_time(), earlier });
    }

    pub(super) fn set_state(&mut self, state: PlayerState) {
        let before = self.state.replace(state);
        match state {
            PlayerState::Paused if self.ads.any() => self.paused_for_ad = true,
            PlayerState::Paused if before == Some(state) && !self.paused_for_ad => {}
            PlayerState::Paused if self.first_frame.is_some() => {
                self.paused_for_ad = false;
                self.totals.pauses = self.totals.pauses.saturating_add(1);
                let head = self.playhead.now();
                self.pause = Some(Mark { at: self.settled, head });
                self.tell_with(|_| Fact::PauseBegan { head });
            }
            PlayerState::Paused => {}
            PlayerState::Playing => {
                if before == Some(PlayerState::Paused) && self.totals.started && !self.paused_for_ad {
                    self.since_resume = Some(Millis(0));
                }
                self.paused_for_ad = false;
                self.end_pause();
            }
        }
    }

    /// Ends the user's pause, and says how long it was.
    fn end_pause(&mut self) -> Millis {
        let Some(mark) = self.pause.take() else { return Millis(0) };
        self.tell_with(|this| Fact::PauseEnded { head: this.playhead.now() });
        self.settled.since(mark.at)
    }

    pub(super) fn ad(&mut self, ad: Ad) {
        let mut paused_before = Millis(0);
        if ad.phase != AdPhase::End && self.state == Some(PlayerState::Paused) {
            paused_before = self.end_pause();
            self.paused_for_ad = true;
        }
        let scene = Scene {
            at: self.settled,
            head: self.playhead.now(),
            joined: self.first_frame.is_some(),
            paused_before,
        };
        let mut facts = Vec::new();
        self.ads.handle(ad, scene, &mut |fact| facts.push(fact));
        facts.into_iter().for_each(|fact| self.tell_with(|_| fact));
        if !self.ads.any() && std::mem::take(&mut self.hidden_frame) {
            self.join();
        }
    }

    pub(super) fn join(&mut self) {
        if self.first_frame.is_some() {
            return;
        }
        if self.ads.any() {
            // The ad's picture is in front of it.
            self.hidden_frame = true;
            return;
        }
        self.first_frame = Some(self.settled);
        let join = self.settled.since(self.opened);
        self.totals.join = Some(join);
        self.tell_with(|this| Fact::FirstFrame { startup: join - this.totals.ads });
    }

    pub(super) fn count(&mut self, counters: Counters) {
        self.counting.update(&counters);
        self.latest = counters;
        let bytes = self.counting.sum().bytes;
        self.data |= bytes > 0;
        self.filling.count(self.settled, bytes, counters.buffer, self.totals.bitrate);
        self.tell_with(Self::counted);
        // A player that does not tell its first frame has had it once frames come out while it plays.
        let decoded = counters.video.decoded > 0 || counters.audio.decoded > 0;
        if decoded && self.state == Some(PlayerState::Playing) {
            self.join();
        }
    }

    pub(super) fn seek(&mut self, seek: Seek) {
        let told = |position: Option<u64>| position.map(Head::from_ms);
        self.playhead.set_rate(seek.rate);
        match seek.phase {
            SeekPhase::Start => {
                self.totals.seeks = self.totals.seeks.saturating_add(1);
                self.seeking = true;
                self.end_seek(None);
                if let Some(Waiting::Stall { counted, .. }) = self.waiting {
                    self.waiting = Some(Waiting::Seek);
                    if counted {
                        self.tell_with(|_| Fact::StallEnded);
                    }
                }
                let from = told(seek.from).unwrap_or(self.playhead.now());
                let to = told(seek.to);
                self.playhead.put(from);
                self.seek_from = from;
                self.seek = Some(Target { began: self.settled, from, to });
                self.tell_with(|_| Fact::SeekBegan { from, to });
            }
            SeekPhase::End => {
                self.seeking = false;
                self.end_seek(told(seek.to));
            }
        }
    }

    fn end_seek(&mut self, told: Option<Head>) {
        let Some(Target { began, from, to: wanted }) = self.seek.take() else { return };
        let to = told.or(wanted).unwrap_or(self.playhead.now());
        self.playhead.put(to);
        self.tell_with(|_| Fact::SeekEnded { from, to, began, surprise: wanted.is_none() });
    }

    pub(super) fn switch(&mut self, to: Bitrate) {
        let from = self.totals.bitrate;
        if from > 0 && to.bitrate > 0 {
            let Totals { switches_up, switches_down, .. } = &mut self.totals;
            *switches_up = switches_up.saturating_add(u64::from(to.bitrate > from));
            *switches_down = switches_down.saturating_add(u64::from(to.bitrate < from));
        }
        self.totals.bitrate = to.bitrate;
        if from != to.bitrate {
            let decided = self.switching.take();
            let took = decided.as_ref().map(|(at, _)| self.settled.since(*at));
            let mut reasons = decided.map(|(_, switching)| switching.reasons).unwrap_or_default();
            reasons.sort_unstable();
            reasons.dedup();
            let head = self.playhead.now();
            self.tell_with(|_| Fact::Switched { from, to: to.bitrate, head, reasons, took });
        }
        self.representation = to;
        self.tell_with(|this| Fact::Representation(this.representation.clone()));
    }

    pub(super) fn wait(&mut self, waits: bool) {
        self.data = true;
        if !waits && matches!(self.waiting, Some(Waiting::Stall { counted: true, .. })) {
            self.tell_with(|_| Fact::StallEnded);
        }
        self.waiting = match (waits, self.waiting) {
            (false, _) => None,
            (true, Some(waiting)) => Some(waiting),
            (true, None) if self.seeking => Some(Waiting::Seek),
            (true, None) => Some(Waiting::Stall { counted: false, resume: false }),
        };
    }

    pub(super) fn fail(&mut self, error: PlayerError) {
        self.errors = self.errors.saturating_add(1);
        self.tell_with(|_| Fact::Error(error.clone()));
        let graver = self.error.as_ref().is_none_or(|known| error.fatal || !known.fatal);
        if graver {
            self.error = Some(error);
        }
    }
}

impl Tags {
    pub(super) fn update(&mut self, new: Self) {
        let Self { title, video_codec, audio_codec, container } = new;
        let fields = [
            (&mut self.title, title),
            (&mut self.video_codec, video_codec),
            (&mut self.audio_codec, audio_codec),
            (&mut self.container, container),
        ];
        for (field, new) in fields {
            if new.is_some() {
                *field = new;
            }
        }
    }
}
