//! What this machine needs to run boxes of another architecture: docker, and an emulator that the kernel knows.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use stbeacon_tests::wait;

use super::arch::Arch;
use super::interrupt;
pub(super) use crate::cross::as_root;
use crate::{run, ui};

/// Where the kernel lists the programs that it runs by an interpreter.
const BINFMT: &str = "/proc/sys/fs/binfmt_misc";

/// How long docker may take to come up.
const LIMIT: Duration = Duration::from_secs(60);

/// A running docker. It ends with this if it was started by this.
#[derive(Debug)]
pub(super) struct Docker {
    started: Option<Child>,
    keep: bool,
}

/// `docker …`
pub(super) fn docker<const N: usize>(args: [&str; N]) -> Command {
    let mut command = as_root("docker");
    command.args(args);
    command
}

/// Sees to it that the kernel runs programs of this architecture.
pub(super) fn ensure_emulator(arch: Arch) -> Result<(), String> {
    let entry = Path::new(BINFMT).join(arch.emulator());
    // An arm64 kernel runs both by itself.
    if entry.exists() || std::env::consts::ARCH == "aarch64" {
        return Ok(());
    }
    ui::step(&format!("registering {}", arch.emulator()), || {
        if !Path::new(BINFMT).join("register").exists() {
            run::quietly(as_root("mount").args(["-t", "binfmt_misc", "binfmt_misc", BINFMT])).map_err(|error| {
                format!("{error}\nthe kernel's binfmt_misc cannot be mounted: it takes root with CAP_SYS_ADMIN, and a kernel that has it")
            })?;
        }
        run::quietly(as_root("update-binfmts").args(["--enable", arch.emulator()]))?;
        if entry.exists() { Ok(()) } else { Err(format!("{} is not there all the same", entry.display())) }
    })
}

// === impl Docker ===

impl Docker {
    /// Takes the one that runs, or starts one.
    pub(super) fn ensure(logs: &Path, keep: bool) -> Result<Self, String> {
        if answers() {
            return Ok(Self { started: None, keep });
        }
        let log = logs.join("dockerd.log");
        ui::step("starting docker", || Self::start(&log, keep)).map_err(|error| {
            format!(
                "{error}\ndocker does not run on this machine. It takes root with CAP_SYS_ADMIN and CAP_NET_ADMIN, mounted \
                 cgroups, and a kernel with overlayfs, bridges, veth and netfilter's NAT.\nIts log: {}{}",
                log.display(),
                last_lines(&log)
            )
        })
    }

    fn start(log: &PathBuf, keep: bool) -> Result<Self, String> {
        let cannot = |e: std::io::Error| format!("{}: {e}", log.display());
        let out = File::create(log).map_err(cannot)?;
        let mut command = as_root("dockerd");
        command.stdin(Stdio::null()).stdout(out.try_clone().map_err(cannot)?).stderr(out);
        // A terminal's interrupt is not for it: it is stopped in order.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().map_err(|e| format!("dockerd: {e}"))?;
        interrupt::docker_is(child.id());
        let mut started = Self { started: Some(child), keep };
        let up = wait::until("docker to answer", LIMIT, || {
            let ended = started.started.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if let Some(status) = ended {
                return Some(Err(format!("dockerd ended: {status}")));
            }
            answers().then_some(Ok(()))
        });
        up.map_err(|e| e.to_string())??;
        Ok(started)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Some(mut child) = self.started.take() {
            if self.keep {
                println!("  docker stays, for the boxes' sake: kill {}", child.id());
                return;
            }
            // One that is gone already needs no signal.
            let _ = run::quietly(as_root("kill").arg(child.id().to_string()));
            let _ = child.wait();
            interrupt::docker_is(0);
        }
    }
}

fn answers() -> bool {
    run::succeeds(docker(["info"]).stderr(Stdio::null())) && run::succeeds(&mut docker(["network", "ls"]))
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let from = lines.len().saturating_sub(5);
    lines.iter().skip(from).map(|line| format!("\n  {line}")).collect()
}
