//! The boxes' root file systems: made from Debian's packages, and kept.

use std::fs;
use std::path::{Path, PathBuf};

use super::arch::Arch;
use super::machine::{as_root, docker};
use crate::{cross, run, ui};

/// Part of a file's and an image's name: raised when what is beside this module changes what is in them.
const GENERATION: &str = "2";

/// What makes them, in a directory of its own while it does.
const SOURCES: [(&str, &str); 5] = [
    ("image.sh", include_str!("image.sh")),
    ("player.service", include_str!("player.service")),
    ("applets", include_str!("applets")),
    ("busybox-rcS", include_str!("busybox-rcS")),
    ("opkg-stand-in", include_str!("opkg-stand-in")),
];

/// Which kind of box.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// dpkg, apt and systemd.
    Deb,
    /// busybox, its init, and what stands in for opkg.
    Ipk,
}

impl Kind {
    /// What its packages' names end in.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Deb => "deb",
            Self::Ipk => "ipk",
        }
    }
}

/// The name of an image in docker, which has it when this returns.
pub(super) fn ensure(kind: Kind, arch: Arch) -> Result<String, String> {
    let name = format!("stbeacon-box-{}-{arch}:{GENERATION}", kind.name());
    if run::succeeds(&mut docker(["image", "inspect", &name])) {
        return Ok(name);
    }
    let file = root_file_system(kind, arch)?;
    ui::step(&format!("handing docker the {} box's image", kind.name()), || {
        let file = file.to_string_lossy();
        run::quietly(&mut docker(["import", "--platform", arch.platform(), &file, &name]))
    })?;
    Ok(name)
}

fn root_file_system(kind: Kind, arch: Arch) -> Result<PathBuf, String> {
    let cache = cross::home_dir("XDG_CACHE_HOME", ".cache")?.join("stbeacon");
    let made = cache.join(format!("box-{arch}-{GENERATION}"));
    let file = made.join(format!("{}.tar", kind.name()));
    if !file.exists() {
        let what = format!("root file systems of {arch} boxes (a minute)");
        ui::step(&what, || make(arch, &made))?;
    }
    Ok(file)
}

fn make(arch: Arch, made: &Path) -> Result<(), String> {
    let unfinished = made.with_extension("unfinished");
    run::quietly(as_root("rm").arg("-rf").arg(&unfinished).arg(made))?;
    let cannot = |e: std::io::Error| format!("{}: {e}", unfinished.display());
    let sources = unfinished.join("sources");
    fs::create_dir_all(&sources).map_err(cannot)?;
    for (name, text) in SOURCES {
        fs::write(sources.join(name), text).map_err(cannot)?;
    }
    let mirror =
        cross::mirror().unwrap_or_else(|| "deb http://deb.debian.org/debian bookworm main".to_owned());
    let mut script = as_root("sh");
    script
        .arg(sources.join("image.sh"))
        .arg(mirror)
        .arg(arch.to_string())
        .arg(arch.multiarch())
        .arg(&unfinished);
    run::quietly(&mut script)?;
    fs::rename(&unfinished, made).map_err(cannot)
}
