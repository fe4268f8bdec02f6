//! POSTs reports, on a thread of its own: a request blocks, the daemon's loop does not.
//!
//! Both ways are bounded. The loop hands over one request at a time and gets one [`Outcome`] back for each.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use stbeacon_core::provisioning::{Auth, HttpUrl, Tls};
use tokio::sync::mpsc::Sender;
use ureq::Agent;
use ureq::http::{HeaderValue, Response, StatusCode, header};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::secrets;

/// What Debian, Buildroot, Yocto and OpenWrt all have.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A request as a whole, and two parts of it.
const TIMEOUT: Duration = Duration::from_secs(60);
const TIMEOUT_RESOLVE: Duration = Duration::from_secs(15);
const TIMEOUT_CONNECT: Duration = Duration::from_secs(15);

/// How many redirects in a row are followed.
const MAX_REDIRECTS: u32 = 4;

/// How much of an answer's body is read, so that the connection can be used again. Nobody looks at it.
const MAX_ANSWER: u64 = 64 * 1024;

/// Where and how to POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) url: HttpUrl,
    pub(crate) auth: Option<Auth>,
    pub(crate) tls: Tls,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) target: Arc<Target>,
    pub(crate) body: Vec<u8>,
    /// For the header `Mac-Address`; empty if the box has none.
    pub(crate) mac: String,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server answered.
    Answered {
        /// Its status; a redirect that is not followed included.
        status: u16,
        /// `Retry-After` as it came.
        retry_after: Option<String>,
    },
    /// There was no answer: the network, TLS, or a file that provisioning names.
    Failed(String),
}

/// The thread that POSTs.
#[derive(Debug)]
pub(crate) struct Poster {
    posts: SyncSender<Post>,
}

/// What the thread keeps between two requests, so that connections and parsed certificates last.
struct Client {
    target: Arc<Target>,
    agent: Agent,
    /// Certificate authorities take memory: they are read only where they are needed.
    has_roots: bool,
}

// === impl Poster ===

impl Poster {
    /// Starts the thread. It ends when this value and the loop's channel are gone.
    pub(crate) fn start(outcomes: Sender<Outcome>) -> std::io::Result<Self> {
        let (posts, queue) = sync_channel(1);
        // ureq's buffers are on the heap; TLS and the parsing of a root bundle stay well below this.
        thread::Builder::new()
            .name("post".into())
            .stack_size(512 * 1024)
            .spawn(move || serve(&queue, &outcomes))?;
        Ok(Self { posts })
    }

    /// Hands over a request; false while the last one still runs.
    pub(crate) fn post(&self, post: Post) -> bool {
        match self.posts.try_send(post) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
        }
    }
}

fn serve(queue: &Receiver<Post>, outcomes: &Sender<Outcome>) {
    let mut client = None;
    while let Ok(post) = queue.recv() {
        let outcome = send(&mut client, &post).unwrap_or_else(Outcome::Failed);
        if outcomes.blocking_send(outcome).is_err() {
            return;
        }
    }
}

fn send(client: &mut Option<Client>, post: &Post) -> Result<Outcome, String> {
    // Files may have been renewed since a failure: everything is read anew then.
    let known = client.take().filter(|client| client.target == post.target);
    let mut current = match known {
        Some(client) => client,
        None => Client::new(Arc::clone(&post.target))?,
    };
    let outcome = current.post(post)?;
    *client = Some(current);
    Ok(outcome)
}

// === impl Client ===

impl Client {
    fn new(target: Arc<Target>) -> Result<Self, String> {
        let has_roots = target.url.is_https();
        let agent = agent(tls_config(&target.tls, has_roots)?);
        Ok(Self { target, agent, has_roots })
    }

    fn post(&mut self, post: &Post) -> Result<Outcome, String> {
        let authorization = self.target.auth.as_ref().map(authorization).transpose()?;
        let mut url = self.target.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            if url.is_https() && !self.has_roots {
                self.agent = agent(tls_config(&self.target.tls, true)?);
                self.has_roots = true;
            }
            let mut request = self.agent.post(url.as_str()).header(header::CONTENT_TYPE, "application/json");
            if !post.mac.is_empty() {
                request = request.header("Mac-Address", &post.mac);
            }
            // A secret is for the server it was provisioned for, and nobody that it points to.
            if let Some(value) = authorization.as_ref().filter(|_| is_same_server(&url, &self.target.url)) {
                request = request.header(header::AUTHORIZATION, value);
            }
            let mut response = request.send(&post.body[..]).map_err(|error| describe(&error))?;
            let _ = response.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
            match redirect(&url, &response) {
                Some(next) => url = next?,
                None => return Ok(answer(&response)),
            }
        }
        Err(format!("more than {MAX_REDIRECTS} redirects in a row"))
    }
}

fn agent(tls: TlsConfig) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(TIMEOUT))
        .timeout_resolve(Some(TIMEOUT_RESOLVE))
        .timeout_connect(Some(TIMEOUT_CONNECT))
        .max_idle_connections(1)
        .user_agent(concat!("stbeacon/", env!("CARGO_PKG_VERSION")))
        .accept("")
        .tls_config(tls)
        .build();
    config.new_agent()
}

fn answer<T>(response: &Response<T>) -> Outcome {
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    Outcome::Answered { status: response.status().as_u16(), retry_after: retry_after.map(str::to_owned) }
}

/// Where a 307 or 308 points to; `None` for any other answer. The others turn a POST into a GET and lose it.
fn redirect<T>(from: &HttpUrl, response: &Response<T>) -> Option<Result<HttpUrl, String>> {
    if !matches!(response.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT) {
        return None;
    }
    let location = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
    Some(location.ok_or_else(|| "a redirect that names no place".to_owned()).and_then(|to| resolve(from, to)))
}

/// The absolute URL of a `Location` (RFC 9110 §10.2.2): absolute already, or a path on the same server.
fn resolve(from: &HttpUrl, location: &str) -> Result<HttpUrl, String> {
    let scheme = if from.is_https() { "https" } else { "http" };
    let absolute = if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{}{location}", from.host_and_port())
    } else {
        location.to_owned()
    };
    let to = HttpUrl::parse(&absolute).map_err(|error| format!("a redirect to no URL: {error}"))?;
    if from.is_https() && !to.is_https() {
        return Err(format!("a redirect from https to {to} is not followed"));
    }
    Ok(to)
}

fn is_same_server(a: &HttpUrl, b: &HttpUrl) -> bool {
    a.is_https() == b.is_https() && a.host_and_port().eq_ignore_ascii_case(b.host_and_port())
}

fn authorization(auth: &Auth) -> Result<HeaderValue, String> {
    let text = match auth {
        Auth::Basic { user, secret_file } => {
            format!(
                "Basic {}",
                BASE64_STANDARD.encode(format!("{user}:{}", secrets::read_line(secret_file)?))
            )
        }
        Auth::Bearer { secret_file } => format!("Bearer {}", secrets::read_line(secret_file)?),
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| format!("{}: holds what no header can", auth.secret_file().display()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The library's words, without an address: that may hold a secret.
fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "the URL cannot be used".to_owned(),
        ureq::Error::HostNotFound => "the server's name is not known".to_owned(),
        ureq::Error::ConnectionFailed => "no connection".to_owned(),
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        other => other.to_string(),
    }
}

fn tls_config(tls: &Tls, with_roots: bool) -> Result<TlsConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client =
        tls.client.as_ref().map(|files| client_cert(&provider, &files.cert, &files.key)).transpose()?;
    let roots = match &tls.ca {
        _ if !with_roots => Vec::new(),
        Some(path) => certificates(path)?,
        None => certificates(Path::new(SYSTEM_ROOTS))
            .map_err(|error| format!("{error}; install ca-certificates, or provision <tls ca=…>"))?,
    };
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(client)
        .unversioned_rustls_crypto_provider(provider)
        .build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(format!("{}: holds no certificate; expected PEM", path.display()));
    }
    Ok(certificates)
}

fn client_cert(provider: &Arc<CryptoProvider>, cert: &Path, key: &Path) -> Result<ClientCert, String> {
    let chain = certificates(cert)?;
    let pem = secrets::read(key)?;
    let no_key = || format!("{}: holds no private key that can be used; expected PEM", key.display());
    // The HTTP library takes for granted that the two belong together, so that is found out before.
    let key_der = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| no_key())?;
    let chain_der =
        chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec())).collect();
    rustls::ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_client_auth_cert(chain_der, key_der)
        .map_err(|error| format!("{} and {} do not fit: {error}", cert.display(), key.display()))?;
    let key = PrivateKey::from_pem(&pem).map_err(|_| no_key())?;
    Ok(ClientCert::new_with_certs(&chain, key))
}
