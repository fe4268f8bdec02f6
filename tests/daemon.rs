//! The real daemon, with everything it touches in a temporary directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;

use crate::{Artifacts, Error, Finished, Netns, Process, wait};

/// How long it may take to come up or to go down.
const LIMIT: Duration = Duration::from_secs(10);

/// `stbeacon run`. Dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    process: Process,
    home: Home,
}

/// How the daemon is provisioned and started.
#[derive(Debug, Clone)]
pub struct DaemonOptions {
    /// Where reports go.
    pub url: String,
    /// Accumulation period in seconds; 1 is the shortest.
    pub accum_period: u64,
    /// Whether sessions are reported.
    pub media: bool,
    /// Seconds between two reports of a running session; 0 for none.
    pub media_period: u64,
    /// Seconds between two samples of the interfaces; 0 for none.
    pub network_period: u64,
    /// Which interfaces, as names and globs; empty for the default.
    pub interfaces: String,
    /// Whether reports carry the extension.
    pub extended: bool,
    /// Further elements of `<stbeacon>`, as XML.
    pub elements: String,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Run it inside this namespace.
    pub netns: Option<String>,
}

/// What stays when a daemon goes: its directory.
#[derive(Debug)]
struct Home {
    dir: TempDir,
    options: DaemonOptions,
}

// === impl DaemonOptions ===

impl DaemonOptions {
    /// Sessions only, as soon as can be.
    #[must_use]
    pub fn media_only(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            accum_period: 1,
            media: true,
            media_period: 0,
            network_period: 0,
            interfaces: String::new(),
            extended: false,
            elements: String::new(),
            env: Vec::new(),
            netns: None,
        }
    }

    /// The provisioning file.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let escape = |text: &str| text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        let media = match (self.media, self.media_period) {
            (false, _) => String::new(),
            (true, 0) => "<media/>".to_owned(),
            (true, period) => format!("<media period=\"{period}\"/>"),
        };
        let network = match self.network_period {
            0 => String::new(),
            period => format!("<network period=\"{period}\"/>"),
        };
        let interfaces = match self.interfaces.as_str() {
            "" => String::new(),
            interfaces => format!(" interfaces=\"{}\"", escape(interfaces)),
        };
        format!(
            "<provision reload=\"600\">\n  <statistics url=\"{}\" accum_period=\"{}\">{media}{network}</statistics>\n  \
             <stbeacon><reports extended=\"{}\"{interfaces}/>{}</stbeacon>\n</provision>\n",
            escape(&self.url),
            self.accum_period,
            self.extended,
            self.elements,
        )
    }
}

// === impl Daemon ===

impl Daemon {
    /// Starts it for a receiver at `url`, and waits until players can connect.
    ///
    /// # Errors
    /// If it is not built, or does not come up; with its log.
    pub fn start(url: impl Into<String>) -> Result<Self, Error> {
        Self::with(DaemonOptions::media_only(url))
    }

    /// Starts it with these options.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn with(options: DaemonOptions) -> Result<Self, Error> {
        let dir = tempfile::tempdir().map_err(|e| Error::io("no temporary directory", e))?;
        Self::begin(Home { dir, options })
    }

    /// Where players connect.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.home.socket()
    }

    /// Its provisioning file.
    #[must_use]
    pub fn provisioning(&self) -> PathBuf {
        self.home.provisioning()
    }

    /// The running program.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.stderr()
    }

    /// Runs another command of the same program against it, such as `status`.
    ///
    /// # Errors
    /// If the command cannot be run.
    pub fn command(&self, args: &[&str]) -> Result<Finished, Error> {
        let mut command = self.home.program()?;
        command.args(args).env("STBEACON_SOCKET", self.socket()).env("STBEACON_CONTROL", self.home.control());
        Process::start(&mut command)?.wait(LIMIT)
    }

    /// Asks it to stop (SIGTERM), and waits until it has.
    ///
    /// # Errors
    /// If it does not stop, or not with exit code 0.
    pub fn stop(self) -> Result<Finished, Error> {
        self.process.signal(Signal::SIGTERM)?;
        self.process.wait(LIMIT)?.success()
    }

    /// Kills it without a word and starts it again in the same place.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn kill_and_restart(self) -> Result<Self, Error> {
        let Self { process, home } = self;
        drop(process);
        Self::begin(home)
    }

    /// The same, and gives all that it has logged up to its death.
    ///
    /// # Errors
    /// As [`Daemon::start`].
    pub fn kill_and_listen(self) -> Result<(Self, String), Error> {
        let Self { process, home } = self;
        process.signal(Signal::SIGKILL)?;
        let said = process.wait(LIMIT)?.stderr;
        Ok((Self::begin(home)?, said))
    }

    /// Asks it to stop and starts it again in the same place.
    ///
    /// # Errors
    /// As [`Daemon::stop`] and [`Daemon::start`].
    pub fn restart(self) -> Result<Self, Error> {
        let Self { process, home } = self;
        process.signal(Signal::SIGTERM)?;
        process.wait(LIMIT)?.success()?;
        Self::begin(home)
    }

    fn begin(home: Home) -> Result<Self, Error> {
        let state = home.dir.path().join("state");
        fs::create_dir_all(&state).map_err(|e| Error::io("cannot make the state directory", e))?;
        fs::write(home.provisioning(), home.options.to_xml())
            .map_err(|e| Error::io("cannot write the provisioning file", e))?;
        let mut command = home.program()?;
        command
            .arg("run")
            .arg("--provisioning")
            .arg(home.provisioning())
            .arg("--socket")
            .arg(home.socket())
            .arg("--state-dir")
            .arg(&state)
            .arg("--runtime-dir")
            .arg(home.dir.path().join("run"))
            .arg("--control")
            .arg(home.control())
            .args(["--log", "debug"])
            .envs(home.options.env.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start(&mut command)?;
        let socket = home.socket();
        let up = wait::until("the daemon to listen", LIMIT, || match process.is_running() {
            Ok(true) if connects(&socket) => Some(Ok(())),
            Ok(true) => None,
            Ok(false) => Some(Err(process.error("ended at once"))),
            Err(error) => Some(Err(error)),
        });
        up.map_err(|error| process.error(&error.to_string()))??;
        Ok(Self { process, home })
    }
}

// === impl Home ===

impl Home {
    fn socket(&self) -> PathBuf {
        self.dir.path().join("player.sock")
    }

    fn control(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    fn provisioning(&self) -> PathBuf {
        self.dir.path().join("provision.xml")
    }

    fn program(&self) -> Result<Command, Error> {
        let program = Artifacts::find()?.daemon()?;
        let Some(netns) = &self.options.netns else { return Ok(Command::new(program)) };
        let mut command = Command::new("ip");
        command.args(["netns", "exec", netns]).arg(program);
        Ok(command)
    }
}

impl Netns {
    /// The options with the daemon inside this namespace.
    #[must_use]
    pub fn daemon(&self, mut options: DaemonOptions) -> DaemonOptions {
        options.netns = Some(self.name().to_owned());
        options
    }
}

/// Whether somebody listens at `path`: a file that is there need not be served.
fn connects(path: &Path) -> bool {
    let connect = || {
        let socket = Socket::new(Domain::UNIX, Type::SEQPACKET, None)?;
        socket.connect(&SockAddr::unix(path)?)
    };
    connect().is_ok()
}
