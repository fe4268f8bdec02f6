//! One box that runs: a container with an init of its own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use stbeacon_tests::wait;

use super::image::Kind;
use super::interrupt;
use super::machine::docker;
use crate::run;

/// How long an init may take under emulation.
const BOOT: Duration = Duration::from_secs(90);

/// What a box starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Boot {
    /// Its init.
    Init,
    /// A shell that waits, and no init: as on a machine where a root file system is put together.
    Nothing,
}

/// The network that boxes and receivers are on. It goes with this.
#[derive(Debug)]
pub(super) struct Network {
    name: String,
    /// This machine's address on it.
    pub(super) gateway: String,
    keep: bool,
}

/// A box. It goes with this, unless it is to be kept.
#[derive(Debug)]
pub(super) struct Emulated {
    /// The container's name.
    pub(super) name: String,
    kind: Kind,
    /// Its address on the network.
    pub(super) address: String,
    logs: PathBuf,
    keep: bool,
}

// === impl Network ===

impl Network {
    pub(super) fn make(keep: bool) -> Result<Self, String> {
        let name = interrupt::prefix();
        run::quietly(&mut docker(["network", "create", &name]))?;
        // Made before it is looked at, so that it goes whatever comes.
        let mut network = Self { name, gateway: String::new(), keep };
        let of = "{{(index .IPAM.Config 0).Gateway}}";
        let gateway = run::told(&mut docker(["network", "inspect", "--format", of, &network.name]))?;
        gateway.trim().clone_into(&mut network.gateway);
        Ok(network)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if !self.keep {
            // A network that is still used stays, and docker says so when it is next asked.
            let _ = run::quietly(&mut docker(["network", "rm", &self.name]));
        }
    }
}

// === impl Emulated ===

impl Emulated {
    /// Starts a box's init, and waits until it is up.
    pub(super) fn start(
        image: &str,
        kind: Kind,
        boot: Boot,
        name: &str,
        network: &Network,
        logs: &Path,
    ) -> Result<Self, String> {
        let container = format!("{}-{name}", network.name);
        let mut start = docker(["run", "--detach", "--name", &container, "--hostname", name]);
        // One that docker has made and cannot start goes with this, too.
        let mut started =
            Self { name: container, kind, address: String::new(), logs: logs.join(name), keep: network.keep };
        start.args(["--network", &network.name, "--env", "LC_ALL=C", "--env", "GST_DEBUG_NO_COLOR=1"]);
        start.args(["--tmpfs", "/run:mode=755,exec", "--tmpfs", "/tmp:mode=1777,exec"]);
        // A box's root may look at any process; docker's otherwise may not.
        start.args(["--cap-add", "SYS_PTRACE"]);
        if kind == Kind::Deb {
            // What systemd needs to be an init: cgroups, and mounts of its own for the units' sandboxes.
            start.args(["--cap-add", "SYS_ADMIN", "--cap-add", "NET_ADMIN"]);
            start.args(["--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined"]);
            let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
            start.args([
                "--volume",
                if unified { "/sys/fs/cgroup:/sys/fs/cgroup:rw" } else { "/sys/fs/cgroup:/sys/fs/cgroup:ro" },
            ]);
            if unified {
                start.args(["--cgroupns", "host"]);
            }
        }
        start.arg(image);
        match boot {
            Boot::Init => start.arg("/sbin/init"),
            Boot::Nothing => start.args(["sh", "-c", "while :; do sleep 3600; done"]),
        };
        run::quietly(&mut start)?;
        let of = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let address = run::told(&mut docker(["inspect", "--format", of, &started.name]))?;
        address.trim().clone_into(&mut started.address);
        if boot == Boot::Init {
            started.wait_booted()?;
        }
        Ok(started)
    }

    fn wait_booted(&self) -> Result<(), String> {
        let booted = || match self.kind {
            // "degraded" is as far as a container comes: some of Debian's own units want a kernel of their own.
            Kind::Deb => {
                let state = self.sh("systemctl is-system-running || true").unwrap_or_default();
                matches!(state.trim(), "running" | "degraded").then_some(())
            }
            Kind::Ipk => self.sh("test -e /run/booted").ok().map(|_| ()),
        };
        wait::until("the box to boot", BOOT, booted).map_err(|e| e.to_string())
    }

    pub(super) const fn kind(&self) -> Kind {
        self.kind
    }

    /// Runs a shell script in the box as root, and gives what it prints.
    pub(super) fn sh(&self, script: &str) -> Result<String, String> {
        run::told(&mut docker(["exec", &self.name, "sh", "-c", script]))
    }

    /// Starts a shell script in the box as its player, and does not wait for it.
    pub(super) fn start_as_player(&self, script: &str) -> Result<(), String> {
        run::quietly(&mut docker([
            "exec",
            "--detach",
            "--user",
            "player:stbeacon",
            &self.name,
            "sh",
            "-c",
            script,
        ]))
    }

    /// Writes a file in the box, in place: owner and mode of one that is there stay.
    pub(super) fn write(&self, path: &str, content: &str) -> Result<(), String> {
        let mut command = docker(["exec", "--interactive", &self.name, "sh", "-c", &format!("cat > {path}")]);
        let mut child = command.stdin(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(content.as_bytes()).map_err(|e| format!("{path}: {e}"))?;
        }
        let status = child.wait().map_err(|e| e.to_string())?;
        if status.success() { Ok(()) } else { Err(format!("cannot write {path} in the box: {status}")) }
    }

    /// Puts a file into the box, readable by all. (`docker cp` would put it below a tmpfs, where nobody sees it.)
    pub(super) fn put(&self, from: &Path, to: &str) -> Result<(), String> {
        let file = fs::File::open(from).map_err(|e| format!("{}: {e}", from.display()))?;
        let script = format!("mkdir -p $(dirname {to}) && cat > {to} && chmod 644 {to}");
        let mut command = docker(["exec", "--interactive", &self.name, "sh", "-c", &script]);
        let output = command.stdin(file).output().map_err(|e| e.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!(
            "cannot put {} into the box: {}",
            from.display(),
            String::from_utf8_lossy(&output.stderr)
        ))
    }

    /// Every file that outlives a boot, with what is in those that packages may change.
    pub(super) fn files(&self) -> Result<Vec<String>, String> {
        let list = self.sh(
            "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /var/lib/dpkg \
             -o -path /var/lib/opkg -o -path /var/log -o -path /var/cache -o -path /var/lib/apt \
             -o -path /var/lib/systemd -o -path /var/lib/player -o -path '/etc/*-' -o -path /etc/.pwd.lock \\) -prune \
             -o -print | sort; md5sum /etc/passwd /etc/group",
        )?;
        Ok(list.lines().map(str::to_owned).collect())
    }

    /// Process id of the daemon in the box; `None` where there is none.
    pub(super) fn daemon(&self) -> Option<u32> {
        self.process("stbeacon")
    }

    /// Process id of a program in the box. (Its `pidof` sees the emulator's name.)
    pub(super) fn process(&self, name: &str) -> Option<u32> {
        let script = format!(
            "for d in /proc/[0-9]*; do [ \"$(cat $d/comm 2> /dev/null)\" = {name} ] && echo ${{d#/proc/}}; done; true"
        );
        self.sh(&script).ok()?.lines().next()?.trim().parse().ok()
    }

    /// Keeps what the box has to say of itself.
    pub(super) fn keep_logs(&self) {
        // Whatever can be had: this is for somebody who looks for what went wrong elsewhere.
        let _ = fs::create_dir_all(&self.logs);
        for (name, script) in [
            ("journal.log", "journalctl --no-pager --boot || cat /var/log/messages"),
            ("processes.txt", "ps -ef || ps"),
            ("daemon.txt", "stbeacon status; systemctl status --no-pager stbeacon player"),
            ("provision.xml", "cat /etc/stbeacon/provision.xml"),
            ("player.log", "cat /tmp/player.log"),
            ("files.txt", "find / -xdev -not -path '/proc/*' -ls"),
        ] {
            let text = self.sh(&format!("{{ {script}; }} 2>&1; true")).unwrap_or_else(|e| e);
            let _ = fs::write(self.logs.join(name), text);
        }
        let output = docker(["logs", &self.name]).output();
        if let Ok(output) = output {
            let _ = fs::write(self.logs.join("console.log"), [output.stdout, output.stderr].concat());
        }
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        if self.keep {
            println!("  The box stays: docker exec -it {} sh; docker rm -f {}", self.name, self.name);
        } else {
            // Gone is gone.
            let _ = run::quietly(&mut docker(["rm", "--force", &self.name]));
        }
    }
}
