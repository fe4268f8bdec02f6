//! Programs that are started, watched, and never left behind.

use std::ffi::OsStr;
use std::io::{Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use crate::{Error, wait};

/// A running program in a process group of its own, with its output kept. Dropping it kills the group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    out: Captured,
    err: Captured,
}

/// A program that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// The program and its arguments.
    pub name: String,
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

#[derive(Debug)]
struct Captured {
    text: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

// === impl Process ===

impl Process {
    /// Starts `command`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Result<Self, Error> {
        Self::start_reading(command, Stdio::null())
    }

    /// The same with something to read from; see [`Process::say`].
    ///
    /// # Errors
    /// As [`Process::start`].
    pub fn start_reading(command: &mut Command, stdin: Stdio) -> Result<Self, Error> {
        let name = describe(command);
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(|e| Error::io(format!("cannot start {name}"), e))?;
        let out = Captured::read(child.stdout.take());
        let err = Captured::read(child.stderr.take());
        Ok(Self { name, child, status: None, out, err })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.out.so_far()
    }

    /// What it has complained about so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.err.so_far()
    }

    /// Writes a line to its standard input, which was piped.
    ///
    /// # Errors
    /// If nobody reads there.
    pub fn say(&mut self, line: &str) -> Result<(), Error> {
        let stdin = self.child.stdin.as_mut().ok_or_else(|| Error::new("no pipe to standard input"))?;
        let written = writeln!(stdin, "{line}").and_then(|()| stdin.flush());
        written.map_err(|e| self.error(&format!("cannot be told {line:?}: {e}")))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// If it is gone.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        kill(self.as_pid()?, signal).map_err(|e| self.error(&format!("cannot send {signal}: {e}")))
    }

    /// Whether it still runs.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn is_running(&mut self) -> Result<bool, Error> {
        if self.status.is_none() {
            self.status = self.child.try_wait().map_err(|e| self.error(&format!("lost track: {e}")))?;
        }
        Ok(self.status.is_none())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If it still runs after `limit`; it is killed then.
    pub fn wait(mut self, limit: Duration) -> Result<Finished, Error> {
        let ended = wait::until("the end of the program", limit, || match self.is_running() {
            Ok(true) => None,
            Ok(false) => Some(Ok(())),
            Err(error) => Some(Err(error)),
        });
        if let Err(error) = ended {
            let error = self.error(&error.to_string());
            return Err(error);
        }
        ended??;
        let status = self.status.ok_or_else(|| Error::new("ended without a status"))?;
        Ok(Finished {
            name: std::mem::take(&mut self.name),
            status,
            stdout: self.out.finish(),
            stderr: self.err.finish(),
        })
    }

    /// An error about this program, with its output.
    #[must_use]
    pub fn error(&self, what: &str) -> Error {
        Error::new(format!("{}: {what}", self.name))
            .with_log("stdout", &self.stdout())
            .with_log("stderr", &self.stderr())
    }

    fn as_pid(&self) -> Result<Pid, Error> {
        let pid = i32::try_from(self.child.id()).map_err(|e| Error::io("process id", e))?;
        Ok(Pid::from_raw(pid))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let (None, Ok(pid)) = (self.status, self.as_pid()) {
            // A program that has been stopped by a signal dies of this one too.
            let _ = killpg(pid, Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

// === impl Finished ===

impl Finished {
    /// The same, if it ended with exit code 0.
    ///
    /// # Errors
    /// With its output, if it did not.
    pub fn success(self) -> Result<Self, Error> {
        if self.status.success() { Ok(self) } else { Err(self.error("failed")) }
    }

    /// How it ended, as a shell would tell it: the exit code, or 128 + the signal.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.status.code().or_else(|| self.status.signal().map(|s| 128 + s)).unwrap_or(-1)
    }

    /// An error about this program, with its output.
    #[must_use]
    pub fn error(&self, what: &str) -> Error {
        Error::new(format!("{}: {what} ({})", self.name, self.status))
            .with_log("stdout", &self.stdout)
            .with_log("stderr", &self.stderr)
    }
}

// === impl Captured ===

impl Captured {
    fn read(pipe: Option<impl Read + Send + 'static>) -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let reader = pipe.map(|mut pipe| {
            let text = Arc::clone(&text);
            thread::spawn(move || {
                let mut chunk = [0; 4096];
                while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                    let new = chunk.get(..n).unwrap_or_default();
                    text.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(new);
                }
            })
        });
        Self { text, reader }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// All of it. The pipe closes with the last process that holds it, so a stray child cannot be missed.
    fn finish(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            let _ = wait::until("the end of the output", Duration::from_secs(2), || {
                reader.is_finished().then_some(())
            });
        }
        self.so_far()
    }
}

fn describe(command: &Command) -> String {
    let mut words: Vec<_> = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(OsStr::to_string_lossy).map(String::from));
    words.join(" ")
}
