//! The packages under test, and the next version of them.

use std::path::{Path, PathBuf};

use super::arch::Arch;
use super::image::Kind;
use crate::run;

/// What is appended to the version of what is upgraded to.
const SUFFIX: &str = "+2";

/// Both packages of one kind, in two versions.
#[derive(Debug)]
pub(super) struct Packages {
    pub(super) old: Vec<PathBuf>,
    pub(super) new: Vec<PathBuf>,
    pub(super) new_version: String,
}

/// Makes the packages for an architecture, in both versions, and says where they are.
pub(super) fn make(arch: Arch) -> Result<PathBuf, String> {
    let dir = run::target().join("packages");
    for suffix in [None, Some(SUFFIX)] {
        let mut make = run::cargo(&["xtask", "package", "--target", arch.triple()]);
        if let Some(suffix) = suffix {
            make.args(["--version-suffix", suffix]);
        }
        run::visibly(&mut make)?;
    }
    Ok(dir)
}

// === impl Packages ===

impl Packages {
    /// Those of one kind in a directory.
    pub(super) fn find(dir: &Path, kind: Kind, arch: Arch) -> Result<Self, String> {
        let version = env!("CARGO_PKG_VERSION");
        let new_version = format!("{version}{SUFFIX}");
        let of = |version: &str| {
            let path = |name: &str| dir.join(format!("{name}_{version}_{arch}.{}", kind.name()));
            let found = ["stbeacon", "gstreamer1.0-stbeacon"].map(path).to_vec();
            match found.iter().find(|path| !path.exists()) {
                Some(missing) => Err(format!("{} is not there", missing.display())),
                None => Ok(found),
            }
        };
        Ok(Self { old: of(version)?, new: of(&new_version)?, new_version })
    }
}
