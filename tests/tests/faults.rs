//! Elements that go wrong and say so, against what the report says.

use rstest::rstest;
use serde::Deserialize;
use stbeacon_tests::clips::{Recipe, Video};
use stbeacon_tests::report::Frames;
use stbeacon_tests::{Error, Finished, Stb, Way};

/// What `stbfaultdec` prints at its end.
#[derive(Debug, Deserialize)]
struct DecoderTruth {
    r#in: u64,
    out: u64,
    dropped_late: u64,
    failed: u64,
    corrupted: u64,
}

/// What `stbhwsink` prints at its end.
#[derive(Debug, Deserialize)]
struct SinkTruth {
    r#in: u64,
    rendered: u64,
    dropped: u64,
}

/// The last line that says the truth.
fn truth<T: for<'a> Deserialize<'a>>(player: &Finished) -> Result<T, Error> {
    let line = player.stdout.lines().rfind(|line| line.starts_with('{'));
    let line = line.ok_or_else(|| player.error("no truth was told"))?;
    serde_json::from_str(line).map_err(|e| player.error(&format!("not the truth: {e}")))
}

/// A hundred pictures in the made-up format, four seconds of them.
const SOURCE: &str =
    "videotestsrc num-buffers=100 ! video/x-raw,width=64,height=48,framerate=25/1 ! stbfaultenc";

#[rstest]
#[case::nothing("", Frames::clean(100))]
#[case::released("release-every=10", Frames { frames_decoded: 90, frames_dropped: 0, frames_failed: 10 })]
#[case::late("late-every=10", Frames { frames_decoded: 90, frames_dropped: 10, frames_failed: 0 })]
#[case::failed("fail-every=10", Frames { frames_decoded: 90, frames_dropped: 0, frames_failed: 10 })]
#[case::corrupted("corrupt-every=10", Frames { frames_decoded: 100, frames_dropped: 0, frames_failed: 10 })]
#[case::slow("sleep-every=10 sleep-ms=20", Frames::clean(100))]
#[case::all_at_once(
    "release-every=7 late-every=5 fail-every=9 corrupt-every=4",
    Frames { frames_decoded: 60, frames_dropped: 18, frames_failed: 37 }
)]
fn each_class_of_a_decoder_is_told_apart(
    #[case] faults: &str,
    #[case] expected: Frames,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let stb = Stb::start()?;
    let run =
        stb.watch(stb.player(way)?.gst_launch(&format!("{SOURCE} ! stbfaultdec {faults} ! fakesink"))?)?;
    let truth: DecoderTruth = truth(&run.player)?;
    assert_eq!(truth.r#in, truth.out + truth.dropped_late + truth.failed, "{truth:?}");
    let told = Frames {
        frames_decoded: truth.out,
        frames_dropped: truth.dropped_late,
        frames_failed: truth.failed + truth.corrupted,
    };
    assert_eq!(run.media.video, told, "the report, against {truth:?}");
    assert_eq!(told, expected, "the truth itself");
    Ok(())
}

#[rstest]
fn an_error_ends_the_session_with_what_was_decoded(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let stb = Stb::start_with(|options| stbeacon_tests::DaemonOptions { extended: true, ..options })?;
    let player = stb.player(way)?.gst_launch(&format!("{SOURCE} ! stbfaultdec error-at=51 ! fakesink"))?;
    let run = stb.watch_failing(player)?;
    assert_eq!(run.player.code(), 1, "gst-launch says so too");
    let truth: DecoderTruth = truth(&run.player)?;
    assert_eq!(run.media.video.frames_decoded, truth.out);
    assert_eq!(run.media.video.frames_failed, truth.failed);
    let qoe = run.media.qoe.ok_or_else(|| Error::new("no extension"))?;
    assert_eq!(qoe.get("close_reason"), Some(&"error".into()), "{qoe}");
    assert_eq!(qoe.get("error_fatal"), Some(&1.into()), "{qoe}");
    Ok(())
}

#[rstest]
#[case::none_dropped("")]
#[case::every_fourth("drop-every=4")]
#[case::with_qos("drop-every=4 qos=true")]
fn a_sink_that_decodes_is_counted(
    #[case] faults: &str,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let stb = Stb::start()?;
    let run = stb.watch(stb.player(way)?.gst_launch(&format!("{SOURCE} ! stbhwsink {faults}"))?)?;
    let truth: SinkTruth = truth(&run.player)?;
    assert_eq!((truth.r#in, truth.rendered), (100, 100 - truth.dropped));
    // The decoder is inside: what came too late to be shown had been decoded.
    let expected = Frames { frames_decoded: truth.r#in, frames_dropped: truth.dropped, frames_failed: 0 };
    assert_eq!(run.media.video, expected, "the report, against {truth:?}");
    Ok(())
}

#[rstest]
fn a_sink_that_decodes_h264_in_a_player(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, None, 75).make()?;
    let stb = Stb::start()?;
    let run = stb.watch(stb.player(way)?.gst_launch(&format!(
        "filesrc location={} ! tsdemux ! h264parse ! stbhwsink drop-every=5",
        clip.path.display()
    ))?)?;
    let truth: SinkTruth = truth(&run.player)?;
    assert_eq!((truth.r#in, truth.dropped), (75, 15));
    let expected = Frames { frames_decoded: truth.r#in, frames_dropped: truth.dropped, frames_failed: 0 };
    assert_eq!(run.media.video, expected);
    Ok(())
}

/// One vendor's `stats` is a pointer: who takes it for a structure crashes.
#[rstest]
fn stats_that_are_a_pointer_are_left_alone(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let stb = Stb::start()?;
    let run = stb.watch(stb.player(way)?.gst_launch(&format!("{SOURCE} ! stbptrsink"))?)?;
    assert_eq!(run.media.video, Frames::clean(100));
    Ok(())
}

/// A slow machine: the sink is late, tells the decoder, and the decoder gives frames up. In the end the decoder
/// says what it gave up, and the sink what it did not show.
#[rstest]
fn late_frames_are_counted_once_wherever_they_are_dropped(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let stb = Stb::start()?;
    let run = stb.watch(stb.player(way)?.gst_launch(&format!(
        "-m {SOURCE} ! stbfaultdec drop-late=true fail-every=30 ! identity sleep-time=60000 \
         ! fakesink name=sink sync=true qos=true max-lateness=20000000"
    ))?)?;
    let truth: DecoderTruth = truth(&run.player)?;
    let at_sink = last_qos_dropped(&run.player.stdout, "\"sink\"");
    assert!(truth.dropped_late > 10, "not late at all: {truth:?}");
    assert_eq!(truth.r#in, truth.out + truth.dropped_late + truth.failed, "{truth:?}");
    let expected = Frames {
        frames_decoded: truth.out,
        frames_dropped: truth.dropped_late + at_sink,
        frames_failed: truth.failed,
    };
    assert_eq!(run.media.video, expected, "the report, against {truth:?} and {at_sink} in the sink");
    Ok(())
}

/// The same with a decoder that is not ours.
#[rstest]
fn late_frames_of_a_real_decoder(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, None, 100).make()?;
    let stb = Stb::start()?;
    let run = stb.watch(stb.player(way)?.gst_launch(&format!(
        "-m filesrc location={} ! tsdemux ! h264parse ! avdec_h264 name=dec ! identity sleep-time=60000 \
         ! fakesink name=sink sync=true qos=true max-lateness=20000000",
        clip.path.display()
    ))?)?;
    let in_decoder = last_qos_dropped(&run.player.stdout, "\"dec\"");
    let at_sink = last_qos_dropped(&run.player.stdout, "\"sink\"");
    assert!(in_decoder + at_sink > 10, "not late at all");
    let Frames { frames_decoded, frames_dropped, frames_failed } = run.media.video;
    let late = frames_dropped - at_sink;
    assert_eq!(frames_decoded + late + frames_failed, clip.video_frames, "{:?}", run.media.video);
    // The stream is sound, so nothing fails; libavcodec skips some inside itself and tells nobody.
    assert_eq!(frames_failed, 0);
    assert!(late >= in_decoder, "the decoder told of {in_decoder}: {:?}", run.media.video);
    Ok(())
}

/// The same without a decoder that could drop: all is the sink's.
#[rstest]
fn late_frames_of_a_sink_alone(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    let stb = Stb::start()?;
    let run = stb.watch(stb.player(way)?.gst_launch(&format!(
        "-m {SOURCE} ! stbfaultdec qos=false ! identity sleep-time=60000 \
         ! fakesink name=sink sync=true qos=true max-lateness=20000000"
    ))?)?;
    let at_sink = last_qos_dropped(&run.player.stdout, "\"sink\"");
    assert!(at_sink > 10, "not late at all");
    let expected = Frames { frames_decoded: 100, frames_dropped: at_sink, frames_failed: 0 };
    assert_eq!(run.media.video, expected);
    Ok(())
}

/// The total of dropped frames that an element told last, as `gst-launch-1.0 -m` prints it.
fn last_qos_dropped(printed: &str, element: &str) -> u64 {
    let told = printed.lines().rfind(|line| line.contains("(qos)") && line.contains(element));
    told.and_then(|line| line.rsplit_once("dropped=(guint64)"))
        .and_then(|(_, rest)| rest.split(';').next())
        .and_then(|number| number.trim().parse().ok())
        .unwrap_or(0)
}
