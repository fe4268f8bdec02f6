//! A fleet that is none: sessions as boxes would tell them, made by the agent's own code, for a collector to take.

pub(crate) mod fill;
mod fleet;

use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use lexopt::{Arg, ValueExt};
use stbeacon_core::time::WallAnchor;

use self::fleet::{Source, Telling, Told};
use crate::cli::Failure;
use crate::time;

const HELP: &str = "\
Send a collector what a fleet of boxes would: sessions that were never played, with starts that fail, waits and ends.

Usage: stbeacon-collector load [OPTIONS]

Options:
      --to URL         the collector, http [default: http://127.0.0.1:8480/]
      --source SOURCE  how boxes tell of sessions: reports, lines, heartbeats, or mixed, a third of the boxes each
                       [default: reports]
      --boxes N        how many boxes there are, 1 to 1000000 [default: 100]
      --rate R         sessions a second of all together, 0 for as many as go [default: 10]
      --sessions N     how many in all [default: 600]
      --length SECONDS how long a session is watched without a wait, 1 to 86400 at most [default: 600]
      --connections N  how many requests are on their way at once, each on a connection that is kept, 1 to 256
                       [default: 16]
      --retries N      how often what is not answered, or with 429 or 503, is sent again, when the answer says or after
                       a second [default: 0]
      --at-once        sends lines and heartbeats without waiting for their time. Lines tell no time of day: a collector
                       has them happen now and in the minutes to come
  -h, --help           this text

A report is sent at once, and tells of the past. Lines and heartbeats are sent while their session lasts, as boxes do: so
it takes as long as the last session. Meanwhile some 10 KB of memory are taken by a session that is told by lines, and 1 KB
for each heartbeat.

All come from one address: the collector has to be started with --rate 0, or refuses most of them.

Examples:
  stbeacon-collector --data ./data --rate 0 &
  stbeacon-collector load --boxes 1000 --rate 200 --sessions 10000
  stbeacon-collector load --source mixed --boxes 3000 --rate 20 --sessions 12000 --length 1800 --retries 5
  stbeacon-collector load --source lines --at-once --rate 0 --connections 64 --sessions 100000

Exits with 0 if all were taken, with 1 otherwise.
";

/// Longest that is waited before something is sent again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long it is waited where no answer says so.
const USUAL_WAIT: Duration = Duration::from_secs(1);

/// What a load is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    to: String,
    /// `None` for all of them.
    source: Option<Source>,
    boxes: u64,
    rate: u64,
    sessions: u64,
    /// In seconds.
    length: u64,
    connections: u64,
    retries: u32,
    at_once: bool,
}

/// A session of which not all is sent.
#[derive(Debug)]
struct Running {
    /// When the next request is.
    due: Instant,
    begun: Instant,
    source: Source,
    mac: String,
    /// What is left, and when it is, in ms from the beginning.
    requests: VecDeque<(u64, Told)>,
    /// How often the next one was sent.
    tries: u32,
}

/// What is to be done.
#[derive(Debug)]
struct Queue {
    begun: Instant,
    /// The session that begins next.
    next: u64,
    running: BinaryHeap<Running>,
}

/// What a worker does next.
enum Next {
    /// Go on with a session.
    Go(Running),
    /// Begin this one.
    Begin(u64),
    Wait(Duration),
    /// There is nothing left to begin, and what runs is others'.
    End,
}

/// What came of it.
#[derive(Debug, Default)]
struct Outcome {
    /// By status; 0 where there was no answer.
    answers: BTreeMap<u16, u64>,
    /// How many requests were taken, of each source.
    taken: BTreeMap<Source, u64>,
    /// Of those that were taken.
    latencies: Vec<Duration>,
    /// Sessions of which all was taken.
    whole: u64,
    /// How often something was sent again.
    again: u64,
    /// The first that went wrong.
    wrong: Option<String>,
}

/// An answer to a request.
struct Answered {
    /// 0 where there was none.
    status: u16,
    /// When to come again, where it says so.
    retry_after: Option<Duration>,
    /// What is wrong, if something is.
    text: String,
}

/// All that workers share.
struct Load<'p> {
    plan: &'p Plan,
    /// What this load's sessions are known by.
    run: u64,
    queue: Mutex<Queue>,
    changed: Condvar,
    outcome: Mutex<Outcome>,
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub(crate) struct Random(u64);

/// Reads the command line behind `load`; `Err` with a text that is only to be shown.
pub(crate) fn read(args: &mut lexopt::Parser) -> Result<Result<Plan, &'static str>, Failure> {
    let mut plan = Plan::default();
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("to") => plan.to = args.value()?.string()?,
            Arg::Long("source") => plan.source = source(&args.value()?.string()?)?,
            Arg::Long("boxes") => plan.boxes = args.value()?.parse()?,
            Arg::Long("rate") => plan.rate = args.value()?.parse()?,
            Arg::Long("sessions") => plan.sessions = args.value()?.parse()?,
            Arg::Long("length") => plan.length = args.value()?.parse()?,
            Arg::Long("connections") => plan.connections = args.value()?.parse()?,
            Arg::Long("retries") => plan.retries = args.value()?.parse()?,
            Arg::Long("at-once") => plan.at_once = true,
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
    if !(1..=86_400).contains(&plan.length) {
        return Err(Failure::usage("expected --length 1 to 86400 seconds"));
    }
    Ok(Ok(plan))
}

/// One source by its name; `None` for all.
pub(crate) fn source(name: &str) -> Result<Option<Source>, Failure> {
    if name == "mixed" {
        return Ok(None);
    }
    let found = Source::ALL.into_iter().find(|source| source.name() == name);
    found.map(Some).ok_or_else(|| {
        Failure::usage(format!("--source {name:?} is none of reports, lines, heartbeats, mixed"))
    })
}

/// Sends it all, and tells what came of it.
pub(crate) fn run(plan: &Plan) -> Result<(), Failure> {
    let begun = Instant::now();
    let load = Load {
        plan,
        run: time::now().0,
        queue: Mutex::new(Queue { begun, next: 0, running: BinaryHeap::new() }),
        changed: Condvar::new(),
        outcome: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for _ in 0..plan.connections {
            scope.spawn(|| load.work());
        }
    });
    let outcome = load.outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    outcome.tell(plan, begun.elapsed())
}

// === impl Plan ===

impl Default for Plan {
    fn default() -> Self {
        Self {
            to: "http://127.0.0.1:8480/".to_owned(),
            source: Some(Source::Reports),
            boxes: 100,
            rate: 10,
            sessions: 600,
            length: 600,
            connections: 16,
            retries: 0,
            at_once: false,
        }
    }
}

// === impl Load ===

impl Load<'_> {
    fn work(&self) {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)));
        let agent: ureq::Agent = config.build().into();
        loop {
            let running = match self.next() {
                Next::Go(running) => running,
                Next::Begin(number) => match self.begin(number) {
                    Some(running) => running,
                    None => continue,
                },
                // Woken earlier where something is put back meanwhile.
                Next::Wait(_) => continue,
                Next::End => return,
            };
            self.go_on(&agent, running);
        }
    }

    /// What to do now; waits for a while where there is nothing.
    fn next(&self) -> Next {
        let mut queue = lock(&self.queue);
        let next = queue.next(self.plan, Instant::now());
        if let Next::Wait(time) = next {
            drop(self.changed.wait_timeout(queue, time));
        }
        next
    }

    fn begin(&self, number: u64) -> Option<Running> {
        let Plan { boxes, length, at_once, .. } = *self.plan;
        let device = Random::new(self.run ^ number.rotate_left(32)).below(boxes);
        let source = self.plan.source.unwrap_or(Source::of(device));
        let unix_ms = time::now().0;
        let is_over = at_once || source == Source::Reports;
        let wall = |begin, end| WallAnchor { at: if is_over { end } else { begin }, unix_ms };
        let telling = Telling::make(self.run, number, device, source, length, &wall)?;
        let now = Instant::now();
        let Telling { source, mac, requests } = telling;
        Some(Running { due: now, begun: now, source, mac, requests: requests.into(), tries: 0 })
    }

    /// Sends what is due of a session, and puts the rest back.
    fn go_on(&self, agent: &ureq::Agent, mut running: Running) {
        while let Some((at, told)) = running.requests.front() {
            let is_at_once = self.plan.at_once || running.source == Source::Reports;
            if running.tries == 0 && !is_at_once {
                running.due = running.begun + Duration::from_millis(*at);
            }
            if running.due > Instant::now() {
                lock(&self.queue).running.push(running);
                self.changed.notify_one();
                return;
            }
            let asked = Instant::now();
            let answered = self.send(agent, &running.mac, told);
            let may_come_again = matches!(answered.status, 0 | 429 | 503);
            let comes_again = may_come_again && running.tries < self.plan.retries;
            let is_taken = answered.status == 200;
            if is_taken {
                running.requests.pop_front();
                running.tries = 0;
            } else if comes_again {
                let wait = answered.retry_after.unwrap_or(USUAL_WAIT).min(LONGEST_WAIT);
                running.due = asked + wait;
                running.tries += 1;
            }
            let mut outcome = lock(&self.outcome);
            *outcome.answers.entry(answered.status).or_default() += 1;
            if is_taken {
                outcome.latencies.push(asked.elapsed());
                *outcome.taken.entry(running.source).or_default() += 1;
                outcome.whole += u64::from(running.requests.is_empty());
            } else {
                outcome.wrong.get_or_insert(answered.text);
                outcome.again += u64::from(comes_again);
                if !comes_again {
                    return;
                }
            }
        }
    }

    fn send(&self, agent: &ureq::Agent, mac: &str, told: &Told) -> Answered {
        let base = self.plan.to.trim_end_matches('/');
        let json = |url: &str| agent.post(url).header("Content-Type", "application/json");
        let answer = match told {
            Told::Report(body) => json(&self.plan.to).header("Mac-Address", mac).send(&body[..]),
            Told::Beat(body) => json(&format!("{base}/0/wsg")).send(body),
            Told::Line(line) => agent.get(format!("{base}/9.gif?{line}")).call(),
        };
        match answer {
            Ok(mut answer) => {
                let told = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
                let retry_after = told.and_then(|text| text.parse().ok()).map(Duration::from_secs);
                let status = answer.status().as_u16();
                // Read to its end, so that the connection can be used again.
                let body = answer.body_mut().read_to_vec().unwrap_or_default();
                let text = if status == 200 { String::new() } else { String::from_utf8_lossy(&body).into() };
                Answered { status, retry_after, text }
            }
            Err(error) => Answered { status: 0, retry_after: None, text: error.to_string() },
        }
    }
}

// === impl Queue ===

impl Queue {
    fn next(&mut self, plan: &Plan, now: Instant) -> Next {
        if self.running.peek().is_some_and(|running| running.due <= now) {
            return self.running.pop().map_or(Next::End, Next::Go);
        }
        let until_due = self.running.peek().map(|running| running.due - now);
        let until_next = (self.next < plan.sessions).then(|| {
            let ms = self.next.saturating_mul(1000).checked_div(plan.rate).unwrap_or(0);
            (self.begun + Duration::from_millis(ms)).saturating_duration_since(now)
        });
        match until_due.into_iter().chain(until_next).min() {
            Some(_) if until_next == Some(Duration::ZERO) => {
                self.next += 1;
                Next::Begin(self.next - 1)
            }
            Some(time) => Next::Wait(time),
            None => Next::End,
        }
    }
}

// === impl Running ===

// The one that is due first is the greatest.
impl Ord for Running {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Running {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Running {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Running {}

// === impl Outcome ===

impl Outcome {
    /// Shows it.
    ///
    /// # Errors
    /// Where not all was taken.
    fn tell(mut self, plan: &Plan, took: Duration) -> Result<(), Failure> {
        self.latencies.sort_unstable();
        let seconds = took.as_secs_f64();
        let rate = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / seconds;
        let latency = |percent: usize| {
            let place = self.latencies.len().saturating_sub(1) * percent / 100;
            self.latencies.get(place).map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
        };
        let sent: u64 = self.answers.values().sum();
        let taken: u64 = self.taken.values().sum();
        let join = |parts: Vec<String>| if parts.is_empty() { "none".to_owned() } else { parts.join(", ") };
        let by_source = self.taken.iter().map(|(source, count)| format!("{count} of {}", source.name()));
        let by_status: Vec<_> =
            self.answers.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        crate::cli::print(&format!(
            "{} of {} sessions taken in {seconds:.1} s: {:.0} a second; answered within {:.1} ms (half), {:.1} ms (95 %), \
             {:.1} ms (all)\n\
             {sent} requests sent, {} again; {taken} taken ({}): {:.0} a second; answers: {}\n",
            self.whole,
            plan.sessions,
            rate(self.whole),
            latency(50),
            latency(95),
            latency(100),
            self.again,
            join(by_source.collect()),
            rate(taken),
            join(by_status.clone()),
        ));
        if self.whole == plan.sessions {
            return Ok(());
        }
        let first = self.wrong.unwrap_or_default();
        Err(Failure::input(format!(
            "not all were taken: {} (0: no answer); the first: {}",
            join(by_status),
            first.trim_end()
        )))
    }
}

// === impl Random ===

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.word().checked_rem(bound).unwrap_or(0)
    }

    /// 128 bits.
    pub(crate) fn wide(&mut self) -> u128 {
        u128::from(self.word()) << 64 | u128::from(self.word())
    }

    const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_first_goes_first() {
        let now = Instant::now();
        let after = |ms| now + Duration::from_millis(ms);
        let running = |ms| Running {
            due: after(ms),
            begun: now,
            source: Source::Lines,
            mac: String::new(),
            requests: VecDeque::new(),
            tries: 0,
        };
        let mut queue = Queue { begun: now, next: 0, running: [30, 10, 20].map(running).into() };
        let plan = Plan { rate: 10, sessions: 2, ..Plan::default() };
        assert!(matches!(queue.next(&plan, now), Next::Begin(0)));
        assert!(matches!(queue.next(&plan, now), Next::Wait(time) if time == Duration::from_millis(10)));
        assert!(matches!(queue.next(&plan, after(25)), Next::Go(running) if running.due == after(10)));
        assert!(matches!(queue.next(&plan, after(25)), Next::Go(running) if running.due == after(20)));
        assert!(matches!(queue.next(&plan, after(50)), Next::Go(_)));
        assert!(
            matches!(queue.next(&plan, after(50)), Next::Wait(time) if time == Duration::from_millis(50))
        );
        assert!(matches!(queue.next(&plan, after(100)), Next::Begin(1)));
        assert!(matches!(queue.next(&plan, after(100)), Next::End));
    }
}
