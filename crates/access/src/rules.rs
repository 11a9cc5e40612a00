//! All that the file says, checked and ready to use.

use crate::file::WebFile;
use crate::passwords::{User, Users, cost};
use crate::scope::Scopes;
use crate::source::Source;
use crate::tokens::Tokens;
use crate::{AccessError, tls};
use rustls::ServerConfig;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The most expensive hash that is taken: one of cost 17 takes some ten seconds.
const COST_MAX: u32 = 16;

/// Who may do what, and how TLS is spoken.
#[derive(Default)]
pub(crate) struct Rules {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) users: Users,
    pub(crate) tokens: Tokens,
}

impl Rules {
    /// Reads the file at `path` and those it names. Also returns a fingerprint that changes when one of them does.
    pub(crate) fn load(path: &Path) -> (Result<Self, AccessError>, [u8; 32]) {
        let mut source = Source::new();
        let rules = Self::read(path, &mut source);
        (rules, source.fingerprint())
    }

    fn read(path: &Path, source: &mut Source) -> Result<Self, AccessError> {
        let file = WebFile::parse(path, &source.read(path)?)?;
        let tls = file.tls_server_config.as_ref().map(|section| tls::config(path, section, source)).transpose()?;
        let problem = |key: String, problem: String| AccessError::Value { path: path.to_owned(), key, problem };

        let mut scopes = file.basic_auth_scopes.unwrap_or_default();
        let mut users = BTreeMap::new();
        for (name, hash) in file.basic_auth_users.unwrap_or_default() {
            let key = || format!("basic_auth_users.{name}");
            match cost(&hash) {
                None => return Err(problem(key(), "not a bcrypt hash; `htpasswd -nBC 10 NAME` makes one".to_owned())),
                Some(cost) if cost > COST_MAX => {
                    return Err(problem(key(), format!("a bcrypt hash of cost {cost}, the limit is {COST_MAX}")));
                }
                Some(_) => {}
            }
            let scopes = scopes.remove(&name).map_or(Scopes::ALL, |scopes| Scopes::of(&scopes));
            users.insert(name, User { hash, scopes });
        }
        if let Some(name) = scopes.keys().next() {
            return Err(problem(format!("basic_auth_scopes.{name}"), "not one of basic_auth_users".to_owned()));
        }

        let mut tokens = Tokens::default();
        for entry in file.bearer_tokens.unwrap_or_default() {
            if !tokens.add(&entry.sha256, Scopes::of(&entry.scopes)) {
                let key = format!("bearer_tokens.{}.sha256", entry.name);
                let text = "not 64 hexadecimal digits; `printf %s TOKEN | sha256sum` gives them";
                return Err(problem(key, text.to_owned()));
            }
        }
        Ok(Self { tls, users, tokens })
    }
}
