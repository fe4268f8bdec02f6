//! Saved filters: which sessions an operator wants to see by themselves.
//!
//! A filter counts from when it is made: each message's figures are added to the sums of every filter that the session
//! then meets. So what a filter tells is as exact, and as quick to ask, as what all traffic tells.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::labels::{Known, Labels, clipped};
use crate::time::{MINUTE, Minute, UnixMs};

/// The filter that all sessions meet, by its number and its name; clients look for the name.
pub(crate) const ALL_TRAFFIC: (FilterId, &str) = (FilterId(1), "All Traffic");
/// Most saved filters: as many as may be asked for at once.
pub(crate) const MAX_FILTERS: usize = 98;
/// Deepest nesting of rules, and most comparisons of a filter.
const MAX_DEPTH: usize = 8;
const MAX_COMPARISONS: usize = 200;
/// Longest name and longest value, in characters.
const MAX_TEXT: usize = 200;
/// Operators by name, as clients write them.
const OPERATORS: [(&str, Operator); 4] = [
    ("equals", Operator::Equals),
    ("notequals", Operator::NotEquals),
    ("contains", Operator::Contains),
    ("notcontains", Operator::NotContains),
];

/// A filter's number; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FilterId(pub(crate) u32);

/// A saved filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filter {
    pub(crate) id: FilterId,
    /// From when on it counts.
    pub(crate) made: UnixMs,
    #[serde(flatten)]
    pub(crate) wanted: Wanted,
}

/// What a client says of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) category: String,
    pub(crate) subcategory: String,
    /// Whether it counts by dimension (MetricLens) as well.
    pub(crate) advanced: bool,
    pub(crate) content: bool,
    /// Whether it counts, and is to be seen.
    pub(crate) enabled: bool,
    pub(crate) rules: Rule,
}

/// What a session has to meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rule {
    /// Each of them.
    All(Vec<Rule>),
    /// One of them.
    Any(Vec<Rule>),
    /// A comparison; letters count the same in either case.
    Compare { field: Field, operator: Operator, value: String },
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Field {
    Known(Known),
    /// An operator's own dimension, by its name.
    Own(String),
}

/// How it is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operator {
    Equals,
    NotEquals,
    Contains,
    NotContains,
}

/// What is asked of the filters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edit {
    /// All of them or none.
    Add(Vec<Wanted>),
    Remove(FilterId),
}

/// Why it was not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum NotDone {
    #[error("there is a filter {0:?} already")]
    Taken(String),
    #[error("there are {MAX_FILTERS} filters, and there is no room for more")]
    Full,
    #[error("there is no filter {0}")]
    Unknown(u32),
    #[error("not now; come again")]
    NotNow,
}

/// Why something is no filter.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{place}: expected {expected}, found {found}")]
pub(crate) struct NotAFilter {
    place: String,
    expected: &'static str,
    found: String,
}

// === impl Filter ===

impl Filter {
    /// Whether it has not counted for a whole minute yet.
    pub(crate) fn is_warming_up(&self, now: Minute) -> bool {
        now.0 < (self.made.0 / MINUTE) + 2
    }

    /// Whether it did not count for all of a time that begins there.
    pub(crate) fn misses_some(&self, from: Minute) -> bool {
        from.start() < self.made
    }

    /// As clients see it.
    pub(crate) fn to_json(&self) -> Value {
        let Wanted { name, category, subcategory, advanced, content, enabled, rules } = &self.wanted;
        json!({
            "id": self.id.0.to_string(), "name": name, "category": category, "subcategory": subcategory,
            "advanced": advanced, "content": content, "enabled": enabled, "rules": rules.to_json(),
        })
    }
}

// === impl Wanted ===

impl Wanted {
    /// Reads what a client sends: an array of filters.
    ///
    /// # Errors
    /// Says where it is wrong, and what was expected there.
    pub(crate) fn read_all(value: &Value) -> Result<Vec<Self>, NotAFilter> {
        match value {
            Value::Array(all) if !all.is_empty() => {
                all.iter().enumerate().map(|(index, one)| Self::read(one, &format!("[{index}]"))).collect()
            }
            other => Err(NotAFilter::at("body", "an array with a filter or more", Some(other))),
        }
    }

    fn read(value: &Value, place: &str) -> Result<Self, NotAFilter> {
        let fields = value.as_object().ok_or_else(|| NotAFilter::at(place, "an object", Some(value)))?;
        let name = text(fields, "name", place)?.ok_or_else(|| {
            NotAFilter::at(&format!("{place}.name"), "a text that is not empty", fields.get("name"))
        })?;
        let flag = |name: &str, default| match fields.get(name) {
            None | Some(Value::Null) => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            other => Err(NotAFilter::at(&format!("{place}.{name}"), "true or false", other)),
        };
        let place = format!("{place}.rules");
        let rules =
            fields.get("rules").ok_or_else(|| NotAFilter::at(&place, "an object with op and rules", None))?;
        Ok(Self {
            name,
            category: text(fields, "category", &place)?.unwrap_or_default(),
            subcategory: text(fields, "subcategory", &place)?.unwrap_or_default(),
            advanced: flag("advanced", false)?,
            content: flag("content", false)?,
            enabled: flag("enabled", true)?,
            rules: Rule::read(rules, &place, MAX_DEPTH, &mut 0)?,
        })
    }
}

// === impl Rule ===

impl Rule {
    /// Whether a session meets it.
    pub(crate) fn is_met_by(&self, labels: &Labels) -> bool {
        match self {
            Self::All(rules) => rules.iter().all(|rule| rule.is_met_by(labels)),
            Self::Any(rules) => rules.iter().any(|rule| rule.is_met_by(labels)),
            Self::Compare { field, operator, value } => {
                let found = match field {
                    Field::Known(known) => labels.known(*known),
                    Field::Own(name) => labels.own(name).unwrap_or_default(),
                };
                let (found, value) = (found.to_lowercase(), value.to_lowercase());
                match operator {
                    Operator::Equals => found == value,
                    Operator::NotEquals => found != value,
                    Operator::Contains => found.contains(&value),
                    Operator::NotContains => !found.contains(&value),
                }
            }
        }
    }

    fn read(value: &Value, place: &str, depth: usize, count: &mut usize) -> Result<Self, NotAFilter> {
        let is = |expected, found| NotAFilter::at(place, expected, found);
        let fields = value.as_object().ok_or_else(|| is("an object", Some(value)))?;
        let operator = fields.get("op").and_then(Value::as_str);
        if let Some(rules) = fields.get("rules") {
            let rules = rules.as_array().filter(|rules| !rules.is_empty());
            let rules =
                rules.ok_or_else(|| is("rules: an array with a rule or more", fields.get("rules")))?;
            if depth == 0 {
                return Err(is("at most 8 rules within each other", None));
            }
            let rules: Result<Vec<_>, _> = rules
                .iter()
                .enumerate()
                .map(|(index, rule)| Self::read(rule, &format!("{place}.rules[{index}]"), depth - 1, count))
                .collect();
            return match operator {
                Some("and") => rules.map(Self::All),
                Some("or") => rules.map(Self::Any),
                _ => Err(is("op: \"and\" or \"or\"", fields.get("op"))),
            };
        }
        *count += 1;
        if *count > MAX_COMPARISONS {
            return Err(is("at most 200 comparisons", None));
        }
        let field = text(fields, "field", place)?.and_then(|name| Field::from_name(&name));
        let field = field.ok_or_else(|| is("field: one of those that /fields tells", fields.get("field")))?;
        let found = OPERATORS.iter().find(|(name, _)| Some(*name) == operator).map(|(_, operator)| *operator);
        let operator =
            found.ok_or_else(|| is("op: equals, notequals, contains or notcontains", fields.get("op")))?;
        let value = text(fields, "value", place)?.ok_or_else(|| is("value: a text", fields.get("value")))?;
        Ok(Self::Compare { field, operator, value })
    }

    fn to_json(&self) -> Value {
        let of = |op: &str, rules: &[Self]| {
            let rules: Vec<_> = rules.iter().map(Self::to_json).collect();
            json!({ "op": op, "rules": rules })
        };
        match self {
            Self::All(rules) => of("and", rules),
            Self::Any(rules) => of("or", rules),
            Self::Compare { field, operator, value } => {
                json!({ "field": field.name(), "op": operator, "value": value })
            }
        }
    }
}

// === impl Field ===

impl Field {
    /// All that every session has, as clients see it.
    pub(crate) fn list() -> Value {
        let operators: Vec<_> = OPERATORS.iter().map(|(name, _)| *name).collect();
        let all = Known::ALL
            .into_iter()
            .map(|known| json!({ "field": known.title(), "type": "string", "ops": operators }));
        all.collect()
    }

    /// By its name in either case; what is not known is an operator's own.
    fn from_name(name: &str) -> Option<Self> {
        let known = Known::ALL.into_iter().find(|known| known.title().eq_ignore_ascii_case(name));
        match known {
            Some(known) => Some(Self::Known(known)),
            None => Some(Self::Own(name.strip_prefix("tag:").unwrap_or(name).to_owned()))
                .filter(|_| name.starts_with("tag:") || name.starts_with("_cd_")),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Known(known) => known.title().to_owned(),
            Self::Own(name) if name.starts_with("_cd_") => name.clone(),
            Self::Own(name) => format!("tag:{name}"),
        }
    }
}

// === impl NotAFilter ===

impl NotAFilter {
    fn at(place: &str, expected: &'static str, found: Option<&Value>) -> Self {
        let found = found.map_or_else(|| "nothing".to_owned(), |value| clipped(&value.to_string(), 60));
        Self { place: place.to_owned(), expected, found }
    }
}

/// A text; `None` where it is empty or not there.
fn text(fields: &Map<String, Value>, name: &str, place: &str) -> Result<Option<String>, NotAFilter> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(clipped(text, MAX_TEXT)).filter(|text| !text.is_empty())),
        other => Err(NotAFilter::at(&format!("{place}.{name}"), "a text", other)),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn rule(op: &str, value: &str) -> Value {
        json!({ "field": "Asset Name", "op": op, "value": value })
    }

    fn filter(rules: &Value) -> Value {
        json!([{ "name": "n", "category": "CONTENT", "subcategory": "Asset", "rules": rules }])
    }

    #[rstest]
    #[case(rule("equals", "Das Erste"), true)]
    #[case(rule("equals", "das"), false)]
    #[case(rule("notequals", "das"), true)]
    #[case(rule("contains", "ERSTE"), true)]
    #[case(rule("notcontains", "erste"), false)]
    #[case(json!({ "field": "_cd_1000", "op": "equals", "value": "lab" }), true)]
    #[case(json!({ "field": "tag:_cd_1000", "op": "equals", "value": "shop" }), false)]
    #[case(json!({ "field": "cdn", "op": "equals", "value": "unknown" }), true)]
    #[case(json!({ "op": "and", "rules": [rule("contains", "das"), rule("contains", "zweite")] }), false)]
    #[case(json!({ "op": "or", "rules": [rule("contains", "das"), rule("contains", "zweite")] }), true)]
    fn who_meets_it(#[case] rules: Value, #[case] met: bool) {
        let mut labels = Labels::default();
        labels.set(Known::Asset, "Das Erste");
        labels.set_own("_cd_1000", "lab");
        let wanted = Wanted::read_all(&filter(&rules)).unwrap().remove(0);
        assert_eq!(wanted.rules.is_met_by(&labels), met);
        // As clients see it it can be sent again.
        let shown = Filter { id: FilterId(2), made: UnixMs(0), wanted: wanted.clone() }.to_json();
        assert_eq!(Wanted::read_all(&json!([shown])).unwrap(), [wanted]);
    }

    #[rstest]
    #[case(json!({}), "body: expected an array with a filter or more, found {}")]
    #[case(json!([7]), "[0]: expected an object, found 7")]
    #[case(json!([{ "rules": {} }]), "[0].name: expected a text that is not empty, found nothing")]
    #[case(json!([{ "name": "n" }]), "[0].rules: expected an object with op and rules, found nothing")]
    #[case(json!([{ "name": "n", "rules": {}, "enabled": 1 }]), "[0].enabled: expected true or false, found 1")]
    #[case(filter(&json!({ "op": "xor", "rules": [rule("equals", "x")] })), "op: \"and\" or \"or\", found \"xor\"")]
    #[case(filter(&json!({ "op": "or", "rules": [rule("like", "x")] })), "[0].rules.rules[0]: expected op: equals,")]
    #[case(filter(&json!({ "field": "Weather", "op": "equals", "value": "x" })), "found \"Weather\"")]
    #[case(filter(&json!({ "op": "or", "rules": [] })), "an array with a rule or more, found []")]
    #[case(filter(&json!({ "op": "or", "rules": vec![rule("equals", "x"); 201] })), "at most 200 comparisons")]
    fn what_is_wrong_is_named(#[case] body: Value, #[case] told: &str) {
        let error = Wanted::read_all(&body).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }

    #[test]
    fn nesting_is_bounded() {
        let mut rules = rule("equals", "x");
        for _ in 0..9 {
            rules = json!({ "op": "and", "rules": [rules] });
        }
        assert!(Wanted::read_all(&filter(&rules)).unwrap_err().to_string().contains("at most 8 rules"));
        assert!(Wanted::read_all(&filter(&rules["rules"][0])).is_ok());
    }

    #[test]
    fn a_filter_warms_up_for_a_whole_minute() {
        let wanted = Wanted::read_all(&filter(&rule("equals", "x"))).unwrap().remove(0);
        let made = Filter { id: FilterId(2), made: UnixMs(10 * MINUTE + 1), wanted };
        let warming: Vec<_> = (10..14).map(|minute| made.is_warming_up(Minute(minute))).collect();
        assert_eq!(warming, [true, true, false, false]);
        assert!(made.misses_some(Minute(10)) && !made.misses_some(Minute(11)));
    }
}
