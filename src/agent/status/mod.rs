//! `stbeacon status`: what the daemon knows and does, now.

mod prometheus;
mod report;
mod text;
mod watch;

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use lexopt::Arg;

pub(crate) use self::report::{
    DatagramStatus, DeliveryStatus, DropStatus, ErrorStatus, HeartbeatStatus, InForce, InterfaceStatus,
    LineStatus, OutletStatus, PlayerStatus, ProvisioningStatus, QueueStatus, ServerStatus, SessionStatus,
    Status,
};

use crate::cli::{self, Failure};
use crate::control;

const HELP: &str = "\
Show what the running daemon knows: sessions, interfaces, the queue, deliveries, what went wrong.

Usage: stbeacon status [OPTIONS]

Options:
      --json          one JSON object, for programs
      --prometheus    one snapshot in Prometheus's text format (0.0.4), for programs too
      --watch         a live view, drawn anew each second; q ends it
      --control PATH  the daemon's control socket [default: /run/stbeacon/control.sock; env: STBEACON_CONTROL]
  -h, --help          this text

Examples:
  stbeacon status
  stbeacon status --watch
  stbeacon status --json | python3 -m json.tool
  stbeacon status --prometheus > /var/lib/node_exporter/stbeacon.prom

";

/// A daemon that does not answer within this time hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Json,
    Prometheus,
    Watch,
}

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut form = Form::Text;
    let mut path = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("json") => form = Form::Json,
            Arg::Long("prometheus") => form = Form::Prometheus,
            Arg::Long("watch") => form = Form::Watch,
            Arg::Long("control") => path = Some(PathBuf::from(args.value()?)),
            Arg::Long("help") | Arg::Short('h') => {
                cli::print_help(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let path = path.unwrap_or_else(|| cli::path_from_env(control::SOCKET_ENV, control::DEFAULT_SOCKET));
    if form == Form::Watch {
        watch::watch(&path)?;
        return Ok(ExitCode::SUCCESS);
    }
    let answer = ask(&path).map_err(|error| Failure::environment(unanswered(&path, &error)))?;
    if form == Form::Json {
        cli::print(&format!("{answer}\n"));
        return Ok(ExitCode::SUCCESS);
    }
    let status: Status = serde_json::from_str(&answer)
        .map_err(|error| Failure::environment(format!("{}: not a status: {error}", path.display())))?;
    cli::print(&if form == Form::Prometheus { prometheus::exposition(&status) } else { text::text(&status) });
    Ok(ExitCode::SUCCESS)
}

fn ask(path: &Path) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn unanswered(path: &Path, error: &io::Error) -> String {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            format!(
                "no daemon answers on {shown}; start it (stbeacon run), or give its socket with --control"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("{shown}: permission denied; run as root, as the daemon's user, or in its group")
        }
        io::ErrorKind::WouldBlock => format!("the daemon on {shown} does not answer"),
        _ => format!("{shown}: {error}"),
    }
}
