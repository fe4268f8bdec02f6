//! What was looked at, and what was found.

use std::fmt::Debug;

use crate::ui;

/// Every check so far, in order.
#[derive(Debug, Default)]
pub(super) struct Checks {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    whose: String,
    what: String,
    /// What was found, or what is wrong with it.
    outcome: Result<String, String>,
}

// === impl Checks ===

impl Checks {
    /// Keeps an outcome, and shows it.
    pub(super) fn note(&mut self, whose: &str, what: &str, outcome: Result<String, String>) {
        let (mark, text) = match &outcome {
            Ok(found) => (ui::green("✓"), ui::dim(found)),
            Err(wrong) => (ui::red("✗"), wrong.clone()),
        };
        println!("  {mark} {what} {text}");
        self.rows.push(Row { whose: whose.to_owned(), what: what.to_owned(), outcome });
    }

    /// Two things that have to be the same.
    pub(super) fn equal<T: PartialEq + Debug>(&mut self, whose: &str, what: &str, expected: &T, found: &T) {
        let outcome = if expected == found {
            Ok(format!("{found:?}"))
        } else {
            Err(format!("{found:?}, not {expected:?}"))
        };
        self.note(whose, what, outcome);
    }

    /// Something that has to be so.
    pub(super) fn holds(&mut self, whose: &str, what: &str, holds: bool, otherwise: &str) {
        self.note(whose, what, if holds { Ok(String::new()) } else { Err(otherwise.to_owned()) });
    }

    /// How many were wrong.
    pub(super) fn wrong(&self) -> usize {
        self.rows.iter().filter(|row| row.outcome.is_err()).count()
    }

    /// All of them.
    pub(super) fn table(&self) {
        ui::title("Result");
        let width =
            |of: fn(&Row) -> &str| self.rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
        let (first, second) = (width(|row| &row.whose), width(|row| &row.what));
        for row in &self.rows {
            let verdict = match &row.outcome {
                Ok(found) => format!("{} {}", ui::green("passed"), ui::dim(found)),
                Err(wrong) => format!("{} {}", ui::red("failed"), wrong.lines().next().unwrap_or_default()),
            };
            println!("  {:first$}  {:second$}  {verdict}", row.whose, row.what);
        }
    }
}
