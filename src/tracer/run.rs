//! One run of one pipeline: the elements that count for it, and what was told of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;
use gstreamer::glib;
use stbeacon_core::player::{Counters, PlayerState, SessionEvent, SessionId};
use stbeacon_core::time::Millis;

use crate::clock;
use crate::tally::Tally;
use crate::watch::{Kind, Medium, Watch};

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
    /// Length of the stream in ms.
    pub(crate) duration: Option<u64>,
    /// Whether the length is to be asked for, and how many ticks until then.
    pub(crate) ask_duration: AskDuration,
    held: Vec<Held>,
    /// What elements that are gone had counted for this session.
    folded: Tally,
    /// The totals last told: none of them ever falls.
    told: Tally,
    joined: bool,
    pace: Option<(Millis, u64)>,
}

/// One element's part in the session.
#[derive(Debug)]
struct Held {
    watch: Arc<Watch>,
    /// What it had counted before the session.
    base: Tally,
}

/// When to ask for the stream's length next: soon, then ever more rarely, since not every stream has one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AskDuration {
    left: u32,
    every: u32,
}

impl Run {
    pub(crate) fn new(
        id: SessionId,
        pipeline: glib::WeakRef<gst::Pipeline>,
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
            duration: None,
            ask_duration: AskDuration::soon(),
            held: Vec::new(),
            folded: Tally::default(),
            told: Tally::default(),
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

    /// The elements that count.
    pub(crate) fn watches(&self) -> Vec<Arc<Watch>> {
        self.held.iter().map(|held| Arc::clone(&held.watch)).collect()
    }

    /// One more element counts from now on.
    pub(crate) fn hold(&mut self, watch: Arc<Watch>) {
        if self.held.iter().any(|held| Arc::ptr_eq(&held.watch, &watch)) {
            return;
        }
        if let Kind::Sink(sink) = watch.kind() {
            sink.arm();
        }
        let base = watch.tally();
        self.held.push(Held { watch, base });
    }

    /// Counts from zero again, with the elements there are.
    pub(crate) fn restart(&mut self) {
        for held in &mut self.held {
            held.base = held.watch.tally();
        }
        self.folded = Tally::default();
        self.told = Tally::default();
        self.pace = None;
    }

    /// What the probes saw: each event with its time, oldest first.
    pub(crate) fn harvest(&mut self) -> Vec<(Millis, SessionEvent)> {
        let mut events = Vec::new();
        if let Some(at) = self.first_frame() {
            self.joined = true;
            events.push((clock::to_boottime(at), SessionEvent::FirstFrame));
        }
        events
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
                Kind::Input(_) => false,
            })
        };
        first(Medium::Video).or_else(|| first(Medium::Audio).filter(|_| !pictures()))
    }

    /// Totals as they stand, never less than what was told before.
    pub(crate) fn count(&mut self, now: Millis) -> Counters {
        let mut sum = self.folded;
        for held in &self.held {
            sum = sum.plus(held.watch.tally().since(held.base));
        }
        self.told = sum.at_least(self.told);
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
        Counters {
            position: self.position(),
            duration: self.duration,
            fps: self.fps(now),
            ..self.told.counters()
        }
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

    fn position(&self) -> Option<u64> {
        let of = |medium| {
            self.sinks().filter(|sink| sink.medium() == Some(medium)).find_map(|sink| sink.position())
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

// === impl AskDuration ===

impl AskDuration {
    /// Asks at the next tick.
    pub(crate) const fn soon() -> Self {
        Self { left: 0, every: 1 }
    }

    /// Whether this tick is one to ask at.
    pub(crate) const fn is_due(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return false;
        }
        self.left = self.every;
        if self.every < 120 {
            self.every *= 2;
        }
        true
    }
}
