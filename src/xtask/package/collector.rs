//! The collector's package: a .deb for servers, and whether it does in a fresh Debian what it should.

use std::path::{Path, PathBuf};

use super::{Order, Stage, checks, scripts};
use crate::cross::{self, Target, as_root};
use crate::{run, ui};

/// The package's name, and the program's.
const NAME: &str = "stbeacon-collector";
/// Part of the fresh Debian's name: raised when what is in it changes.
const GENERATION: &str = "1";
/// What it has beside what Debian calls essential.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,iproute2,procps";

/// Makes the package for each target, and tries the one for this machine where that is wanted.
pub(super) fn make(targets: &[&Target], order: &Order, is_tried: bool) -> Result<(), String> {
    let manual = format!("{NAME}.8");
    let stage = Stage::prepare(order, &scripts::COLLECTOR, &[&manual], &[(NAME, NAME)])?;
    checks::scripts(&stage.dir, &scripts::COLLECTOR)?;
    let mut made = Vec::new();
    for target in targets {
        ui::title(&format!("{}: the collector", target.triple));
        let program = cross::build_collector(target)?;
        let (glibc, _) = checks::glibc(&program)?;
        let programs = program.parent().unwrap_or(&program);
        let package = stage.one(NAME, "deb", target, programs, &glibc)?;
        checks::lintian(std::slice::from_ref(&package))?;
        made.push((package.file, program, *target));
    }
    ui::title("Made");
    for (file, program, _) in &made {
        let size = |file: &Path| std::fs::metadata(file).map_or(0, |found| found.len());
        println!("  {}: {} bytes, the program {}", file.display(), size(file), size(program));
    }
    if !is_tried {
        return Ok(());
    }
    let own = made.iter().find(|(_, _, target)| target.is_own());
    let (file, _, target) = own.ok_or("--try: none of these packages is for this machine's architecture")?;
    ui::title(&format!("{} in a fresh Debian", file.display()));
    try_out(file, &debian(target)?)
}

/// Installs it in a Debian that is thrown away afterwards, under systemd; see `try.sh`.
fn try_out(package: &Path, debian: &Path) -> Result<(), String> {
    let mut script = as_root("sh");
    script.arg("-eu").arg(run::root().join("src/xtask/package/try.sh")).arg(debian).arg(package);
    run::visibly(&mut script)
}

/// A Debian with nothing of ours in it, kept in the user's cache directory.
fn debian(target: &Target) -> Result<PathBuf, String> {
    let arch = target.debian;
    let cache = cross::home_dir("XDG_CACHE_HOME", ".cache")?.join("stbeacon");
    let name = format!("bookworm-server-{arch}-{GENERATION}");
    let root = cache.join(&name);
    if root.exists() {
        return Ok(root);
    }
    std::fs::create_dir_all(&cache).map_err(|e| format!("{}: {e}", cache.display()))?;
    let unfinished = cache.join(format!("{name}.unfinished"));
    ui::step("a fresh Debian 12 (a minute)", || {
        run::quietly(as_root("rm").arg("-rf").arg(&unfinished))?;
        let mut make = as_root("mmdebstrap");
        make.args([
            "--variant=minbase",
            &format!("--architectures={arch}"),
            &format!("--include={PACKAGES}"),
        ]);
        run::quietly(make.arg("bookworm").arg(&unfinished).args(cross::mirror()))?;
        run::quietly(as_root("mv").arg(&unfinished).arg(&root))
    })?;
    Ok(root)
}
