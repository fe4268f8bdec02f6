//! What is done at each callback that is not on the hot path.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use stbeacon_core::player::{CloseReason, Open, PlayerError, PlayerState, SessionEvent};
use stbeacon_core::time::Millis;

use crate::clock;
use crate::ffi::error_code::error_code;
use crate::guard::guard;
use crate::process::{self, Process};
use crate::run::Run;
use crate::watch::{Kind, Watch};

/// An element has entered a bin anywhere in the process.
pub(crate) fn element_added(bin: &gst::Bin, element: &gst::Element) {
    let process = process::current();
    let watches = watch_all(process, element);
    if watches.is_empty() {
        return;
    }
    // A decoder that autoplugging adds in mid-play counts from here; what is built beforehand is found when
    // the pipeline starts.
    let Some(pipeline) = toplevel(bin.upcast_ref()) else { return };
    let key = key(&pipeline);
    let mut hub = process.hub();
    if let Some(run) = hub.run(key) {
        for watch in watches {
            run.hold(watch);
        }
    }
}

/// A pipeline that is in no bin is about to change its state.
pub(crate) fn before_change(pipeline: &gst::Pipeline, change: gst::StateChange) {
    match change {
        gst::StateChange::ReadyToPaused => open(pipeline),
        gst::StateChange::PlayingToPaused => {
            // On the way down to READY or NULL this is a stop, not a pause.
            if pipeline.pending_state() <= gst::State::Ready
                && pipeline.pending_state() != gst::State::VoidPending
            {
                return;
            }
            let process = process::current();
            sample(process, pipeline, |hub, now, key| hub.state(now, key, PlayerState::Paused));
        }
        gst::StateChange::PausedToReady | gst::StateChange::ReadyToNull => {
            let process = process::current();
            // Before the sinks hear of it: they forget their totals on the way.
            sample(process, pipeline, |hub, now, key| hub.close(now, key, CloseReason::Stop));
            process.ticker.wake(process);
        }
        _ => {}
    }
}

/// It has changed its state, or `passed` is false.
pub(crate) fn after_change(pipeline: &gst::Pipeline, change: gst::StateChange, passed: bool) {
    if change == gst::StateChange::PausedToPlaying && passed {
        let process = process::current();
        let now = clock::boottime();
        let key = key(pipeline);
        {
            let mut hub = process.hub();
            if let Some(serial) = hub.run(key).map(|run| run.serial) {
                hub.harvest(now, key, serial);
                hub.state(now, key, PlayerState::Playing);
            }
        }
        process.ticker.wake(process);
    }
}

/// It hands a message to the application.
pub(crate) fn message(pipeline: &gst::Pipeline, message: &gst::Message) {
    match message.view() {
        gst::MessageView::Eos(_) => {
            let process = process::current();
            sample(process, pipeline, super::hub::Hub::end);
        }
        gst::MessageView::Error(error) => {
            let cause = error.error();
            let error = PlayerError {
                code: format!("{}:{}", cause.domain().as_str(), error_code(&cause)),
                message: cause.message().to_owned(),
                fatal: true,
            };
            let now = clock::boottime();
            let mut hub = process::current().hub();
            let key = key(pipeline);
            if let Some(run) = hub.run(key) {
                run.failed = true;
                hub.tell(now, now, key, SessionEvent::Error(error));
            }
        }
        gst::MessageView::Qos(qos) => {
            let (Some(source), (jitter, _, _)) = (message.src(), qos.values()) else { return };
            let Some(watch) = process::current().watched(source) else { return };
            let buffers = |value: gst::GenericFormattedValue| match value {
                gst::GenericFormattedValue::Buffers(Some(buffers)) => Some(*buffers),
                _ => None,
            };
            let (processed, dropped) = qos.stats();
            let (Some(processed), Some(dropped)) = (buffers(processed), buffers(dropped)) else { return };
            match watch.kind() {
                Kind::Decoder(decoder) => decoder.qos(dropped, jitter),
                Kind::Sink(sink) => sink.qos(processed, dropped),
                Kind::Input(_) => {}
            }
        }
        gst::MessageView::DurationChanged(_) => {
            let mut hub = process::current().hub();
            if let Some(run) = hub.run(key(pipeline)) {
                run.ask_duration = crate::run::AskDuration::soon();
                run.duration = None;
            }
        }
        _ => {}
    }
}

/// Counters of everything that plays.
pub(crate) fn tick(process: &'static Process) {
    let runs: Vec<_> = {
        let hub = process.hub();
        hub.runs()
            .filter(|(_, run)| run.counts())
            .map(|(key, run)| (key, run.serial, run.pipeline.clone(), run.watches(), run.duration))
            .collect()
    };
    for (key, serial, pipeline, watches, duration) in runs {
        for watch in &watches {
            watch.refresh();
        }
        drop(watches);
        let ask = duration.is_none()
            && process.hub().run(key).is_some_and(|run| run.serial == serial && run.ask_duration.is_due());
        let duration = if ask {
            // Held for the length of one query; the application may let go of it meanwhile.
            pipeline.upgrade().and_then(|p| p.query_duration::<gst::ClockTime>()).map(|d| d.mseconds())
        } else {
            duration
        };
        let now = clock::boottime();
        let mut hub = process.hub();
        if let Some(run) = hub.run(key).filter(|run| run.serial == serial) {
            run.duration = duration;
        }
        hub.harvest(now, key, serial);
        hub.count(now, key, serial);
    }
}

fn open(pipeline: &gst::Pipeline) {
    let process = process::current();
    let Some(id) = process.next_session() else { return };
    let watches = watch_all(process, pipeline.upcast_ref());
    let open = Open { url: url(pipeline).unwrap_or_default(), ..Open::default() };
    let key = key(pipeline);
    let run = Run::new(id, pipeline.downgrade(), watches);
    let serial = run.serial;
    pipeline.add_weak_ref_notify(move || guard((), || gone(key, serial)));
    let now = clock::boottime();
    process.hub().open(now, key, run, now, open);
    process.ticker.wake(process);
}

/// A pipeline was let go of without having been stopped.
fn gone(key: usize, serial: u64) {
    let process = process::current();
    let now = clock::boottime();
    let mut hub = process.hub();
    if hub.run(key).is_some_and(|run| run.serial == serial) {
        hub.harvest(now, key, serial);
        hub.count(now, key, serial);
        hub.close(now, key, CloseReason::Stop);
    }
}

/// Brings the totals up to date and tells them, then does `then` in the same breath.
fn sample(
    process: &'static Process,
    pipeline: &gst::Pipeline,
    then: impl FnOnce(&mut crate::hub::Hub, Millis, usize),
) {
    let key = key(pipeline);
    let Some((serial, watches)) = process.hub().run(key).map(|run| (run.serial, run.watches())) else {
        return;
    };
    for watch in &watches {
        watch.refresh();
    }
    let now = clock::boottime();
    let mut hub = process.hub();
    hub.harvest(now, key, serial);
    hub.count(now, key, serial);
    then(&mut hub, now, key);
    drop(hub);
    drop(watches);
}

/// Watches an element and, if it is a bin, all that is in it.
fn watch_all(process: &'static Process, element: &gst::Element) -> Vec<Arc<Watch>> {
    let mut watches: Vec<_> = process.watch(element).into_iter().collect();
    if let Some(bin) = element.downcast_ref::<gst::Bin>() {
        for inner in elements(bin) {
            watches.extend(process.watch(&inner));
        }
    }
    watches
}

/// All elements of a bin and of the bins in it.
fn elements(bin: &gst::Bin) -> Vec<gst::Element> {
    let mut found = Vec::new();
    let mut elements = bin.iterate_recurse();
    loop {
        match elements.next() {
            Ok(Some(element)) => found.push(element),
            Ok(None) | Err(gst::IteratorError::Error) => return found,
            Err(gst::IteratorError::Resync) => {
                found.clear();
                elements.resync();
            }
        }
    }
}

/// The pipeline that everything above `object` is in, if it is one. A pipeline inside another is only a part.
fn toplevel(object: &gst::Object) -> Option<gst::Pipeline> {
    let mut top = object.clone();
    while let Some(parent) = top.parent() {
        top = parent;
    }
    top.downcast().ok()
}

/// What is played: the pipeline's own `uri`, or its source's. Players that feed an appsrc have none.
fn url(pipeline: &gst::Pipeline) -> Option<String> {
    if let Some(uri) = uri_property(pipeline.upcast_ref()) {
        return Some(uri);
    }
    let elements = elements(pipeline.upcast_ref());
    let bins = elements.iter().filter(|element| element.is::<gst::Bin>());
    bins.into_iter().find_map(uri_property).or_else(|| {
        elements.iter().find_map(|element| {
            let handler = element.dynamic_cast_ref::<gst::URIHandler>()?;
            (handler.uri_type() == gst::URIType::Src).then(|| handler.uri())?.map(String::from)
        })
    })
}

fn uri_property(element: &gst::Element) -> Option<String> {
    ["uri", "current-uri"].into_iter().find_map(|name| {
        let spec = element.find_property(name)?;
        let readable = spec.flags().contains(glib::ParamFlags::READABLE);
        if !readable || spec.value_type() != String::static_type() {
            return None;
        }
        element.property::<Option<String>>(name).filter(|uri| !uri.is_empty())
    })
}

fn key(pipeline: &gst::Pipeline) -> usize {
    pipeline.as_ptr() as usize
}
