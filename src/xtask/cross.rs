//! The oldest toolchain a box's image builder has, building what goes on a box.
//!
//! Debian's own rustc of the minimum version, with its standard library for armhf, in a root of its own made
//! from Debian's packages. The root is kept in the user's cache directory: making it takes a minute or two.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{run, ui};

/// The Debian release whose main archive has the rustc of our `rust-version`.
const RELEASE: &str = "bookworm";

/// Part of the root's name: raised when [`PACKAGES`] change, so that an old root is not taken for a new one.
const GENERATION: &str = "1";

const PACKAGES: &str = "rustc-web,cargo-web,libstd-rust-web-dev:armhf,gcc-arm-linux-gnueabihf,\
                        libc6-dev-armhf-cross,pkgconf,libgstreamer1.0-dev:armhf";

const TARGET: &str = "armv7-unknown-linux-gnueabihf";

/// What goes on a box.
const CRATES: [&str; 3] = ["stbeacon-core", "stbeacon", "gst-plugin-stbeacon"];

/// Builds what goes on a box with the minimum toolchain, for armv7.
pub(crate) fn build_for_armhf() -> Result<(), String> {
    let root = ensure_root()?;
    // The root has no network of its own, and needs none: its cargo reads what this one has fetched.
    run::quietly(&mut run::cargo(&["fetch", "--locked"]))?;
    let cargo_home = home_dir("CARGO_HOME", ".cargo")?;
    let out = run::target().join("armhf-minimum");
    std::fs::create_dir_all(&out).map_err(|e| format!("{}: {e}", out.display()))?;

    let packages: Vec<_> = CRATES.iter().map(|name| format!("-p {name}")).collect();
    let build = format!("cd /src && cargo build --locked --offline --target {TARGET} {}", packages.join(" "));
    // In a mount namespace of its own, which takes the mounts away with it.
    let script = r#"set -eu
        mkdir -p "$ROOT/src" "$ROOT/cargo" "$ROOT/out"
        mount --bind "$SOURCE" "$ROOT/src"
        mount -o remount,bind,ro "$ROOT/src"
        mount --bind "$CARGO_HOME" "$ROOT/cargo"
        mount --bind "$OUT" "$ROOT/out"
        mount -t proc proc "$ROOT/proc"
        chroot "$ROOT" rustc --version
        exec chroot "$ROOT" env -i PATH=/usr/bin:/bin HOME=/root CARGO_HOME=/cargo CARGO_TARGET_DIR=/out \
            PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG=arm-linux-gnueabihf-pkg-config \
            CC_armv7_unknown_linux_gnueabihf=arm-linux-gnueabihf-gcc \
            CARGO_TARGET_ARMV7_UNKNOWN_LINUX_GNUEABIHF_LINKER=arm-linux-gnueabihf-gcc sh -c "$BUILD""#;
    let mut command = as_root("env");
    command
        .arg(assignment("ROOT", &root))
        .arg(assignment("SOURCE", &run::root()))
        .arg(assignment("CARGO_HOME", &cargo_home))
        .arg(assignment("OUT", &out))
        .arg(format!("BUILD={build}"))
        .args(["unshare", "--mount", "sh", "-c", script]);
    run::visibly(&mut command)
}

fn ensure_root() -> Result<PathBuf, String> {
    let cache = home_dir("XDG_CACHE_HOME", ".cache")?.join("stbeacon");
    let root = cache.join(format!("{RELEASE}-armhf-{GENERATION}"));
    if root.join("usr/bin/rustc").exists() {
        return Ok(root);
    }
    std::fs::create_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    let unfinished = cache.join(format!("{RELEASE}-armhf-{GENERATION}.unfinished"));
    ui::step("a root with Debian's rustc for armhf", || {
        run::quietly(as_root("rm").arg("-rf").arg(&unfinished))?;
        let mut make = as_root("mmdebstrap");
        make.args(["--variant=minbase", "--architectures=amd64,armhf"]).arg(format!("--include={PACKAGES}"));
        // The release alone, without its security archive: only there do compiler and libraries agree on a version.
        run::quietly(make.arg(RELEASE).arg(&unfinished).args(mirror()))?;
        run::quietly(as_root("mv").arg(&unfinished).arg(&root))
    })?;
    Ok(root)
}

/// The mirror this system itself uses; none where it has none for the release, and then it is Debian's own.
fn mirror() -> Option<String> {
    let mut targets = Command::new("apt-get");
    targets.args(["indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Identifier: Packages"]);
    let output = targets.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let uri = lines.find(|(codename, _)| *codename == RELEASE).map(|(_, uri)| uri)?;
    Some(format!("deb {uri} {RELEASE} main"))
}

/// A program that runs as root, through sudo where we are not.
fn as_root(program: &str) -> Command {
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
fn home_dir(variable: &str, default: &str) -> Result<PathBuf, String> {
    if let Some(dir) = std::env::var_os(variable).filter(|dir| !dir.is_empty()) {
        return Ok(dir.into());
    }
    let home = std::env::var_os("HOME").ok_or_else(|| format!("neither {variable} nor HOME is set"))?;
    Ok(Path::new(&home).join(default))
}
