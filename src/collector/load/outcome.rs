//! What came of a load.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fleet::Source;
use super::plan::Plan;
use crate::cli::Failure;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// By status; 0 where there was no answer.
    pub(super) answers: BTreeMap<u16, u64>,
    /// How many requests were taken, of each source.
    pub(super) taken: BTreeMap<Source, u64>,
    /// Of those that were taken.
    pub(super) latencies: Vec<Duration>,
    /// Sessions of which all was taken.
    pub(super) whole: u64,
    /// How often something was sent again.
    pub(super) again: u64,
    /// The first that went wrong.
    pub(super) wrong: Option<String>,
}

// === impl Outcome ===

impl Outcome {
    /// Shows it.
    ///
    /// # Errors
    /// Where not all was taken.
    pub(super) fn tell(mut self, plan: &Plan, took: Duration) -> Result<(), Failure> {
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
