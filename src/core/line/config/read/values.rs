//! Single values: in attributes, and in elements of their own.

use std::ops::RangeInclusive;

use roxmltree::{Attribute, Node};

use super::super::{Bounded, Config, LogType, Separators};
use super::Reader;
use crate::time::Millis;

// === impl Reader ===

impl<'d> Reader<'d> {
    pub(super) fn separators(&mut self, log_to: Option<Node<'d, 'd>>) -> Separators {
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

    pub(super) fn max_line(&mut self, log_to: Option<Node<'d, 'd>>) -> usize {
        let as_number = |size: usize| u64::try_from(size).unwrap_or(u64::MAX);
        let range = as_number(Config::MIN_LINE)..=as_number(Config::MAX_LINE);
        let default = as_number(Config::DEFAULT_LINE);
        let limit =
            self.number_of(log_to, Bounded { name: "maxLogLineLength", range, default, unit: "bytes" });
        usize::try_from(limit).unwrap_or(Config::DEFAULT_LINE)
    }

    pub(super) fn log_type(&mut self, log_to: Option<Node<'d, 'd>>) -> LogType {
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

    pub(super) fn period(&mut self, node: Option<Node<'d, 'd>>, number: Bounded) -> Millis {
        Millis::from_secs(self.number_of(node, number))
    }

    /// A number in an attribute.
    pub(super) fn number_of(&mut self, node: Option<Node<'d, 'd>>, number: Bounded) -> u64 {
        let given = node.and_then(|node| attribute(node, number.name));
        self.bounded(given.map(|(at, text)| (at.range_value().start, text)), number)
    }

    /// A number in an element.
    pub(super) fn number_in(&mut self, node: Option<Node<'d, 'd>>, number: Bounded) -> u64 {
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

    pub(super) fn switch(&mut self, node: Node<'d, 'd>, name: &str, default: bool) -> bool {
        let given = attribute(node, name).map(|(at, text)| (at.range_value().start, text));
        self.switched(given, name, default)
    }

    pub(super) fn switch_text(&mut self, node: Node<'d, 'd>, name: &str, default: bool) -> bool {
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
}

const fn bounds(range: &RangeInclusive<u64>) -> (&u64, &u64) {
    (range.start(), range.end())
}

pub(super) fn child<'d>(parent: Node<'d, 'd>, name: &str) -> Option<Node<'d, 'd>> {
    parent.children().find(|child| child.is_element() && child.tag_name().name() == name)
}

/// The text of a child element without surrounding space, and where it stands; `None` where there is none.
pub(super) fn text<'d>(parent: Node<'d, 'd>, name: &str) -> Option<(usize, &'d str)> {
    let node = child(parent, name)?;
    let content = node.text()?.trim();
    (!content.is_empty()).then_some((node.range().start, content))
}

/// An attribute without surrounding space; `None` where it is empty.
pub(super) fn attribute<'d>(node: Node<'d, 'd>, name: &str) -> Option<(Attribute<'d, 'd>, &'d str)> {
    let at = node.attribute_node(name)?;
    let value = at.value().trim();
    (!value.is_empty()).then_some((at, value))
}

/// An attribute as it is; `None` where it is empty.
pub(super) fn attribute_text<'d>(node: Node<'d, 'd>, name: &str) -> Option<(Attribute<'d, 'd>, &'d str)> {
    let at = node.attribute_node(name)?;
    (!at.value().is_empty()).then_some((at, at.value()))
}
