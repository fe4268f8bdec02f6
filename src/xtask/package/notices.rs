//! What the licences of the crates that are linked in ask for: their texts, beside the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::{cross, run};

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: String,
    /// None where it is our own.
    source: Option<String>,
}

/// Every crate that is linked into a package for a box, with its licence, then the text of each licence once.
pub(super) fn of(package: &str) -> Result<String, String> {
    let mut linked = BTreeSet::new();
    for target in &cross::TARGETS {
        let tree =
            ["tree", "--locked", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"];
        let tree = run::told(run::cargo(&tree).args(["--package", package, "--target", target.triple]))?;
        // "name v1.2.3", and " (*)" after what was listed before.
        linked.extend(tree.lines().filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
        }));
    }
    let metadata = run::told(&mut run::cargo(&["metadata", "--locked", "--format-version", "1"]))?;
    let metadata: Metadata = serde_json::from_str(&metadata).map_err(|e| format!("cargo metadata: {e}"))?;
    let of_others = metadata.packages.iter().filter(|package| package.source.is_some());

    let mut list = String::from(
        "The Rust crates that are linked into this program, and their licences; the texts follow.\n\
         Rust's standard library is linked in, too: MIT or Apache-2.0.\n\n",
    );
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in
        of_others.filter(|package| linked.contains(&(package.name.clone(), package.version.clone())))
    {
        let license = package.license.as_deref().unwrap_or("see its licence file");
        list.push_str(&format!("{} {}: {license}\n", package.name, package.version));
        for text in licence_files(Path::new(&package.manifest_path))? {
            texts.entry(text).or_default().push(package.name.clone());
        }
    }
    for (text, names) in texts {
        list.push_str(&format!("\n{}\n{}:\n\n{}\n", "-".repeat(78), names.join(", "), text.trim_end()));
    }
    Ok(list)
}

/// The texts that lie beside a crate's manifest, without those of the licences that every system has a copy of and that
/// is offered as an alternative anyway.
fn licence_files(manifest: &Path) -> Result<Vec<String>, String> {
    let dir = manifest.parent().unwrap_or(manifest);
    let entries = std::fs::read_dir(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    let mut files: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.sort();
    let licences = files.iter().filter(|file| {
        let name = file.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        ["LICEN", "COPYING", "NOTICE", "COPYRIGHT"].iter().any(|start| name.starts_with(start))
            && file.is_file()
    });
    let texts: Result<Vec<_>, _> =
        licences.map(|file| std::fs::read(file).map_err(|e| format!("{}: {e}", file.display()))).collect();
    Ok(texts?
        .into_iter()
        .map(|text| String::from_utf8_lossy(&text).replace('\r', "").trim().to_owned())
        .collect())
}
