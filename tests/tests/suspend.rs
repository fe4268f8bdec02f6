//! The box sleeps while something plays, and wakes up.
//!
//! A library of ours stands in for the clocks of the daemon and of the player; all else is real.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rstest::rstest;
use stbeacon_tests::clips::{Audio, Clip, Recipe, Video};
use stbeacon_tests::report::Frames;
use stbeacon_tests::{
    Answer, Daemon, DaemonOptions, Error, FakeSuspend, Media, Player, PlayerSocket, Process, Receiver, Stb,
    Way, wait,
};

const LIMIT: Duration = Duration::from_secs(30);

const HOUR: Duration = Duration::from_secs(3600);

/// Six seconds in real time.
fn clip() -> Result<Clip, Error> {
    Recipe::ts(Video::H264, Audio::Aac, 150).make()
}

fn stb(fake: &FakeSuspend, change: impl FnOnce(DaemonOptions) -> DaemonOptions) -> Result<Stb, Error> {
    Stb::start_with(|options| change(DaemonOptions { env: fake.env(), extended: true, ..options }))
}

/// Plays in real time, on a box that can be put to sleep.
fn play(player: Player, fake: &FakeSuspend, clip: &Clip) -> Result<Process, Error> {
    let player = fake.env().iter().fold(player, |player, (name, value)| player.env(name, value));
    let sinks = ["--videosink=fakesink sync=true", "--audiosink=fakesink sync=true", "--no-interactive"];
    player.start("gst-play-1.0", sinks.into_iter().map(str::to_owned).chain([clip.uri()]))
}

fn wait_position(player: &Process, second: u32) -> Result<(), Error> {
    let reached = format!("0:00:0{second}");
    wait::until("the player to get there", LIMIT, || player.stdout().contains(&reached).then_some(()))
        .map_err(|e| player.error(&e.to_string()))
}

fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A number of the report's extension.
fn qoe(media: &Media, field: &str) -> u64 {
    media.qoe.as_ref().and_then(|qoe| qoe.get(field)?.as_u64()).unwrap_or_default()
}

/// What plays when the box falls asleep for long ends there; what plays when it wakes up is another session.
#[test]
fn a_long_sleep_parts_a_play_back_in_two() -> Result<(), Error> {
    let clip = clip()?;
    let mut fake = FakeSuspend::new()?;
    let stb = stb(&fake, |options| options)?;
    let began = unix_now();
    let player = play(stb.player(Way::Tracers)?, &fake, &clip)?;
    wait_position(&player, 2)?;
    let asleep = unix_now();
    fake.sleep(HOUR)?;
    let finished = player.wait(LIMIT)?.success()?;
    let ended = unix_now() + HOUR.as_secs();

    let media = stb
        .receiver
        .wait_for_media(2, LIMIT)
        .map_err(|e| e.with_log("daemon", &stb.daemon.log()).with_log("player", &finished.stderr))?;
    assert_eq!(media.len(), 2, "{media:#?}");
    let [before, after] = [&media[0], &media[1]];
    assert!((began..=began + 2).contains(&before.begin), "{before:?} began at {began}");
    assert!(before.end.abs_diff(asleep) <= 1, "{before:?} slept at {asleep}");
    assert!(after.begin >= asleep + HOUR.as_secs(), "{after:?} woke at {asleep} + 1 h");
    assert!(after.end.abs_diff(ended) <= 1, "{after:?} ended at {ended}");
    let reason =
        |media: &Media| media.qoe.as_ref().and_then(|qoe| Some(qoe.get("close_reason")?.to_string()));
    assert_eq!(reason(before).as_deref(), Some("\"suspended\""));
    assert_eq!(reason(after).as_deref(), Some("\"end\""));
    let played = qoe(before, "playing_ms") + qoe(after, "playing_ms");
    assert!((4_000..=6_500).contains(&played), "{played} ms played of 6 s: {media:#?}");
    // What came between waking up and the end of the first session is in no report: a second of it at most.
    let frames = before.video.frames_decoded + after.video.frames_decoded;
    assert!((clip.video_frames - 30..=clip.video_frames).contains(&frames), "{media:#?}");
    assert!(media.iter().all(|media| media.video.frames_decoded > 10 && media.video.frames_failed == 0));
    Ok(())
}

/// The same where no daemon was there to see it.
#[test]
fn a_long_sleep_without_a_daemon_is_told_to_the_next_one() -> Result<(), Error> {
    let clip = clip()?;
    let mut fake = FakeSuspend::new()?;
    let dir = tempfile::tempdir().map_err(|e| Error::io("no directory", e))?;
    let path = dir.path().join("player.sock");
    let player = play(Player::new(Way::Tracers)?.socket(&path), &fake, &clip)?;
    wait_position(&player, 2)?;
    fake.sleep(HOUR)?;
    wait_position(&player, 4)?;
    let socket = PlayerSocket::listen_at(&path)?;
    // A nap, in which the plug-in's patience ends: it tries again.
    fake.sleep(Duration::from_secs(20))?;
    player.wait(LIMIT)?.success()?;
    let sessions = socket.finish(LIMIT)?;
    let decoded: Vec<_> = sessions.iter().map(|(_, session)| session.counters.video.decoded).collect();
    assert_eq!(decoded.len(), 2, "{}", socket.log());
    assert!(decoded.iter().all(|decoded| *decoded > 10), "{decoded:?}");
    assert_eq!(decoded.iter().sum::<u64>(), clip.video_frames, "the tracer itself misses none");
    Ok(())
}

/// A nap is a pause.
#[rstest]
fn through_a_short_sleep_a_session_goes_on(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let mut fake = FakeSuspend::new()?;
    let stb = stb(&fake, |options| options)?;
    let player = play(stb.player(way)?, &fake, &clip)?;
    wait_position(&player, 2)?;
    fake.sleep(Duration::from_secs(20))?;
    let run = stb.watch(player)?;
    assert_eq!(run.media.video, Frames::clean(clip.video_frames));
    assert_eq!(run.media.audio, Frames::clean(clip.audio_frames[0]));
    assert!((run.media.end - run.media.begin).abs_diff(26) <= 1, "{:?}", run.media);
    assert_eq!((qoe(&run.media, "pauses"), qoe(&run.media, "rebuffers")), (1, 0), "{:?}", run.media);
    assert!(qoe(&run.media, "paused_ms").abs_diff(20_000) < 1_000, "{:?}", run.media);
    assert!(qoe(&run.media, "playing_ms").abs_diff(6_000) < 1_500, "{:?}", run.media);
    Ok(())
}

/// What would have been done many times while the box slept is done once when it wakes up.
#[test]
fn what_was_slept_through_is_not_made_up_for() -> Result<(), Error> {
    let mut fake = FakeSuspend::new()?;
    let receiver = Receiver::start()?;
    let options = DaemonOptions {
        env: fake.env(),
        network_period: 60,
        interfaces: "lo".to_owned(),
        ..DaemonOptions::media_only(receiver.url())
    };
    let daemon = Daemon::with(options)?;
    // Once it answers, it looks at its clocks.
    look(&daemon)?;
    // A server that fails: the first attempt is made, and the second would be made in some seconds.
    receiver.answer_with((0..2).map(|_| Answer::status(503)));
    fake.sleep(Duration::from_secs(61))?;
    look(&daemon)?;
    wait::until("the first post", LIMIT, || (receiver.posts().len() == 1).then_some(()))
        .map_err(|e| e.with_log("daemon", &daemon.log()))?;
    fake.sleep(HOUR)?;
    look(&daemon)?;
    wait::until("the second post", LIMIT, || (receiver.posts().len() == 2).then_some(()))
        .map_err(|e| e.with_log("daemon", &daemon.log()))?;
    fake.sleep(HOUR)?;
    look(&daemon)?;
    // One of the first minute, one after each hour.
    wait::until("three samples", LIMIT, || (receiver.network().len() >= 3).then_some(()))
        .map_err(|e| e.with_log("daemon", &daemon.log()))?;
    let network = receiver.network();
    let times: BTreeSet<_> = network.iter().map(|network| network.timestamp / 600).collect();
    assert_eq!((network.len(), times.len()), (3, 3), "{network:#?}");
    // Two that failed; what has failed twice goes in parts, three at most.
    assert!(receiver.posts().len() <= 5, "{:#?}", receiver.posts());
    Ok(())
}

/// The daemon looks at its clocks when it is asked something; else it would in half a minute.
fn look(daemon: &Daemon) -> Result<(), Error> {
    daemon.command(&["status"])?.success().map(drop)
}
