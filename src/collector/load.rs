//! A fleet that is none: sessions as boxes would tell them, made by the agent's own code, for a collector to take.
//!
//! Each session is told to core's session model, message by message, and comes out of it as the report that the agent
//! would send. Only what the viewers do is made up.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lexopt::{Arg, ValueExt};
use stbeacon_core::player::Message;
use stbeacon_core::session::{Peer, Sessions, Snapshot};
use stbeacon_core::stb::{MediaOptions, MediaReport, Report, encode_batch};
use stbeacon_core::time::{Millis, WallAnchor};

use crate::cli::Failure;
use crate::time;

const HELP: &str = "\
Send a collector what a fleet of boxes would: reports of sessions that were never played.

Usage: stbeacon-collector load [OPTIONS]

Options:
      --to URL         the collector, http [default: http://127.0.0.1:8480/]
      --boxes N        how many boxes there are, 1 to 1000000 [default: 100]
      --rate R         sessions a second of all together, 0 for as many as go [default: 10]
      --sessions N     how many in all [default: 600]
      --connections N  how many are sent at once, 1 to 256 [default: 16]
  -h, --help           this text

All come from one address: the collector has to be started with --rate 0, or refuses most of them.

Examples:
  stbeacon-collector --data ./data --rate 0 &
  stbeacon-collector load --boxes 1000 --rate 200 --sessions 10000

Exits with 0 if all were taken, with 1 otherwise.
";

/// What a load is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    to: String,
    boxes: u64,
    rate: u64,
    sessions: u64,
    connections: u64,
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    /// By status; 0 where there was no answer.
    answers: BTreeMap<u16, u64>,
    /// Of those that were taken.
    latencies: Vec<Duration>,
    /// The first that went wrong.
    wrong: Option<String>,
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
struct Random(u64);

/// Reads the command line behind `load`; `Err` with a text that is only to be shown.
pub(crate) fn read(args: &mut lexopt::Parser) -> Result<Result<Plan, &'static str>, Failure> {
    let to = "http://127.0.0.1:8480/".to_owned();
    let mut plan = Plan { to, boxes: 100, rate: 10, sessions: 600, connections: 16 };
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("to") => plan.to = args.value()?.string()?,
            Arg::Long("boxes") => plan.boxes = args.value()?.parse()?,
            Arg::Long("rate") => plan.rate = args.value()?.parse()?,
            Arg::Long("sessions") => plan.sessions = args.value()?.parse()?,
            Arg::Long("connections") => plan.connections = args.value()?.parse()?,
            Arg::Long("help") | Arg::Short('h') => return Ok(Err(HELP)),
            other => return Err(other.unexpected().into()),
        }
    }
    if !plan.to.starts_with("http://") {
        return Err(Failure::usage(format!("--to {:?}: expected http://…", plan.to)));
    }
    if !(1..=1_000_000).contains(&plan.boxes) || !(1..=256).contains(&plan.connections) {
        return Err(Failure::usage("expected --boxes 1 to 1000000 and --connections 1 to 256"));
    }
    Ok(Ok(plan))
}

/// Sends it all, and tells what came of it.
pub(crate) fn run(plan: &Plan) -> Result<(), Failure> {
    let (next, outcome) = (AtomicU64::new(0), Mutex::new(Outcome::default()));
    let (begun, run) = (Instant::now(), time::now().0);
    std::thread::scope(|scope| {
        for _ in 0..plan.connections {
            scope.spawn(|| send(plan, run, begun, &next, &outcome));
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let mut outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.latencies.sort_unstable();
    let taken = outcome.answers.get(&200).copied().unwrap_or(0);
    let latency = |percent: usize| {
        let place = outcome.latencies.len().saturating_sub(1) * percent / 100;
        outcome.latencies.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
    };
    let rate = f64::from(u32::try_from(taken).unwrap_or(u32::MAX)) / seconds;
    crate::cli::print(&format!(
        "{taken} of {} sessions taken in {seconds:.1} s: {rate:.0} a second; answered within {:.1} ms (half), {:.1} ms (95 %), \
         {:.1} ms (all)\n",
        plan.sessions,
        latency(50),
        latency(95),
        latency(100)
    ));
    if taken == plan.sessions {
        return Ok(());
    }
    let others = outcome.answers.iter().filter(|(status, _)| **status != 200);
    let others: Vec<_> = others.map(|(status, count)| format!("{count} × {status}")).collect();
    let first = outcome.wrong.unwrap_or_default();
    Err(Failure::input(format!(
        "not all were taken: {} (0: no answer); the first: {first}",
        others.join(", ")
    )))
}

fn send(plan: &Plan, run: u64, begun: Instant, next: &AtomicU64, outcome: &Mutex<Outcome>) {
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(30)));
    let agent: ureq::Agent = config.build().into();
    let options = MediaOptions { extended: true, ..MediaOptions::default() };
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= plan.sessions {
            return;
        }
        if let Some(due) = number.saturating_mul(1000).checked_div(plan.rate) {
            std::thread::sleep(Duration::from_millis(due).saturating_sub(begun.elapsed()));
        }
        let mut random = Random(run ^ number);
        let device = random.below(plan.boxes);
        let Some((snapshot, end)) = session(&format!("{run}-{number}"), &mut random) else { continue };
        let anchor = WallAnchor { at: end, unix_ms: time::now().0 };
        let body = encode_batch(&[Report::Media(MediaReport::from_snapshot(&snapshot, &anchor, &options))]);
        let [_, _, _, _, _, a, b, c] = device.to_be_bytes();
        let asked = Instant::now();
        let answer = agent
            .post(&plan.to)
            .header("Content-Type", "application/json")
            .header("Mac-Address", format!("02:00:00:{a:02x}:{b:02x}:{c:02x}"))
            .send(&body[..]);
        let mut outcome = outcome.lock().unwrap_or_else(PoisonError::into_inner);
        let (status, text) = match answer {
            Ok(mut answer) => {
                (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap_or_default())
            }
            Err(error) => (0, error.to_string()),
        };
        *outcome.answers.entry(status).or_default() += 1;
        if status == 200 {
            outcome.latencies.push(asked.elapsed());
        } else {
            outcome.wrong.get_or_insert(text);
        }
    }
}

/// A session from its attempt on, and when it ended.
fn session(id: &str, random: &mut Random) -> Option<(Snapshot, Millis)> {
    // The first channels are watched most.
    let channel = random.below(200).min(random.below(200));
    let host = random.below(3);
    let mut told = Vec::new();
    let mut at = 1_000_u64;
    let mut tell = |at: u64, text: &str| told.push(format!(r#"{{"v":1,"at":{at},"session":"{id}",{text}}}"#));
    let open = format!(
        r#""type":"open","url":"http://cdn-{host}.example/{channel}.m3u8","proto":"ott","id":"{channel}""#
    );
    tell(at, &open);
    tell(at, r#""type":"state","state":"playing""#);
    let fate = random.below(100);
    at += 300 + random.below(2_500);
    let reason = if fate < 2 {
        tell(at, r#""type":"error","code":"http-404","message":"not found","fatal":true"#);
        "error"
    } else if fate < 4 {
        "stop"
    } else {
        let rate =
            [1_500_000, 3_000_000, 6_000_000].get(usize::try_from(random.below(3)).unwrap_or(0)).copied();
        tell(
            at,
            &format!(r#""type":"bitrate","bitrate":{},"width":1280,"height":720"#, rate.unwrap_or(1_500_000)),
        );
        tell(at, r#""type":"first_frame""#);
        let joined = at;
        at += 10_000 + random.below(600_000);
        let mut waited = 0;
        for _ in 0..random.below(8).saturating_sub(5) {
            let waits = 200 + random.below(4_000);
            tell(at, r#""type":"buffering","percent":0"#);
            at += waits;
            waited += waits;
            tell(at, r#""type":"buffering","percent":100"#);
            at += 5_000 + random.below(300_000);
        }
        let decoded = (at - joined - waited) / 40;
        let dropped = random.below(20).saturating_sub(15);
        let frames = format!(r#""video":{{"decoded":{decoded},"dropped":{dropped}}}"#);
        tell(
            at,
            &format!(
                r#""type":"counters",{frames},"discontinuities":{}"#,
                random.below(10).saturating_sub(8)
            ),
        );
        if fate < 7 {
            tell(at, r#""type":"error","code":"decode","message":"no more","fatal":true"#);
            "error"
        } else {
            "stop"
        }
    };
    tell(at, &format!(r#""type":"close","reason":"{reason}""#));
    let mut sessions = Sessions::new();
    for text in told {
        let message = Message::decode(text.as_bytes()).ok()?;
        sessions.handle_message(Millis(at), Peer(1), message).ok()?;
    }
    sessions.poll_snapshot().map(|snapshot| (snapshot, Millis(at)))
}

// === impl Random ===

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).checked_rem(bound).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_comes_to_its_end() {
        let ended = (0..500).filter(|number| {
            let (snapshot, end) = session("1-1", &mut Random(*number)).unwrap();
            snapshot.closed.is_some() && end > Millis(1_000)
        });
        assert_eq!(ended.count(), 500);
    }
}
