//! The file of the table: a strict subset of TOML, line by line.

use thiserror::Error;

use super::{Medium, Role, Rule, Source, Unit};

/// The longest file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// The most rows of a file.
pub const MAX_ROWS: usize = 256;

const KEYS: &str =
    "name, role, medium, decoded, rendered, dropped, failed, bytes, hidden, buffered, buffered_unit";

/// Something is wrong in a line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}: {field}{message}", field = field.as_ref().map_or_else(String::new, |field| format!("{field}: ")))]
pub struct Problem {
    /// Counted from 1.
    pub line: usize,
    /// The key, if it is about one.
    pub field: Option<String>,
    /// What is wrong, and what to do about it.
    pub message: String,
}

/// One row as it is read: a value with its line for each key.
#[derive(Debug)]
struct Row<'t> {
    line: usize,
    fields: Vec<(usize, &'t str, Value)>,
}

#[derive(Debug)]
enum Value {
    Text(String),
    Flag(bool),
}

pub(super) fn rules(text: &str) -> Result<Vec<Rule>, Vec<Problem>> {
    let mut problems = Vec::new();
    if text.len() > MAX_BYTES {
        let message = format!("{} bytes are too many; {MAX_BYTES} are read at most", text.len());
        return Err(vec![Problem { line: 1, field: None, message }]);
    }
    let rows = rows(text, &mut problems);
    if let Some(row) = rows.get(MAX_ROWS) {
        problems.push(problem(
            row.line,
            None,
            format!("more than {MAX_ROWS} rows; use globs in their names"),
        ));
    }
    let rules: Vec<_> = rows.into_iter().filter_map(|row| row.rule(&mut problems)).collect();
    problems.sort_by_key(|problem| problem.line);
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

fn rows<'t>(text: &'t str, problems: &mut Vec<Problem>) -> Vec<Row<'t>> {
    let mut rows: Vec<Row<'t>> = Vec::new();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.trim();
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        if content.starts_with('[') {
            let header = content.split('#').next().unwrap_or_default().trim_end();
            if header != "[[element]]" {
                let message = format!("{header} is no table of this file; each row begins with [[element]]");
                problems.push(problem(line, None, message));
            }
            // What follows belongs to it, right or wrong.
            rows.push(Row { line, fields: Vec::new() });
            continue;
        }
        match field(content) {
            Err(message) => problems.push(problem(line, None, message)),
            Ok((key, value)) => match (rows.last_mut(), value) {
                (_, Err(message)) => problems.push(problem(line, Some(key), message)),
                (None, Ok(_)) => {
                    let message = "stands before the first row; put [[element]] above it";
                    problems.push(problem(line, Some(key), message.to_owned()));
                }
                (Some(row), Ok(value)) => row.fields.push((line, key, value)),
            },
        }
    }
    rows
}

/// A line's key, and its value or what is wrong with that.
fn field(content: &str) -> Result<(&str, Result<Value, String>), String> {
    let shape =
        || r#"a line is KEY = "TEXT", KEY = true, KEY = false, [[element]] or a # comment"#.to_owned();
    let (key, value) = content.split_once('=').ok_or_else(shape)?;
    let key = key.trim_end();
    if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-') {
        return Err(shape());
    }
    Ok((key, self::value(value.trim_start())))
}

fn value(text: &str) -> Result<Value, String> {
    let (value, rest) = if let Some(inner) = text.strip_prefix('"') {
        quoted(inner)?
    } else if let Some(inner) = text.strip_prefix('\'') {
        let (text, rest) =
            inner.split_once('\'').ok_or("the text has no end; put a ' behind it, on the same line")?;
        (Value::Text(text.to_owned()), rest)
    } else {
        let word = text.split('#').next().unwrap_or_default().trim_end();
        let flag = match word {
            "true" => true,
            "false" => false,
            "" => return Err(r#"has no value; write KEY = "TEXT""#.to_owned()),
            _ => return Err(format!("{word} is neither true, false nor text; put texts in quotes")),
        };
        (Value::Flag(flag), text.get(word.len()..).unwrap_or_default())
    };
    let rest = rest.trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        return Ok(value);
    }
    Err(format!("{rest:?} stands behind the value; only a # comment may"))
}

/// A text up to its closing quote, and what follows. Of TOML's escapes the two that a name could need.
fn quoted(inner: &str) -> Result<(Value, &str), String> {
    let mut text = String::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((Value::Text(text), inner.get(at + 1..).unwrap_or_default())),
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                _ => return Err(r#"only \" and \\ are known after a backslash"#.to_owned()),
            },
            c => text.push(c),
        }
    }
    Err(r#"the text has no end; put a " behind it, on the same line"#.to_owned())
}

fn problem(line: usize, field: Option<&str>, message: String) -> Problem {
    Problem { line, field: field.map(str::to_owned), message }
}

// === impl Row ===

impl Row<'_> {
    fn rule(self, problems: &mut Vec<Problem>) -> Option<Rule> {
        let before = problems.len();
        let row = self.line;
        let mut name = None;
        let mut role = None;
        let mut rule = Rule {
            name: String::new(),
            role: Role::None,
            medium: None,
            decoded: None,
            rendered: None,
            dropped: None,
            failed: None,
            bytes: None,
            buffered: None,
            buffered_unit: Unit::default(),
            hidden: false,
        };
        let mut seen: Vec<(&str, usize)> = Vec::new();
        for (line, key, value) in self.fields {
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == key) {
                let message = format!("stands twice in a row, first in line {first}; take one out");
                problems.push(problem(line, Some(key), message));
                continue;
            }
            seen.push((key, line));
            let taken = match key {
                "name" => pattern(value).map(|text| name = Some(text)),
                "role" => one_of(&value, &Role::NAMES).map(|value| role = Some(value)),
                "medium" => one_of(&value, &Medium::NAMES).map(|value| rule.medium = Some(value)),
                "decoded" => source(value, false).map(|value| rule.decoded = Some(value)),
                "rendered" => source(value, true).map(|value| rule.rendered = Some(value)),
                "dropped" => source(value, true).map(|value| rule.dropped = Some(value)),
                "failed" => source(value, false).map(|value| rule.failed = Some(value)),
                "bytes" => source(value, false).map(|value| rule.bytes = Some(value)),
                "buffered" => source(value, false).map(|value| rule.buffered = Some(value)),
                "buffered_unit" => one_of(&value, &Unit::NAMES).map(|value| rule.buffered_unit = value),
                "hidden" => flag(&value).map(|value| rule.hidden = value),
                _ => Err(format!("is no key of a row; there are {KEYS}")),
            };
            if let Err(message) = taken {
                problems.push(problem(line, Some(key), message));
            }
        }
        let has = |key: &str| seen.iter().any(|(known, _)| *known == key);
        if !has("name") {
            let message = r#"is missing in this row; add the element's factory name: name = "acmevdec""#;
            problems.push(problem(row, Some("name"), message.to_owned()));
        }
        if !has("role") {
            let message = r#"is missing in this row; add what it is: role = "decoder""#;
            problems.push(problem(row, Some("role"), message.to_owned()));
        }
        if let Some(role) = role {
            rule.role = role;
            for (key, line) in &seen {
                let roles = roles_of(key);
                if !roles.is_empty() && !roles.contains(&role) {
                    let roles: Vec<_> = roles.iter().map(ToString::to_string).collect();
                    let message = format!("a {role} has none; it is a key of {}", roles.join(", "));
                    problems.push(problem(*line, Some(key), message));
                }
            }
            if role == Role::Queue && !has("buffered") {
                let message = r#"is missing: a queue has nothing else to tell; add buffered = "PROPERTY""#;
                problems.push(problem(row, Some("buffered"), message.to_owned()));
            }
            if has("buffered_unit") && !has("buffered") {
                let message = "says the unit of nothing; add buffered, or take it out";
                problems.push(problem(row, Some("buffered_unit"), message.to_owned()));
            }
        }
        rule.name = name?;
        role.filter(|_| problems.len() == before)?;
        Some(rule)
    }
}

/// The roles in which a key means something; none for those that all have.
fn roles_of(key: &str) -> &'static [Role] {
    match key {
        "medium" | "decoded" | "dropped" | "failed" => &[Role::Decoder, Role::Sink],
        "rendered" => &[Role::Sink],
        "bytes" | "hidden" => &[Role::Demuxer],
        "buffered" | "buffered_unit" => &[Role::Decoder, Role::Sink, Role::Demuxer, Role::Queue],
        _ => &[],
    }
}

fn text(value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        Value::Flag(flag) => Err(format!("{flag} is no text; put it in quotes")),
    }
}

fn flag(value: &Value) -> Result<bool, String> {
    match value {
        Value::Flag(flag) => Ok(*flag),
        Value::Text(text) => Err(format!("{text:?} is text; write true or false, without quotes")),
    }
}

fn pattern(value: Value) -> Result<String, String> {
    let text = text(value)?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_+.*?".contains(c);
    if !text.is_empty() && text.chars().all(fits) {
        return Ok(text);
    }
    Err(format!(
        "{text:?} cannot be a factory's name; gst-inspect-1.0 lists them, and * and ? may stand in one"
    ))
}

fn one_of<T: Copy>(value: &Value, names: &[(&str, T)]) -> Result<T, String> {
    let word = match value {
        Value::Text(text) => text.clone(),
        Value::Flag(flag) => flag.to_string(),
    };
    names.iter().find(|(name, _)| *name == word).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| format!("{name:?}")).collect();
        format!("{word:?} is none of {}", names.join(", "))
    })
}

fn source(value: Value, may_be_qos: bool) -> Result<Source, String> {
    let text = text(value)?;
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match text.as_str() {
        "none" => return Ok(Source::None),
        "qos" if may_be_qos => return Ok(Source::Qos),
        "qos" => {
            return Err("QoS messages do not tell this; only dropped and rendered may be \"qos\"".to_owned());
        }
        _ => {}
    }
    match text.split_once('.') {
        None if is_name(&text) => Ok(Source::Property(text)),
        Some((property, field)) if is_name(property) && is_name(field) => {
            Ok(Source::Field { property: property.to_owned(), field: field.to_owned() })
        }
        _ => Err(format!(
            "{text:?} is neither a property (\"frames-decoded\") nor a field of one (\"stats.dropped\"), \
             nor \"qos\" or \"none\""
        )),
    }
}
