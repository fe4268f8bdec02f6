//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use lexopt::{Arg, ValueExt};
use log::LevelFilter;

use crate::labels::clipped;
use crate::load;
use crate::networks::Network;
use crate::proxies::Proxies;
use crate::rules::Rules;
use crate::store::{Address, Keep};

const HELP: &str = "\
Receive STB statistics reports, Media Analytics lines and heartbeats from boxes, and answer what they came to.

Usage: stbeacon-collector [OPTIONS]
       stbeacon-collector load [OPTIONS]   sends a collector what a fleet would; load --help says more

Options:
      --listen ADDRESS:PORT
                         where boxes send to and tools ask [default: 127.0.0.1:8480; env: STBEACON_COLLECTOR_LISTEN]
      --data DIR         where everything is kept; is made if it is not there [default: /var/lib/stbeacon-collector;
                         env: STATE_DIRECTORY]
      --store URL        where sessions and metrics are kept, if not in DIR: clickhouse://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE,
                         a ClickHouse server of version 18.16 or later by its HTTP port, 8123. Several collectors may share
                         it; see the README [default: SQLite in DIR; env: STBEACON_COLLECTOR_STORE, where a password is not
                         seen by other users]
      --spool-max MB     how much of what comes is put aside, in DIR, while the store fails; it is answered as what is in
                         the store, and read when that is back. What comes when it is full is answered 503. Where much
                         comes it is written there first, and into SQLite within three seconds; 0 for nothing [default: 64]
      --credentials FILE those who may ask, a line each, USER:PASSWORD or bearer TOKEN; only its owner may read it.
                         Must be there to listen on anything but loopback [default: none]
      --host NAME        a name that it is called by, where no password is needed, besides localhost and loopback addresses:
                         of a proxy before it, say. May be given several times
      --boxes-too        boxes, too, have to show one of them; heartbeats of other makers' players cannot
      --tls-cert FILE    the certificate for https, PEM, with those behind it that lead to its authority [default: none,
                         and http]
      --tls-key FILE     its key, PEM; only its owner may read it
      --proxy NETWORK    an address, or a network, of balancers before it: whom one of them names last in X-Forwarded-For is the
                         one who sends, for --rate, --networks and boxes that do not say who they are. May be given
                         several times [default: none]
      --rate N           requests a second from one address, on average; a report weighs as much again for each half
                         hour that it tells of. 0 for no limit [default: 50]
      --heartbeat-interval SECONDS
                         what players are told to keep to, 1 to 3600 [default: 20]
      --business-error RULE
                         failures with such an error are the business's, not the technology's: equals:TEXT,
                         notequals:TEXT, contains:TEXT or notcontains:TEXT; may be given several times
      --networks FILE    where boxes are, as CSV with the columns network, city and isp; see the README [default: none]
      --keep-sessions DAYS
                         how long sessions that have ended, and measurements of interfaces, are kept; sessions go when
                         all that began on the same day (UTC) are as old [default: 30]
      --keep-minutes DAYS
                         how long sums are kept by the minute; then by the hour [default: 14]
      --keep-hours DAYS  how long sums are kept by the hour [default: 400]
      --max-size MB      of all that is kept; beyond it the oldest sessions go first, then sums. 0 for no limit
                         [default: 0]
      --account NAME     what the API calls the account [default: stbeacon]
      --alerts FILE      what alerts there are and where they go, as JSON; see the README [default: none]
      --alerts-listen ADDRESS:PORT
                         where other services may post alerts, without a password [default: none]
      --log LEVEL        error, warn, info or debug [default: info; env: STBEACON_LOG]
  -h, --help             this text
  -V, --version          the version

Takes, at any path but those below:
  POST JSON                        STB statistics; gzip too. The header Mac-Address tells the box, else its address
  GET  …?a=P~c=…                   Media Analytics lines
  POST …/0/wsg                     heartbeats
Answers:
  GET  /insights/2.4/metrics.json  and accounts.json, filters.json, metriclens_dimension_list.json; 2.6 as well
  GET  /insights/3.0/metrics/…     and real-time-metrics/…, with group-by/… and group-by/dimension-tag/…
  GET  /bulk_filters/?name=N       saved filters; POST makes some, DELETE ?id=I takes one away, …/fields tells the fields
  GET  /openapi.json               all of that, described for programs (OpenAPI 3.1)
  GET  /-/status                   how the collector fares
  GET  /                           the page, for people

Signals:
  SIGTERM, SIGINT  answer what has come, write it, and end

Examples:
  stbeacon-collector --data ./data
  stbeacon-collector --data ./data --store clickhouse://qoe:secret@db.example.net/qoe
  stbeacon-collector --listen 0.0.0.0:8480 --data /srv/qoe --credentials /etc/stbeacon/collector.users
  curl 'http://127.0.0.1:8480/insights/2.4/metrics.json?metrics=attempts,plays&account=1&filter_ids=1'
  curl 'http://127.0.0.1:8480/insights/2.6/metrics.json?metrics=quality_metriclens&account=1&filter_ids=1&metriclens_dimension_id=11'
  curl 'http://127.0.0.1:8480/insights/3.0/metrics/plays/group-by/device-model?days=7&granularity=P1D'

Exit codes: 0 fine; 1 a file cannot be had or is not what it should be; 2 the command line is wrong;
            3 the machine lacks something (permission, directory, a free port).
";

/// What is wanted.
#[derive(Debug)]
pub(crate) enum Invocation {
    Print(String),
    Run(Box<Settings>),
    Load(load::Plan),
    /// For measuring; not in the help.
    Fill(load::fill::Plan),
}

/// What the collector is told.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) credentials: Option<PathBuf>,
    pub(crate) asks_boxes: bool,
    /// Names that it is called by.
    pub(crate) hosts: Vec<String>,
    pub(crate) proxies: Proxies,
    /// Certificate and key.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    /// Requests a second from one address; 0 for no limit.
    pub(crate) rate: u32,
    /// In ms.
    pub(crate) beat_interval: u64,
    pub(crate) rules: Rules,
    /// The table of cities and ISPs.
    pub(crate) networks: Option<PathBuf>,
    pub(crate) account: String,
    pub(crate) alerts: Option<PathBuf>,
    pub(crate) keep: Keep,
    /// `None` for the embedded one.
    pub(crate) store: Option<Address>,
    /// Most bytes that are put aside.
    pub(crate) spool: u64,
    pub(crate) alerts_listen: Option<SocketAddr>,
    pub(crate) level: LevelFilter,
}

/// Why it cannot be done.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

/// Reads the command line.
pub(crate) fn read(mut args: lexopt::Parser) -> Result<Invocation, Failure> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut listen = variable("STBEACON_COLLECTOR_LISTEN").unwrap_or_else(|| "127.0.0.1:8480".to_owned());
    // systemd may name several, with colons between (systemd.exec(5)).
    let state = variable("STATE_DIRECTORY").and_then(|all| all.split(':').next().map(PathBuf::from));
    let mut data = state.unwrap_or_else(|| "/var/lib/stbeacon-collector".into());
    let (mut credentials, mut asks_boxes, mut rate, mut seconds) = (None, false, 50, 20);
    let (mut certificate, mut key, mut networks) = (None, None, None);
    let (mut alerts, mut alerts_listen) = (None, None);
    let (mut hosts, mut proxies) = (Vec::new(), Vec::new());
    let (mut rules, mut account) = (Rules::default(), "stbeacon".to_owned());
    let mut level = variable("STBEACON_LOG");
    let mut keep = Keep::default();
    let (mut store, mut spool) = (variable("STBEACON_COLLECTOR_STORE"), 64_000_000);
    let mut is_first = true;
    while let Some(arg) = args.next()? {
        let was_first = std::mem::replace(&mut is_first, false);
        match arg {
            Arg::Value(command) if was_first && command == "load" => {
                let read = load::read(&mut args)?;
                return Ok(read.map_or_else(|help| Invocation::Print(help.to_owned()), Invocation::Load));
            }
            Arg::Value(command) if was_first && command == "bench-fill" => {
                let read = load::fill::read(&mut args)?;
                return Ok(read.map_or_else(|help| Invocation::Print(help.to_owned()), Invocation::Fill));
            }
            Arg::Long("listen") => listen = args.value()?.string()?,
            Arg::Long("data") => data = args.value()?.into(),
            Arg::Long("credentials") => credentials = Some(args.value()?.into()),
            Arg::Long("host") => hosts.push(args.value()?.string()?),
            Arg::Long("proxy") => proxies.push(network("--proxy", &args.value()?.string()?)?),
            Arg::Long("boxes-too") => asks_boxes = true,
            Arg::Long("tls-cert") => certificate = Some(args.value()?.into()),
            Arg::Long("tls-key") => key = Some(args.value()?.into()),
            Arg::Long("rate") => rate = args.value()?.parse()?,
            Arg::Long("heartbeat-interval") => seconds = args.value()?.parse()?,
            Arg::Long("business-error") => rules.0.push(args.value()?.parse()?),
            Arg::Long("networks") => networks = Some(args.value()?.into()),
            Arg::Long("keep-sessions") => keep.sessions = days(&mut args)?,
            Arg::Long("keep-minutes") => keep.minutes = days(&mut args)?,
            Arg::Long("keep-hours") => keep.hours = days(&mut args)?,
            Arg::Long("max-size") => keep.bytes = args.value()?.parse::<u64>()?.saturating_mul(1_000_000),
            Arg::Long("store") => store = Some(args.value()?.string()?),
            Arg::Long("spool-max") => spool = args.value()?.parse::<u64>()?.saturating_mul(1_000_000),
            Arg::Long("account") => account = clipped(&args.value()?.string()?, 64),
            Arg::Long("alerts") => alerts = Some(args.value()?.into()),
            Arg::Long("alerts-listen") => {
                alerts_listen = Some(address("--alerts-listen", &args.value()?.string()?)?)
            }
            Arg::Long("log") => level = Some(args.value()?.string()?),
            Arg::Long("help") | Arg::Short('h') => return Ok(Invocation::Print(HELP.to_owned())),
            Arg::Long("version") | Arg::Short('V') => {
                let version = concat!("stbeacon-collector ", env!("CARGO_PKG_VERSION"), "\n");
                return Ok(Invocation::Print(version.to_owned()));
            }
            other => return Err(other.unexpected().into()),
        }
    }
    let listen = address("--listen", &listen)?;
    if !(1..=3600).contains(&seconds) {
        return Err(Failure::usage(format!("--heartbeat-interval {seconds}: expected 1 to 3600 seconds")));
    }
    if asks_boxes && credentials.is_none() {
        return Err(Failure::usage("--boxes-too needs --credentials FILE"));
    }
    let store = store.as_deref().map(store_address).transpose()?;
    if store.is_some() && keep.bytes > 0 {
        return Err(Failure::usage(
            "--max-size is of the embedded store; a ClickHouse server's disk is its own",
        ));
    }
    let tls = match (certificate, key) {
        (Some(certificate), Some(key)) => Some((certificate, key)),
        (None, None) => None,
        _ => return Err(Failure::usage("--tls-cert and --tls-key need each other")),
    };
    let level = match level.as_deref() {
        None | Some("info") => LevelFilter::Info,
        Some("error") => LevelFilter::Error,
        Some("warn") => LevelFilter::Warn,
        Some("debug") => LevelFilter::Debug,
        Some(other) => {
            return Err(Failure::usage(format!("log level {other:?} is none of error, warn, info, debug")));
        }
    };
    let beat_interval = seconds * 1000;
    let settings = Settings {
        listen,
        data,
        credentials,
        asks_boxes,
        hosts,
        proxies: Proxies::new(proxies),
        tls,
        rate,
        beat_interval,
        rules,
        networks,
        account,
        alerts,
        keep,
        store,
        spool,
        alerts_listen,
        level,
    };
    Ok(Invocation::Run(Box::new(settings)))
}

/// A number of days; sums of the last day are needed by what is asked.
fn days(args: &mut lexopt::Parser) -> Result<u64, Failure> {
    let days = args.value()?.parse()?;
    if (1..=36_500).contains(&days) {
        Ok(days)
    } else {
        Err(Failure::usage(format!("{days} days: expected 1 to 36500")))
    }
}

fn store_address(url: &str) -> Result<Address, Failure> {
    // It may have a password in it, and so is not told.
    match Address::parse(url) {
        Some(Ok(address)) => Ok(address),
        Some(Err(wrong)) => Err(Failure::usage(format!("--store: {wrong}"))),
        None => Err(Failure::usage(
            "--store: expected clickhouse://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE, such as clickhouse://127.0.0.1/qoe",
        )),
    }
}

fn address(option: &str, text: &str) -> Result<SocketAddr, Failure> {
    text.parse().map_err(|_| {
        Failure::usage(format!(
            "{option} {text:?}: expected ADDRESS:PORT such as 127.0.0.1:8480 or [::1]:8480"
        ))
    })
}

fn network(option: &str, text: &str) -> Result<Network, Failure> {
    text.parse().map_err(|wrong| Failure::usage(format!("{option} {text:?}: {wrong}")))
}

/// Prints to standard output; a reader that has gone away is no failure.
pub(crate) fn print(text: &str) {
    use std::io::Write;

    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

// === impl Failure ===

impl Failure {
    /// A file is not what it should be.
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// The command line is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }

    /// The machine lacks something.
    pub(crate) fn environment(message: impl Into<String>) -> Self {
        Self { code: 3, message: message.into() }
    }

    /// Tells the user, and gives what to exit with.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("stbeacon-collector: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::usage(format!("{error}; see --help"))
    }
}
