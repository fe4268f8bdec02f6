//! Where the stream enters a demuxer, or a transport-stream parser.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

use super::coverage::Coverage;
use super::upstream::Place;
use crate::guard::guard;
use crate::tally::Tally;

/// Counters of one entrance, shared by its probe and the ticker.
#[derive(Debug)]
pub(crate) struct Input {
    demuxes: bool,
    bytes: AtomicU64,
}

/// What the pad's probe alone knows.
#[derive(Debug, Default)]
struct Entrance {
    /// Found at the first buffer, when all that is upstream is linked.
    place: Option<Place>,
    /// What was read of a stream that is pulled.
    coverage: Coverage,
}

impl Input {
    /// `demuxes`: it is a demuxer, not a parser.
    pub(crate) const fn new(demuxes: bool) -> Self {
        Self { demuxes, bytes: AtomicU64::new(0) }
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
        Tally { demuxed: self.bytes.load(Ordering::Relaxed), ..Tally::default() }
    }

    fn enter(&self, entrance: &mut Entrance, pad: &gst::Pad, buffer: &gst::BufferRef, offset: Option<u64>) {
        let place = *entrance.place.get_or_insert_with(|| Place::of(pad));
        let size = buffer.size() as u64;
        let new = offset.map_or(size, |offset| entrance.coverage.read(offset, size));
        if self.demuxes && !place.below_demuxer {
            self.bytes.fetch_add(new, Ordering::Relaxed);
        }
    }
}

impl Entrance {
    fn event(&mut self, event: &gst::EventRef) {
        if event.type_() == gst::EventType::FlushStop {
            // Downstream in push mode; upstream, from the demuxer itself, in pull mode.
            self.coverage.reset();
        }
    }
}
