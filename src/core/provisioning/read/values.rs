//! Single values of the document: each read, or noted and replaced by its default, and remembered for the explanation.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use roxmltree::{Attribute, Node, TextPos};

use super::{Reader, parse_error};
use crate::provisioning::explain::Setting;
use crate::provisioning::{HttpUrl, Note, ParseError};
use crate::time::Millis;

/// The longest period that is taken for one, in seconds: a year.
pub(super) const MAX_SECS: u64 = 366 * 24 * 3600;

impl<'d> Reader<'d> {
    /// The first child element of that name; further ones are noted.
    pub(super) fn child(&mut self, parent: Node<'d, 'd>, name: &str) -> Option<Node<'d, 'd>> {
        let mut found =
            parent.children().filter(|child| child.is_element() && child.tag_name().name() == name);
        let first = found.next();
        for further in found {
            self.note(
                further.range().start,
                &format!("a further <{name}> is ignored; the first is in force"),
            );
        }
        first
    }

    /// Notes what else the element holds, most likely misspelt.
    pub(super) fn only(&mut self, node: Node<'d, 'd>, attributes: &[&str], children: &[&str]) {
        let element = node.tag_name().name();
        for attribute in node.attributes().filter(|a| !attributes.contains(&a.name())) {
            let message =
                format!("attribute {:?} of <{element}> is not known and is ignored", attribute.name());
            self.note(attribute.range().start, &message);
        }
        for child in node.children().filter(Node::is_element) {
            let name = child.tag_name().name();
            if !children.contains(&name) {
                self.note(
                    child.range().start,
                    &format!("<{name}> in <{element}> is not known and is ignored"),
                );
            }
        }
    }

    pub(super) fn period(
        &mut self,
        name: &'static str,
        node: Option<Node<'d, 'd>>,
        attribute: &str,
        default: Millis,
    ) -> Millis {
        let secs = default.0 / 1000;
        let read = self.seconds(node, attribute, 1..=MAX_SECS, &format!("{} are used", seconds(secs)));
        let (secs, line) = read.map_or((secs, None), |(secs, line)| (secs, Some(line)));
        self.set(name, seconds(secs), line);
        Millis::from_secs(secs)
    }

    pub(super) fn bytes(
        &mut self,
        name: &'static str,
        node: Option<Node<'d, 'd>>,
        attribute: &str,
        default: u64,
    ) -> u64 {
        let instead = format!("{default} bytes are used");
        let read = self.number(node, attribute, 0..=u64::MAX, "a number of bytes", &instead);
        let (bytes, line) = read.map_or((default, None), |(bytes, line)| (bytes, Some(line)));
        self.set(name, format!("{bytes} bytes"), line);
        bytes
    }

    pub(super) fn switch(&mut self, name: &'static str, node: Option<Node<'d, 'd>>, attribute: &str) -> bool {
        let given = node.and_then(|node| value(node, attribute));
        let read = given.and_then(|(at, text)| {
            let on = match text.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => true,
                "false" | "0" | "no" | "off" => false,
                _ => {
                    let message =
                        format!("{attribute}={text:?} is ignored, expected true or false; false is used");
                    self.note(at.range_value().start, &message);
                    return None;
                }
            };
            Some((on, self.line_of(at)))
        });
        let on = read.is_some_and(|(on, _)| on);
        self.set(name, on.to_string(), read.map(|(_, line)| line));
        on
    }

    pub(super) fn path(
        &mut self,
        name: &'static str,
        node: Option<Node<'d, 'd>>,
        attribute: &'static str,
        default: &str,
    ) -> Result<Option<PathBuf>, ParseError> {
        let Some((at, path)) = node.and_then(|node| value(node, attribute)) else {
            self.set(name, default.to_owned(), None);
            return Ok(None);
        };
        let path = self.absolute(attribute, at, path)?;
        self.set(name, path.display().to_string(), Some(self.line_of(at)));
        Ok(Some(path))
    }

    /// A text that has no default; explained only where it is given.
    pub(super) fn text(&mut self, name: &'static str, node: Node<'d, 'd>, attribute: &str) -> Option<String> {
        let (at, text) = value(node, attribute)?;
        self.set(name, text.to_owned(), Some(self.line_of(at)));
        Some(text.to_owned())
    }

    pub(super) fn absolute(
        &self,
        what: &str,
        at: Attribute<'d, 'd>,
        path: &str,
    ) -> Result<PathBuf, ParseError> {
        if path.starts_with('/') && !path.contains(char::is_control) {
            return Ok(PathBuf::from(path));
        }
        // Not shown: somebody may have put the secret itself here.
        let found = format!("{what} is not an absolute path");
        Err(self.error_of(at, &found, "expected the path of a file, beginning with /"))
    }

    pub(super) fn url(
        &mut self,
        name: &'static str,
        at: Attribute<'d, 'd>,
        text: &str,
    ) -> Result<HttpUrl, ParseError> {
        let url = HttpUrl::parse(text).map_err(|error| {
            let found = format!("{name} is no URL that can be used: {error}");
            self.error_of(at, &found, "expected http://HOST/PATH or https://HOST/PATH")
        })?;
        self.set(name, url.to_string(), Some(self.line_of(at)));
        Ok(url)
    }

    pub(super) fn seconds(
        &mut self,
        node: Option<Node<'d, 'd>>,
        attribute: &str,
        range: RangeInclusive<u64>,
        instead: &str,
    ) -> Option<(u64, u32)> {
        let what = format!("a whole number of seconds from {} to {}", range.start(), range.end());
        self.number(node, attribute, range, &what, instead)
    }

    /// A number and its line; a text that is none is noted.
    pub(super) fn number(
        &mut self,
        node: Option<Node<'d, 'd>>,
        attribute: &str,
        range: RangeInclusive<u64>,
        what: &str,
        instead: &str,
    ) -> Option<(u64, u32)> {
        let (at, text) = value(node?, attribute)?;
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let message = format!("{attribute}={text:?} is ignored, expected {what}; {instead}");
            self.note(at.range_value().start, &message);
        }
        Some((number?, self.line_of(at)))
    }

    pub(super) fn set(&mut self, name: &'static str, value: String, line: Option<u32>) {
        self.settings.push(Setting { name, value, line });
    }

    pub(super) fn note(&mut self, at: usize, message: &str) {
        let TextPos { row, col } = self.document.text_pos_at(at);
        self.notes.push(Note { line: row, column: col, message: message.to_owned() });
    }

    pub(super) fn line(&self, node: Node<'d, 'd>) -> u32 {
        self.document.text_pos_at(node.range().start).row
    }

    pub(super) fn line_of(&self, attribute: Attribute<'d, 'd>) -> u32 {
        self.document.text_pos_at(attribute.range().start).row
    }

    pub(super) fn error_at(&self, node: Node<'d, 'd>, found: &str, remedy: &str) -> ParseError {
        parse_error(self.document.text_pos_at(node.range().start), found, remedy)
    }

    pub(super) fn error_of(&self, attribute: Attribute<'d, 'd>, found: &str, remedy: &str) -> ParseError {
        parse_error(self.document.text_pos_at(attribute.range_value().start), found, remedy)
    }
}

/// The value of an attribute without surrounding space; `None` where it is empty.
pub(super) fn value<'d>(node: Node<'d, 'd>, name: &str) -> Option<(Attribute<'d, 'd>, &'d str)> {
    let attribute = node.attribute_node(name)?;
    let value = attribute.value().trim();
    (!value.is_empty()).then_some((attribute, value))
}

pub(super) fn seconds(secs: impl Display) -> String {
    format!("{secs} s")
}
