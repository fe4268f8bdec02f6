//! The provisioning file, and the last good copy of it.
//!
//! A file that is missing, cut short or no provisioning at all never replaces what is in force. The copy lies in
//! the state directory, so that this holds across a restart too.

use std::path::{Path, PathBuf};

use stbeacon_core::provisioning::{Parsed, Provisioning, Statistics};

use crate::cli::Failure;
use crate::files;

/// Real files have a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// The copy's name in the state directory.
const COPY: &str = "provisioning.xml";

/// Where provisioning comes from.
#[derive(Debug)]
pub(crate) struct Source {
    file: PathBuf,
    copy: PathBuf,
}

/// Reads a provisioning file.
///
/// # Errors
/// `FILE:LINE:COLUMN: what is wrong; what was expected`, or `FILE: why it cannot be read`.
pub(crate) fn read(file: &Path) -> Result<Parsed, String> {
    parse(file, &files::read(file, MAX_BYTES, "provisioning file")?)
}

fn parse(file: &Path, bytes: &[u8]) -> Result<Parsed, String> {
    Provisioning::parse_bytes(bytes).map_err(|error| {
        format!("{}:{}:{}: {}; {}", file.display(), error.line, error.column, error.found, error.remedy)
    })
}

// === impl Source ===

impl Source {
    pub(crate) fn new(file: PathBuf, state_directory: &Path) -> Self {
        Self { file, copy: state_directory.join(COPY) }
    }

    /// The file that is read again on SIGHUP.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// What to start with: the file, or the last good copy of it.
    ///
    /// # Errors
    /// Where there is neither.
    pub(crate) fn start(&self) -> Result<Provisioning, Failure> {
        let error = match self.reload() {
            Ok(provisioning) => return Ok(provisioning),
            Err(error) => error,
        };
        match read(&self.copy) {
            Ok(parsed) => {
                log::warn!("{error}");
                log::warn!("the last good copy is used instead: {}", self.copy.display());
                Ok(parsed.provisioning)
            }
            Err(_) => Err(Failure::input(error)),
        }
    }

    /// What the file says now. A good one is copied.
    ///
    /// # Errors
    /// See [`read`].
    pub(crate) fn reload(&self) -> Result<Provisioning, String> {
        let bytes = files::read(&self.file, MAX_BYTES, "provisioning file")?;
        let parsed = parse(&self.file, &bytes)?;
        for note in &parsed.notes {
            log::warn!("{}:{}:{}: {}", self.file.display(), note.line, note.column, note.message);
        }
        if let Err(error) = files::replace(&self.copy, &bytes) {
            log::warn!("no copy of the provisioning is kept: {}: {error}", self.copy.display());
        }
        Ok(parsed.provisioning)
    }
}

/// What a new provisioning changes, one line each, for the log.
pub(crate) fn changes(old: &Provisioning, new: &Provisioning) -> Vec<String> {
    let mut lines = Vec::new();
    let mut compare = |name: &str, old: String, new: String| {
        if old != new {
            lines.push(format!("{name} is now {new}, was {old}"));
        }
    };
    let mut setting = |name: &str, read: fn(&Statistics) -> String| {
        let of = |from: &Provisioning| from.statistics.as_ref().map_or_else(|| "off".to_owned(), read);
        compare(name, of(old), of(new));
    };
    setting("statistics url", |statistics| statistics.url.to_string());
    setting("accum_period", |statistics| statistics.accum_period.to_string());
    setting("media", |statistics| match statistics.media {
        None => "off".to_owned(),
        Some(media) => media.period.map_or("at the end".to_owned(), |period| format!("every {period}")),
    });
    setting("network period", |statistics| {
        statistics.network.map_or("off".to_owned(), |network| network.period.to_string())
    });
    let hidden = [
        ("reports", old.reports == new.reports),
        ("auth", old.auth == new.auth),
        ("tls", old.tls == new.tls),
        ("spool", old.spool == new.spool),
        ("media_analytics", old.media_analytics == new.media_analytics),
        ("heartbeat", old.heartbeat == new.heartbeat),
    ];
    lines.extend(hidden.iter().filter(|(_, same)| !same).map(|(name, _)| format!("{name} has changed")));
    // An address may differ only in what is not shown of it.
    let urls =
        [old, new].map(|provisioning| provisioning.statistics.as_ref().map(|statistics| &statistics.url));
    if lines.is_empty() && urls.first() != urls.last() {
        lines.push("statistics url has changed in its query or user-info".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = r#"<provision><statistics url="http://a.example/"><media/></statistics></provision>"#;
    const OTHER: &str = r#"<provision><statistics url="http://b.example/?key=secret" accum_period="60">
        <network period="30"/></statistics><stbeacon><reports gzip="true"/></stbeacon></provision>"#;

    fn source(directory: &Path, text: &str) -> Source {
        fs::write(directory.join("provision.xml"), text).unwrap();
        Source::new(directory.join("provision.xml"), directory)
    }

    #[test]
    fn a_broken_file_gives_way_to_the_last_good_copy() {
        let directory = tempfile::tempdir().unwrap();
        let good = source(directory.path(), GOOD).start().unwrap();
        let broken = source(directory.path(), &GOOD[..40]);
        assert_eq!(broken.start().unwrap(), good);
        assert!(broken.reload().is_err());
        fs::remove_file(directory.path().join("provision.xml")).unwrap();
        assert_eq!(broken.start().unwrap(), good);
    }

    #[test]
    fn without_a_copy_the_error_names_the_place() {
        let directory = tempfile::tempdir().unwrap();
        let failure = source(directory.path(), "<provision>\n  <statistics url=1/>").start().unwrap_err();
        assert_eq!(failure.code, crate::cli::BAD_INPUT);
        assert!(failure.message.contains("provision.xml:2:"), "{}", failure.message);
    }

    #[test]
    fn a_state_directory_that_cannot_be_written_is_no_obstacle() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("provision.xml");
        fs::write(&file, GOOD).unwrap();
        assert!(Source::new(file, Path::new("/proc/no/such")).start().is_ok());
    }

    #[test]
    fn changes_are_told_without_secrets() {
        let parse = |text| Provisioning::parse(text).unwrap().provisioning;
        let (good, other) = (parse(GOOD), parse(OTHER));
        assert_eq!(
            changes(&good, &other),
            [
                "statistics url is now http://b.example/?…, was http://a.example/",
                "accum_period is now 60.000 s, was 300.000 s",
                "media is now off, was at the end",
                "network period is now 30.000 s, was off",
                "reports has changed",
            ]
        );
        assert_eq!(changes(&other, &other), Vec::<String>::new());
        let key = parse(&OTHER.replace("secret", "other"));
        assert_eq!(changes(&other, &key), ["statistics url has changed in its query or user-info"]);
    }
}
