//! The groups of keys that lines are made of, and what is said of each key.

use roxmltree::{Attribute, Node};

use super::super::classes::Holds;
use super::super::layout::{Groups, Pattern};
use super::super::{Config, Cut, Dimension, Item, RateClass, RateClasses, Source};
use super::Reader;
use super::values::{attribute, attribute_text};
use crate::line::keys::{Event, Metric};

/// What the keys of custom dimensions begin with.
const DIMENSION: &str = "_cd_";
/// Whether it is what the encoder writes itself into each part of a line; listed in a group, it writes nothing.
const fn is_number(source: Source) -> bool {
    matches!(source, Source::Metric(Metric::PartNumber | Metric::TotalParts))
}

// === impl Reader ===

impl<'d> Reader<'d> {
    pub(super) fn groups(&mut self, statistics: Option<Node<'d, 'd>>) -> Groups {
        let mut groups = Groups::default();
        let Some(statistics) = statistics else { return groups };
        self.find_dimensions(statistics);
        for node in statistics.children().filter(Node::is_element) {
            let name = node.tag_name().name();
            if name == "split" {
                continue;
            }
            let place = if name == "common" {
                Some(&mut groups.common)
            } else {
                self.event(node).and_then(|event| groups.events.get_mut(event as usize))
            };
            match place {
                Some(Some(_)) => {
                    self.note(
                        node.range().start,
                        format!("a further <{name}> is skipped; the first is in force"),
                    );
                }
                Some(place) => *place = Some(self.items(node)),
                None => {}
            }
        }
        groups
    }

    /// The event of a group: what its `eventCode` says, else what its element is called.
    fn event(&mut self, node: Node<'d, 'd>) -> Option<Event> {
        let name = node.tag_name().name();
        if let Some((at, code)) = attribute(node, "eventCode") {
            let event = Event::from_code(code);
            if event.is_none() {
                let message = format!("eventCode={code:?} is none of I S P C E V H F; <{name}> is skipped");
                self.note(at.range_value().start, message);
            }
            return event;
        }
        let event = Event::ALL.into_iter().find(|event| event.element().eq_ignore_ascii_case(name));
        if event.is_none() {
            self.note(node.range().start, format!("<{name}> has no eventCode and is skipped"));
        }
        event
    }

    /// Custom dimensions may be named by others before they are listed themselves.
    fn find_dimensions(&mut self, statistics: Node<'d, 'd>) {
        for node in statistics.descendants().filter(|node| node.has_tag_name("data")) {
            let Some((key_at, key)) = attribute(node, "key").filter(|(_, key)| key.starts_with(DIMENSION))
            else {
                continue;
            };
            if !is_name(key) || self.dimensions.iter().any(|there| &*there.key == key) {
                continue;
            }
            if self.dimensions.len() == Config::MAX_DIMENSIONS {
                let message = format!("{key}: over {} custom dimensions; skipped", Config::MAX_DIMENSIONS);
                self.note(key_at.range_value().start, message);
                continue;
            }
            let name =
                attribute(node, "name").map(|(_, name)| name).filter(|name| is_name(name)).unwrap_or(key);
            self.dimensions.push(Dimension { key: key.into(), name: name.into() });
        }
    }

    fn items(&mut self, group: Node<'d, 'd>) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::new();
        let lists = group.children().filter(|node| node.has_tag_name("dataMetrics"));
        for data in lists.flat_map(|list| list.children()).filter(|node| node.has_tag_name("data")) {
            let Some(item) = self.item(data) else { continue };
            if items.iter().any(|there| there.label == item.label) {
                let message = format!(
                    "{} is listed twice in <{}>; the first is in force",
                    item.label,
                    group.tag_name().name()
                );
                self.note(data.range().start, message);
            } else if self.numbers.contains(&item.label) && !is_number(item.source) {
                let message = format!("{} is a number of <split>, and no other key; skipped", item.label);
                self.note(data.range().start, message);
            } else if items.len() == Config::MAX_GROUP {
                self.note(
                    data.range().start,
                    format!("over {} keys; the rest is skipped", Config::MAX_GROUP),
                );
                break;
            } else {
                items.push(item);
            }
        }
        items
    }

    fn item(&mut self, data: Node<'d, 'd>) -> Option<Item> {
        let key = attribute(data, "key");
        let name = attribute(data, "name");
        let source = self.source_of(data, key, name)?;
        let (own_key, own_name) = self.names(source);
        let (own_key, own_name) = (own_key.to_owned(), own_name.to_owned());
        let label = match (self.use_key, key) {
            (true, Some((_, key))) if is_name(key) => key.to_owned(),
            (true, Some((at, key))) => {
                let message = format!("key={key:?} can be no key; {own_key} is used");
                self.note(at.range_value().start, message);
                own_key
            }
            (true, None) => own_key,
            (false, _) => {
                name.map(|(_, name)| name).filter(|name| is_name(name)).map_or(own_name, str::to_owned)
            }
        };
        let constant = attribute_text(data, "value").map(|(_, value)| value.into());
        let fallback = attribute(data, "fallback").and_then(|(at, name)| self.named(at, name, "fallback"));
        let size = self.size(data);
        let once = self.switch(data, "sendOnce", false);
        let patterns = self.rules(data, source);
        let is_logged = self.switch(data, "doLog", true);
        let (label, cut) = (label.into(), Cut::of(source));
        is_logged.then(|| Item {
            label,
            lead: Box::default(),
            source,
            constant,
            fallback,
            size,
            once,
            cut,
            patterns,
        })
    }

    fn source_of(
        &mut self,
        data: Node<'d, 'd>,
        key: Option<(Attribute<'d, 'd>, &'d str)>,
        name: Option<(Attribute<'d, 'd>, &'d str)>,
    ) -> Option<Source> {
        if let Some((at, key)) = key.filter(|(_, key)| key.starts_with(DIMENSION)) {
            let dimension = self.dimensions.iter().position(|there| &*there.key == key);
            if dimension.is_none() && !is_name(key) {
                self.note(at.range_value().start, format!("key={key:?} can be no key; skipped"));
            }
            return dimension.and_then(|place| u8::try_from(place).ok()).map(Source::Dimension);
        }
        match (name, key) {
            (Some((at, name)), _) => {
                let metric = Metric::from_name(name);
                if metric.is_none() {
                    self.note(at.range_value().start, format!("name={name:?} is not known; skipped"));
                }
                metric.map(Source::Metric)
            }
            (None, Some((at, key))) => {
                let metric = Metric::from_key(key);
                if metric.is_none() {
                    let message = format!("key={key:?} is not known, and there is no name; skipped");
                    self.note(at.range_value().start, message);
                }
                metric.map(Source::Metric)
            }
            (None, None) => {
                self.note(data.range().start, "<data> without name; skipped".to_owned());
                None
            }
        }
    }

    /// What another attribute names: a metric, or a custom dimension by its name or key.
    fn named(&mut self, at: Attribute<'d, 'd>, name: &str, what: &str) -> Option<Source> {
        let dimension =
            || self.dimensions.iter().position(|there| &*there.name == name || &*there.key == name);
        let source = Metric::from_name(name)
            .map(Source::Metric)
            .or_else(|| dimension().and_then(|place| u8::try_from(place).ok()).map(Source::Dimension));
        if source.is_none() {
            self.note(at.range_value().start, format!("{what}={name:?} is not known; ignored"));
        }
        source
    }

    fn size(&mut self, data: Node<'d, 'd>) -> Option<std::num::NonZeroU32> {
        let (at, text) = attribute(data, "size")?;
        let size = text.parse().ok();
        if size.is_none() {
            let message = format!("size={text:?} is ignored, expected a number of characters from 1");
            self.note(at.range_value().start, message);
        }
        size
    }

    /// `<matchRules>`: patterns for any metric, ranges for the classes of bit rates.
    fn rules(&mut self, data: Node<'d, 'd>, source: Source) -> Vec<Pattern> {
        let mut patterns = Vec::new();
        let mut classes: Vec<RateClass> = Vec::new();
        let lists = data.children().filter(|node| node.has_tag_name("matchRules"));
        for rule in lists.flat_map(|list| list.children()).filter(|node| node.has_tag_name("match")) {
            match attribute(rule, "type").map(|(_, kind)| kind) {
                Some("pattern") => patterns.extend(self.pattern(rule)),
                Some("range") if source == Source::Metric(Metric::BitRateBucketTimes) => {
                    let class = self.class(rule);
                    classes.extend(
                        class.filter(|class| !classes.iter().any(|there| there.key() == class.key())),
                    );
                }
                Some("range") => {
                    let message = "a range means something for bitRateBucketTimes alone; ignored".to_owned();
                    self.note(rule.range().start, message);
                }
                _ => {
                    let message =
                        "<match> is ignored, expected type=\"pattern\" or type=\"range\"".to_owned();
                    self.note(rule.range().start, message);
                }
            }
        }
        if !classes.is_empty() {
            self.classes.get_or_insert(RateClasses::new(classes));
        }
        patterns
    }

    /// One pattern; `None`, without a note, for one that is left blank, as generated files have it.
    fn pattern(&mut self, rule: Node<'d, 'd>) -> Option<Pattern> {
        let (_, result) = attribute(rule, "key")?;
        let (_, needles) = attribute(rule, "value")?;
        let Some((at, name)) = attribute(rule, "name") else {
            self.note(rule.range().start, "<match> without name is ignored".to_owned());
            return None;
        };
        let of = self.named(at, name, "name")?;
        let needles = needles.split(',').map(str::trim).filter(|needle| !needle.is_empty());
        let needles = needles.map(|needle| needle.to_lowercase().into()).collect();
        Some(Pattern { result: result.into(), of, needles })
    }

    fn class(&mut self, rule: Node<'d, 'd>) -> Option<RateClass> {
        let Some((_, key)) = attribute(rule, "key").filter(|(_, key)| !key.contains([':', ','])) else {
            let message = "a range is ignored, expected key=\"CLASS\" without : and ,".to_owned();
            self.note(rule.range().start, message);
            return None;
        };
        let value = rule.attribute("value").unwrap_or_default();
        let Some(holds) = Holds::read(value) else {
            let at = rule.attribute_node("value").map_or(rule.range().start, |at| at.range_value().start);
            let message =
                format!("value={value:?} is ignored, expected min:KBIT;max:KBIT with min below max");
            self.note(at, message);
            return None;
        };
        Some(RateClass::new(key, holds))
    }

    fn names(&self, source: Source) -> (&str, &str) {
        match source {
            Source::Metric(metric) => (metric.key(), metric.name()),
            Source::Dimension(place) => {
                self.dimensions.get(usize::from(place)).map_or(("", ""), |it| (&*it.key, &*it.name))
            }
        }
    }

    fn split_label(&self, split: Option<Node<'d, 'd>>, metric: Metric) -> Box<str> {
        let data = split.into_iter().flat_map(|node| node.descendants()).find(|node| {
            node.has_tag_name("data")
                && attribute(*node, "name").is_some_and(|(_, name)| Metric::from_name(name) == Some(metric))
        });
        let named = |name| {
            data.and_then(|data| attribute(data, name)).map(|(_, text)| text).filter(|text| is_name(text))
        };
        let label = if self.use_key { named("key").unwrap_or(metric.key()) } else { metric.name() };
        label.into()
    }

    /// What the number of a part and that of all parts are called: two names that no other key of a part has.
    pub(super) fn split_labels(&mut self, split: Option<Node<'d, 'd>>) -> [Box<str>; 2] {
        let metrics = [Metric::PartNumber, Metric::TotalParts];
        let labels = metrics.map(|metric| self.split_label(split, metric));
        let [part, total] = &labels;
        if part != total {
            return labels;
        }
        let message = format!("{part} is the number of a part and that of all parts; za and zb are used");
        self.note(split.map_or(0, |node| node.range().start), message);
        metrics.map(|metric| metric.key().into())
    }
}

/// What can stand in front of `=` without being escaped.
fn is_name(text: &str) -> bool {
    (1..=Config::MAX_NAME).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}
