//! The few elements that matter, and the probes on their pads.

mod coverage;
mod decoder;
mod flight;
mod input;
mod level;
mod passes;
mod readings;
mod rtp;
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
pub(crate) use self::rtp::Rtp;
pub(crate) use self::sink::{Sink, number_of};

use self::readings::Readings;
use crate::elements;
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
    /// Where packets of an RTP stream arrive.
    Rtp(Arc<Rtp>),
}

impl Watch {
    /// A watch on an element, if it is one that matters.
    pub(crate) fn on(element: &gst::Element) -> Option<Self> {
        let kind = Kind::of(element)?;
        Some(Self { element: element.downgrade(), gone: AtomicBool::new(false), kind })
    }

    /// One on no element.
    #[cfg(test)]
    pub(crate) fn alone(kind: Kind) -> Arc<Self> {
        Arc::new(Self { element: glib::WeakRef::new(), gone: AtomicBool::new(false), kind })
    }

    /// Puts the probes on its pads.
    pub(crate) fn install(&self, element: &gst::Element) {
        match &self.kind {
            Kind::Decoder(decoder) => decoder.install(element),
            Kind::Sink(sink) => sink.install(element),
            Kind::Input(input) => input.install(element),
            Kind::Rtp(rtp) => rtp.install(element),
        }
    }

    pub(crate) const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Reads what the element itself counts. Calls into the element: no lock of ours may be held.
    pub(crate) fn refresh(&self) {
        let Some(element) = self.element.upgrade() else { return };
        match &self.kind {
            Kind::Sink(sink) => sink.read_stats(&element),
            Kind::Decoder(decoder) => decoder.read(&element),
            Kind::Input(input) => input.read(&element),
            Kind::Rtp(_) => {}
        }
    }

    /// What is buffered ahead of this sink, in ms; see [`level::buffered_ahead`]. `None` for what is no sink.
    pub(crate) fn buffered_ahead(&self, position: Option<u64>, duration: Option<u64>) -> Option<u64> {
        let Kind::Sink(sink) = &self.kind else { return None };
        level::buffered_ahead(&self.element.upgrade()?, sink.medium()?, position, duration)
    }

    /// What it has counted since it was made.
    pub(crate) fn tally(&self) -> Tally {
        match &self.kind {
            Kind::Decoder(decoder) => decoder.tally(),
            Kind::Sink(sink) => sink.tally(),
            Kind::Input(input) => input.tally(),
            Kind::Rtp(rtp) => rtp.tally(),
        }
    }

    pub(crate) fn set_gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }
}

/// What an element is to be watched as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Decoder(Medium),
    Sink,
    /// Not only parses: what enters it is the stream whole.
    Demuxer,
    TsParser,
    /// Takes RTP packets in any order, or takes them apart.
    Rtp,
}

impl Kind {
    fn of(element: &gst::Element) -> Option<Self> {
        let role = role_of(element)?;
        let readings = Readings::of(element);
        Some(match role {
            Role::Decoder(medium) => Self::Decoder(Arc::new(Decoder::new(medium, readings))),
            Role::Sink => Self::Sink(Arc::new(Sink::new(readings))),
            Role::Demuxer => Self::Input(Arc::new(Input::new(element, true, readings))),
            Role::Rtp => Self::Rtp(Arc::default()),
            Role::TsParser => Self::Input(Arc::new(Input::new(element, false, readings))),
        })
    }
}

/// What the table of elements says it is, or else its class; `None` where it is of no interest.
fn role_of(element: &gst::Element) -> Option<Role> {
    let factory = element.factory()?;
    let name = factory.name();
    let klass = factory.klass();
    let has = |word: &str| klass.split('/').any(|part| part == word);
    let medium = if has("Video") || has("Image") {
        Some(Medium::Video)
    } else if has("Audio") {
        Some(Medium::Audio)
    } else {
        None
    };
    if let Some(rule) = elements::rule(&name) {
        use stbeacon_core::elements as table;
        let told = rule.medium.map(|medium| match medium {
            table::Medium::Video => Medium::Video,
            table::Medium::Audio => Medium::Audio,
        });
        return match rule.role {
            table::Role::Decoder => told.or(medium).map(Role::Decoder),
            table::Role::Sink => Some(Role::Sink),
            table::Role::Demuxer => Some(Role::Demuxer),
            table::Role::Queue | table::Role::None => None,
        };
    }
    // What is in a bin is watched, not the bin: its pads are ghosts of pads that are seen already.
    if element.is::<gst::Bin>() {
        return None;
    }
    let is_sink = element.element_flags().contains(gst::ElementFlags::SINK);
    // What is written to a file or sent on is not played.
    if is_sink && !has("File") && !has("Network") {
        return Some(Role::Sink);
    }
    if has("Decoder") && !is_sink {
        return medium.map(Role::Decoder);
    }
    // What enters an adaptive demuxer are playlists; the stream enters the demuxers behind it.
    if has("Demuxer") && !has("Adaptive") {
        return Some(Role::Demuxer);
    }
    if name == "rtpjitterbuffer" || has("Depayloader") {
        return Some(Role::Rtp);
    }
    (name == "tsparse").then_some(Role::TsParser)
}
