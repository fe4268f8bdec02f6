//! What an element counts itself, read where the table of elements says.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use stbeacon_core::elements::{Rule, Source};

use super::Medium;
use crate::elements;
use crate::guard::CAT;

/// The figures of one element that its row in the table names.
#[derive(Debug)]
pub(super) struct Readings {
    rule: &'static Rule,
    totals: Mutex<Totals>,
    /// It was said that a property is not what the table says.
    complained: AtomicBool,
}

/// `None` where the table does not say, or what it says cannot be read.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Totals {
    pub(super) decoded: Option<Total>,
    pub(super) rendered: Option<Total>,
    pub(super) dropped: Option<Total>,
    pub(super) failed: Option<Total>,
    pub(super) bytes: Option<Total>,
}

/// A total made to only grow: elements' own fall to zero at a flush and when they are started anew.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Total {
    base: u64,
    last: u64,
}

// === impl Readings ===

impl Readings {
    /// Of an element that has a row.
    pub(super) fn of(element: &gst::Element) -> Option<Self> {
        let rule = elements::rule(&element.factory()?.name())?;
        Some(Self { rule, totals: Mutex::default(), complained: AtomicBool::new(false) })
    }

    pub(super) const fn rule(&self) -> &'static Rule {
        self.rule
    }

    pub(super) const fn medium(&self) -> Option<Medium> {
        match self.rule.medium {
            Some(stbeacon_core::elements::Medium::Video) => Some(Medium::Video),
            Some(stbeacon_core::elements::Medium::Audio) => Some(Medium::Audio),
            None => None,
        }
    }

    /// What was read last.
    pub(super) fn totals(&self) -> Totals {
        *self.lock()
    }

    /// Reads what the table names. Calls into the element: no lock of ours may be held that it could want.
    pub(super) fn read(&self, element: &gst::Element) {
        let Rule { decoded, rendered, dropped, failed, bytes, .. } = self.rule;
        let [decoded, rendered, dropped, failed, bytes] =
            [decoded, rendered, dropped, failed, bytes].map(|source| self.value(element, source.as_ref()));
        let mut totals = self.lock();
        let news = [decoded, rendered, dropped, failed, bytes];
        for (total, new) in totals.all().into_iter().zip(news) {
            if let Some(new) = new {
                total.get_or_insert_default().update(new);
            }
        }
    }

    /// A QoS message of this element, with its totals.
    pub(super) fn qos(&self, rendered: u64, dropped: u64) {
        let mut totals = self.lock();
        if self.rule.dropped == Some(Source::Qos) {
            totals.dropped.get_or_insert_default().update(dropped);
        }
        if self.rule.rendered == Some(Source::Qos) {
            totals.rendered.get_or_insert_default().update(rendered);
        }
    }

    fn value(&self, element: &gst::Element, source: Option<&Source>) -> Option<u64> {
        let source = source?;
        let value = match source {
            Source::None => return Some(0),
            Source::Qos => return None,
            Source::Property(name) => number(element, name),
            Source::Field { property, field } => self::field(element, property, field),
        };
        if value.is_none() && !self.complained.swap(true, Ordering::Relaxed) {
            gst::warning!(
                CAT,
                obj = element,
                "has no whole number {source}, which the row {:?} of the table of elements names",
                self.rule.name
            );
        }
        value
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where `source` is, as it stands: for what is no total.
pub(crate) fn value(element: &gst::Element, source: &Source) -> Option<u64> {
    match source {
        Source::None | Source::Qos => None,
        Source::Property(name) => number(element, name),
        Source::Field { property, field } => self::field(element, property, field),
    }
}

/// A property that is a whole number of whatever size.
pub(crate) fn number(object: &impl IsA<glib::Object>, name: &str) -> Option<u64> {
    readable(object, name)?;
    whole(&object.property_value(name))
}

/// A whole number in a property that is a structure.
///
/// Trap: on some vendors' sinks `stats` is a bare pointer, and reading it as a structure crashes. The
/// property's declared type decides.
pub(super) fn field(element: &gst::Element, property: &str, field: &str) -> Option<u64> {
    let spec = readable(element, property)?;
    if spec.value_type() != gst::Structure::static_type() {
        return None;
    }
    let structure = element.property_value(property).get::<Option<gst::Structure>>().ok()??;
    whole(structure.value(field).ok()?)
}

fn readable(object: &impl IsA<glib::Object>, name: &str) -> Option<glib::ParamSpec> {
    object.find_property(name).filter(|spec| spec.flags().contains(glib::ParamFlags::READABLE))
}

fn whole(value: &glib::Value) -> Option<u64> {
    let small = || value.get::<u32>().ok().map(u64::from);
    let signed = || value.get::<i32>().ok().and_then(|n| u64::try_from(n).ok());
    let long = || value.get::<i64>().ok().and_then(|n| u64::try_from(n).ok());
    value.get::<u64>().ok().or_else(small).or_else(signed).or_else(long)
}

// === impl Totals ===

impl Totals {
    const fn all(&mut self) -> [&mut Option<Total>; 5] {
        let Self { decoded, rendered, dropped, failed, bytes } = self;
        [decoded, rendered, dropped, failed, bytes]
    }
}

// === impl Total ===

impl Total {
    pub(super) const fn update(&mut self, value: u64) {
        if value < self.last {
            self.base = self.base.saturating_add(self.last);
        }
        self.last = value;
    }

    pub(super) const fn sum(self) -> u64 {
        self.base.saturating_add(self.last)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::grows(&[1, 2, 5], 5)]
    #[case::flushed(&[5, 0, 2], 7)]
    #[case::flushed_twice(&[5, 0, 2, 0, 0, 1], 8)]
    fn totals_survive_a_flush(#[case] read: &[u64], #[case] sum: u64) {
        let mut total = Total::default();
        for &value in read {
            total.update(value);
        }
        assert_eq!(total.sum(), sum);
    }
}
