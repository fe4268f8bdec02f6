//! A box that was suspended: a fake.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Error, Process};

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fakes/suspend.c");

/// How long a C compiler may take for fifty lines.
const LIMIT: Duration = Duration::from_secs(60);

/// Programs that run in its environment believe that the box sleeps when [`FakeSuspend::sleep`] says so: their clocks
/// are a library of ours. The programs do run meanwhile, for it takes no time.
#[derive(Debug)]
pub struct FakeSuspend {
    library: PathBuf,
    file: PathBuf,
    slept: File,
    total: Duration,
    _dir: TempDir,
}

// === impl FakeSuspend ===

impl FakeSuspend {
    /// A box that has not slept yet.
    ///
    /// # Errors
    /// If the library cannot be compiled.
    pub fn new() -> Result<Self, Error> {
        let dir = tempfile::tempdir().map_err(|e| Error::io("no directory for the fake of a suspend", e))?;
        let (library, file) = (dir.path().join("libfakesuspend.so"), dir.path().join("slept"));
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&library).arg(SOURCE);
        Process::start(&mut cc)?.wait(LIMIT)?.success()?;
        let slept = File::create_new(&file).map_err(|e| Error::io("cannot write the fake's clock", e))?;
        let fake = Self { library, file, slept, total: Duration::ZERO, _dir: dir };
        fake.write()?;
        Ok(fake)
    }

    /// The environment of a program that is to believe it.
    #[must_use]
    pub fn env(&self) -> Vec<(String, String)> {
        let variable = |name: &str, path: &Path| (name.to_owned(), path.display().to_string());
        vec![variable("LD_PRELOAD", &self.library), variable("STBEACON_FAKE_SUSPEND", &self.file)]
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
