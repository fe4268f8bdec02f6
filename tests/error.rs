//! What went wrong in the harness, with the log that tells why.

use std::fmt;

/// What went wrong, on which thing, and what the programs involved had to say about it.
///
/// `Debug` prints the same as `Display`, so that a test that returns it is readable.
pub struct Error {
    what: String,
    log: String,
}

impl Error {
    /// An error that says `what`.
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), log: String::new() }
    }

    /// An error of the system while doing `what`.
    pub fn io(what: impl fmt::Display, source: impl fmt::Display) -> Self {
        Self::new(format!("{what}: {source}"))
    }

    /// The same with what a program printed.
    #[must_use]
    pub fn with_log(mut self, title: &str, log: &str) -> Self {
        use fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = write!(self.log, "\n--- {title} ---\n{}", log.trim_end());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        f.write_str(&self.log)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Error {}
