//! The parts of a split line, put together again.

use thiserror::Error;

use super::{Line, Meaning};
use crate::line::keys::Metric;

/// Why parts do not make a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JoinError {
    /// There are none.
    #[error("there are no parts")]
    NoParts,
    /// A line that does not say which part it is.
    #[error("line {0} is no part: za and zb are missing or make no sense")]
    NotAPart(usize),
    /// Parts of lines that were split differently.
    #[error("one part says that there are {0}, another {1}")]
    Totals(u32, u32),
    /// The same part more than once.
    #[error("part {0} is there a second time")]
    Twice(u32),
    /// A part that is not there.
    #[error("part {0} of {1} is missing")]
    Missing(u32, u32),
    /// A key that is in several parts has several values.
    #[error("{0} differs between the parts: they are of different lines")]
    Differs(String),
}

/// Puts parts together, in whatever order they came: the line as it was before it was split.
///
/// # Errors
/// Where they are not all the parts of one line.
pub fn join<'a>(parts: &[Line<'a>]) -> Result<Line<'a>, JoinError> {
    let mut ordered = Vec::with_capacity(parts.len());
    for (index, line) in parts.iter().enumerate() {
        ordered.push((line.part().ok_or(JoinError::NotAPart(index))?, line));
    }
    ordered.sort_by_key(|((part, _), _)| *part);
    let Some(((_, total), first)) = ordered.first().copied() else { return Err(JoinError::NoParts) };

    let mut whole = Line { address: first.address, fields: Vec::new(), separator: first.separator };
    let mut expected = 1;
    for ((part, of), line) in &ordered {
        if *of != total {
            return Err(JoinError::Totals(total, *of));
        }
        if *part < expected {
            return Err(JoinError::Twice(*part));
        }
        if *part > expected {
            return Err(JoinError::Missing(expected, total));
        }
        expected += 1;
        for field in &line.fields {
            if matches!(field.meaning, Meaning::Metric(Metric::PartNumber | Metric::TotalParts)) {
                continue;
            }
            match whole.fields.iter().find(|there| there.is_same(field)) {
                None => whole.fields.push(field.clone()),
                Some(there) if there.raw == field.raw => {}
                Some(_) => return Err(JoinError::Differs(field.key.to_owned())),
            }
        }
    }
    if expected <= total { Err(JoinError::Missing(expected, total)) } else { Ok(whole) }
}
