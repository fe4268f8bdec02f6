//! `stbhwsink`: a sink that takes compressed video, as the hardware paths of boxes do.
//!
//! It decodes nothing. Its `stats` hides the one of [`gst_base::BaseSink`], which cannot know what the hardware
//! does behind it; the fields are the same. Dropped frames are told by QoS messages too, where `qos` is on.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_base as gst_base;

use crate::every::hits;
use crate::{FORMAT, truth};

glib::wrapper! {
    pub(crate) struct HwSink(ObjectSubclass<imp::HwSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "stbhwsink", gst::Rank::NONE, HwSink::static_type())
}

/// What a decoder of the same make puts out.
pub(crate) const HANDLE: &str = "video/x-stbhandle";

/// What the sink takes: the box's usual codecs, the made-up one, and the handles of a decoder of the same make.
pub(crate) fn template() -> Vec<gst::PadTemplate> {
    let caps = gst::Caps::builder_full()
        .structure(gst::Structure::new_empty("video/x-h264"))
        .structure(gst::Structure::new_empty("video/x-h265"))
        .structure(gst::Structure::builder("video/mpeg").field("systemstream", false).build())
        .structure(gst::Structure::new_empty(FORMAT))
        .structure(gst::Structure::new_empty(HANDLE))
        .build();
    gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &caps)
        .into_iter()
        .collect()
}

mod imp {
    use std::sync::{LazyLock, Mutex, PoisonError};

    use gst::subclass::prelude::*;
    use gst_base::subclass::prelude::*;

    use super::*;

    #[derive(Default)]
    struct State {
        drop_every: u32,
        truth_file: Option<String>,
        rendered: u64,
        dropped: u64,
    }

    #[derive(Default)]
    pub(crate) struct HwSink {
        state: Mutex<State>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for HwSink {
        const NAME: &'static str = "StbHwSink";
        type Type = super::HwSink;
        type ParentType = gst_base::BaseSink;
    }

    impl ObjectImpl for HwSink {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                vec![
                    glib::ParamSpecUInt::builder("drop-every").blurb("Drop every n-th frame as late").build(),
                    glib::ParamSpecString::builder("truth-file")
                        .blurb("File to append the truth to; stdout if not set")
                        .build(),
                    glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                        .blurb("Frames rendered and dropped since the start")
                        .read_only()
                        .build(),
                ]
            });
            &PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            let mut state = self.lock();
            match pspec.name() {
                "drop-every" => state.drop_every = value.get().unwrap_or_default(),
                "truth-file" => state.truth_file = value.get().unwrap_or_default(),
                _ => {}
            }
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            let state = self.lock();
            match pspec.name() {
                "drop-every" => state.drop_every.to_value(),
                "stats" => gst::Structure::builder("application/x-gst-base-sink-stats")
                    .field("average-rate", -1.0)
                    .field("dropped", state.dropped)
                    .field("rendered", state.rendered)
                    .build()
                    .to_value(),
                _ => state.truth_file.to_value(),
            }
        }
    }

    impl GstObjectImpl for HwSink {}

    impl ElementImpl for HwSink {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Hardware-like test sink",
                    "Sink/Decoder/Video/Hardware",
                    "Takes compressed video and drops frames on demand",
                    "stbeacon",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(template);
            &TEMPLATES
        }
    }

    impl BaseSinkImpl for HwSink {
        fn start(&self) -> Result<(), gst::ErrorMessage> {
            let mut state = self.lock();
            (state.rendered, state.dropped) = (0, 0);
            Ok(())
        }

        fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let drops = {
                let mut state = self.lock();
                let drops = hits(state.drop_every, state.rendered + state.dropped + 1);
                if drops {
                    state.dropped += 1;
                } else {
                    state.rendered += 1;
                }
                drops.then_some((state.rendered, state.dropped))
            };
            if let Some((rendered, dropped)) = drops.filter(|_| self.obj().property::<bool>("qos")) {
                self.tell_dropped(buffer, rendered, dropped);
            }
            Ok(gst::FlowSuccess::Ok)
        }

        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            let state = self.lock();
            let State { rendered, dropped, .. } = *state;
            let figures = [("in", rendered + dropped), ("rendered", rendered), ("dropped", dropped)];
            truth::tell(state.truth_file.as_deref(), &self.obj().name(), &figures).map_err(|error| {
                gst::error_msg!(gst::ResourceError::Write, ["cannot tell the truth: {error}"])
            })
        }
    }

    impl HwSink {
        fn lock(&self) -> std::sync::MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// What a base sink says of a frame that came too late, here always by the same 30 ms.
        fn tell_dropped(&self, buffer: &gst::Buffer, rendered: u64, dropped: u64) {
            let obj = self.obj();
            let buffers = gst::format::Buffers::from_u64;
            let message = gst::message::Qos::builder(false)
                .running_time(buffer.pts())
                .stream_time(buffer.pts())
                .timestamp(buffer.pts())
                .duration(buffer.duration())
                .values(30_000_000, 1.0, 1_000_000)
                .stats(buffers(rendered), buffers(dropped))
                .src(&*obj)
                .build();
            // Nobody may be listening.
            let _ = obj.post_message(message);
        }
    }
}
