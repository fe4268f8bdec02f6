//! The configuration for boxes that are given none.

use std::fmt::Write as _;

use super::Config;
use crate::line::keys::{Event, Metric};

/// The lines that the built-in configuration sends: heartbeats and feedback are for those who ask for them.
const SENT: [Event; 6] =
    [Event::Init, Event::PlayStart, Event::Playing, Event::Complete, Event::Error, Event::Visit];

/// The built-in configuration as a file, made from the table of keys.
///
/// It names no host: that one is always the operator's.
#[must_use]
pub fn builtin_text() -> String {
    let mut out = String::from(
        r#"<AkamaiPlayerAnalyticsConfig>
  <beaconVersion>1.1</beaconVersion>
  <isActive>1</isActive>
  <logTo logInterval="300" secondaryLogTime="5" logType="relative" maxLogLineLength="2048"
         urlParamSeparator="~" encodedParamSeparator="*@*" heartBeatInterval="60" visitTimeout="60"
         isSessionWithRebufferLimit="500" startupTimeOutlierLimit="600" rebufferDurationOutlier="600">
    <path>/9.gif</path>
    <logVersion>1.2</logVersion>
    <formatVersion>1.1</formatVersion>
  </logTo>
  <bucketInfo>
    <bucketCount>20</bucketCount>
    <bucketLength>900</bucketLength>
  </bucketInfo>
  <statistics useKey="1">
"#,
    );
    push_group(&mut out, "split", None, [Metric::PartNumber, Metric::TotalParts].into_iter());
    push_group(&mut out, "common", None, Metric::ALL.iter().copied().filter(|m| m.events().is_common()));
    for event in SENT {
        let listed = |metric: &Metric| {
            let events = metric.events();
            let behind = event.carries_playing() && events.contains(Event::Playing);
            events.contains(event) && !events.is_common() && !behind
        };
        push_group(&mut out, event.element(), Some(event), Metric::ALL.iter().copied().filter(listed));
    }
    out.push_str("  </statistics>\n</AkamaiPlayerAnalyticsConfig>\n");
    out
}

fn push_group(out: &mut String, element: &str, event: Option<Event>, metrics: impl Iterator<Item = Metric>) {
    let code = event.map_or_else(String::new, |event| format!(" eventCode=\"{}\"", event.code()));
    // Writing to a string cannot fail.
    let _ = writeln!(out, "    <{element}{code}>\n      <dataMetrics>");
    for metric in metrics {
        let once = if metric.is_once() { " sendOnce=\"1\"" } else { "" };
        let _ = writeln!(out, "        <data key=\"{}\" name=\"{}\"{once}/>", metric.key(), metric.name());
    }
    let _ = writeln!(out, "      </dataMetrics>\n    </{element}>");
}

impl Config {
    /// The built-in configuration: every metric of the dictionary that a line can carry, no host.
    #[must_use]
    #[allow(clippy::expect_used, reason = "the text has no input: it is the same in every build, and tested")]
    pub fn builtin() -> Self {
        Self::parse(&builtin_text()).expect("the built-in configuration is read").config
    }
}
