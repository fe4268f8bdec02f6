//! What a worker keeps between two requests.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use stbeacon_core::provisioning::{Auth, HttpUrl};
use ureq::http::{HeaderValue, Response, StatusCode, header};
use ureq::tls::TlsConfig;
use ureq::{Agent, Body, RequestBuilder};

use super::gzip::Gzip;
use super::tls::tls_config;
use super::{Answer, Method, Request, Server};
use crate::secrets;

/// A request as a whole, and two parts of it.
const TIMEOUT: Duration = Duration::from_secs(60);
const TIMEOUT_RESOLVE: Duration = Duration::from_secs(15);
const TIMEOUT_CONNECT: Duration = Duration::from_secs(15);

/// How many redirects in a row are followed.
const MAX_REDIRECTS: u32 = 4;

/// How much of an answer's body is read where nobody looks at it, so that the connection can be used again.
const MAX_IGNORED: u64 = 64 * 1024;

/// Connections and parsed certificates, which last.
pub(super) struct Client {
    server: Arc<Server>,
    agent: Agent,
    /// Certificate authorities take memory: they are read only where they are needed.
    has_roots: bool,
    gzip: Gzip,
}

// === impl Client ===

impl Client {
    pub(super) fn new(server: Arc<Server>) -> Result<Self, String> {
        let has_roots = server.url.is_https();
        let agent = agent(tls_config(&server.tls, has_roots)?);
        let gzip = Gzip::new(server.gzip);
        Ok(Self { server, agent, has_roots, gzip })
    }

    pub(super) fn is_for(&self, server: &Server) -> bool {
        *self.server == *server
    }

    pub(super) fn ask(&mut self, request: &Request) -> Result<Answer, String> {
        let Method::Post(body) = &request.method else { return self.go(request, None) };
        let compressed = self.gzip.compress(body).map_err(|error| format!("gzip: {error}"))?;
        let Some(compressed) = compressed else { return self.go(request, None) };
        let answer = self.go(request, Some(&compressed))?;
        if !self.gzip.handle_answer(answer.status) {
            return Ok(answer);
        }
        let plain = self.go(request, None)?;
        if self.gzip.handle_plain_answer(plain.status) {
            let (url, status) = (&self.server.url, answer.status);
            log::warn!("{url} takes no gzip (it answered {status}): bodies go uncompressed from here on");
        }
        Ok(plain)
    }

    /// Sends the request, with the body as compressed before if it is to be.
    fn go(&mut self, request: &Request, compressed: Option<&[u8]>) -> Result<Answer, String> {
        let authorization = self.server.auth.as_ref().map(authorization).transpose()?;
        let mut url = request.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            if url.is_https() && !self.has_roots {
                self.agent = agent(tls_config(&self.server.tls, true)?);
                self.has_roots = true;
            }
            // A secret is for the server it was provisioned for, and nobody that it points to.
            let authorization = authorization.as_ref().filter(|_| is_same_server(&url, &self.server.url));
            let mac = Some(&request.mac).filter(|mac| !mac.is_empty());
            let response = match &request.method {
                Method::Get => with(self.agent.get(url.as_str()), mac, authorization).call(),
                Method::Post(body) => {
                    let mut post = with(self.agent.post(url.as_str()), mac, authorization);
                    if let Some(id) = &request.id {
                        post = post.header("X-Stbeacon-Id", id);
                    }
                    let post = post.header(header::CONTENT_TYPE, "application/json");
                    match compressed {
                        Some(compressed) => post.header(header::CONTENT_ENCODING, "gzip").send(compressed),
                        None => post.send(&body[..]),
                    }
                }
            };
            let mut response = response.map_err(|error| describe(&error))?;
            if let Some(next) = redirect(&request.method, &url, &response) {
                ignore(&mut response);
                url = next?;
                continue;
            }
            return answer(&mut response, request.max_answer);
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

fn with<B>(
    mut request: RequestBuilder<B>,
    mac: Option<&String>,
    authorization: Option<&HeaderValue>,
) -> RequestBuilder<B> {
    if let Some(mac) = mac {
        request = request.header("Mac-Address", mac);
    }
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    request
}

fn answer(response: &mut Response<Body>, max_answer: u64) -> Result<Answer, String> {
    let retry_after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let (status, retry_after) = (response.status().as_u16(), retry_after.map(str::to_owned));
    let body = if max_answer == 0 {
        ignore(response);
        Vec::new()
    } else {
        let read = response.body_mut().with_config().limit(max_answer).read_to_vec();
        read.map_err(|error| format!("the answer cannot be read: {}", describe(&error)))?
    };
    Ok(Answer { status, retry_after, body })
}

fn ignore(response: &mut Response<Body>) {
    let _ = response.body_mut().with_config().limit(MAX_IGNORED).read_to_vec();
}

/// Where a redirect that is followed points to; `None` for any other answer.
fn redirect<T>(method: &Method, from: &HttpUrl, response: &Response<T>) -> Option<Result<HttpUrl, String>> {
    let is_followed = match response.status() {
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        // These turn a POST into a GET, and lose it.
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND | StatusCode::SEE_OTHER => {
            matches!(method, Method::Get)
        }
        _ => false,
    };
    if !is_followed {
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
        ureq::Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(rustls::Error::InvalidMessage(_)) => {
                "what the server answers is not TLS; does it take http://?".to_owned()
            }
            _ => error.to_string(),
        },
        // An alert of TLS, say.
        ureq::Error::Protocol(error) if error.to_string().ends_with("invalid HTTP version") => {
            "what the server answers is not HTTP; does it take https:// alone?".to_owned()
        }
        ureq::Error::Rustls(error) => format!("TLS: {error}"),
        other => other.to_string(),
    }
}
