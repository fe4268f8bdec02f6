//! The commands with which an integrator tries it out: `play` and `doctor`.

use std::time::Duration;

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Recipe, Video};
use stbeacon_tests::report::Frames;
use stbeacon_tests::{Artifacts, Error, Finished, Stb, Way, wait};

/// How long a player may take to come up.
const LIMIT: Duration = Duration::from_secs(30);

/// `play` sets everything up by itself, by either way in, and exits as the player does.
#[rstest]
#[case::tracer("play", None)]
#[case::preload("play-preload", Some("--preload"))]
fn play_is_seen(#[case] registry: &str, #[case] preload: Option<&str>) -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    let stb = Stb::start()?;
    let artifacts = Artifacts::find()?;
    let (plugin, socket) = (artifacts.tracer()?, stb.daemon.socket());
    let (plugin, socket, path) =
        (plugin.to_string_lossy(), socket.to_string_lossy(), clip.path.to_string_lossy());
    let args = ["play", "--plugin", &plugin, "--socket", &socket, "--headless", &path];
    let player = stb
        .player(Way::Unwatched)?
        .env("GST_REGISTRY", &artifacts.scratch("registry")?.join(registry).to_string_lossy())
        .start(artifacts.daemon()?, args.into_iter().chain(preload))?;
    let run = stb.watch(player)?;
    assert_eq!(run.media.video, Frames::clean(clip.video_frames));
    assert_eq!(run.media.audio, Frames::clean(clip.audio_frames[0]));
    Ok(())
}

/// `doctor` names the obstacle, and finds none where there is none.
#[rstest]
#[case::seen(Way::Tracers, 0, "the plug-in is loaded into gst-launch-1.0")]
#[case::preloaded(Way::Preload, 0, "the plug-in is loaded into gst-launch-1.0")]
#[case::unseen(Way::Unwatched, 3, "was started without GST_TRACERS and LD_PRELOAD")]
fn doctor_says_whether_a_player_is_seen(
    #[case] way: Way,
    #[case] code: i32,
    #[case] says: &str,
) -> Result<(), Error> {
    let stb = Stb::start()?;
    let player = stb.player(way)?.gst_launch("-v videotestsrc is-live=true ! fakesink")?;
    wait::until("the player to play", LIMIT, || {
        player.stdout().contains("caps = video/x-raw").then_some(())
    })?;
    let doctor: Finished = stb.daemon.command(&["doctor", &player.pid().to_string()])?;
    assert_eq!(doctor.code(), code, "{}", doctor.stdout);
    assert!(doctor.stdout.contains(says), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("the daemon answers on"), "{}", doctor.stdout);
    Ok(())
}

/// A process that plays nothing, and one that is not there.
#[test]
fn doctor_knows_what_is_no_player() -> Result<(), Error> {
    let stb = Stb::start()?;
    let doctor = stb.daemon.command(&["doctor", &std::process::id().to_string()])?;
    assert_eq!(doctor.code(), 3, "{}", doctor.stdout);
    assert!(doctor.stdout.contains("it is no GStreamer player"), "{}", doctor.stdout);
    let doctor = stb.daemon.command(&["doctor", "4194305"])?;
    assert_eq!(doctor.code(), 3);
    assert!(doctor.stderr.contains("there is no such process"), "{}", doctor.stderr);
    Ok(())
}

/// Without a daemon the remedy is to start it.
#[test]
fn doctor_misses_the_daemon() -> Result<(), Error> {
    let stb = Stb::start()?;
    let nowhere = format!("{}.not", stb.daemon.socket().display());
    let doctor = stb.daemon.command(&["doctor", "--socket", &nowhere, &std::process::id().to_string()])?;
    assert_eq!(doctor.code(), 3);
    assert!(doctor.stdout.contains("start the daemon"), "{}", doctor.stdout);
    Ok(())
}
