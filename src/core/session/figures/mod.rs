//! One session: where its time went, and what happened in it.

mod asked;
mod filling;

use self::filling::Filling;
use super::Reject;
use super::ads::{Ads, Scene};
use super::counts::Counting;
use super::fact::{Activity, Fact, Head, Span};
use super::head::Playhead;
use super::told::Told;
use super::totals::{MAX_RATES, Phase, Snapshot, Totals};
use crate::player::{
    Ad, AdPhase, AdStatus, Bitrate, CloseReason, Counters, Open, PlayerError, PlayerState, Seek, SeekPhase,
    SessionEvent, SessionId, Switching, Tags,
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

    fn resume(&mut self, totals: Totals) {
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

    fn set_state(&mut self, state: PlayerState) {
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

    fn ad(&mut self, ad: Ad) {
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

    fn join(&mut self) {
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

    fn count(&mut self, counters: Counters) {
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

    fn seek(&mut self, seek: Seek) {
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

    fn switch(&mut self, to: Bitrate) {
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

    fn wait(&mut self, waits: bool) {
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

    fn fail(&mut self, error: PlayerError) {
        self.errors = self.errors.saturating_add(1);
        self.tell_with(|_| Fact::Error(error.clone()));
        let graver = self.error.as_ref().is_none_or(|known| error.fatal || !known.fatal);
        if graver {
            self.error = Some(error);
        }
    }
}

impl Tags {
    fn update(&mut self, new: Self) {
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
