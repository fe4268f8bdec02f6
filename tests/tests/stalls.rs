//! The daemon fails in mid-play, in every way there is: the player shows the same, and as smoothly.
//!
//! What comes out of the sinks is compared byte by byte with a run of the same pipeline without the plug-in, and the
//! longest time between two pictures with that run's.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;
use rstest::rstest;
use serde::Deserialize;
use stbeacon_tests::clips::{Audio, Clip, Recipe, Video};
use stbeacon_tests::{
    DaemonOptions, Error, FakeSmallBuffers, Finished, Player, Process, Receiver, Stb, Way, wait,
};

const LIMIT: Duration = Duration::from_secs(30);

/// A picture is shown for 40 ms: half of that more is noticed.
const NOTICED: Duration = Duration::from_millis(20);

/// How often it is looked again, with and without the plug-in, whether a gap comes from the machine.
const ROUNDS: usize = 6;

/// Three seconds in real time, at 25 pictures a second.
const PICTURES: u32 = 75;

/// The outage begins when so many are out, and is over when so many are.
const BEGINS: u32 = 20;
const ENDS: u32 = 50;

/// Plays in real time, and says how many pictures are out; at the end, a sum over every byte and time stamp that came to
/// each sink, and when each picture did. Told to, it stalls once, to see that this would be noticed.
const WITNESS: &str = r#"
import hashlib, json, os, sys, time
import gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
player = Gst.parse_launch("""
    filesrc location=%s ! tsdemux name=demux
    demux. ! queue ! h264parse ! avdec_h264 ! fakesink name=video sync=true signal-handoffs=true
    demux. ! queue ! aacparse ! avdec_aac ! fakesink name=audio sync=true signal-handoffs=true
""" % sys.argv[1])
stall = float(os.environ.get("WITNESS_STALLS", "0"))
sums = {name: hashlib.sha256() for name in ("video", "audio")}
times = {name: [] for name in sums}

def shown(sink, buffer, pad, name):
    times[name].append(time.monotonic_ns())
    sums[name].update(b"%d %d %d " % (buffer.pts, buffer.duration, buffer.get_size()))
    sums[name].update(buffer.extract_dup(0, buffer.get_size()))
    if name == "video":
        print("picture %d" % len(times[name]), flush=True)
        if len(times[name]) == 40:
            time.sleep(stall)

for name in sums:
    player.get_by_name(name).connect("handoff", shown, name)
player.set_state(Gst.State.PLAYING)
message = player.get_bus().timed_pop_filtered(30 * Gst.SECOND, Gst.MessageType.EOS | Gst.MessageType.ERROR)
player.set_state(Gst.State.NULL)
print(json.dumps({
    "sums": {name: sums[name].hexdigest() for name in sums},
    "pictures": len(times["video"]),
    "longest_ns": max(b - a for a, b in zip(times["video"], times["video"][1:])),
}))
sys.exit(0 if message and message.type == Gst.MessageType.EOS else 1)
"#;

/// What came out of a player.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Shown {
    /// Over every byte and time stamp.
    sums: std::collections::BTreeMap<String, String>,
    pictures: u32,
    /// Between two pictures.
    longest_ns: u64,
}

impl Shown {
    fn of(finished: Finished) -> Result<Self, Error> {
        let finished = finished.success()?;
        let last = finished.stdout.lines().last().unwrap_or_default();
        serde_json::from_str(last).map_err(|e| finished.error(&e.to_string()))
    }

    fn longest(&self) -> Duration {
        Duration::from_nanos(self.longest_ns)
    }
}

fn clip() -> Result<Clip, Error> {
    Recipe::ts(Video::H264, Audio::Aac, PICTURES).make()
}

fn play(player: &Player, clip: &Clip) -> Result<Process, Error> {
    player.python(WITNESS, [clip.path.to_string_lossy().as_ref()])
}

fn alone(clip: &Clip) -> Result<Shown, Error> {
    Shown::of(play(&Player::new(Way::Unwatched)?, clip)?.wait(LIMIT)?)
}

fn wait_for_picture(player: &Process, number: u32) -> Result<(), Error> {
    let said = format!("picture {number}\n");
    wait::until("the player to get there", LIMIT, || player.stdout().contains(&said).then_some(()))
        .map_err(|e| player.error(&e.to_string()))
}

/// What becomes of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outage {
    Killed,
    KilledAndRestarted,
    StoppedAndRestarted,
    Hung,
    /// Hung, with no room for what it is told.
    Full,
    SocketRemoved,
}

impl Outage {
    /// Plays with the plug-in through the outage.
    fn watched(self, way: Way, clip: &Clip) -> Result<Shown, Error> {
        let receiver = Receiver::start()?;
        let options = DaemonOptions::media_only(receiver.url());
        let mut stb = Stb { daemon: stbeacon_tests::Daemon::with(options)?, receiver };
        let small = if self == Self::Full { Some(FakeSmallBuffers::new()?) } else { None };
        let env = small.iter().flat_map(FakeSmallBuffers::env);
        let player = env.fold(stb.player(way)?, |player, (name, value)| player.env(&name, &value));
        let player = play(&player, clip)?;
        wait_for_picture(&player, BEGINS)?;
        let log = stb.daemon.log();
        assert!(log.contains("opens session"), "it is watched: {log}");
        match self {
            Self::Killed => stb.daemon.process().signal(Signal::SIGKILL)?,
            Self::KilledAndRestarted => stb.daemon = stb.daemon.kill_and_restart()?,
            Self::StoppedAndRestarted => stb.daemon = stb.daemon.restart()?,
            Self::Hung | Self::Full => stb.daemon.process().signal(Signal::SIGSTOP)?,
            Self::SocketRemoved => {
                fs::remove_file(stb.daemon.socket()).map_err(|e| Error::io("cannot remove", e))?;
            }
        }
        wait_for_picture(&player, ENDS)?;
        if self == Self::Hung {
            stb.daemon.process().signal(Signal::SIGCONT)?;
        }
        let finished = player.wait(LIMIT)?;
        if self == Self::Full {
            assert!(FakeSmallBuffers::refused(&finished.stderr) > 0, "never full: {}", finished.stderr);
        }
        Shown::of(finished)
    }
}

/// Whether the longest gap of the runs on the right is shorter, or not noticeably longer, than that of those on the
/// left. Of each the best run counts: what a loaded machine adds to one run, it does not add to all.
fn is_as_smooth(alone: &[Shown], watched: &[Shown]) -> bool {
    let best = |runs: &[Shown]| runs.iter().map(Shown::longest).min().unwrap_or(Duration::MAX);
    best(watched) <= best(alone) + NOTICED
}

#[rstest]
fn the_player_shows_the_same_as_smoothly(
    #[values(
        Outage::Killed,
        Outage::KilledAndRestarted,
        Outage::StoppedAndRestarted,
        Outage::Hung,
        Outage::Full,
        Outage::SocketRemoved
    )]
    outage: Outage,
    #[values(Way::Tracers, Way::Preload)] way: Way,
) -> Result<(), Error> {
    let clip = clip()?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    while with.len() < ROUNDS {
        without.push(alone(&clip)?);
        with.push(outage.watched(way, &clip)?);
        let (a, b) = (&without[without.len() - 1], &with[with.len() - 1]);
        assert_eq!((a.pictures, b.pictures), (PICTURES, PICTURES));
        assert_eq!(a.sums, b.sums, "{outage:?}: every byte and time stamp");
        if is_as_smooth(&without, &with) {
            return Ok(());
        }
    }
    Err(Error::new(format!("{outage:?}: without the plug-in {without:#?}, with it {with:#?}")))
}

/// The measure above is one: a picture that is shown a little too long is seen.
#[test]
fn a_stall_would_be_noticed() -> Result<(), Error> {
    let clip = clip()?;
    let stalling = Player::new(Way::Unwatched)?.env("WITNESS_STALLS", "0.08");
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(alone(&clip)?);
        with.push(Shown::of(play(&stalling, &clip)?.wait(LIMIT)?)?);
        // A quiet machine shows it at once; a loaded one needs a good run to compare with.
        if !is_as_smooth(&without, &with) {
            return Ok(());
        }
    }
    Err(Error::new(format!("80 ms go unnoticed: {without:#?}, {with:#?}")))
}
