//! Samples: as they are while they are few, and then as a DDSketch.

use std::fmt;

use sketches_ddsketch::{Config, DDSketch};

use super::Unreadable;

/// Most samples that are kept as they are.
const FEW: usize = 16;

/// Samples of one kind.
#[derive(Clone, Default)]
pub(crate) struct Samples {
    /// In order; empty where there are many.
    few: Vec<u32>,
    many: Option<Box<DDSketch>>,
}

// === impl Samples ===

impl Samples {
    pub(super) fn add(&mut self, value: u32, count: u32) {
        let all = self.few.len().saturating_add(usize::try_from(count).unwrap_or(usize::MAX));
        if self.many.is_none() && all <= FEW {
            let place = self.few.partition_point(|known| *known <= value);
            self.few.splice(place..place, (0..count).map(|_| value));
        } else {
            self.as_many().add_with_count(value.into(), count.into());
        }
    }

    pub(super) fn merge(&mut self, other: &Self) {
        other.few.iter().for_each(|value| self.add(*value, 1));
        if let Some(other) = &other.many {
            // All are made with the same settings, so they always merge.
            self.as_many().merge(other).unwrap_or_default();
        }
    }

    /// The same, no list any more.
    fn as_many(&mut self) -> &mut DDSketch {
        let few = std::mem::take(&mut self.few);
        let many = self.many.get_or_insert_with(|| Box::new(DDSketch::new(Config::defaults())));
        few.into_iter().for_each(|value| many.add(value.into()));
        many
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.many.as_ref().map_or(self.few.len(), |many| many.count()) as u64
    }

    /// The sample that a part of all, from 0 to 1, is not above: that of rank ⌊part × (count − 1)⌋, from 0. `None` where
    /// there is none.
    pub(crate) fn quantile(&self, part: f64) -> Option<f64> {
        let part = part.clamp(0.0, 1.0);
        if let Some(many) = &self.many {
            let value = many.quantile(part).ok().flatten()?;
            // It may be a little beyond what has gone in.
            return Some(value.clamp(many.min()?, many.max()?));
        }
        let last = self.few.len().checked_sub(1)?;
        let rank = usize::try_from(whole(part * last as f64)).unwrap_or(last);
        self.few.get(rank).copied().map(f64::from)
    }

    /// What part of them lies in each stretch between these borders, in per cent; the first one begins at 0, the last one
    /// does not end. A sample on a border lies above it.
    pub(crate) fn shares(&self, borders: &[u32]) -> Vec<f64> {
        let count = self.count();
        let below = borders.iter().map(|border| self.below(*border)).chain([count]);
        let mut before = 0;
        below
            .map(|below| {
                let here = below.saturating_sub(std::mem::replace(&mut before, below));
                if count == 0 { 0.0 } else { here as f64 * 100.0 / count as f64 }
            })
            .collect()
    }

    /// How many are below.
    fn below(&self, limit: u32) -> u64 {
        if self.many.is_none() {
            return self.few.partition_point(|value| *value < limit) as u64;
        }
        // The sketch tells the sample of a rank, so the rank is looked for.
        let (mut first, mut behind) = (0, self.count());
        while first < behind {
            let middle = first + (behind - first) / 2;
            if self.at(middle) < f64::from(limit) { first = middle + 1 } else { behind = middle }
        }
        first
    }

    /// The sample of a rank, from 0.
    fn at(&self, rank: u64) -> f64 {
        let last = self.count().saturating_sub(1);
        // Half a rank more, so that no rounding makes it the one before.
        let part = if rank >= last { 1.0 } else { (rank as f64 + 0.5) / last as f64 };
        self.quantile(part).unwrap_or_default()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        match &self.many {
            Some(many) => many.to_java_bytes(),
            None => self.few.iter().flat_map(|value| value.to_le_bytes()).collect(),
        }
    }

    /// Whether it is no list any more.
    pub(super) const fn is_many(&self) -> bool {
        self.many.is_some()
    }

    /// Takes all of another one, from what [`Samples::encode`] has given.
    pub(super) fn merge_encoded(&mut self, is_many: bool, bytes: &[u8]) -> Result<(), Unreadable> {
        if is_many {
            let many = DDSketch::from_java_bytes(bytes).map_err(|_| Unreadable("it is no DDSketch"))?;
            if self.count() == 0 {
                self.many = Some(Box::new(many));
            } else {
                self.as_many().merge(&many).unwrap_or_default();
            }
            return Ok(());
        }
        bytes.chunks(4).try_for_each(|value| {
            let value = value.try_into().map_err(|_| Unreadable("it is no list of samples"))?;
            self.add(u32::from_le_bytes(value), 1);
            Ok(())
        })
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Samples").field("few", &self.few).field("count", &self.count()).finish()
    }
}

/// Without what is behind the point.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "what does not fit stays at the end"
)]
pub(super) fn whole(value: f64) -> u64 {
    value as u64
}
