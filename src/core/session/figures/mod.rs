//! One session: where its time went, and what happened in it.

mod asked;
mod events;
mod filling;

use self::filling::Filling;
use super::Reject;
use super::ads::Ads;
use super::counts::Counting;
use super::fact::{Activity, Fact, Head, Span};
use super::head::Playhead;
use super::told::Told;
use super::totals::{Phase, Snapshot, Totals};
use crate::player::{
    AdStatus, Bitrate, CloseReason, Counters, Open, PlayerError, PlayerState, Seek, SeekPhase, SessionEvent,
    SessionId, Switching, Tags,
};
use crate::sleep::Sleep;
use crate::time::Millis;

/// A rebuffer that begins before the picture has moved this long since a pause comes from resuming.
const RESUME_GRACE: Millis = Millis(500);

/// A session that runs.
#[derive(Debug)]
pub(super) struct Session {
    id: SessionId,
    open: Open,
    opened: Millis,
    first_frame: Option<Millis>,
    /// Time before this point is in the totals.
    settled: Millis,
    state: Option<PlayerState>,
    waiting: Option<Waiting>,
    seeking: bool,
    totals: Totals,
    counting: Counting,
    latest: Counters,
    representation: Bitrate,
    tags: Tags,
    error: Option<PlayerError>,
    errors: u64,
    playhead: Playhead,
    ads: Ads,
    /// The content is paused for an ad, and has not been resumed since.
    paused_for_ad: bool,
    /// The first picture came while an ad hid it.
    hidden_frame: bool,
    /// Whether anything came that the player could play.
    data: bool,
    pause: Option<Mark>,
    stall: Head,
    seek: Option<Target>,
    seek_from: Head,
    /// Time played since a pause was resumed, for as long as that is short.
    since_resume: Option<Millis>,
    switching: Option<(Millis, Switching)>,
    filling: Filling,
    told: Told,
    /// What it was last said to do.
    entered: Activity,
    /// What happened since it was last asked for; `None` where nobody asks.
    facts: Option<Vec<(Millis, Fact)>>,
}

/// Where and when something began.
#[derive(Debug, Clone, Copy)]
struct Mark {
    at: Millis,
    head: Head,
}

/// A seek that has not ended.
#[derive(Debug, Clone, Copy)]
struct Target {
    began: Millis,
    from: Head,
    to: Option<Head>,
}

/// Why the player waits for data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// Nobody asked for it.
    Stall {
        /// Whether it is in `rebuffers` already.
        counted: bool,
        /// Whether it came from resuming a pause; known once it is counted.
        resume: bool,
    },
    /// A seek emptied the buffer.
    Seek,
}

impl Session {
    pub(super) fn open(id: SessionId, at: Millis, open: Open) -> Self {
        Self {
            id,
            open,
            opened: at,
            first_frame: None,
            settled: at,
            state: None,
            waiting: None,
            seeking: false,
            totals: Totals::default(),
            counting: Counting::default(),
            latest: Counters::default(),
            representation: Bitrate::default(),
            tags: Tags::default(),
            error: None,
            errors: 0,
            playhead: Playhead::new(),
            ads: Ads::default(),
            paused_for_ad: false,
            hidden_frame: false,
            data: false,
            pause: None,
            stall: Head::default(),
            seek: None,
            seek_from: Head::default(),
            since_resume: None,
            switching: None,
            filling: Filling::default(),
            told: Told::default(),
            entered: Activity::Init,
            facts: None,
        }
    }

    /// A session whose earlier part is reported already: what is told first is where it starts from.
    pub(super) fn reopen(id: SessionId, now: Millis, open: Open) -> Self {
        Self { counting: Counting::from_next(), ..Self::open(id, now, open) }
    }

    /// Keeps what happens from now on for [`Session::drain_facts`].
    pub(super) fn keep_facts(&mut self) {
        self.facts.get_or_insert_with(Vec::new);
    }

    pub(super) fn forget_facts(&mut self) {
        self.facts = None;
    }

    /// What has happened since the last time; what it was kept in is kept for what comes.
    pub(super) fn drain_facts(&mut self) -> impl Iterator<Item = (Millis, Fact)> + '_ {
        self.facts.iter_mut().flat_map(|facts| facts.drain(..))
    }

    /// Whether the event makes sense now.
    pub(super) fn check(&self, event: &SessionEvent) -> Result<(), Reject> {
        match event {
            SessionEvent::Ad(ad) => self.ads.check(ad),
            SessionEvent::Dimensions(new) => self.told.check(new),
            _ => Ok(()),
        }
    }

    pub(super) fn handle_event(&mut self, at: Millis, event: SessionEvent) {
        self.settle_with(at, event.position().filter(|_| self.seek.is_none()));
        match event {
            SessionEvent::Open(_) | SessionEvent::Close(_) => {}
            SessionEvent::Resume(totals) => self.resume(totals),
            SessionEvent::State(state) => self.set_state(state),
            SessionEvent::FirstFrame => self.join(),
            SessionEvent::Counters(counters) => self.count(counters),
            SessionEvent::Seek(seek) => self.seek(seek),
            SessionEvent::Bitrate(bitrate) => self.switch(bitrate),
            SessionEvent::Buffering(buffering) => self.wait(buffering.percent < 100),
            SessionEvent::Error(error) => self.fail(error),
            SessionEvent::Tags(tags) => {
                self.tags.update(tags);
                self.tell_with(|this| Fact::Tags(Box::new(this.tags.clone())));
            }
            SessionEvent::Ad(ad) => self.ad(*ad),
            SessionEvent::Switching(switching) => self.switching = Some((self.settled, switching)),
            SessionEvent::Share(share) => self.tell_with(|_| Fact::Shared(share.key)),
            SessionEvent::ServerSwitch(switch) => {
                self.tell_with(|this| Fact::ServerSwitched {
                    switch: Box::new(switch),
                    head: this.playhead.now(),
                });
            }
            SessionEvent::Asset(_)
            | SessionEvent::Dimensions(_)
            | SessionEvent::Delivery(_)
            | SessionEvent::Measures(_)
            | SessionEvent::Window(_) => {
                if let Some(fact) = self.told.update(event) {
                    self.tell_with(|_| fact);
                }
            }
        }
        self.enter();
    }

    /// The box slept for a while: what was to play has paused.
    pub(super) fn sleep(&mut self, sleep: &Sleep) {
        if self.settled >= sleep.to {
            return;
        }
        self.settle(sleep.from);
        let pauses =
            self.state == Some(PlayerState::Playing) && self.first_frame.is_some() && !self.ads.any();
        if pauses {
            self.set_state(PlayerState::Paused);
            self.enter();
        }
        self.settle(sleep.to);
        if pauses {
            self.set_state(PlayerState::Playing);
            self.enter();
        }
    }

    pub(super) fn close(&mut self, at: Millis, reason: CloseReason) -> Snapshot {
        self.settle(at);
        let at = self.settled;
        if self.facts.is_some() {
            let status = if reason == CloseReason::Error { AdStatus::Error } else { AdStatus::AppClosed };
            let mut facts = Vec::new();
            self.ads.end(at, status, &mut |fact| facts.push(fact));
            facts.into_iter().for_each(|fact| self.tell_with(|_| fact));
        }
        let snapshot = Snapshot { closed: Some(reason), ..self.snapshot(at) };
        self.tell_with(|_| Fact::Closed { reason, snapshot: Box::new(snapshot.clone()) });
        snapshot
    }

    fn tell_with(&mut self, fact: impl FnOnce(&Self) -> Fact) {
        if self.facts.is_some() {
            let entry = (self.settled, fact(self));
            self.facts.get_or_insert_with(Vec::new).push(entry);
        }
    }

    /// Puts the time since the last event where it belongs. Time told backwards counts as no time.
    pub(super) fn settle(&mut self, at: Millis) {
        self.settle_with(at, None);
    }

    fn settle_with(&mut self, at: Millis, position: Option<Head>) {
        let elapsed = at.since(self.settled);
        let phase = self.phase();
        let activity = self.activity();
        let from = self.settled;
        self.totals.spend(phase, elapsed);
        self.settled = self.settled.max(at);
        let motion = self.playhead.go(elapsed, phase == Phase::Playing, position);
        if phase == Phase::Playing {
            self.since_resume = self.since_resume.map(|since| since + elapsed).filter(|t| *t <= RESUME_GRACE);
        }
        if elapsed.0 == 0 || self.facts.is_none() {
            return;
        }
        let anchor = match activity {
            Activity::Paused => self.pause.map_or(motion.from, |mark| mark.head),
            Activity::Rebuffering | Activity::ResumeBuffering => self.stall,
            Activity::Seeking | Activity::SeekBuffering => self.seek_from,
            _ => motion.from,
        };
        let span = Span {
            from,
            to: self.settled,
            activity,
            head_from: motion.from,
            head_to: motion.to,
            anchor,
            paused_for_ad: phase == Phase::Ad && self.paused_for_ad,
            loading_ad: activity == Activity::AdLoading && self.ads.any(),
            full_screen: self.told.window.full_screen.unwrap_or_default(),
            joined: self.first_frame.is_some(),
            gauges: self.gauges(),
        };
        self.tell_with(|_| Fact::Span(span));
    }

    /// What becomes true by itself once an event has been taken.
    fn enter(&mut self) {
        if self.first_frame.is_some() && self.state == Some(PlayerState::Playing) && self.waiting.is_none() {
            self.totals.started = true;
        }
        if self.phase() == Phase::Rebuffering {
            let from_pause = self.since_resume.is_some();
            if let Some(Waiting::Stall { counted: counted @ false, resume }) = &mut self.waiting {
                *counted = true;
                *resume = from_pause;
                self.totals.rebuffers = self.totals.rebuffers.saturating_add(1);
                self.stall = self.playhead.now();
                self.tell_with(|this| Fact::StallBegan { head: this.stall, resume: from_pause });
            }
        }
        let activity = self.activity();
        if std::mem::replace(&mut self.entered, activity) != activity {
            self.tell_with(|_| Fact::Entered(activity));
        }
    }
}

impl SessionEvent {
    /// Where the playhead is when this happens, where the message tells it.
    fn position(&self) -> Option<Head> {
        match self {
            Self::Counters(counters) => counters.position,
            Self::Seek(Seek { phase: SeekPhase::Start, from, .. }) => *from,
            _ => None,
        }
        .map(Head::from_ms)
    }
}
