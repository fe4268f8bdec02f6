//! Certificates, from the files that provisioning names.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use stbeacon_core::provisioning::Tls;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, parse_pem};

use crate::secrets;

/// What Debian, Buildroot, Yocto and OpenWrt all have.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// # Errors
/// Where a file cannot be read or does not fit, with its name.
pub(super) fn tls_config(tls: &Tls, with_roots: bool) -> Result<TlsConfig, String> {
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
