//! What is done at each callback that is not on the hot path.

use std::sync::Arc;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use stbeacon_core::player::{CloseReason, Open, Seek, SeekPhase, SessionEvent};
use stbeacon_core::time::Millis;

use crate::clock;
use crate::hub::Hub;
use crate::process::{self, Process};
use crate::run::{Run, SeekUnderWay};
use crate::watch::{Watch, number_of};

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
            sample(process, pipeline, Hub::pause);
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
                hub.play(now, key);
            }
        }
        process.ticker.wake(process);
    }
}

/// A seek passes a sink on its way upstream. Each sink of the pipeline sees it.
pub(crate) fn seek(pad: &gst::Pad, seek: &gst::event::Seek) {
    let Some(pipeline) = toplevel(pad.upcast_ref()) else { return };
    let process = process::current();
    let (now, key, seqnum) = (clock::boottime(), key(&pipeline), number_of(seek.seqnum()));
    let mut hub = process.hub();
    let Some(run) = hub.run(key) else { return };
    if run.wait.seek.is_some_and(|known| known.seqnum == seqnum) || run.said.is_known_seek(seqnum) {
        return;
    }
    let (ended, serial, from) = (run.ended, run.serial, run.position());
    if ended {
        // Played again from somewhere after its end: that is another session.
        let Some(id) = process.next_session() else { return };
        let url = run.url.clone();
        hub.replace(now, key, now, id, url);
    } else {
        hub.harvest(now, key, serial);
    }
    let (rate, _, start_type, start, stop_type, stop) = seek.get();
    let target = match rate {
        rate if rate >= 0.0 => (start_type == gst::SeekType::Set).then_some(start),
        _ => (stop_type == gst::SeekType::Set).then_some(stop),
    };
    let to = target.and_then(|target| match target {
        gst::GenericFormattedValue::Time(time) => time.map(gst::ClockTime::mseconds),
        _ => None,
    });
    let told = Seek { phase: SeekPhase::Start, from, to, rate };
    let Some(run) = hub.run(key) else { return };
    run.said.remember_seek(seqnum);
    let before = run.wait.seek.replace(SeekUnderWay { seqnum, at: now, since: clock::monotonic(), told });
    if let Some(before) = before {
        // The one before never got as far as a frame.
        hub.tell(now, now, key, SessionEvent::Seek(Seek { phase: SeekPhase::End, ..before.told }));
    }
    hub.tell(now, now, key, SessionEvent::Seek(told));
}

/// One run, as a tick finds it.
struct Ticked {
    key: usize,
    serial: u64,
    pipeline: glib::WeakRef<gst::Pipeline>,
    watches: Vec<Arc<Watch>>,
    lead: Option<Arc<Watch>>,
    position: Option<u64>,
    duration: Option<u64>,
}

/// Counters of everything that plays.
pub(crate) fn tick(process: &'static Process) {
    let runs: Vec<_> = {
        let hub = process.hub();
        hub.runs()
            .filter(|(_, run)| run.counts())
            .map(|(key, run)| Ticked {
                key,
                serial: run.serial,
                pipeline: run.pipeline.clone(),
                watches: run.watches(),
                lead: run.lead(),
                position: run.position(),
                duration: run.duration,
            })
            .collect()
    };
    for Ticked { key, serial, pipeline, watches, lead, position, duration } in runs {
        for watch in &watches {
            watch.refresh();
        }
        drop(watches);
        let ask = duration.is_none()
            && process.hub().run(key).is_some_and(|run| run.serial == serial && run.ask_duration.is_due());
        let duration = if ask {
            // Held for the length of one query; the application may let go of it meanwhile.
            pipeline
                .upgrade()
                .and_then(|p| p.query_duration::<gst::ClockTime>())
                .map(gst::ClockTime::mseconds)
        } else {
            duration
        };
        let buffer = lead.and_then(|sink| sink.buffered_ahead(position, duration));
        let now = clock::boottime();
        let mut hub = process.hub();
        if let Some(run) = hub.run(key).filter(|run| run.serial == serial) {
            run.duration = duration;
            run.buffer = buffer;
        }
        hub.harvest(now, key, serial);
        hub.pass(now, key, serial);
        hub.count(now, key, serial);
    }
}

/// Looks which stream plays now, where one may have taken another's place.
pub(crate) fn check_streams(process: &'static Process) {
    let restarted: Vec<_> = {
        let mut hub = process.hub();
        let keys: Vec<_> = hub.runs().map(|(key, _)| key).collect();
        keys.into_iter()
            .filter_map(|key| {
                let run = hub.run(key)?;
                Some((key, run.restarted.take()?, run.serial, run.url.clone(), run.pipeline.clone()))
            })
            .collect()
    };
    for (key, at, serial, old, pipeline) in restarted {
        let Some(url) = pipeline.upgrade().and_then(|p| url(&p, ["current-uri", "uri"])) else { continue };
        if url == old {
            continue;
        }
        let Some(id) = process.next_session() else { continue };
        let now = clock::boottime();
        let mut hub = process.hub();
        if hub.run(key).is_some_and(|run| run.serial == serial) {
            hub.replace(now, key, at, id, url);
        }
    }
}

fn open(pipeline: &gst::Pipeline) {
    let process = process::current();
    let Some(id) = process.next_session() else { return };
    let watches = watch_all(process, pipeline.upcast_ref());
    let url = url(pipeline, ["uri", "current-uri"]).unwrap_or_default();
    let open = Open { url: url.clone(), ..Open::default() };
    let key = key(pipeline);
    let run = Run::new(id, pipeline.downgrade(), url, watches);
    process.await_end(pipeline, gone);
    let now = clock::boottime();
    process.hub().open(now, key, run, now, open);
    process.ticker.wake(process);
}

/// A pipeline was let go of without having been stopped.
fn gone(key: usize) {
    let process = process::current();
    let now = clock::boottime();
    let mut hub = process.hub();
    if let Some(serial) = hub.run(key).map(|run| run.serial) {
        hub.harvest(now, key, serial);
        hub.count(now, key, serial);
        hub.close(now, key, CloseReason::Stop);
    }
}

/// Brings the totals up to date and tells them, then does `then` in the same breath.
pub(crate) fn sample(
    process: &'static Process,
    pipeline: &gst::Pipeline,
    then: impl FnOnce(&mut Hub, Millis, usize),
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

/// What is played: the pipeline's own `uri`, or its source's. Players that feed an appsrc have none. During
/// gapless play `uri` is already the next stream and `current-uri` the one that is heard.
fn url(pipeline: &gst::Pipeline, names: [&str; 2]) -> Option<String> {
    if let Some(uri) = uri_property(pipeline.upcast_ref(), names) {
        return Some(uri);
    }
    let elements = elements(pipeline.upcast_ref());
    let mut bins = elements.iter().filter(|element| element.is::<gst::Bin>());
    bins.find_map(|bin| uri_property(bin, names)).or_else(|| {
        elements.iter().find_map(|element| {
            let handler = element.dynamic_cast_ref::<gst::URIHandler>()?;
            (handler.uri_type() == gst::URIType::Src).then(|| handler.uri())?.map(String::from)
        })
    })
}

fn uri_property(element: &gst::Element, names: [&str; 2]) -> Option<String> {
    names.into_iter().find_map(|name| {
        let spec = element.find_property(name)?;
        let readable = spec.flags().contains(glib::ParamFlags::READABLE);
        if !readable || spec.value_type() != String::static_type() {
            return None;
        }
        element.property::<Option<String>>(name).filter(|uri| !uri.is_empty())
    })
}

/// What a pipeline's session is filed under.
pub(crate) fn key(pipeline: &gst::Pipeline) -> usize {
    pipeline.as_ptr() as usize
}
