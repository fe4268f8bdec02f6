//! `stbeacon-collector`: receives what boxes report, makes sessions of it, and answers what they came to.
//!
//! ```text
//!  POST reports ─┐                          ┌─ sessions ─┐
//!  GET lines ────┼─ receive ─► keeper ─► book             ├─► store (SQLite or ClickHouse) ─► insights
//!  POST beats ───┘  (HTTP)    (one thread)  └─ roll-ups ─┘                                    (HTTP)
//! ```
//!
//! Besides, `page` is what people look at, `alerts` says when something is wrong, and `connector` polls other services and
//! receives their alerts; what they keep is in `desk`, a small file of its own.
//!
//! `time`, `figures`, `filters`, `values`, `labels`, `networks`, `proxies`, `rules`, `seen`, `session`, `sketch`, `tally` and
//! `book` are pure: time is an argument. What is not, is around them.

#![forbid(unsafe_code)]

mod access;
mod alerts;
mod app;
mod book;
mod cli;
mod connector;
mod desk;
mod figures;
mod filters;
mod insights;
mod keeper;
mod labels;
mod load;
// The log and secrets in files are the daemon's: one way of both in all programs.
#[path = "../agent/logging.rs"]
mod logging;
mod networks;
mod outside;
mod page;
mod patience;
mod proxies;
mod receive;
mod rules;
#[path = "../agent/secrets.rs"]
#[allow(dead_code, reason = "secrets that are one line are the daemon's alone")]
mod secrets;
mod seen;
mod server;
mod session;
mod sketch;
mod spool;
mod store;
mod tally;
#[cfg(test)]
#[path = "tests/clickhouse.rs"]
#[allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests: what they cannot do fails the test")]
mod tests_clickhouse;
#[cfg(test)]
#[path = "tests/golden.rs"]
#[allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests: what they cannot do fails the test")]
mod tests_golden;
mod time;
mod tls;
#[path = "../agent/utc.rs"]
mod utc;
mod values;

use std::fs::File;
use std::io::ErrorKind;
use std::num::NonZero;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use nix::fcntl::{Flock, FlockArg};
use tokio::net::TcpListener;

use self::access::Access;
use self::alerts::Alerts;
use self::app::App;
use self::book::Book;
use self::cli::{Failure, Invocation, Settings};
use self::connector::Connector;
use self::desk::Desk;
use self::keeper::{Keeper, Tools};
use self::networks::Networks;
use self::receive::limit::Limit;
use self::spool::Spool;
use self::store::{Address, ClickHouse, Lookup, Reader, Sqlite, Store, StoreError};

fn main() -> ExitCode {
    let result = match cli::read(lexopt::Parser::from_env()) {
        Ok(Invocation::Print(text)) => {
            cli::print(&text);
            Ok(())
        }
        Ok(Invocation::Run(settings)) => run(*settings),
        Ok(Invocation::Load(plan)) => load::run(&plan),
        Ok(Invocation::Fill(plan)) => load::fill::run(&plan),
        Err(failure) => Err(failure),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

/// The store, for the one that writes and for those who ask.
struct Open {
    store: Box<dyn Store>,
    reader: Arc<Mutex<dyn Reader>>,
    lookup: Arc<Mutex<dyn Lookup>>,
}

impl Open {
    fn new(directory: &Path, store: Option<&Address>) -> Result<Self, StoreError> {
        Ok(match store {
            None => Self {
                store: Box::new(Sqlite::open(directory)?),
                reader: Arc::new(Mutex::new(Sqlite::reader(directory)?)),
                lookup: Arc::new(Mutex::new(Sqlite::reader(directory)?)),
            },
            Some(address) => Self {
                store: Box::new(ClickHouse::open(address.clone(), directory)?),
                reader: Arc::new(Mutex::new(ClickHouse::reader(address.clone()))),
                lookup: Arc::new(Mutex::new(ClickHouse::reader(address.clone()))),
            },
        })
    }
}

/// What is in a directory is one collector's alone, for as long as this is held.
fn lock(directory: &Path) -> Result<Flock<File>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::environment(match error.kind() {
            ErrorKind::WouldBlock => format!(
                "--data {}: another collector runs on it; stop that one, or give this one a directory of its own",
                directory.display()
            ),
            _ => format!("--data {}: {error}", directory.display()),
        })
    };
    let file = File::open(directory).map_err(failed)?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| failed(errno.into()))
}

fn run(settings: Settings) -> Result<(), Failure> {
    logging::init(settings.level);
    let access = match &settings.credentials {
        Some(file) => Access::read(file, settings.asks_boxes).map_err(Failure::input)?,
        None => Access::default(),
    };
    let access = access.called(settings.hosts);
    if !settings.listen.ip().is_loopback() && !access.is_configured() {
        return Err(Failure::usage(format!(
            "--listen {} can be reached from other machines: name those who may ask with --credentials FILE, or listen on \
             127.0.0.1",
            settings.listen
        )));
    }
    let tls = settings.tls.as_ref().map(|(certificate, key)| tls::acceptor(certificate, key));
    let tls = tls.transpose().map_err(Failure::input)?;
    let alerts = settings.alerts.as_deref().map(alerts::Config::read).transpose().map_err(Failure::input)?;
    let networks = settings.networks.as_deref().map(Networks::read).transpose().map_err(Failure::input)?;
    let directory = &settings.data;
    std::fs::create_dir_all(directory)
        .map_err(|error| Failure::environment(format!("--data {}: {error}", directory.display())))?;
    let failed = |error: StoreError| {
        Failure::environment(match &settings.store {
            Some(_) => format!("--store: {error}"),
            None => format!("--data {}: {error}", directory.display()),
        })
    };
    let _lock = lock(directory)?;
    let Open { mut store, reader, lookup } = Open::new(directory, settings.store.as_ref()).map_err(failed)?;
    let spool = Spool::open(directory, settings.spool).map_err(|error| {
        Failure::environment(format!("--data {}: the spool: {error}", directory.display()))
    })?;
    let (rules, beat_interval, opened) = (settings.rules, settings.beat_interval, time::now());
    let (book, is_closed) = match Book::open(store.as_mut(), rules.clone(), beat_interval, opened) {
        Ok(book) => (book, false),
        Err(error) if error.may_pass() => {
            log::error!("the store fails, what comes is put aside: {error}");
            (Book::closed(rules, beat_interval, opened), true)
        }
        Err(error) => return Err(failed(error)),
    };
    let book = book.with_networks(networks.unwrap_or_default());
    let desk = Desk::open(directory).map_err(|error| Failure::environment(format!("--data: {error}")))?;
    log::info!("{} sessions run", book.running());
    // Half of the cores: the thread that keeps the books needs about as much, and questions have threads of their own.
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.div_ceil(2))
        .enable_all()
        .build()
        .map_err(|error| Failure::environment(format!("no runtime: {error}")))?;
    let within = runtime.enter();
    let (keeper, mut thread) = Keeper::start(Tools { store, book, spool, keep: settings.keep, is_closed })
        .map_err(|error| Failure::environment(format!("the keeper cannot be started: {error}")))?;
    drop(within);
    let app = App {
        keeper,
        reader,
        lookup,
        access: Arc::new(access),
        proxies: Arc::new(settings.proxies),
        limit: Arc::new(Limit::new(settings.rate)),
        beat_interval: settings.beat_interval,
        account: settings.account.into(),
        desk,
    };
    let served = runtime.block_on(async {
        let ends = server::Ends::new()?;
        let listener = TcpListener::bind(settings.listen).await?;
        let _connector = Connector::start(app.desk.clone()).map_err(std::io::Error::other)?;
        let beside = match settings.alerts_listen {
            Some(address) => {
                let failed = |error| std::io::Error::other(format!("--alerts-listen {address}: {error}"));
                let listener = TcpListener::bind(address).await.map_err(failed)?;
                log::info!("alerts of others are received on http://{}", listener.local_addr()?);
                Some(tokio::spawn(server::serve_beside(listener, connector::hooks::router(app.clone()))))
            }
            None => None,
        };
        let address = listener.local_addr()?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        log::info!("listening on {scheme}://{address}");
        let _alerts =
            alerts.map(|alerts| Alerts::start(alerts, &app, format!("{scheme}://{address}/"))).transpose()?;
        let served = server::serve(listener, app, &mut thread, tls, ends).await;
        if let Some(beside) = beside {
            beside.abort();
        }
        served
    });
    // With the requests the last keeper is gone, and what they brought is written.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    let kept = thread.join();
    served.map_err(|error| Failure::environment(format!("--listen {}: {error}", settings.listen)))?;
    kept.map_err(|_| {
        Failure::environment(
            "what keeps the books has panicked; start it again, it goes on from what is written",
        )
    })?;
    log::info!("stopped");
    Ok(())
}
