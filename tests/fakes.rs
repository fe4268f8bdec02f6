//! Fakes of faults, written in C: each is a library that one program is preloaded with.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Error, Process};

/// How long a C compiler may take for fifty lines.
const LIMIT: Duration = Duration::from_secs(60);

/// Programs that run in its environment believe that the box sleeps when [`FakeSuspend::sleep`] says so: their clocks
/// are a library of ours. The programs do run meanwhile, for it takes no time.
#[derive(Debug)]
pub struct FakeSuspend {
    library: Library,
    file: PathBuf,
    slept: File,
    total: Duration,
}

/// In its environment the messages of a player to the daemon have next to no room: the socket is full as soon as the
/// daemon does not read.
#[derive(Debug)]
pub struct FakeSmallBuffers {
    library: Library,
}

/// Compiled for one test.
#[derive(Debug)]
struct Library {
    path: PathBuf,
    dir: TempDir,
}

// === impl FakeSuspend ===

impl FakeSuspend {
    /// A box that has not slept yet.
    ///
    /// # Errors
    /// If the library cannot be compiled.
    pub fn new() -> Result<Self, Error> {
        let library = Library::compile("suspend.c")?;
        let file = library.dir.path().join("slept");
        let slept = File::create_new(&file).map_err(|e| Error::io("cannot write the fake's clock", e))?;
        let fake = Self { library, file, slept, total: Duration::ZERO };
        fake.write()?;
        Ok(fake)
    }

    /// The environment of a program that is to believe it.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        vec![self.library.variable(), ("STBEACON_FAKE_SUSPEND".to_owned(), self.file.display().to_string())]
    }

    /// The box sleeps for so long, from this instant on, and is awake again.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn sleep(&mut self, time: Duration) -> Result<(), Error> {
        self.total += time;
        self.write()
    }

    fn write(&self) -> Result<(), Error> {
        let nanoseconds = i64::try_from(self.total.as_nanos()).unwrap_or(i64::MAX);
        let written = self.slept.write_all_at(&nanoseconds.to_ne_bytes(), 0);
        written.map_err(|e| Error::io("cannot write the fake's clock", e))
    }
}

// === impl FakeSmallBuffers ===

impl FakeSmallBuffers {
    /// # Errors
    /// If the library cannot be compiled.
    pub fn new() -> Result<Self, Error> {
        Ok(Self { library: Library::compile("small_buffers.c")? })
    }

    /// The environment of a player that is to have them.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        vec![self.library.variable()]
    }

    /// How many messages found no room, by what a player that has ended left on standard error.
    #[must_use]
    pub fn refused(stderr: &str) -> u64 {
        let said = stderr.lines().find_map(|line| line.strip_prefix("fake: "));
        said.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or(0)
    }
}

// === impl Library ===

impl Library {
    fn compile(source: &str) -> Result<Self, Error> {
        let dir = tempfile::tempdir().map_err(|e| Error::io("no directory for a fake", e))?;
        let path = dir.path().join(source).with_extension("so");
        let source = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fakes")).join(source);
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]);
        cc.arg(&path).arg(source).arg("-ldl");
        Process::start(&mut cc)?.wait(LIMIT)?.success()?;
        Ok(Self { path, dir })
    }

    fn variable(&self) -> (String, String) {
        ("LD_PRELOAD".to_owned(), self.path.display().to_string())
    }
}
