//! TLS and credentials over real connections: who gets in, who does not, and what each hears.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use base64::Engine;
use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use mytsdb_access::{Access, Scope};
use mytsdb_listener::{Acceptor, ListenerOptions, ServeOptions, serve};
use mytsdb_telemetry::{Registry, write_text};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `names` and its key, as PEM.
fn certificate(
    authority: &Authority,
    names: &[SanType],
    change: impl FnOnce(&mut CertificateParams),
) -> (String, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = names.to_vec();
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

#[expect(clippy::disallowed_methods, reason = "files of a person, which are not stored data")]
fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

/// A server that answers with the path of the request, and the files that say who may ask.
struct Server {
    address: SocketAddr,
    registry: Registry,
    authority: Authority,
    dir: tempfile::TempDir,
    access: Access,
}

impl Server {
    async fn start(web: &str) -> Server {
        let (dir, authority, registry) = (tempfile::tempdir().unwrap(), authority(), Registry::new());
        write(dir.path(), "ca.crt", &authority.pem());
        write(dir.path(), "web.yml", web);
        renew(dir.path(), &authority);
        let access = Access::open(&dir.path().join("web.yml"), &registry).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = ListenerOptions { head_timeout: Duration::from_millis(300), ..ListenerOptions::default() };
        let acceptor = Acceptor::new("test", options, &registry).guarded_by(access.clone());
        let scope = |path: &str| if path == "/write" { Scope::Write } else { Scope::Read };
        let handler = |request: http::Request<hyper::body::Incoming>| async move {
            Response::new(Full::new(Bytes::from(request.uri().path().to_owned())))
        };
        let options = ServeOptions { scope, ..ServeOptions::default() };
        tokio::spawn(serve(listener, acceptor, options, handler, std::future::pending()));
        Server { address, registry, authority, dir, access }
    }

    fn metric(&self, line: &str) -> bool {
        let mut text = String::new();
        write_text(&self.registry.gather(), &mut text);
        text.lines().any(|l| l == line)
    }

    async fn connect(&self, client: ClientConfig) -> std::io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    /// What the server answers to a client with this configuration, or why it hears nothing.
    async fn ask(&self, client: ClientConfig, head: &str) -> std::io::Result<String> {
        let mut stream = self.connect(client).await?;
        ask(&mut stream, head).await
    }
}

/// Writes a new certificate of the server.
fn renew(dir: &Path, authority: &Authority) {
    let (certificate, key) = certificate(authority, &[dns("localhost")], |_| {});
    write(dir, "server.key", &key);
    write(dir, "server.crt", &certificate);
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), head: &str) -> std::io::Result<String> {
    stream.write_all(format!("{head}\r\nHost: t\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

/// A client that trusts `authority`, with a certificate if there is one.
fn client(authority: &Authority, own: Option<&(String, String)>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            use rustls::pki_types::pem::PemObject;
            let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(vec![certificate], key).unwrap()
        }
    }
}

const TLS: &str = "tls_server_config: {cert_file: server.crt, key_file: server.key}\n";

#[tokio::test]
async fn tls_is_spoken_and_a_new_certificate_is_taken_up_without_a_restart() {
    let server = Server::start(TLS).await;
    let first = server.connect(client(&server.authority, None)).await.unwrap();
    let before = first.get_ref().1.peer_certificates().unwrap()[0].clone();
    assert!(server.ask(client(&server.authority, None), "GET /a HTTP/1.1").await.unwrap().ends_with("\r\n\r\n/a"));
    renew(server.dir.path(), &server.authority);
    assert!(server.access.look());
    let mut second = server.connect(client(&server.authority, None)).await.unwrap();
    assert_ne!(second.get_ref().1.peer_certificates().unwrap()[0], before);
    assert!(ask(&mut second, "GET /b HTTP/1.1").await.unwrap().ends_with("\r\n\r\n/b"));
    let mut first = first;
    assert!(ask(&mut first, "GET /c HTTP/1.1").await.unwrap().ends_with("/c"), "an open connection goes on");
    let stranger = authority();
    assert!(server.connect(client(&stranger, None)).await.is_err(), "the client does not trust this server");
}

#[tokio::test]
async fn what_is_no_tls_ends_and_so_does_a_handshake_that_takes_too_long() {
    let server = Server::start(TLS).await;
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    let heard = ask(&mut plain, "GET / HTTP/1.1").await.unwrap_or_default();
    assert!(!heard.contains("HTTP"), "{heard}");
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut bytes = Vec::new();
    drop(
        tokio::time::timeout(Duration::from_secs(30), silent.read_to_end(&mut bytes))
            .await
            .expect("the server ends it"),
    );
    assert!(server.metric("mytsdb_connections_ended_total{listener=\"test\",reason=\"tls_handshake\"} 1"));
    assert!(server.metric("mytsdb_connections_ended_total{listener=\"test\",reason=\"head_timeout\"} 1"));
    assert!(server.ask(client(&server.authority, None), "GET /a HTTP/1.1").await.unwrap().ends_with("/a"));
}

#[tokio::test]
async fn an_old_version_is_refused_where_a_newer_one_is_asked_for() {
    let server = Server::start(&TLS.replace('}', ", min_version: TLS13}")).await;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(server.authority.der().clone()).unwrap();
    let old = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
    assert!(server.connect(old.with_root_certificates(roots).with_no_client_auth()).await.is_err());
    assert!(server.ask(client(&server.authority, None), "GET /a HTTP/1.1").await.unwrap().ends_with("/a"));
}

#[tokio::test]
async fn clients_must_have_a_certificate_of_the_right_authority_name_and_time() {
    let required = TLS.replace(
        '}',
        ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.crt, client_allowed_sans: [agent, 10.1.2.3, \
         \"spiffe://a/b\"]}",
    );
    let server = Server::start(&required).await;
    let good = [
        dns("agent"),
        SanType::IpAddress("10.1.2.3".parse().unwrap()),
        SanType::URI("spiffe://a/b".try_into().unwrap()),
    ];
    for name in good {
        let own = certificate(&server.authority, &[dns("other"), name.clone()], |_| {});
        let answer = server.ask(client(&server.authority, Some(&own)), "GET /a HTTP/1.1").await.unwrap();
        assert!(answer.ends_with("/a"), "{name:?}");
    }
    let past = |params: &mut CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let bad = [
        ("none", None),
        ("another name", Some(certificate(&server.authority, &[dns("stranger")], |_| {}))),
        ("a wildcard", Some(certificate(&server.authority, &[dns("*.agent")], |_| {}))),
        ("another authority", Some(certificate(&authority(), &[dns("agent")], |_| {}))),
        ("expired", Some(certificate(&server.authority, &[dns("agent")], past))),
    ];
    for (why, own) in bad {
        let heard = server.ask(client(&server.authority, own.as_ref()), "GET /a HTTP/1.1").await;
        assert!(heard.is_err(), "{why}: {heard:?}");
    }
}

#[tokio::test]
async fn a_certificate_may_be_left_out_where_it_is_checked_only_if_given() {
    let server =
        Server::start(&TLS.replace('}', ", client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.crt}")).await;
    assert!(server.ask(client(&server.authority, None), "GET /a HTTP/1.1").await.unwrap().ends_with("/a"));
    let foreign = certificate(&authority(), &[dns("agent")], |_| {});
    assert!(server.ask(client(&server.authority, Some(&foreign)), "GET /a HTTP/1.1").await.is_err());
}

#[tokio::test]
async fn credentials_decide_who_reaches_the_handler() {
    let hash = bcrypt::hash("secret", 4).unwrap();
    let web = format!("basic_auth_users: {{alice: {hash}}}\nbasic_auth_scopes: {{alice: [read]}}\n");
    let server = Server::start(&web).await;
    let ask = async |head: &str| {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        ask(&mut stream, head).await.unwrap()
    };
    let refused = ask("GET /a HTTP/1.1").await;
    assert!(refused.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{refused}");
    assert!(refused.to_lowercase().contains("www-authenticate: basic realm=\"mytsdb\""), "{refused}");
    assert!(refused.ends_with("\r\n\r\ncredentials are missing or wrong\n"), "{refused}");
    let basic = |pair: &str| base64::engine::general_purpose::STANDARD.encode(pair);
    let wrong = ask(&format!("GET /a HTTP/1.1\r\nAuthorization: Basic {}", basic("alice:guess"))).await;
    assert!(wrong.starts_with("HTTP/1.1 401 ") && !wrong.contains("guess"), "{wrong}");
    let good = basic("alice:secret");
    assert!(ask(&format!("GET /a HTTP/1.1\r\nAuthorization: Basic {good}")).await.ends_with("\r\n\r\n/a"));
    let forbidden = ask(&format!("GET /write HTTP/1.1\r\nAuthorization: Basic {good}")).await;
    assert!(forbidden.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{forbidden}");
    assert!(forbidden.ends_with("these credentials do not have the scope write\n"), "{forbidden}");
    assert!(!forbidden.to_lowercase().contains("www-authenticate"), "{forbidden}");
}

#[tokio::test]
async fn the_sender_of_a_body_without_credentials_reads_the_answer() {
    let server =
        Server::start("basic_auth_users: {a: $2y$04$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u}\n").await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /write HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 900000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b'x'; 900_000]).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 401 "), "{text}");
}
