//! TLS: the certificate and the key that connections are made with.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use crate::secrets;

/// Reads a certificate, with those that lead to its authority behind it, and its key, both PEM. Others than its owner may
/// not read the key.
///
/// # Errors
/// Says which file is wrong, and what is.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, String> {
    let wrong = |file: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let pem = std::fs::read(certificate).map_err(|error| wrong(certificate, &error))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.map_err(|error| wrong(certificate, &error))?;
    if chain.is_empty() {
        return Err(wrong(certificate, &"no certificate in it; expected PEM"));
    }
    let secret = PrivateKeyDer::from_pem_slice(&secrets::read(key)?);
    let secret =
        secret.map_err(|error| wrong(key, &format!("no private key in it; expected PEM: {error}")))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, secret))
        .map_err(|error| wrong(key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
