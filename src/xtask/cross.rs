//! What goes on a box, built for a box's processor by the oldest toolchain an image builder has.
//!
//! Debian's own rustc of the minimum version, with the sources of its standard library, in a root made from Debian's
//! packages: one for each target. A root is kept in the user's cache directory: making it takes a minute or two. zig links,
//! because it can link against the symbols of any glibc: one program then fits old images and new ones.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{run, tools, ui};

/// The Debian release whose main archive has the rustc of our `rust-version`.
const RELEASE: &str = "bookworm";

/// Part of the root's name: raised when [`PACKAGES`] change, so that an old root is not taken for a new one.
const GENERATION: &str = "4";

/// What a root has beside GStreamer for its target. The standard library is built along, and zig links: of the target's own
/// there is nothing but what the plug-in links with.
const PACKAGES: &[&str] = &[
    "libc-bin",
    "coreutils",
    "dash",
    "grep",
    "sed",
    "gcc",
    "libc6-dev",
    "pkgconf",
    "rustc-web",
    "cargo-web",
    "rust-web-src",
];

/// The table of symbols of the root's GStreamer, in the root.
const SYMBOLS: &str = "gstreamer.symbols";

/// Where the sources of the standard library are.
const STD: &str = "rustc-1.85.0";

/// The newest glibc that what is built may ask for: CentOS 7's, Debian 8's, and any younger box's.
pub(crate) const GLIBC: &str = "2.17";

/// The GStreamer that the plug-in has to be content with: Debian 11's.
pub(crate) const GSTREAMER: (u32, u32) = (1, 18);

/// A kind of processor, in the names that others have for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Rust's.
    pub(crate) triple: &'static str,
    /// Debian's.
    pub(crate) debian: &'static str,
    /// The directory of its libraries in Debian.
    pub(crate) multiarch: &'static str,
    /// What the compiler is told besides: Thumb-2 code, which every ARMv7 runs, is a quarter smaller.
    flags: &'static str,
}

impl Target {
    /// Whether it is this machine's architecture.
    pub(crate) fn is_own(&self) -> bool {
        self.triple.split('-').next() == Some(std::env::consts::ARCH)
    }
}

pub(crate) const TARGETS: [Target; 3] = [
    Target {
        triple: "armv7-unknown-linux-gnueabihf",
        debian: "armhf",
        multiarch: "arm-linux-gnueabihf",
        flags: "-C target-feature=+thumb-mode",
    },
    Target {
        triple: "aarch64-unknown-linux-gnu",
        debian: "arm64",
        multiarch: "aarch64-linux-gnu",
        flags: "",
    },
    Target { triple: "x86_64-unknown-linux-gnu", debian: "amd64", multiarch: "x86_64-linux-gnu", flags: "" },
];

/// What was built for a box.
pub(crate) struct Built {
    /// The directory that both are in.
    pub(crate) dir: PathBuf,
    pub(crate) daemon: PathBuf,
    pub(crate) tracer: PathBuf,
}

/// Builds daemon and plug-in as a box gets them.
pub(crate) fn build(target: &Target) -> Result<Built, String> {
    let triple = target.triple;
    let cargo = format!("cargo zigbuild --locked --target {triple}.{GLIBC}");
    // The standard library is built along, for size, and without what prints backtraces: they name nothing in a program
    // that is stripped. A stable compiler builds it only when told that it may. Both are built at once: optimising a
    // whole program, which each ends with, keeps one processor busy.
    let build = format!(
        "cd /src && export RUSTC_BOOTSTRAP=1 && \
         {{ CARGO_ZIGBUILD_CACHE_DIR=/out/zigbuild-tracer \
            {cargo} -Zbuild-std=std,panic_unwind -Zbuild-std-features=panic-unwind,optimize_for_size \
            --profile tracer -p gst-plugin-stbeacon & }} && \
         CARGO_ZIGBUILD_CACHE_DIR=/out/zigbuild \
         {cargo} -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size --release -p stbeacon; \
         daemon=$?; wait $! && exit $daemon"
    );
    let dir = build_in_root(target, &build)?;
    let (daemon, tracer) = (dir.join("release/stbeacon"), dir.join("tracer/libgststbeacon.so"));
    Ok(Built { dir, daemon, tracer })
}

/// Builds the collector as a server gets it: quick, and with what unwinds. For this machine's architecture by its own
/// compiler and against its own glibc, for another in that one's root.
pub(crate) fn build_collector(target: &Target) -> Result<PathBuf, String> {
    if target.is_own() {
        run::visibly(&mut run::cargo(&[
            "build",
            "--locked",
            "--profile",
            "collector",
            "-p",
            "stbeacon-collector",
        ]))?;
        return Ok(run::target().join("collector/stbeacon-collector"));
    }
    let build = format!(
        "cd /src && export RUSTC_BOOTSTRAP=1 CARGO_ZIGBUILD_CACHE_DIR=/out/zigbuild-collector && \
         cargo zigbuild --locked --target {}.{GLIBC} -Zbuild-std=std,panic_unwind -Zbuild-std-features=panic-unwind \
         --profile collector -p stbeacon-collector",
        target.triple
    );
    Ok(build_in_root(target, &build)?.join("collector/stbeacon-collector"))
}

/// Whether the minimum compiler understands the collector, too, which is built by another one for this machine's
/// architecture; in the root of any target, but without its flags.
pub(crate) fn check_collector(target: &Target) -> Result<(), String> {
    build_in_root(target, "cd /src && RUSTFLAGS= cargo check --locked -p stbeacon-collector").map(drop)
}

/// Runs what builds something for a target in the target's root; gives the directory that cargo puts it in.
fn build_in_root(target: &Target, build: &str) -> Result<PathBuf, String> {
    let root = ensure_root(target)?;
    let tools = tools::packagers()?;
    // The root has no network of its own, and needs none: its cargo reads what this one has fetched.
    run::quietly(&mut run::cargo(&["fetch", "--locked"]))?;
    let out = run::target().join("box");
    std::fs::create_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;

    // What the standard library itself is made of.
    let library = root.join("usr/src").join(STD).join("library/Cargo.toml");
    let mut fetch = run::cargo(&["fetch", "--locked", "--manifest-path"]);
    run::quietly(fetch.arg(library).env("RUSTC_BOOTSTRAP", "1"))?;

    // In a mount namespace of its own, which takes the mounts away with it. Every path in it is the same on every
    // machine, and so is what is built.
    let script = r#"set -eu
        mkdir -p "$ROOT/src" "$ROOT/cargo" "$ROOT/out" "$ROOT/tools"
        mount --bind "$SOURCE" "$ROOT/src"
        mount -o remount,bind,ro "$ROOT/src"
        mount --bind "$CARGO_HOME" "$ROOT/cargo"
        mount --bind "$OUT" "$ROOT/out"
        mount --bind "$TOOLS" "$ROOT/tools"
        mount -t proc proc "$ROOT/proc"
        chroot "$ROOT" rustc --version
        exec chroot "$ROOT" env -i PATH=/tools/bin:/usr/bin:/bin HOME=/out/home CARGO_HOME=/cargo \
            CARGO_TARGET_DIR=/out CARGO_NET_OFFLINE=true RUSTFLAGS="$RUSTFLAGS" \
            SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" \
            CARGO_ZIGBUILD_ZIG_PATH="/tools/${ZIG#"$TOOLS"/}" ZIG_GLOBAL_CACHE_DIR=/out/zig \
            PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 PKG_CONFIG="$MULTIARCH-pkg-config" sh -c "$BUILD""#;
    let mut command = as_root("env");
    command
        .arg(assignment("ROOT", &root))
        .arg(assignment("SOURCE", &run::root()))
        .arg(assignment("CARGO_HOME", &home_dir("CARGO_HOME", ".cargo")?))
        .arg(assignment("OUT", &out))
        .arg(assignment("TOOLS", &tools.dir))
        .arg(assignment("ZIG", &tools.zig))
        .arg(format!("MULTIARCH={}", target.multiarch))
        .arg(format!("RUSTFLAGS={}", target.flags))
        .arg(format!("SOURCE_DATE_EPOCH={}", epoch()))
        .arg(format!("BUILD={build}"))
        .args(["unshare", "--mount", "sh", "-c", script]);
    run::visibly(&mut command)?;
    Ok(out.join(target.triple))
}

/// When the sources were last changed, in seconds of the Unix epoch: the same sources give the same bytes
/// (<https://reproducible-builds.org/specs/source-date-epoch/>).
pub(crate) fn epoch() -> String {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return epoch;
    }
    let commit = run::told(run::command("git").args(["log", "-1", "--format=%ct"]));
    let now = || {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    };
    commit.map_or_else(|_| now().to_string(), |text| text.trim().to_owned())
}

/// What the root's GStreamer says of its symbols: which version had each of them first.
pub(crate) fn gstreamer_symbols(target: &Target) -> Result<String, String> {
    let file = ensure_root(target)?.join(SYMBOLS);
    std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))
}

/// One root for each target, so that nobody waits for another target's packages.
fn ensure_root(target: &Target) -> Result<PathBuf, String> {
    let arch = target.debian;
    let cache = home_dir("XDG_CACHE_HOME", ".cache")?.join("stbeacon");
    let name = format!("{RELEASE}-cross-{arch}-{GENERATION}");
    let root = cache.join(&name);
    if root.exists() {
        return Ok(root);
    }
    std::fs::create_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    let unfinished = cache.join(format!("{name}.unfinished"));
    ui::step(&format!("a root with Debian's rustc, and GStreamer for {arch}"), || {
        run::quietly(as_root("rm").arg("-rf").arg(&unfinished))?;
        let mut make = as_root("mmdebstrap");
        let architectures = if arch == "amd64" { arch.to_owned() } else { format!("amd64,{arch}") };
        // Unpacked, not configured: nothing that scripts of packages do matters to a compiler but the two links below.
        make.args(["--variant=extract", "--skip=cleanup,check/empty"])
            .arg("--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr")
            .arg(format!("--architectures={architectures}"))
            .arg(format!("--include={},libgstreamer1.0-dev:{arch}", PACKAGES.join(",")));
        // The release alone, without its security archive: only there do compiler and libraries agree on a version.
        run::quietly(make.arg(RELEASE).arg(&unfinished).args(mirror()))?;
        let finish = r#"set -eu
            cd "$1"
            dpkg-deb --ctrl-tarfile var/cache/apt/archives/libgstreamer1.0-0_*_"$2".deb | tar -xO ./symbols > "$3"
            rm -rf var/cache/apt/* var/lib/apt/lists/* usr/share/man usr/share/locale usr/share/doc
            mkdir -p proc tmp
            ln -sf gcc usr/bin/cc
            ldconfig -r ."#;
        let mut links = as_root("sh");
        run::quietly(links.args(["-c", finish, "sh"]).arg(&unfinished).args([arch, SYMBOLS]))?;
        run::quietly(as_root("mv").arg(&unfinished).arg(&root))
    })?;
    Ok(root)
}

/// The mirror this system itself uses; none where it has none for the release, and then it is Debian's own.
pub(crate) fn mirror() -> Option<String> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Identifier: Packages"]);
    let output = targets.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let uri = lines.find(|(codename, _)| *codename == RELEASE).map(|(_, uri)| uri)?;
    Some(format!("deb {uri} {RELEASE} main"))
}

/// A program that runs as root, through sudo where we are not.
pub(crate) fn as_root(program: &str) -> Command {
    if run::is_root() {
        return run::command(program);
    }
    let mut command = run::command("sudo");
    command.arg(program);
    command
}

fn assignment(name: &str, path: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(format!("{name}="));
    text.push(path);
    text
}

/// The directory that an environment variable names, or else one in the home directory.
pub(crate) fn home_dir(variable: &str, default: &str) -> Result<PathBuf, String> {
    if let Some(dir) = std::env::var_os(variable).filter(|dir| !dir.is_empty()) {
        return Ok(dir.into());
    }
    let home = std::env::var_os("HOME").ok_or_else(|| format!("neither {variable} nor HOME is set"))?;
    Ok(Path::new(&home).join(default))
}
