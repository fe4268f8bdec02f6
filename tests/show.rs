//! A play-back with all that can happen in one, and what lines must say of it.
//!
//! HLS on demand with three renditions comes from a local server over a network that is made slow and fast again;
//! the viewer pauses and seeks. What the player has done is told by the player itself, what was fetched by the
//! server, and both are compared with the lines.

use std::fmt;
use std::thread;
use std::time::Duration;

use stbeacon_core::line::config::builtin_text;
use stbeacon_core::line::keys::{Event, Metric};
use stbeacon_core::line::value::{Seek, Typed};

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

/// The grain of the samplers, in ms: no time is known better from outside.
const GRAIN: u64 = 500;

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

/// One thing that was done, and what was reported of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is about.
    pub what: &'static str,
    /// By the account of those who did it.
    pub done: String,
    /// By the account of the lines.
    pub reported: String,
    /// Whether the two agree.
    pub right: bool,
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

// === impl Performance ===

impl Performance {
    /// What was done beside what was reported.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        let pauses = self.between("pause", "resume");
        let seeks = self.seeks();
        let rebuffers = self.rebuffers();
        // The first picture is there once the player is ready to play, even if it waits for more then.
        let is_ready = |said: &&Said| said.what == "paused" || said.what == "playing";
        let joined = self.said.iter().find(is_ready).map_or(0, |said| said.at);
        let startup = joined.saturating_sub(self.opened());
        let sum = |metric| self.lines.iter().filter_map(|line| line.integer(metric)).sum::<u64>();
        let last = |metric| self.lines.last().and_then(|line| line.integer(metric)).unwrap_or(0);
        let start_line = self.lines.get(1).and_then(|line| line.integer(Metric::StartupTime)).unwrap_or(0);
        let codes: String = self
            .lines
            .iter()
            .filter_map(|line| line.read().ok()?.event())
            .map(|event| event.code())
            .collect();
        let order: Vec<_> = self.lines.iter().map(|line| line.integer(Metric::SequenceId)).collect();
        let dense = (0..order.len()).map(|number| u64::try_from(number).ok()).collect::<Vec<_>>();
        let ups = self.changes(|from, to| from < to);
        let downs = self.changes(|from, to| from > to);

        let mut findings = vec![
            Finding {
                what: "lines",
                done: "I S P… C".to_owned(),
                right: codes.starts_with("ISP") && codes.ends_with("PC") && order == dense,
                reported: codes,
            },
            near("start-up, ms (ap)", startup, start_line, GRAIN),
            same("pauses (dd)", pauses.len(), sum(Metric::PauseCount)),
            near("paused, ms (de)", total(&pauses), sum(Metric::PauseDuration), GRAIN),
            same("seeks (dg)", seeks.len(), sum(Metric::SeekCount)),
            near("seeking, ms (dh)", self.seek_time(), sum(Metric::SeekTime), GRAIN * 2),
            same("rebuffers (z)", rebuffers.len(), sum(Metric::RebufferCount)),
            near("rebuffering, ms (da)", total(&rebuffers), sum(Metric::RebufferTime), GRAIN),
            near("playing, ms (x)", self.play_time(), sum(Metric::PlayClockTime), GRAIN * 2),
            same("lines of a visit", 1, u64::try_from(self.visits.len()).unwrap_or(0)),
            same(
                "playing, ms (x = tx)",
                usize_of(sum(Metric::PlayClockTime)),
                last(Metric::TotalPlayClockTime),
            ),
            between("switches up (fd)", 1, ups, sum(Metric::TransitionUpSwitchCount)),
            between("switches down (fe)", 1, downs, sum(Metric::TransitionDownSwitchCount)),
        ];
        findings.extend(self.seek_places(&seeks));
        findings.push(self.rebuffer_place(&rebuffers));
        findings.push(self.rates_played());
        findings
    }

    /// When the attempt began, on `CLOCK_BOOTTIME` in ms.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.said.first().map_or(0, |said| said.at)
    }

    /// Times from one thing said to another, as (from, to).
    fn between(&self, from: &str, to: &str) -> Vec<(u64, u64)> {
        let mut open = None;
        let mut spans = Vec::new();
        for said in &self.said {
            if said.what == from {
                open = Some(said.at);
            } else if said.what == to {
                spans.extend(open.take().map(|from| (from, said.at)));
            }
        }
        spans
    }

    /// The seeks, as (from, to) in ms of the stream.
    fn seeks(&self) -> Vec<(u64, u64)> {
        let seeks = self.said.iter().filter(|said| said.what == "seek");
        seeks.filter_map(|said| Some((said.position?, said.to?))).collect()
    }

    /// What the player waited for its buffer while it would have played: not at the start, not for a seek.
    fn rebuffers(&self) -> Vec<(u64, u64)> {
        let fillings = self.between("filling", "filled");
        let plays_before = |at: u64| {
            let before = self.said.iter().rev().skip_while(|said| said.at >= at);
            let last =
                before.map(|said| said.what.as_str()).find(|what| *what != "where" && *what != "paused");
            last == Some("playing")
        };
        // It takes the player a moment to play on.
        let plays_again = |at: u64| {
            self.said.iter().find(|said| said.at >= at && said.what == "playing").map_or(at, |said| said.at)
        };
        let rebuffers = fillings.into_iter().filter(|(from, _)| plays_before(*from));
        rebuffers.map(|(from, to)| (from, plays_again(to))).collect()
    }

    fn seek_time(&self) -> u64 {
        let ends = |at: u64| self.said.iter().find(|said| said.at > at && said.what == "playing");
        let seeks = self.said.iter().filter(|said| said.what == "seek");
        seeks.filter_map(|seek| Some(ends(seek.at)?.at - seek.at)).sum()
    }

    fn play_time(&self) -> u64 {
        let mut since = None;
        let mut played = 0;
        for said in &self.said {
            match said.what.as_str() {
                "playing" => since = since.or(Some(said.at)),
                "pause" | "seek" | "filling" | "end" => {
                    played += since.take().map_or(0, |since: u64| said.at - since);
                }
                _ => {}
            }
        }
        played
    }

    fn changes(&self, is: impl Fn(u32, u32) -> bool) -> u64 {
        let rates: Vec<u32> =
            self.renditions.iter().filter_map(|name| name.strip_prefix('r')?.parse().ok()).collect();
        let changes = rates.iter().zip(rates.iter().skip(1)).filter(|(from, to)| is(**from, **to));
        u64::try_from(changes.count()).unwrap_or(u64::MAX)
    }

    fn typed(&self, metric: Metric) -> impl Iterator<Item = (u64, Typed)> + '_ {
        let since = |line: &ReceivedLine| {
            let dx = line.read().ok()?.value(Metric::LogInterval)?.parse::<f64>().ok()?;
            let before = Duration::try_from_secs_f64(dx).ok()?.as_millis();
            line.integer(Metric::CurrentClockTime)?.checked_sub(u64::try_from(before).ok()?)
        };
        self.lines.iter().filter_map(move |line| {
            let typed = line.read().ok()?.field(metric)?.typed()?.ok()?;
            Some((since(line).unwrap_or(0), typed))
        })
    }

    fn seek_places(&self, done: &[(u64, u64)]) -> Vec<Finding> {
        let ms = |Seek { from, to }: Seek| (from.to_f64() * 1000.0, to.to_f64() * 1000.0);
        let reported: Vec<_> = self
            .typed(Metric::SeekIntervals)
            .filter_map(|(_, typed)| if let Typed::Seeks(seeks) = typed { Some(seeks) } else { None })
            .flatten()
            .map(ms)
            .collect();
        let place = |index: usize, &(from, to): &(u64, u64)| {
            let told = reported.get(index).copied().unwrap_or((-1.0, -1.0));
            let near =
                |done: u64, told: f64| (told - Duration::from_millis(done).as_secs_f64() * 1000.0).abs();
            Finding {
                what: "seek, s (di)",
                done: format!("{:.1}-{:.1}", seconds(from), seconds(to)),
                reported: format!("{:.1}-{:.1}", told.0 / 1000.0, told.1 / 1000.0),
                right: near(from, told.0) <= 500.0 && near(to, told.1) <= 500.0,
            }
        };
        done.iter().enumerate().map(|(index, seek)| place(index, seek)).collect()
    }

    fn rebuffer_place(&self, done: &[(u64, u64)]) -> Finding {
        let mut reported = Vec::new();
        for (line_before, typed) in self.typed(Metric::RebufferSession) {
            let Typed::Rebuffers(told) = typed else { continue };
            // One that began before the line is only continued by it.
            let new = told.rebuffers.iter().skip(usize::from(told.continued));
            reported.extend(new.map(|rebuffer| line_before + rebuffer.start));
        }
        let done: Vec<_> = done.iter().map(|(from, _)| from.saturating_sub(self.opened())).collect();
        let right = done.len() == reported.len()
            && done.iter().zip(&reported).all(|(done, told)| done.abs_diff(*told) <= GRAIN);
        let list = |times: &[u64]| {
            times.iter().map(|at| format!("{:.1}", seconds(*at))).collect::<Vec<_>>().join(" ")
        };
        Finding { what: "rebuffer began, s (rs)", done: list(&done), reported: list(&reported), right }
    }

    fn rates_played(&self) -> Finding {
        let mut reported: Vec<u64> = self
            .typed(Metric::TransitionStreamTimes)
            .filter_map(|(_, typed)| if let Typed::RateTimes(times) = typed { Some(times) } else { None })
            .flatten()
            .filter_map(|time| time.rate)
            .collect();
        reported.sort_unstable();
        reported.dedup();
        let nominal: Vec<u64> = self.rates.iter().map(|rate| u64::from(*rate)).collect();
        let known = reported.iter().filter(|rate| nominal.contains(rate)).count();
        let list = |rates: &[u64]| {
            rates.iter().map(|rate| format!("{}k", rate / 1000)).collect::<Vec<_>>().join(" ")
        };
        Finding {
            what: "bit rates played (fj)",
            done: format!("of {}", list(&nominal)),
            // Before the first change a player does not tell which rendition it is: that rate is measured.
            right: known >= 2 && reported.len() <= known + 1,
            reported: list(&reported),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, done, reported, right } = self;
        write!(f, "{what}: done {done}, reported {reported}{}", if *right { "" } else { " (wrong)" })
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

fn total(spans: &[(u64, u64)]) -> u64 {
    spans.iter().map(|(from, to)| to - from).sum()
}

fn same(what: &'static str, done: usize, reported: u64) -> Finding {
    let right = usize_of(reported) == done;
    Finding { what, done: done.to_string(), reported: reported.to_string(), right }
}

fn near(what: &'static str, done: u64, reported: u64, grain: u64) -> Finding {
    let right = done.abs_diff(reported) <= grain;
    Finding { what, done: done.to_string(), reported: reported.to_string(), right }
}

/// Not every rendition that was fetched is shown: a seek may throw it away.
fn between(what: &'static str, least: u64, most: u64, reported: u64) -> Finding {
    let right = (least..=most).contains(&reported);
    Finding { what, done: format!("{least} to {most}"), reported: reported.to_string(), right }
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

/// The clock that players use, in ms.
pub(crate) fn boottime() -> Result<u64, Error> {
    let clock = nix::time::ClockId::CLOCK_BOOTTIME;
    let now = nix::time::clock_gettime(clock).map_err(|e| Error::io("no clock", e))?;
    u64::try_from(Duration::from(now).as_millis()).map_err(|e| Error::io("the clock", e))
}
