//! The form of the web-config file: Prometheus' keys, and ours for tokens and scopes.

use crate::{AccessError, Scope};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// What the file says.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(crate) struct WebFile {
    pub(crate) tls_server_config: Option<TlsSection>,
    /// bcrypt hashes by the name of the user.
    pub(crate) basic_auth_users: Option<BTreeMap<String, String>>,
    /// What users may do; all, if they are not named here.
    pub(crate) basic_auth_scopes: Option<BTreeMap<String, Vec<Scope>>>,
    pub(crate) bearer_tokens: Option<Vec<TokenEntry>>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// How TLS is spoken; paths are relative to the file's folder.
#[derive(Deserialize)]
pub(crate) struct TlsSection {
    pub(crate) cert_file: PathBuf,
    pub(crate) key_file: PathBuf,
    #[serde(default)]
    pub(crate) client_auth_type: ClientAuth,
    pub(crate) client_ca_file: Option<PathBuf>,
    pub(crate) client_allowed_sans: Option<Vec<String>>,
    pub(crate) min_version: Option<TlsVersion>,
    pub(crate) max_version: Option<TlsVersion>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// Whether clients must have a certificate. Those of Go's values that ask for one and do not check it are not taken: it
/// would look like a check.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ClientAuth {
    #[default]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

/// One token: its SHA-256 in hexadecimal digits, and what it is good for.
#[derive(Deserialize)]
pub(crate) struct TokenEntry {
    pub(crate) name: String,
    pub(crate) sha256: String,
    pub(crate) scopes: Vec<Scope>,
    #[serde(flatten)]
    unknown: Unknown,
}

/// Keys that mean nothing here; what stands behind them is not read.
#[derive(Default)]
struct Unknown(Vec<String>);

impl<'de> Deserialize<'de> for Unknown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = Unknown;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("keys")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unknown, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Unknown(keys))
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

const KEYS: &str = "tls_server_config, basic_auth_users, basic_auth_scopes, bearer_tokens";
const TLS_KEYS: &str =
    "cert_file, key_file, client_auth_type, client_ca_file, client_allowed_sans, min_version, max_version";

impl WebFile {
    /// Reads the file's text. An empty file says nothing, which is no protection at all and is what Prometheus takes too.
    ///
    /// # Errors
    /// [`AccessError::Form`] and [`AccessError::Value`]; neither repeats what the file says.
    pub(crate) fn parse(path: &Path, bytes: &[u8]) -> Result<Self, AccessError> {
        let form = |line, column| AccessError::Form { path: path.to_owned(), line, column };
        let text = std::str::from_utf8(bytes).map_err(|_| form(0, 0))?;
        let parsed: Option<Self> = serde_saphyr::from_str(text).map_err(|error| {
            // Its text may quote the file.
            let at = error.location();
            form(at.map_or(0, |at| at.line()), at.map_or(0, |at| at.column()))
        })?;
        let file = parsed.unwrap_or_default();
        let unknown = |key: String, known: &str| AccessError::Value {
            path: path.to_owned(),
            key,
            problem: format!("not a key that is known here; those are {known}"),
        };
        if let Some(key) = file.unknown.0.first() {
            return Err(unknown(shown(key), KEYS));
        }
        if let Some(key) = file.tls_server_config.iter().flat_map(|tls| &tls.unknown.0).next() {
            return Err(unknown(format!("tls_server_config.{}", shown(key)), TLS_KEYS));
        }
        if let Some(key) = file.bearer_tokens.iter().flatten().flat_map(|token| &token.unknown.0).next() {
            return Err(unknown(format!("bearer_tokens.{}", shown(key)), "name, sha256, scopes"));
        }
        Ok(file)
    }
}

/// A key as errors show it. What stands there may be a value in the wrong place, so only what looks like a key is shown.
fn shown(key: &str) -> String {
    let like_a_key = key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if like_a_key { key.to_owned() } else { "(a key of other characters)".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        WebFile::parse(Path::new("web.yml"), text.as_bytes()).err().expect("an error").to_string()
    }

    #[test]
    fn an_error_says_where_and_never_what() {
        for text in [
            "basic_auth_users: $2y$secret\n",
            "basic_auth_users:\n  alice: [$2y$secret]\n",
            "basic_auth_users: {alice: \"$2y$secret\n",
            "$2y$secret: alice\n",
            "bearer_tokens:\n- {name: a, sha256: secret, scopes: [secret]}\n",
            "bearer_tokens:\n- {name: a, sha256: x, scopes: [], Secret1: 1}\n",
            "tls_server_config: {cert_file: a, key_file: secret, client_auth_type: secret}\n",
        ] {
            let error = error(text);
            assert!(error.starts_with("web.yml: ") && !error.to_lowercase().contains("secret"), "{text}: {error}");
        }
        assert!(error("\n\nbasic_auth_users: x\n").contains("line 3"), "{}", error("\n\nbasic_auth_users: x\n"));
    }

    #[test]
    fn an_unknown_key_is_named_with_those_there_are() {
        let error = error("basic_auth_user: {}\n");
        assert!(error.contains("basic_auth_user: not a key") && error.contains("basic_auth_users,"), "{error}");
        assert!(super::tests::error("tls_server_config: {cert_file: a, key_file: b, ca: c}\n").contains("config.ca:"));
    }

    #[test]
    fn a_file_that_says_nothing_is_read() {
        for text in ["", "# nothing\n", "basic_auth_users:\ntls_server_config:\n"] {
            let file = WebFile::parse(Path::new("web.yml"), text.as_bytes()).expect(text);
            assert!(file.tls_server_config.is_none() && file.basic_auth_users.is_none());
        }
    }
}
