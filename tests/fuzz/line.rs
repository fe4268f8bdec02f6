//! Lines as they are received.

use stbeacon_core::line::config::Separators;
use stbeacon_core::line::decode::{Line, Meaning, join};
use stbeacon_core::line::value::Typed;

/// Reads each line of the input, then takes all of them for the parts of one line.
///
/// # Panics
/// Where something does not hold.
pub fn check(data: &[u8]) {
    let other = Separators::new("&", "!!").expect("these are separators");
    let mut lines = Vec::new();
    for bytes in data.split(|byte| *byte == b'\n') {
        match Line::read_bytes(bytes) {
            Ok(line) => {
                check_line(&line, bytes);
                lines.push(line);
            }
            Err(error) => {
                assert!(error.at <= bytes.len(), "{error}");
                assert!(!error.to_string().is_empty());
            }
        }
        if let Ok(text) = std::str::from_utf8(bytes) {
            if let Err(error) = Line::read_with(text, &other) {
                assert!(error.at <= text.len(), "{error}");
            }
        }
    }
    match join(&lines) {
        Ok(whole) => {
            let fields = lines.iter().flat_map(|line| &line.fields);
            let is_number = |meaning: &Meaning| matches!(meaning, Meaning::Metric(metric) if ["za", "zb"].contains(&metric.key()));
            for field in fields.filter(|field| !is_number(&field.meaning)) {
                let of_whole = whole.fields.iter().find(|there| there.key == field.key);
                // A key may be written in short in one part, and in long in another.
                if let Some(there) = of_whole {
                    assert_eq!(there.value, field.value);
                }
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn check_line(line: &Line<'_>, bytes: &[u8]) {
    let written = line.to_string();
    let text = std::str::from_utf8(bytes).expect("it was read");
    assert!(text.strip_suffix('~').unwrap_or(text).ends_with(&written), "{text:?} is written as {written:?}");
    let again = Line::read(&written).unwrap_or_else(|e| panic!("{written:?} came of {text:?}: {e}"));
    assert_eq!(again.fields.len(), line.fields.len());
    for (one, other) in line.fields.iter().zip(&again.fields) {
        assert_eq!(
            (one.key, one.meaning, one.raw, &one.value),
            (other.key, other.meaning, other.raw, &other.value)
        );
        assert!(text.get(one.at..).is_some_and(|rest| rest.starts_with(one.key)));
        if let (Some(Ok(typed)), Meaning::Metric(metric)) = (one.typed(), one.meaning) {
            let canonical = typed.to_string();
            let again = Typed::read(metric.kind(), &canonical);
            let again =
                again.unwrap_or_else(|e| panic!("{metric}: {canonical:?} came of {:?}: {e}", one.value));
            assert_eq!(again.to_string(), canonical, "{metric}");
            assert_eq!(again, typed, "{metric}: {canonical:?}");
        }
    }
    let _ = (line.event(), line.part());
}
