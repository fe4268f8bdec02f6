//! https, with a certificate of the operator's.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rstest::rstest;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{Collector, command};

/// Writes both, and gives the roots that trust the certificate.
fn certificate(directory: &Path) -> RootCertStore {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(directory.join("cert.pem"), cert.pem()).unwrap();
    fs::write(directory.join("key.pem"), signing_key.serialize_pem()).unwrap();
    fs::set_permissions(directory.join("key.pem"), Permissions::from_mode(0o600)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    roots
}

/// The collector, with the certificate and key that are there.
fn command_with_tls(data: &Path) -> Command {
    let mut command = command(data);
    command.arg("--tls-cert").arg(data.join("cert.pem")).arg("--tls-key").arg(data.join("key.pem"));
    command
}

#[test]
fn lines_come_over_https_and_over_nothing_else() {
    let data = tempfile::tempdir().unwrap();
    let roots = certificate(data.path());
    let collector = Collector::start_with(command_with_tls(data.path()));

    // One who begins, and says no more, holds nobody up.
    let mut idle = collector.connect();
    idle.write_all(b"\x16\x03\x01").unwrap();
    let mut plain = collector.connect();
    plain.write_all(b"GET /?a=I~c=1~d=b~e=0~w=0 HTTP/1.1\r\nHost: c\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{}", String::from_utf8_lossy(&answer));

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(config, name).unwrap();
    let mut stream = StreamOwned::new(connection, collector.connect());
    for (path, told) in [("/?a=I~c=2~d=b~e=0~w=0", "GIF89a"), ("/-/status", "\"running_sessions\":1")] {
        let close = if path == "/-/status" { "Connection: close\r\n" } else { "" };
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n{close}\r\n").unwrap();
        let mut answer = Vec::new();
        while !String::from_utf8_lossy(&answer).contains(told) {
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes).unwrap();
            assert!(count > 0, "{path}: {}", String::from_utf8_lossy(&answer));
            answer.extend_from_slice(&bytes[..count]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[rstest]
#[case("cert.pem", "nothing", "cert.pem: no certificate in it")]
#[case("key.pem", "nothing", "key.pem: no private key in it")]
fn what_is_no_certificate(#[case] file: &str, #[case] content: &str, #[case] told: &str) {
    let data = tempfile::tempdir().unwrap();
    certificate(data.path());
    fs::write(data.path().join(file), content).unwrap();
    let output = command_with_tls(data.path()).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && log.contains(told), "{log}");
}
