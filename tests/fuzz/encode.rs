//! Lines as they are sent, with values that players and operators made up.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use stbeacon_core::line::config::{Config, builtin_text};
use stbeacon_core::line::decode::{Line, join};
use stbeacon_core::line::encode::{Encoder, Pen, Sent, Values};
use stbeacon_core::line::keys::{Event, Metric};

/// Values for the metrics that are asked for, in the order in which they are asked for first.
struct Told<'a> {
    values: RefCell<std::str::Split<'a, char>>,
    written: RefCell<BTreeMap<Metric, &'a str>>,
}

impl Values for Told<'_> {
    fn write<'p>(&self, metric: Metric, out: Pen<'p>) -> Pen<'p> {
        let mut written = self.written.borrow_mut();
        let value =
            written.entry(metric).or_insert_with(|| self.values.borrow_mut().next().unwrap_or_default());
        out.text(value)
    }
}

/// The first byte says which line, the second how long it may be; the rest are values, with line ends between them.
///
/// # Panics
/// Where something does not hold.
pub fn check(data: &[u8]) {
    let [event, limit, values @ ..] = data else { return };
    let Ok(values) = std::str::from_utf8(values) else { return };
    let event = Event::ALL[usize::from(*event) % Event::ALL.len()];
    let config = &configs()[usize::from(*limit) % configs().len()];
    let told = Told { values: RefCell::new(values.split('\n')), written: RefCell::default() };
    let mut encoder = Encoder::new();
    let Some(encoded) = encoder.encode(config, event, &told, &mut Sent::default()) else { return };
    let parts: Vec<_> = encoded
        .parts()
        .map(|part| {
            assert!(part.len() <= config.max_line(), "{} bytes: {part}", part.len());
            Line::read_with(part, config.separators()).unwrap_or_else(|e| panic!("{part}: {e}"))
        })
        .collect();
    let whole = match &parts[..] {
        [whole] => whole.clone(),
        parts => join(parts).unwrap_or_else(|e| panic!("{parts:?}: {e}")),
    };
    if encoded.truncated + encoded.left_out > 0 {
        return;
    }
    for (metric, value) in told.written.into_inner().into_iter().filter(|(_, value)| !value.is_empty()) {
        assert_eq!(whole.value(metric), Some(value), "{metric}");
    }
}

/// The built-in configuration with several limits, and with other separators.
fn configs() -> &'static [Config] {
    static CONFIGS: OnceLock<Vec<Config>> = OnceLock::new();
    CONFIGS.get_or_init(|| {
        let text = builtin_text();
        let limit = |limit: &str| text.replace("\"2048\"", &format!("\"{limit}\""));
        let other = text.replace(
            "urlParamSeparator=\"~\" encodedParamSeparator=\"*@*\"",
            "urlParamSeparator=\"&amp;\" encodedParamSeparator=\"!!\"",
        );
        assert_ne!(other, text);
        let texts = [limit("2048"), limit("256"), limit("700"), limit("65535"), other];
        texts.iter().map(|text| Config::parse(text).expect("the built-in configuration").config).collect()
    })
}
