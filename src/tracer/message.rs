//! What a pipeline hands to the application, heard on the way.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use stbeacon_core::player::{Bitrate, PlayerError, SessionEvent, Tags};

use crate::ffi::error_code::error_code;
use crate::hub::Hub;
use crate::pipeline::{key, sample};
use crate::watch::Kind;
use crate::{clock, process};

/// It hands a message to the application.
pub(crate) fn message(pipeline: &gst::Pipeline, message: &gst::Message) {
    match message.view() {
        gst::MessageView::Eos(_) => {
            let process = process::current();
            sample(process, pipeline, Hub::end);
        }
        gst::MessageView::Error(error) => {
            if let Some(watch) = message.src().and_then(|source| process::current().watched(source)) {
                if let Kind::Decoder(decoder) = watch.kind() {
                    decoder.fail();
                }
            }
            let source = message.src().map(|source| source.path_string()).unwrap_or_default();
            fail(pipeline, &source, &error.error());
        }
        gst::MessageView::Buffering(buffering) => {
            let percent = u8::try_from(buffering.percent().clamp(0, 100)).unwrap_or(100);
            let now = clock::boottime();
            process::current().hub().buffering(now, key(pipeline), percent);
        }
        gst::MessageView::Tag(tag) => tags(pipeline, &tag.tags()),
        gst::MessageView::Element(element) => {
            if let Some(statistics) = element.structure() {
                adapt(pipeline, statistics);
            }
        }
        gst::MessageView::StreamStart(_) if message.src().is_some_and(|source| source == pipeline) => {
            let process = process::current();
            let now = clock::boottime();
            let mut hub = process.hub();
            if let Some(run) = hub.run(key(pipeline)) {
                // Trap: this may be called with a lock of playbin's held, which asking for the URL would take.
                // The ticker asks.
                if std::mem::replace(&mut run.streams, true) {
                    run.restarted = Some(now);
                    drop(hub);
                    process.ticker.wake(process);
                }
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
                Kind::Decoder(decoder) => {
                    let (_, _, _, timestamp, _) = qos.get();
                    decoder.qos(dropped, jitter, timestamp.map(gst::ClockTime::nseconds));
                }
                Kind::Sink(sink) => sink.qos(processed, dropped),
                Kind::Input(_) | Kind::Rtp(_) => {}
            }
        }
        gst::MessageView::DurationChanged(_) => {
            let mut hub = process::current().hub();
            if let Some(run) = hub.run(key(pipeline)) {
                run.ask_duration = crate::said::AskDuration::soon();
                run.duration = None;
            }
        }
        _ => {}
    }
}

/// An error has reached the application.
fn fail(pipeline: &gst::Pipeline, source: &str, cause: &glib::Error) {
    let code = format!("{}:{}", cause.domain().as_str(), error_code(cause));
    let now = clock::boottime();
    let key = key(pipeline);
    let mut hub = process::current().hub();
    let Some(run) = hub.run(key) else { return };
    run.failed = true;
    if run.said.is_new_error(source, &code) {
        let error = PlayerError { code, message: cause.message().to_owned(), fatal: true };
        hub.tell(now, now, key, SessionEvent::Error(error));
    }
}

fn tags(pipeline: &gst::Pipeline, list: &gst::TagList) {
    let text = |value: Option<&str>| value.map(str::to_owned);
    let news = Tags {
        title: text(list.get::<gst::tags::Title>().as_ref().map(|tag| tag.get())),
        video_codec: text(list.get::<gst::tags::VideoCodec>().as_ref().map(|tag| tag.get())),
        audio_codec: text(list.get::<gst::tags::AudioCodec>().as_ref().map(|tag| tag.get())),
        container: text(list.get::<gst::tags::ContainerFormat>().as_ref().map(|tag| tag.get())),
    };
    // `bitrate` is measured by parsers and changes all the time; only what the stream says of itself counts.
    let nominal = list.get::<gst::tags::NominalBitrate>().map(|tag| u64::from(tag.get()));
    let nominal = nominal.filter(|_| news.video_codec.is_some());
    let now = clock::boottime();
    let key = key(pipeline);
    let mut hub = process::current().hub();
    let Some(run) = hub.run(key) else { return };
    let tags = run.said.new_tags(news).map(SessionEvent::Tags);
    let bitrate = nominal
        .and_then(|bitrate| run.said.new_bitrate(Bitrate { bitrate, ..Bitrate::default() }))
        .map(SessionEvent::Bitrate);
    for event in [tags, bitrate].into_iter().flatten() {
        hub.tell(now, now, key, event);
    }
}

/// An adaptive demuxer says which rendition it has chosen. Some versions say it as int, some as uint.
fn adapt(pipeline: &gst::Pipeline, statistics: &gst::StructureRef) {
    if statistics.name() != "adaptive-streaming-statistics" {
        return;
    }
    let number = |field: &str| {
        let value = statistics.value(field).ok()?;
        let unsigned = value.get::<u32>().ok().map(u64::from);
        let signed = || value.get::<i32>().ok().and_then(|n| u64::try_from(n).ok());
        let long = || value.get::<i64>().ok().and_then(|n| u64::try_from(n).ok());
        unsigned.or_else(|| value.get::<u64>().ok()).or_else(signed).or_else(long)
    };
    let small = |field: &str| number(field).and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
    let now = clock::boottime();
    let key = key(pipeline);
    let mut hub = process::current().hub();
    let Some(run) = hub.run(key) else { return };
    run.said.hear_adaptive();
    let Some(bitrate) = number("bitrate").or_else(|| number("nominal-bitrate")) else { return };
    let bitrate = Bitrate { bitrate, width: small("width"), height: small("height") };
    // These demuxers announce what they change to, never what they begin with. What has played was measured; it
    // is told as what is left behind, so that the change has a direction.
    let before = run.measured_bitrate().filter(|_| run.said.is_rendition_unknown());
    let before = before.and_then(|bitrate| run.said.new_rendition(Bitrate { bitrate, ..Bitrate::default() }));
    let after = run.said.new_rendition(bitrate);
    for bitrate in [before, after].into_iter().flatten() {
        hub.tell(now, now, key, SessionEvent::Bitrate(bitrate));
    }
}
