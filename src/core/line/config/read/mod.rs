//! From the XML tree to [`Config`].

mod groups;
mod values;

use roxmltree::{Document, Node, TextPos};

use self::values::{child, text};
use super::{Bounded, Config, Dimension, Layout, Parsed, RateClasses, address};
use crate::line::keys::{Event, Metric};
use crate::provisioning::{Note, ParseError};
use crate::time::Millis;

/// A day, in seconds.
const DAY: u64 = 86_400;

/// Reads one document.
pub(in crate::line::config) struct Reader<'d> {
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
    pub(in crate::line::config) fn new(document: &'d Document<'d>) -> Self {
        Self {
            document,
            notes: Vec::new(),
            use_key: true,
            dimensions: Vec::new(),
            classes: None,
            numbers: [Metric::PartNumber.key().into(), Metric::TotalParts.key().into()],
        }
    }

    pub(in crate::line::config) fn config(mut self) -> Result<Parsed, ParseError> {
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

    fn note(&mut self, at: usize, message: String) {
        let TextPos { row, col } = self.document.text_pos_at(at);
        self.notes.push(Note { line: row, column: col, message });
    }

    fn error(&self, at: usize, found: &str, remedy: &str) -> ParseError {
        let TextPos { row, col } = self.document.text_pos_at(at);
        ParseError { line: row, column: col, found: found.to_owned(), remedy: remedy.to_owned() }
    }
}
