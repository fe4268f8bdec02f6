//! `stbfaultdec`: a decoder of the made-up format that goes wrong on every n-th frame.
//!
//! Each frame meets at most one fault; where several fall on one frame the first in the order of the properties
//! below wins. What the base class makes of each (QoS messages, their totals and jitter, flags) is what any
//! decoder built on it would make of it.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer_video as gst_video;

use crate::every::hits;
use crate::{FORMAT, truth};

glib::wrapper! {
    pub(crate) struct FaultDec(ObjectSubclass<imp::FaultDec>)
        @extends gst_video::VideoDecoder, gst::Element, gst::Object;
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "stbfaultdec", gst::Rank::PRIMARY, FaultDec::static_type())
}

mod imp {
    use std::sync::{LazyLock, Mutex, PoisonError};
    use std::time::Duration;

    use gst::subclass::prelude::*;
    use gst_video::prelude::*;
    use gst_video::subclass::prelude::*;

    use super::*;

    /// Which fault falls on which frame; 0 switches a class off.
    #[derive(Default, Clone)]
    struct Settings {
        release_every: u32,
        late_every: u32,
        fail_every: u32,
        error_at: u32,
        corrupt_every: u32,
        sleep_every: u32,
        sleep_ms: u32,
        drop_late: bool,
        truth_file: Option<String>,
    }

    /// The truth. `input` = `output` + `dropped_late` + `failed`, unless play was cut off.
    #[derive(Default, Clone, Copy)]
    struct Truth {
        input: u64,
        output: u64,
        dropped_late: u64,
        failed: u64,
        corrupted: u64,
    }

    #[derive(Default)]
    struct State {
        settings: Settings,
        truth: Truth,
        picture_size: usize,
    }

    #[derive(Default)]
    pub(crate) struct FaultDec {
        state: Mutex<State>,
    }

    enum Fate {
        Decode { corrupted: bool },
        Release,
        DropLate { already_late: bool },
        Fail,
        Error,
    }

    #[glib::object_subclass]
    impl ObjectSubclass for FaultDec {
        const NAME: &'static str = "StbFaultDec";
        type Type = super::FaultDec;
        type ParentType = gst_video::VideoDecoder;
    }

    impl ObjectImpl for FaultDec {
        fn constructed(&self) {
            self.parent_constructed();
            // What is really put out: the base class itself gives finished frames up that are too late.
            let this = self.downgrade();
            self.obj().src_pad().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                if let (Some(this), Some(buffer)) = (this.upgrade(), info.buffer()) {
                    let truth = &mut this.lock().truth;
                    truth.output += 1;
                    truth.corrupted += u64::from(buffer.flags().contains(gst::BufferFlags::CORRUPTED));
                }
                gst::PadProbeReturn::Ok
            });
        }

        fn properties() -> &'static [glib::ParamSpec] {
            static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
                let n = |name: &str, blurb: &str| glib::ParamSpecUInt::builder(name).blurb(blurb).build();
                vec![
                    n("error-at", "Post an error and stop at this frame (0: never)"),
                    n("release-every", "Release every n-th frame without output"),
                    n("late-every", "Drop every n-th frame as late (QoS with jitter above 0)"),
                    n("fail-every", "Fail to decode every n-th frame (QoS with jitter of 0 or below)"),
                    n("corrupt-every", "Put out every n-th frame flagged as corrupted"),
                    n("sleep-every", "Sleep before every n-th frame"),
                    n("sleep-ms", "How long to sleep, in ms"),
                    glib::ParamSpecBoolean::builder("drop-late")
                        .blurb("Drop what the sink's QoS events say is too late, as real decoders do")
                        .build(),
                    glib::ParamSpecString::builder("truth-file")
                        .blurb("File to append the truth to; stdout if not set")
                        .build(),
                ]
            });
            &PROPERTIES
        }

        fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
            let mut state = self.lock();
            let settings = &mut state.settings;
            let number = || value.get().unwrap_or_default();
            match pspec.name() {
                "error-at" => settings.error_at = number(),
                "release-every" => settings.release_every = number(),
                "late-every" => settings.late_every = number(),
                "fail-every" => settings.fail_every = number(),
                "corrupt-every" => settings.corrupt_every = number(),
                "sleep-every" => settings.sleep_every = number(),
                "sleep-ms" => settings.sleep_ms = number(),
                "drop-late" => settings.drop_late = value.get().unwrap_or_default(),
                "truth-file" => settings.truth_file = value.get().unwrap_or_default(),
                _ => {}
            }
        }

        fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
            let settings = self.lock().settings.clone();
            match pspec.name() {
                "error-at" => settings.error_at.to_value(),
                "release-every" => settings.release_every.to_value(),
                "late-every" => settings.late_every.to_value(),
                "fail-every" => settings.fail_every.to_value(),
                "corrupt-every" => settings.corrupt_every.to_value(),
                "sleep-every" => settings.sleep_every.to_value(),
                "sleep-ms" => settings.sleep_ms.to_value(),
                "drop-late" => settings.drop_late.to_value(),
                _ => settings.truth_file.to_value(),
            }
        }
    }

    impl GstObjectImpl for FaultDec {}

    impl ElementImpl for FaultDec {
        fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
            static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Faulty test decoder",
                    "Codec/Decoder/Video",
                    "Goes wrong on demand and tells the truth about it",
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
                    gst::PadTemplate::new("sink", gst::PadDirection::Sink, always, &coded),
                    gst::PadTemplate::new("src", gst::PadDirection::Src, always, &raw),
                ]
                .into_iter()
                .flatten()
                .collect()
            });
            &TEMPLATES
        }
    }

    impl VideoDecoderImpl for FaultDec {
        fn start(&self) -> Result<(), gst::ErrorMessage> {
            self.lock().truth = Truth::default();
            // One buffer is one whole picture.
            self.obj().set_packetized(true);
            self.parent_start()
        }

        fn stop(&self) -> Result<(), gst::ErrorMessage> {
            let (Truth { input, output, dropped_late, failed, corrupted }, file) = {
                let state = self.lock();
                (state.truth, state.settings.truth_file.clone())
            };
            let figures = [
                ("in", input),
                ("out", output),
                ("dropped_late", dropped_late),
                ("failed", failed),
                ("corrupted", corrupted),
            ];
            truth::tell(file.as_deref(), &self.obj().name(), &figures).map_err(|error| {
                gst::error_msg!(gst::ResourceError::Write, ["cannot tell the truth: {error}"])
            })?;
            self.parent_stop()
        }

        fn set_format(
            &self,
            input: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
        ) -> Result<(), gst::LoggableError> {
            let fail = || gst::loggable_error!(gst::CAT_RUST, "caps need width and height");
            let caps = input.caps_owned().ok_or_else(fail)?;
            let size = |key| caps.structure(0).and_then(|s| s.get::<i32>(key).ok());
            let (width, height) = size("width").zip(size("height")).ok_or_else(fail)?;
            let [width, height] = [width, height].map(i32::unsigned_abs);
            let obj = self.obj();
            let format = gst_video::VideoFormat::Gray8;
            let output = obj.set_output_state(format, width, height, Some(input)).map_err(|_| fail())?;
            self.lock().picture_size = output.info().size();
            obj.negotiate(output).map_err(|_| fail())?;
            Ok(())
        }

        fn handle_frame(
            &self,
            frame: gst_video::VideoCodecFrame<'_>,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            match self.fate(&frame) {
                Fate::Decode { corrupted } => self.decode(frame, corrupted),
                Fate::Release => {
                    self.obj().release_frame(frame);
                    self.lock().truth.failed += 1;
                    Ok(gst::FlowSuccess::Ok)
                }
                Fate::DropLate { already_late } => {
                    let pts = frame.pts();
                    if !already_late {
                        self.pretend_qos(pts, Some(gst::ClockTime::from_mseconds(100)));
                    }
                    let flow = self.obj().drop_frame(frame);
                    if !already_late {
                        self.pretend_qos(pts, None);
                    }
                    self.lock().truth.dropped_late += 1;
                    flow
                }
                Fate::Fail => {
                    let flow = gst_video::video_decoder_error!(
                        self.obj(),
                        1,
                        gst::StreamError::Decode,
                        ("damaged on demand")
                    );
                    self.obj().drop_frame(frame)?;
                    self.lock().truth.failed += 1;
                    flow
                }
                Fate::Error => {
                    self.obj().release_frame(frame);
                    self.lock().truth.failed += 1;
                    gst::element_imp_error!(self, gst::StreamError::Decode, ["error on demand"]);
                    Err(gst::FlowError::Error)
                }
            }
        }
    }

    impl FaultDec {
        fn lock(&self) -> std::sync::MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Counts the frame in, and sleeps if it is one to sleep before.
        fn fate(&self, frame: &gst_video::VideoCodecFrame<'_>) -> Fate {
            let (settings, number) = {
                let mut state = self.lock();
                state.truth.input += 1;
                (state.settings.clone(), state.truth.input)
            };
            if hits(settings.sleep_every, number) {
                std::thread::sleep(Duration::from_millis(settings.sleep_ms.into()));
            }
            let too_late = || settings.drop_late && self.obj().max_decode_time(frame) < 0;
            if u64::from(settings.error_at) == number {
                Fate::Error
            } else if hits(settings.release_every, number) {
                Fate::Release
            } else if hits(settings.late_every, number) {
                Fate::DropLate { already_late: false }
            } else if hits(settings.fail_every, number) {
                Fate::Fail
            } else if too_late() {
                Fate::DropLate { already_late: true }
            } else {
                Fate::Decode { corrupted: hits(settings.corrupt_every, number) }
            }
        }

        fn decode(
            &self,
            mut frame: gst_video::VideoCodecFrame<'_>,
            corrupted: bool,
        ) -> Result<gst::FlowSuccess, gst::FlowError> {
            let size = self.lock().picture_size;
            let mut picture = gst::Buffer::with_size(size).map_err(|_| gst::FlowError::Error)?;
            {
                let picture = picture.get_mut().ok_or(gst::FlowError::Error)?;
                let input = frame.input_buffer().ok_or(gst::FlowError::Error)?;
                let input = input.map_readable().map_err(|_| gst::FlowError::Error)?;
                picture.copy_from_slice(0, &input).map_err(|_| gst::FlowError::Error)?;
                if corrupted {
                    picture.set_flags(gst::BufferFlags::CORRUPTED);
                }
            }
            frame.set_output_buffer(picture);
            let before = self.lock().truth.output;
            let flow = self.obj().finish_frame(frame);
            let truth = &mut self.lock().truth;
            // Nothing but lateness keeps the base class from pushing what it was given, unless all is over.
            truth.dropped_late += u64::from(flow.is_ok() && truth.output == before);
            flow
        }

        /// Lets the base class believe that the sink is `late` behind at `pts`, or that it is in time again.
        ///
        /// That alone decides which jitter the base class puts into the QoS message of a dropped frame.
        fn pretend_qos(&self, pts: Option<gst::ClockTime>, late: Option<gst::ClockTime>) {
            let Some(pts) = pts else { return };
            let segment = self.obj().output_segment();
            let running =
                segment.downcast_ref::<gst::ClockTime>().and_then(|s| s.to_running_time(pts)).unwrap_or(pts);
            let (kind, diff) = match late {
                Some(late) => (gst::QOSType::Underflow, i64::try_from(late.nseconds()).unwrap_or(i64::MAX)),
                None => (gst::QOSType::Overflow, 0),
            };
            let timestamp = if late.is_some() { running } else { gst::ClockTime::ZERO };
            self.parent_src_event(gst::event::Qos::new(kind, 1.0, diff, timestamp));
        }
    }
}
