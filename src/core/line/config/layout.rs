//! Which keys a line carries, in which order and how: what the encoder follows.

use std::num::NonZeroU32;

use super::Separators;
use crate::line::keys::{Event, Kind, Metric};

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::line) enum Source {
    /// One of the dictionary.
    Metric(Metric),
    /// One of the operator's own, by its place in [`Layout::dimensions`].
    Dimension(u8),
}

/// One of the operator's own values: key `_cd_…`, and a name of the operator's choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dimension {
    /// `_cd_` and more.
    pub key: Box<str>,
    /// Its name in the configuration; the key where it has none.
    pub name: Box<str>,
}

/// One key of a group, with all that the configuration says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::line) struct Item {
    /// What is written in front of `=`.
    pub(in crate::line) label: Box<str>,
    /// Separator, label and `=`: what stands between two values.
    pub(in crate::line) lead: Box<str>,
    pub(in crate::line) source: Source,
    /// Written in any case in place of the value.
    pub(in crate::line) constant: Option<Box<str>>,
    /// Asked where the source has nothing.
    pub(in crate::line) fallback: Option<Source>,
    /// Most characters that are written.
    pub(in crate::line) size: Option<NonZeroU32>,
    pub(in crate::line) once: bool,
    pub(in crate::line) cut: Cut,
    /// Asked before the source; the first that matches gives the value.
    pub(in crate::line) patterns: Vec<Pattern>,
}

/// How a value that is too long is made shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::line) enum Cut {
    /// Behind any character.
    Characters,
    /// Between two elements.
    Elements(char),
    /// Not at all: half a number is a wrong one.
    Not,
}

/// `<match type="pattern">`: a value told from what another one contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::line) struct Pattern {
    /// The value, where it matches.
    pub(in crate::line) result: Box<str>,
    /// What is looked at.
    pub(in crate::line) of: Source,
    /// What it has to contain one of, in lower case; none is empty.
    pub(in crate::line) needles: Vec<Box<str>>,
}

/// One line's keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::line) struct Plan {
    /// Each label once.
    pub(in crate::line) steps: Vec<Step>,
}

/// One key of a line, with what its writing takes at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::line) struct Step {
    /// [`Item::lead`] of a plain one.
    pub(in crate::line) lead: [u8; 8],
    /// In bytes.
    pub(in crate::line) lead_length: u8,
    /// The metric, where its value is all that there is to it, and the lead is short.
    pub(in crate::line) plain: Option<Metric>,
    /// Whether its value is written as it is, as long as it is of its kind.
    pub(in crate::line) figures: bool,
    /// Of the common group; those come first.
    pub(in crate::line) common: bool,
    /// Place in [`Layout::items`].
    pub(in crate::line) item: u16,
}

/// The keys of all lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::line) struct Layout {
    pub(in crate::line) separators: Separators,
    /// Most bytes of a line, at least [`super::Config::MIN_LINE`].
    pub(in crate::line) max_line: usize,
    pub(in crate::line) part_number: Box<str>,
    pub(in crate::line) total_parts: Box<str>,
    pub(in crate::line) items: Vec<Item>,
    /// By [`Event`]; `None` where the configuration has no such group: no such line is sent.
    pub(in crate::line) plans: [Option<Plan>; Event::ALL.len()],
    pub(in crate::line) dimensions: Vec<Dimension>,
}

/// The groups of a configuration as they are read, before they become plans.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) common: Option<Vec<Item>>,
    pub(super) events: [Option<Vec<Item>>; Event::ALL.len()],
}

// === impl Layout ===

impl Layout {
    pub(in crate::line) fn plan(&self, event: Event) -> Option<&Plan> {
        self.plans.get(event as usize)?.as_ref()
    }

    /// Makes plans of groups: common first, then the event's own; complete and error lines carry the playing group
    /// behind that. `rst` is part of the playing group whether it is listed or not.
    pub(super) fn lay_out(&mut self, mut groups: Groups, use_key: bool) {
        let status = Metric::RebufferStatus;
        let playing = groups.events.get_mut(Event::Playing as usize).and_then(Option::as_mut);
        if let Some(playing) = playing {
            if !groups
                .common
                .iter()
                .flatten()
                .chain(&*playing)
                .any(|item| item.source == Source::Metric(status))
            {
                playing.push(Item::plain(status, if use_key { status.key() } else { status.name() }));
            }
        }

        let common = self.keep(groups.common.unwrap_or_default());
        let events = groups.events.map(|group| group.map(|items| self.keep(items)));
        let playing = events.get(Event::Playing as usize).cloned().flatten().unwrap_or_default();
        for (event, group) in Event::ALL.into_iter().zip(events) {
            let Some(own) = group else { continue };
            let behind: &[u16] = if event.carries_playing() { &playing } else { &[] };
            let mut plan = Plan::default();
            for index in &common {
                self.add(&mut plan, *index, true);
            }
            for index in own.iter().chain(behind) {
                self.add(&mut plan, *index, false);
            }
            if let Some(place) = self.plans.get_mut(event as usize) {
                *place = Some(plan);
            }
        }
    }

    /// Adds an item unless its label is there.
    fn add(&self, plan: &mut Plan, index: u16, common: bool) {
        let Some(item) = self.items.get(usize::from(index)) else { return };
        let label = |step: &Step| self.items.get(usize::from(step.item)).map(|item| &item.label);
        if !plan.steps.iter().any(|there| label(there) == Some(&item.label)) {
            plan.steps.push(Step::new(item, index, common, &self.separators));
        }
    }

    /// Moves items to the common store; the limits on groups keep their number far below what fits.
    fn keep(&mut self, items: Vec<Item>) -> Vec<u16> {
        let first = self.items.len();
        let separator = char::from(self.separators.param());
        self.items.extend(items.into_iter().map(|item| {
            let lead = format!("{separator}{}=", item.label).into();
            Item { lead, ..item }
        }));
        (first..self.items.len()).filter_map(|index| u16::try_from(index).ok()).collect()
    }
}

// === impl Step ===

impl Step {
    fn new(item: &Item, index: u16, common: bool, separators: &Separators) -> Self {
        let mut lead = [0; 8];
        let room = lead.get_mut(..item.lead.len());
        let lead_length = room.and_then(|room| {
            room.copy_from_slice(item.lead.as_bytes());
            u8::try_from(item.lead.len()).ok()
        });
        let plain = item.plain_metric().filter(|_| lead_length.is_some());
        let figures = separators.keep_usual() && plain.is_some_and(|metric| metric.kind().is_of_figures());
        Self { lead, lead_length: lead_length.unwrap_or(0), plain, figures, common, item: index }
    }
}

// === impl Item ===

impl Item {
    /// The metric, where nothing is asked but its value and the configuration does not know that itself.
    fn plain_metric(&self) -> Option<Metric> {
        let Source::Metric(metric) = self.source else { return None };
        let asks_more = self.constant.is_some()
            || self.fallback.is_some()
            || self.size.is_some()
            || self.once
            || !self.patterns.is_empty();
        (!asks_more && !self.source.is_of_configuration()).then_some(metric)
    }

    pub(super) fn plain(metric: Metric, label: &str) -> Self {
        Self {
            label: label.into(),
            lead: Box::default(),
            source: Source::Metric(metric),
            constant: None,
            fallback: None,
            size: None,
            once: false,
            cut: Cut::of(Source::Metric(metric)),
            patterns: Vec::new(),
        }
    }
}

// === impl Source ===

impl Source {
    /// Whether the encoder knows the value, and does not ask a session for it.
    pub(in crate::line) const fn is_of_configuration(self) -> bool {
        matches!(
            self,
            Self::Metric(
                Metric::EventCode
                    | Metric::BeaconId
                    | Metric::BeaconVersion
                    | Metric::LogType
                    | Metric::LogVersion
                    | Metric::FormatVersion
                    | Metric::PartNumber
                    | Metric::TotalParts
            )
        )
    }
}

// === impl Cut ===

impl Cut {
    pub(super) const fn of(source: Source) -> Self {
        let Source::Metric(metric) = source else { return Self::Characters };
        match (metric.kind(), metric.kind().element_separator()) {
            (_, Some(separator)) => Self::Elements(separator),
            (Kind::Text | Kind::OpenCodes(_), None) => Self::Characters,
            _ => Self::Not,
        }
    }
}
