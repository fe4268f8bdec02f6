//! Where provisioning comes from: a file, a server, and the last good copies of both.
//!
//! What is missing, cut short or no provisioning at all never replaces what is in force. The copies lie in the
//! state directory, so that this holds across a restart too, and across a boot without network.
//!
//! Where a server is given, what it gives is in force as soon as it was ever fetched; the file is the fall-back
//! until then.

mod changes;
mod remote;
mod watch;

use std::path::{Path, PathBuf};

use stbeacon_core::provisioning::{Auth, ClientCert, HttpUrl, Parsed, Provisioning, Tls, server_url};
use stbeacon_core::time::Millis;

pub(crate) use self::changes::changes;
pub(crate) use self::remote::{Remote, fetch_once};
pub(crate) use self::watch::watch;

use crate::cli::Failure;
use crate::files;
use crate::status::InForce;

/// Real files have a few kilobytes.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// The file's copy in the state directory.
const COPY: &str = "provisioning.xml";

/// Where it is to be had, as the command line says.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) file: PathBuf,
    pub(crate) server: Option<ServerOrigin>,
}

/// A provisioning server.
#[derive(Debug)]
pub(crate) struct ServerOrigin {
    pub(crate) url: HttpUrl,
    pub(crate) tls: Tls,
    pub(crate) auth: Option<Auth>,
}

/// Whom to trust at a provisioning server, and how the box proves there who it is, as the command line says.
#[derive(Debug, Default, Clone)]
pub(crate) struct Credentials {
    /// Certificate authorities to trust in place of the system's: PEM.
    pub(crate) ca: Option<PathBuf>,
    /// The box's own certificate, PEM, and its key, which only its owner may read.
    pub(crate) cert: Option<PathBuf>,
    pub(crate) key: Option<PathBuf>,
    /// With it the secret is a password, without it a token.
    pub(crate) user: Option<String>,
    /// A file that only its owner may read.
    pub(crate) secret: Option<PathBuf>,
}

/// Where provisioning comes from, and which of it is in force.
#[derive(Debug)]
pub(crate) struct Source {
    file: PathBuf,
    copy: PathBuf,
    pub(crate) remote: Option<Remote>,
    in_force: InForce,
}

/// Reads a provisioning file.
///
/// # Errors
/// `FILE:LINE:COLUMN: what is wrong; what was expected`, or `FILE: why it cannot be read`.
pub(crate) fn read(file: &Path) -> Result<Parsed, String> {
    parse(&file.display().to_string(), &read_bytes(file)?)
}

/// Reads provisioning that came by another way than from a file.
///
/// # Errors
/// `NAME:LINE:COLUMN: what is wrong; what was expected`.
pub(crate) fn parse(name: &str, bytes: &[u8]) -> Result<Parsed, String> {
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err(format!("{name}: longer than {} KiB: this is no provisioning file", MAX_BYTES / 1024));
    }
    Provisioning::parse_bytes(bytes)
        .map_err(|error| format!("{name}:{}:{}: {}; {}", error.line, error.column, error.found, error.remedy))
}

fn read_bytes(file: &Path) -> Result<Vec<u8>, String> {
    files::read(file, MAX_BYTES, "provisioning file")
}

/// Takes what was read for good: what was ignored goes into the log, the bytes into the copy.
fn keep(name: &str, parsed: Parsed, bytes: &[u8], copy: &Path) -> Provisioning {
    for note in &parsed.notes {
        log::warn!("{name}:{}:{}: {}", note.line, note.column, note.message);
    }
    if let Err(error) = files::replace(copy, bytes) {
        log::warn!("no copy of the provisioning is kept: {}: {error}", copy.display());
    }
    parsed.provisioning
}

/// The last good copy, if there is one.
fn last_good(copy: &Path) -> Option<Provisioning> {
    let parsed = read(copy).ok()?;
    log::warn!("the last good copy is used instead: {}", copy.display());
    Some(parsed.provisioning)
}

// === impl ServerOrigin ===

impl ServerOrigin {
    /// From what the user wrote: a URL, or as little of it as a host.
    ///
    /// # Errors
    /// Where it is none, or the credentials are incomplete.
    pub(crate) fn new(text: &str, credentials: Credentials) -> Result<Self, String> {
        let url = server_url(text).map_err(|error| {
            format!("{error}; expected http://HOST/prov/tvip_provision.xml or a host alone")
        })?;
        let Credentials { ca, cert, key, user, secret } = credentials;
        let client = match (cert, key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(ClientCert { cert, key }),
            (Some(_), None) => return Err("a certificate without its key; give both".to_owned()),
            (None, Some(_)) => return Err("a key without its certificate; give both".to_owned()),
        };
        let auth = match (user, secret) {
            (None, None) => None,
            (Some(user), Some(_)) if user.contains(':') || user.chars().any(char::is_control) => {
                return Err(format!("the user name {user:?} has a character that it may not have"));
            }
            (Some(user), Some(secret_file)) => Some(Auth::Basic { user, secret_file }),
            (None, Some(secret_file)) => Some(Auth::Bearer { secret_file }),
            (Some(_), None) => {
                return Err("a user without a secret; name the file that holds the password".to_owned());
            }
        };
        Ok(Self { url, tls: Tls { ca, client }, auth })
    }
}

// === impl Source ===

impl Source {
    pub(crate) fn new(origin: Origin, state_directory: &Path) -> Self {
        Self {
            file: origin.file,
            copy: state_directory.join(COPY),
            remote: origin.server.map(|server| Remote::new(server, state_directory)),
            in_force: InForce::Nothing,
        }
    }

    /// The file that is read again on SIGHUP, and whenever it changes.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// Which of what there is is in force.
    pub(crate) const fn in_force(&self) -> InForce {
        self.in_force
    }

    /// Whether nothing is about to come: something is in force, or the server was asked in vain, and it is not being
    /// asked at the moment on somebody's wish.
    pub(crate) fn is_settled(&self, now: Millis, is_asked: bool) -> bool {
        let Some(remote) = &self.remote else { return true };
        let waits = if is_asked {
            remote.is_busy(now)
        } else {
            self.in_force == InForce::Nothing && !remote.has_failed()
        };
        !waits
    }

    /// What to start with: the last that was fetched, the file, or the last good copy of it.
    ///
    /// # Errors
    /// Where there is none of them, and no server to wait for either.
    pub(crate) fn start(&mut self) -> Result<Provisioning, Failure> {
        if let Some(remote) = &self.remote {
            if let Some(provisioning) = last_good(remote.copy()) {
                self.in_force = InForce::ServerCopy;
                return Ok(provisioning);
            }
        }
        let error = match self.take_file() {
            Ok(provisioning) => {
                self.in_force = InForce::File;
                return Ok(provisioning);
            }
            Err(error) => error,
        };
        let is_worth_a_word = self.remote.is_none() || self.file.exists();
        if is_worth_a_word {
            log::warn!("{error}");
        }
        if let Some(provisioning) = last_good(&self.copy) {
            self.in_force = InForce::FileCopy;
            return Ok(provisioning);
        }
        let Some(remote) = &self.remote else { return Err(Failure::input(error)) };
        log::warn!("no provisioning yet: nothing is reported until {} gives one", remote.url());
        Ok(Provisioning::default())
    }

    /// What the file says now, if it is in force. A good one is copied.
    ///
    /// # Errors
    /// See [`read`]. A file that is missing is no error where there is a server.
    pub(crate) fn reload_file(&mut self) -> Result<Option<Provisioning>, String> {
        if self.remote.is_some() && !self.file.exists() {
            return Ok(None);
        }
        let provisioning = self.take_file()?;
        if let (InForce::Server | InForce::ServerCopy, Some(remote)) = (self.in_force, &self.remote) {
            let file = self.file.display();
            log::info!("{file} is good, but a fall-back: what {} gave is in force", remote.url());
            return Ok(None);
        }
        self.in_force = InForce::File;
        Ok(Some(provisioning))
    }

    /// Takes what was fetched. A good one is copied, and in force.
    pub(crate) fn take_fetched(&mut self, bytes: &[u8]) -> Result<Provisioning, String> {
        let remote = self.remote.as_ref().ok_or("there is no server to fetch from")?;
        let name = remote.url().to_string();
        let parsed = parse(&name, bytes)?;
        let provisioning = keep(&name, parsed, bytes, remote.copy());
        self.in_force = InForce::Server;
        Ok(provisioning)
    }

    fn take_file(&self) -> Result<Provisioning, String> {
        let bytes = read_bytes(&self.file)?;
        let name = self.file.display().to_string();
        Ok(keep(&name, parse(&name, &bytes)?, &bytes, &self.copy))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const GOOD: &str = r#"<provision><statistics url="http://a.example/"><media/></statistics></provision>"#;
    const FETCHED: &str = r#"<provision reload="60"><statistics url="http://f.example/"/></provision>"#;

    fn with_file(directory: &Path, file: PathBuf, server: Option<&str>) -> Source {
        let server = server.map(|url| ServerOrigin::new(url, Credentials::default()).unwrap());
        Source::new(Origin { file, server }, directory)
    }

    fn source(directory: &Path, text: &str) -> Source {
        fs::write(directory.join("provision.xml"), text).unwrap();
        with_file(directory, directory.join("provision.xml"), None)
    }

    fn url(provisioning: &Provisioning) -> String {
        provisioning.statistics.as_ref().map(|s| s.url.to_string()).unwrap_or_default()
    }

    fn file(name: &str) -> Option<PathBuf> {
        Some(name.into())
    }

    #[test]
    fn credentials_are_whole_or_refused() {
        let origin = |credentials| ServerOrigin::new("prov.example", credentials);
        let user = || Some("box".to_owned());
        let none = Credentials::default;

        let basic = origin(Credentials { user: user(), secret: file("/s"), ..none() }).unwrap();
        assert_eq!(basic.auth, Some(Auth::Basic { user: "box".into(), secret_file: "/s".into() }));
        let bearer = origin(Credentials { secret: file("/s"), ..none() }).unwrap();
        assert_eq!(bearer.auth, Some(Auth::Bearer { secret_file: "/s".into() }));
        let tls =
            origin(Credentials { ca: file("/a"), cert: file("/c"), key: file("/k"), ..none() }).unwrap().tls;
        let client = Some(ClientCert { cert: "/c".into(), key: "/k".into() });
        assert_eq!(tls, Tls { ca: file("/a"), client });

        for (half, error) in [
            (Credentials { user: user(), ..none() }, "a user without a secret"),
            (Credentials { cert: file("/c"), ..none() }, "a certificate without its key"),
            (Credentials { key: file("/k"), ..none() }, "a key without its certificate"),
            (Credentials { user: Some("a:b".into()), secret: file("/s"), ..none() }, "may not have"),
        ] {
            let refused = origin(half).unwrap_err();
            assert!(refused.contains(error), "{refused}");
        }
    }

    #[test]
    fn a_broken_file_gives_way_to_the_last_good_copy() {
        let directory = tempfile::tempdir().unwrap();
        let good = source(directory.path(), GOOD).start().unwrap();
        let mut broken = source(directory.path(), &GOOD[..40]);
        assert_eq!(broken.start().unwrap(), good);
        assert_eq!(broken.in_force(), InForce::FileCopy);
        assert!(broken.reload_file().is_err());
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
        assert!(with_file(Path::new("/proc/no/such"), file, None).start().is_ok());
    }

    #[test]
    fn what_was_fetched_is_in_force_before_the_file_also_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("provision.xml");
        let mut source = with_file(directory.path(), file.clone(), Some("prov.example"));
        assert_eq!(source.start().unwrap(), Provisioning::default(), "nothing is there yet, and it starts");
        assert_eq!(source.in_force(), InForce::Nothing);
        assert_eq!(source.reload_file(), Ok(None));

        fs::write(&file, GOOD).unwrap();
        assert_eq!(url(&source.reload_file().unwrap().unwrap()), "http://a.example/");
        let broken = source.take_fetched(b"cat <<EOF").unwrap_err();
        assert!(broken.starts_with("http://prov.example/prov/tvip_provision.xml:1:1:"), "{broken}");
        assert_eq!(source.in_force(), InForce::File);
        assert_eq!(url(&source.take_fetched(FETCHED.as_bytes()).unwrap()), "http://f.example/");
        assert_eq!(source.reload_file(), Ok(None), "the file is the fall-back now");

        let mut restarted = with_file(directory.path(), file.clone(), Some("http://prov.example/"));
        assert_eq!(url(&restarted.start().unwrap()), "http://f.example/");
        assert_eq!(restarted.in_force(), InForce::ServerCopy);
        // Another server's file is not this one's.
        let mut moved = with_file(directory.path(), file, Some("other.example"));
        assert_eq!(url(&moved.start().unwrap()), "http://a.example/");
    }
}
