//! A play-back with all that can happen in one, and what lines must say of it.
//!
//! HLS on demand with three renditions comes from a local server over a network that is made slow and fast again;
//! the viewer pauses and seeks. What the player has done is told by the player itself, what was fetched by the
//! server, and both are compared with the lines.

mod findings;

use std::thread;
use std::time::Duration;

use stbeacon_core::line::config::builtin_text;
use stbeacon_core::line::keys::Event;

pub use self::findings::Finding;
use crate::clips::{Audio, FPS, Recipe, Video, make_adaptive};
use crate::{
    Daemon, DaemonOptions, Error, FileServer, LineReceiver, Player, ReceivedLine, Remote, Said, Way,
};

/// Length of the stream in seconds.
const SECONDS: u32 = 32;

/// Bytes a second that are enough for the smallest rendition, and hardly for another.
const SLOW: u64 = 80_000;

/// Bytes a second that are not enough for any rendition.
const STARVING: u64 = 8_000;

/// How long the viewer pauses, and how long the network starves once the buffer is empty.
const AWAY: Duration = Duration::from_secs(2);

/// No single step takes longer.
const LIMIT: Duration = Duration::from_secs(60);

/// What happened, and what was reported of it.
#[derive(Debug)]
pub struct Performance {
    /// By the player's own account.
    pub said: Vec<Said>,
    /// What was done to the network: when, on `CLOCK_BOOTTIME` in ms, and what.
    pub network: Vec<(u64, String)>,
    /// Every line of the attempt.
    pub lines: Vec<ReceivedLine>,
    /// The line of the visit.
    pub visits: Vec<ReceivedLine>,
    /// Renditions in the order in which they were fetched, each once for each time it was changed to.
    pub renditions: Vec<String>,
    /// Nominal bit rates of the renditions in bit/s, lowest first.
    pub rates: Vec<u32>,
}

/// Plays it all. `progress` is told what is being done.
///
/// # Errors
/// If anything fails, or does not happen in time.
pub fn perform(way: Way, stock: bool, mut progress: impl FnMut(&str)) -> Result<Performance, Error> {
    let dir = tempfile::tempdir().map_err(|e| Error::io("no directory", e))?;
    let recipe = Recipe { noise: true, ..Recipe::ts(Video::H264, Audio::Aac, SECONDS * FPS) };
    progress("making three renditions");
    let rates = make_adaptive(dir.path(), &recipe)?;
    let server = FileServer::start(dir.path())?;
    let receiver = LineReceiver::start()?;
    let config = dir.path().join("beacon.xml");
    let text = builtin_text().replace("logInterval=\"300\"", "logInterval=\"10\"");
    std::fs::write(&config, text).map_err(|e| Error::io("cannot write the beacon configuration", e))?;
    let daemon = Daemon::with(DaemonOptions {
        elements: format!(
            "<media_analytics config=\"{}\" host=\"{}\" player_id=\"show\"/>",
            config.display(),
            receiver.host()
        ),
        // Nobody listens there, and nothing but lines is looked at.
        ..DaemonOptions::media_only("http://127.0.0.1:9/")
    })?;
    let player = if stock { Player::stock(way)? } else { Player::new(way)? };
    let player = player.socket(&daemon.socket());

    let mut network = Network { server, acts: Vec::new() };
    network.limit(SLOW)?;
    let mut remote = Remote::start(&player, "playbin", &network.server.url("master.m3u8"))?;
    progress("the network is slow: the smallest rendition");
    play_to(&mut remote, 3_000)?;
    network.limit(0)?;
    progress("the network is fast: larger renditions");
    play_to(&mut remote, 8_000)?;

    progress("the viewer pauses");
    remote.command("pause")?;
    thread::sleep(AWAY);
    remote.command("resume")?;
    play_to(&mut remote, 11_000)?;

    progress("the viewer seeks forward");
    remote.command("seek 18000")?;
    play_to(&mut remote, 21_000)?;

    progress("the network starves");
    let before = count(&remote.said(), "filling");
    network.limit(STARVING)?;
    remote
        .wait_for("the buffer to run empty", LIMIT, |said| (count(said, "filling") > before).then_some(()))?;
    thread::sleep(AWAY);
    network.limit(SLOW)?;
    progress("the network is slow: the smallest rendition again");
    let at = remote.said().last().and_then(|said| said.position).unwrap_or(21_000);
    play_to(&mut remote, at + 4_000)?;

    network.limit(0)?;
    progress("the viewer seeks back");
    remote.command("seek 16000")?;
    progress("to the end");
    remote.wait_for("the end", LIMIT, |said| (count(said, "end") > 0).then_some(()))?;
    let said = remote.said();
    remote.finish(LIMIT)?;
    receiver.wait_for_end(LIMIT)?;
    daemon.stop()?;
    let visit = |line: &ReceivedLine| line.read().is_ok_and(|line| line.event() == Some(Event::Visit));
    let (visits, lines) = receiver.lines()?.into_iter().partition(visit);

    let mut renditions: Vec<String> = Vec::new();
    for path in network.server.requested() {
        let rendition = path.strip_suffix(".ts").and_then(|path| path.split_once('/')).map(|(name, _)| name);
        if let Some(name) = rendition.filter(|name| renditions.last().is_none_or(|last| last != name)) {
            renditions.push(name.to_owned());
        }
    }
    Ok(Performance { said, network: network.acts, lines, visits, renditions, rates })
}

/// The server, and what was done to it.
struct Network {
    server: FileServer,
    acts: Vec<(u64, String)>,
}

// === impl Network ===

impl Network {
    fn limit(&mut self, rate: u64) -> Result<(), Error> {
        self.server.set_rate(rate);
        let what =
            if rate == 0 { "network free".to_owned() } else { format!("network {} kB/s", rate / 1000) };
        self.acts.push((boottime()?, what));
        Ok(())
    }
}

/// Lets it play until the playhead is there, and the buffer has been full for a while: nobody can tell a pause from
/// waiting where the two begin together.
fn play_to(remote: &mut Remote, position: u64) -> Result<(), Error> {
    const QUIET: u64 = 1_000;
    remote.wait_for("playing", LIMIT, |said| plays_since(said).map(|_| ()))?;
    loop {
        let asked = count(&remote.said(), "where");
        remote.command("where")?;
        let quiet = remote.wait_for("the playhead", LIMIT, |said| {
            let now = said.iter().filter(|said| said.what == "where").skip(asked).last()?;
            let is_there = now.position.is_some_and(|at| at >= position);
            Some(is_there && plays_since(said).is_some_and(|since| since + QUIET <= now.at))
        })?;
        if quiet {
            return Ok(());
        }
        // The pace at which the playhead is looked at.
        thread::sleep(Duration::from_millis(100));
    }
}

/// Since when it has played without waiting; `None` if it does not.
fn plays_since(said: &[Said]) -> Option<u64> {
    let last = said.iter().rev().find(|said| said.what != "where")?;
    (last.what == "playing").then_some(last.at)
}

fn count(said: &[Said], what: &str) -> usize {
    said.iter().filter(|said| said.what == what).count()
}

/// The clock that players use, in ms.
pub(crate) fn boottime() -> Result<u64, Error> {
    let clock = nix::time::ClockId::CLOCK_BOOTTIME;
    let now = nix::time::clock_gettime(clock).map_err(|e| Error::io("no clock", e))?;
    u64::try_from(Duration::from(now).as_millis()).map_err(|e| Error::io("the clock", e))
}
