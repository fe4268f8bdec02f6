//! Players, and the two ways to have them watched.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Artifacts, Error, Process};

/// How the tracer gets into the player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `GST_TRACERS=stbeacon` and a plug-in path.
    Tracers,
    /// `LD_PRELOAD` of the same file, `GST_TRACERS` unset: for a GStreamer built without tracer hooks.
    Preload,
    /// Not at all.
    Unwatched,
}

/// Starts players in one environment.
///
/// Each way in has a plug-in registry of its own, kept in the target directory: the first scan takes half a
/// second, and the user's registry is none of our business.
#[derive(Debug, Clone)]
pub struct Player {
    artifacts: Artifacts,
    way: Way,
    tracer: Option<PathBuf>,
    env: Vec<(String, String)>,
    netns: Option<String>,
    /// Whether the test elements are at hand.
    elements: bool,
}

impl Player {
    /// Players watched in this way.
    ///
    /// # Errors
    /// If this program is in no target directory.
    pub fn new(way: Way) -> Result<Self, Error> {
        let artifacts = Artifacts::find()?;
        Ok(Self { artifacts, way, tracer: None, env: Vec::new(), netns: None, elements: true })
    }

    /// Players as a box has them: no test element is to be had, and none needs to be built.
    ///
    /// # Errors
    /// As [`Player::new`].
    pub fn stock(way: Way) -> Result<Self, Error> {
        Ok(Self { elements: false, ..Self::new(way)? })
    }

    /// With the daemon listening at `socket`.
    #[must_use]
    pub fn socket(self, socket: &Path) -> Self {
        self.env("STBEACON_SOCKET", &socket.to_string_lossy())
    }

    /// With another build of the tracer.
    #[must_use]
    pub fn tracer(mut self, tracer: PathBuf) -> Self {
        self.tracer = Some(tracer);
        self
    }

    /// With an environment variable. `GST_TRACERS` and `LD_PRELOAD` are added to, not replaced, where this way in needs
    /// them.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts `gst-launch-1.0` with a pipeline; its words may not have spaces in them. It may begin with options.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn gst_launch(&self, pipeline: &str) -> Result<Process, Error> {
        // Progress on stdout would run into what elements print, but it also silences `-v`.
        let quiet = (!pipeline.starts_with('-')).then_some("-q");
        self.start("gst-launch-1.0", quiet.into_iter().chain(pipeline.split_whitespace()))
    }

    /// Starts `gst-play-1.0` for these URIs, faster than real time and without a screen.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn gst_play<'a>(&self, uris: impl IntoIterator<Item = &'a str>) -> Result<Process, Error> {
        let options = ["--no-interactive", "--videosink=fakesink", "--audiosink=fakesink"];
        self.start("gst-play-1.0", options.into_iter().chain(uris))
    }

    /// Starts a Python program that may use GStreamer through GObject introspection.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn python<'a>(
        &self,
        program: &'a str,
        args: impl IntoIterator<Item = &'a str>,
    ) -> Result<Process, Error> {
        // The distribution's own: another one in the path would not have its modules.
        let system = Path::new("/usr/bin/python3");
        let python = if system.exists() { system } else { Path::new("python3") };
        self.start(python, ["-c", program].into_iter().chain(args))
    }

    /// Starts any program that plays.
    ///
    /// # Errors
    /// If it cannot be started, or the tracer or the test elements are not built.
    pub fn start(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Process, Error> {
        let mut command = self.command(program)?;
        command.args(args);
        Process::start(&mut command)
    }

    /// The program with the environment set up, not yet started.
    ///
    /// # Errors
    /// If the tracer or the test elements are not built.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Result<Command, Error> {
        let mut command = match &self.netns {
            None => Command::new(program),
            Some(netns) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", netns]).arg(program);
                command
            }
        };
        let tracer = match &self.tracer {
            Some(tracer) => tracer.clone(),
            None if self.way == Way::Unwatched => PathBuf::new(),
            None => self.artifacts.tracer()?,
        };
        let given = |name: &str| -> Vec<String> {
            self.env.iter().filter(|(n, _)| n == name).map(|(_, v)| v.clone()).collect()
        };
        let mut tracers = given("GST_TRACERS");
        let mut preloads = given("LD_PRELOAD");
        let mut plugins = Vec::new();
        if self.elements {
            plugins.push(self.artifacts.elements_dir()?);
        }
        let registry;
        command.env_remove("LD_PRELOAD").env_remove("GST_TRACERS").env_remove("GST_DEBUG");
        match self.way {
            Way::Tracers => {
                plugins.push(self.artifacts.tracer_dir(&tracer)?);
                registry = if self.tracer.is_some() { "other-tracer" } else { "tracers" };
                tracers.push("stbeacon".to_owned());
            }
            Way::Preload => {
                registry = "preload";
                preloads.push(tracer.to_string_lossy().into_owned());
            }
            Way::Unwatched => registry = "unwatched",
        }
        let registry = if self.elements { registry.to_owned() } else { format!("{registry}-stock") };
        let plugins = std::env::join_paths(plugins)
            .map_err(|e| Error::io("a target directory with a colon in it", e))?;
        let others = self.env.iter().filter(|(n, _)| n != "GST_TRACERS" && n != "LD_PRELOAD");
        command
            .env("GST_PLUGIN_PATH", plugins)
            .env("GST_REGISTRY", self.artifacts.scratch("registry")?.join(registry))
            // What a box has no use for, and colours in a log that is read by a program.
            .env("GST_DEBUG_NO_COLOR", "1")
            .envs(others.map(|(n, v)| (n, v)));
        if !tracers.is_empty() {
            command.env("GST_TRACERS", tracers.join(";"));
        }
        if !preloads.is_empty() {
            command.env("LD_PRELOAD", preloads.join(":"));
        }
        Ok(command)
    }

    /// In a network namespace.
    #[must_use]
    pub fn netns(mut self, name: &str) -> Self {
        self.netns = Some(name.to_owned());
        self
    }
}
