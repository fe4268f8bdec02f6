//! A decoder: what goes in, what comes out, and why the rest does not.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use stbeacon_core::player::Frames;

use super::Medium;
use super::flight::Flight;
use super::readings::{Readings, Total};
use super::slots::{Rule, Slots};
use crate::guard::guard;
use crate::tally::Tally;

/// Counters of one decoder, shared by its probes and the ticker.
#[derive(Debug)]
pub(crate) struct Decoder {
    medium: Medium,
    flight: Flight,
    /// One unit a buffer: only then does `in − out` say anything.
    framed: AtomicBool,
    bytes: AtomicU64,
    corrupted: AtomicU64,
    /// Presentation-time slots that no frame filled.
    empty: AtomicU64,
    late: Mutex<Late>,
    late_total: AtomicU64,
    /// What is to be shown before this time, in ns, is too late, the sink says.
    late_until: AtomicU64,
    /// What the table of elements knows of it.
    readings: Option<Readings>,
}

/// Frames that the decoder gave up for lateness, from the totals in its QoS messages.
#[derive(Debug, Default)]
struct Late {
    dropped: u64,
}

/// What the sink pad's probe alone knows.
#[derive(Debug, Default)]
struct Feeding {
    /// Presentation times in ns that the decoder is to show; others it decodes for reference only.
    start: u64,
    stop: Option<u64>,
}

/// What the source pad's probe alone knows.
#[derive(Debug)]
struct Emerging {
    slots: Slots,
    segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// How long the newest frame is shown, in ns.
    duration: u64,
}

impl Decoder {
    pub(super) fn new(medium: Medium, readings: Option<Readings>) -> Self {
        Self {
            medium,
            readings,
            flight: Flight::default(),
            framed: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            corrupted: AtomicU64::new(0),
            empty: AtomicU64::new(0),
            late: Mutex::default(),
            late_total: AtomicU64::new(0),
            late_until: AtomicU64::new(0),
        }
    }

    pub(crate) const fn medium(&self) -> Medium {
        self.medium
    }

    /// A QoS message of this decoder: `dropped` is its total, `jitter` how late the frame to be shown at `time`
    /// was, both in ns.
    pub(crate) fn qos(&self, dropped: u64, jitter: i64, time: Option<u64>) {
        if let Some(readings) = &self.readings {
            readings.qos(0, dropped);
        }
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        // The total starts anew at a flush. Messages may be lost on the way, so they are never counted.
        let new = if dropped >= late.dropped { dropped - late.dropped } else { dropped };
        late.dropped = dropped;
        self.flight.account(time);
        // Dropped in good time is dropped because it could not be decoded.
        if jitter > 0 {
            self.late_total.fetch_add(new, Ordering::Relaxed);
        }
    }

    /// Reads what the table of elements names.
    pub(super) fn read(&self, element: &gst::Element) {
        if let Some(readings) = &self.readings {
            readings.read(element);
        }
    }

    /// The decoder has posted an error, in the thread that feeds it: what it was given last it cannot decode.
    pub(crate) fn fail(&self) {
        self.flight.fail();
    }

    pub(super) fn install(self: &Arc<Self>, element: &gst::Element) {
        if let Some(pad) = element.static_pad("sink") {
            self.install_sink(element, &pad);
        }
        if let Some(pad) = element.static_pad("src") {
            self.install_src(&pad);
        }
    }

    pub(super) fn tally(&self) -> Tally {
        let read = self.readings.as_ref().map(Readings::totals).unwrap_or_default();
        let late = read.dropped.map_or_else(|| self.late(), Total::sum);
        let corrupted = self.corrupted.load(Ordering::Relaxed);
        // Where it counts itself, what leaves it is no frame, and says nothing of those that do not.
        let counts_itself = read.decoded.is_some();
        let framed = self.framed.load(Ordering::Relaxed) && !counts_itself;
        let missing = if framed { self.flight.missing(late) } else { 0 };
        let decoded = read.decoded.map_or_else(|| self.flight.came(), Total::sum);
        let failed = read.failed.map_or(missing + corrupted, Total::sum);
        // A frame that was dropped or failed leaves an empty slot too; only the others were lost before.
        let empty = if counts_itself { 0 } else { self.empty.load(Ordering::Relaxed) };
        let lost = empty.saturating_sub(late).saturating_sub(missing);
        let frames = Frames { decoded, dropped: late, failed, corrupted, lost };
        let fed = self.bytes.load(Ordering::Relaxed);
        match self.medium {
            Medium::Video => Tally { video: frames, fed, ..Tally::default() },
            Medium::Audio => Tally { audio: frames, fed, ..Tally::default() },
        }
    }

    fn install_sink(self: &Arc<Self>, element: &gst::Element, pad: &gst::Pad) {
        if let Some(caps) = pad.current_caps() {
            self.framed.store(is_framed(&caps), Ordering::Relaxed);
        }
        let decoder = Arc::clone(self);
        // Taken by this pad's streaming thread alone, and so never waited for.
        let feeding = Mutex::new(Feeding::default());
        let weak = element.downgrade();
        let mask = gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_FLUSH;
        pad.add_probe(mask, move |_, info| {
            guard(gst::PadProbeReturn::Remove, || {
                let mut feeding = feeding.lock().unwrap_or_else(PoisonError::into_inner);
                match &info.data {
                    Some(gst::PadProbeData::Buffer(buffer)) => decoder.feed(&feeding, buffer),
                    Some(gst::PadProbeData::BufferList(list)) => {
                        list.iter().for_each(|buffer| decoder.feed(&feeding, buffer));
                    }
                    Some(gst::PadProbeData::Event(event)) => {
                        let kind = event.type_();
                        if decoder.readings.is_some()
                            && matches!(kind, gst::EventType::FlushStart | gst::EventType::Segment)
                        {
                            // Last look before it forgets; and before its new totals pass the old ones.
                            if let Some(element) = weak.upgrade() {
                                decoder.read(&element);
                            }
                        }
                        decoder.event_in(&mut feeding, event);
                    }
                    _ => {}
                }
                gst::PadProbeReturn::Ok
            })
        });
    }

    fn install_src(self: &Arc<Self>, pad: &gst::Pad) {
        let decoder = Arc::clone(self);
        let slots = Slots::new(match self.medium {
            Medium::Video => Rule::Picture,
            Medium::Audio => Rule::Sound,
        });
        // Taken by this pad's streaming thread, and for a few instructions by a QoS event that passes it.
        let emerging = Mutex::new(Emerging { slots, segment: None, duration: 0 });
        let mask = gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_UPSTREAM
            | gst::PadProbeType::EVENT_FLUSH;
        pad.add_probe(mask, move |_, info| {
            guard(gst::PadProbeReturn::Remove, || {
                let mut emerging = emerging.lock().unwrap_or_else(PoisonError::into_inner);
                match &info.data {
                    Some(gst::PadProbeData::Buffer(buffer)) => decoder.emerge(&mut emerging, buffer),
                    Some(gst::PadProbeData::BufferList(list)) => {
                        list.iter().for_each(|buffer| decoder.emerge(&mut emerging, buffer));
                    }
                    Some(gst::PadProbeData::Event(event)) => decoder.event_out(&mut emerging, event),
                    _ => {}
                }
                gst::PadProbeReturn::Ok
            })
        });
    }

    fn feed(&self, feeding: &Feeding, buffer: &gst::BufferRef) {
        self.bytes.fetch_add(buffer.size() as u64, Ordering::Relaxed);
        let pts = buffer.pts().map(gst::ClockTime::nseconds);
        // What is decoded for reference only, after a seek to between two key frames, is not to come out. Nor
        // are headers.
        let outside = pts.is_some_and(|pts| {
            let end = pts.saturating_add(buffer.duration().map_or(0, gst::ClockTime::nseconds));
            (end <= feeding.start && pts < feeding.start) || feeding.stop.is_some_and(|stop| pts >= stop)
        });
        let hidden = gst::BufferFlags::DECODE_ONLY | gst::BufferFlags::GAP;
        let header = self.medium == Medium::Audio && buffer.flags().contains(gst::BufferFlags::HEADER);
        if outside || header || buffer.size() == 0 || buffer.flags().intersects(hidden) {
            return;
        }
        let late_until = self.late_until.load(Ordering::Relaxed);
        let behind = pts.is_some_and(|pts| pts <= late_until && late_until > 0);
        self.flight.feed(pts, behind);
    }

    fn emerge(&self, emerging: &mut Emerging, buffer: &gst::BufferRef) {
        let pts = buffer.pts().map(gst::ClockTime::nseconds);
        let duration = buffer.duration().map(gst::ClockTime::nseconds);
        if buffer.flags().contains(gst::BufferFlags::CORRUPTED) {
            self.corrupted.fetch_add(1, Ordering::Relaxed);
        }
        emerging.duration = duration.unwrap_or(0);
        let empty = emerging.slots.frame(pts, duration);
        if empty > 0 {
            self.empty.fetch_add(empty, Ordering::Relaxed);
        }
        if self.medium == Medium::Audio && self.flight.came() == 0 {
            // Sound often starts with headers and with a frame that only primes the decoder.
            self.flight.excuse_all_but_one();
        }
        self.flight.emerge(pts);
    }

    /// Frames given up for lateness: those the decoder says it dropped, and those it must have skipped.
    fn late(&self) -> u64 {
        let skipped = if self.framed.load(Ordering::Relaxed) { self.flight.skipped() } else { 0 };
        self.late_total.load(Ordering::Relaxed) + skipped
    }

    fn flush(&self) {
        self.late_until.store(0, Ordering::Relaxed);
        self.flight.flush(self.late());
    }

    /// The sink says how late it is; decoders act on it, see the QoS design of GStreamer.
    fn qos_event(&self, emerging: &Emerging, qos: &gst::event::Qos) {
        let (_, _, diff, timestamp) = qos.get();
        let (Some(segment), Some(timestamp)) = (&emerging.segment, timestamp) else { return };
        // As GstVideoDecoder reckons: late by `diff`, by as much again until it has caught up, and by a frame.
        // A codec that was told to skip does so for one more.
        let late = u64::try_from(diff).ok().filter(|late| *late > 0);
        let until = late.and_then(|late| {
            let ahead = late.saturating_mul(2).saturating_add(2 * emerging.duration);
            let earliest = timestamp.nseconds().saturating_add(ahead);
            segment.position_from_running_time(gst::ClockTime::from_nseconds(earliest))
        });
        self.late_until.store(until.map_or(0, gst::ClockTime::nseconds), Ordering::Relaxed);
    }

    fn event_in(&self, feeding: &mut Feeding, event: &gst::EventRef) {
        match event.view() {
            gst::EventView::Caps(caps) => {
                self.framed.store(is_framed(caps.caps()), Ordering::Relaxed);
            }
            gst::EventView::Segment(segment) => {
                let segment = segment.segment();
                let backwards = segment.rate() < 0.0;
                *feeding = Feeding::default();
                if let Some(segment) = segment.downcast_ref::<gst::ClockTime>() {
                    feeding.start = segment.start().map_or(0, gst::ClockTime::nseconds);
                    feeding.stop = segment.stop().map(gst::ClockTime::nseconds);
                }
                self.flight.segment_in(backwards);
            }
            gst::EventView::FlushStop(_) => self.flush(),
            _ => {}
        }
    }

    fn event_out(&self, emerging: &mut Emerging, event: &gst::EventRef) {
        match event.view() {
            gst::EventView::Segment(segment) => {
                emerging.slots.reset();
                emerging.segment = segment.segment().downcast_ref::<gst::ClockTime>().cloned();
                self.flight.segment_out();
            }
            gst::EventView::FlushStop(_) => emerging.slots.reset(),
            gst::EventView::Eos(_) => self.flight.drain(),
            gst::EventView::Qos(qos) => self.qos_event(emerging, qos),
            _ => {}
        }
    }
}

/// Whether each buffer is one frame. Of a stream that is cut anywhere, losses cannot be told by counting.
fn is_framed(caps: &gst::CapsRef) -> bool {
    let Some(format) = caps.structure(0) else { return false };
    let is = |field| format.get::<bool>(field).ok();
    let text = |field| format.get::<&str>(field).ok();
    if is("parsed") == Some(true) || is("framed") == Some(true) {
        return true;
    }
    if is("parsed") == Some(false) || is("framed") == Some(false) {
        return false;
    }
    match format.name().as_str() {
        "video/x-h264" | "video/x-h265" | "video/x-h266" => {
            text("alignment") == Some("au") || text("stream-format").is_some_and(|f| f != "byte-stream")
        }
        "video/mpeg" => format.get::<i32>("mpegversion") == Ok(4),
        "audio/mpeg"
        | "audio/x-ac3"
        | "audio/x-eac3"
        | "audio/x-dts"
        | "audio/ac3"
        | "audio/x-private1-ac3" => text("stream-format") == Some("raw") || format.has_field("codec_data"),
        _ => true,
    }
}
