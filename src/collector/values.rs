//! Which values of dimensions are told apart: so many and no more, whatever boxes call what they play.
//!
//! What comes first in an hour is told apart in it; what comes when there is no more room counts as [`OTHER`]. Each hour
//! begins anew, so that a flood of nonsense does not stand in the way of what comes later.

use std::collections::{HashMap, HashSet};

use crate::labels::{Dimension, OTHER};
use crate::time::{HOUR, UnixMs};

/// Most values of one dimension in an hour.
const MAX_OF_ONE: usize = 5_000;
/// Most values of all dimensions in an hour: what they take of memory, and rows that a minute may have.
const MAX_OF_ALL: usize = 50_000;

/// The values that are told apart.
#[derive(Debug, Default)]
pub(crate) struct Values {
    hour: u64,
    of: HashMap<Dimension, HashSet<String>>,
    all: usize,
}

// === impl Values ===

impl Values {
    /// Under which value it counts what comes at `now`.
    pub(crate) fn told_apart<'v>(&mut self, dimension: &Dimension, value: &'v str, now: UnixMs) -> &'v str {
        if *dimension == Dimension::All {
            return value;
        }
        if self.hour != now.0 / HOUR {
            *self = Self { hour: now.0 / HOUR, ..Self::default() };
        }
        let known = self.of.get(dimension);
        if known.is_some_and(|known| known.contains(value)) {
            return value;
        }
        if self.all >= MAX_OF_ALL || known.is_some_and(|known| known.len() >= MAX_OF_ONE) {
            return OTHER;
        }
        self.of.entry(dimension.clone()).or_default().insert(value.to_owned());
        self.all += 1;
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::labels::Known;

    #[test]
    fn so_many_an_hour_and_no_more() {
        let mut values = Values::default();
        let asset = Dimension::Known(Known::Asset);
        let told = |values: &mut Values, dimension: &Dimension, number: usize, hour: u64| {
            let value = number.to_string();
            values.told_apart(dimension, &value, UnixMs(hour * HOUR)) == value
        };
        assert_eq!((0..6_000).filter(|number| told(&mut values, &asset, *number, 1)).count(), MAX_OF_ONE);
        assert!(told(&mut values, &asset, 17, 1) && !told(&mut values, &asset, 5_999, 1));
        for own in 0..20 {
            let own = Dimension::Own(own.to_string());
            (0..MAX_OF_ONE).for_each(|number| _ = told(&mut values, &own, number, 1));
        }
        assert_eq!(values.of.values().map(HashSet::len).sum::<usize>(), MAX_OF_ALL);
        assert_eq!(values.told_apart(&Dimension::All, "", UnixMs(HOUR)), "");
        assert!(told(&mut values, &asset, 5_999, 2), "another hour");
        assert_eq!(values.all, 1);
    }
}
