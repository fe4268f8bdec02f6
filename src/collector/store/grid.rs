//! Sums in steps of time, put together from those of minutes.

use std::collections::HashMap;

use super::Cell;
use crate::figures::Figures;
use crate::time::Minute;

/// Adds up rows that come in the order of their minutes, and in a minute in that of their values.
#[derive(Debug)]
pub(super) struct Grid {
    /// In minutes.
    step: u64,
    /// Rows of the same minute and value are one: their samples of what runs add up.
    last: Option<(Minute, Figures)>,
    /// The last row's value.
    value: String,
    /// The step of the last row.
    at: u64,
    running: HashMap<String, Figures>,
    cells: Vec<Cell>,
}

// === impl Grid ===

impl Grid {
    /// Steps of so many minutes, counted from 1970.
    pub(super) fn new(step: u64) -> Self {
        let (value, running) = (String::new(), HashMap::new());
        Self { step: step.max(1), last: None, value, at: 0, running, cells: Vec::new() }
    }

    pub(super) fn add(&mut self, minute: Minute, value: &str, figures: &Figures) {
        match &mut self.last {
            Some((last, sum)) if *last == minute && self.value == value => return *sum += *figures,
            _ => self.close_minute(),
        }
        self.value.clear();
        self.value.push_str(value);
        self.last = Some((minute, *figures));
    }

    /// What there is: by step, and in a step by value.
    pub(super) fn cells(mut self) -> Vec<Cell> {
        self.close_minute();
        self.close_step();
        self.cells
    }

    fn close_minute(&mut self) {
        let Some((Minute(minute), figures)) = self.last.take() else { return };
        let at = minute / self.step;
        if at != self.at {
            self.close_step();
            self.at = at;
        }
        // Samples of several minutes do not add up; the largest of them is told.
        match self.running.get_mut(&self.value) {
            Some(sum) => sum.follow(&figures),
            None => _ = self.running.insert(self.value.clone(), figures),
        }
    }

    fn close_step(&mut self) {
        let at = Minute(self.at.saturating_mul(self.step));
        let mut step: Vec<_> = self.running.drain().collect();
        step.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.cells.extend(step.into_iter().map(|(value, figures)| Cell { at, value, figures }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(attempts: i64, running: i64) -> Figures {
        Figures { attempts, running: [running; 6], ..Figures::default() }
    }

    #[test]
    fn sums_add_up_and_samples_only_within_a_minute() {
        let mut grid = Grid::new(60);
        for (minute, value, attempts, running) in [
            (60, "a", 1, 5),
            (60, "a", 10, 2),
            (60, "b", 100, 1),
            (119, "a", 1, 3),
            (120, "a", 2, 1),
            (300, "a", i64::MAX, 0),
            (301, "a", 1, 9),
        ] {
            grid.add(Minute(minute), value, &of(attempts, running));
        }
        let told: Vec<_> = grid
            .cells()
            .into_iter()
            .map(|Cell { at, value, figures }| (at.0, value, figures.attempts, figures.concurrent_plays()))
            .collect();
        let cell = |at, value: &str, attempts, running| (at, value.to_owned(), attempts, running);
        assert_eq!(
            told,
            [cell(60, "a", 12, 7), cell(60, "b", 100, 1), cell(120, "a", 2, 1), cell(300, "a", i64::MAX, 9)]
        );
        assert!(Grid::new(1).cells().is_empty());
    }
}
