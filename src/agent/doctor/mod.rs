//! `stbeacon doctor`: why a player is or is not seen.

mod facts;
mod findings;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use lexopt::Arg;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect as connect_socket, socket};

use self::findings::{Facts, Verdict, diagnose};
use crate::cli::{self, Failure};

pub(crate) use self::facts::of_this_environment as environment;

const HELP: &str = "\
Says why a player is or is not seen.

Usage: stbeacon doctor [--socket PATH] [PID…]

Looks at GStreamer (was it built with tracer hooks?), the plug-in (found? blacklisted?), the player (loaded into
it? started with the right environment?) and the daemon's socket (there? answering? reachable from the player's
namespace, by its user?). Without PID: at each running process that has GStreamer loaded, and at what a player
started from here would find. Other users' processes can be looked at by root alone.

Options:
      --socket PATH  where the daemon listens, if not where the player's environment says
  -h, --help         this text

Examples:
  stbeacon doctor
  stbeacon doctor $(pidof gst-play-1.0)

Exits with 0 if nothing stands in the way, with 3 if something does.
";

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut pids: Vec<u32> = Vec::new();
    let mut socket: Option<PathBuf> = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("help") | Arg::Short('h') => {
                cli::print(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            Arg::Long("socket") => socket = Some(args.value()?.into()),
            Arg::Value(value) => {
                let pid = value.to_str().and_then(|text| text.parse().ok());
                pids.push(pid.ok_or_else(|| Failure::usage(format!("{value:?} is no process id")))?);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let socket = socket.as_deref();
    let mut healthy = true;
    if pids.is_empty() {
        healthy &= show("a player started from here", &facts::of_this_environment(socket));
        // A process that goes away, or is not ours to look at, while all are listed is no finding.
        let players = facts::players();
        for facts in players.into_iter().filter_map(|pid| facts::of_process(pid, socket).ok()) {
            healthy &= show_player(&facts);
        }
    } else {
        for pid in pids {
            healthy &= show_player(&facts::of_process(pid, socket).map_err(|error| unreadable(pid, &error))?);
        }
    }
    Ok(if healthy { ExitCode::SUCCESS } else { ExitCode::from(cli::ENVIRONMENT) })
}

/// Connects to the daemon's socket, and lets go again.
///
/// # Errors
/// What the kernel says.
fn connect(path: &Path) -> io::Result<()> {
    let fd = socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    Ok(connect_socket(std::os::fd::AsRawFd::as_raw_fd(&fd), &UnixAddr::new(path)?)?)
}

fn show_player(facts: &Facts) -> bool {
    let who = facts.player.as_ref().map(|player| format!("{} (pid {})", player.name, player.pid));
    show(&who.unwrap_or_default(), facts)
}

/// Prints what was found out, and says whether nothing stands in the way.
fn show(who: &str, facts: &Facts) -> bool {
    let findings = diagnose(facts);
    let healthy = findings.iter().all(|finding| finding.verdict != Verdict::Problem);
    let mut text = format!("{who}: {}\n", if healthy { "nothing stands in the way" } else { "not seen" });
    for finding in findings {
        text.push_str(&format!("  {}\n", finding.to_string().replace('\n', "\n  ")));
    }
    cli::print(&text);
    healthy
}

fn unreadable(pid: u32, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::NotFound => "there is no such process",
        io::ErrorKind::PermissionDenied => "it belongs to another user: run this as root",
        _ => "is /proc mounted?",
    };
    Failure::environment(format!("cannot look at process {pid}: {error}; {remedy}"))
}
