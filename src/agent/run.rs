//! `stbeacon run`: the daemon's command line.

use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::{Arg, ValueExt};
use log::LevelFilter;
use stbeacon_core::player;

use crate::cli::{self, Failure};
use crate::daemon::{self, Setup};
use crate::provision::{Credentials, Origin, ServerOrigin};
use crate::sockets::Access;
use crate::{control, logging};

const DEFAULT_PROVISIONING: &str = "/etc/stbeacon/provision.xml";
const DEFAULT_STATE: &str = "/var/lib/stbeacon";
const DEFAULT_RUNTIME: &str = "/run/stbeacon";

const PROVISIONING_ENV: &str = "STBEACON_PROVISIONING";
const SOCKET_GROUP_ENV: &str = "STBEACON_SOCKET_GROUP";
const SOCKET_MODE_ENV: &str = "STBEACON_SOCKET_MODE";
const SERVER_ENV: &str = "STBEACON_PROVISIONING_URL";
const SERVER_CA_ENV: &str = "STBEACON_PROVISIONING_CA";
const SERVER_CERT_ENV: &str = "STBEACON_PROVISIONING_CERT";
const SERVER_KEY_ENV: &str = "STBEACON_PROVISIONING_KEY";
const SERVER_USER_ENV: &str = "STBEACON_PROVISIONING_USER";
const SERVER_SECRET_ENV: &str = "STBEACON_PROVISIONING_SECRET";
const LOG_ENV: &str = "STBEACON_LOG";
/// Set by systemd for StateDirectory=; may name several, with colons between (systemd.exec(5)).
const STATE_ENV: &str = "STATE_DIRECTORY";
/// The same for RuntimeDirectory=.
const RUNTIME_ENV: &str = "RUNTIME_DIRECTORY";

const HELP: &str = "\
Run the daemon: take what players tell, sample the interfaces, send reports where provisioning says.

Usage: stbeacon run [OPTIONS]

Options:
      --provisioning FILE  what the operator wants [default: /etc/stbeacon/provision.xml;
                           env: STBEACON_PROVISIONING]
      --provisioning-url URL
                           fetch it from a server, and again every <provision reload> seconds; a host alone
                           is completed to http://HOST/prov/tvip_provision.xml. What was fetched is in force
                           before what the file says [default: none; env: STBEACON_PROVISIONING_URL]
      --provisioning-ca FILE
                           certificate authorities to trust for that, PEM [default: the system's;
                           env: STBEACON_PROVISIONING_CA]
      --provisioning-cert FILE
                           the box's own certificate for that, PEM [default: none;
                           env: STBEACON_PROVISIONING_CERT]
      --provisioning-key FILE
                           its key, PEM, which only its owner may read [env: STBEACON_PROVISIONING_KEY]
      --provisioning-secret FILE
                           holds one line, which only its owner may read: a token for that server (bearer), or
                           with --provisioning-user the password (basic) [default: none;
                           env: STBEACON_PROVISIONING_SECRET]
      --provisioning-user USER
                           [default: none; env: STBEACON_PROVISIONING_USER]
      --socket PATH        where players connect [default: /run/stbeacon/player.sock; env: STBEACON_SOCKET]
      --socket-group GROUP may connect there; this user has to be in it [default: the daemon's own group;
                           env: STBEACON_SOCKET_GROUP]
      --socket-mode MODE   permissions of it [default: 0660; env: STBEACON_SOCKET_MODE]
      --control PATH       where `stbeacon status` asks [default: /run/stbeacon/control.sock;
                           env: STBEACON_CONTROL]
      --state-dir DIR      for the last good copies of the provisioning, and for reports while no server takes
                           them [default: /var/lib/stbeacon; env: STATE_DIRECTORY]
      --runtime-dir DIR    for reports that wait; should be on a tmpfs [default: /run/stbeacon;
                           env: RUNTIME_DIRECTORY]
      --log LEVEL          error, warn, info or debug [default: info; env: STBEACON_LOG]
  -h, --help               this text

Signals:
  SIGHUP           read and fetch the provisioning again; a broken file changes nothing. A file that changes is
                   read again without being asked to
  SIGTERM, SIGINT  close all sessions, send what has gathered (2 s at most), and end; twice: at once

Limits:
  64 players at once, 48 of one user, 8 of one process; 500 datagrams a second from each process on average and 5
  sessions opened a second, more wait; 64 sessions of a connection at once; more than 30 malformed datagrams within a
  minute end a connection

Examples:
  stbeacon run
  stbeacon run --provisioning-url prov.example.net
  stbeacon run --provisioning provision.xml --socket /tmp/player.sock --control /tmp/control.sock --log debug

";

pub(crate) fn run(mut args: lexopt::Parser) -> Result<ExitCode, Failure> {
    let mut server = variable(SERVER_ENV);
    let file = |name| variable(name).map(PathBuf::from);
    let mut credentials = Credentials {
        ca: file(SERVER_CA_ENV),
        cert: file(SERVER_CERT_ENV),
        key: file(SERVER_KEY_ENV),
        user: variable(SERVER_USER_ENV),
        secret: file(SERVER_SECRET_ENV),
    };
    let (mut mode, mut group) = (variable(SOCKET_MODE_ENV), variable(SOCKET_GROUP_ENV));
    let mut setup = Setup {
        provisioning: Origin {
            file: cli::path_from_env(PROVISIONING_ENV, DEFAULT_PROVISIONING),
            server: None,
        },
        players: Access::OWNER_AND_GROUP,
        player_socket: cli::path_from_env(player::SOCKET_ENV, player::DEFAULT_SOCKET),
        control_socket: cli::path_from_env(control::SOCKET_ENV, control::DEFAULT_SOCKET),
        state_directory: first_of(STATE_ENV, DEFAULT_STATE),
        runtime_directory: first_of(RUNTIME_ENV, DEFAULT_RUNTIME),
    };
    let mut level = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("provisioning") => setup.provisioning.file = args.value()?.into(),
            Arg::Long("provisioning-url") => server = Some(args.value()?.string()?),
            Arg::Long("provisioning-ca") => credentials.ca = Some(args.value()?.into()),
            Arg::Long("provisioning-cert") => credentials.cert = Some(args.value()?.into()),
            Arg::Long("provisioning-key") => credentials.key = Some(args.value()?.into()),
            Arg::Long("provisioning-user") => credentials.user = Some(args.value()?.string()?),
            Arg::Long("provisioning-secret") => credentials.secret = Some(args.value()?.into()),
            Arg::Long("socket") => setup.player_socket = args.value()?.into(),
            Arg::Long("socket-group") => group = Some(args.value()?.string()?),
            Arg::Long("socket-mode") => mode = Some(args.value()?.string()?),
            Arg::Long("control") => setup.control_socket = args.value()?.into(),
            Arg::Long("state-dir") => setup.state_directory = args.value()?.into(),
            Arg::Long("runtime-dir") => setup.runtime_directory = args.value()?.into(),
            Arg::Long("log") => level = Some(cli::log_level(&args.value()?.string()?)?),
            Arg::Long("help") | Arg::Short('h') => {
                cli::print_help(HELP);
                return Ok(ExitCode::SUCCESS);
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let server = server.map(|url| ServerOrigin::new(&url, credentials)).transpose();
    setup.provisioning.server =
        server.map_err(|error| Failure::usage(format!("--provisioning-url: {error}")))?;
    setup.players = Access::new(mode.as_deref(), group.as_deref())?;
    let level = match (level, std::env::var(LOG_ENV)) {
        (Some(level), _) => level,
        (None, Ok(text)) if !text.is_empty() => cli::log_level(&text)?,
        (None, _) => LevelFilter::Info,
    };
    logging::init(level);
    daemon::run(setup)?;
    Ok(ExitCode::SUCCESS)
}

/// What the environment says; empty is nothing.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn first_of(name: &str, default: &str) -> PathBuf {
    let all = cli::path_from_env(name, default);
    let first = all.to_str().and_then(|all| all.split(':').next()).map(PathBuf::from);
    first.unwrap_or(all)
}
