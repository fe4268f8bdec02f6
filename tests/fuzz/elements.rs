//! Tables of elements.

use stbeacon_core::elements::{MAX_ROWS, Rule, Source, Table, Unit};

/// Reads a table, and what is written of it again.
///
/// # Panics
/// Where something does not hold.
pub(crate) fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let table = match Table::parse(text) {
        Ok(table) => table,
        Err(problems) => {
            assert!(!problems.is_empty());
            let lines = text.lines().count().max(1);
            for problem in problems {
                assert!((1..=lines).contains(&problem.line), "{problem}");
                assert!(!problem.message.is_empty());
            }
            return;
        }
    };
    assert!(table.rules().count() <= MAX_ROWS);
    for rule in table.rules() {
        assert!(rule.to_string().starts_with(&rule.name));
        let name = rule.name.replace(['*', '?'], "x");
        assert!(table.rule(&name).is_some(), "nothing fits {name:?}, which {:?} does", rule.name);
    }
    let written: String = table.rules().map(row).collect();
    assert_eq!(Table::parse(&written).as_ref(), Ok(&table), "{written}");
}

fn row(rule: &Rule) -> String {
    let mut row = format!("[[element]]\nname = {}\nrole = \"{}\"\n", quoted(&rule.name), rule.role);
    let mut put = |key: &str, value: Option<String>| {
        row.extend(value.map(|value| format!("{key} = {value}\n")));
    };
    put("medium", rule.medium.map(|medium| quoted(&medium.to_string())));
    put("decoded", rule.decoded.as_ref().map(source));
    put("rendered", rule.rendered.as_ref().map(source));
    put("dropped", rule.dropped.as_ref().map(source));
    put("failed", rule.failed.as_ref().map(source));
    put("bytes", rule.bytes.as_ref().map(source));
    put("buffered", rule.buffered.as_ref().map(source));
    put(
        "buffered_unit",
        (rule.buffered_unit != Unit::default()).then(|| quoted(&rule.buffered_unit.to_string())),
    );
    put("hidden", rule.hidden.then(|| "true".to_owned()));
    row
}

fn source(source: &Source) -> String {
    match source {
        Source::None => quoted("none"),
        Source::Qos => quoted("qos"),
        Source::Property(_) | Source::Field { .. } => quoted(&source.to_string()),
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
