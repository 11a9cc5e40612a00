//! The rules in force, and the question that a server asks of each request.

use crate::denial::Denial;
use crate::passwords::{Checked, Passwords};
use crate::rules::Rules;
use crate::scope::Scopes;
use crate::{AccessError, Scope};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use mytsdb_telemetry::{Counter, Description, Registry};
use parking_lot::{Mutex, RwLock};
use rustls::ServerConfig;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

const DENIED: Description = Description::new("mytsdb_access_denied_total", "Requests that were not let in, by reason.");
const RELOADS: Description = Description::new(
    "mytsdb_access_reloads_total",
    "Changes of the web-config file or of those it names that were read, by result.",
);

/// Who may do what. A clone is the same; the default lets everybody do everything, without TLS.
#[derive(Clone, Default)]
pub struct Access {
    guarded: Option<Arc<Guarded>>,
    only_reads: bool,
}

struct Guarded {
    path: PathBuf,
    rules: RwLock<Arc<Rules>>,
    /// The fingerprint of the files that were read last, valid or not.
    fingerprint: Mutex<[u8; 32]>,
    passwords: Passwords,
    unauthenticated: Counter,
    forbidden: Counter,
    busy: Counter,
    reloaded: Counter,
    reload_failed: Counter,
}

impl fmt::Debug for Access {
    /// The path alone (invariant S).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.guarded.as_ref().map(|guarded| &guarded.path);
        f.debug_struct("Access").field("path", &path).field("only_reads", &self.only_reads).finish()
    }
}

impl Access {
    /// Reads the web-config file at `path`, and the files that it names.
    ///
    /// # Errors
    /// What is wrong with one of them.
    pub fn open(path: &Path, registry: &Registry) -> Result<Self, AccessError> {
        let (rules, fingerprint) = Rules::load(path);
        let denied = |reason| registry.counter(&DENIED, &[("reason", reason)]);
        let reloads = |result| registry.counter(&RELOADS, &[("result", result)]);
        let guarded = Arc::new(Guarded {
            path: path.to_owned(),
            rules: RwLock::new(Arc::new(rules?)),
            fingerprint: Mutex::new(fingerprint),
            passwords: Passwords::new(),
            unauthenticated: denied("unauthenticated"),
            forbidden: denied("forbidden"),
            busy: denied("busy"),
            reloaded: reloads("success"),
            reload_failed: reloads("failure"),
        });
        Ok(Self { guarded: Some(guarded), only_reads: false })
    }

    /// The same rules, for a server that stores and deletes nothing: whoever asks it to is refused.
    #[must_use]
    pub fn only_reading(self) -> Self {
        Self { only_reads: true, ..self }
    }

    /// Whether requests need credentials.
    pub fn asks_for_credentials(&self) -> bool {
        self.rules().is_some_and(|rules| !rules.users.is_empty() || !rules.tokens.is_empty())
    }

    /// How TLS is spoken on a connection that begins now; `None` if it is not.
    pub fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.rules().and_then(|rules| rules.tls.clone())
    }

    /// Whether a request with these headers may do what takes the scope `needed`.
    ///
    /// Waits at most some seconds: a password is checked on another thread, unless it was good before.
    ///
    /// # Errors
    /// Why it may not.
    pub async fn check(&self, headers: &HeaderMap, needed: Scope) -> Result<(), Denial> {
        if let Some(guarded) = &self.guarded {
            guarded.check(headers, needed).await?;
        }
        if self.only_reads && needed != Scope::Read { Err(Denial::ReadOnly) } else { Ok(()) }
    }

    /// Takes changes of the files up, a second after they are made, until it is dropped.
    ///
    /// Files that are not right leave the rules as they are, which is logged and counted.
    pub async fn watch(self) {
        if self.guarded.is_none() {
            return;
        }
        loop {
            tokio::time::sleep(LOOK_INTERVAL).await;
            let access = self.clone();
            if tokio::task::spawn_blocking(move || access.look()).await.is_err() {
                tracing::error!("reading the web-config file panicked");
            }
        }
    }

    /// Looks at the files once, and says whether there are new rules.
    pub fn look(&self) -> bool {
        let Some(guarded) = &self.guarded else { return false };
        let (rules, fingerprint) = Rules::load(&guarded.path);
        let mut known = guarded.fingerprint.lock();
        if *known == fingerprint {
            return false;
        }
        *known = fingerprint;
        match rules {
            Ok(rules) => {
                *guarded.rules.write() = Arc::new(rules);
                guarded.reloaded.inc();
                tracing::info!(path = %guarded.path.display(), "who may do what was read again");
                true
            }
            Err(error) => {
                guarded.reload_failed.inc();
                tracing::error!("--web-config-file: {error}; what was read before stays in force");
                false
            }
        }
    }

    fn rules(&self) -> Option<Arc<Rules>> {
        self.guarded.as_ref().map(|guarded| Arc::clone(&guarded.rules.read()))
    }
}

impl Guarded {
    /// Whether the credentials in `headers` are good for `needed`; what is denied is counted.
    async fn check(&self, headers: &HeaderMap, needed: Scope) -> Result<(), Denial> {
        let rules = Arc::clone(&self.rules.read());
        let checked = self
            .find(&rules, headers)
            .await
            .and_then(|scopes| if scopes.has(needed) { Ok(()) } else { Err(Denial::Forbidden(needed)) });
        match checked {
            Ok(()) | Err(Denial::ReadOnly) => {}
            Err(Denial::Unauthenticated { .. }) => self.unauthenticated.inc(),
            Err(Denial::Forbidden(_)) => self.forbidden.inc(),
            Err(Denial::Busy) => self.busy.inc(),
        }
        checked
    }

    /// What the credentials in `headers` are good for.
    async fn find(&self, rules: &Rules, headers: &HeaderMap) -> Result<Scopes, Denial> {
        let (basic, bearer) = (!rules.users.is_empty(), !rules.tokens.is_empty());
        if !basic && !bearer {
            return Ok(Scopes::ALL);
        }
        let denied = Denial::Unauthenticated { basic, bearer };
        match credentials(headers) {
            Some(Credentials::Token(token)) => rules.tokens.find(token).ok_or(denied),
            Some(Credentials::Password(name, password)) => {
                match self.passwords.check(&rules.users, &name, &password).await {
                    Checked::Good(scopes) => Ok(scopes),
                    Checked::Wrong => Err(denied),
                    Checked::Busy => Err(Denial::Busy),
                }
            }
            None => Err(denied),
        }
    }
}

/// What a request says of its sender.
enum Credentials<'a> {
    Token(&'a [u8]),
    Password(String, Vec<u8>),
}

/// The credentials of the one `Authorization` header; several of them are none, for servers differ in which they take.
fn credentials(headers: &HeaderMap) -> Option<Credentials<'_>> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().filter(|_| values.next().is_none()).map(HeaderValue::as_bytes)?;
    let (scheme, rest) = value.split_at(value.iter().position(|&byte| byte == b' ')?);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Credentials::Token(rest));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let mut name = STANDARD.decode(rest).ok()?;
    let colon = name.iter().position(|&byte| byte == b':')?;
    let password = name.split_off(colon + 1);
    name.truncate(colon);
    Some(Credentials::Password(String::from_utf8(name).ok()?, password))
}
