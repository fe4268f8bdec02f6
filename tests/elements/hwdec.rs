//! `stbhwdec`: a "hardware" decoder. No raw picture ever leaves it.
//!
//! What leaves it is a handle for each unit that went in, decoded or not, which only a sink of the same make can use:
//! who counts at its pads counts wrong. What it did it tells in properties of its own.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;

use crate::every::hits;
use crate::hwsink::HANDLE;
use crate::{FORMAT, truth};

glib::wrapper! {
    pub(crate) struct HwDec(ObjectSubclass<imp::HwDec>) @extends gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "stbhwdec", gst::Rank::NONE, HwDec::static_type())
}

mod imp {
    use std::sync::{LazyLock, Mutex, PoisonError};

    use gst::subclass::prelude::*;

    use super::*;

    #[derive(Default)]
    struct State {
        fail_every: u32,
        late_every: u32,
        truth_file: Option<String>,
        input: u64,
        decoded: u64,
        late: u64,
        failed: u32,
    }

    pub(crate) struct HwDec {
        sink: gst::Pad,
        src: gst::Pad,
        state: Mutex<State>,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for HwDec {
        const NAME: &'static str = "StbHwDec";
        type Type = super::HwDec;
        type ParentType = gst::Element;

        fn with_class(class: &Self::Class) -> Self {
            let template = |name| class.pad_template(name).unwrap_or_else(|| unreachable!("it is below"));
            let sink = gst::Pad::builder_from_template(&template("sink"))
                .chain_function(|_, parent, buffer| {
                    Self::catch_panic_pad_function(
                        parent,
                        || Err(gst::FlowError::Error),
                        |this| this.take(buffer),
                    )
                })
                .event_function(|pad, parent, event| {
                    Self::catch_panic_pad_function(parent, || false, |this| this.hear(pad, event))
                })
                .build();
            let src = gst::Pad::from_template(&template("src"));
            Self { sink, src, state: Mutex::default() }
        }
    }

    impl ObjectImpl for HwDec {
        fn constructed(&self) {
            self.parent_constructed();
            let obj = self.obj();
            // A new element takes its first pads.
            let _ = obj.add_pad(&self.sink).and_then(|()| obj.add_pad(&self.src));
        }

        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                let n = |name: &str, blurb: &str| glib::ParamSpecUInt::builder(name).blurb(blurb).build();
                vec![
                    n("fail-every", "Fail to decode every n-th unit"),
                    n("late-every", "Give every n-th unit up as late"),
                    glib::ParamSpecString::builder("truth-file")
                        .blurb("File to append the truth to; stdout if not set")
                        .build(),
                    glib::ParamSpecUInt64::builder("frames-ok").blurb("Decoded").read_only().build(),
                    glib::ParamSpecUInt::builder("decode-errors").blurb("Failed").read_only().build(),
                    glib::ParamSpecBoxed::builder::<gst::Structure>("vendor-stats")
                        .blurb("late: given up")
                        .read_only()
                        .build(),
                    glib::ParamSpecInt::builder("queued-ms")
                        .blurb("What it holds; always the same here")
                        .read_only()
                        .build(),
                ]
            });
            &PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            let mut state = self.lock();
            match pspec.name() {
                "fail-every" => state.fail_every = value.get().unwrap_or_default(),
                "late-every" => state.late_every = value.get().unwrap_or_default(),
                "truth-file" => state.truth_file = value.get().unwrap_or_default(),
                _ => {}
            }
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            let state = self.lock();
            match pspec.name() {
                "fail-every" => state.fail_every.to_value(),
                "late-every" => state.late_every.to_value(),
                "frames-ok" => state.decoded.to_value(),
                "decode-errors" => state.failed.to_value(),
                "vendor-stats" => gst::Structure::builder("vendor")
                    .field("late", i64::try_from(state.late).unwrap_or(i64::MAX))
                    .build()
                    .to_value(),
                "queued-ms" => 700_i32.to_value(),
                _ => state.truth_file.to_value(),
            }
        }
    }

    impl GstObjectImpl for HwDec {}

    impl ElementImpl for HwDec {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Hardware-like test decoder",
                    "Codec/Decoder/Video/Hardware",
                    "Puts out handles, never pictures, and counts by itself",
                    "stbeacon",
                )
            });
            Some(&METADATA)
        }

        fn pad_templates() -> &'static [gst::PadTemplate] {
            static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
                let always = gst::PadPresence::Always;
                let coded = gst::Caps::builder(FORMAT).build();
                let handle = gst::Caps::builder(HANDLE).build();
                [
                    gst::PadTemplate::new("sink", gst::PadDirection::Sink, always, &coded),
                    gst::PadTemplate::new("src", gst::PadDirection::Src, always, &handle),
                ]
                .into_iter()
                .flatten()
                .collect()
            });
            &TEMPLATES
        }

        fn change_state(
            &self,
            change: gst::StateChange,
        ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
            let done = self.parent_change_state(change)?;
            if change == gst::StateChange::PausedToReady {
                let mut state = self.lock();
                let State { input, decoded, late, failed, .. } = *state;
                let figures =
                    [("in", input), ("decoded", decoded), ("late", late), ("failed", failed.into())];
                let told = truth::tell(state.truth_file.as_deref(), &self.obj().name(), &figures);
                // As hardware does: what was counted is gone with the stream.
                (state.input, state.decoded, state.late, state.failed) = (0, 0, 0, 0);
                told.map_err(|_| gst::StateChangeError)?;
            }
            Ok(done)
        }
    }

    impl HwDec {
        fn lock(&self) -> std::sync::MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn take(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
            {
                let mut state = self.lock();
                state.input += 1;
                let number = state.input;
                if hits(state.fail_every, number) {
                    state.failed += 1;
                } else if hits(state.late_every, number) {
                    state.late += 1;
                } else {
                    state.decoded += 1;
                }
            }
            self.src.push(buffer)
        }

        fn hear(&self, pad: &gst::Pad, event: gst::Event) -> bool {
            if event.type_() == gst::EventType::Caps {
                let handle = gst::Caps::builder(HANDLE).build();
                return self.src.push_event(gst::event::Caps::new(&handle));
            }
            gst::Pad::event_default(pad, Some(&*self.obj()), event)
        }
    }
}
