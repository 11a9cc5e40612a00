//! What a request wants to do.

use serde::Deserialize;
use std::fmt;

/// What a request wants to do, and what credentials are good for. None of them includes another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Query, and look at the server.
    Read,
    /// Store samples.
    Write,
    /// Delete samples.
    Admin,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        })
    }
}

/// The scopes of one user or token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scopes(u8);

impl Scopes {
    pub(crate) const ALL: Self = Self(0b111);

    pub(crate) fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |bits, scope| bits | 1 << *scope as u8))
    }

    pub(crate) fn has(self, scope: Scope) -> bool {
        self.0 & 1 << scope as u8 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_there_if_it_was_given() {
        let scopes = Scopes::of(&[Scope::Write, Scope::Admin]);
        assert!(!scopes.has(Scope::Read) && scopes.has(Scope::Write) && scopes.has(Scope::Admin));
        assert_eq!(Scopes::of(&[Scope::Read, Scope::Write, Scope::Admin]), Scopes::ALL);
        assert!(!Scopes::of(&[]).has(Scope::Read));
    }
}
