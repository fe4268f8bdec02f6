//! A sink: what reaches it, what it shows, what it drops for lateness.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use stbeacon_core::player::Frames;
use stbeacon_core::time::Millis;

use super::Medium;
use super::readings::{Readings, Total, field, number};
use super::upstream::is_below_decoder;
use crate::guard::{self, guard};
use crate::tally::Tally;
use crate::{clock, pipeline};

/// No presentation time yet.
const NONE: u64 = u64::MAX;

/// Counters of one sink, shared by its probe and the ticker.
#[derive(Debug)]
pub(crate) struct Sink {
    /// What the caps say: raw pictures 1, compressed 2; raw sound 3, compressed 4; a transport stream 5; else 0.
    content: AtomicU8,
    /// Buffers that reached it.
    reached: AtomicU64,
    /// Bytes that reached it while it was given compressed data.
    fed: AtomicU64,
    /// Presentation time in ns of the newest.
    newest: AtomicU64,
    /// Monotonic time in ms at which it came.
    seen: AtomicU64,
    /// The next buffer is a session's first.
    armed: AtomicBool,
    /// Monotonic time in ms of a session's first buffer; 0 until it comes.
    first: AtomicU64,
    /// How far apart the newest two buffers are shown, in ns.
    step: AtomicU64,
    /// Nothing more comes: the track has ended.
    ended: AtomicBool,
    /// A stall was told; the next buffer ends it.
    stalled: AtomicBool,
    /// Monotonic time in ms at which a buffer ended a stall; 0 if none has.
    resumed: AtomicU64,
    landing: Landing,
    segment: Mutex<Option<gst::FormattedSegment<gst::ClockTime>>>,
    stats: Mutex<Stats>,
    /// What the table of elements knows of it.
    readings: Option<Readings>,
}

/// The newest flush or segment, and the buffer after it: how a seek is known to be done.
///
/// The seek event itself is no landmark: the first sink that is given it passes it upstream, and all is flushed
/// before the second sink sees it.
#[derive(Debug, Default)]
struct Landing {
    /// Sequence number of the flush or segment, which is that of the seek that caused it.
    seqnum: AtomicU32,
    /// Monotonic time in ms of the newest flush.
    flushed: AtomicU64,
    /// The next buffer is the first after it.
    awaited: AtomicBool,
    /// Monotonic time in ms of that buffer; 0 until it comes.
    done: AtomicU64,
}

/// The sink's own totals, made to only grow: they fall to zero at a flush and when it is started anew.
#[derive(Debug, Default, Clone, Copy)]
struct Stats {
    known: bool,
    rendered: Total,
    dropped: Total,
}

impl Sink {
    /// `readings`: what the table of elements knows of it.
    pub(super) fn new(readings: Option<Readings>) -> Self {
        Self {
            readings,
            content: AtomicU8::new(0),
            reached: AtomicU64::new(0),
            fed: AtomicU64::new(0),
            newest: AtomicU64::new(NONE),
            seen: AtomicU64::new(0),
            armed: AtomicBool::new(true),
            first: AtomicU64::new(0),
            step: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            resumed: AtomicU64::new(0),
            landing: Landing::default(),
            segment: Mutex::default(),
            stats: Mutex::default(),
        }
    }

    /// The next buffer is the first of a session.
    pub(crate) fn arm(&self) {
        self.first.store(0, Ordering::Relaxed);
        self.armed.store(true, Ordering::Release);
    }

    /// Monotonic time of the session's first buffer.
    pub(crate) fn first(&self) -> Option<Millis> {
        Some(Millis(self.first.load(Ordering::Acquire))).filter(|at| at.0 > 0)
    }

    /// Monotonic time at which the newest buffer came, and how long one is shown, in ms, where that is known.
    /// `None` where none has come or none is to come.
    pub(crate) fn activity(&self) -> Option<(Millis, Option<u64>)> {
        let seen = Some(self.seen.load(Ordering::Relaxed)).filter(|seen| *seen > 0)?;
        if self.ended.load(Ordering::Relaxed) {
            return None;
        }
        let step = Some(self.step.load(Ordering::Relaxed)).filter(|step| *step > 0);
        Some((Millis(seen), step.map(|ns| ns.div_ceil(1_000_000))))
    }

    /// A stall was told: the next buffer ends it.
    pub(crate) fn set_stalled(&self) {
        self.resumed.store(0, Ordering::Relaxed);
        self.stalled.store(true, Ordering::Release);
    }

    /// Monotonic time at which a stall that was told ended.
    pub(crate) fn resumed(&self) -> Option<Millis> {
        Some(Millis(self.resumed.load(Ordering::Acquire))).filter(|at| at.0 > 0)
    }

    /// Monotonic time of the first buffer after the seek of this number that was asked for at `since`.
    pub(crate) fn landed(&self, seqnum: u32, since: Millis) -> Option<Millis> {
        let landing = &self.landing;
        let done = Some(Millis(landing.done.load(Ordering::Acquire))).filter(|at| at.0 > 0)?;
        // Not every element keeps the number; a flush after the seek is taken for its own.
        let flushed = landing.flushed.load(Ordering::Relaxed);
        let is_its_own =
            landing.seqnum.load(Ordering::Relaxed) == seqnum || (flushed >= since.0 && flushed > 0);
        is_its_own.then_some(done)
    }

    /// What it shows, once that is known.
    pub(crate) fn medium(&self) -> Option<Medium> {
        match self.content.load(Ordering::Relaxed) {
            1 | 2 | 5 => Some(Medium::Video),
            3 | 4 => Some(Medium::Audio),
            _ => None,
        }
    }

    /// Whether it takes the transport stream whole: its hardware demultiplexes, out of sight.
    pub(crate) fn demuxes(&self) -> bool {
        self.content.load(Ordering::Relaxed) == 5
    }

    /// Monotonic time in ms at which the newest buffer came; 0 if none has.
    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Where the playhead is, in ms.
    pub(crate) fn position(&self) -> Option<u64> {
        let newest = Some(self.newest.load(Ordering::Relaxed)).filter(|pts| *pts != NONE)?;
        let segment = self.segment.lock().unwrap_or_else(PoisonError::into_inner);
        let time = segment.as_ref()?.to_stream_time(gst::ClockTime::from_nseconds(newest))?;
        Some(time.mseconds())
    }

    /// Reads the sink's own totals.
    ///
    /// GStreamer before 1.18 has no `stats`; QoS messages stand in.
    pub(super) fn read_stats(&self, element: &gst::Element) {
        let structure = || Some((field(element, "stats", "rendered")?, field(element, "stats", "dropped")?));
        // Hardware sinks without that property often have these two.
        let plain = || Some((number(element, "frames-rendered")?, number(element, "frames-dropped")?));
        if let Some((rendered, dropped)) = structure().or_else(plain) {
            let mut stats = self.stats();
            stats.known = true;
            stats.rendered.update(rendered);
            stats.dropped.update(dropped);
        }
        if let Some(readings) = &self.readings {
            readings.read(element);
        }
    }

    /// A QoS message of this sink, where it has no `stats`.
    pub(crate) fn qos(&self, rendered: u64, dropped: u64) {
        if let Some(readings) = &self.readings {
            readings.qos(rendered, dropped);
        }
        let mut stats = self.stats();
        if !stats.known {
            stats.rendered.update(rendered);
            stats.dropped.update(dropped);
        }
    }

    pub(super) fn install(self: &Arc<Self>, element: &gst::Element) {
        let Some(pad) = element.static_pad("sink") else { return };
        if let Some(caps) = pad.current_caps() {
            self.set_caps(&pad, &caps);
        }
        let sink = Arc::clone(self);
        let weak = element.downgrade();
        let mask = gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_UPSTREAM
            | gst::PadProbeType::EVENT_FLUSH;
        pad.add_probe(mask, move |pad, info| {
            guard(gst::PadProbeReturn::Remove, || {
                match &info.data {
                    Some(gst::PadProbeData::Buffer(buffer)) => sink.reach(buffer),
                    Some(gst::PadProbeData::BufferList(list)) => list.iter().for_each(|b| sink.reach(b)),
                    Some(gst::PadProbeData::Event(event)) if event.is_upstream() => {
                        if let gst::EventView::Seek(seek) = event.view() {
                            pipeline::seek(pad, seek);
                        }
                    }
                    Some(gst::PadProbeData::Event(event)) => sink.event(&weak, pad, event),
                    _ => {}
                }
                gst::PadProbeReturn::Ok
            })
        });
    }

    pub(super) fn tally(&self) -> Tally {
        let content = self.content.load(Ordering::Relaxed);
        let reached = self.reached.load(Ordering::Relaxed);
        let stats = *self.stats();
        let read = self.readings.as_ref().map(Readings::totals).unwrap_or_default();
        let dropped = read.dropped.unwrap_or(stats.dropped).sum();
        let rendered = match read.rendered {
            Some(rendered) => rendered.sum(),
            None if stats.known => stats.rendered.sum(),
            None => reached.saturating_sub(dropped),
        };
        let failed = read.failed.map_or(0, Total::sum);
        // Where the decoder is inside, what was shown or came too late had been decoded.
        let inside = if matches!(content, 2 | 4 | 5) { rendered + dropped } else { 0 };
        let decoded = read.decoded.map_or(inside, Total::sum);
        let frames = Frames { decoded, dropped, failed, ..Frames::default() };
        let fed = self.fed.load(Ordering::Relaxed);
        match content {
            1 | 2 | 5 => Tally { video: frames, rendered, fed, ..Tally::default() },
            3 | 4 => Tally { audio: frames, fed, ..Tally::default() },
            _ => Tally::default(),
        }
    }

    fn stats(&self) -> std::sync::MutexGuard<'_, Stats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Under the pad's stream lock, so that nobody else counts meanwhile: a load and a store are enough.
    fn reach(&self, buffer: &gst::BufferRef) {
        let reached = self.reached.load(Ordering::Relaxed) + 1;
        self.reached.store(reached, Ordering::Relaxed);
        guard::panic_on_demand(reached);
        if matches!(self.content.load(Ordering::Relaxed), 2 | 4 | 5) {
            let fed = self.fed.load(Ordering::Relaxed);
            self.fed.store(fed + buffer.size() as u64, Ordering::Relaxed);
        }
        if let Some(pts) = buffer.pts().map(gst::ClockTime::nseconds) {
            let last = self.newest.load(Ordering::Relaxed);
            self.newest.store(pts, Ordering::Relaxed);
            let duration = buffer.duration().map_or(0, gst::ClockTime::nseconds);
            let step = if last == NONE { 0 } else { pts.abs_diff(last) };
            self.step.store(step.max(duration), Ordering::Relaxed);
        }
        let now = clock::monotonic();
        self.seen.store(now.0, Ordering::Relaxed);
        if self.stalled.load(Ordering::Relaxed) && self.stalled.swap(false, Ordering::Acquire) {
            self.resumed.store(now.0.max(1), Ordering::Release);
        }
        let landing = &self.landing;
        if landing.awaited.load(Ordering::Relaxed) && landing.awaited.swap(false, Ordering::Acquire) {
            landing.done.store(now.0.max(1), Ordering::Release);
        }
        if self.armed.load(Ordering::Relaxed) && self.armed.swap(false, Ordering::Acquire) {
            self.first.store(now.0.max(1), Ordering::Release);
        }
    }

    fn event(&self, element: &glib::WeakRef<gst::Element>, pad: &gst::Pad, event: &gst::EventRef) {
        match event.view() {
            gst::EventView::Caps(caps) => self.set_caps(pad, caps.caps()),
            gst::EventView::StreamStart(_) => self.ended.store(false, Ordering::Relaxed),
            gst::EventView::Segment(segment) => {
                // A flush before this has set the totals to zero: seen here, before they grow again.
                self.read(element);
                self.await_landing(event);
                let segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
                self.newest.store(NONE, Ordering::Relaxed);
                *self.segment.lock().unwrap_or_else(PoisonError::into_inner) = segment;
            }
            // A gap in a sparse track is no stall.
            gst::EventView::Gap(_) => self.seen.store(clock::monotonic().0, Ordering::Relaxed),
            // Last look before the sink forgets.
            gst::EventView::FlushStart(_) => self.read(element),
            gst::EventView::FlushStop(_) => {
                self.read(element);
                self.ended.store(false, Ordering::Relaxed);
                self.landing.flushed.store(clock::monotonic().0.max(1), Ordering::Relaxed);
                self.await_landing(event);
            }
            gst::EventView::Eos(_) => {
                self.read(element);
                self.ended.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }

    fn await_landing(&self, event: &gst::EventRef) {
        self.landing.done.store(0, Ordering::Relaxed);
        self.landing.seqnum.store(number_of(event.seqnum()), Ordering::Relaxed);
        self.landing.awaited.store(true, Ordering::Release);
    }

    fn read(&self, element: &glib::WeakRef<gst::Element>) {
        if let Some(element) = element.upgrade() {
            self.read_stats(&element);
        }
    }

    fn set_caps(&self, pad: &gst::Pad, caps: &gst::CapsRef) {
        let name = caps.structure(0).map_or("", |format| format.name().as_str());
        let content = match name.split_once('/') {
            Some(("video", "mpegts")) => 5,
            Some(("video", "x-raw")) => 1,
            Some(("video" | "image", _)) => 2,
            Some(("audio", "x-raw")) => 3,
            Some(("audio", _)) => 4,
            _ => match self.readings.as_ref().and_then(Readings::medium) {
                Some(Medium::Video) => 2,
                Some(Medium::Audio) => 4,
                None => 0,
            },
        };
        // What is not raw may be what a decoder made all the same: a handle that only this sink can use.
        let content = match content {
            2 if is_below_decoder(pad) => 1,
            4 if is_below_decoder(pad) => 3,
            content => content,
        };
        self.content.store(content, Ordering::Relaxed);
    }
}

/// A sequence number as a plain one; never 0.
pub(crate) fn number_of(seqnum: gst::Seqnum) -> u32 {
    use gst::glib::translate::IntoGlib;
    seqnum.into_glib()
}
