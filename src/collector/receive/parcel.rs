//! What came, as it came: so that it can be put aside and read later.

use std::net::IpAddr;

use axum::body::Bytes;
use serde::{Deserialize, Serialize};
use stbeacon_core::stb::{Report, receive_batch};

use super::home::subnet;
use crate::book::Message;
use crate::session::{beat, line, report};

/// A request that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) from: IpAddr,
    pub(crate) kind: Kind,
    /// The body, or a line's text.
    pub(crate) body: Bytes,
}

/// What it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Line,
    Beat,
    /// Of that box.
    Reports(String),
}

// === impl Parcel ===

impl Parcel {
    /// Reads it. It was read before it was put aside: what is of no use was refused then.
    pub(crate) fn messages(&self) -> Vec<Message> {
        let (from, subnet) = (self.from.to_string(), subnet(self.from));
        match &self.kind {
            Kind::Line => {
                let text = String::from_utf8_lossy(&self.body);
                let line = line::Received::read(&text, &from, &subnet).ok();
                line.map(|line| Message::Line(Box::new(line))).into_iter().collect()
            }
            Kind::Beat => {
                let beat = beat::Received::read(&self.body, &from, &subnet).ok();
                beat.map(|beat| Message::Beat(Box::new(beat))).into_iter().collect()
            }
            Kind::Reports(device) => receive_batch(&self.body).map_or_else(
                |_| Vec::new(),
                |batch| batch.reports.into_iter().map(|report| message(report, device, &subnet)).collect(),
            ),
        }
    }
}

/// What a report is to the book.
pub(super) fn message(report: Report, device: &str, subnet: &str) -> Message {
    match report {
        Report::Network(report) => Message::Network { device: device.to_owned(), report: Box::new(report) },
        Report::Media(report) => Message::Media(Box::new(report::Received {
            device: device.to_owned(),
            subnet: subnet.to_owned(),
            report,
        })),
    }
}
