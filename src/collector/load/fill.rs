//! A store as it is after a day of a large fleet, for measuring: sessions of a load go through book and store as those do
//! that are received, by a clock that is made up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use lexopt::{Arg, ValueExt};
use stbeacon_core::stb::{Report, receive_batch};
use stbeacon_core::time::WallAnchor;

use super::fleet::{Source, Telling, Told};
use crate::book::{Book, Message};
use crate::cli::Failure;
use crate::rules::Rules;
use crate::session::{beat, line, report};
use crate::store::{Keep, Sqlite, Store};
use crate::time::{self, HOUR, UnixMs};

const HELP: &str = "\
Fill a store with sessions that were never received, for measuring: `cargo xtask bench collector` does it.

Usage: stbeacon-collector bench-fill --data DIR [OPTIONS]

Options:
      --data DIR       the store; is made if it is not there. No collector may run on it
      --sessions N     how many [default: 1000000]
      --hours N        how long ago the first began [default: 24]
      --source SOURCE  how they were told: reports, lines, heartbeats or mixed [default: reports]
      --boxes N        by how many boxes [default: 100000]
  -h, --help           this text
";

/// Messages in a transaction; what is received has no more than 1024 requests in one.
const BATCH: usize = 8192;
/// How long a session lasts at most, without waits, in seconds.
const LENGTH: u64 = 600;
/// Sessions that are made ahead.
const AHEAD: usize = 256;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    data: PathBuf,
    sessions: u64,
    hours: u64,
    source: Option<Source>,
    boxes: u64,
}

/// Reads the command line behind `bench-fill`; `Err` with a text that is only to be shown.
pub(crate) fn read(args: &mut lexopt::Parser) -> Result<Result<Plan, &'static str>, Failure> {
    let (data, source) = (PathBuf::new(), Some(Source::Reports));
    let mut plan = Plan { data, sessions: 1_000_000, hours: 24, source, boxes: 100_000 };
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("data") => plan.data = args.value()?.into(),
            Arg::Long("sessions") => plan.sessions = args.value()?.parse()?,
            Arg::Long("hours") => plan.hours = args.value()?.parse()?,
            Arg::Long("source") => plan.source = super::plan::source(&args.value()?.string()?)?,
            Arg::Long("boxes") => plan.boxes = args.value()?.parse()?,
            Arg::Long("help") | Arg::Short('h') => return Ok(Err(HELP)),
            other => return Err(other.unexpected().into()),
        }
    }
    if plan.data.as_os_str().is_empty() {
        return Err(Failure::usage("bench-fill needs --data DIR"));
    }
    if !(1..=10_000).contains(&plan.hours) || plan.sessions == 0 || plan.boxes == 0 {
        return Err(Failure::usage("expected --hours 1 to 10000, and --sessions and --boxes of 1 or more"));
    }
    Ok(Ok(plan))
}

/// Fills the store.
pub(crate) fn run(plan: &Plan) -> Result<(), Failure> {
    let directory = &plan.data;
    let failed = |error: &dyn std::fmt::Display| {
        Failure::environment(format!("--data {}: {error}", directory.display()))
    };
    std::fs::create_dir_all(directory).map_err(|error| failed(&error))?;
    let begun = Instant::now();
    let until = time::now();
    let from = until - plan.hours * HOUR;
    let mut store = Sqlite::open(directory).map_err(|error| failed(&error))?;
    let book = Book::open(&mut store, Rules::default(), 20_000, from).map_err(|error| failed(&error))?;
    let mut filling = Filling { store, book, waiting: 0, messages: 0 };
    let (sender, told) = sync_channel(AHEAD);
    let result = std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..plan.sessions {
                // Multiplied first: there may be many in each millisecond.
                let start = from + until.since(from).saturating_mul(number) / plan.sessions;
                // Nobody takes them any more where the store has failed.
                if tell(plan, from, number, start)
                    .is_some_and(|telling| sender.send((start, telling)).is_err())
                {
                    return;
                }
            }
        });
        filling.take_all(&told, until)
    });
    result.map_err(|error| failed(&error))?;
    // Whoever had taken them in the course of that time would have added up its hours.
    while filling.store.tidy(&Keep::default(), until).map_err(|error| failed(&error))?.folded > 0 {}
    let seconds = begun.elapsed().as_secs_f64();
    crate::cli::print(&format!(
        "{} sessions of {} h in {} messages, {} run; {seconds:.1} s\n",
        plan.sessions,
        plan.hours,
        filling.messages,
        filling.book.running()
    ));
    Ok(())
}

/// What is being filled.
struct Filling {
    store: Sqlite,
    book: Book,
    /// Messages that are not written.
    waiting: usize,
    messages: u64,
}

impl Filling {
    /// Takes all messages in the order of their time, up to `until`.
    fn take_all(
        &mut self,
        sessions: &Receiver<(UnixMs, Telling)>,
        until: UnixMs,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let mut due: BTreeMap<(UnixMs, u64), (String, Told)> = BTreeMap::new();
        let mut number = 0;
        for (start, Telling { mac, requests, .. }) in sessions {
            while due.first_key_value().is_some_and(|((at, _), _)| *at <= start) {
                let Some(((at, _), (mac, told))) = due.pop_first() else { break };
                self.take(at, &mac, told)?;
            }
            for (at, told) in requests {
                due.insert((start + at, number), (mac.clone(), told));
                number += 1;
            }
        }
        for ((at, _), (mac, told)) in due {
            if at <= until {
                self.take(at, &mac, told)?;
            }
        }
        self.write()
    }

    fn take(&mut self, at: UnixMs, mac: &str, told: Told) -> Result<(), Box<dyn std::error::Error>> {
        for message in messages(mac, told)? {
            self.book.take(message, at, &mut self.store)?;
            self.messages += 1;
            self.waiting += 1;
        }
        if self.waiting >= BATCH { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        self.waiting = 0;
        Ok(self.store.write(&self.book.take_changes())?)
    }
}

fn tell(plan: &Plan, run: UnixMs, number: u64, start: UnixMs) -> Option<Telling> {
    let device = super::random::Random::new(number).below(plan.boxes);
    let source = plan.source.unwrap_or(Source::of(device));
    let wall = |begin, _| WallAnchor { at: begin, unix_ms: start.0 };
    Telling::make(run.0, number, device, source, LENGTH, &wall)
}

/// As `receive` reads them.
fn messages(mac: &str, told: Told) -> Result<Vec<Message>, Box<dyn std::error::Error>> {
    let (address, subnet) = network(mac);
    Ok(match told {
        Told::Line(text) => vec![Message::Line(Box::new(line::Received::read(&text, &address, &subnet)?))],
        Told::Beat(body) => {
            vec![Message::Beat(Box::new(beat::Received::read(body.as_bytes(), &address, &subnet)?))]
        }
        Told::Report(body) => {
            let reports = receive_batch(&body)?.reports;
            let message = |report| match report {
                Report::Network(report) => {
                    Message::Network { device: mac.to_owned(), report: Box::new(report) }
                }
                Report::Media(report) => Message::Media(Box::new(report::Received {
                    device: mac.to_owned(),
                    subnet: subnet.clone(),
                    report,
                })),
            };
            reports.into_iter().map(message).collect()
        }
    })
}

/// Where a box is: 256 of them share a subnet.
fn network(mac: &str) -> (String, String) {
    let octets: Vec<u8> =
        mac.split(':').skip(3).filter_map(|octet| u8::from_str_radix(octet, 16).ok()).collect();
    match octets.as_slice() {
        [a, b, c] => (format!("10.{a}.{b}.{c}"), format!("10.{a}.{b}.0/24")),
        _ => ("10.0.0.0".to_owned(), "10.0.0.0/24".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::ALL_TRAFFIC;
    use crate::labels::Known;
    use crate::store::{Reader, Span};
    use crate::time::Minute;

    #[test]
    fn all_of_them_are_there_and_count() {
        let directory = tempfile::tempdir().unwrap();
        let plan =
            Plan { data: directory.path().to_owned(), sessions: 120, hours: 24, source: None, boxes: 30 };
        run(&plan).unwrap();
        let mut store = Sqlite::open(directory.path()).unwrap();
        assert!((100..=120).contains(&store.all().unwrap().len()));
        assert!(store.running().unwrap().len() < 5);
        let channel = Known::Channel.id();
        let span =
            Span { filter: ALL_TRAFFIC.0, dimension: channel, from: Minute(0), until: Minute(u64::MAX) };
        let by_channel = Sqlite::reader(directory.path()).unwrap().values(&span).unwrap();
        let names: Vec<_> = by_channel.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["heartbeats", "lines", "reports"]);
        assert!(by_channel.iter().all(|(_, figures)| figures.attempts > 20), "{by_channel:?}");
    }
}
