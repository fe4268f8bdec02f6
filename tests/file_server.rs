//! A web server for HLS: files of one directory, as fast or as slow as wanted.

use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tiny_http::{Request, Response, Server, StatusCode};

use crate::Error;

/// Serves a directory on a free port of loopback.
pub struct FileServer {
    address: SocketAddr,
    server: Arc<Server>,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    root: PathBuf,
    /// Bytes a second; 0 is no limit.
    rate: AtomicU64,
    sent: AtomicU64,
    requested: Mutex<Vec<String>>,
}

impl FileServer {
    /// Serves what is in `root`.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start(root: &Path) -> Result<Self, Error> {
        let server = Server::http("127.0.0.1:0").map_err(|e| Error::io("the file server", e))?;
        let server = Arc::new(server);
        let address = server.server_addr().to_ip().ok_or_else(|| Error::new("no address"))?;
        let state = Arc::new(State {
            root: root.to_owned(),
            rate: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            requested: Mutex::default(),
        });
        let thread = thread::spawn({
            let (server, state) = (Arc::clone(&server), Arc::clone(&state));
            move || {
                for request in server.incoming_requests() {
                    let state = Arc::clone(&state);
                    thread::spawn(move || serve(request, &state));
                }
            }
        });
        Ok(Self { address, server, state, thread: Some(thread) })
    }

    /// The URL of a file.
    #[must_use]
    pub fn url(&self, file: &str) -> String {
        format!("http://{}/{file}", self.address)
    }

    /// From now on sends so many bytes a second on each connection; 0 is no limit.
    pub fn set_rate(&self, bytes_per_second: u64) {
        self.state.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Paths that were asked for, in order.
    #[must_use]
    pub fn requested(&self) -> Vec<String> {
        self.state.requested.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Bytes of file content sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        self.server.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for FileServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileServer").field("address", &self.address).finish_non_exhaustive()
    }
}

fn serve(request: Request, state: &Arc<State>) {
    let path = request.url().split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
    let inside = Path::new(&path).components().all(|c| matches!(c, Component::Normal(_)));
    state.requested.lock().unwrap_or_else(PoisonError::into_inner).push(path.clone());
    let file = state.root.join(&path);
    // A player that hangs up in the middle is its own affair.
    let _ = match fs::read(&file) {
        Ok(content) if inside => {
            let length = content.len();
            let body = Throttled { content: io::Cursor::new(content), state: Arc::clone(state) };
            request.respond(Response::new(StatusCode(200), Vec::new(), body, Some(length), None))
        }
        _ => request.respond(Response::empty(404)),
    };
}

/// A file's content that comes in pieces with pauses between them.
struct Throttled {
    content: io::Cursor<Vec<u8>>,
    state: Arc<State>,
}

impl Read for Throttled {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rate = self.state.rate.load(Ordering::Relaxed);
        let piece = if rate == 0 { buffer.len() } else { buffer.len().min(4096) };
        let read = self.content.read(buffer.get_mut(..piece).unwrap_or_default())?;
        let bytes = u64::try_from(read).unwrap_or_default();
        self.state.sent.fetch_add(bytes, Ordering::Relaxed);
        if let Some(millis) = (bytes * 1000).checked_div(rate) {
            // The very thing asked for: a slow network.
            thread::sleep(Duration::from_millis(millis));
        }
        Ok(read)
    }
}
