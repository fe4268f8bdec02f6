//! The player comes first: with and without the tracer it does the same, to the byte.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Clip, Container, Recipe, Video};
use stbeacon_tests::{Artifacts, Error, Finished, Player, PlayerSocket, Way};
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(60);

/// What a player made: every decoded byte, with its time stamps where the sink tells them.
#[derive(PartialEq, Eq)]
struct Output {
    code: i32,
    printed: String,
    complained: String,
    video: Vec<u8>,
    audio: Vec<u8>,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output")
            .field("code", &self.code)
            .field("printed", &self.printed.len())
            .field("complained", &self.complained)
            .field("video", &self.video.len())
            .field("audio", &self.audio.len())
            .finish()
    }
}

struct Desk {
    dir: TempDir,
    socket: PlayerSocket,
}

impl Desk {
    fn new() -> Result<Self, Error> {
        let dir = tempfile::tempdir().map_err(|e| Error::io("no directory", e))?;
        Ok(Self { dir, socket: PlayerSocket::listen()? })
    }

    fn player(&self, way: Way) -> Result<Player, Error> {
        Ok(Player::new(way)?.socket(self.socket.path()))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn output(&self, finished: &Finished) -> Output {
        let read = |name| std::fs::read(self.file(name)).unwrap_or_default();
        Output {
            code: finished.code(),
            printed: finished.stdout.clone(),
            complained: without_times(&finished.stderr),
            video: read("video.raw"),
            audio: read("audio.raw"),
        }
    }

    fn run(&self, player: &Player, words: &[String]) -> Result<Output, Error> {
        let finished = player.start("gst-launch-1.0", words)?.wait(LIMIT)?;
        let output = self.output(&finished);
        for name in ["video.raw", "audio.raw"] {
            let _ = std::fs::remove_file(self.file(name));
        }
        Ok(output)
    }
}

/// GStreamer prints how long it played; that is never the same.
fn without_times(text: &str) -> String {
    text.lines().filter(|line| !line.contains("Execution ended after")).collect::<Vec<_>>().join("\n")
}

#[derive(Debug, Clone, Copy)]
enum Built {
    ByHand,
    Playbin,
    Playbin3,
    Checksums,
    Teed,
}

impl Built {
    fn words(self, desk: &Desk, clip: &Clip) -> Vec<String> {
        let (video, audio) = (desk.file("video.raw"), desk.file("audio.raw"));
        let (video, audio, path) = (video.display(), audio.display(), clip.path.display());
        let split = |text: String| text.split_whitespace().map(str::to_owned).collect();
        let bin = |bin: &str| {
            vec![
                "-q".to_owned(),
                bin.to_owned(),
                format!("uri={}", clip.uri()),
                format!("video-sink=filesink location={video}"),
                format!("audio-sink=filesink location={audio}"),
            ]
        };
        match self {
            Self::ByHand => split(format!(
                "-q filesrc location={path} ! tsdemux name=d \
                 d. ! queue ! h264parse ! avdec_h264 ! filesink location={video} \
                 d. ! queue ! aacparse ! avdec_aac ! filesink location={audio}"
            )),
            Self::Playbin => bin("playbin"),
            Self::Playbin3 => bin("playbin3"),
            // A file's sink shows nothing, so nobody watches it; beside it is one that counts as a screen.
            Self::Teed => split(format!(
                "-q filesrc location={path} ! tsdemux name=d \
                 d. ! queue ! h264parse ! avdec_h264 ! tee name=v ! queue ! filesink location={video} \
                 v. ! queue ! fakesink \
                 d. ! queue ! aacparse ! avdec_aac ! tee name=a ! queue ! filesink location={audio} \
                 a. ! queue ! fakesink"
            )),
            // Prints time stamp and checksum of every frame.
            Self::Checksums => split(format!(
                "-q filesrc location={path} ! tsdemux ! h264parse ! avdec_h264 ! checksumsink sync=false"
            )),
        }
    }
}

#[rstest]
fn every_decoded_byte_is_the_same(
    #[values(Built::ByHand, Built::Playbin, Built::Playbin3, Built::Checksums)] built: Built,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    let desk = Desk::new()?;
    let words = built.words(&desk, &clip);
    let alone = desk.run(&desk.player(Way::Unwatched)?, &words)?;
    assert!(!alone.video.is_empty() || !alone.printed.is_empty(), "nothing was played: {alone:?}");
    assert_eq!(alone.code, 0);
    let watched = desk.run(&desk.player(way)?, &words)?;
    assert!(watched == alone, "{watched:?} is not {alone:?}");
    desk.socket.only_session(LIMIT)?;
    Ok(())
}

/// A player that fails fails in the same way, and says the same.
#[rstest]
#[case::no_such_file("filesrc location=/nowhere.ts ! tsdemux ! fakesink")]
#[case::no_such_element("filesrc location=/nowhere.ts ! nosuchelement ! fakesink")]
#[case::no_stream("playbin uri=file:///etc/passwd video-sink=fakesink audio-sink=fakesink")]
#[case::decoder_error(
    "videotestsrc num-buffers=50 ! video/x-raw,width=64,height=48 ! stbfaultenc ! stbfaultdec error-at=20 ! fakesink"
)]
fn failures_are_the_same(
    #[case] pipeline: &str,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let desk = Desk::new()?;
    let words: Vec<_> = ["-q"].into_iter().chain(pipeline.split_whitespace()).map(str::to_owned).collect();
    let alone = desk.run(&desk.player(Way::Unwatched)?, &words)?;
    assert_ne!(alone.code, 0);
    let watched = desk.run(&desk.player(way)?, &words)?;
    assert_eq!(watched.code, alone.code);
    assert_eq!(first_error(&watched.complained), first_error(&alone.complained));
    Ok(())
}

/// What it failed of. How many elements get to complain after that is a race between their threads.
fn first_error(text: &str) -> Option<&str> {
    text.lines().find(|line| line.contains("ERROR") || line.contains("erroneous"))
}

/// A panic in a probe takes the tracer out of use, and nothing else.
#[rstest]
fn a_panic_in_a_probe_leaves_the_player_playing(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let built = Built::Teed;
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    let desk = Desk::new()?;
    let words = built.words(&desk, &clip);
    let alone = desk.run(&desk.player(Way::Unwatched)?, &words)?;
    let panicking = desk
        .player(way)?
        .tracer(Artifacts::find()?.panicking_tracer()?)
        .env("STBEACON_TEST_PANIC", "1")
        .env("GST_DEBUG", "stbeacon:1");
    let mut watched = desk.run(&panicking, &words)?;
    assert!(!alone.video.is_empty() && !alone.audio.is_empty(), "{alone:?}");
    let said = watched.complained.lines().filter(|line| line.contains("a bug of stbeacon")).count();
    assert_eq!(said, 1, "told once, not {said} times:\n{}", watched.complained);
    watched.complained.clear();
    assert!(watched == Output { complained: String::new(), ..alone }, "{watched:?}");
    Ok(())
}

/// The scanner and the inspector load the plug-in too; nobody is told anything then.
#[test]
fn tools_that_only_look_are_not_watched() -> Result<(), Error> {
    let desk = Desk::new()?;
    let registry = desk.file("registry");
    for way in [Way::Tracers, Way::Preload] {
        let player = desk.player(way)?.env("GST_REGISTRY", &registry.to_string_lossy());
        player.start("gst-inspect-1.0", ["fakesink"])?.wait(LIMIT)?.success()?;
        let _ = std::fs::remove_file(&registry);
    }
    assert_eq!(desk.socket.connections(), (0, 0));
    Ok(())
}

/// A child of the player has no ticker thread and must not speak for its parent.
#[rstest]
fn a_fork_is_survived(#[values(Way::Tracers, Way::Preload)] way: Way) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    let desk = Desk::new()?;
    let program = r#"
import os, sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
def play():
    player = Gst.parse_launch("playbin uri=%s video-sink=fakesink audio-sink=fakesink" % sys.argv[1])
    player.set_state(Gst.State.PLAYING)
    message = player.get_bus().timed_pop_filtered(30 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
    player.set_state(Gst.State.NULL)
    return 0 if message and message.type == Gst.MessageType.EOS else 1
before = play()
child = os.fork()
if child == 0:
    os._exit(7)
_, status = os.waitpid(child, 0)
sys.exit(play() + before + (0 if os.waitstatus_to_exitcode(status) == 7 else 1))
"#;
    desk.player(way)?.python(program, [clip.uri().as_str()])?.wait(LIMIT)?.success()?;
    let sessions = desk.socket.finish(LIMIT)?;
    assert_eq!(sessions.len(), 2, "{}", desk.socket.log());
    for (id, session) in sessions {
        assert_eq!((session.opens, session.closes.len()), (1, 1), "{id}");
        assert_eq!(session.counters.video.decoded, clip.video_frames, "{id}");
    }
    Ok(())
}

/// Nobody listens, and the picture is the same.
#[rstest]
#[case::no_directory("/nowhere/player.sock")]
#[case::no_socket("/etc/passwd")]
fn without_a_daemon_it_plays_the_same(
    #[case] socket: &str,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).in_container(Container::Mkv).make()?;
    let desk = Desk::new()?;
    let words = Built::Playbin.words(&desk, &clip);
    let alone = desk.run(&desk.player(Way::Unwatched)?, &words)?;
    let watched = desk.run(&Player::new(way)?.socket(Path::new(socket)), &words)?;
    assert!(watched == alone, "{watched:?} is not {alone:?}");
    Ok(())
}
