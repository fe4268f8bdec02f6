//! Kills at random instants, while the server is at its worst: what the agent has taken must arrive all the same.
//!
//! A thread is the player: it tells short sessions one after the other, and a long one that goes on over restarts of
//! the agent; now and then it is killed with the agent and tells nothing any more of the long one. The agent's own
//! log says what it has taken. In the end the server comes to its senses, and everything that was taken has to have
//! arrived.

mod player;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

use stbeacon_core::line::decode::Line;
use stbeacon_core::line::keys::Metric;

use self::player::Teller;
use self::server::{FaultyServer, Taken};
use crate::report::Judge;
use crate::{Daemon, DaemonOptions, Error, Report, wait};

/// What is done.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How often the agent is killed.
    pub kills: u32,
    /// Of the random numbers: the same seed does the same, as far as the machine's load allows.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// How often the agent was killed, and how often the player with it.
    pub kills: (u32, u32),
    /// Sessions whose end, or whose opening, the agent has taken in.
    pub sessions: usize,
    /// Of those, how many were long ones.
    pub long_sessions: usize,
    /// Reports that arrived, repetitions included.
    pub reports: usize,
    /// Repetitions among them.
    pub repeated: usize,
    /// Lines that arrived, and repetitions among them.
    pub lines: (usize, usize),
    /// What the server did.
    pub faults: BTreeSet<&'static str>,
    /// What is wrong: must be empty.
    pub wrong: Vec<String>,
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone, Copy)]
struct Random(u64);

// === impl Random ===

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// Does it. `progress` is told how often the agent was killed so far.
///
/// # Errors
/// If a program cannot be started, or the agent does not come up after a kill.
pub fn run(plan: Plan, mut progress: impl FnMut(u32)) -> Result<Outcome, Error> {
    let mut random = Random(plan.seed);
    let reports = FaultyServer::start(Random(random.next()))?;
    let lines = FaultyServer::start(Random(random.next()))?;
    let mut daemon = Daemon::with(DaemonOptions {
        elements: format!("<media_analytics host=\"{}\"/>", lines.host()),
        ..DaemonOptions::media_only(format!("{}/stats", reports.host()))
    })?;
    let teller = Teller::start(daemon.socket());
    let mut outcome = Outcome::default();
    let mut log = String::new();
    for number in 1..=plan.kills {
        // Mostly at once, sometimes late enough for requests to be under way.
        let life = if random.below(5) == 0 { random.below(2_500) } else { random.below(250) };
        thread::sleep(Duration::from_millis(life));
        if random.below(8) == 0 {
            teller.die();
            outcome.kills.1 += 1;
        }
        let (next, said) = daemon.kill_and_listen()?;
        log.push_str(&said);
        daemon = next;
        outcome.kills.0 += 1;
        progress(number);
    }
    teller.finish();
    reports.calm();
    lines.calm();
    log.push_str(&daemon.log());
    // A new start waits for no backoff of the old one, which may be minutes by now.
    wait::until("the daemon to be up", Duration::from_secs(10), || {
        daemon.log().contains("listens on").then_some(())
    })?;
    daemon = daemon.restart()?;
    // Nothing here is so much, or so old, that it may be given up.
    let lost = log.lines().filter(|line| line.contains(" are lost: "));
    outcome.wrong.extend(lost.map(str::to_owned));
    let taken = Taken::sessions_in(&log);
    outcome.sessions = taken.len();
    outcome.long_sessions = taken.iter().filter(|id| id.starts_with("long")).count();

    let judge = Judge::new()?;
    let limit = Duration::from_secs(120);
    let all = wait::until("everything that was taken", limit, || {
        let arrived = Arrived::of(&reports.requests(), &judge);
        taken.iter().all(|id| arrived.accounts_for(id)).then_some(())
    });
    let arrived = Arrived::of(&reports.requests(), &judge);
    if all.is_err() {
        let missing: Vec<_> = taken.iter().filter(|id| !arrived.accounts_for(id)).cloned().collect();
        let some = missing.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        outcome.wrong.push(format!("{} sessions never arrived: {some}", missing.len()));
    }
    // The lines have no end of their own to wait for: they are done when nothing comes any more.
    settle(&lines);
    outcome.wrong.extend(arrived.wrong.iter().cloned());
    (outcome.reports, outcome.repeated) = (arrived.reports, arrived.repeated);
    outcome.lines = judge_lines(&lines.requests(), &mut outcome.wrong);
    outcome.faults = reports.faults().union(&lines.faults()).copied().collect();
    daemon.stop()?;
    Ok(outcome)
}

/// Waits until no request has come for two seconds.
fn settle(server: &FaultyServer) {
    let mut last = (server.requests().len(), Instant::now());
    while last.1.elapsed() < Duration::from_secs(2) {
        let count = server.requests().len();
        if count != last.0 {
            last = (count, Instant::now());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// What the reports' server knows.
#[derive(Debug, Default)]
struct Arrived {
    /// Sessions with a report that was taken.
    kept: BTreeSet<String>,
    /// Sessions whose report the server refused by itself: no agent can do more.
    refused: BTreeSet<String>,
    reports: usize,
    repeated: usize,
    wrong: Vec<String>,
}

// === impl Arrived ===

impl Arrived {
    fn of(requests: &[Taken], judge: &Judge) -> Self {
        let mut this = Self::default();
        let mut ids: BTreeMap<String, String> = BTreeMap::new();
        for request in requests {
            let reports = match judge.read(&request.body) {
                Ok(reports) => reports,
                Err(error) => {
                    this.wrong.push(format!("a corrupt body: {error}"));
                    continue;
                }
            };
            let single = reports.len() == 1;
            for (place, report) in reports.iter().enumerate() {
                let Report::Media(media) = report else { continue };
                let name = session_of(&media.url);
                if !request.is_kept {
                    if single {
                        this.refused.insert(name);
                    }
                    continue;
                }
                this.reports += 1;
                let id = request.report_id(place);
                if id.is_empty() {
                    this.wrong.push(format!("the report of {name} has no id in {:?}", request.id));
                }
                // A session that is told in two parts has two reports, each with a number of its own.
                if ids
                    .insert(format!("{name} {} {}", media.begin, media.end), id.clone())
                    .is_some_and(|was| was != id)
                {
                    this.wrong.push(format!("a report of {name} came under two ids, the second one {id}"));
                }
                this.repeated += usize::from(!this.kept.insert(name));
            }
        }
        this
    }

    fn accounts_for(&self, id: &str) -> bool {
        self.kept.contains(id) || self.refused.contains(id)
    }
}

// === impl Taken ===

impl Taken {
    /// Sessions that the agent's log says it has taken: short ones once they have ended, long ones once opened.
    fn sessions_in(log: &str) -> BTreeSet<String> {
        let ended = log.lines().filter_map(|line| line.split_once("session ")?.1.split_once(" has ended"));
        let opened = log.lines().filter_map(|line| line.split_once("opens session ")?.1.split_once(": "));
        let long = opened.map(|(id, _)| id).filter(|id| id.starts_with("long"));
        ended.map(|(id, _)| id).chain(long).map(str::to_owned).collect()
    }

    /// What the report at this place can be known by: the request's id holds the numbers of its reports.
    fn report_id(&self, place: usize) -> String {
        let Some((_, sections)) = self.id.split_once('-') else { return String::new() };
        let sections = sections.split(';').filter_map(|section| section.split_once('-'));
        let runs = sections.flat_map(|(boot, runs)| runs.split(',').map(move |run| (boot, run)));
        let numbers = runs.filter_map(|(boot, run)| {
            let (first, more) = run.split_once('+').unwrap_or((run, "0"));
            let number = |text| u64::from_str_radix(text, 16).ok();
            let (first, more) = (number(first)?, number(more)?);
            Some((first..=first.checked_add(more)?).map(move |number| (boot, number)))
        });
        numbers.flatten().nth(place).map_or_else(String::new, |(boot, number)| format!("{boot}-{number:x}"))
    }
}

fn session_of(url: &str) -> String {
    url.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Lines of an attempt are numbered without gaps and first arrive in order.
fn judge_lines(requests: &[Taken], wrong: &mut Vec<String>) -> (usize, usize) {
    let mut next: BTreeMap<String, u64> = BTreeMap::new();
    let (mut arrived, mut repeated) = (0, 0);
    for request in requests.iter().filter(|request| request.is_kept) {
        let line = match Line::read(&request.target) {
            Ok(line) => line,
            Err(error) => {
                wrong.push(format!("a corrupt line: {error}"));
                continue;
            }
        };
        arrived += 1;
        let attempt = line.value(Metric::AttemptId).unwrap_or_default().to_owned();
        let number = line.value(Metric::SequenceId).and_then(|number| number.parse::<u64>().ok());
        let Some(number) = number.filter(|_| !attempt.is_empty()) else { continue };
        let expected = next.entry(attempt.clone()).or_default();
        if number < *expected {
            repeated += 1;
        } else {
            *expected = number + 1;
        }
    }
    (arrived, repeated)
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kills, sessions, long_sessions, reports, repeated, lines, faults, .. } = self;
        writeln!(f, "killed {} times, {} times with the player", kills.0, kills.1)?;
        writeln!(f, "{sessions} sessions taken, {long_sessions} of them long ones")?;
        writeln!(
            f,
            "{reports} reports arrived, {repeated} of them repetitions; {} lines, {} repetitions",
            lines.0, lines.1
        )?;
        write!(f, "the server: {}", faults.iter().copied().collect::<Vec<_>>().join(", "))
    }
}
