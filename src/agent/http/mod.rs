//! Requests over HTTP, on threads of their own: a request blocks, the daemon's loop does not.
//!
//! Each server has a [`Worker`], so that one that does not answer holds up nothing that is for another. Both ways
//! are bounded: the loop hands over one request at a time and gets one [`Outcome`] back for each.

mod client;
mod gzip;
mod tls;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use stbeacon_core::provisioning::{Auth, HttpUrl, Tls};
use tokio::sync::mpsc::Sender;

use self::client::Client;

/// Who is asked, and how we prove who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    /// The address that was provisioned: credentials are for its host alone.
    pub(crate) url: HttpUrl,
    pub(crate) auth: Option<Auth>,
    pub(crate) tls: Tls,
    /// Whether bodies that are sent there are compressed, for as long as it takes such.
    pub(crate) gzip: bool,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) server: Arc<Server>,
    pub(crate) url: HttpUrl,
    pub(crate) method: Method,
    /// For the header `Mac-Address`; empty if the box has none, or it is none of the server's business.
    pub(crate) mac: String,
    /// For the header `X-Stbeacon-Id`: the same whenever the same is sent again. `None` where nobody needs it.
    pub(crate) id: Option<String>,
    /// Most bytes of the answer that somebody wants to read; a longer one is no answer. 0 if nobody looks at it.
    pub(crate) max_answer: u64,
}

/// What is done there.
#[derive(Debug)]
pub(crate) enum Method {
    /// Redirects are followed.
    Get,
    /// With a JSON body. Only those redirects are followed that keep it (307, 308).
    Post(Vec<u8>),
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server answered.
    Answered(Answer),
    /// There was no answer: the network, TLS, or a file that provisioning names.
    Failed(String),
}

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    /// A redirect that is not followed included.
    pub(crate) status: u16,
    /// `Retry-After` as it came.
    pub(crate) retry_after: Option<String>,
    /// As much as was asked for.
    pub(crate) body: Vec<u8>,
}

/// A thread that asks one server after the other what it is given.
#[derive(Debug)]
pub(crate) struct Worker {
    requests: SyncSender<Request>,
}

// === impl Worker ===

impl Worker {
    /// Starts the thread, which sends for `asker`. It ends when this value and the loop's channel are gone.
    pub(crate) fn start<T: Copy + Send + 'static>(
        asker: T,
        outcomes: Sender<(T, Outcome)>,
    ) -> std::io::Result<Self> {
        let (requests, queue) = sync_channel(1);
        // The library's buffers are on the heap; TLS and the parsing of a root bundle stay well below this.
        thread::Builder::new()
            .name("http".into())
            .stack_size(512 * 1024)
            .spawn(move || serve(asker, &queue, &outcomes))?;
        Ok(Self { requests })
    }

    /// Hands over a request; false while the last one still runs.
    pub(crate) fn send(&self, request: Request) -> bool {
        match self.requests.try_send(request) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

fn serve<T: Copy>(asker: T, queue: &Receiver<Request>, outcomes: &Sender<(T, Outcome)>) {
    let mut client = None;
    while let Ok(request) = queue.recv() {
        let outcome = ask(&mut client, &request).map_or_else(Outcome::Failed, Outcome::Answered);
        if outcomes.blocking_send((asker, outcome)).is_err() {
            return;
        }
    }
}

fn ask(client: &mut Option<Client>, request: &Request) -> Result<Answer, String> {
    // Files may have been renewed since a failure: everything is read anew then.
    let known = client.take().filter(|client| client.is_for(&request.server));
    let mut current = match known {
        Some(client) => client,
        None => Client::new(Arc::clone(&request.server))?,
    };
    let answer = current.ask(request)?;
    *client = Some(current);
    Ok(answer)
}
