//! Clips of known length, played whole: every figure is known beforehand.

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Clip, Container, Recipe, Video};
use stbeacon_tests::report::Frames;
use stbeacon_tests::{Error, Player, Process, Run, Stb, Way};

/// Players that decode every track of a file.
#[derive(Debug, Clone, Copy)]
enum With {
    Playbin,
    Playbin3,
    Uridecodebin,
    Uridecodebin3,
    GstPlay,
    Python,
    Appsrc,
}

impl With {
    fn start(self, player: &Player, clip: &Clip) -> Result<Process, Error> {
        let uri = clip.uri();
        let sinks = "video-sink=fakesink audio-sink=fakesink";
        match self {
            Self::Playbin => player.gst_launch(&format!("playbin uri={uri} {sinks}")),
            Self::Playbin3 => player.gst_launch(&format!("playbin3 uri={uri} {sinks}")),
            Self::Uridecodebin => {
                player.gst_launch(&format!("uridecodebin uri={uri} name=d {}", branches(clip)))
            }
            Self::Uridecodebin3 => {
                player.gst_launch(&format!("uridecodebin3 uri={uri} name=d {}", branches(clip)))
            }
            Self::GstPlay => player.gst_play([uri.as_str()]),
            Self::Python => player.python(PYTHON_PLAYER, [uri.as_str()]),
            Self::Appsrc => player.python(PYTHON_APPSRC, [&*clip.path.to_string_lossy()]),
        }
    }
}

/// A sink for each track that a decode bin shows.
fn branches(clip: &Clip) -> String {
    let video = if clip.video_frames > 0 { "d. ! queue ! video/x-raw ! fakesink " } else { "" };
    let audio = "d. ! queue ! audio/x-raw ! fakesink ".repeat(clip.audio_frames.len());
    format!("{video}{audio}")
}

const PYTHON_PLAYER: &str = r#"
import sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
player = Gst.ElementFactory.make("playbin")
player.props.uri = sys.argv[1]
player.props.video_sink = Gst.ElementFactory.make("fakesink")
player.props.audio_sink = Gst.ElementFactory.make("fakesink")
player.set_state(Gst.State.PLAYING)
message = player.get_bus().timed_pop_filtered(30 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
player.set_state(Gst.State.NULL)
sys.exit(0 if message and message.type == Gst.MessageType.EOS else 1)
"#;

const PYTHON_APPSRC: &str = r#"
import sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
pipeline = Gst.parse_launch("appsrc name=src format=bytes max-bytes=100000 block=true ! decodebin name=d "
    "d. ! queue ! video/x-raw ! fakesink d. ! queue ! audio/x-raw ! fakesink")
source = pipeline.get_by_name("src")
pipeline.set_state(Gst.State.PLAYING)
with open(sys.argv[1], "rb") as clip:
    while chunk := clip.read(188 * 7):
        source.emit("push-buffer", Gst.Buffer.new_wrapped(chunk))
source.emit("end-of-stream")
message = pipeline.get_bus().timed_pop_filtered(30 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
pipeline.set_state(Gst.State.NULL)
sys.exit(0 if message and message.type == Gst.MessageType.EOS else 1)
"#;

/// Everything of the clip came out, and nothing was wrong with it.
fn is_whole(run: &Run, clip: &Clip) {
    let Run { media, span: (begin, end), .. } = run;
    assert_eq!(media.video, Frames::clean(clip.video_frames), "video");
    assert_eq!(media.audio, Frames::clean(clip.audio_frames.iter().sum()), "audio");
    assert_eq!(media.discontinuties, 0);
    // How long the player takes to its first picture is the machine's affair; seconds are rounded.
    let times = [*begin - 1, media.begin, media.end, *end + 1];
    assert!(times.is_sorted(), "begin and end of the player, and of its session in between: {times:?}");
}

#[rstest]
fn every_player_is_seen_whole(
    #[values(Way::Tracers, Way::Preload)] way: Way,
    #[values(
        With::Playbin,
        With::Playbin3,
        With::Uridecodebin,
        With::Uridecodebin3,
        With::GstPlay,
        With::Python,
        With::Appsrc
    )]
    with: With,
) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    let stb = Stb::start()?;
    let run = stb.watch(with.start(&stb.player(way)?, &clip)?)?;
    is_whole(&run, &clip);
    let url = if matches!(with, With::Appsrc) { String::new() } else { clip.uri() };
    assert_eq!(run.media.url, url);
    Ok(())
}

#[rstest]
#[case::mpeg2_mp2(Recipe::ts(Video::Mpeg2, Audio::Mp2, 75))]
#[case::mpeg2_ac3(Recipe::ts(Video::Mpeg2, Audio::Ac3, 75))]
#[case::h264_ac3(Recipe::ts(Video::H264, Audio::Ac3, 75))]
#[case::h264_mp3(Recipe::ts(Video::H264, Audio::Mp3, 75))]
#[case::video_only(Recipe::ts(Video::H264, None, 75))]
#[case::aac_only(Recipe::ts(None, Audio::Aac, 75))]
#[case::ac3_only(Recipe::ts(None, Audio::Ac3, 75))]
#[case::mp4(Recipe::ts(Video::H264, Audio::Aac, 75).in_container(Container::Mp4))]
#[case::mkv(Recipe::ts(Video::H264, Audio::Aac, 75).in_container(Container::Mkv))]
fn every_codec_is_counted(
    #[case] recipe: Recipe,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = recipe.make()?;
    let stb = Stb::start()?;
    let run = stb.watch(With::Playbin3.start(&stb.player(way)?, &clip)?)?;
    is_whole(&run, &clip);
    Ok(())
}

#[rstest]
#[case::h264_aac(Video::H264, Audio::Aac, "h264parse ! avdec_h264", "aacparse ! avdec_aac")]
#[case::h264_mp3(Video::H264, Audio::Mp3, "h264parse ! openh264dec", "mpegaudioparse ! avdec_mp3")]
#[case::mpeg2_mp2(
    Video::Mpeg2,
    Audio::Mp2,
    "mpegvideoparse ! avdec_mpeg2video",
    "mpegaudioparse ! mpg123audiodec"
)]
#[case::mpeg2_ac3(Video::Mpeg2, Audio::Ac3, "mpegvideoparse ! mpeg2dec", "ac3parse ! a52dec")]
fn hand_built_pipelines_too(
    #[case] video: Video,
    #[case] audio: Audio,
    #[case] video_decoder: &str,
    #[case] audio_decoder: &str,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = Recipe::ts(video, audio, 75).make()?;
    let stb = Stb::start()?;
    let run = stb.watch(stb.player(way)?.gst_launch(&format!(
        "filesrc location={} ! tsdemux name=d d. ! queue ! {video_decoder} ! fakesink \
         d. ! queue ! {audio_decoder} ! fakesink",
        clip.path.display()
    ))?)?;
    is_whole(&run, &clip);
    Ok(())
}

#[rstest]
fn all_tracks_count_together(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    let mut recipe = Recipe::ts(Video::H264, Audio::Aac, 75);
    recipe.audio = vec![Audio::Aac, Audio::Mp2, Audio::Ac3];
    let clip = recipe.make()?;
    assert_eq!(clip.audio_frames.len(), 3);
    let stb = Stb::start()?;
    let run = stb.watch(With::Uridecodebin.start(&stb.player(way)?, &clip)?)?;
    is_whole(&run, &clip);
    Ok(())
}

/// In real time: the rate and the times can be known only then.
#[rstest]
fn rate_and_times_are_right(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 150).make()?;
    let stb = Stb::start()?;
    let sinks = ["--videosink=fakesink sync=true", "--audiosink=fakesink sync=true", "--no-interactive"];
    let args = sinks.into_iter().map(str::to_owned).chain([clip.uri()]);
    let run = stb.watch(stb.player(way)?.start("gst-play-1.0", args)?)?;
    is_whole(&run, &clip);

    let seconds = 150.0 / 25.0;
    let expected = clip.bytes as f64 * 8.0 / seconds;
    let off = run.media.avg_bitrate as f64 / expected - 1.0;
    assert!(off.abs() <= 0.01, "avg_bitrate {} is not about {expected}", run.media.avg_bitrate);
    assert!((run.media.end - run.media.begin).abs_diff(6) <= 1);
    Ok(())
}
