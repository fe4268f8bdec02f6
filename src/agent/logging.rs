//! The log: lines on standard error.
//!
//! Under systemd a line begins with its priority as `<N>` (sd-daemon(3)), and the journal adds the time;
//! elsewhere it begins with the time in UTC. Libraries are heard only when they warn: what they tell at lower
//! levels may hold headers and addresses with secrets.

use std::io::{IsTerminal, Write};
use std::time::SystemTime;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::utc::utc_text;

/// The environment variable by which systemd says which file is the journal (systemd.exec(5)).
const JOURNAL_ENV: &str = "JOURNAL_STREAM";

/// Starts logging. Only the first call has an effect.
pub(crate) fn init(level: LevelFilter) {
    let style = if stderr_is_journal() {
        Style::Journal
    } else {
        Style::Plain { colour: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    };
    if log::set_boxed_logger(Box::new(Logger { style, level })).is_ok() {
        log::set_max_level(level);
    }
}

struct Logger {
    style: Style,
    level: LevelFilter,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Journal,
    Plain { colour: bool },
}

// === impl Logger ===

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let ours = metadata.target().split("::").next().is_some_and(|name| name.starts_with("stbeacon"));
        metadata.level() <= if ours { self.level } else { self.level.min(LevelFilter::Warn) }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let line = self.style.line(record.level(), &record.args().to_string(), SystemTime::now());
        // Nobody could be told that standard error is gone.
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    }

    fn flush(&self) {}
}

// === impl Style ===

impl Style {
    fn line(self, level: Level, text: &str, time: SystemTime) -> String {
        // One record is one line, whatever a player put into a string.
        let text = text.replace(|c: char| c.is_control(), " ");
        let (priority, name, colour) = match level {
            Level::Error => (3, "error", "31"),
            Level::Warn => (4, "warn ", "33"),
            Level::Info => (6, "info ", "32"),
            Level::Debug | Level::Trace => (7, "debug", "2"),
        };
        match self {
            Self::Journal => format!("<{priority}>{text}\n"),
            Self::Plain { colour: false } => format!("{} {name} {text}\n", utc_text(time)),
            Self::Plain { colour: true } => {
                format!("{} \x1b[{colour}m{name}\x1b[0m {text}\n", utc_text(time))
            }
        }
    }
}

/// Whether standard error is the very stream that systemd named: a child's redirected one is not.
fn stderr_is_journal() -> bool {
    use std::os::unix::fs::MetadataExt;

    let Ok(stream) = std::env::var(JOURNAL_ENV) else { return false };
    std::fs::metadata("/proc/self/fd/2").is_ok_and(|file| stream == format!("{}:{}", file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::journal(Style::Journal, "<4>two lines\n")]
    #[case::plain(Style::Plain { colour: false }, "1970-01-01T00:00:00.000Z warn  two lines\n")]
    #[case::terminal(
        Style::Plain { colour: true },
        "1970-01-01T00:00:00.000Z \x1b[33mwarn \x1b[0m two lines\n"
    )]
    fn one_record_is_one_line(#[case] style: Style, #[case] line: &str) {
        assert_eq!(style.line(Level::Warn, "two\nlines", SystemTime::UNIX_EPOCH), line);
    }

    #[rstest]
    #[case("stbeacon::run", Level::Debug, true)]
    #[case("stbeacon_core::uplink", Level::Debug, true)]
    #[case("ureq::pool", Level::Debug, false)]
    #[case("rustls", Level::Warn, true)]
    fn libraries_only_warn(#[case] target: &str, #[case] level: Level, #[case] heard: bool) {
        let logger = Logger { style: Style::Journal, level: LevelFilter::Debug };
        let metadata = Metadata::builder().target(target).level(level).build();
        assert_eq!(logger.enabled(&metadata), heard);
    }
}
