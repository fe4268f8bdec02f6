//! Every setting in force, and where it comes from, for people to read.

use std::fmt;

use super::Note;

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Such as `statistics accum_period`.
    pub(super) name: &'static str,
    /// With its unit.
    pub(super) value: String,
    /// The line of the file that says so; `None` for a default.
    pub(super) line: Option<u32>,
}

/// Shows what is in force; see [`super::Parsed::explain`].
#[derive(Debug, Clone, Copy)]
pub struct Explain<'a> {
    settings: &'a [Setting],
    notes: &'a [Note],
}

impl<'a> Explain<'a> {
    pub(super) const fn new(settings: &'a [Setting], notes: &'a [Note]) -> Self {
        Self { settings, notes }
    }
}

impl fmt::Display for Explain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.settings.iter().map(|setting| setting.name.len()).max().unwrap_or(0);
        for Setting { name, value, line } in self.settings {
            match line {
                Some(line) => write!(f, "{:<9}", format!("line {line}"))?,
                None => write!(f, "{:<9}", "default")?,
            }
            writeln!(f, "  {name:width$}  {value}")?;
        }
        for note in self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}
