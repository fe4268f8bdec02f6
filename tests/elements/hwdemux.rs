//! `stbhwdemux`: a "hardware" demultiplexer. What enters it says nothing of what it does with it.
//!
//! It takes what is called a transport stream, and puts out a picture of the made-up format for each buffer of that.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use crate::FORMAT;

glib::wrapper! {
    pub(crate) struct HwDemux(ObjectSubclass<imp::HwDemux>) @extends gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "stbhwdemux", gst::Rank::NONE, HwDemux::static_type())
}

mod imp {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use gst::subclass::prelude::*;

    use super::*;

    const WIDTH: i32 = 64;
    const HEIGHT: i32 = 48;
    const PICTURE_MS: u64 = 40;

    pub(crate) struct HwDemux {
        sink: gst::Pad,
        src: gst::Pad,
        pictures: AtomicU64,
        bytes: AtomicU64,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for HwDemux {
        const NAME: &'static str = "StbHwDemux";
        type Type = super::HwDemux;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let template = |name| class.pad_template(name).unwrap_or_else(|| unreachable!("it is below"));
            let sink = gst::Pad::builder_from_template(&template("sink"))
                .chain_function(|_, parent, buffer| {
                    Self::catch_panic_pad_function(
                        parent,
                        || Err(gst::FlowError::Error),
                        |this| this.take(&buffer),
                    )
                })
                .event_function(|pad, parent, event| {
                    Self::catch_panic_pad_function(parent, || false, |this| this.hear(pad, event))
                })
                .build();
            let src = gst::Pad::from_template(&template("src"));
            Self { sink, src, pictures: AtomicU64::new(0), bytes: AtomicU64::new(0) }
        }
    }

    impl ObjectImpl for HwDemux {
        fn constructed(&self) {
            self.parent_constructed();
            let obj = self.obj();
            // A new element takes its first pads.
            let _ = obj.add_pad(&self.sink).and_then(|()| obj.add_pad(&self.src));
        }

        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                vec![
                    glib::ParamSpecUInt64::builder("bytes-in")
                        .blurb("Bytes of the stream, which are ten times what its buffers say")
                        .read_only()
                        .build(),
                ]
            });
            &PROPERTIES
        }

        fn property(&self, _id: usize, _pspec: &glib::ParamSpec) -> glib::Value {
            (self.bytes.load(Ordering::Relaxed) * 10).to_value()
        }
    }

    impl GstObjectImpl for HwDemux {}

    impl ElementImpl for HwDemux {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Hardware-like test demultiplexer",
                    "Codec/Demuxer/Hardware",
                    "Puts out a picture for each buffer of what is called a transport stream",
                    "stbeacon",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let always = gst::PadPresence::Always;
                let stream = gst::Caps::builder("video/mpegts").build();
                let coded = gst::Caps::builder(FORMAT).build();
                [
                    gst::PadTemplate::new("sink", gst::PadDirection::Sink, always, &stream),
                    gst::PadTemplate::new("src", gst::PadDirection::Src, always, &coded),
                ]
                .into_iter()
                .flatten()
                .collect()
            });
            &TEMPLATES
        }
    }

    impl HwDemux {
        fn take(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            self.bytes.fetch_add(buffer.size() as u64, Ordering::Relaxed);
            let number = self.pictures.fetch_add(1, Ordering::Relaxed);
            if number == 0 {
                let caps = gst::Caps::builder(FORMAT)
                    .field("width", WIDTH)
                    .field("height", HEIGHT)
                    .field("framerate", gst::Fraction::new(25, 1))
                    .build();
                let segment = gst::FormattedSegment::<gst::ClockTime>::new();
                self.src.push_event(gst::event::StreamStart::new("hardware"));
                self.src.push_event(gst::event::Caps::new(&caps));
                self.src.push_event(gst::event::Segment::new(&segment));
            }
            let mut picture = gst::Buffer::with_size(64 * 48).map_err(|_| gst::FlowError::Error)?;
            if let Some(picture) = picture.get_mut() {
                picture.set_pts(gst::ClockTime::from_mseconds(number * PICTURE_MS));
                picture.set_duration(gst::ClockTime::from_mseconds(PICTURE_MS));
            }
            self.src.push(picture)
        }

        fn hear(&self, pad: &gst::Pad, event: gst::Event) -> bool {
            match event.type_() {
                // What comes out is announced by itself.
                gst::EventType::StreamStart | gst::EventType::Caps | gst::EventType::Segment => true,
                _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
            }
        }
    }
}
