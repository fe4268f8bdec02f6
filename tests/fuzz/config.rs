//! Beacon configurations.

use stbeacon_core::line::config::Config;
use stbeacon_core::line::decode::{DecodeError, DecodeFault, Line};
use stbeacon_core::line::encode::{Encoder, Pen, Sent, Values};
use stbeacon_core::line::keys::{Event, Metric};

/// A value for everything, with what a value must not be mistaken for.
struct Something;

impl Values for Something {
    fn write<'p>(&self, metric: Metric, out: Pen<'p>) -> Pen<'p> {
        out.text(metric.name()).text("=*@*~&%!")
    }

    fn write_dimension<'p>(&self, key: &str, _: &str, out: Pen<'p>) -> Pen<'p> {
        out.text(key)
    }
}

/// Reads a configuration, and makes lines by it.
///
/// # Panics
/// Where something does not hold.
pub fn check(data: &[u8]) {
    let mut config = match Config::parse_bytes(data) {
        Ok(parsed) => {
            for note in &parsed.notes {
                assert!(crate::lies_in(data, note.line, note.column), "{note}");
            }
            parsed.config
        }
        Err(error) => {
            assert!(crate::lies_in(data, error.line, error.column), "{error}");
            assert!(!error.found.is_empty() && !error.remedy.is_empty());
            return;
        }
    };
    assert!((Config::MIN_LINE..=Config::MAX_LINE).contains(&config.max_line()));
    assert!(config.log_interval.0 >= 1000 && config.secondary_log_time.0 >= 1000);
    assert!(
        config.heartbeat_interval.0 >= 1000 && config.bucket_length.0 >= 1000 && config.bucket_count >= 1
    );
    let mut encoder = Encoder::new();
    for event in Event::ALL {
        let mut sent = Sent::default();
        for _ in 0..2 {
            let Some(encoded) = encoder.encode(&config, event, &Something, &mut sent) else { continue };
            for part in encoded.parts() {
                assert!(part.len() <= config.max_line(), "{} bytes: {part}", part.len());
                // A group may have nothing to say: all of it constant and empty, or sent before.
                if !part.is_empty() {
                    read(part, &config);
                }
            }
        }
    }
    let before = config.clone();
    if config.set_target(Some("not a host"), None).is_err() {
        assert_eq!(config, before);
    }
}

fn read(part: &str, config: &Config) {
    match Line::read_with(part, config.separators()) {
        Ok(_) => {}
        // A configuration may call one metric by the name of another; who has only the line cannot know. But it must
        // not call two the same.
        Err(DecodeError { at, fault: DecodeFault::Twice { first, .. } }) => {
            let key = |at: usize| part[at..].split('=').next();
            assert_ne!(key(at), key(first), "{part}");
        }
        Err(error) => panic!("{part}: {error}"),
    }
}
