//! How much is buffered ahead of the playhead, asked when counters are due; no streaming thread takes part.
//!
//! What a sink will show next waits in the queues on the way to it: each is asked how long what it holds lasts, one
//! after the other from the sink up. A file that is downloaded as it plays is asked how far it has got.

use gstreamer as gst;
use gstreamer::prelude::*;
use stbeacon_core::elements::Rule;

use super::Medium;
use super::readings::{number, value};
use super::upstream::{MAX_HOPS, has_klass, sink_of, source_of};
use crate::elements;

/// So many ms are held between the stream's source and this sink; `None` where nothing on the way tells.
///
/// `position` and `duration` in ms. Takes references on what is upstream and drops them: no lock of ours may be held.
pub(crate) fn buffered_ahead(
    sink: &gst::Element,
    medium: Medium,
    position: Option<u64>,
    duration: Option<u64>,
) -> Option<u64> {
    let mut level = Level::default();
    level.add(told(sink));
    let mut pad = sink.static_pad("sink")?;
    for _ in 0..MAX_HOPS {
        let Some(source) = source_of(&pad) else { break };
        let Some(element) = source.parent_element() else { break };
        if has_klass(&element, "Adaptive") {
            // Adaptive demuxers of the newer kind hold what they have downloaded themselves.
            level.add(number(&element, adaptive(medium)).map(to_ms));
            break;
        }
        let next = sink_of(&source);
        if let Some(until) = downloaded(&element, duration) {
            // All that is below it was read from there.
            return Some(until.saturating_sub(position?));
        }
        let own = next.as_ref().filter(|pad| element_is(&element, "multiqueue") && has_level(pad));
        level.add(match own {
            Some(pad) => number(pad, LEVEL).map(to_ms),
            None => told(&element),
        });
        let Some(next) = next else { break };
        pad = next;
    }
    level.0
}

/// The property of GStreamer's queues, in ns.
const LEVEL: &str = "current-level-time";

/// Sum of what was told, if anything was.
#[derive(Debug, Default)]
struct Level(Option<u64>);

impl Level {
    fn add(&mut self, ms: Option<u64>) {
        if let Some(ms) = ms {
            *self.0.get_or_insert(0) += ms;
        }
    }
}

/// What an element holds, as the table of elements says; in ms.
fn told(element: &gst::Element) -> Option<u64> {
    let factory = element.factory()?;
    let Rule { buffered, buffered_unit, .. } = elements::rule(&factory.name())?;
    Some(buffered_unit.to_ms(value(element, buffered.as_ref()?)?))
}

/// Until when in the stream what is downloaded lasts, in ms, where an element keeps a file of that.
fn downloaded(element: &gst::Element, duration: Option<u64>) -> Option<u64> {
    let keeps = element_is(element, "downloadbuffer")
        || (element_is(element, "queue2")
            && element.property_value("temp-template").get::<Option<String>>().is_ok_and(|t| t.is_some()));
    if !keeps {
        return None;
    }
    let mut query = gst::query::Buffering::new(gst::Format::Percent);
    if !element.query(&mut query) {
        return None;
    }
    let (_, stop, _) = query.range();
    let gst::GenericFormattedValue::Percent(Some(stop)) = stop else { return None };
    let part = u64::from(stop.ppm());
    Some(duration?.saturating_mul(part) / u64::from(gst::format::Percent::MAX.ppm()))
}

const fn adaptive(medium: Medium) -> &'static str {
    match medium {
        Medium::Video => "current-level-time-video",
        Medium::Audio => "current-level-time-audio",
    }
}

const fn to_ms(ns: u64) -> u64 {
    ns / 1_000_000
}

fn element_is(element: &gst::Element, factory: &str) -> bool {
    element.factory().is_some_and(|f| f.name() == factory)
}

/// GStreamer has it from 1.18 on.
fn has_level(pad: &gst::Pad) -> bool {
    pad.find_property(LEVEL).is_some()
}
