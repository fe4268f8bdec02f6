//! What is to be sent, and when.

use std::collections::{BinaryHeap, VecDeque};
use std::time::{Duration, Instant};

use super::fleet::{Source, Told};
use super::plan::Plan;

/// A session of which not all is sent.
#[derive(Debug)]
pub(super) struct Running {
    /// When the next request is.
    pub(super) due: Instant,
    pub(super) begun: Instant,
    pub(super) source: Source,
    pub(super) mac: String,
    /// What is left, and when it is, in ms from the beginning.
    pub(super) requests: VecDeque<(u64, Told)>,
    /// How often the next one was sent.
    pub(super) tries: u32,
}

/// What is to be done.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) begun: Instant,
    /// The session that begins next.
    pub(super) next: u64,
    pub(super) running: BinaryHeap<Running>,
}

/// What a worker does next.
pub(super) enum Next {
    /// Go on with a session.
    Go(Running),
    /// Begin this one.
    Begin(u64),
    Wait(Duration),
    /// There is nothing left to begin, and what runs is others'.
    End,
}

// === impl Queue ===

impl Queue {
    /// What somebody does who has nothing to do.
    pub(super) fn next(&mut self, plan: &Plan, now: Instant) -> Next {
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
