//! What all commands share: how they fail, and what they exit with.

use std::path::PathBuf;
use std::process::ExitCode;

use log::LevelFilter;

/// Why a command could not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the process exits with.
    pub(crate) code: u8,
    /// One line for people: what is wrong, and what to do about it.
    pub(crate) message: String,
}

/// A file that was given, or fetched, cannot be had or is not what it should be.
pub(crate) const BAD_INPUT: u8 = 1;
/// The command line is wrong.
pub(crate) const USAGE: u8 = 2;
/// Something the box should have is missing: a permission, a directory, a program, a running daemon.
pub(crate) const ENVIRONMENT: u8 = 3;

/// Said by every command's `--help`.
pub(crate) const EXIT_CODES: &str = "\
Exit codes: 0 fine; 1 a file cannot be had or is not what it should be; 2 the command line is wrong;
            3 the box lacks something (permission, directory, program, running daemon).";

// === impl Failure ===

impl Failure {
    pub(crate) fn input(message: impl Into<String>) -> Self {
        Self { code: BAD_INPUT, message: message.into() }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { code: USAGE, message: message.into() }
    }

    pub(crate) fn environment(message: impl Into<String>) -> Self {
        Self { code: ENVIRONMENT, message: message.into() }
    }

    /// Tells the user, and gives what to exit with.
    pub(crate) fn report(&self) -> ExitCode {
        eprintln!("stbeacon: {}", self.message);
        ExitCode::from(self.code)
    }
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::usage(format!("{error}; see --help"))
    }
}

/// Prints to standard output; a reader that has gone away is no failure (`stbeacon status | head -1`).
pub(crate) fn print(text: &str) {
    use std::io::Write;

    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Prints a command's `--help`.
pub(crate) fn print_help(text: &str) {
    print(text);
    print(EXIT_CODES);
    print("\n");
}

/// `error`, `warn`, `info` or `debug`.
pub(crate) fn log_level(text: &str) -> Result<LevelFilter, Failure> {
    match text {
        "error" => Ok(LevelFilter::Error),
        "warn" => Ok(LevelFilter::Warn),
        "info" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        _ => Err(Failure::usage(format!("log level {text:?} is none of error, warn, info, debug"))),
    }
}

/// A path from the environment, or its default.
pub(crate) fn path_from_env(name: &str, default: &str) -> PathBuf {
    std::env::var_os(name).filter(|path| !path.is_empty()).map_or_else(|| default.into(), PathBuf::from)
}
