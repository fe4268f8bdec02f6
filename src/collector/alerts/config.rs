//! The file that says what alerts there are.

use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;

use super::manual::Rule;

/// What alerts there are, and where they go.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// URLs that alerts are posted to.
    pub(crate) webhooks: Vec<String>,
    /// Alerts that somebody has set.
    pub(crate) manual: Vec<Rule>,
    /// Whether it is looked for metrics that are not as they are used to be.
    pub(crate) ai: bool,
}

// === impl Config ===

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// Says which file, where in it, and what is wrong.
    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        Self::parse(&text).map_err(|error| format!("{}: {error}", file.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        for url in &config.webhooks {
            crate::outside::client(url, false).map_err(|error| format!("webhooks: {error}"))?;
        }
        let mut ids = BTreeSet::new();
        for rule in &config.manual {
            if !ids.insert(rule.id) {
                return Err(format!("manual: two alerts have the id {}", rule.id));
            }
            if !(1..=1440).contains(&rule.minutes) {
                return Err(format!("manual, id {}: minutes: expected 1 to 1440", rule.id));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const RULE: &str = r#"{"id":1,"name":"n","metric":"attempts","condition":"below","threshold":1}"#;

    #[test]
    fn a_whole_file() {
        let text = format!(r#"{{"webhooks":["http://127.0.0.1:1/hook"],"ai":true,"manual":[{RULE}]}}"#);
        let config = Config::parse(&text).unwrap();
        assert!(config.ai && config.manual.len() == 1);
        assert_eq!(config.manual[0].minutes, 5);
    }

    #[rstest]
    #[case("{\n\"manuel\": []}", "line 2")]
    #[case(r#"{"webhooks":["ftp://x"]}"#, "webhooks: \"ftp://x\": expected a URL")]
    #[case(&format!(r#"{{"manual":[{RULE},{RULE}]}}"#), "two alerts have the id 1")]
    #[case(&format!(r#"{{"manual":[{}]}}"#, RULE.replace("}", ",\"minutes\":0}")), "minutes: expected 1 to 1440")]
    #[case(&format!(r#"{{"manual":[{}]}}"#, RULE.replace("}", ",\"from\":\"25:00\"}")), "time of the day")]
    #[case(&format!(r#"{{"manual":[{}]}}"#, RULE.replace("attempts", "views")), "unknown variant `views`")]
    fn bad_files(#[case] text: &str, #[case] error: &str) {
        let told = Config::parse(text).unwrap_err();
        assert!(told.contains(error), "{told}");
    }
}
