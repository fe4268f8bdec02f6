//! What is to be added to the sums and sketches of a store: gathered in memory over as many messages as are written at once.
//!
//! Values of dimensions are numbered, so that adding to a sum compares no text.

use std::collections::{BTreeMap, HashMap};

use crate::figures::Figures;
use crate::filters::FilterId;
use crate::labels::{Dimension, Known};
use crate::sketch::{Sample, Sketches};
use crate::time::Minute;

/// Most samples that wait until those of one place are added together.
const MAX_SAMPLES: usize = 250_000;

/// Where figures are added up: of which dimension, of which value of it, in which minute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) filter: FilterId,
    pub(crate) dimension: Dimension,
    pub(crate) minute: Minute,
    pub(crate) value: String,
}

/// The values of a dimension.
type Numbers = HashMap<String, Series>;

/// The sums.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Of all sessions together, and of the dimensions that every session has.
    known: [Numbers; Known::ALL.len() + 1],
    /// Of operators' own dimensions, by name.
    own: HashMap<String, Numbers>,
    /// The cells of each series, in order.
    cells: Vec<Vec<(FilterId, Minute, Cell)>>,
    /// Of each cell.
    sums: Vec<Figures>,
    /// As they have come: of which cell, and a hash of the session's device.
    samples: Vec<(Cell, Sample, u64)>,
    sketches: HashMap<Cell, Sketches>,
}

/// A value of a dimension, until the tally is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Series(usize);

/// A place, likewise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Cell(usize);

// === impl Tally ===

impl Tally {
    /// A value of a dimension, where it has come since the tally was last taken.
    pub(crate) fn known(&self, dimension: &Dimension, value: &str) -> Option<Series> {
        let values = match dimension {
            Dimension::All => self.known.first(),
            Dimension::Known(known) => self.known.get(place(*known)),
            Dimension::Own(name) => self.own.get(name),
        };
        values?.get(value).copied()
    }

    /// A value of a dimension.
    pub(crate) fn series(&mut self, dimension: &Dimension, value: &str) -> Series {
        if let Some(series) = self.known(dimension, value) {
            return series;
        }
        let series = Series(self.cells.len());
        self.cells.push(Vec::new());
        let values = match dimension {
            Dimension::All => self.known.first_mut(),
            Dimension::Known(known) => self.known.get_mut(place(*known)),
            Dimension::Own(name) => Some(self.own.entry(name.clone()).or_default()),
        };
        if let Some(values) = values {
            values.insert(value.to_owned(), series);
        }
        series
    }

    /// A place.
    pub(crate) fn cell(&mut self, filter: FilterId, Series(series): Series, minute: Minute) -> Cell {
        let new = Cell(self.sums.len());
        let Some(cells) = self.cells.get_mut(series) else { return new };
        match cells.binary_search_by_key(&(filter, minute), |(filter, minute, _)| (*filter, *minute)) {
            Ok(found) => cells.get(found).map_or(new, |(_, _, cell)| *cell),
            Err(place) => {
                cells.insert(place, (filter, minute, new));
                self.sums.push(Figures::default());
                new
            }
        }
    }

    /// Adds to a sum.
    pub(crate) fn add(&mut self, Cell(cell): Cell, figures: &Figures) {
        if let Some(sum) = self.sums.get_mut(cell) {
            *sum += *figures;
        }
    }

    /// Adds a sample of the session of a device that has this hash.
    pub(crate) fn sample(&mut self, cell: Cell, sample: Sample, device: u64) {
        self.samples.push((cell, sample, device));
        if self.samples.len() >= MAX_SAMPLES {
            self.gather();
        }
    }

    /// All of it, in the order of places.
    pub(crate) fn take(&mut self) -> (BTreeMap<Place, Figures>, BTreeMap<Place, Sketches>) {
        self.gather();
        let Self { known, own, cells, sums, mut sketches, .. } = std::mem::take(self);
        let dimensions = std::iter::once(Dimension::All).chain(Known::ALL.map(Dimension::Known));
        let own = own.into_iter().map(|(name, values)| (Dimension::Own(name), values));
        // Put in order at once: each by itself would move others again and again.
        let (mut all_sums, mut all_sketches) = (Vec::with_capacity(sums.len()), Vec::new());
        for (dimension, values) in dimensions.zip(known).chain(own) {
            for (value, Series(series)) in values {
                for (filter, minute, cell) in cells.get(series).into_iter().flatten() {
                    let place = Place {
                        filter: *filter,
                        dimension: dimension.clone(),
                        minute: *minute,
                        value: value.clone(),
                    };
                    if let Some(sketches) = sketches.remove(cell) {
                        all_sketches.push((place.clone(), sketches));
                    }
                    // Sums of nothing, too: they say where sketches are.
                    if let Some(figures) = sums.get(cell.0) {
                        all_sums.push((place, *figures));
                    }
                }
            }
        }
        (all_sums.into_iter().collect(), all_sketches.into_iter().collect())
    }

    /// Adds samples to their sketches, those of a place together: a sketch is much memory, and is fetched once.
    fn gather(&mut self) {
        self.samples.sort_by_key(|(cell, ..)| *cell);
        for samples in self.samples.chunk_by(|(one, ..), (other, ..)| one == other) {
            let Some((cell, ..)) = samples.first() else { continue };
            let sketches = self.sketches.entry(*cell).or_default();
            samples.iter().for_each(|(_, sample, device)| sketches.add_hashed(*sample, *device));
        }
        self.samples.clear();
    }
}

/// Where the values of a dimension are: behind those of all sessions together.
const fn place(known: Known) -> usize {
    known as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::ALL_TRAFFIC;
    use crate::sketch::device_hash;

    #[test]
    fn dimensions_are_in_their_places() {
        assert!(Known::ALL.into_iter().map(place).eq(1..=Known::ALL.len()));
    }

    #[test]
    fn what_is_added_is_taken_once() {
        let mut tally = Tally::default();
        let (filter, asset) = (ALL_TRAFFIC.0, Dimension::Known(Known::Asset));
        let other = Dimension::Own("x".to_owned());
        for (dimension, value, minute) in
            [(&asset, "a", 1), (&other, "a", 1), (&asset, "b", 1), (&asset, "a", 1)]
        {
            let series = tally.series(dimension, value);
            let figures = Figures { attempts: 1, ..Figures::default() };
            let cell = tally.cell(filter, series, Minute(minute));
            tally.add(cell, &figures);
        }
        let series = tally.series(&asset, "a");
        let cell = tally.cell(filter, series, Minute(2));
        tally.sample(cell, Sample::Device, device_hash("box"));
        tally.sample(cell, Sample::Device, device_hash("box"));
        let (sums, sketches) = tally.take();
        let told: Vec<_> =
            sums.iter().map(|(place, sum)| (&place.dimension, place.value.as_str(), sum.attempts)).collect();
        assert_eq!(told, [(&asset, "a", 2), (&asset, "b", 1), (&asset, "a", 0), (&other, "a", 1)]);
        let (place, sketches) = sketches.into_iter().next().unwrap();
        assert_eq!((place.minute, place.value.as_str(), sketches.devices()), (Minute(2), "a", 1));
        let (sums, sketches) = tally.take();
        assert!(sums.is_empty() && sketches.is_empty());
    }
}
