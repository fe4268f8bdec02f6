//! One run of one pipeline: the elements that count for it, and what was told of it.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;
use gstreamer::glib;
use stbeacon_core::player::{
    Buffering, Counters, PlayerState, Seek, SeekPhase, SessionEvent, SessionId, TsView,
};
use stbeacon_core::time::Millis;

use crate::clock;
use crate::said::{AskDuration, Said};
use crate::tally::{Gauges, Tally};
use crate::watch::{Kind, Medium, Watch};

/// A stall is at least this long without a frame, and this many frames long.
const SHORTEST_STALL: Millis = Millis(400);
const STALL_FRAMES: u64 = 5;

/// A stall where nobody knows how long a frame is.
const UNTIMED_STALL: Millis = Millis(3_000);

/// A seek that has flushed nothing by then was refused.
const SEEK_PATIENCE: Millis = Millis(2_000);

/// Counters on their way to a daemon that does not read them in time: at one a second, more than its socket holds.
const MAX_HISTORY: usize = 64;

/// A session's side of the tracer.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: SessionId,
    /// Tells this run from an earlier or later one of the same pipeline.
    pub(crate) serial: u64,
    pub(crate) pipeline: glib::WeakRef<gst::Pipeline>,
    /// The user-visible state last told.
    pub(crate) state: Option<PlayerState>,
    /// The close message is out.
    pub(crate) ended: bool,
    /// An error reached the application.
    pub(crate) failed: bool,
    /// What it plays.
    pub(crate) url: String,
    /// Another stream may have taken its place at this time: its URL is to be asked for.
    pub(crate) restarted: Option<Millis>,
    /// Whether a stream has begun.
    pub(crate) streams: bool,
    /// What was told of tags, bit rate, errors.
    pub(crate) said: Said,
    /// Why it waits, if it does.
    pub(crate) wait: Wait,
    /// Length of the stream in ms.
    pub(crate) duration: Option<u64>,
    /// What is buffered ahead of the playhead, in ms.
    pub(crate) buffer: Option<u64>,
    /// Whether the length is to be asked for, and how many ticks until then.
    pub(crate) ask_duration: AskDuration,
    held: Vec<Held>,
    /// What elements that are gone had counted for this session.
    folded: Tally,
    /// The totals last told: none of them ever falls.
    told: Tally,
    /// The newest that were told.
    history: VecDeque<Told>,
    /// Of these, what an earlier session of the same run has reported.
    reported: Tally,
    /// The worst of the session, and what is now.
    gauges: Gauges,
    joined: bool,
    pace: Option<(Millis, u64)>,
}

/// Totals at a time, and what the gauges showed since those before.
#[derive(Debug, Clone, Copy)]
struct Told {
    at: Millis,
    tally: Tally,
    gauges: Gauges,
}

/// One element's part in the session.
#[derive(Debug)]
struct Held {
    watch: Arc<Watch>,
    /// What it had counted before the session.
    base: Tally,
}

/// Why the picture stands still, apart from the user's wish.
#[derive(Debug, Clone)]
pub(crate) struct Wait {
    /// The player's buffer, in percent; below 100 it waits.
    pub(crate) percent: u8,
    /// When the level was last told.
    pub(crate) told: Millis,
    /// A stall that no buffer announced was told.
    pub(crate) stalled: bool,
    /// A seek is under way.
    pub(crate) seek: Option<SeekUnderWay>,
    /// The application paused while it waited for data: it may mean to go on by itself.
    pub(crate) paused: bool,
    /// When the buffer was full again, or play began.
    pub(crate) played: Millis,
}

/// A seek that was told to have started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SeekUnderWay {
    pub(crate) seqnum: u32,
    /// When it was asked for, boot time.
    pub(crate) at: Millis,
    /// The same, monotonic.
    pub(crate) since: Millis,
    pub(crate) told: Seek,
}

impl Run {
    pub(crate) fn new(
        id: SessionId,
        pipeline: glib::WeakRef<gst::Pipeline>,
        url: String,
        watches: Vec<Arc<Watch>>,
    ) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let mut run = Self {
            id,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            pipeline,
            state: None,
            ended: false,
            failed: false,
            url,
            restarted: None,
            streams: false,
            said: Said::default(),
            wait: Wait::default(),
            duration: None,
            buffer: None,
            ask_duration: AskDuration::soon(),
            held: Vec::new(),
            folded: Tally::default(),
            told: Tally::default(),
            history: VecDeque::new(),
            reported: Tally::default(),
            gauges: Gauges::default(),
            joined: false,
            pace: None,
        };
        for watch in watches {
            run.hold(watch);
        }
        run
    }

    /// Whether counters are due on every tick.
    pub(crate) fn counts(&self) -> bool {
        !self.ended && self.state != Some(PlayerState::Paused)
    }

    /// The sink whose frames are the stream's; of several, the one that moves.
    pub(crate) fn lead(&self) -> Option<Arc<Watch>> {
        let sinks = self.held.iter().filter_map(|held| match held.watch.kind() {
            Kind::Sink(sink) => Some((sink.medium()? == Medium::Video, sink.activity()?.0, &held.watch)),
            _ => None,
        });
        let lead = sinks.max_by_key(|(pictures, seen, _)| (*pictures, *seen));
        lead.map(|(_, _, watch)| Arc::clone(watch))
    }

    /// The elements that count.
    pub(crate) fn watches(&self) -> Vec<Arc<Watch>> {
        self.held.iter().map(|held| Arc::clone(&held.watch)).collect()
    }

    /// One more element counts from now on.
    pub(crate) fn hold(&mut self, watch: Arc<Watch>) {
        if self.held.iter().any(|held| Arc::ptr_eq(&held.watch, &watch)) {
            return;
        }
        match watch.kind() {
            Kind::Sink(sink) => sink.arm(),
            // What they showed before is no business of this session.
            Kind::Rtp(rtp) => drop(rtp.take_gauges()),
            Kind::Decoder(_) | Kind::Input(_) => {}
        }
        let base = watch.tally();
        self.held.push(Held { watch, base });
    }

    /// Goes on as another session: the elements stay, what they have counted belongs to the one before.
    pub(crate) fn succeed(mut self, id: SessionId, url: String) -> Self {
        let watches = self.watches();
        let pipeline = std::mem::take(&mut self.pipeline);
        let mut next = Self::new(id, pipeline, url, watches);
        next.streams = self.streams;
        next.wait.percent = self.wait.percent;
        next
    }

    /// Counts from zero again. Zero is what was told up to `counted`, the last that the daemon read before it closed its
    /// books; not what was told since, nor what the elements have counted by now: that is in no report yet.
    pub(crate) fn restart(&mut self, counted: Millis) {
        let read = self.history.iter().rfind(|told| told.at <= counted);
        // Where not even the oldest was read, and none went before it, nothing was.
        let forgotten = self.history.front().filter(|_| self.history.len() >= MAX_HISTORY);
        if let Some(Told { at, tally, .. }) = read.or(forgotten).copied() {
            self.reported = tally;
            let unread = self.history.iter().filter(|told| told.at > at).map(|told| told.gauges);
            self.gauges = unread.fold(Gauges::default(), Gauges::worse);
        }
    }

    /// What the probes saw: each event with its time, oldest first.
    pub(crate) fn harvest(&mut self, now: Millis) -> Vec<(Millis, SessionEvent)> {
        let mut events = Vec::new();
        if let Some(at) = self.first_frame() {
            self.joined = true;
            events.push((clock::to_boottime(at), SessionEvent::FirstFrame));
        }
        if let Some(seek) = self.wait.seek {
            let done = self.leading().filter_map(|sink| sink.landed(seek.seqnum, seek.since)).min();
            // A seek that was refused, or that a live stream ignores, has no first frame of its own.
            let given_up = now.since(seek.at) > SEEK_PATIENCE
                && self.leading().any(|sink| {
                    sink.activity()
                        .is_some_and(|(seen, _)| clock::to_boottime(seen) > seek.at + SEEK_PATIENCE)
                });
            if done.is_some() || given_up {
                self.wait.seek = None;
                let at = done.map_or(now, clock::to_boottime);
                events.push((at, SessionEvent::Seek(Seek { phase: SeekPhase::End, ..seek.told })));
            }
        }
        if self.wait.stalled {
            if let Some(at) = self.leading().filter_map(|sink| sink.resumed()).min() {
                self.wait.stalled = false;
                events.push((clock::to_boottime(at), SessionEvent::Buffering(Buffering { percent: 100 })));
            }
        }
        events.sort_by_key(|(at, _)| *at);
        events
    }

    /// Since when no frame has come where one should have, if so; boot time.
    pub(crate) fn stall(&mut self, now: Millis) -> Option<Millis> {
        let idle = self.state != Some(PlayerState::Playing) || self.ended || !self.joined;
        if idle || self.wait.stalled || self.wait.percent < 100 || self.wait.seek.is_some() {
            return None;
        }
        // The pictures decide; one of several windows that moves is enough.
        let (seen, step) = self.leading().filter_map(|sink| sink.activity()).max_by_key(|(seen, _)| *seen)?;
        let seen = clock::to_boottime(seen);
        // Slow motion and slide shows have long frames, which is not to be known before two have come.
        let patience =
            step.map_or(UNTIMED_STALL, |step| Millis(step.saturating_mul(STALL_FRAMES)).max(SHORTEST_STALL));
        // After a pause the first frame is given as much time again.
        let since = seen.max(self.wait.played);
        if now.since(since) <= patience {
            return None;
        }
        self.wait.stalled = true;
        self.leading().for_each(|sink| sink.set_stalled());
        Some(since + Millis(step.unwrap_or(0)))
    }

    /// The sinks whose frames are the stream's frames: of pictures, or of sound where there are none.
    fn leading(&self) -> impl Iterator<Item = &Arc<crate::watch::Sink>> {
        let pictures =
            self.sinks().any(|sink| sink.medium() == Some(Medium::Video) && sink.activity().is_some());
        let medium = if pictures { Medium::Video } else { Medium::Audio };
        self.sinks().filter(move |sink| sink.medium() == Some(medium))
    }

    /// The monotonic time of the first picture; of the first sound where there is no picture to come.
    fn first_frame(&self) -> Option<Millis> {
        if self.joined {
            return None;
        }
        let first = |medium| {
            self.sinks().filter(|sink| sink.medium() == Some(medium)).filter_map(|sink| sink.first()).min()
        };
        let pictures = || {
            self.held.iter().any(|held| match held.watch.kind() {
                Kind::Decoder(decoder) => decoder.medium() == Medium::Video,
                Kind::Sink(sink) => sink.medium() == Some(Medium::Video),
                Kind::Input(_) | Kind::Rtp(_) => false,
            })
        };
        first(Medium::Video).or_else(|| first(Medium::Audio).filter(|_| !pictures()))
    }

    /// Totals as they stand, never less than what was told before.
    pub(crate) fn count(&mut self, now: Millis) -> Counters {
        // First the gauges: what they show has come with packets, and those are in the totals then.
        let gauges = self.held.iter().filter_map(|held| match held.watch.kind() {
            Kind::Rtp(rtp) => Some(rtp.take_gauges()),
            _ => None,
        });
        let gauges = gauges.fold(Gauges::default(), Gauges::worse);
        self.gauges = Gauges { jitter: gauges.jitter, ..self.gauges.worse(gauges) };
        let mut sum = self.folded;
        for held in &self.held {
            sum = sum.plus(held.watch.tally().since(held.base));
        }
        let tally = sum.at_least(self.told);
        if tally != self.told {
            if self.history.len() >= MAX_HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(Told { at: now, tally, gauges });
        }
        self.told = tally;
        // What is gone counts no more; its totals stay. Without this each switch of a variant would leave a
        // decoder behind.
        let folded = &mut self.folded;
        self.held.retain(|held| {
            let gone = held.watch.is_gone();
            if gone {
                *folded = folded.plus(held.watch.tally().since(held.base));
            }
            !gone
        });
        let mut counters = self.told.since(self.reported).counters(self.gauges);
        if counters.ts == TsView::None && self.hides_ts() {
            counters.ts = TsView::Unavailable;
        }
        Counters {
            position: self.position(),
            duration: self.duration,
            buffer: self.buffer,
            fps: self.fps(now),
            ..counters
        }
    }

    /// Whether a transport stream is taken apart where nobody can look at it.
    fn hides_ts(&self) -> bool {
        self.held.iter().any(|held| match held.watch.kind() {
            Kind::Sink(sink) => sink.demuxes(),
            Kind::Input(input) => input.hides_ts(),
            Kind::Decoder(_) | Kind::Rtp(_) => false,
        })
    }

    /// The bit rate of what has been played so far, measured at the decoders, in bit/s; `None` until enough has.
    pub(crate) fn measured_bitrate(&self) -> Option<u64> {
        const ENOUGH_MS: u64 = 500;
        let played = self.position().filter(|ms| *ms >= ENOUGH_MS)?;
        let fed: u64 = self.held.iter().map(|held| held.watch.tally().since(held.base).fed).sum();
        (fed > 0).then(|| fed.saturating_mul(8 * 1000) / played)
    }

    fn fps(&mut self, now: Millis) -> Option<f64> {
        if !self.sinks().any(|sink| sink.medium() == Some(Medium::Video)) {
            return None;
        }
        let rendered = self.told.rendered;
        let (since, before) = self.pace.replace((now, rendered))?;
        let elapsed = now.since(since).0;
        if elapsed == 0 || self.state != Some(PlayerState::Playing) {
            return None;
        }
        let frames = u32::try_from(rendered - before.min(rendered)).ok()?;
        let elapsed = u32::try_from(elapsed).ok()?;
        Some((f64::from(frames) * 1000.0 / f64::from(elapsed) * 100.0).round() / 100.0)
    }

    /// Where the playhead is, in ms.
    pub(crate) fn position(&self) -> Option<u64> {
        // Of several, the one that moves: another may have been taken out, or have come to its end.
        let of = |medium| {
            let sinks = self.sinks().filter(|sink| sink.medium() == Some(medium));
            sinks.filter_map(|sink| Some((sink.seen(), sink.position()?))).max().map(|(_, position)| position)
        };
        of(Medium::Video).or_else(|| of(Medium::Audio))
    }

    fn sinks(&self) -> impl Iterator<Item = &Arc<crate::watch::Sink>> {
        self.held.iter().filter_map(|held| match held.watch.kind() {
            Kind::Sink(sink) => Some(sink),
            _ => None,
        })
    }
}

// === impl Wait ===

impl Default for Wait {
    fn default() -> Self {
        Self { percent: 100, told: Millis(0), stalled: false, seek: None, paused: false, played: Millis(0) }
    }
}
