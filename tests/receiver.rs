//! The operator's server: takes reports, keeps them, and refuses what is not right.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use tiny_http::{Header, Request, Response, Server};

use crate::report::Judge;
use crate::{Error, Media, Network, Report, wait};

/// A real HTTP server on loopback that keeps every request and checks every body.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    server: ServerHandle,
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
}

/// One request, in the order of arrival.
#[derive(Debug, Clone)]
pub struct Post {
    /// GET, POST.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As sent.
    pub body: Vec<u8>,
    /// When the body was complete.
    pub at: Instant,
    /// The same on the wall clock.
    pub wall: SystemTime,
    /// The status that was answered.
    pub status: u16,
    /// The body as reports, or what is wrong with it.
    pub reports: Result<Vec<Report>, String>,
}

/// A fault to answer with, in place of the right answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Extra headers, such as `Retry-After`.
    pub headers: Vec<(String, String)>,
    /// How long to wait before it.
    pub delay: Duration,
}

#[derive(Clone)]
struct ServerHandle(Arc<Server>);

#[derive(Debug, Default)]
struct Shared {
    posts: Vec<Post>,
    answers: VecDeque<Answer>,
    /// So many media reports were given as new ones.
    given: usize,
}

// === impl Receiver ===

impl Receiver {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// If it cannot listen.
    pub fn start() -> Result<Self, Error> {
        let listener =
            TcpListener::bind("127.0.0.1:0").map_err(|e| Error::io("cannot listen on loopback", e))?;
        Self::on(listener)
    }

    /// Serves a socket that listens already, in whichever network namespace it was made.
    ///
    /// # Errors
    /// If the socket cannot be used.
    pub fn on(listener: TcpListener) -> Result<Self, Error> {
        let address = listener.local_addr().map_err(|e| Error::io("the receiver's address", e))?;
        let server = Server::from_listener(listener, None).map_err(|e| Error::io("the receiver", e))?;
        let server = ServerHandle(Arc::new(server));
        let judge = Judge::new()?;
        let shared = Arc::new(Mutex::new(Shared::default()));
        let thread = thread::spawn({
            let (server, shared) = (server.clone(), Arc::clone(&shared));
            move || {
                for request in server.0.incoming_requests() {
                    serve(request, &judge, &shared);
                }
            }
        });
        Ok(Self { address, server, shared, thread: Some(thread) })
    }

    /// Where reports are to be sent.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/stats?box=test", self.address)
    }

    /// Queues faults: each is the answer to one request to come.
    pub fn answer_with(&self, answers: impl IntoIterator<Item = Answer>) {
        self.lock().answers.extend(answers);
    }

    /// All requests so far.
    #[must_use]
    pub fn posts(&self) -> Vec<Post> {
        self.lock().posts.clone()
    }

    /// All reports that were taken (answered 2xx) so far, in order.
    #[must_use]
    pub fn reports(&self) -> Vec<Report> {
        let taken = |post: &Post| (200..300).contains(&post.status);
        self.lock()
            .posts
            .iter()
            .filter(|p| taken(p))
            .filter_map(|p| p.reports.clone().ok())
            .flatten()
            .collect()
    }

    /// All media reports that were taken so far.
    #[must_use]
    pub fn media(&self) -> Vec<Media> {
        let media = |report| if let Report::Media(media) = report { Some(media) } else { None };
        self.reports().into_iter().filter_map(media).collect()
    }

    /// All network reports that were taken so far.
    #[must_use]
    pub fn network(&self) -> Vec<Network> {
        let network = |report| if let Report::Network(network) = report { Some(network) } else { None };
        self.reports().into_iter().filter_map(network).collect()
    }

    /// Waits until `enough` gives something.
    ///
    /// # Errors
    /// After `limit`, with every body so far; at once if a body was not right.
    pub fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut enough: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T, Error> {
        let found = wait::until(what, limit, || match self.check() {
            Err(error) => Some(Err(error)),
            Ok(()) => enough(self).map(Ok),
        });
        match found {
            Ok(found) => found,
            Err(error) => {
                let bodies: Vec<_> =
                    self.posts().iter().map(|p| String::from_utf8_lossy(&p.body).into_owned()).collect();
                Err(error.with_log("bodies received", &bodies.join("\n")))
            }
        }
    }

    /// Waits for `count` media reports and gives them.
    ///
    /// # Errors
    /// As [`Receiver::wait_for`].
    pub fn wait_for_media(&self, count: usize, limit: Duration) -> Result<Vec<Media>, Error> {
        self.wait_for(&format!("{count} media reports"), limit, |receiver| {
            let media = receiver.media();
            (media.len() >= count).then_some(media)
        })
    }

    /// Waits for media reports that this has not given yet, and gives them.
    ///
    /// # Errors
    /// As [`Receiver::wait_for`].
    pub fn wait_for_new_media(&self, limit: Duration) -> Result<Vec<Media>, Error> {
        self.wait_for("a new media report", limit, |receiver| {
            let mut media = receiver.media();
            let given = std::mem::replace(&mut receiver.lock().given, media.len());
            let new = media.split_off(given.min(media.len()));
            (!new.is_empty()).then_some(new)
        })
    }

    /// Whether every body so far was right.
    ///
    /// # Errors
    /// With the first that was not.
    pub fn check(&self) -> Result<(), Error> {
        for post in &self.lock().posts {
            if let Err(why) = &post.reports {
                return Err(Error::new(format!("the receiver refused a body: {why}"))
                    .with_log("body", &String::from_utf8_lossy(&post.body)));
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.0.unblock();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

// === impl Answer ===

impl Answer {
    /// A bare status.
    #[must_use]
    pub const fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), delay: Duration::ZERO }
    }

    /// With one more header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Given only after `delay`.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

// === impl ServerHandle ===

impl std::fmt::Debug for ServerHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
}

fn serve(mut request: Request, judge: &Judge, shared: &Arc<Mutex<Shared>>) {
    let mut body = Vec::new();
    let read = request.as_reader().read_to_end(&mut body);
    let headers: Vec<_> = request
        .headers()
        .iter()
        .map(|h| (h.field.as_str().as_str().to_ascii_lowercase(), h.value.as_str().to_owned()))
        .collect();
    let method = request.method().to_string();
    let reports = match read {
        Ok(_) => judge_request(judge, &method, &headers, &body),
        Err(error) => Err(format!("the body broke off: {error}")),
    };
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let fallback = Answer::status(if reports.is_ok() { 200 } else { 400 });
    let answer = shared.answers.pop_front().unwrap_or(fallback);
    shared.posts.push(Post {
        method,
        target: request.url().to_owned(),
        headers,
        body,
        at: Instant::now(),
        wall: SystemTime::now(),
        status: answer.status,
        reports,
    });
    drop(shared);

    let mut response = Response::empty(answer.status);
    for (name, value) in &answer.headers {
        if let Ok(header) = Header::from_bytes(name.as_bytes(), value.as_bytes()) {
            response.add_header(header);
        }
    }
    if answer.delay.is_zero() {
        // A client that went away has had its answer as far as this server is concerned.
        let _ = request.respond(response);
    } else {
        thread::spawn(move || {
            thread::sleep(answer.delay);
            let _ = request.respond(response);
        });
    }
}

fn judge_request(
    judge: &Judge,
    method: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<Vec<Report>, String> {
    if method != "POST" {
        return Err(format!("{method}, not POST"));
    }
    let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    match header("content-type") {
        Some("application/json") => {}
        other => return Err(format!("Content-Type {other:?}, not application/json")),
    }
    if header("mac-address").is_none_or(str::is_empty) {
        return Err("no Mac-Address".to_owned());
    }
    judge.read(body)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;

    use super::*;

    /// A client of our own, so that nothing is taken on trust from the daemon's.
    fn post(receiver: &Receiver, body: &str) -> String {
        let mut stream = TcpStream::connect(receiver.address).unwrap();
        write!(
            stream,
            "POST /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Mac-Address: 02:00:00:00:00:01\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.lines().next().unwrap().to_owned()
    }

    #[test]
    fn refuses_null_and_keeps_it_for_the_record() {
        let receiver = Receiver::start().unwrap();
        assert!(post(&receiver, r#"[{"type":"media","timestamp":1,"url":null}]"#).contains("400"));
        assert!(receiver.check().is_err());
        assert!(receiver.reports().is_empty());
        assert_eq!(receiver.posts().len(), 1);
    }

    #[test]
    fn answers_faults_in_their_turn() {
        let network = r#"[{"type":"network","timestamp":1,"name":"e","speed":0,"duplex":"half","ip":"",
            "netmask":"","gateway":"","stat":{"received_bytes":0,"received_total_packets":0,
            "received_multicast_packets":0,"received_error_packets":0,"received_discard_packets":0,
            "sent_bytes":0,"sent_total_packets":0,"sent_error_packets":0}}]"#;
        let receiver = Receiver::start().unwrap();
        receiver.answer_with([Answer::status(503).header("Retry-After", "1")]);
        assert!(post(&receiver, network).contains("503"));
        assert!(receiver.network().is_empty(), "not taken");
        assert!(post(&receiver, network).contains("200"));
        assert_eq!(receiver.network().len(), 1);
    }
}
