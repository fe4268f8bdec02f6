//! `stbfaultenc`: grey pictures in, the same bytes out under the name of the made-up format.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_base as gst_base;

use crate::FORMAT;

glib::wrapper! {
    pub(crate) struct FaultEnc(ObjectSubclass<imp::FaultEnc>)
        @extends gst_base::BaseTransform, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "stbfaultenc", gst::Rank::NONE, FaultEnc::static_type())
}

mod imp {
    use std::sync::LazyLock;

    use gst::subclass::prelude::*;
    use gst_base::subclass::BaseTransformMode;
    use gst_base::subclass::prelude::*;

    use super::*;

    #[derive(Default)]
    pub(crate) struct FaultEnc;

    #[glib::object_subclass]
    impl ObjectSubclass for FaultEnc {
        const NAME: &'static str = "StbFaultEnc";
        type Type = super::FaultEnc;
        type ParentType = gst_base::BaseTransform;
    }

    impl ObjectImpl for FaultEnc {}
    impl GstObjectImpl for FaultEnc {}

    impl ElementImpl for FaultEnc {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Test encoder",
                    "Codec/Encoder/Video",
                    "Calls grey pictures compressed",
                    "stbeacon",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let raw = gst::Caps::builder("video/x-raw").field("format", "GRAY8").build();
                let coded = gst::Caps::builder(FORMAT).build();
                let always = gst::PadPresence::Always;
                [
                    gst::PadTemplate::new("sink", gst::PadDirection::Sink, always, &raw),
                    gst::PadTemplate::new("src", gst::PadDirection::Src, always, &coded),
                ]
                .into_iter()
                .flatten()
                .collect()
            });
            &TEMPLATES
        }
    }

    impl BaseTransformImpl for FaultEnc {
        const MODE: BaseTransformMode = BaseTransformMode::AlwaysInPlace;
        const PASSTHROUGH_ON_SAME_CAPS: bool = false;
        const TRANSFORM_IP_ON_PASSTHROUGH: bool = false;

        fn transform_caps(
            &self,
            direction: gst::PadDirection,
            caps: &gst::Caps,
            filter: Option<&gst::Caps>,
        ) -> Option<gst::Caps> {
            let mut other = gst::Caps::new_empty();
            for structure in caps.iter() {
                let builder = if direction == gst::PadDirection::Sink {
                    gst::Caps::builder(FORMAT)
                } else {
                    gst::Caps::builder("video/x-raw").field("format", "GRAY8")
                };
                let mut one = builder.build();
                if let Some(target) = one.get_mut().and_then(|caps| caps.structure_mut(0)) {
                    for key in ["width", "height", "framerate"] {
                        if let Ok(value) = structure.value(key) {
                            target.set_value(key, value.clone());
                        }
                    }
                }
                other.merge(one);
            }
            Some(match filter {
                Some(filter) => filter.intersect_with_mode(&other, gst::CapsIntersectMode::First),
                None => other,
            })
        }

        fn transform_size(
            &self,
            _direction: gst::PadDirection,
            _caps: &gst::Caps,
            size: usize,
            _other: &gst::Caps,
        ) -> Option<usize> {
            Some(size)
        }

        fn transform_ip(&self, _buffer: &mut gst::BufferRef) -> Result<gst::FlowSuccess, gst::FlowError> {
            Ok(gst::FlowSuccess::Ok)
        }
    }
}
