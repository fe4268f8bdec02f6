//! https: a certificate authority of the operator's own, and a certificate of the box's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::common::{TestBox, media_only};

/// An authority, and what it signs.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, both PEM, both DER.
struct Signed {
    cert_pem: String,
    key_pem: String,
    cert: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    fn sign(&self, name: &str) -> Signed {
        self.sign_from(name, None)
    }

    /// Good only from then on.
    fn sign_from(&self, name: &str, not_before: Option<SystemTime>) -> Signed {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        if let Some(not_before) = not_before {
            params.not_before = not_before.into();
        }
        let cert = params.signed_by(&key, &self.0).unwrap();
        Signed {
            cert_pem: cert.pem(),
            key_pem: key.serialize_pem(),
            cert: cert.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    /// A server of this authority's that takes only its own boxes; what it gets, and whether a box showed a
    /// certificate.
    fn serve(&self) -> (u16, Receiver<(String, bool)>) {
        self.serve_answering("204 No Content", "")
    }

    /// The same, with this status line and body.
    fn serve_answering(&self, status: &str, body: &str) -> (u16, Receiver<(String, bool)>) {
        self.serve_as(self.sign("localhost"), status, body)
    }

    /// The same, with this certificate.
    fn serve_as(&self, server: Signed, status: &str, body: &str) -> (u16, Receiver<(String, bool)>) {
        let length = body.len();
        let answer =
            format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.allow_unauthenticated().build().unwrap())
            .with_single_cert(vec![server.cert], server.key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (sender, got) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                // A client that does not trust us goes away in the handshake.
                if let Some(request) = one_request(StreamOwned::new(connection, stream.unwrap()), &answer) {
                    let _ = sender.send(request);
                }
            }
        });
        (port, got)
    }
}

fn one_request(
    stream: StreamOwned<ServerConnection, std::net::TcpStream>,
    answer: &str,
) -> Option<(String, bool)> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let is_known = reader.get_ref().conn.peer_certificates().is_some();
    let mut stream = reader.into_inner();
    stream.write_all(answer.as_bytes()).ok()?;
    stream.conn.send_close_notify();
    stream.flush().ok()?;
    Some((String::from_utf8(body).unwrap(), is_known))
}

fn provision(test_box: &TestBox, port: u16, tls: &str) {
    test_box.provision(&format!(
        r#"<provision><statistics url="https://localhost:{port}/drop" accum_period="1"><media/></statistics>
           <stbeacon><tls {tls}/></stbeacon></provision>"#
    ));
}

fn one_session(test_box: &TestBox) {
    let player = test_box.connect();
    player.play("1-1", "udp://239.1.1.1:1234");
    player.tell("close", "1-1", r#","reason":"end""#);
    test_box.wait_for_log("session 1-1 has ended");
}

#[test]
fn an_authority_of_the_operators_own_is_trusted_and_the_box_shows_its_certificate() {
    let authority = Authority::new();
    let (port, got) = authority.serve();
    let own = authority.sign("box");
    let mut test_box = TestBox::new("");
    let ca = test_box.secret("ca.pem", &authority.pem(), 0o644);
    let cert = test_box.secret("box.pem", &own.cert_pem, 0o644);
    let key = test_box.secret("box.key", &own.key_pem, 0o600);
    let tls = format!(r#"ca="{}" cert="{}" key="{}""#, ca.display(), cert.display(), key.display());
    provision(&test_box, port, &tls);
    test_box.start();
    one_session(&test_box);
    let got = got.recv_timeout(Duration::from_secs(15));
    let (body, is_known) = got.unwrap_or_else(|_| panic!("nothing came:\n{}", test_box.log()));
    assert!(body.contains("udp://239.1.1.1:1234") && is_known, "{body}");
}

#[test]
fn the_provisioning_server_is_shown_the_boxs_certificate_too() {
    let authority = Authority::new();
    let (port, got) = authority
        .serve_answering("200 OK", r#"<provision><statistics url="http://127.0.0.1:9/"/></provision>"#);
    let own = authority.sign("box");
    let mut test_box = TestBox::new("<provision/>");
    let ca = test_box.secret("ca.pem", &authority.pem(), 0o644);
    let cert = test_box.secret("box.pem", &own.cert_pem, 0o644);
    let key = test_box.secret("box.key", &own.key_pem, 0o600);
    let mut command = test_box.run_command();
    command.args(["--provisioning-url", &format!("https://localhost:{port}/p.xml")]);
    command
        .arg("--provisioning-ca")
        .arg(ca)
        .arg("--provisioning-cert")
        .arg(cert)
        .arg("--provisioning-key")
        .arg(key);
    test_box.start_command(&mut command);
    let got = got.recv_timeout(Duration::from_secs(15));
    let (_, is_known) = got.unwrap_or_else(|_| panic!("nothing came:\n{}", test_box.log()));
    assert!(is_known, "{}", test_box.log());
    test_box.wait_for_status("/provisioning/in_force", &serde_json::json!("server"));
}

/// By the box's clock the certificate comes from the future: whichever of the two is wrong will be put right.
#[test]
fn a_certificate_that_is_not_yet_valid_is_waited_for() {
    let authority = Authority::new();
    // A certificate knows whole seconds only.
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let valid_from = UNIX_EPOCH + Duration::from_secs(since_epoch + 6);
    let (port, got) =
        authority.serve_as(authority.sign_from("localhost", Some(valid_from)), "204 No Content", "");
    let mut test_box = TestBox::new("");
    let ca = test_box.secret("ca.pem", &authority.pem(), 0o644);
    provision(&test_box, port, &format!(r#"ca="{}""#, ca.display()));
    test_box.start();
    one_session(&test_box);
    test_box.wait_for_log("reports not delivered: invalid peer certificate: certificate not valid yet");
    assert!(got.try_recv().is_err());
    let got = got.recv_timeout(Duration::from_secs(60));
    assert!(got.is_ok(), "nothing came:\n{}", test_box.log());
    assert!(SystemTime::now() >= valid_from);
    assert_eq!(test_box.status()["dropped"]["refused"], 0);
}

#[test]
fn another_authority_is_not_trusted() {
    let (port, got) = Authority::new().serve();
    let mut test_box = TestBox::new("");
    let ca = test_box.secret("ca.pem", &Authority::new().pem(), 0o644);
    provision(&test_box, port, &format!(r#"ca="{}""#, ca.display()));
    test_box.start();
    one_session(&test_box);
    test_box.wait_for_log("reports not delivered: invalid peer certificate");
    assert!(got.try_recv().is_err());
}

#[test]
fn a_server_of_https_that_is_asked_by_http_is_told() {
    let (port, _got) = Authority::new().serve();
    let mut test_box = TestBox::new("");
    test_box.provision(&media_only(&format!("http://localhost:{port}/"), 1));
    test_box.start();
    one_session(&test_box);
    test_box.wait_for_log(
        "reports not delivered: what the server answers is not HTTP; does it take https:// alone?",
    );
}

#[test]
fn a_server_of_http_that_is_asked_by_https_is_told() {
    // As nginx does: what is not HTTP from its first byte on is answered at once.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map(Result::unwrap) {
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let mut test_box = TestBox::new("");
    provision(&test_box, port, "");
    test_box.start();
    one_session(&test_box);
    test_box.wait_for_log("reports not delivered: what the server answers is not TLS; does it take http://?");
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_told_and_ends_nothing() {
    let authority = Authority::new();
    let (one, other) = (authority.sign("box"), authority.sign("box"));
    let mut test_box = TestBox::new("");
    let cert = test_box.secret("box.pem", &one.cert_pem, 0o644);
    let key = test_box.secret("box.key", &other.key_pem, 0o600);
    provision(&test_box, 9, &format!(r#"cert="{}" key="{}""#, cert.display(), key.display()));
    test_box.start();
    one_session(&test_box);
    test_box.wait_for_log("do not fit");
    assert!(test_box.stop().success());
}
