//! The few elements that matter, and the probes on their pads.

mod coverage;
mod decoder;
mod flight;
mod input;
mod passes;
mod sink;
mod slots;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

pub(crate) use self::decoder::Decoder;
pub(crate) use self::input::Input;
pub(crate) use self::sink::{Sink, number_of};

use crate::tally::Tally;

/// Picture or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Medium {
    /// Picture.
    Video,
    /// Sound.
    Audio,
}

/// One watched element.
#[derive(Debug)]
pub(crate) struct Watch {
    element: glib::WeakRef<gst::Element>,
    gone: AtomicBool,
    kind: Kind,
}

/// What it is watched as.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Compressed in, raw out.
    Decoder(Arc<Decoder>),
    /// Where pictures or sound leave the pipeline.
    Sink(Arc<Sink>),
    /// Where the stream enters a demuxer, or a transport-stream parser.
    Input(Arc<Input>),
}

impl Watch {
    /// A watch on an element, if it is one that matters.
    pub(crate) fn on(element: &gst::Element) -> Option<Self> {
        let kind = Kind::of(element)?;
        Some(Self { element: element.downgrade(), gone: AtomicBool::new(false), kind })
    }

    /// Puts the probes on its pads.
    pub(crate) fn install(&self, element: &gst::Element) {
        match &self.kind {
            Kind::Decoder(decoder) => decoder.install(element),
            Kind::Sink(sink) => sink.install(element),
            Kind::Input(input) => input.install(element),
        }
    }

    pub(crate) const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Reads what the element itself counts. Calls into the element: no lock of ours may be held.
    pub(crate) fn refresh(&self) {
        if let Kind::Sink(sink) = &self.kind {
            if let Some(element) = self.element.upgrade() {
                sink.read_stats(&element);
            }
        }
    }

    /// What it has counted since it was made.
    pub(crate) fn tally(&self) -> Tally {
        match &self.kind {
            Kind::Decoder(decoder) => decoder.tally(),
            Kind::Sink(sink) => sink.tally(),
            Kind::Input(input) => input.tally(),
        }
    }

    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

impl Kind {
    fn of(element: &gst::Element) -> Option<Self> {
        // What is in a bin is watched, not the bin: its pads are ghosts of pads that are seen already.
        if element.is::<gst::Bin>() {
            return None;
        }
        let factory = element.factory()?;
        let klass = factory.klass();
        let has = |word: &str| klass.split('/').any(|part| part == word);
        let is_sink = element.element_flags().contains(gst::ElementFlags::SINK);
        // What is written to a file or sent on is not played.
        if is_sink && !has("File") && !has("Network") {
            return Some(Self::Sink(Arc::default()));
        }
        if has("Decoder") && !is_sink {
            let medium = if has("Video") || has("Image") {
                Medium::Video
            } else if has("Audio") {
                Medium::Audio
            } else {
                return None;
            };
            return Some(Self::Decoder(Arc::new(Decoder::new(medium))));
        }
        // What enters an adaptive demuxer are playlists; the stream enters the demuxers behind it.
        if (has("Demuxer") && !has("Adaptive")) || factory.name() == "tsparse" {
            return Some(Self::Input(Arc::new(Input::new(element, has("Demuxer")))));
        }
        None
    }
}
