//! A fleet that is none: sessions as boxes would tell them, made by the agent's own code, for a collector to take.

pub(crate) mod fill;
mod fleet;
mod outcome;
mod plan;
mod queue;
mod random;

use std::collections::BinaryHeap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stbeacon_core::time::WallAnchor;

use self::fleet::{Source, Telling, Told};
use self::outcome::Outcome;
pub(crate) use self::plan::{Plan, read};
use self::queue::{Next, Queue, Running};
use self::random::Random;
use crate::cli::Failure;
use crate::time;

/// Longest that is waited before something is sent again.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How long it is waited where no answer says so.
const USUAL_WAIT: Duration = Duration::from_secs(1);

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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
