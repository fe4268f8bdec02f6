//! Signals, as bytes in a pipe that the loop reads (the self-pipe of signal-safety(7)).

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::pipe;
use tokio::net::UnixStream;
use tokio::sync::mpsc::Sender;

use crate::daemon::Input;

/// What the service manager, or the user, wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// End in order: SIGTERM, SIGINT.
    Stop,
    /// Read provisioning again: SIGHUP.
    Reload,
}

/// The signals that have come.
#[derive(Debug)]
pub(crate) struct Signals {
    stop: StdUnixStream,
    reload: StdUnixStream,
}

// === impl Signals ===

impl Signals {
    /// From here on they do not end the process any more: each waits until it is read. The first thing that the
    /// daemon does, for whoever has seen it may ask it to stop.
    pub(crate) fn register() -> io::Result<Self> {
        Ok(Self { stop: pipe_of(&[SIGTERM, SIGINT])?, reload: pipe_of(&[SIGHUP])? })
    }

    /// Passes signals on for as long as the daemon runs, first those that have come already. Needs a tokio reactor.
    pub(crate) fn watch(self, inputs: &Sender<Input>) -> io::Result<()> {
        for (pipe, signal) in [(self.stop, Signal::Stop), (self.reload, Signal::Reload)] {
            tokio::task::spawn_local(pass_on(UnixStream::from_std(pipe)?, signal, inputs.clone()));
        }
        Ok(())
    }
}

fn pipe_of(signals: &[i32]) -> io::Result<StdUnixStream> {
    let (ours, theirs) = StdUnixStream::pair()?;
    for signal in signals {
        pipe::register(*signal, theirs.try_clone()?)?;
    }
    ours.set_nonblocking(true)?;
    Ok(ours)
}

async fn pass_on(pipe: UnixStream, signal: Signal, inputs: Sender<Input>) {
    let mut bytes = [0; 16];
    while pipe.readable().await.is_ok() {
        match pipe.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(_) => {
                if inputs.send(Input::Signal(signal)).await.is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return log::error!("signals are lost: {error}"),
        }
    }
}
