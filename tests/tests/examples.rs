//! The examples of the player protocol, built or run as anybody would, against a real daemon.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rstest::rstest;
use serde_json::Value;
use stbeacon_core::line::keys::{Event, Metric};
use stbeacon_tests::report::Frames;
use stbeacon_tests::{
    Artifacts, Daemon, DaemonOptions, Error, LineReceiver, Media, Process, ReceivedLine, Stb, wait,
};

const LIMIT: Duration = Duration::from_secs(30);

/// What the examples are told to claim to play.
const URL: &str = "http://cdn-a.example/film/1.m3u8";

/// Length of one of thirty ticks in ms: each phase lasts long enough to be seen from outside.
const PACE: u64 = 200;

/// In which language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Example {
    C,
    Python,
}

impl Example {
    fn command(self) -> Result<Command, Error> {
        match self {
            Self::C => Ok(Command::new(compiled()?)),
            Self::Python => {
                let mut command = Command::new("/usr/bin/python3");
                // No file of compiled code beside the source.
                command.args(["-B", "-W", "error"]).arg(examples().join("player.py"));
                Ok(command)
            }
        }
    }

    fn play(self, socket: &Path) -> Result<Process, Error> {
        let mut command = self.command()?;
        command.env("STBEACON_SOCKET", socket).args(["--pace", &PACE.to_string(), URL]);
        Process::start(&mut command)
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/examples")
}

/// Compiles the example in C as strictly as its own head says, and more so.
fn compiled() -> Result<PathBuf, Error> {
    let dir = Artifacts::find()?.scratch("examples")?;
    // Tests run beside each other; each has a program of its own.
    let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
    let program = dir.join(format!("player-{}-{thread}", std::process::id()));
    let mut cc = Command::new("cc");
    cc.args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-o"]);
    cc.arg(&program).arg(examples().join("player.c"));
    Process::start(&mut cc)?.wait(LIMIT)?.success()?;
    Ok(program)
}

fn extended(options: DaemonOptions) -> DaemonOptions {
    DaemonOptions { extended: true, ..options }
}

/// The only session of the daemon's status, if there is one.
fn session(daemon: &Daemon) -> Option<Value> {
    let status = daemon.command(&["status", "--json"]).ok()?;
    let status: Value = serde_json::from_str(&status.stdout).ok()?;
    status.pointer("/sessions/0").cloned()
}

/// A field of a report's extension; null where there is none.
fn qoe<'a>(media: &'a Media, field: &str) -> &'a Value {
    media.qoe.as_ref().and_then(|qoe| qoe.get(field)).unwrap_or(&Value::Null)
}

/// What an example claims to have decoded.
const VIDEO: Frames = Frames { frames_decoded: 85, frames_dropped: 3, frames_failed: 0 };
const AUDIO: Frames = Frames { frames_decoded: 136, frames_dropped: 0, frames_failed: 0 };

#[rstest]
fn what_it_tells_is_what_is_reported(
    #[values(Example::C, Example::Python)] example: Example,
) -> Result<(), Error> {
    let stb = Stb::start_with(extended)?;
    let player = example.play(&stb.daemon.socket())?;
    let pid = player.pid();

    let mut seen = BTreeSet::new();
    let mut last = Value::Null;
    wait::until("the session to be over", LIMIT, || match session(&stb.daemon) {
        Some(session) => {
            let phase = session["phase"].as_str().unwrap_or_default().to_owned();
            seen.insert((phase, session["representation"]["bitrate"].as_u64().unwrap_or_default()));
            last = session;
            None
        }
        None => (!last.is_null()).then_some(()),
    })
    .map_err(|e| player.error(&e.to_string()).with_log("daemon", &stb.daemon.log()))?;
    let seen: Vec<_> = seen.iter().map(|(phase, bitrate)| (phase.as_str(), *bitrate)).collect();
    for expected in [
        ("startup", 0),
        ("playing", 2_500_000),
        ("rebuffering", 2_500_000),
        ("playing", 5_000_000),
        ("ad", 5_000_000),
        ("seeking", 5_000_000),
        ("paused", 5_000_000),
    ] {
        assert!(seen.contains(&expected), "{expected:?} was never seen, but {seen:?}");
    }
    assert_eq!(last["pid"], pid);
    assert_eq!((&last["url"], &last["proto"], &last["id"]), (&URL.into(), &"vod".into(), &"233".into()));
    assert_eq!(last["tags"]["title"], "Evening \"news\" – late");
    assert_eq!(last["representation"]["height"], 1080);

    let run = stb.watch(player)?;
    let media = &run.media;
    assert_eq!((media.url.as_str(), media.proto.as_str(), media.id.as_str()), (URL, "vod", "233"));
    assert_eq!((media.video, media.audio, media.discontinuties), (VIDEO, AUDIO, 1));
    let played = 17 * PACE;
    let bits = (8 * 2_500_000 + 9 * 5_000_000) * PACE / 1000;
    let expected = bits * 1000 / played;
    assert!(
        media.avg_bitrate.abs_diff(expected) < expected / 5,
        "{} is not about {expected}",
        media.avg_bitrate
    );
    let length = 28 * PACE / 1000;
    assert!((media.end - media.begin).abs_diff(length) <= 1, "{media:?} is not about {length} s long");

    for (field, count) in
        [("rebuffers", 1), ("pauses", 1), ("seeks", 1), ("switches_up", 1), ("switches_down", 0)]
    {
        assert_eq!(qoe(media, field), count, "{field} of {media:#?}");
    }
    for (field, ticks) in
        [("playing_ms", 17), ("rebuffering_ms", 3), ("seeking_ms", 2), ("paused_ms", 2), ("join_ms", 2)]
    {
        let ms = qoe(media, field).as_u64().unwrap();
        assert!(ms.abs_diff(ticks * PACE) <= PACE, "{field} is {ms} and not about {ticks} × {PACE}");
    }
    assert_eq!(qoe(media, "close_reason"), "stop");
    assert!(!run.player.stdout.contains("0 datagrams sent"), "{}", run.player.stdout);
    assert!(run.player.stdout.contains(" 0 dropped"), "{}", run.player.stdout);
    assert_eq!(run.player.stderr, "");
    let log = stb.daemon.log();
    assert!(!log.contains("makes no sense") && !log.contains("malformed"), "{log}");
    Ok(())
}

#[rstest]
fn what_only_an_application_knows_is_in_the_lines(
    #[values(Example::C, Example::Python)] example: Example,
) -> Result<(), Error> {
    let endpoint = LineReceiver::start()?;
    // The operator's own values are in a line only where its configuration lists them.
    let config = stbeacon_core::line::config::builtin_text();
    let listed = "<common>\n      <dataMetrics>";
    assert!(config.contains(listed), "{config}");
    let config = config.replacen(listed, &format!("{listed}<data key=\"_cd_1001\" name=\"rooms\"/>"), 1);
    let dir = tempfile::tempdir().map_err(|e| Error::io("no temporary directory", e))?;
    let file = dir.path().join("beacon.xml");
    fs::write(&file, config).map_err(|e| Error::io("cannot write the configuration", e))?;
    let elements = format!("<media_analytics config=\"{}\" host=\"{}\"/>", file.display(), endpoint.host());
    let stb = Stb::start_with(|options| DaemonOptions { elements, ..options })?;
    let player = example.play(&stb.daemon.socket())?.wait(LIMIT)?.success()?;
    let lines = wait::until("the line of the visit", LIMIT, || {
        let lines = endpoint.lines().ok()?;
        let is_last = |line: &ReceivedLine| line.read().is_ok_and(|line| line.event() == Some(Event::Visit));
        lines.iter().any(is_last).then_some(lines)
    })
    .map_err(|e| player.error(&e.to_string()).with_log("daemon", &stb.daemon.log()))?;
    let read = lines.iter().map(ReceivedLine::read).collect::<Result<Vec<_>, _>>()?;
    let course: String = read.iter().filter_map(|line| line.event().map(Event::code)).collect();
    assert_eq!(course, "ISPCV");

    let told = |metric| -> Vec<&str> {
        let values = read.iter().filter(|line| line.event() != Some(Event::Visit));
        values.filter_map(|line| line.value(metric)).collect()
    };
    let sum = |metric| told(metric).iter().map(|value| value.parse::<u64>().unwrap()).sum::<u64>();
    for (metric, count) in [
        (Metric::RebufferCount, 1),
        (Metric::PauseCount, 1),
        (Metric::SeekCount, 1),
        (Metric::TransitionUpSwitchCount, 1),
        (Metric::TransitionDownSwitchCount, 0),
        (Metric::AdCount, 1),
        (Metric::DroppedFrames, 3),
    ] {
        assert_eq!(sum(metric), count, "{metric} of {lines:#?}");
    }
    let played = sum(Metric::PlayClockTime);
    assert!(played.abs_diff(17 * PACE) <= PACE, "{played} is not about {}", 17 * PACE);
    assert!(told(Metric::Title).contains(&"Evening \"news\" – late"), "{lines:#?}");
    assert_eq!(told(Metric::SocialSharing), ["fbs:1"]);
    let dimension = read.iter().flat_map(|line| &line.fields).find(|field| field.key == "_cd_1001");
    assert_eq!(dimension.map(|field| &*field.value), Some("2 rooms"));
    let ads = told(Metric::AdSession).join("");
    assert!(ads.starts_with("spot-9:1:") && ads.contains(":Soap:") && ads.contains(":ads.example:"), "{ads}");
    let switches = told(Metric::AsmSession).join("");
    // When, how long, round trip, where in the stream, why (3 is `low_rtt`), from, to, address, kind of host.
    assert!(switches.contains(":120:18:"), "{switches}");
    assert!(switches.ends_with(":3:cdn-a.example:cdn-b.example:192.0.2.8:1"), "{switches}");
    assert_eq!(told(Metric::EndReasonCode), ["Application.Close"]);
    Ok(())
}

#[rstest]
fn a_killed_daemon_is_told_all_again(
    #[values(Example::C, Example::Python)] example: Example,
) -> Result<(), Error> {
    let Stb { receiver, daemon } = Stb::start_with(extended)?;
    let player = example.play(&daemon.socket())?;
    wait::until("the rebuffer to be over", LIMIT, || {
        let session = session(&daemon)?;
        (session["phase"] == "playing" && session["totals"]["rebuffers"] == 1).then_some(())
    })?;
    let daemon = daemon.kill_and_restart()?;
    let run = Stb { receiver, daemon }.watch(player)?;
    assert_eq!((run.media.video, run.media.audio, run.media.discontinuties), (VIDEO, AUDIO, 1));
    for field in ["rebuffers", "pauses", "seeks"] {
        assert_eq!(qoe(&run.media, field), 1, "{field} of {:#?}", run.media);
    }
    assert_eq!(qoe(&run.media, "title"), "Evening \"news\" – late");
    let join = qoe(&run.media, "join_ms").as_u64().unwrap();
    assert!(join.abs_diff(2 * PACE) <= PACE, "{join}");
    Ok(())
}

#[rstest]
fn a_daemon_that_stops_politely_has_its_part_and_the_next_one_the_rest(
    #[values(Example::C, Example::Python)] example: Example,
) -> Result<(), Error> {
    let Stb { receiver, daemon } = Stb::start_with(extended)?;
    let player = example.play(&daemon.socket())?;
    wait::until("the rebuffer to be over", LIMIT, || {
        let session = session(&daemon)?;
        (session["phase"] == "playing" && session["totals"]["rebuffers"] == 1).then_some(())
    })?;
    let daemon = daemon.restart()?;
    let player = player.wait(LIMIT)?.success()?;
    let media = receiver
        .wait_for_media(2, LIMIT)
        .map_err(|e| e.with_log("player", &player.stdout).with_log("daemon", &daemon.log()))?;
    let sum = |field: fn(&Media) -> u64| media.iter().map(field).sum::<u64>();
    assert_eq!(media.len(), 2);
    assert_eq!(sum(|part| part.video.frames_decoded), VIDEO.frames_decoded, "{media:#?}");
    assert_eq!((sum(|part| part.video.frames_dropped), sum(|part| part.discontinuties)), (3, 1));
    assert_ne!(qoe(&media[0], "session"), qoe(&media[1], "session"));
    assert_eq!((qoe(&media[0], "rebuffers"), qoe(&media[1], "rebuffers")), (&1.into(), &0.into()));
    Ok(())
}

#[rstest]
fn without_a_daemon_it_plays_on_in_silence(
    #[values(Example::C, Example::Python)] example: Example,
) -> Result<(), Error> {
    let dir = tempfile::tempdir().map_err(|e| Error::io("no temporary directory", e))?;
    let mut command = example.command()?;
    command.env("STBEACON_SOCKET", dir.path().join("nobody")).args(["--pace", "10"]);
    let player = Process::start(&mut command)?.wait(LIMIT)?.success()?;
    assert!(player.stdout.starts_with("0 datagrams sent, "), "{}", player.stdout);
    assert_eq!(player.stderr, "");
    Ok(())
}

#[rstest]
fn says_how_it_is_used(#[values(Example::C, Example::Python)] example: Example) -> Result<(), Error> {
    let run = |args: &[&str]| Process::start(example.command()?.args(args))?.wait(LIMIT);
    let help = run(&["--help"])?.success()?;
    assert!(help.stdout.to_lowercase().starts_with("usage: player"), "{}", help.stdout);
    assert!(help.stdout.contains("/run/stbeacon/player.sock"), "{}", help.stdout);
    for wrong in [&["--pace", "0"][..], &["--pace", "x"], &["--no-such"]] {
        let refused = run(wrong)?;
        assert_eq!(refused.code(), 2, "{wrong:?}");
        assert!(refused.stderr.to_lowercase().contains("usage: player"), "{}", refused.stderr);
    }
    Ok(())
}
