//! Which failures are the business's and not the technology's: an account that has expired, a region without rights.

use std::str::FromStr;

use thiserror::Error;

/// One thing that an error's text is compared with; letters count the same in either case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    is_wanted: bool,
    is_whole: bool,
    text: String,
}

/// Rules; an error that meets one of them is the business's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules(pub(crate) Vec<Rule>);

/// A rule that says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected equals:TEXT, notequals:TEXT, contains:TEXT or notcontains:TEXT")]
pub(crate) struct NotARule;

// === impl Rules ===

impl Rules {
    /// Whether an error is the business's.
    pub(crate) fn are_met_by(&self, error: &str) -> bool {
        self.0.iter().any(|rule| rule.is_met_by(error))
    }
}

// === impl Rule ===

impl Rule {
    fn is_met_by(&self, error: &str) -> bool {
        let error = error.to_lowercase();
        let is_so = if self.is_whole { error == self.text } else { error.contains(&self.text) };
        is_so == self.is_wanted
    }
}

impl FromStr for Rule {
    type Err = NotARule;

    fn from_str(text: &str) -> Result<Self, NotARule> {
        let (operator, text) = text.split_once(':').ok_or(NotARule)?;
        let (is_wanted, is_whole) = match operator {
            "equals" => (true, true),
            "notequals" => (false, true),
            "contains" => (true, false),
            "notcontains" => (false, false),
            _ => return Err(NotARule),
        };
        if text.is_empty() {
            return Err(NotARule);
        }
        Ok(Self { is_wanted, is_whole, text: text.to_lowercase() })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("equals:Geo.Blocked", "geo.blocked", true)]
    #[case("equals:geo", "geo.blocked", false)]
    #[case("contains:geo", "error Geo.Blocked", true)]
    #[case("notequals:x", "geo", true)]
    #[case("notcontains:geo", "geo.blocked", false)]
    #[case("contains:a:b", "xa:by", true)]
    fn one_rule(#[case] rule: &str, #[case] error: &str, #[case] met: bool) {
        assert_eq!(Rules(vec![rule.parse().unwrap()]).are_met_by(error), met);
    }

    #[rstest]
    #[case("geo")]
    #[case("contains:")]
    #[case("like:geo")]
    fn no_rule(#[case] text: &str) {
        assert_eq!(text.parse::<Rule>(), Err(NotARule));
    }

    #[test]
    fn without_rules_all_failures_are_technical() {
        assert!(!Rules::default().are_met_by("anything"));
    }
}
