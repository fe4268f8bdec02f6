//! An analytics endpoint: takes lines, keeps them, puts those that were split together again.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use stbeacon_core::line::decode::{Line, join};
use stbeacon_core::line::keys::{Event, Metric};
use tiny_http::{Header, Response, Server};

use crate::{Error, wait};

/// A GIF of one transparent point: what endpoints of this kind answer.
const GIF: &[u8] =
    b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x01D\0;";

/// A real HTTP server that keeps every line.
pub struct LineReceiver {
    address: SocketAddr,
    server: Arc<Server>,
    lines: Arc<Mutex<Vec<ReceivedLine>>>,
    thread: Option<JoinHandle<()>>,
}

/// One line as it came, or several parts of one put together.
#[derive(Debug, Clone)]
pub struct ReceivedLine {
    /// Path and query.
    pub target: String,
    /// When it came.
    pub at: SystemTime,
}

// === impl LineReceiver ===

impl LineReceiver {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start() -> Result<Self, Error> {
        let listener =
            TcpListener::bind("127.0.0.1:0").map_err(|e| Error::io("cannot listen on loopback", e))?;
        Self::on(listener)
    }

    /// Serves a socket that listens already.
    ///
    /// # Errors
    /// If the socket cannot be used.
    pub fn on(listener: TcpListener) -> Result<Self, Error> {
        let server = Server::from_listener(listener, None).map_err(|e| Error::io("the line receiver", e))?;
        let server = Arc::new(server);
        let address = server.server_addr().to_ip().ok_or_else(|| Error::new("no address"))?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let thread = thread::spawn({
            let (server, lines) = (Arc::clone(&server), Arc::clone(&lines));
            move || {
                for request in server.incoming_requests() {
                    let line = ReceivedLine { target: request.url().to_owned(), at: SystemTime::now() };
                    lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                    let gif = Header::from_bytes("Content-Type", "image/gif").ok();
                    let response = Response::from_data(GIF);
                    // A box that hangs up has its line taken all the same.
                    let _ = request.respond(gif.into_iter().fold(response, Response::with_header));
                }
            }
        });
        Ok(Self { address, server, lines, thread: Some(thread) })
    }

    /// What `<media_analytics host=…>` names.
    #[must_use]
    pub fn host(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All whole lines so far, the parts of split ones put together.
    ///
    /// # Errors
    /// If one is not a line, or parts do not fit.
    pub fn lines(&self) -> Result<Vec<ReceivedLine>, Error> {
        let requests = self.requests();
        let mut whole = Vec::new();
        let mut parts: Vec<Line<'_>> = Vec::new();
        for request in &requests {
            let line = request.read()?;
            let Some((_, of)) = line.part() else {
                whole.push(request.clone());
                continue;
            };
            parts.push(line);
            if u32::try_from(parts.len()).is_ok_and(|got| got == of) {
                let joined = join(&parts).map_err(|e| Error::io(request.target.clone(), e))?;
                let address = joined.address.unwrap_or_default();
                whole.push(ReceivedLine { target: format!("{address}?{joined}"), at: request.at });
                parts.clear();
            }
        }
        Ok(whole)
    }

    /// Waits for the line that ends an attempt, and gives all so far.
    ///
    /// # Errors
    /// After `limit`, with every line so far.
    pub fn wait_for_end(&self, limit: Duration) -> Result<Vec<ReceivedLine>, Error> {
        let ended = wait::until("the line that ends the attempt", limit, || {
            let lines = match self.lines() {
                Ok(lines) => lines,
                Err(error) => return Some(Err(error)),
            };
            let is_end = |line: &ReceivedLine| {
                line.read().is_ok_and(|line| matches!(line.event(), Some(Event::Complete | Event::Error)))
            };
            lines.iter().any(is_end).then_some(Ok(lines))
        });
        let so_far = || self.requests().into_iter().map(|line| line.target).collect::<Vec<_>>().join("\n");
        ended.map_err(|error| error.with_log("lines received", &so_far()))?
    }
}

impl Drop for LineReceiver {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for LineReceiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LineReceiver").field("address", &self.address).finish_non_exhaustive()
    }
}

// === impl ReceivedLine ===

impl ReceivedLine {
    /// The line, taken apart.
    ///
    /// # Errors
    /// Where it breaks.
    pub fn read(&self) -> Result<Line<'_>, Error> {
        Line::read(&self.target).map_err(|e| Error::io(self.target.clone(), e))
    }

    /// A whole number of it; `None` where it has none.
    #[must_use]
    pub fn integer(&self, metric: Metric) -> Option<u64> {
        self.read().ok()?.value(metric)?.parse().ok()
    }
}
