//! Starts everything, turns until told to stop, and sends what is left.

use std::io;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::PathBuf;

use nix::sys::socket::SockType;
use stbeacon_core::time::Millis;
use tokio::net::UnixListener;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::LocalSet;

use super::alarm::Alarm;
use super::outlets::Outlets;
use super::reporting::Reporting;
use super::store::Store;
use super::{Asker, Daemon, Input};
use crate::cli::Failure;
use crate::http::Worker;
use crate::netlink::Monitor;
use crate::provision::{self, Origin, Source};
use crate::service::Service;
use crate::signals::Signals;
use crate::sockets::{Access, listen_on};
use crate::{clock, control, players, sampler};

/// How many inputs may wait for the loop; more stay where they came from.
const INPUTS: usize = 64;

/// No wait is longer than this: that the box has slept is noticed within it, though nothing is due.
const LONGEST_WAIT: Millis = Millis::from_secs(30);

/// For what is left to send after a stop was asked for.
const FAREWELL: Millis = Millis(2_000);

/// What is local to the box.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) provisioning: Origin,
    pub(crate) player_socket: PathBuf,
    /// Who may connect there.
    pub(crate) players: Access,
    pub(crate) control_socket: PathBuf,
    pub(crate) state_directory: PathBuf,
    pub(crate) runtime_directory: PathBuf,
}

/// Runs the daemon until it is told to stop.
///
/// # Errors
/// Where it cannot start.
pub(crate) fn run(setup: Setup) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure::environment(format!("cannot start: {error}"));
    let signals = Signals::register().map_err(cannot)?;
    let service = Service::from_env();
    let mut source = Source::new(setup.provisioning, &setup.state_directory);
    let provisioning = source.start()?;
    let (player_listener, _player_file) =
        listen_on(&setup.player_socket, SockType::SeqPacket, &setup.players)?;
    let (control_listener, _control_file) =
        listen_on(&setup.control_socket, SockType::Stream, &Access::OWNER_AND_GROUP)?;

    let store = Store::open(&setup.runtime_directory, &setup.state_directory)?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(cannot)?;
    LocalSet::new().block_on(&runtime, async move {
        let (inputs, queue) = channel(INPUTS);
        let (outcomes, mut answered) = channel(INPUTS);
        let worker = Worker::start(Asker::Reports, outcomes.clone()).map_err(cannot)?;
        signals.watch(&inputs).map_err(cannot)?;
        let players = tokio_listener(player_listener).map_err(cannot)?;
        let control = tokio_listener(control_listener).map_err(cannot)?;

        if let Some(remote) = &mut source.remote {
            remote.set_worker(Worker::start(Asker::Provisioning, outcomes.clone()).map_err(cannot)?);
        }
        tokio::task::spawn_local(provision::watch(source.file().to_owned(), inputs.clone()));
        let outlets = Outlets::new(setup.state_directory, outcomes);
        let reporting = Reporting::new(worker, store);
        // It listens before the daemon looks at the interfaces for the first time.
        let monitor = Monitor::open();
        let daemon = Daemon::new(clock::now(), source, provisioning, reporting, outlets, service).await;
        tokio::task::spawn_local(players::accept(players, inputs.clone()));
        tokio::task::spawn_local(control::serve(control, inputs.clone()));
        tokio::task::spawn_local(sampler::watch(monitor, inputs.clone()));
        tokio::task::spawn_local(async move {
            while let Some((asker, outcome)) = answered.recv().await {
                if inputs.send(Input::Answered(asker, outcome)).await.is_err() {
                    return;
                }
            }
        });
        log::info!("stbeacon {} listens on {}", env!("CARGO_PKG_VERSION"), setup.player_socket.display());
        turn(daemon, queue, Alarm::new().map_err(cannot)?)
            .await
            .map_err(|error| Failure::environment(format!("the kernel's timer fails: {error}")))
    })
}

fn tokio_listener(listener: StdUnixListener) -> std::io::Result<UnixListener> {
    UnixListener::from_std(listener)
}

/// Until a stop is asked for; without a timer, with what is left as at any stop, and an error.
async fn turn(mut daemon: Daemon, mut queue: Receiver<Input>, alarm: Alarm) -> io::Result<()> {
    let mut ended = Ok(());
    loop {
        daemon.look_for_sleep();
        let now = clock::now();
        if daemon.is_stopping(now) {
            break;
        }
        daemon.handle_timeout(now).await;
        let until = daemon.poll_timeout();
        match wait(&mut daemon, &mut queue, &alarm, until).await {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                ended = Err(error);
                break;
            }
        }
    }
    log::info!("stopping");
    let now = clock::now();
    let deadline = now + FAREWELL;
    daemon.handle_stop(now);
    loop {
        let now = clock::now();
        daemon.handle_timeout(now).await;
        if now >= deadline || daemon.is_hurried || !daemon.has_work_until(deadline) {
            break;
        }
        let until = daemon.poll_timeout_after(now).unwrap_or(deadline).min(deadline);
        if !wait(&mut daemon, &mut queue, &alarm, Some(until)).await.unwrap_or(false) {
            break;
        }
    }
    let now = clock::now();
    let (reports, volatile) = daemon.reporting.handle_end(now);
    let (lines, beats) = daemon.outlets.undelivered(now, daemon.reporting.store().spool());
    if reports + lines + beats > 0 {
        log::warn!(
            "{reports} reports, {lines} lines and {beats} heartbeats could not be delivered, and wait for the next start"
        );
    }
    if volatile > 0 {
        log::warn!("{volatile} of them could not be written to flash, and wait only if the box stays on");
    }
    log::info!("stopped");
    ended
}

/// Takes inputs until there is none, or until it is time; false once nobody can send any more.
///
/// # Errors
/// Where the kernel's timer fails.
async fn wait(
    daemon: &mut Daemon,
    queue: &mut Receiver<Input>,
    alarm: &Alarm,
    until: Option<Millis>,
) -> io::Result<bool> {
    let now = clock::now();
    let wait = until.map_or(LONGEST_WAIT, |until| until.since(now)).min(LONGEST_WAIT);
    let came = alarm.wait(wait, queue.recv()).await?;
    daemon.look_for_sleep();
    match came {
        Some(Some(input)) => daemon.handle_input(clock::now(), input).await,
        Some(None) => return Ok(false),
        None => return Ok(true),
    }
    // What came at the same time is taken in one go, but timers are looked at in between.
    for _ in 0..INPUTS {
        let Ok(input) = queue.try_recv() else { break };
        daemon.handle_input(clock::now(), input).await;
    }
    Ok(true)
}

impl Daemon {
    /// Whether there is anything left that can still be sent before `deadline`.
    fn has_work_until(&self, deadline: Millis) -> bool {
        self.reporting.has_work_until(deadline) || self.outlets.has_work_until(deadline)
    }

    /// Like [`Daemon::poll_timeout`], without the stop that has happened already.
    fn poll_timeout_after(&self, now: Millis) -> Option<Millis> {
        self.poll_timeout().filter(|at| *at > now)
    }
}
