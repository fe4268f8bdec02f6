//! From the XML tree to [`Config`].

use std::ops::RangeInclusive;

use roxmltree::{Attribute, Document, Node, TextPos};

use super::classes::Holds;
use super::layout::{Groups, Pattern};
use super::{
    Bounded, Config, Cut, Dimension, Item, Layout, LogType, Parsed, RateClass, RateClasses, Separators,
    Source, address,
};
use crate::line::keys::{Event, Metric};
use crate::provisioning::{Note, ParseError};
use crate::time::Millis;

/// What the keys of custom dimensions begin with.
const DIMENSION: &str = "_cd_";
/// A day, in seconds.
const DAY: u64 = 86_400;

/// Whether it is what the encoder writes itself into each part of a line; listed in a group, it writes nothing.
const fn is_number(source: Source) -> bool {
    matches!(source, Source::Metric(Metric::PartNumber | Metric::TotalParts))
}

/// Reads one document.
pub(super) struct Reader<'d> {
    document: &'d Document<'d>,
    notes: Vec<Note>,
    use_key: bool,
    dimensions: Vec<Dimension>,
    classes: Option<RateClasses>,
    /// What the numbers of a part and of all parts are called.
    numbers: [Box<str>; 2],
}

// === impl Reader ===

impl<'d> Reader<'d> {
    pub(super) fn new(document: &'d Document<'d>) -> Self {
        Self {
            document,
            notes: Vec::new(),
            use_key: true,
            dimensions: Vec::new(),
            classes: None,
            numbers: [Metric::PartNumber.key().into(), Metric::TotalParts.key().into()],
        }
    }

    pub(super) fn config(mut self) -> Result<Parsed, ParseError> {
        let root = self.document.root_element();
        if root.tag_name().name() != Config::ROOT {
            let found = format!("the root element is <{}>", root.tag_name().name());
            let remedy = format!("expected <{}>: this is no configuration of lines", Config::ROOT);
            return Err(self.error(root.range().start, &found, &remedy));
        }
        let is_active = self.switch_text(root, "isActive", true);
        let log_to = child(root, "logTo");
        let buckets = child(root, "bucketInfo");
        let statistics = child(root, "statistics");

        self.use_key = statistics.is_none_or(|node| self.switch(node, "useKey", true));
        let split = statistics.and_then(|node| child(node, "split"));
        self.numbers = self.split_labels(split);
        let [part_number, total_parts] = self.numbers.clone();
        let mut layout = Layout {
            separators: self.separators(log_to),
            max_line: self.max_line(log_to),
            part_number,
            total_parts,
            items: Vec::new(),
            plans: [const { None }; Event::ALL.len()],
            dimensions: Vec::new(),
        };
        let groups = self.groups(statistics);
        let has_keys = groups.events.iter().flatten().next().is_some();
        if is_active && !has_keys {
            let at = statistics.map_or(root.range().start, |node| node.range().start);
            let remedy = "expected <statistics> with <init>, <playStart>, <playing>, <complete> and <error>, \
                or <isActive>0</isActive> to turn lines off";
            return Err(self.error(at, "the file lists no keys for any line", remedy));
        }
        layout.lay_out(groups, self.use_key);
        layout.dimensions = std::mem::take(&mut self.dimensions);

        let host = log_to.and_then(|node| text(node, "host")).map(|(_, host)| host.to_owned());
        let path = log_to.and_then(|node| text(node, "path")).map_or("/9.gif", |(_, path)| path).to_owned();
        let target = host.as_deref().map(|host| address(host, &path)).transpose().map_err(|error| {
            let at = log_to.and_then(|node| child(node, "host")).map_or(0, |node| node.range().start);
            self.error(
                at,
                &format!("host and path make no address that can be used: {error}"),
                "expected a host, with or without http:// or https://, and a path without ? and #",
            )
        })?;

        let string = |node: Option<Node<'d, 'd>>, name| {
            node.and_then(|node| text(node, name)).map_or("", |(_, text)| text).to_owned()
        };
        let seconds = |name, default, range| Bounded { name, range, default, unit: "seconds" };
        let config = Config {
            beacon_id: string(Some(root), "beaconId"),
            beacon_version: string(Some(root), "beaconVersion"),
            is_active,
            log_version: string(log_to, "logVersion"),
            format_version: string(log_to, "formatVersion"),
            log_type: self.log_type(log_to),
            log_interval: self.period(log_to, seconds("logInterval", 300, 1..=DAY)),
            secondary_log_time: self.period(log_to, seconds("secondaryLogTime", 5, 1..=DAY)),
            heartbeat_interval: self.period(log_to, seconds("heartBeatInterval", 60, 1..=DAY)),
            visit_timeout: Millis::from_secs(
                60 * self.number_of(
                    log_to,
                    Bounded { name: "visitTimeout", range: 1..=7 * 24 * 60, default: 60, unit: "minutes" },
                ),
            ),
            rebuffer_limit: Millis(self.number_of(
                log_to,
                Bounded {
                    name: "isSessionWithRebufferLimit",
                    range: 0..=3_600_000,
                    default: 500,
                    unit: "ms",
                },
            )),
            startup_limit: self.period(log_to, seconds("startupTimeOutlierLimit", 600, 1..=DAY)),
            rebuffer_outlier: self.period(log_to, seconds("rebufferDurationOutlier", 600, 1..=DAY)),
            bucket_count: u32::try_from(self.number_in(
                buckets,
                Bounded { name: "bucketCount", range: 1..=1000, default: 20, unit: "parts" },
            ))
            .unwrap_or(20),
            bucket_length: Millis::from_secs(self.number_in(buckets, seconds("bucketLength", 900, 1..=DAY))),
            rate_classes: self.classes.take().unwrap_or_default(),
            host,
            path,
            target,
            layout,
        };
        Ok(Parsed { config, notes: self.notes })
    }

    // What follows reads the groups.

    fn groups(&mut self, statistics: Option<Node<'d, 'd>>) -> Groups {
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
    fn split_labels(&mut self, split: Option<Node<'d, 'd>>) -> [Box<str>; 2] {
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

    // What follows reads single values.

    fn separators(&mut self, log_to: Option<Node<'d, 'd>>) -> Separators {
        let default = Separators::default();
        let Some(log_to) = log_to else { return default };
        let given = |name| log_to.attribute_node(name).filter(|at| !at.value().is_empty());
        let (param, stand_in) = (given("urlParamSeparator"), given("encodedParamSeparator"));
        let Some(at) = param.or(stand_in) else { return default };
        let made = Separators::new(
            param.map_or("~", |at| at.value()),
            stand_in.map_or(default.stand_in(), |at| at.value()),
        );
        made.unwrap_or_else(|error| {
            let message = format!(
                "urlParamSeparator and encodedParamSeparator are ignored: {error}; ~ and *@* are used"
            );
            self.note(at.range_value().start, message);
            default
        })
    }

    fn max_line(&mut self, log_to: Option<Node<'d, 'd>>) -> usize {
        let as_number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let range = as_number(Config::MIN_LINE)..=as_number(Config::MAX_LINE);
        let default = as_number(Config::DEFAULT_LINE);
        let limit =
            self.number_of(log_to, Bounded { name: "maxLogLineLength", range, default, unit: "bytes" });
        usize::try_from(limit).unwrap_or(Config::DEFAULT_LINE)
    }

    fn log_type(&mut self, log_to: Option<Node<'d, 'd>>) -> LogType {
        let Some((at, text)) = log_to.and_then(|node| attribute(node, "logType")) else {
            return LogType::default();
        };
        match text.to_ascii_lowercase().as_str() {
            "relative" | "r" => LogType::Relative,
            "cumulative" | "c" => LogType::Cumulative,
            _ => {
                let message =
                    format!("logType={text:?} is ignored, expected relative or cumulative; relative is used");
                self.note(at.range_value().start, message);
                LogType::default()
            }
        }
    }

    fn period(&mut self, node: Option<Node<'d, 'd>>, number: Bounded) -> Millis {
        Millis::from_secs(self.number_of(node, number))
    }

    /// A number in an attribute.
    fn number_of(&mut self, node: Option<Node<'d, 'd>>, number: Bounded) -> u64 {
        let given = node.and_then(|node| attribute(node, number.name));
        self.bounded(given.map(|(at, text)| (at.range_value().start, text)), number)
    }

    /// A number in an element.
    fn number_in(&mut self, node: Option<Node<'d, 'd>>, number: Bounded) -> u64 {
        self.bounded(node.and_then(|node| text(node, number.name)), number)
    }

    fn bounded(&mut self, given: Option<(usize, &'d str)>, number: Bounded) -> u64 {
        let Bounded { name, range, default, unit } = number;
        let Some((at, text)) = given else { return default };
        let read = text.parse().ok().filter(|number| range.contains(number));
        read.unwrap_or_else(|| {
            let (least, most): (&u64, &u64) = bounds(&range);
            let message =
                format!("{name}={text:?} is ignored, expected {least} to {most} {unit}; {default} is used");
            self.note(at, message);
            default
        })
    }

    fn switch(&mut self, node: Node<'d, 'd>, name: &str, default: bool) -> bool {
        let given = attribute(node, name).map(|(at, text)| (at.range_value().start, text));
        self.switched(given, name, default)
    }

    fn switch_text(&mut self, node: Node<'d, 'd>, name: &str, default: bool) -> bool {
        self.switched(text(node, name), name, default)
    }

    fn switched(&mut self, given: Option<(usize, &'d str)>, name: &str, default: bool) -> bool {
        let Some((at, text)) = given else { return default };
        match text.to_ascii_lowercase().as_str() {
            "1" | "true" | "yes" | "on" => true,
            "0" | "false" | "no" | "off" => false,
            _ => {
                let message =
                    format!("{name}={text:?} is ignored, expected 1 or 0; {} is used", u8::from(default));
                self.note(at, message);
                default
            }
        }
    }

    fn note(&mut self, at: usize, message: String) {
        let TextPos { row, col } = self.document.text_pos_at(at);
        self.notes.push(Note { line: row, column: col, message });
    }

    fn error(&self, at: usize, found: &str, remedy: &str) -> ParseError {
        let TextPos { row, col } = self.document.text_pos_at(at);
        ParseError { line: row, column: col, found: found.to_owned(), remedy: remedy.to_owned() }
    }
}

const fn bounds(range: &RangeInclusive<u64>) -> (&u64, &u64) {
    (range.start(), range.end())
}

/// What can stand in front of `=` without being escaped.
fn is_name(text: &str) -> bool {
    (1..=Config::MAX_NAME).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn child<'d>(parent: Node<'d, 'd>, name: &str) -> Option<Node<'d, 'd>> {
    parent.children().find(|child| child.is_element() && child.tag_name().name() == name)
}

/// The text of a child element without surrounding space, and where it stands; `None` where there is none.
fn text<'d>(parent: Node<'d, 'd>, name: &str) -> Option<(usize, &'d str)> {
    let node = child(parent, name)?;
    let content = node.text()?.trim();
    (!content.is_empty()).then_some((node.range().start, content))
}

/// An attribute without surrounding space; `None` where it is empty.
fn attribute<'d>(node: Node<'d, 'd>, name: &str) -> Option<(Attribute<'d, 'd>, &'d str)> {
    let at = node.attribute_node(name)?;
    let value = at.value().trim();
    (!value.is_empty()).then_some((at, value))
}

/// An attribute as it is; `None` where it is empty.
fn attribute_text<'d>(node: Node<'d, 'd>, name: &str) -> Option<(Attribute<'d, 'd>, &'d str)> {
    let at = node.attribute_node(name)?;
    (!at.value().is_empty()).then_some((at, at.value()))
}
