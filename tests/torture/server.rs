//! A server at its worst: refuses, hangs, hangs up, answers with every status, or with half an answer.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use super::Random;
use crate::Error;

/// How long it hangs, or refuses.
const PAUSE: Duration = Duration::from_millis(200);

/// A server that keeps what it takes, and misbehaves until told not to.
#[derive(Debug)]
pub(super) struct FaultyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// One request that came whole.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    /// Path and query.
    pub(super) target: String,
    /// `X-Stbeacon-Id`, or empty.
    pub(super) id: String,
    /// The body.
    pub(super) body: Vec<u8>,
    /// Whether the server took it: its answer was 200, whether or not that arrived.
    pub(super) is_kept: bool,
}

#[derive(Debug, Default)]
struct Shared {
    is_calm: AtomicBool,
    is_over: AtomicBool,
    random: Mutex<Option<Random>>,
    requests: Mutex<Vec<Taken>>,
    faults: Mutex<BTreeSet<&'static str>>,
}

/// What happens to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Answer(u16),
    /// Nobody listens for a while.
    Refuse,
    /// No answer, then the end of the connection.
    Hang,
    /// The connection is reset in the middle of the body.
    ResetInBody,
    /// Taken, and the connection reset in place of an answer.
    TakeAndReset,
    /// Taken, and half of the answer.
    HalfAnswer,
}

// === impl FaultyServer ===

impl FaultyServer {
    pub(super) fn start(random: Random) -> Result<Self, Error> {
        let no_socket = |e| Error::io("the faulty server", e);
        let listener = TcpListener::bind("127.0.0.1:0").map_err(no_socket)?;
        let address = listener.local_addr().map_err(no_socket)?;
        let shared = Arc::new(Shared { random: Mutex::new(Some(random)), ..Shared::default() });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(listener, address, &shared)
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    pub(super) fn host(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on every request is answered with 200.
    pub(super) fn calm(&self) {
        self.shared.is_calm.store(true, Ordering::SeqCst);
    }

    /// All requests that came whole.
    pub(super) fn requests(&self) -> Vec<Taken> {
        lock(&self.shared.requests).clone()
    }

    /// Which faults there were.
    pub(super) fn faults(&self) -> BTreeSet<&'static str> {
        lock(&self.shared.faults).clone()
    }
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread, which waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(mut listener: TcpListener, address: SocketAddr, shared: &Arc<Shared>) {
    while !shared.is_over.load(Ordering::SeqCst) {
        let Ok((stream, _)) = listener.accept() else { continue };
        let serving = thread::spawn({
            let shared = Arc::clone(shared);
            move || serve(&stream, &shared)
        });
        // One after the other, as the agent asks: so a refusal can take the listener away.
        if serving.join().is_ok_and(|refuse| refuse) {
            drop(listener);
            thread::sleep(PAUSE);
            listener = loop {
                if let Ok(listener) = TcpListener::bind(address) {
                    break listener;
                }
                thread::sleep(Duration::from_millis(5));
            };
        }
    }
}

/// Serves one connection; gives whether nobody shall listen for a while.
fn serve(stream: &TcpStream, shared: &Shared) -> bool {
    // An agent that was killed leaves its connection to the kernel, which closes it.
    let _ = stream.set_read_timeout(Some(PAUSE));
    let mut reader = BufReader::new(stream);
    loop {
        if shared.is_over.load(Ordering::SeqCst) {
            return false;
        }
        let Some((target, id, length)) = head(&mut reader) else { return false };
        let fate = shared.fate();
        let name = fate.name();
        lock(&shared.faults).insert(name);
        if fate == Fate::ResetInBody {
            let mut half = vec![0; length / 2];
            let _ = reader.read_exact(&mut half);
            reset(stream);
            return false;
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return false;
        }
        let is_kept = matches!(fate, Fate::Answer(200) | Fate::TakeAndReset | Fate::HalfAnswer);
        if is_kept || matches!(fate, Fate::Answer(_)) {
            lock(&shared.requests).push(Taken { target, id, body, is_kept });
        }
        let mut out = stream;
        match fate {
            Fate::Answer(status) => {
                let retry = if status == 429 { "Retry-After: 1\r\n" } else { "" };
                let text = format!("HTTP/1.1 {status} x\r\n{retry}Content-Length: 0\r\n\r\n");
                if out.write_all(text.as_bytes()).is_err() {
                    return false;
                }
            }
            Fate::HalfAnswer => {
                let _ = out.write_all(b"HTTP/1.1 200 OK\r\nContent-Le");
                return false;
            }
            Fate::TakeAndReset | Fate::ResetInBody => {
                reset(stream);
                return false;
            }
            Fate::Hang => {
                thread::sleep(PAUSE);
                return false;
            }
            Fate::Refuse => return true,
        }
    }
}

/// Request line and headers: target, id, and the body's length.
fn head(reader: &mut impl BufRead) -> Option<(String, String, usize)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let target = line.split(' ').nth(1)?.to_owned();
    let (mut id, mut length) = (String::new(), 0);
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.split_once(':') else { return Some((target, id, length)) };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "x-stbeacon-id" => id = value.trim().to_owned(),
            _ => {}
        }
    }
}

/// Ends the connection with a reset, not in order (socket(7), SO_LINGER).
fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Shared ===

impl Shared {
    fn fate(&self) -> Fate {
        if self.is_calm.load(Ordering::SeqCst) {
            return Fate::Answer(200);
        }
        let number = lock(&self.random).as_mut().map_or(0, |random| random.below(100));
        match number {
            0..40 => Fate::Answer(200),
            40..50 => Fate::Answer(500),
            50..60 => Fate::Answer(503),
            60..65 => Fate::Answer(429),
            65..68 => Fate::Answer(400),
            68..74 => Fate::Refuse,
            74..80 => Fate::Hang,
            80..86 => Fate::ResetInBody,
            86..93 => Fate::TakeAndReset,
            _ => Fate::HalfAnswer,
        }
    }
}

// === impl Fate ===

impl Fate {
    const fn name(self) -> &'static str {
        match self {
            Self::Answer(200) => "200",
            Self::Answer(400) => "400",
            Self::Answer(429) => "429",
            Self::Answer(500) => "500",
            Self::Answer(_) => "503",
            Self::Refuse => "refused",
            Self::Hang => "hung",
            Self::ResetInBody => "reset in the body",
            Self::TakeAndReset => "taken and reset",
            Self::HalfAnswer => "half an answer",
        }
    }
}
