//! Where a channel of lines has its configuration from, and the last good copy of it.

use std::path::{Path, PathBuf};

use stbeacon_core::line::config::{Config, Parsed};
use stbeacon_core::provisioning::{ConfigSource, HttpUrl, MediaAnalytics};
use stbeacon_core::time::Millis;
use stbeacon_core::uplink::Backoff;

use crate::{files, random};

/// Real files have some ten kilobytes.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// Reads, keeps and fetches a configuration.
#[derive(Debug)]
pub(super) struct ConfigKeeper {
    source: ConfigSource,
    /// In place of what the file says.
    host: Option<String>,
    path: Option<String>,
    copy: PathBuf,
    /// When it is fetched; `None` while there is nothing to fetch.
    due: Option<Millis>,
    /// In a row.
    failures: u32,
}

// === impl ConfigKeeper ===

impl ConfigKeeper {
    pub(super) fn new(settings: &MediaAnalytics, state_directory: &Path) -> Self {
        let MediaAnalytics { config, host, path, .. } = settings;
        let name = match config {
            ConfigSource::Builtin => String::new(),
            ConfigSource::File(file) => file.display().to_string(),
            ConfigSource::Url(url) => url.as_str().to_owned(),
        };
        Self {
            source: config.clone(),
            host: host.clone(),
            path: path.clone(),
            copy: state_directory.join(format!("beacon-{:016x}.xml", files::fingerprint(&name))),
            due: None,
            failures: 0,
        }
    }

    /// The configuration, where nothing has to be fetched for it.
    pub(super) fn start(&mut self, now: Millis, is_first: bool) -> Option<Config> {
        match &self.source {
            ConfigSource::Builtin => {
                self.ready(Parsed { config: Config::builtin(), notes: Vec::new() }, "built-in")
            }
            ConfigSource::File(file) => {
                let name = file.display().to_string();
                let read = files::read(file, MAX_BYTES, "beacon configuration");
                match read.and_then(|bytes| self.take(&name, &bytes)) {
                    Ok(config) => Some(config),
                    Err(error) => {
                        log::error!("{error}");
                        self.fall_back(is_first)
                    }
                }
            }
            ConfigSource::Url(_) => {
                (self.due, self.failures) = (Some(now), 0);
                None
            }
        }
    }

    /// What is to be fetched, if it is time to.
    pub(super) fn poll_fetch(&mut self, now: Millis) -> Option<HttpUrl> {
        let ConfigSource::Url(url) = &self.source else { return None };
        self.due.take_if(|due| *due <= now)?;
        Some(url.clone())
    }

    pub(super) const fn poll_timeout(&self) -> Option<Millis> {
        self.due
    }

    /// Takes what was fetched. The last good one is given where this one is none and there is no other yet.
    pub(super) fn handle_fetched(
        &mut self,
        now: Millis,
        fetched: Result<Vec<u8>, String>,
        is_first: bool,
    ) -> Option<Config> {
        let name = self.source.to_string();
        let fetched = fetched.map_err(|error| format!("{name}: {error}"));
        match fetched.and_then(|bytes| self.take(&name, &bytes)) {
            Ok(config) => {
                self.failures = 0;
                Some(config)
            }
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                let delay = Backoff::default().delay(self.failures, random::uniform());
                self.due = Some(now + delay);
                log::warn!("no beacon configuration: {error}; next attempt in {delay}");
                self.fall_back(is_first)
            }
        }
    }

    /// Another address than the file's host and path, if so provisioned; what was ignored goes into the log.
    fn ready(&self, parsed: Parsed, name: &str) -> Option<Config> {
        for note in &parsed.notes {
            log::warn!("{name}:{}:{}: {}", note.line, note.column, note.message);
        }
        let mut config = parsed.config;
        if let Err(error) = config.set_target(self.host.as_deref(), self.path.as_deref()) {
            log::error!("{name}: host and path make no address: {error}; no lines are sent");
            return None;
        }
        if config.target().is_none() && config.is_active {
            log::error!("{name}: names no host, and host= is not provisioned; no lines are sent");
        }
        Some(config)
    }

    fn take(&self, name: &str, bytes: &[u8]) -> Result<Config, String> {
        let parsed = Config::parse_bytes(bytes).map_err(|error| {
            format!("{name}:{}:{}: {}; {}", error.line, error.column, error.found, error.remedy)
        })?;
        let config = self.ready(parsed, name).ok_or_else(|| format!("{name}: cannot be used"))?;
        if let Err(error) = files::replace(&self.copy, bytes) {
            log::warn!("no copy of the beacon configuration is kept: {}: {error}", self.copy.display());
        }
        Ok(config)
    }

    fn fall_back(&self, is_first: bool) -> Option<Config> {
        if !is_first {
            log::warn!("the beacon configuration stays as it was");
            return None;
        }
        let bytes = files::read(&self.copy, MAX_BYTES, "beacon configuration").ok()?;
        let parsed = Config::parse_bytes(&bytes).ok()?;
        log::warn!("the last good beacon configuration is used: {}", self.copy.display());
        self.ready(parsed, &self.copy.display().to_string())
    }
}
