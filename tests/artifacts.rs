//! What the build made.

use std::env;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::Error;

/// Where the programs under test are.
#[derive(Debug, Clone)]
pub struct Artifacts {
    target: PathBuf,
    profile: PathBuf,
}

impl Artifacts {
    /// Looks beside the running program: `target/debug/deps/x-0123` and `target/debug/xtask` both belong to
    /// `target/debug`.
    ///
    /// # Errors
    /// If the running program is in no target directory.
    pub fn find() -> Result<Self, Error> {
        let exe = env::current_exe().map_err(|e| Error::io("cannot find the running program", e))?;
        let profile = exe
            .ancestors()
            .skip(1)
            .find(|dir| !dir.ends_with("deps") && !dir.ends_with("examples"))
            .ok_or_else(|| Error::new(format!("{} is in no target directory", exe.display())))?;
        let target = profile
            .parent()
            .ok_or_else(|| Error::new(format!("{} is in no target directory", exe.display())))?;
        Ok(Self { target: target.to_owned(), profile: profile.to_owned() })
    }

    /// The target directory, for what is made once and kept.
    #[must_use]
    pub fn target_dir(&self) -> &Path {
        &self.target
    }

    /// A directory of the harness's own inside the target directory; made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn scratch(&self, name: &str) -> Result<PathBuf, Error> {
        let dir = self.target.join("stbeacon-tests").join(name);
        fs::create_dir_all(&dir).map_err(|e| Error::io(format!("cannot make {}", dir.display()), e))?;
        Ok(dir)
    }

    /// The daemon's binary.
    ///
    /// # Errors
    /// If it is not built.
    pub fn daemon(&self) -> Result<PathBuf, Error> {
        built(self.profile.join("stbeacon"), "cargo build -p stbeacon")
    }

    /// The tracer, `libgststbeacon.so`.
    ///
    /// # Errors
    /// If it is not built.
    pub fn tracer(&self) -> Result<PathBuf, Error> {
        built(self.profile.join("libgststbeacon.so"), "cargo build -p gst-plugin-stbeacon")
    }

    /// The tracer of the test build whose probes can be made to panic, as [`Artifacts::keep_panicking_tracer`]
    /// put it aside.
    ///
    /// # Errors
    /// If it is not there.
    pub fn panicking_tracer(&self) -> Result<PathBuf, Error> {
        built(
            self.panicking_tracer_path(),
            "cargo build --workspace --features gst-plugin-stbeacon/test-panic",
        )
    }

    /// Puts the tracer that was just built with its feature `test-panic` aside: the next build makes the real one
    /// in its place. A target directory of its own would build all it depends on once more.
    ///
    /// # Errors
    /// If it is not built or cannot be copied.
    pub fn keep_panicking_tracer(&self) -> Result<(), Error> {
        let (from, to) = (self.tracer()?, self.panicking_tracer_path());
        let fail = |e| Error::io(format!("cannot copy the tracer to {}", to.display()), e);
        to.parent().map_or(Ok(()), fs::create_dir_all).map_err(fail)?;
        fs::copy(from, &to).map_err(fail)?;
        Ok(())
    }

    fn panicking_tracer_path(&self) -> PathBuf {
        self.profile.join("test-panic/libgststbeacon.so")
    }

    /// A directory that holds the test elements, and nothing else that GStreamer would load.
    ///
    /// # Errors
    /// If they are not built.
    pub fn elements_dir(&self) -> Result<PathBuf, Error> {
        let elements = self.profile.join("libgststbeacontest.so");
        self.plugin_dir("elements", &built(elements, "cargo build -p gst-plugin-stbeacontest")?)
    }

    /// A directory that holds `tracer`, and nothing else that GStreamer would load.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn tracer_dir(&self, tracer: &Path) -> Result<PathBuf, Error> {
        let name = if tracer.parent() == Some(&*self.profile) { "tracer" } else { "other-tracer" };
        self.plugin_dir(name, tracer)
    }

    /// GStreamer searches a plug-in path with all its sub-directories; a target directory has too many.
    fn plugin_dir(&self, name: &str, plugin: &Path) -> Result<PathBuf, Error> {
        let dir = self.scratch(&format!("plugins/{name}"))?;
        let file = plugin.file_name().ok_or_else(|| Error::new("a plug-in without a name"))?;
        let link = dir.join(file);
        if fs::read_link(&link).is_ok_and(|to| to == plugin) {
            return Ok(dir);
        }
        // Several tests may come here at once: put the new link in place in one step.
        let fresh = dir.join(format!(".{}-{:?}", std::process::id(), std::thread::current().id()));
        symlink(plugin, &fresh)
            .and_then(|()| fs::rename(&fresh, &link))
            .map_err(|e: io::Error| Error::io(format!("cannot link {}", link.display()), e))?;
        Ok(dir)
    }
}

fn built(path: PathBuf, command: &str) -> Result<PathBuf, Error> {
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::new(format!(
        "{} is not there: run `cargo xtask test`, which builds what the tests need (or `{command}`)",
        path.display()
    )))
}
