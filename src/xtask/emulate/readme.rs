//! What the README says under "Install on a box", in its own words: the boxes are set up by them, so that it stays true.

use super::arch::Arch;
use crate::run;

/// The section's text.
#[derive(Debug)]
pub(super) struct Readme {
    section: String,
}

// === impl Readme ===

impl Readme {
    pub(super) fn read() -> Result<Self, String> {
        let file = run::root().join("README.md");
        let text = std::fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        Self::of(&text)
    }

    fn of(text: &str) -> Result<Self, String> {
        let section = text.split_once("\n## Install on a box\n").map(|(_, rest)| rest);
        let section = section.ok_or("README.md has no section \"Install on a box\"")?;
        let section = section.split("\n## ").next().unwrap_or_default();
        Ok(Self { section: section.to_owned() })
    }

    /// The commands that install on the kind of box whose row of the table begins with `kind`. They are written for armhf.
    pub(super) fn install(&self, kind: &str, arch: Arch) -> Result<Vec<String>, String> {
        let row = self.section.lines().find(|line| line.starts_with(&format!("| {kind}")));
        let row = row.ok_or_else(|| format!("README.md: no table has a row {kind:?}"))?;
        let commands: Vec<_> =
            spans(row).map(|command| command.replace("armhf", &arch.to_string())).collect();
        if commands.is_empty() { Err(format!("README.md: no command in {row:?}")) } else { Ok(commands) }
    }

    /// The block of commands that has `what` in it.
    pub(super) fn block(&self, what: &str) -> Result<String, String> {
        let mut blocks = self.section.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
        let block = blocks.find(|block| block.contains(what));
        block.map(str::to_owned).ok_or_else(|| format!("README.md: no block of commands has {what:?}"))
    }

    /// The command in the text, or after a prompt, that begins with `start`.
    pub(super) fn command(&self, start: &str) -> Result<String, String> {
        let typed = self.section.lines().filter_map(|line| line.strip_prefix("$ "));
        let mut commands = spans(&self.section).chain(typed).filter(|command| command.starts_with(start));
        commands
            .next()
            .map(str::to_owned)
            .ok_or_else(|| format!("README.md: no command begins with {start:?}"))
    }
}

/// What stands between single backticks in the lines outside blocks.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    let outside = text.split("```").step_by(2);
    outside.flat_map(|part| part.split('`').skip(1).step_by(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# x\n\n## Install on a box\n\n```sh\nmake `all`\n```\n\n| Debian and others | `apt install ./a_armhf.deb` | \
         `apt install ./b_armhf.deb` |\n\n```sh\nenable this\nreload\n```\n\nor `set -a; x` so.\n\n```console\n$ doctor 1\nwell\n```\n\n## Next\n\n`set -b`\n";

    #[test]
    fn commands_are_found_where_they_stand() {
        let readme = Readme::of(TEXT).unwrap();
        let install = ["apt install ./a_arm64.deb", "apt install ./b_arm64.deb"];
        assert_eq!(readme.install("Debian", Arch::Arm64).unwrap(), install);
        assert_eq!(readme.block("enable").unwrap(), "enable this\nreload\n");
        assert_eq!(readme.command("set -").unwrap(), "set -a; x");
        assert_eq!(readme.command("doctor").unwrap(), "doctor 1");
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let readme = Readme::of(TEXT).unwrap();
        assert!(readme.install("opkg", Arch::Armhf).is_err());
        assert!(readme.block("disable").is_err() && readme.command("set -b").is_err());
        assert!(Readme::of("# x\n").is_err());
    }

    #[test]
    fn the_readme_has_what_the_boxes_are_set_up_by() {
        let readme = Readme::read().unwrap();
        for kind in ["Debian", "opkg"] {
            assert_eq!(readme.install(kind, Arch::Armhf).unwrap().len(), 2);
        }
        readme.block("stbeacon enable-tracer").unwrap();
        readme.command("set -a;").unwrap();
        readme.command("stbeacon doctor").unwrap();
    }
}
