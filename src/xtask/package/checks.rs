//! What must be true of what goes on a box.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::Package;
use crate::cross::{self, Built, GLIBC, GSTREAMER, Target};
use crate::{run, ui};

/// The maintainer scripts are free of what is known to go wrong, in the shells that run them.
pub(super) fn scripts(dir: &Path, names: &[&str]) -> Result<(), String> {
    ui::step("shellcheck and busybox's shell on the maintainer scripts", || {
        for name in names {
            let file = dir.join(name);
            let sh = run::command("busybox").args(["sh", "-n"]).arg(&file).status();
            if !sh.is_ok_and(|status| status.success()) {
                return Err(format!("busybox's shell cannot read {}", file.display()));
            }
            // Not every script uses all that they share (2034, 2317); a script of a package never stops half-way.
            let args = ["--shell=dash", "--exclude=SC2034,SC2317"];
            run::quietly(run::command("shellcheck").args(args).arg(&file))?;
        }
        Ok(())
    })
}

/// Neither program needs a newer glibc or GStreamer than [`GLIBC`] and [`GSTREAMER`].
pub(super) fn symbols(target: &Target, built: &Built) -> Result<(), String> {
    for program in [&built.daemon, &built.tracer] {
        let (version, symbol) = glibc(program)?;
        if numbers(&version) > numbers(GLIBC) {
            return Err(format!("{}: {symbol} is not in glibc {GLIBC}", program.display()));
        }
    }
    let symbols = cross::gstreamer_symbols(target)?;
    let since = versions_of(&symbols);
    let needed = undefined(&built.tracer)?;
    let ours = needed.iter().filter(|symbol| symbol.starts_with("gst_") || symbol.starts_with("_gst_"));
    let mut newest = (vec![0], "");
    for symbol in ours {
        let version = since.get(symbol.as_str()).ok_or_else(|| format!("{symbol} is in no GStreamer"))?;
        newest = newest.max((numbers(version), symbol));
    }
    let (version, symbol) = newest;
    let text: Vec<_> = version.iter().map(u32::to_string).collect();
    println!("  {}: GStreamer {} ({symbol})", built.tracer.display(), text.join("."));
    let most = vec![GSTREAMER.0, GSTREAMER.1];
    if version.get(..2).unwrap_or(&version) > most.as_slice() {
        return Err(format!(
            "{}: {symbol} came after GStreamer {}.{}",
            built.tracer.display(),
            GSTREAMER.0,
            GSTREAMER.1
        ));
    }
    Ok(())
}

/// The glibc that a program needs, and what it needs it for.
pub(super) fn glibc(program: &Path) -> Result<(String, String), String> {
    let needed = undefined(program)?;
    let versions = needed.iter().filter_map(|symbol| symbol.split_once("@GLIBC_"));
    let newest = versions.max_by_key(|(_, version)| numbers(version));
    let (symbol, version) =
        newest.ok_or_else(|| format!("{}: needs nothing of glibc?", program.display()))?;
    println!("  {}: glibc {version} ({symbol})", program.display());
    Ok((version.to_owned(), symbol.to_owned()))
}

/// What a program or library asks of others, with the version where it names one: `malloc@GLIBC_2.4`.
fn undefined(program: &Path) -> Result<BTreeSet<String>, String> {
    let table = run::told(Command::new("readelf").args(["--dyn-syms", "--wide"]).arg(program))?;
    let mut needed = BTreeSet::new();
    for line in table.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        // Number, value, size, type, binding, visibility, section, name, and "(3)" for the version's number.
        if let [_, _, _, _, binding, _, "UND", name, ..] = words[..] {
            // What is weak is asked for, and done without.
            if binding == "GLOBAL" {
                needed.insert(name.to_owned());
            }
        }
    }
    Ok(needed)
}

/// A symbols file of dpkg's: ` gst_init@Base 1.0.0`.
fn versions_of(symbols: &str) -> BTreeMap<&str, &str> {
    let lines = symbols.lines().filter_map(|line| line.strip_prefix(' '));
    lines
        .filter_map(|line| {
            let (symbol, version) = line.split_once(' ')?;
            Some((symbol.split('@').next()?, version.split(' ').next()?))
        })
        .collect()
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

/// Debian's own check of the .deb packages: nothing but what packaging/lintian says and gives reasons for.
pub(super) fn lintian(packages: &[Package]) -> Result<(), String> {
    let debs: Vec<_> =
        packages.iter().filter(|package| package.format == "deb").map(|package| &package.file).collect();
    ui::step("lintian", || {
        let args = ["--fail-on=error,warning", "--tag-display-limit=0", "--allow-root"];
        run::quietly(run::command("lintian").args(args).args(debs))
    })
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    /// In the line before it.
    #[test]
    fn every_override_has_a_reason() {
        for name in super::super::PACKAGES.into_iter().chain(["stbeacon-collector"]) {
            let text = read(&run::root().join("packaging/lintian").join(name)).unwrap_or_default();
            let lines: Vec<_> = text.lines().collect();
            for (at, line) in lines.iter().enumerate().filter(|(_, line)| !line.starts_with('#')) {
                let before = at.checked_sub(1).and_then(|at| lines.get(at));
                assert!(before.is_some_and(|line| line.starts_with("# ")), "{name}: {line}");
            }
        }
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(
            numbers("2.4") < numbers("2.17")
                && numbers("1.18.0") < numbers("1.20")
                && numbers("2") < numbers("2.0")
        );
    }

    #[test]
    fn a_symbols_file_is_read() {
        let text = "libgstreamer-1.0.so.0 libgstreamer1.0-0 #MINVER#\n* Build-Depends-Package: x\n gst_init@Base 1.0.0\n";
        assert_eq!(versions_of(text), BTreeMap::from([("gst_init", "1.0.0")]));
    }
}
