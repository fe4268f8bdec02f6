//! How big what goes on a box may be.

use serde::Deserialize;

use super::{Package, read};
use crate::cross::{Built, Target};
use crate::{run, ui};

/// One line of `packaging/sizes.json`.
#[derive(Debug, Deserialize)]
struct Budget {
    /// Rust's name of the target.
    target: String,
    /// `daemon`, `tracer`, or a package with its format, such as `stbeacon.deb`.
    what: String,
    /// In bytes.
    most: u64,
    /// Why it is this much and not less.
    why: String,
}

/// How big something is.
pub(super) struct Measured {
    target: &'static str,
    what: String,
    bytes: u64,
}

pub(super) fn measure(target: &Target, built: &Built, packages: &[Package]) -> Result<Vec<Measured>, String> {
    let programs = [("daemon".to_owned(), &built.daemon), ("tracer".to_owned(), &built.tracer)];
    let packages =
        packages.iter().map(|package| (format!("{}.{}", package.name, package.format), &package.file));
    programs
        .into_iter()
        .chain(packages)
        .map(|(what, file)| {
            let bytes = std::fs::metadata(file).map_err(|e| format!("{}: {e}", file.display()))?.len();
            Ok(Measured { target: target.triple, what, bytes })
        })
        .collect()
}

/// Prints them beside what they may be. Where a target has budgets, whatever has none is as wrong as what is over one; a
/// target that has none at all is measured alone.
pub(super) fn check(measured: &[Measured]) -> Result<(), String> {
    let text = read(&run::root().join("packaging/sizes.json"))?;
    let budgets: Vec<Budget> =
        serde_json::from_str(&text).map_err(|e| format!("packaging/sizes.json: {e}"))?;
    let mut over = Vec::new();
    for Measured { target, what, bytes } in measured {
        let budget = budgets.iter().find(|budget| budget.target == *target && budget.what == *what);
        let held = budgets.iter().any(|budget| budget.target == *target);
        let within = !held || budget.is_some_and(|budget| *bytes <= budget.most);
        let shown = format!("{bytes:>9}");
        let (most, why) =
            budget.map_or(("none".to_owned(), ""), |budget| (budget.most.to_string(), &budget.why));
        let shown = if within { ui::green(&shown) } else { ui::red(&shown) };
        println!("  {target:30} {what:26} {shown} of {most:>9}  {}", ui::dim(why));
        if !within {
            over.push(format!("{what} for {target}: {bytes} of {most}"));
        }
    }
    if over.is_empty() {
        Ok(())
    } else {
        Err(format!("bigger than packaging/sizes.json allows: {}", over.join("; ")))
    }
}
