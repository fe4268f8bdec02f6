//! Where the stream enters a demuxer, or a transport-stream parser.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;
use stbeacon_core::ts::{Analyser, Policy};

use super::coverage::Coverage;
use super::passes::Passes;
use super::readings::{Readings, Total};
use super::upstream::{Place, is_ts_parser};
use crate::guard::guard;
use crate::tally::Tally;

/// GST_BUFFER_OFFSET_NONE: a buffer that does not say where it is from.
const OFFSET_NONE: u64 = u64::MAX;

/// Counters of one entrance, shared by its probe and the ticker.
#[derive(Debug)]
pub(crate) struct Input {
    demuxes: bool,
    /// Transport packets enter here.
    parses_ts: bool,
    bytes: AtomicU64,
    packets: AtomicU64,
    discontinuities: AtomicU64,
    lost_packets: AtomicU64,
    fragment_jumps: AtomicU64,
    sync_losses: AtomicU64,
    sync_byte_errors: AtomicU64,
    transport_errors: AtomicU64,
    scrambled_packets: AtomicU64,
    /// Its buffers hold no stream to look at, as the table of elements says.
    hides: bool,
    /// A transport stream went in, and could not be looked at.
    hidden: AtomicBool,
    readings: Option<Readings>,
}

/// What the pad's probe alone knows.
#[derive(Debug, Default)]
struct Entrance {
    /// Found at the first buffer, when all that is upstream is linked.
    place: Option<Place>,
    /// What was read of a stream that is pulled.
    coverage: Coverage,
    /// Where transport packets enter and no element before this one has looked at them.
    packets: Option<Packets>,
}

/// The transport stream as it enters.
#[derive(Debug)]
struct Packets {
    analyser: Analyser,
    passes: Passes,
    /// The stream comes in fragments; where in its fragment the next buffer begins.
    fragment: Option<u64>,
}

impl Input {
    /// `demuxes`: it is a demuxer, not a parser.
    pub(super) fn new(element: &gst::Element, demuxes: bool, readings: Option<Readings>) -> Self {
        let parses_ts = is_ts_parser(element);
        let hides = readings.as_ref().is_some_and(|readings| readings.rule().hidden);
        // Source and demuxer in one: no pad will ever show what it is given.
        let inside = hides && element.static_pad("sink").is_none();
        Self {
            demuxes,
            parses_ts,
            hides,
            hidden: AtomicBool::new(inside),
            readings,
            bytes: AtomicU64::new(0),
            packets: AtomicU64::new(0),
            discontinuities: AtomicU64::new(0),
            lost_packets: AtomicU64::new(0),
            fragment_jumps: AtomicU64::new(0),
            sync_losses: AtomicU64::new(0),
            sync_byte_errors: AtomicU64::new(0),
            transport_errors: AtomicU64::new(0),
            scrambled_packets: AtomicU64::new(0),
        }
    }

    /// Whether a transport stream went in that could not be looked at.
    pub(crate) fn hides_ts(&self) -> bool {
        self.hidden.load(Ordering::Relaxed)
    }

    /// Reads what the table of elements names.
    pub(super) fn read(&self, element: &gst::Element) {
        if let Some(readings) = &self.readings {
            readings.read(element);
        }
    }

    pub(super) fn install(self: &Arc<Self>, element: &gst::Element) {
        let Some(pad) = element.static_pad("sink") else { return };
        let input = Arc::clone(self);
        // Taken by this pad's streaming thread alone, or by a flush while that stands still; never waited for.
        let entrance = Mutex::new(Entrance::default());
        let mask = gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_UPSTREAM
            | gst::PadProbeType::EVENT_FLUSH;
        pad.add_probe(mask, move |pad, info| {
            guard(gst::PadProbeReturn::Remove, || {
                let mut entrance = entrance.lock().unwrap_or_else(PoisonError::into_inner);
                // A demuxer that pulls is told where in the file each buffer is from.
                let offset = info.mask.contains(gst::PadProbeType::PULL).then_some(info.offset);
                match &info.data {
                    Some(gst::PadProbeData::Buffer(buffer)) => {
                        input.enter(&mut entrance, pad, buffer, offset)
                    }
                    Some(gst::PadProbeData::BufferList(list)) => {
                        list.iter().for_each(|buffer| input.enter(&mut entrance, pad, buffer, None));
                    }
                    Some(gst::PadProbeData::Event(event)) => entrance.event(event),
                    _ => {}
                }
                gst::PadProbeReturn::Ok
            })
        });
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            demuxed: self.bytes(),
            packets: self.packets.load(Ordering::Relaxed),
            discontinuities: self.discontinuities.load(Ordering::Relaxed),
            lost_packets: self.lost_packets.load(Ordering::Relaxed),
            fragment_jumps: self.fragment_jumps.load(Ordering::Relaxed),
            sync_losses: self.sync_losses.load(Ordering::Relaxed),
            sync_byte_errors: self.sync_byte_errors.load(Ordering::Relaxed),
            transport_errors: self.transport_errors.load(Ordering::Relaxed),
            scrambled_packets: self.scrambled_packets.load(Ordering::Relaxed),
            ..Tally::default()
        }
    }

    fn bytes(&self) -> u64 {
        let read = self.readings.as_ref().and_then(|readings| readings.totals().bytes);
        read.map_or_else(|| self.bytes.load(Ordering::Relaxed), Total::sum)
    }

    fn enter(&self, entrance: &mut Entrance, pad: &gst::Pad, buffer: &gst::BufferRef, offset: Option<u64>) {
        let place = match entrance.place {
            Some(place) => place,
            None => entrance.arrive(pad, self),
        };
        let size = buffer.size() as u64;
        let new = offset.map_or(size, |offset| entrance.coverage.read(offset, size));
        if self.demuxes && !place.below_demuxer {
            self.bytes.fetch_add(new, Ordering::Relaxed);
        }
        if let Some(packets) = &mut entrance.packets {
            if !packets.enter(buffer, offset) {
                self.hidden.store(true, Ordering::Relaxed);
            }
            let counts = packets.passes.counts(packets.analyser.counts());
            self.packets.store(counts.packets, Ordering::Relaxed);
            self.discontinuities.store(counts.discontinuities, Ordering::Relaxed);
            self.lost_packets.store(counts.lost_packets, Ordering::Relaxed);
            self.fragment_jumps.store(counts.fragment_jumps, Ordering::Relaxed);
            self.sync_losses.store(counts.sync_losses, Ordering::Relaxed);
            self.sync_byte_errors.store(counts.sync_byte_errors, Ordering::Relaxed);
            self.transport_errors.store(counts.transport_errors, Ordering::Relaxed);
            self.scrambled_packets.store(counts.scrambled, Ordering::Relaxed);
        }
    }
}

impl Entrance {
    /// The first buffer: what is upstream is linked now.
    fn arrive(&mut self, pad: &gst::Pad, input: &Input) -> Place {
        let place = Place::of(pad);
        self.place = Some(place);
        // A demuxer of several formats says which one it is given.
        let is_ts = pad
            .current_caps()
            .is_none_or(|caps| caps.structure(0).is_none_or(|format| format.name() == "video/mpegts"));
        if input.parses_ts && is_ts && input.hides {
            input.hidden.store(true, Ordering::Relaxed);
        } else if input.parses_ts && is_ts && !place.below_ts {
            let policy = Policy { segment_reset: place.below_adaptive };
            self.packets = Some(Packets {
                analyser: Analyser::new(policy),
                passes: Passes::default(),
                fragment: place.below_adaptive.then_some(0),
            });
        }
        place
    }

    fn event(&mut self, event: &gst::EventRef) {
        match event.type_() {
            // Downstream in push mode; upstream, from the demuxer itself, in pull mode.
            gst::EventType::FlushStop => {
                self.coverage.reset();
                if let Some(packets) = &mut self.packets {
                    packets.passes.begin(packets.analyser.counts());
                    packets.analyser.reset();
                }
            }
            gst::EventType::Segment | gst::EventType::StreamStart => {
                if let Some(packets) = &mut self.packets {
                    packets.analyser.reset();
                }
            }
            _ => {}
        }
    }
}

impl Packets {
    /// Gives whether the buffer's bytes could be seen.
    fn enter(&mut self, buffer: &gst::BufferRef, offset: Option<u64>) -> bool {
        if let Some(offset) = offset {
            if self.passes.jumps(offset, buffer.size() as u64, self.analyser.counts()) {
                self.analyser.reset();
            }
        } else if let Some(expected) = self.fragment {
            // Adaptive demuxers tell where in its fragment each buffer is from.
            let at = buffer.offset();
            let begins = if at == OFFSET_NONE { buffer.pts().is_some() } else { at != expected };
            self.fragment = Some(at.saturating_add(buffer.size() as u64));
            if buffer.flags().contains(gst::BufferFlags::DISCONT) {
                // Another rendition, or a splice that the playlist announced. Elsewhere the flag says nothing
                // of the kind: after a loss on RTP it marks the very thing that is to be counted.
                self.analyser.reset();
            } else if begins {
                self.analyser.segment_start();
            }
        }
        // One block after the other: mapping the buffer as a whole would copy one that has several.
        let mut seen = true;
        for memory in buffer.iter_memories() {
            // A secure path's memory is no business of the CPU.
            match memory.map_readable() {
                Ok(bytes) => self.analyser.feed(&bytes),
                Err(_) => seen = false,
            }
        }
        seen
    }
}
