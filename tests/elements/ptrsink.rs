//! `stbptrsink`: a hardware-like sink whose `stats` is a raw pointer, as on one vendor's boxes.
//!
//! Who reads it as a structure crashes. It hides [`gst_base::BaseSink`]'s own property of that name.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_base as gst_base;

use crate::hwsink::template;
use crate::truth;

glib::wrapper! {
    pub(crate) struct PtrSink(ObjectSubclass<imp::PtrSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "stbptrsink", gst::Rank::NONE, PtrSink::static_type())
}

mod imp {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use gst::subclass::prelude::*;
    use gst_base::subclass::prelude::*;

    use super::*;

    #[derive(Default)]
    pub(crate) struct PtrSink {
        rendered: AtomicU64,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for PtrSink {
        const NAME: &'static str = "StbPtrSink";
        type Type = super::PtrSink;
        type ParentType = gst_base::BaseSink;
    }

    impl ObjectImpl for PtrSink {
        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                vec![
                    glib::ParamSpecPointer::builder("stats")
                        .blurb("Not what you think it is")
                        .read_only()
                        .build(),
                ]
            });
            &PROPERTIES
        }

        fn property(&self, _id: usize, _pspec: &glib::ParamSpec) -> glib::Value {
            // Never mapped, never null: reading through it ends the process.
            std::ptr::without_provenance_mut::<std::ffi::c_void>(0x10).to_value()
        }
    }

    impl GstObjectImpl for PtrSink {}

    impl ElementImpl for PtrSink {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Hardware-like test sink with a pointer",
                    "Sink/Decoder/Video/Hardware",
                    "Takes compressed video; its stats are a raw pointer",
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

    impl BaseSinkImpl for PtrSink {
        fn start(&self) -> Result<(), gst::ErrorMessage> {
            self.rendered.store(0, Ordering::Relaxed);
            Ok(())
        }

        fn render(&self, _buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            self.rendered.fetch_add(1, Ordering::Relaxed);
            Ok(gst::FlowSuccess::Ok)
        }

        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            let rendered = self.rendered.load(Ordering::Relaxed);
            let figures = [("in", rendered), ("rendered", rendered), ("dropped", 0)];
            truth::tell(None, &self.obj().name(), &figures).map_err(|error| {
                gst::error_msg!(gst::ResourceError::Write, ["cannot tell the truth: {error}"])
            })
        }
    }
}
