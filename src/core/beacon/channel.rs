//! One channel: which lines there are, and when.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::attempt::Attempt;
use super::identity::{Identity, guid};
use super::visit::Visit;
use super::writer::{Line, Writer};
use crate::line::config::Config;
use crate::line::keys::Event;
use crate::player::{CloseReason, SessionId, VisitPhase};
use crate::session::{Activity, Entry, Fact, Peer, Span};
use crate::time::Millis;

/// How many entries wait for the configuration, in 1.4 MB; with more, what waits is given up.
pub(super) const MAX_WAITING: usize = 4096;

/// How many missed playing lines are made up for; after a longer gap one line tells of all of it.
const MAX_MISSED: u64 = 12;

/// A channel of beacon lines: one configuration, one endpoint. Several may stand side by side.
#[derive(Debug)]
pub struct Channel {
    /// `None` until it is fetched.
    config: Option<Arc<Config>>,
    /// What happened before the configuration was there.
    waiting: VecDeque<Entry>,
    /// See [`Channel::lost`].
    lost: u64,
    attempts: BTreeMap<SessionId, Box<Attempt>>,
    visits: BTreeMap<Peer, Visit>,
    writer: Writer,
}

// === impl Channel ===

impl Channel {
    /// A channel that has no configuration yet: what happens waits for it.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self {
            config: None,
            waiting: VecDeque::new(),
            lost: 0,
            attempts: BTreeMap::new(),
            visits: BTreeMap::new(),
            writer: Writer::new(identity),
        }
    }

    /// Takes a configuration. Attempts that have begun keep the one they began with; one that switches the channel
    /// off ends them without another line. `random` gives 128 random bits at each call.
    pub fn set_config(&mut self, config: Config, random: &mut dyn FnMut() -> u128) {
        if !config.is_active {
            self.attempts.clear();
            self.visits.clear();
        }
        self.config = Some(Arc::new(config));
        for entry in std::mem::take(&mut self.waiting) {
            self.handle_entry(&entry, random);
        }
    }

    /// The configuration in force, once there is one.
    #[must_use]
    pub fn config(&self) -> Option<&Config> {
        self.config.as_deref()
    }

    /// How many values were cut or left out because a line has no room for them.
    #[must_use]
    pub const fn cut(&self) -> u64 {
        self.writer.cut()
    }

    /// How many entries were given up because too many waited for a configuration: of the attempts that they were of
    /// there is no line.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Takes one entry of the journal of all sessions. `random` gives 128 random bits at each call.
    pub fn handle_entry(&mut self, entry: &Entry, random: &mut dyn FnMut() -> u128) {
        let Some(config) = self.config.clone() else {
            if self.waiting.len() >= MAX_WAITING {
                self.lost = self.lost.saturating_add(self.waiting.len() as u64);
                self.waiting.clear();
            }
            self.waiting.push_back(entry.clone());
            return;
        };
        match entry {
            Entry::Session { id, peer, at, fact } => self.handle_fact(&config, id, *peer, *at, fact, random),
            Entry::Visit { peer, at, visit } => {
                self.end_visit(*peer, *at);
                if visit.phase == VisitPhase::Start && config.is_active {
                    let id = visit.id.clone().unwrap_or_else(|| guid(random()));
                    self.visits.insert(*peer, Visit::new(config, id, *at));
                }
            }
            Entry::Gone { peer, at } => self.end_visit(*peer, *at),
        }
    }

    /// Writes the lines that are due at `now`. The books of all sessions have to be settled up to `now` before,
    /// see [`Sessions::settle`](crate::session::Sessions::settle).
    pub fn handle_timeout(&mut self, now: Millis) {
        let is_due = |due: Option<Millis>| due.is_some_and(|due| due <= now);
        // Nothing that is due ends or begins an attempt.
        let mut attempts = std::mem::take(&mut self.attempts);
        for (id, attempt) in &mut attempts {
            while let Some(due) = attempt.due().filter(|due| *due <= now) {
                self.fire(id, attempt, due, now);
            }
        }
        self.attempts = attempts;
        let idle = self.visits.iter().filter(|(_, visit)| is_due(visit.due()));
        let idle: Vec<_> = idle.map(|(peer, _)| *peer).collect();
        for peer in idle {
            let due = self.visits.get(&peer).and_then(Visit::due);
            self.end_visit(peer, due.unwrap_or(now));
        }
    }

    /// When [`Channel::handle_timeout`] next has something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Millis> {
        let attempts = self.attempts.values().flat_map(|attempt| [attempt.due(), end_of_patience(attempt)]);
        attempts.chain(self.visits.values().map(Visit::due)).flatten().min()
    }

    /// The next line to send.
    pub fn poll_line(&mut self) -> Option<Line> {
        self.writer.poll_line()
    }

    /// Takes back a line that has been looked at: its room is used for another one.
    pub fn give_back(&mut self, line: Line) {
        self.writer.give_back(line);
    }

    fn handle_fact(
        &mut self,
        config: &Arc<Config>,
        id: &SessionId,
        peer: Peer,
        at: Millis,
        fact: &Fact,
        random: &mut dyn FnMut() -> u128,
    ) {
        if let Fact::Opened(_) = fact {
            if config.is_active {
                self.open(config, id, peer, at, fact, random);
            }
            return;
        }
        let Some(mut attempt) = self.attempts.remove(id) else { return };
        if let Fact::Asset { switched: true, .. } = fact {
            self.complete(id, &mut attempt, at, "Title.Switched");
            self.attempts.insert(id.clone(), attempt);
            self.switch_title(config, id, at, fact, random);
            return;
        }
        attempt.story.fact(fact);
        match fact {
            Fact::Span(span) => self.spend(id, &mut attempt, *span),
            Fact::Closed { reason, .. } => {
                attempt.figures.fact(at, fact);
                self.close(id, &mut attempt, at, *reason);
                let is_last = !self.attempts.values().any(|other| other.peer == peer);
                if let (true, Some(visit)) = (is_last, self.visits.get_mut(&peer)) {
                    visit.idle = Some(at);
                }
                return;
            }
            fact => {
                attempt.figures.fact(at, fact);
                match fact {
                    Fact::FirstFrame { startup } => self.start(id, &mut attempt, at, *startup),
                    Fact::Resumed { startup, earlier } => {
                        if *earlier {
                            attempt.figures.adopt(at);
                        }
                        if let Some(startup) = startup {
                            self.start(id, &mut attempt, at, *startup);
                        }
                    }
                    Fact::Error(error) if error.fatal => {
                        let code = failure(&error.code, attempt.started.is_some());
                        self.fail(id, &mut attempt, at, &code);
                    }
                    _ => {}
                }
            }
        }
        self.attempts.insert(id.clone(), attempt);
    }

    fn open(
        &mut self,
        config: &Arc<Config>,
        id: &SessionId,
        peer: Peer,
        at: Millis,
        fact: &Fact,
        random: &mut dyn FnMut() -> u128,
    ) {
        let mut attempt = Box::new(Attempt::new(config.clone(), peer, guid(random()), at));
        attempt.story.fact(fact);
        self.enter_visit(config, &mut attempt, at, random);
        self.write(id, &mut attempt, Event::Init, at, "");
        self.attempts.insert(id.clone(), attempt);
    }

    /// Another programme in the same session: another attempt, which has its picture already.
    fn switch_title(
        &mut self,
        config: &Arc<Config>,
        id: &SessionId,
        at: Millis,
        fact: &Fact,
        random: &mut dyn FnMut() -> u128,
    ) {
        let Some(mut attempt) = self.attempts.remove(id) else { return };
        attempt.story.fact(fact);
        attempt.figures.fact(at, fact);
        // Before its first picture nothing of the old title was seen: it is still the same attempt.
        if attempt.over {
            attempt.restart(config.clone(), guid(random()), at);
            self.enter_visit(config, &mut attempt, at, random);
            self.write(id, &mut attempt, Event::Init, at, "");
            if attempt.figures.joined {
                self.start(id, &mut attempt, at, Millis(0));
            }
        }
        self.attempts.insert(id.clone(), attempt);
    }

    fn enter_visit(
        &mut self,
        config: &Arc<Config>,
        attempt: &mut Attempt,
        at: Millis,
        random: &mut dyn FnMut() -> u128,
    ) {
        let visit = self.visits.entry(attempt.peer);
        let visit = visit.or_insert_with(|| Visit::new(config.clone(), guid(random()), at));
        let is_first = visit.attempt();
        (attempt.opens_visit, attempt.story.first_title) = (is_first, is_first);
    }

    fn start(&mut self, id: &SessionId, attempt: &mut Attempt, at: Millis, startup: Millis) {
        attempt.figures.joined = true;
        if attempt.started.is_some() || attempt.over {
            return;
        }
        attempt.story.startup = Some(startup);
        self.write(id, attempt, Event::PlayStart, at, "");
        attempt.started = Some(at);
        attempt.due = Some(at + attempt.config.secondary_log_time);
    }

    /// Lets a stretch of time go by, cut wherever a line is due in it.
    fn spend(&mut self, id: &SessionId, attempt: &mut Attempt, span: Span) {
        let mut rest = span;
        while !attempt.over {
            let patience = patience_within(attempt, &rest);
            let Some(due) = attempt.due().into_iter().chain(patience).min().filter(|due| *due <= rest.to)
            else {
                break;
            };
            match rest.split(due) {
                Some((first, second)) => {
                    attempt.figures.span(&first);
                    rest = second;
                    self.fire(id, attempt, due, rest.to);
                }
                None if due >= rest.to => {
                    attempt.figures.span(&rest);
                    self.fire(id, attempt, due, rest.to);
                    return;
                }
                None => self.fire(id, attempt, due, rest.to),
            }
        }
        attempt.figures.span(&rest);
    }

    /// Writes what is due at `at`, as seen from a later moment.
    fn fire(&mut self, id: &SessionId, attempt: &mut Attempt, at: Millis, now: Millis) {
        if attempt.due.is_some_and(|due| due <= at) {
            self.write(id, attempt, Event::Playing, at, "");
            attempt.due = next_on_grid(attempt, at, now);
        }
        if attempt.beat_due.is_some_and(|due| due <= at) {
            self.write(id, attempt, Event::Heartbeat, at, "");
            let interval = attempt.config.heartbeat_interval;
            let missed = now.since(at).0 / interval.0.max(1);
            let skipped = if missed > MAX_MISSED { missed - 1 } else { 0 };
            attempt.beat_due = Some(at + Millis(interval.0.saturating_mul(skipped + 1)));
        }
        let waits = matches!(attempt.figures.activity, Activity::Rebuffering | Activity::ResumeBuffering);
        let outlier = attempt.config.rebuffer_outlier.0;
        if waits && attempt.figures.stalls.lasting().is_some_and(|lasting| lasting >= outlier) {
            self.fail(id, attempt, at, "Error.Continous.Rebuffer");
        }
    }

    fn close(&mut self, id: &SessionId, attempt: &mut Attempt, at: Millis, reason: CloseReason) {
        let told = attempt.story.error.as_ref().map(|error| error.code.clone());
        if reason == CloseReason::Error {
            let code = failure(&told.unwrap_or_else(|| "unknown".to_owned()), attempt.started.is_some());
            self.fail(id, attempt, at, &code);
        } else if attempt.started.is_none() {
            self.fail(id, attempt, at, "Application.Close.NoStart");
        } else {
            let reason = match reason {
                CloseReason::End => "Play.End.Detected",
                CloseReason::Replaced => "Stream.Switched",
                CloseReason::PlayerGone => "Connection.Closed",
                CloseReason::Stop | CloseReason::AgentStop | CloseReason::Suspended | CloseReason::Error => {
                    "Application.Close"
                }
            };
            self.complete(id, attempt, at, reason);
        }
    }

    /// The attempt ends well, if it began at all.
    fn complete(&mut self, id: &SessionId, attempt: &mut Attempt, at: Millis, reason: &str) {
        if attempt.over || attempt.started.is_none() {
            return;
        }
        self.write(id, attempt, Event::Complete, at, reason);
        self.finish(attempt, false);
    }

    /// The attempt ends badly.
    fn fail(&mut self, id: &SessionId, attempt: &mut Attempt, at: Millis, code: &str) {
        if attempt.over {
            return;
        }
        if attempt.started.is_some() && attempt.figures.line < at {
            self.write(id, attempt, Event::Playing, at, "");
        }
        self.write(id, attempt, Event::Error, at, code);
        self.finish(attempt, true);
    }

    fn finish(&mut self, attempt: &mut Attempt, failed: bool) {
        attempt.over = true;
        (attempt.due, attempt.beat_due) = (None, None);
        if let Some(visit) = self.visits.get_mut(&attempt.peer) {
            visit.end(attempt, failed);
        }
    }

    fn write(&mut self, id: &SessionId, attempt: &mut Attempt, event: Event, at: Millis, reason: &str) {
        let visit = self.visits.get(&attempt.peer).map_or("", |visit| &visit.id);
        self.writer.write(id, attempt, visit, event, at, reason);
    }

    fn end_visit(&mut self, peer: Peer, at: Millis) {
        if let Some(visit) = self.visits.remove(&peer) {
            self.writer.write_visit(&visit, at);
        }
    }
}

/// The next point of the grid that begins with the start line, after `at`.
fn next_on_grid(attempt: &Attempt, at: Millis, now: Millis) -> Option<Millis> {
    let started = attempt.started?;
    let interval = attempt.config.log_interval.0.max(1);
    let point = |n: u64| started + Millis(interval.saturating_mul(n));
    let next = at.since(started).0 / interval + 1;
    // After a gap of many lines one line tells of all but the last interval.
    let last = now.since(started).0 / interval;
    Some(point(if last > next + MAX_MISSED { last } else { next }))
}

/// When a rebuffer that lasts through `span` is too long to go on with, if that is in it.
fn patience_within(attempt: &Attempt, span: &Span) -> Option<Millis> {
    let waits = matches!(span.activity, Activity::Rebuffering | Activity::ResumeBuffering);
    let lasting = attempt.figures.stalls.lasting().unwrap_or_default();
    waits.then(|| span.from + Millis(attempt.config.rebuffer_outlier.0.saturating_sub(lasting)))
}

/// When a rebuffer that lasts now would be too long, if nothing happens until then.
fn end_of_patience(attempt: &Attempt) -> Option<Millis> {
    let lasting = attempt.figures.stalls.lasting().filter(|_| !attempt.over)?;
    let left = attempt.config.rebuffer_outlier.0.saturating_sub(lasting).max(1);
    Some(attempt.figures.settled + Millis(left))
}

/// `ca`: codes that mean that there is no such stream have one name in lines, before anything was shown.
fn failure(code: &str, started: bool) -> String {
    let not_found = ["http-404", "http-410", "gst-resource-error-quark:3"].contains(&code);
    if not_found && !started { "Stream.Not.Found".to_owned() } else { code.to_owned() }
}
