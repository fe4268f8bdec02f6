//! A network namespace of the test's own, with interfaces and traffic in it.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, setns};
use serde_json::Value;

use crate::{Error, Finished, Process};

/// How long one command of `ip` may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A namespace with a name (ip-netns(8)); it goes with the value.
#[derive(Debug)]
pub struct Netns {
    name: String,
}

impl Netns {
    /// Makes one, with loopback up.
    ///
    /// `None` where the kernel or the user's rights forbid it: the reason is printed, loudly.
    ///
    /// # Errors
    /// If `ip` is not there, or the namespace was made but cannot be used.
    pub fn make() -> Result<Option<Self>, Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("stbtest-{}-{number}", std::process::id());
        let made = ip(&["netns", "add", &name])?;
        if !made.status.success() {
            skipped("network namespaces", made.stderr.trim());
            return Ok(None);
        }
        let netns = Self { name };
        netns.ip("link set lo up")?;
        Ok(Some(netns))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` with these words inside it.
    ///
    /// # Errors
    /// If the command fails.
    pub fn ip(&self, words: &str) -> Result<Finished, Error> {
        self.try_ip(words)?.success()
    }

    /// Runs `ip` with these words inside it, to see whether it can.
    ///
    /// # Errors
    /// If the command cannot be run at all.
    pub fn try_ip(&self, words: &str) -> Result<Finished, Error> {
        let mut args = vec!["-n", &self.name];
        args.extend(words.split_whitespace());
        ip(&args)
    }

    /// What `ip -j` with these words says.
    ///
    /// # Errors
    /// If the command fails or its answer is not JSON.
    pub fn ip_json(&self, words: &str) -> Result<Value, Error> {
        let finished = self.ip(&format!("-j {words}"))?;
        serde_json::from_str(&finished.stdout).map_err(|e| finished.error(&e.to_string()))
    }

    /// A command to be run inside it.
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// A socket that listens on its loopback, to be served from outside.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    pub fn listen(&self) -> Result<TcpListener, Error> {
        self.inside(|| TcpListener::bind("127.0.0.1:0"))?.map_err(|e| Error::io("cannot listen", e))
    }

    /// Does `what` inside it, on a thread of its own.
    ///
    /// # Errors
    /// If the namespace cannot be entered.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let fail = |e: &dyn std::fmt::Display| Error::io(format!("cannot enter {}", self.name), e);
        let file = File::open(format!("/var/run/netns/{}", self.name)).map_err(|e| fail(&e))?;
        thread::scope(|scope| {
            let thread = scope.spawn(|| {
                // A namespace is entered by a thread, not by the process (setns(2)).
                setns(&file, CloneFlags::CLONE_NEWNET).map_err(|e| fail(&e))?;
                Ok(what())
            });
            thread.join().map_err(|_| Error::new("panicked inside the namespace"))?
        })
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.name]);
    }
}

/// Says that something could not be tested here, and why, where nobody can overlook it.
///
/// Written to standard error itself: what is printed by macro is kept from view while a test passes.
pub fn skipped(what: &str, why: &str) {
    let text = format!("\n########## SKIPPED: {what}\n########## because: {why}\n\n");
    // Standard error that is gone is nobody's to read.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn ip(args: &[&str]) -> Result<Finished, Error> {
    Process::start(Command::new("ip").args(args))?.wait(LIMIT)
}
