//! `stbeacon ts`: what is in a transport stream, and what is wrong with it.

mod input;
mod report;
mod socket;
mod transport;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lexopt::{Arg, ValueExt};
use signal_hook::consts::{SIGINT, SIGTERM};
use stbeacon_core::ts::{Clock, Monitor};

use self::input::{Input, Piece, Source};
use self::report::Report;
use self::transport::Transport;
use crate::cli::{self, Failure};

const HELP: &str = "\
Analyse a transport stream (MPEG-2 TS): what each PID is and carries, its bit rate, and errors by ETSI TR 101 290,
priorities 1 and 2.

Usage: stbeacon ts [OPTIONS] FILE|-|udp://[@]ADDRESS:PORT|rtp://[@]ADDRESS:PORT

  FILE   a file, of packets of 188, 192 or 204 bytes
  -      standard input
  udp:// datagrams of transport packets, to an address of this host's or a multicast group; @:PORT for any address
  rtp:// the same in RTP: with its gaps, reordering, duplicates and jitter

Intervals are measured on the stream's own clock references where it is read from a file or standard input, and on
arrival where it comes over the network; there the media delivery index (RFC 4445) is told as well. Packets are looked
at as they arrive: one that overtakes another is a continuity error, as it is to a decoder without a buffer.

Options:
      --duration SECONDS     end then: of the stream's own time in a file, of yours on the network
      --interface NAME       join a multicast group there [default: as the kernel routes it]
      --json                 one JSON object in place of the tables
  -h, --help                 this text

Ctrl-C ends it, and has the tables printed. On a terminal it tells how far it is.

Examples:
  stbeacon ts recording.ts
  stbeacon ts --json --duration 60 udp://@239.1.1.1:5000 --interface eth0
  curl -s http://server.example.net/live.ts | stbeacon ts -

Exit codes: 0 no errors; 1 it cannot be had, or is no transport stream; 2 the command line is wrong; 3 errors were found.
";

/// Errors were found.
const FOUND: u8 = 3;

/// How often progress is told, at most.
const PROGRESS: Duration = Duration::from_millis(500);

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let (mut source, mut interface, mut duration, mut is_json) = (None, None, None, false);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("duration") => duration = Some(seconds(&args.value()?.string()?)?),
            Arg::Long("interface") => interface = Some(args.value()?.string()?),
            Arg::Long("json") => is_json = true,
            Arg::Long("help") | Arg::Short('h') => {
                cli::print(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Value(value) if source.is_none() => source = Some(value),
            other => return Err(other.unexpected().into()),
        }
    }
    let source = source.ok_or_else(|| Failure::usage("which stream? See stbeacon ts --help"))?;
    let source = Source::parse(&source, interface)?;
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&is_over))
            .map_err(|error| Failure::input(format!("signals cannot be caught: {error}")))?;
    }
    let report = analyse(&source, duration, &is_over)?;
    cli::print(&if is_json { report.json() } else { report.to_string() });
    Ok(if report.errors == 0 { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn seconds(text: &str) -> Result<Duration, Failure> {
    let seconds = text.parse::<f64>().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let seconds = seconds.filter(|duration| !duration.is_zero());
    seconds.ok_or_else(|| Failure::usage(format!("--duration {text:?} is no number of seconds above 0")))
}

/// Reads until the end, or until it is over.
fn analyse(source: &Source, most: Option<Duration>, is_over: &AtomicBool) -> Result<Report, Failure> {
    let name = source.to_string();
    let mut input = Input::open(source)?;
    let is_network = source.is_network();
    let mut monitor = Monitor::new(if is_network { Clock::Arrival } else { Clock::Pcr });
    let mut transport = source.is_network().then(|| Transport::new(source.is_rtp()));
    let start = Instant::now();
    let mut progress = Progress::new(start);
    loop {
        let piece = input.next().map_err(|error| Failure::input(format!("{name}: {error}")))?;
        let now = Instant::now();
        let at = now.duration_since(start);
        monitor.arrive(at);
        match (piece, &mut transport) {
            (Piece::End, _) => break,
            (Piece::Nothing, _) => {}
            (Piece::Bytes(bytes), None) => monitor.feed(bytes),
            (Piece::Bytes(bytes), Some(transport)) => transport.datagram(at, bytes, &mut monitor),
        }
        progress.tell(now, &monitor);
        let passed = if is_network { at } else { monitor.duration() };
        if is_over.load(Ordering::Relaxed) || most.is_some_and(|most| passed >= most) {
            break;
        }
    }
    progress.end();
    let overflows = input.overflows();
    if monitor.counts().packets == 0 {
        let hint = transport.map_or("no transport packets in it", |transport| transport.why_nothing());
        return Err(Failure::input(format!("{name}: {hint}")));
    }
    let network = transport.map(|transport| transport.report(overflows));
    Ok(Report::new(name, &monitor, network))
}

/// One line on the terminal, over and over.
struct Progress {
    due: Option<Instant>,
    is_shown: bool,
}

// === impl Progress ===

impl Progress {
    fn new(start: Instant) -> Self {
        Self { due: io::stderr().is_terminal().then_some(start + PROGRESS), is_shown: false }
    }

    fn tell(&mut self, now: Instant, monitor: &Monitor) {
        if self.due.is_none_or(|due| now < due) {
            return;
        }
        self.due = Some(now + PROGRESS);
        self.is_shown = true;
        let line = format!(
            "\r{} packets, {}, {} errors\x1b[K",
            monitor.counts().packets,
            report::rate(monitor.bitrate()),
            monitor.indicators().sum()
        );
        // A terminal that is gone needs no progress.
        let _ = io::stderr().write_all(line.as_bytes());
    }

    fn end(&self) {
        if self.is_shown {
            let _ = io::stderr().write_all(b"\r\x1b[K");
        }
    }
}
