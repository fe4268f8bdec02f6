//! The provisioning server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use stbeacon_core::provisioning::{HttpUrl, Parsed, Refresh};
use stbeacon_core::time::Millis;
use stbeacon_core::uplink::retry_after;
use tokio::sync::mpsc::channel;

use super::{MAX_BYTES, ServerOrigin, parse};
use crate::http::{self, Method, Request, Server, Worker};
use crate::status::ServerStatus;
use crate::{clock, files, random};

/// Fetches, as [`Refresh`] says when.
#[derive(Debug)]
pub(crate) struct Remote {
    server: Arc<Server>,
    copy: PathBuf,
    refresh: Refresh,
    /// `None` until it is started.
    worker: Option<Worker>,
    fetched: Option<Millis>,
}

/// Why there is nothing new.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotFetched {
    pub(crate) error: String,
    /// As the server asked, if it did.
    retry_after: Option<Millis>,
}

/// Fetches a provisioning file, for somebody who waits.
///
/// # Errors
/// `URL: why`, or `URL:LINE:COLUMN: what is wrong; what was expected`.
pub(crate) fn fetch_once(origin: ServerOrigin, mac: String) -> Result<Parsed, String> {
    let name = origin.url.to_string();
    let (outcomes, mut answered) = channel(1);
    let worker = Worker::start((), outcomes).map_err(|error| format!("{name}: {error}"))?;
    worker.send(request(&Arc::new(origin.into()), mac));
    let outcome = answered.blocking_recv().map(|((), outcome)| outcome);
    let outcome = outcome.unwrap_or_else(|| http::Outcome::Failed("the thread that asks is gone".to_owned()));
    let bytes = body(outcome).map_err(|not| format!("{name}: {}", not.error))?;
    parse(&name, &bytes)
}

fn request(server: &Arc<Server>, mac: String) -> Request {
    let (server, url) = (Arc::clone(server), server.url.clone());
    Request { server, url, method: Method::Get, mac, id: None, max_answer: MAX_BYTES }
}

fn body(outcome: http::Outcome) -> Result<Vec<u8>, NotFetched> {
    match outcome {
        http::Outcome::Answered(answer) if answer.status == 200 => Ok(answer.body),
        http::Outcome::Answered(answer) => {
            let unix_now = clock::wall_anchor().map(|anchor| anchor.unix_ms / 1000);
            Err(NotFetched {
                error: format!("the server answered {}", answer.status),
                retry_after: answer.retry_after.and_then(|text| retry_after(&text, unix_now)),
            })
        }
        http::Outcome::Failed(error) => Err(NotFetched { error, retry_after: None }),
    }
}

// === impl Remote ===

impl Remote {
    pub(super) fn new(origin: ServerOrigin, state_directory: &Path) -> Self {
        let name = files::fingerprint(origin.url.as_str());
        Self {
            server: Arc::new(origin.into()),
            // Another server's file must not come into force when the box is given to another operator.
            copy: state_directory.join(format!("provisioning-{name:016x}.xml")),
            refresh: Refresh::new(clock::now()),
            worker: None,
            fetched: None,
        }
    }

    /// From here on it can fetch.
    pub(crate) fn set_worker(&mut self, worker: Worker) {
        self.worker = Some(worker);
    }

    /// Without what may be secret when it is shown.
    pub(crate) fn url(&self) -> &HttpUrl {
        &self.server.url
    }

    pub(super) fn copy(&self) -> &Path {
        &self.copy
    }

    /// Whether an attempt is under way or about to be made.
    pub(crate) fn is_busy(&self, now: Millis) -> bool {
        self.refresh.is_under_way() || self.refresh.poll_timeout().is_some_and(|due| due <= now)
    }

    /// Whether the last attempt failed.
    pub(crate) const fn has_failed(&self) -> bool {
        self.refresh.failures() > 0
    }

    /// Asks the server if it is time to, in the name of `mac`.
    pub(crate) fn handle_timeout(&mut self, now: Millis, mac: String) {
        if !self.refresh.poll(now) {
            return;
        }
        log::debug!("provisioning is fetched from {}", self.server.url);
        let sent = self.worker.as_ref().is_some_and(|worker| worker.send(request(&self.server, mac)));
        if !sent {
            log::error!("no provisioning is fetched: the thread that asks is gone");
            self.refresh.handle_failure(now, None, random::uniform());
        }
    }

    pub(crate) const fn poll_timeout(&self) -> Option<Millis> {
        self.refresh.poll_timeout()
    }

    /// Fetches at once.
    pub(crate) fn handle_request(&mut self, now: Millis) {
        self.refresh.handle_request(now);
    }

    /// An address has come or changed.
    pub(crate) fn handle_network(&mut self, now: Millis) {
        self.refresh.handle_network(now);
    }

    /// What the server answered, if it is a file at all. [`Remote::handle_good`] or [`Remote::handle_failure`] has
    /// to follow.
    pub(crate) fn read(outcome: http::Outcome) -> Result<Vec<u8>, NotFetched> {
        body(outcome)
    }

    /// The file was good, and wants to be fetched again after `reload`.
    pub(crate) fn handle_good(&mut self, now: Millis, reload: Option<Millis>) {
        self.fetched = Some(now);
        self.refresh.handle_good(now, reload, random::uniform());
    }

    /// There was none, or a broken one. Gives the time until the next attempt.
    pub(crate) fn handle_failure(&mut self, now: Millis, failure: &NotFetched) -> Millis {
        self.refresh.handle_failure(now, failure.retry_after, random::uniform())
    }

    pub(crate) fn status(&self, now: Millis) -> ServerStatus {
        ServerStatus {
            url: self.server.url.to_string(),
            fetched_ago_ms: self.fetched.map(|fetched| now.since(fetched).0),
            failures: self.refresh.failures(),
            next_fetch_ms: self.refresh.poll_timeout().map(|due| due.since(now).0),
        }
    }
}

impl From<ServerOrigin> for Server {
    fn from(ServerOrigin { url, tls, auth }: ServerOrigin) -> Self {
        Self { url, auth, tls, gzip: false }
    }
}

impl From<String> for NotFetched {
    fn from(error: String) -> Self {
        Self { error, retry_after: None }
    }
}
