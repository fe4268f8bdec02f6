//! All that the tracer knows in one process.
//!
//! Trap: after a fork without exec the child has no ticker thread, locks in any state, and a copy of the
//! parent's connection. So the state is made anew for each process id: the child finds that it is not the
//! process it was, leaves the old state untouched, and starts from nothing.

use std::collections::{HashMap, HashSet};
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::glib::prelude::*;
use stbeacon_core::player::{Hello, SessionId};
use stbeacon_core::time::Millis;

use crate::clock;
use crate::guard::guard;
use crate::hub::Hub;
use crate::link::DESCRIPTOR;
use crate::ticker::Ticker;
use crate::watch::Watch;

/// State of one process; never freed, since callbacks may come until the very end.
#[derive(Debug)]
pub(crate) struct Process {
    pid: u32,
    attached: Millis,
    sessions: AtomicU64,
    hub: Mutex<Hub>,
    /// Watched elements by address. An entry goes when its element does.
    watches: Mutex<HashMap<usize, Arc<Watch>>>,
    /// Pipelines, by address, whose end is waited for.
    pipelines: Mutex<HashSet<usize>>,
    pub(crate) ticker: Ticker,
}

/// The state of this process.
pub(crate) fn current() -> &'static Process {
    static CURRENT: AtomicPtr<Process> = AtomicPtr::new(ptr::null_mut());
    crate::ffi::leaked::current(&CURRENT, Process::is_this_one, Process::new)
}

impl Process {
    fn new() -> Self {
        let inherited = DESCRIPTOR.swap(-1, Ordering::Relaxed);
        if inherited >= 0 {
            // Our copy of the parent's connection: the daemon must see the parent go when it goes.
            let _ = nix::unistd::close(inherited);
        }
        let pid = std::process::id();
        let player = glib::prgname().map(String::from).or_else(program).unwrap_or_default();
        Self {
            pid,
            attached: clock::boottime(),
            sessions: AtomicU64::new(0),
            hub: Mutex::new(Hub::new(Hello { pid, player })),
            watches: Mutex::new(HashMap::new()),
            pipelines: Mutex::new(HashSet::new()),
            ticker: Ticker::new(),
        }
    }

    fn is_this_one(&self) -> bool {
        self.pid == std::process::id()
    }

    /// The books. Never held while GStreamer is called: it may call back.
    pub(crate) fn hub(&self) -> MutexGuard<'_, Hub> {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A name for one more session, unique on the box until it reboots.
    pub(crate) fn next_session(&self) -> Option<SessionId> {
        let n = self.sessions.fetch_add(1, Ordering::Relaxed) + 1;
        SessionId::try_new(format!("{}-{}-{n}", self.pid, self.attached.0)).ok()
    }

    /// The watch on an element, put there if the element is one that matters.
    pub(crate) fn watch(&'static self, element: &gst::Element) -> Option<Arc<Watch>> {
        let address = element.as_ptr() as usize;
        if let Some(watch) = self.watches().get(&address) {
            return Some(Arc::clone(watch));
        }
        let watch = Arc::new(Watch::on(element)?);
        // Two threads may come here with one element; the second finds the first one's watch.
        let known = Arc::clone(self.watches().entry(address).or_insert_with(|| Arc::clone(&watch)));
        if Arc::ptr_eq(&known, &watch) {
            watch.install(element);
            element.add_weak_ref_notify(move || {
                guard((), || {
                    let watch = self.watches().remove(&address);
                    if let Some(watch) = watch {
                        watch.set_gone();
                    }
                });
            });
        }
        Some(known)
    }

    /// Calls `gone` with the pipeline's address when it is let go of; once, however often it is asked for.
    pub(crate) fn await_end(&'static self, pipeline: &gst::Pipeline, gone: fn(usize)) {
        let address = pipeline.as_ptr() as usize;
        if self.pipelines().insert(address) {
            pipeline.add_weak_ref_notify(move || {
                guard((), || {
                    self.pipelines().remove(&address);
                    gone(address);
                });
            });
        }
    }

    fn pipelines(&self) -> MutexGuard<'_, HashSet<usize>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The watch on an element, if there is one.
    pub(crate) fn watched(&self, element: &impl IsA<gst::Object>) -> Option<Arc<Watch>> {
        self.watches().get(&(element.as_ptr() as usize)).cloned()
    }

    fn watches(&self) -> MutexGuard<'_, HashMap<usize, Arc<Watch>>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn program() -> Option<String> {
    let name = std::env::args_os().next()?;
    Some(std::path::Path::new(&name).file_name()?.to_string_lossy().into_owned())
}
