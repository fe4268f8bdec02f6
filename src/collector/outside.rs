//! Requests to other servers: webhooks, and services that are polled.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::http::Response;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

/// A request as a whole.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Largest answer that is read.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;
/// Where Debian and others keep the certificate authorities.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A client for one URL. Proxies are those of the environment (`https_proxy` and its like), unless they are bypassed.
///
/// # Errors
/// Where the URL is none, or it takes certificates that cannot be read.
pub(crate) fn client(url: &str, bypass_proxy: bool) -> Result<Agent, String> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .timeout_global(Some(TIMEOUT))
        .user_agent(concat!("stbeacon-collector/", env!("CARGO_PKG_VERSION")));
    let config = if bypass_proxy { config.proxy(None) } else { config };
    let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    let config = match scheme.as_deref() {
        Some("http") => config,
        Some("https") => config.tls_config(tls()?),
        _ => return Err(format!("{url:?}: expected a URL that begins with http:// or https://")),
    };
    Ok(config.build().new_agent())
}

/// Asks for JSON, with the value of `Authorization`; the status, and what was answered.
///
/// # Errors
/// Where there was no answer, said without any secret.
pub(crate) fn get(agent: &Agent, url: &str, authorization: Option<&str>) -> Result<(u16, Vec<u8>), String> {
    let mut request = agent.get(url).header("Accept", "application/json");
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    read(request.call())
}

/// Posts JSON, with the value of `Authorization`; the status, and what was answered.
///
/// # Errors
/// Where there was no answer, said without any secret.
pub(crate) fn send(
    agent: &Agent,
    url: &str,
    authorization: Option<&str>,
    body: &str,
) -> Result<(u16, Vec<u8>), String> {
    let mut request = agent.post(url).header("Content-Type", "application/json");
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    read(request.send(body))
}

/// Deletes, with the value of `Authorization`; the status, and what was answered.
///
/// # Errors
/// Where there was no answer, said without any secret.
pub(crate) fn delete(
    agent: &Agent,
    url: &str,
    authorization: Option<&str>,
) -> Result<(u16, Vec<u8>), String> {
    let mut request = agent.delete(url);
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    read(request.call())
}

fn read(answer: Result<Response<Body>, ureq::Error>) -> Result<(u16, Vec<u8>), String> {
    let mut answer = answer.map_err(|error| error.to_string())?;
    let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
    Ok((answer.status().as_u16(), body.map_err(|error| error.to_string())?))
}

/// Posts JSON; the status.
///
/// # Errors
/// Where there was no answer.
pub(crate) fn post(url: &str, body: &str) -> Result<u16, String> {
    let agent = client(url, false)?;
    let request = agent.post(url).header("Content-Type", "application/json");
    Ok(request.send(body).map_err(|error| error.to_string())?.status().as_u16())
}

fn tls() -> Result<TlsConfig, String> {
    let pem = std::fs::read(Path::new(SYSTEM_ROOTS))
        .map_err(|error| format!("{SYSTEM_ROOTS}: {error}; install ca-certificates"))?;
    let roots: Vec<Certificate<'static>> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}
