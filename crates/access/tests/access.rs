//! The file as a person writes it: who is let in, what is said of mistakes, and that changes are taken up.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

use base64::Engine;
use http::{HeaderMap, HeaderValue, header};
use mytsdb_access::{Access, Denial, Scope};
use mytsdb_telemetry::{Registry, write_text};
use std::path::{Path, PathBuf};

/// A folder with a web-config file in it.
struct Folder {
    dir: tempfile::TempDir,
    registry: Registry,
}

#[expect(clippy::disallowed_methods, reason = "files of a person, which are not stored data")]
fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

impl Folder {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), registry: Registry::new() }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        write(&path, text);
        path
    }

    fn open(&self, text: &str) -> Access {
        Access::open(&self.write("web.yml", text), &self.registry).unwrap()
    }

    fn error(&self, text: &str) -> String {
        Access::open(&self.write("web.yml", text), &self.registry).unwrap_err().to_string()
    }

    fn metric(&self, line: &str) -> bool {
        let mut text = String::new();
        write_text(&self.registry.gather(), &mut text);
        text.lines().any(|l| l == line)
    }

    /// A certificate of its own and its key, in files.
    fn certificate(&self, name: &str) -> rcgen::CertifiedKey<rcgen::KeyPair> {
        let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        self.write(&format!("{name}.crt"), &pair.cert.pem());
        self.write(&format!("{name}.key"), &pair.signing_key.serialize_pem());
        pair
    }
}

fn headers(values: &[&str]) -> HeaderMap {
    let values = values.iter().map(|value| (header::AUTHORIZATION, HeaderValue::from_str(value).unwrap()));
    values.collect()
}

fn basic(credentials: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(credentials))
}

/// The least cost that bcrypt takes, so that tests are quick.
fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

const UNAUTHENTICATED: Denial = Denial::Unauthenticated { basic: true, bearer: true };

/// `printf reader-token | sha256sum`
const OF_READER: &str = "ba5005a40cf5212e4ac0190104cc127edab013294bb71279a975b27a80982d45";

fn both_kinds() -> String {
    format!(
        "basic_auth_users:\n  alice: {}\n  bob: {}\nbasic_auth_scopes:\n  bob: [write]\nbearer_tokens:\n- name: grafana\n  \
         sha256: {}\n  scopes: [read]\n",
        hash("secret:with colon"),
        hash("pass"),
        OF_READER,
    )
}

#[tokio::test]
async fn credentials_are_good_for_their_scopes() {
    let folder = Folder::new();
    let access = folder.open(&both_kinds());
    assert!(access.asks_for_credentials() && access.tls().is_none());
    let alice = basic("alice:secret:with colon");
    for scope in [Scope::Read, Scope::Write, Scope::Admin] {
        assert_eq!(access.check(&headers(&[&alice]), scope).await, Ok(()));
    }
    let bob = headers(&[&basic("bob:pass")]);
    assert_eq!(access.check(&bob, Scope::Write).await, Ok(()));
    assert_eq!(access.check(&bob, Scope::Read).await, Err(Denial::Forbidden(Scope::Read)));
    for scheme in ["Bearer", "bearer", "BEARER "] {
        let token = headers(&[&format!("{scheme} reader-token")]);
        assert_eq!(access.check(&token, Scope::Read).await, Ok(()), "{scheme}");
        assert_eq!(access.check(&token, Scope::Admin).await, Err(Denial::Forbidden(Scope::Admin)));
    }
    assert!(folder.metric("mytsdb_access_denied_total{reason=\"forbidden\"} 4"));
}

#[tokio::test]
async fn a_server_that_only_reads_refuses_the_rest_whatever_the_credentials() {
    let folder = Folder::new();
    let access = folder.open(&both_kinds()).only_reading();
    let alice = headers(&[&basic("alice:secret:with colon")]);
    assert_eq!(access.check(&alice, Scope::Read).await, Ok(()));
    for scope in [Scope::Write, Scope::Admin] {
        assert_eq!(access.check(&alice, scope).await, Err(Denial::ReadOnly));
        // Who one is counts first.
        assert_eq!(access.check(&headers(&[]), scope).await, Err(UNAUTHENTICATED));
        let open = Access::default().only_reading();
        assert_eq!(open.check(&headers(&[]), scope).await, Err(Denial::ReadOnly));
    }
    assert_eq!(Access::default().only_reading().check(&headers(&[]), Scope::Read).await, Ok(()));
    assert!(Denial::ReadOnly.to_string().contains("--read-only"));
}

#[tokio::test]
async fn everything_else_is_not_let_in() {
    let folder = Folder::new();
    let access = folder.open(&both_kinds());
    let alice = basic("alice:secret:with colon");
    let refused: [&[&str]; 14] = [
        &[],
        &[""],
        &["Basic"],
        &["Basic "],
        &["Basic !!!"],
        &[&basic("alice")],
        &[&basic("alice:")],
        &[&basic("alice:Secret:with colon")],
        &[&basic(" alice:secret:with colon")],
        &[&basic("eve:secret:with colon")],
        &["Bearer Reader-token"],
        &["Bearer "],
        &["Digest reader-token"],
        // A proxy in front may have checked either of the two headers, but not both.
        &[&alice, &alice],
    ];
    for values in refused {
        assert_eq!(access.check(&headers(values), Scope::Read).await, Err(UNAUTHENTICATED), "{values:?}");
    }
    assert!(folder.metric("mytsdb_access_denied_total{reason=\"unauthenticated\"} 14"));
    let challenges: Vec<_> = UNAUTHENTICATED.challenges().collect();
    assert_eq!(challenges, ["Basic realm=\"mytsdb\", charset=\"UTF-8\"", "Bearer realm=\"mytsdb\""]);
}

#[tokio::test]
async fn changes_are_taken_up_and_mistakes_are_not() {
    let folder = Folder::new();
    folder.certificate("a");
    let tls = "tls_server_config: {cert_file: a.crt, key_file: a.key}\n";
    let access = folder.open(tls);
    let first = access.tls().unwrap();
    assert!(!access.look(), "nothing has changed");
    assert!(access.check(&HeaderMap::new(), Scope::Admin).await.is_ok(), "TLS alone asks for no credentials");

    folder.certificate("a");
    assert!(access.look());
    let second = access.tls().unwrap();
    assert!(!std::sync::Arc::ptr_eq(&first, &second));

    folder.write("a.key", "no key");
    assert!(!access.look());
    assert!(std::sync::Arc::ptr_eq(&second, &access.tls().unwrap()), "what was read before stays in force");
    assert!(folder.metric("mytsdb_access_reloads_total{result=\"failure\"} 1"));
    folder.certificate("a");
    assert!(access.look());

    folder.write("web.yml", &format!("{tls}{}", both_kinds()));
    assert!(access.look());
    assert_eq!(access.check(&HeaderMap::new(), Scope::Read).await, Err(UNAUTHENTICATED));
    folder.write("web.yml", &format!("basic_auth_users: {{alice: {}}}\n", hash("new")));
    assert!(access.look());
    assert!(access.tls().is_none());
    assert_eq!(access.check(&headers(&[&basic("alice:new")]), Scope::Admin).await, Ok(()));
    let old = headers(&[&basic("alice:secret:with colon")]);
    assert_eq!(access.check(&old, Scope::Read).await, Err(Denial::Unauthenticated { basic: true, bearer: false }));
    assert!(folder.metric("mytsdb_access_reloads_total{result=\"success\"} 4"));
}

#[test]
fn a_mistake_is_named_and_no_secret_is() {
    let folder = Folder::new();
    folder.certificate("a");
    folder.certificate("b");
    let strong = "$2y$31$L6Bc/AlTQHyd9liGgGEZyOFLPHNgyxeEPfgYfBCVxJ7JIlwxyVU3u";
    for (text, part) in [
        ("basic_auth_users: {alice: hunter2}\n".to_owned(), "basic_auth_users.alice: not a bcrypt hash"),
        (format!("basic_auth_users: {{alice: {strong}}}\n"), "cost 31, the limit is 16"),
        ("basic_auth_scopes: {alice: [read]}\n".to_owned(), "basic_auth_scopes.alice: not one of"),
        ("basic_auth_users: {alice: hunter2, alice: hunter2}\n".to_owned(), "line 1"),
        (
            "bearer_tokens: [{name: ci, sha256: hunter2, scopes: [read]}]\n".to_owned(),
            "bearer_tokens.ci.sha256: not 64",
        ),
        ("bearer_tokens: [{name: ci, sha256: hunter2, scopes: [reads]}]\n".to_owned(), "line 1"),
        ("tls_server_config: {cert_file: a.crt, key_file: b.key}\n".to_owned(), "tls_server_config.cert_file"),
        ("tls_server_config: {cert_file: a.key, key_file: a.key}\n".to_owned(), "no PEM with a certificate"),
        ("tls_server_config: {cert_file: a.crt, key_file: a.crt}\n".to_owned(), "no PEM with a private key"),
        ("tls_server_config: {cert_file: c.crt, key_file: a.key}\n".to_owned(), "c.crt"),
        (
            "tls_server_config: {cert_file: a.crt, key_file: a.key, client_auth_type: RequireAnyClientCert}\n"
                .to_owned(),
            "line 1",
        ),
        (
            "tls_server_config: {cert_file: a.crt, key_file: a.key, client_auth_type: RequireAndVerifyClientCert}\n"
                .to_owned(),
            "client_ca_file must say",
        ),
        (
            "tls_server_config: {cert_file: a.crt, key_file: a.key, client_ca_file: b.crt}\n".to_owned(),
            "client_ca_file",
        ),
        (
            "tls_server_config: {cert_file: a.crt, key_file: a.key, min_version: TLS13, max_version: TLS12}\n"
                .to_owned(),
            "newer than max_version",
        ),
    ] {
        let error = folder.error(&text);
        assert!(error.contains(part), "{text}: {error}");
        assert!(!error.contains("hunter2") && !error.contains("$2y$") && !error.contains("PRIVATE"), "{error}");
    }
    let missing = Access::open("/nonexistent/web.yml".as_ref(), &folder.registry).unwrap_err().to_string();
    assert!(missing.contains("/nonexistent/web.yml"), "{missing}");
    let shown = format!("{:?}", folder.open(&both_kinds()));
    assert!(shown.contains("web.yml") && !shown.contains("alice") && !shown.contains("$2"), "{shown}");
}
