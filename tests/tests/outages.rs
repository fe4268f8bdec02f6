//! The daemon goes away, hangs, comes back: the player notices nothing, and the report is complete.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use nix::sys::signal::Signal;
use rstest::rstest;
use socket2::{Domain, SockAddr, Socket, Type};
use stbeacon_core::player::{Event, MAX_DATAGRAM, Message, Reply, SessionEvent, SessionId};
use stbeacon_core::time::Millis;
use stbeacon_tests::clips::{Audio, Clip, Recipe, Video};
use stbeacon_tests::report::Frames;
use stbeacon_tests::{Daemon, DaemonOptions, Error, Player, PlayerSocket, Process, Receiver, Stb, Way, wait};

const LIMIT: Duration = Duration::from_secs(30);

/// Six seconds in real time.
fn clip() -> Result<Clip, Error> {
    Recipe::ts(Video::H264, Audio::Aac, 150).make()
}

/// Plays in real time, so that something can happen meanwhile.
fn real_time(player: &Player, clip: &Clip) -> Result<Process, Error> {
    let sinks = ["--videosink=fakesink sync=true", "--audiosink=fakesink sync=true", "--no-interactive"];
    player.start("gst-play-1.0", sinks.into_iter().map(str::to_owned).chain([clip.uri()]))
}

/// Waits until the daemon knows that something plays.
fn wait_playing(daemon: &Daemon) -> Result<(), Error> {
    wait::until("a session in the daemon's status", LIMIT, || {
        let status = daemon.command(&["status", "--json"]).ok()?;
        status.stdout.contains("\"playing\"").then_some(())
    })
    .map_err(|e| e.with_log("daemon", &daemon.log()))
}

/// Waits until playback is so far, by the player's own word.
fn wait_position(player: &Process, second: u32) -> Result<(), Error> {
    let reached = format!("0:00:0{second}");
    wait::until("the player to get there", LIMIT, || player.stdout().contains(&reached).then_some(()))
        .map_err(|e| player.error(&e.to_string()))
}

fn is_whole(video: Frames, audio: Frames, clip: &Clip) {
    assert_eq!(video, Frames::clean(clip.video_frames));
    assert_eq!(audio, Frames::clean(clip.audio_frames[0]));
}

#[rstest]
fn a_daemon_killed_and_restarted_reports_the_whole_session(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let Stb { receiver, daemon } = Stb::start()?;
    let player = real_time(&Player::new(way)?.socket(&daemon.socket()), &clip)?;
    wait_playing(&daemon)?;
    wait_position(&player, 1)?;
    let daemon = daemon.kill_and_restart()?;
    let stb = Stb { receiver, daemon };
    let run = stb.watch(player)?;
    is_whole(run.media.video, run.media.audio, &clip);
    assert!((run.media.end - run.media.begin).abs_diff(6) <= 1, "{:?}", run.media);
    Ok(())
}

/// One that is asked to stop reports what there was; what comes after is told by the next.
#[rstest]
fn a_daemon_restarted_politely_reports_in_two_parts(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let Stb { receiver, daemon } = Stb::start()?;
    let player = real_time(&Player::new(way)?.socket(&daemon.socket()), &clip)?;
    wait_playing(&daemon)?;
    wait_position(&player, 2)?;
    let daemon = daemon.restart()?;
    player.wait(LIMIT)?.success()?;
    let media = receiver
        .wait_for_media(2, Duration::from_secs(10))
        .map_err(|e| e.with_log("daemon", &daemon.log()))?;
    let sum = |field: fn(&stbeacon_tests::Media) -> u64| media.iter().map(field).sum::<u64>();
    assert_eq!(media.len(), 2);
    assert!(media.iter().all(|part| part.video.frames_decoded > 10), "both parts have something: {media:#?}");
    assert_eq!(sum(|m| m.video.frames_decoded), clip.video_frames);
    assert_eq!(sum(|m| m.audio.frames_decoded), clip.audio_frames[0]);
    assert_eq!(sum(|m| m.video.frames_dropped + m.video.frames_failed + m.discontinuties), 0);
    Ok(())
}

/// The daemon's end, which takes what comes and stops in the middle of it.
struct Halting(Socket);

impl Halting {
    fn listen(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(8)?;
        socket.set_read_timeout(Some(LIMIT))?;
        Ok(Self(socket))
    }

    /// The next player's messages, until it goes or `is_enough`; and the connection.
    fn take(&self, is_enough: impl Fn(&[Message]) -> bool) -> io::Result<(Socket, Vec<Message>)> {
        let (mut player, _) = self.0.accept()?;
        player.set_read_timeout(Some(LIMIT))?;
        let mut messages = Vec::new();
        let mut buffer = vec![0; MAX_DATAGRAM];
        while !is_enough(&messages) {
            let length = player.read(&mut buffer)?;
            if length == 0 {
                break;
            }
            messages.push(Message::decode(&buffer[..length]).map_err(io::Error::other)?);
        }
        Ok((player, messages))
    }
}

/// When counters were told, of which session, and how many pictures they say were decoded.
fn counted(messages: &[Message]) -> Vec<(Millis, SessionId, u64)> {
    let counters = messages.iter().filter_map(|message| match &message.event {
        Event::Session(id, SessionEvent::Counters(counters)) => {
            Some((message.at, id.clone(), counters.video.decoded))
        }
        _ => None,
    });
    counters.filter(|(.., decoded)| *decoded > 0).collect()
}

/// A daemon stops before it has read all that a player said: what it had not read belongs to the next session.
#[rstest]
fn what_a_stopping_daemon_has_not_read_is_told_to_the_next(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Box<dyn std::error::Error>> {
    let clip = clip()?;
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("player.sock");
    let daemon = Halting::listen(&path)?;
    let player = real_time(&Player::new(way)?.socket(&path), &clip)?;
    let (connection, messages) = daemon.take(|messages| counted(messages).len() == 3)?;
    let counted_then = counted(&messages);
    let [(at, session, reported), _, (_, _, told)] = &counted_then[..] else { panic!("{counted_then:?}") };
    assert!(told > reported, "something was told that is in no report: {counted_then:?}");

    let mut datagram = Vec::new();
    Reply::Reported { session: session.clone(), counted: *at }.encode(*at, &mut datagram);
    connection.send(&datagram)?;
    let (_, messages) = daemon.take(|_| false)?;
    player.wait(LIMIT)?.success()?;
    let counted_later = counted(&messages);
    let (_, next, decoded) = counted_later.last().ok_or("nothing was told to the next")?;
    assert_ne!(next, session);
    assert_eq!(reported + decoded, clip.video_frames, "{counted_then:?} {counted_later:?}");
    Ok(())
}

/// A daemon that hangs does not make the player wait: for an answer it would wait for ever, and for room in the socket see
/// `stalls`, where there is none. Once the daemon goes on, it has missed nothing.
#[rstest]
fn a_daemon_that_hangs_does_not_hold_the_player(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let stb = Stb::start()?;
    let player = real_time(&stb.player(way)?, &clip)?;
    wait_playing(&stb.daemon)?;
    stb.daemon.process().signal(Signal::SIGSTOP)?;
    let finished = player.wait(LIMIT)?.success()?;
    stb.daemon.process().signal(Signal::SIGCONT)?;
    let media = stb
        .receiver
        .wait_for_media(1, Duration::from_secs(10))
        .map_err(|e| e.with_log("player", &finished.stderr).with_log("daemon", &stb.daemon.log()))?;
    is_whole(media[0].video, media[0].audio, &clip);
    Ok(())
}

/// A listener that never takes a connection, as the worst daemon would: the player plays on.
#[rstest]
fn a_daemon_that_never_was_there_costs_nothing(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let stb = Stb::start()?;
    let socket = stb.daemon.socket();
    stb.daemon.process().signal(Signal::SIGSTOP)?;
    real_time(&Player::new(way)?.socket(&socket), &clip)?.wait(LIMIT)?.success()?;
    Ok(())
}

#[rstest]
fn a_socket_that_is_removed_in_mid_play_changes_nothing(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let stb = Stb::start()?;
    let player = real_time(&stb.player(way)?, &clip)?;
    wait_playing(&stb.daemon)?;
    fs::remove_file(stb.daemon.socket()).map_err(|e| Error::io("cannot remove", e))?;
    let run = stb.watch(player)?;
    is_whole(run.media.video, run.media.audio, &clip);
    Ok(())
}

/// The daemon starts after the player: the session is told from its real beginning.
#[rstest]
fn a_daemon_that_comes_late_hears_everything(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let dir = tempfile::tempdir().map_err(|e| Error::io("no directory", e))?;
    let path = dir.path().join("player.sock");
    let player = real_time(&Player::new(way)?.socket(&path), &clip)?;
    wait_position(&player, 1)?;
    let socket = PlayerSocket::listen_at(&path)?;
    player.wait(LIMIT)?.success()?;
    let session = socket.only_session(LIMIT)?;
    assert_eq!(session.counters.video.decoded, clip.video_frames);
    assert_eq!(session.counters.audio.decoded, clip.audio_frames[0]);
    let heard = socket.heard();
    let at = |kind: &str| heard.iter().find(|h| h.raw.contains(kind)).map(|h| h.message.at.0);
    let (open, close) = (at("\"open\"").unwrap_or(0), at("\"close\"").unwrap_or(0));
    assert!((close - open).abs_diff(6_000) < 1_500, "open at {open}, close at {close}");
    assert!(heard.iter().any(|h| h.raw.contains("\"resume\"")), "{}", socket.log());
    Ok(())
}

/// What began and ended while no daemon was there is kept by the tracer, and told to the one that comes.
#[rstest]
fn a_session_that_closed_while_no_daemon_was_there_is_told(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let (first, second) = (Recipe::ts(Video::H264, Audio::Aac, 50).make()?, clip()?);
    let dir = tempfile::tempdir().map_err(|e| Error::io("no directory", e))?;
    let path = dir.path().join("player.sock");
    let sinks = ["--videosink=fakesink sync=true", "--audiosink=fakesink sync=true", "--no-interactive"];
    let words = sinks.into_iter().map(str::to_owned).chain([first.uri(), second.uri()]);
    let player = Player::new(way)?.socket(&path).start("gst-play-1.0", words)?;
    let plays_second = || (player.stdout().matches("Now playing").count() == 2).then_some(());
    wait::until("the second clip", LIMIT, plays_second).map_err(|e| player.error(&e.to_string()))?;
    let socket = PlayerSocket::listen_at(&path)?;
    player.wait(LIMIT)?.success()?;
    let sessions = socket.finish(LIMIT)?;
    assert_eq!(sessions.len(), 2, "{}", socket.log());
    for ((_, session), clip) in sessions.iter().zip([&first, &second]) {
        assert_eq!((session.opens, session.closes.len()), (1, 1), "{}", socket.log());
        assert_eq!(session.open.url, clip.uri());
        assert_eq!(session.counters.video.decoded, clip.video_frames);
        assert_eq!(session.counters.audio.decoded, clip.audio_frames[0]);
    }
    Ok(())
}

/// A player that is killed says nothing any more; the session ends then, with what was known a tick before.
#[rstest]
fn a_player_that_is_killed_is_reported_at_once(
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let stb = Stb::start_with(|options| DaemonOptions { extended: true, ..options })?;
    let player = real_time(&stb.player(way)?, &clip)?;
    wait_playing(&stb.daemon)?;
    wait_position(&player, 3)?;
    player.signal(Signal::SIGKILL)?;
    let run = stb.watch_failing(player)?;
    assert_eq!(run.player.code(), 128 + 9);
    let qoe = run.media.qoe.clone().unwrap_or_default();
    assert_eq!(qoe.get("close_reason"), Some(&"player_gone".into()), "{qoe}");
    // 3 s less a tick of half a second, and what a decoder has ahead at most.
    let decoded = run.media.video.frames_decoded;
    assert!((60..150).contains(&decoded), "{decoded}");
    Ok(())
}

/// Reports are not lost to a server that has a bad moment.
#[rstest]
#[case::unavailable(503)]
#[case::too_many(429)]
#[case::broken(500)]
fn a_server_that_fails_once_gets_the_report_again(#[case] status: u16) -> Result<(), Error> {
    use stbeacon_tests::Answer;
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    let receiver = Receiver::start()?;
    receiver.answer_with([Answer::status(status).header("Retry-After", "1")]);
    let daemon = Daemon::start(receiver.url())?;
    let stb = Stb { receiver, daemon };
    let player = stb.player(Way::Tracers)?.gst_play([clip.uri().as_str()])?;
    player.wait(LIMIT)?.success()?;
    let media = stb.receiver.wait_for_media(1, LIMIT).map_err(|e| e.with_log("daemon", &stb.daemon.log()))?;
    is_whole(media[0].video, media[0].audio, &clip);
    let statuses: Vec<_> = stb.receiver.posts().iter().map(|p| p.status).collect();
    assert_eq!(statuses, [status, 200]);
    Ok(())
}

/// What waits to be sent is sent when the daemon is asked to stop.
#[test]
fn stopping_flushes() -> Result<(), Error> {
    let clip = Recipe::ts(Video::H264, Audio::Aac, 75).make()?;
    let stb = Stb::start_with(|options| DaemonOptions { accum_period: 3600, ..options })?;
    let socket = stb.daemon.socket();
    Player::new(Way::Tracers)?.socket(&socket).gst_play([clip.uri().as_str()])?.wait(LIMIT)?.success()?;
    assert!(stb.receiver.posts().is_empty());
    let Stb { receiver, daemon } = stb;
    daemon.stop()?;
    let media = receiver.media();
    assert_eq!(media.len(), 1);
    is_whole(media[0].video, media[0].audio, &clip);
    Ok(())
}
