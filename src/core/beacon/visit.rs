//! Visits: all that is played over one connection, until it is left alone for long enough.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::attempt::Attempt;
use crate::line::config::Config;
use crate::time::Millis;

/// How many titles of a visit are told apart.
const MAX_TITLES: usize = 1000;

#[derive(Debug)]
pub(super) struct Visit {
    pub(super) config: Arc<Config>,
    /// `k`
    pub(super) id: String,
    pub(super) began: Millis,
    /// When nothing was left running.
    pub(super) idle: Option<Millis>,
    pub(super) sums: Sums,
    titles: BTreeSet<String>,
    /// Time played in each class of bit rates, in ms.
    classes: Vec<u64>,
}

/// Of the attempts that are over; times in ms.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) attempts: u64,
    pub(super) plays: u64,
    pub(super) views: u64,
    pub(super) errors: u64,
    pub(super) startup_errors: u64,
    pub(super) play: u64,
    pub(super) covered: u64,
    pub(super) rebuffers: u64,
    pub(super) rebuffering: u64,
    pub(super) ads: u64,
    pub(super) abandoned_ads: u64,
    pub(super) ad_play: u64,
}

impl Visit {
    pub(super) fn new(config: Arc<Config>, id: String, began: Millis) -> Self {
        let classes = vec![0; config.rate_classes.len()];
        Self { config, id, began, idle: Some(began), sums: Sums::default(), titles: BTreeSet::new(), classes }
    }

    pub(super) fn due(&self) -> Option<Millis> {
        self.idle.map(|idle| idle + self.config.visit_timeout)
    }

    /// Another attempt begins; says whether it is the first.
    pub(super) fn attempt(&mut self) -> bool {
        self.idle = None;
        self.sums.attempts = self.sums.attempts.saturating_add(1);
        self.sums.attempts == 1
    }

    /// An attempt has had its last line.
    pub(super) fn end(&mut self, attempt: &Attempt, failed: bool) {
        let figures = &attempt.figures;
        let started = attempt.started.is_some();
        let title = attempt.story.asset.title.as_ref().or(attempt.story.tags.title.as_ref());
        if let Some(title) = title {
            if self.titles.len() < MAX_TITLES {
                self.titles.insert(title.clone());
            }
        }
        let sums = &mut self.sums;
        for (sum, add) in [
            (&mut sums.plays, u64::from(started)),
            (&mut sums.views, u64::from(figures.is_view())),
            (&mut sums.errors, u64::from(failed)),
            (&mut sums.startup_errors, u64::from(failed && !started)),
            (&mut sums.play, figures.total.play),
            (&mut sums.covered, figures.covered().0),
            (&mut sums.rebuffers, figures.total.rebuffers),
            (&mut sums.rebuffering, figures.total.rebuffering),
            (&mut sums.ads, figures.ads.total.count),
            (&mut sums.abandoned_ads, figures.ads.total.abandoned),
            (&mut sums.ad_play, figures.ads.total.play),
        ] {
            *sum = sum.saturating_add(add);
        }
        for (sum, played) in self.classes.iter_mut().zip(figures.stints.class_totals()) {
            *sum = sum.saturating_add(*played);
        }
    }

    pub(super) fn titles(&self) -> u64 {
        self.titles.len().try_into().unwrap_or(u64::MAX)
    }

    /// The class of bit rates that was played longest; nothing where nothing was played.
    pub(super) fn longest_class(&self) -> &str {
        let played = self.config.rate_classes.keys().zip(&self.classes).filter(|(_, ms)| **ms > 0);
        played.max_by_key(|(_, ms)| **ms).map_or("", |(key, _)| key)
    }
}
