//! What lies upstream of a pad.

use gstreamer as gst;
use gstreamer::prelude::*;

use crate::elements;

/// More elements than any chain has; a loop ends here.
pub(super) const MAX_HOPS: usize = 128;

/// Where in a chain an entrance is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// A demuxer that is fed the stream itself comes first: what enters here was counted there.
    pub(super) below_demuxer: bool,
    /// Another element that is watched for transport packets comes first.
    pub(super) below_ts: bool,
    /// The stream comes in fragments from an adaptive demuxer.
    pub(super) below_adaptive: bool,
}

impl Place {
    /// Walks up from a sink pad. Takes and drops references; done once a pad.
    pub(super) fn of(pad: &gst::Pad) -> Self {
        let mut place = Self::default();
        // hlsdemux2 and dashdemux2 are bins with the demuxers of what they download inside.
        let mut above = pad.parent();
        while let Some(object) = above {
            if object.downcast_ref::<gst::Element>().is_some_and(|element| has_klass(element, "Adaptive")) {
                place.below_adaptive = true;
            }
            above = object.parent();
        }
        let mut sink = pad.clone();
        for _ in 0..MAX_HOPS {
            let Some(source) = source_of(&sink) else { break };
            let Some(element) = source.parent_element() else { break };
            if has_klass(&element, "Adaptive") {
                place.below_adaptive = true;
                // What enters that one are playlists.
                break;
            }
            let parses_ts = is_ts_parser(&element);
            place.below_ts |= parses_ts;
            place.below_demuxer |= has_klass(&element, "Demuxer");
            let Some(next) = sink_of(&source) else { break };
            sink = next;
        }
        place
    }
}

/// Whether what enters a pad has left a decoder before.
pub(super) fn is_below_decoder(pad: &gst::Pad) -> bool {
    let mut sink = pad.clone();
    for _ in 0..MAX_HOPS {
        let Some(source) = source_of(&sink) else { return false };
        let Some(element) = source.parent_element() else { return false };
        if decodes(&element) {
            return true;
        }
        let Some(next) = sink_of(&source) else { return false };
        sink = next;
    }
    false
}

/// Whether it is watched as a decoder.
fn decodes(element: &gst::Element) -> bool {
    matches!(super::role_of(element), Some(super::Role::Decoder(_)))
}

/// Whether an element's sink pad is where transport packets are looked at.
pub(super) fn is_ts_parser(element: &gst::Element) -> bool {
    let Some(factory) = element.factory() else { return false };
    let demuxes = factory.klass().split('/').any(|word| word == "Demuxer");
    let role = elements::rule(&factory.name()).map(|rule| rule.role);
    if !demuxes && factory.name() != "tsparse" && role != Some(stbeacon_core::elements::Role::Demuxer) {
        return false;
    }
    factory.static_pad_templates().iter().any(|template| {
        template.direction() == gst::PadDirection::Sink
            && template.caps().iter().any(|format| format.name() == "video/mpegts")
    })
}

/// The real pad that feeds a sink pad, through the walls of bins.
pub(super) fn source_of(sink: &gst::Pad) -> Option<gst::Pad> {
    let mut pad = sink.peer()?;
    for _ in 0..MAX_HOPS {
        if let Some(ghost) = pad.downcast_ref::<gst::GhostPad>() {
            pad = ghost.target()?;
        } else if let Some(ghost) = pad.parent().and_then(|parent| parent.downcast::<gst::GhostPad>().ok()) {
            // The inner side of a bin's sink pad.
            pad = ghost.peer()?;
        } else {
            return Some(pad);
        }
    }
    None
}

/// A sink pad whose data comes out at a source pad.
pub(super) fn sink_of(source: &gst::Pad) -> Option<gst::Pad> {
    source.iterate_internal_links().next().ok().flatten()
}

pub(super) fn has_klass(element: &gst::Element, word: &str) -> bool {
    element.factory().is_some_and(|factory| factory.klass().split('/').any(|part| part == word))
}
