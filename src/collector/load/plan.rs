//! What a load is like, as the command line says.

use lexopt::{Arg, ValueExt};

use super::fleet::Source;
use crate::cli::Failure;

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

/// What a load is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(super) to: String,
    /// `None` for all of them.
    pub(super) source: Option<Source>,
    pub(super) boxes: u64,
    pub(super) rate: u64,
    pub(super) sessions: u64,
    /// In seconds.
    pub(super) length: u64,
    pub(super) connections: u64,
    pub(super) retries: u32,
    pub(super) at_once: bool,
}

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
