//! `stbhwsink`: a sink that takes compressed video, as the hardware paths of boxes do.
//!
//! It decodes nothing. `stats` is the one of [`gst_base::BaseSink`]: rendered, dropped, average rate.

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

/// What the sink takes: the box's usual codecs, and the made-up one.
pub(crate) fn template() -> Vec<gst::PadTemplate> {
    let caps = gst::Caps::builder_full()
        .structure(gst::Structure::new_empty("video/x-h264"))
        .structure(gst::Structure::new_empty("video/x-h265"))
        .structure(gst::Structure::builder("video/mpeg").field("systemstream", false).build())
        .structure(gst::Structure::new_empty(FORMAT))
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

        fn render(&self, _buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            let mut state = self.lock();
            if hits(state.drop_every, state.rendered + state.dropped + 1) {
                state.dropped += 1;
                // What a base sink takes for "late": counted in its `stats`, told by QoS.
                Ok(gst::FlowSuccess::CustomSuccess)
            } else {
                state.rendered += 1;
                Ok(gst::FlowSuccess::Ok)
            }
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
    }
}
