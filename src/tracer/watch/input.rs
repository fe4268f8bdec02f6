//! Where the stream enters a demuxer, or a transport-stream parser.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::guard::guard;
use crate::tally::Tally;

/// Counters of one entrance.
#[derive(Debug)]
pub(crate) struct Input {
    demuxes: bool,
    adaptive: bool,
    bytes: AtomicU64,
}

impl Input {
    /// `demuxes`: it is a demuxer, not a parser; `adaptive`: what enters are playlists, not the stream.
    pub(crate) const fn new(demuxes: bool, adaptive: bool) -> Self {
        Self { demuxes, adaptive, bytes: AtomicU64::new(0) }
    }

    pub(super) fn install(self: &Arc<Self>, element: &gst::Element) {
        if self.adaptive || !self.demuxes {
            return;
        }
        let Some(pad) = element.static_pad("sink") else { return };
        let input = Arc::clone(self);
        let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        pad.add_probe(mask, move |_, info| {
            guard(gst::PadProbeReturn::Remove, || {
                match &info.data {
                    Some(gst::PadProbeData::Buffer(buffer)) => input.enter(buffer),
                    Some(gst::PadProbeData::BufferList(list)) => list.iter().for_each(|b| input.enter(b)),
                    _ => {}
                }
                gst::PadProbeReturn::Ok
            })
        });
    }

    pub(super) fn tally(&self) -> Tally {
        Tally { demuxed: self.bytes.load(Ordering::Relaxed), ..Tally::default() }
    }

    fn enter(&self, buffer: &gst::BufferRef) {
        self.bytes.fetch_add(buffer.size() as u64, Ordering::Relaxed);
    }
}
