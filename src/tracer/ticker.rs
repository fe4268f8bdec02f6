//! The one thread: counters every 500 ms while something plays, and the connection.
//!
//! While nothing plays it sleeps in poll(2) until the daemon speaks, goes, or a session opens.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, SigmaskHow, pthread_sigmask};
use stbeacon_core::player::COUNTERS_PERIOD;
use stbeacon_core::time::Millis;

use crate::guard::{guard, is_out_of_use};
use crate::process::Process;
use crate::{clock, pipeline};

/// Wakes the thread, and starts it the first time.
#[derive(Debug)]
pub(crate) struct Ticker {
    started: AtomicBool,
    wake: Option<EventFd>,
}

impl Ticker {
    pub(crate) fn new() -> Self {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Self { started: AtomicBool::new(false), wake: EventFd::from_value_and_flags(0, flags).ok() }
    }

    /// Something changed: look again at what there is to do.
    pub(crate) fn wake(&self, process: &'static Process) {
        if !self.started.swap(true, Ordering::Relaxed) {
            start(process);
        }
        if let Some(wake) = &self.wake {
            let _ = wake.write(1);
        }
    }
}

fn start(process: &'static Process) {
    // The player's signals are for the player's threads. A thread inherits the mask of the one that makes it.
    let mut before = SigSet::empty();
    let masked = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::all()), Some(&mut before)).is_ok();
    // Where no thread can be had, sessions are still told as they open and close.
    let _ = thread::Builder::new()
        .name("stbeacon".into())
        .stack_size(256 * 1024)
        .spawn(move || guard((), || run(process)));
    if masked {
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None);
    }
}

fn run(process: &'static Process) {
    let mut next_tick = clock::boottime();
    while !is_out_of_use() {
        process.hub().look_for_sleep(process);
        let now = clock::boottime();
        let plays = process.hub().plays();
        if plays && next_tick <= now {
            pipeline::tick(process);
            // On a grid; a sleep of the box, or a slow tick, starts a new one.
            next_tick = next_tick + COUNTERS_PERIOD;
            if next_tick <= now {
                next_tick = now + COUNTERS_PERIOD;
            }
        }
        pipeline::check_streams(process);
        process.hub().poll(process, clock::boottime());
        wait(process, plays.then_some(next_tick));
    }
}

fn wait(process: &Process, tick: Option<Millis>) {
    let Some(wake) = &process.ticker.wake else {
        thread::sleep(std::time::Duration::from_millis(COUNTERS_PERIOD.0));
        return;
    };
    // The descriptor is duplicated for the wait, so that a callback may hang up meanwhile.
    let (socket, connection) = {
        let hub = process.hub();
        let link = hub.link();
        let socket = link.socket().and_then(|(fd, writes)| Some((fd.try_clone_to_owned().ok()?, writes)));
        (socket, link.timeout().filter(|_| hub.has_news()))
    };
    let now = clock::boottime();
    let timeout = [tick, connection].into_iter().flatten().min().map(|at| at.since(now).0);
    let timeout = timeout.map_or(PollTimeout::NONE, |ms| {
        // One more, so that rounding down does not make it spin.
        PollTimeout::from(u16::try_from(ms.saturating_add(1)).unwrap_or(u16::MAX))
    });
    let mut fds = vec![PollFd::new(wake.as_fd(), PollFlags::POLLIN)];
    if let Some((socket, writes)) = &socket {
        let flags = if *writes { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN };
        fds.push(PollFd::new(socket.as_fd(), flags));
    }
    let _ = poll(&mut fds, timeout);
    let _ = wake.read();
}
