//! The configuration of lines: what an operator's beacon file says, as types that cannot hold nonsense.
//!
//! ```xml
//! <AkamaiPlayerAnalyticsConfig>
//!   <beaconId>0123456789abcdef0</beaconId><beaconVersion>1.1</beaconVersion><isActive>1</isActive>
//!   <logTo logInterval="300" secondaryLogTime="5" logType="relative" maxLogLineLength="2048"
//!          urlParamSeparator="~" encodedParamSeparator="*@*" heartBeatInterval="60" visitTimeout="60"
//!          isSessionWithRebufferLimit="500" startupTimeOutlierLimit="600" rebufferDurationOutlier="600">
//!     <host>https://ma.example.net</host><path>/9.gif</path>
//!     <logVersion>1.2</logVersion><formatVersion>1.1</formatVersion>
//!   </logTo>
//!   <bucketInfo><bucketCount>20</bucketCount><bucketLength>900</bucketLength></bucketInfo>
//!   <statistics useKey="1">
//!     <common><dataMetrics>
//!       <data key="a" name="eventCode"/>
//!       <data key="cm" name="cdn"><matchRules>
//!         <match key="ExampleCDN" name="hostName" type="pattern" value=".cdn-a.example,.cdn-b.example"/>
//!       </matchRules></data>
//!       <data key="_cd_1000" name="site" size="20"/>
//!     </dataMetrics></common>
//!     <playing eventCode="P"><dataMetrics>
//!       <data key="dv" name="isView" sendOnce="1"/>
//!     </dataMetrics></playing>
//!   </statistics>
//! </AkamaiPlayerAnalyticsConfig>
//! ```
//!
//! | attribute of `<data>` | meaning |
//! |---|---|
//! | `name` | which metric; a custom dimension (key `_cd_…`) may have any name |
//! | `key` | what is written in front of `=`, with `useKey="1"`; the metric's own where it is missing |
//! | `value` | written in place of the metric's value |
//! | `fallback` | the metric whose value is written where this one has none |
//! | `size` | most characters of the value |
//! | `sendOnce="1"` | once in a session |
//! | `doLog="0"` | not written; other keys may still fall back on it or match it |
//!
//! `<match type="pattern">` are asked first to last, before the metric itself: `key` is written where the metric
//! `name` contains one of the comma-separated texts of `value`, whatever their case. `<match type="range">` name the
//! classes of bit rates of `bitRateBucketTimes`: `min:` inclusive and `max:` exclusive in kbit/s, nothing for any rate.
//!
//! What makes no sense is left out or replaced by its default, and a [`Note`] says so. A file without keys, or with
//! a host that no request can be sent to, is refused as a whole, so that the last good one stays in force.

mod builtin;
mod classes;
mod layout;
mod read;
mod separators;

use std::ops::RangeInclusive;

use roxmltree::{Document, ParsingOptions};

pub use self::builtin::builtin_text;
pub use self::classes::{RateClass, RateClasses};
pub use self::layout::Dimension;
pub use self::separators::{Separators, SeparatorsError};

pub(in crate::line) use self::layout::{Cut, Item, Layout, Plan, Source, Step};

use self::read::Reader;
use super::keys::Event;
use crate::provisioning::{HttpUrl, HttpUrlError, Note, ParseError, not_utf8, not_xml};
use crate::time::Millis;

/// A configuration file, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    /// What is in force.
    pub config: Config,
    /// What was skipped or replaced: names that are not known, numbers out of range. To be logged once.
    pub notes: Vec<Note>,
}

/// What an operator wants of lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The operator's account, `b`; empty where the file has none.
    pub beacon_id: String,
    /// Version of the file, `az`.
    pub beacon_version: String,
    /// Whether lines are sent at all.
    pub is_active: bool,
    /// Version of keys and values, `h`.
    pub log_version: String,
    /// Version of the format, `i`.
    pub format_version: String,
    /// What figures count from, `f`.
    pub log_type: LogType,
    /// Time between two playing lines: 1 s to a day.
    pub log_interval: Millis,
    /// Time from the start line to the first playing line: 1 s to a day.
    pub secondary_log_time: Millis,
    /// Time between two heartbeat lines: 1 s to a day.
    pub heartbeat_interval: Millis,
    /// How long nothing has to play for a visit to be over: a minute to a week.
    pub visit_timeout: Millis,
    /// A rebuffer at least this long makes a session one with a rebuffer (`dw`): 0 to an hour.
    pub rebuffer_limit: Millis,
    /// A start-up longer than this is reported as 0 (`ap`): 1 s to a day.
    pub startup_limit: Millis,
    /// A rebuffer longer than this ends the session: 1 s to a day.
    pub rebuffer_outlier: Millis,
    /// How many parts a stream on demand has: 1 to 1000.
    pub bucket_count: u32,
    /// How long the parts of a live stream are: 1 s to a day.
    pub bucket_length: Millis,
    /// Classes of bit rates, for `fk`.
    pub rate_classes: RateClasses,
    host: Option<String>,
    path: String,
    target: Option<HttpUrl>,
    layout: Layout,
}

/// What figures of a line count from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum LogType {
    /// `R`: from the line before.
    #[default]
    Relative,
    /// `C`: from the start of the session.
    Cumulative,
}

// === impl Config ===

impl Config {
    /// The root element of a file.
    pub const ROOT: &'static str = "AkamaiPlayerAnalyticsConfig";
    /// The least a line may be limited to, in bytes: what tells a session's lines apart has to fit in.
    pub const MIN_LINE: usize = 256;
    /// The most a line may be limited to, in bytes.
    pub const MAX_LINE: usize = 65_535;
    /// The usual limit, in bytes.
    pub const DEFAULT_LINE: usize = 2048;
    /// Most keys that one group may list.
    pub const MAX_GROUP: usize = 1000;
    /// Most custom dimensions.
    pub const MAX_DIMENSIONS: usize = 128;
    /// Most characters of a key or name.
    pub const MAX_NAME: usize = 40;

    /// Reads the text of a configuration file.
    ///
    /// # Errors
    /// Where it is no complete XML document, its root is another element, no line has a key, or host and path make no
    /// address.
    pub fn parse(text: &str) -> Result<Parsed, ParseError> {
        // As in provisioning: a document type declaration is nothing to refuse, and none is ever fetched.
        let options = ParsingOptions { allow_dtd: true, nodes_limit: 200_000, ..ParsingOptions::default() };
        let document =
            Document::parse_with_options(text, options).map_err(|error| not_xml(text, &error, Self::ROOT))?;
        Reader::new(&document).config()
    }

    /// Reads the bytes of a configuration file.
    ///
    /// # Errors
    /// As [`Config::parse`], and where the bytes are not UTF-8.
    pub fn parse_bytes(bytes: &[u8]) -> Result<Parsed, ParseError> {
        let text = std::str::from_utf8(bytes).map_err(|error| not_utf8(bytes, &error))?;
        Self::parse(text)
    }

    /// Where lines are sent: a request is this address, `?`, and the line. `None` where no host is named.
    #[must_use]
    pub const fn target(&self) -> Option<&HttpUrl> {
        self.target.as_ref()
    }

    /// Sends lines elsewhere than the file says; `None` leaves host or path as it is.
    ///
    /// # Errors
    /// Where the two make no address; nothing is changed then.
    pub fn set_target(&mut self, host: Option<&str>, path: Option<&str>) -> Result<(), HttpUrlError> {
        let host = host.map(str::to_owned).or_else(|| self.host.clone());
        let path = path.map_or_else(|| self.path.clone(), str::to_owned);
        let target = host.as_deref().map(|host| address(host, &path)).transpose()?;
        (self.host, self.path, self.target) = (host, path, target);
        Ok(())
    }

    /// Whether lines of this event are sent: whether the file has a group for it.
    #[must_use]
    pub fn sends(&self, event: Event) -> bool {
        self.layout.plan(event).is_some()
    }

    /// The operator's own values that lines carry, each once, in the order of the file.
    #[must_use]
    pub fn dimensions(&self) -> &[Dimension] {
        &self.layout.dimensions
    }

    /// What separates keys.
    #[must_use]
    pub const fn separators(&self) -> &Separators {
        &self.layout.separators
    }

    /// Most bytes of a line, that is, of all behind the `?` of its address.
    #[must_use]
    pub const fn max_line(&self) -> usize {
        self.layout.max_line
    }

    pub(in crate::line) const fn layout(&self) -> &Layout {
        &self.layout
    }
}

// === impl LogType ===

impl LogType {
    /// The code on the wire, in `f`.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Relative => "R",
            Self::Cumulative => "C",
        }
    }
}

/// Host and path put together; a host without scheme gets `http://`.
///
/// # Errors
/// Where the two make no address.
pub(crate) fn address(host: &str, path: &str) -> Result<HttpUrl, HttpUrlError> {
    let (host, path) = (host.trim(), path.trim());
    let scheme = if host.contains("://") { "" } else { "http://" };
    // Alone first: a path must not come to be taken for a host that is missing.
    HttpUrl::parse(&format!("{scheme}{host}"))?;
    let slash = if host.ends_with('/') || path.is_empty() || path.starts_with('/') { "" } else { "/" };
    let path = if host.ends_with('/') { path.trim_start_matches('/') } else { path };
    if host.contains(['?', '#']) || path.contains(['?', '#']) {
        return Err(HttpUrlError::Character);
    }
    HttpUrl::parse(&format!("{scheme}{host}{slash}{path}"))
}

/// A number of the file that has to be in a range.
struct Bounded {
    name: &'static str,
    range: RangeInclusive<u64>,
    default: u64,
    unit: &'static str,
}

#[cfg(test)]
mod tests;
