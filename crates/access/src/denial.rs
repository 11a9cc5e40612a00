//! Why a request is not let in.

use crate::Scope;

/// Why a request is not let in. The texts say nothing of what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// HTTP 401: there are no credentials, or none that are known.
    #[error("credentials are missing or wrong")]
    Unauthenticated {
        /// Passwords are taken.
        basic: bool,
        /// Tokens are taken.
        bearer: bool,
    },
    /// HTTP 403: the credentials are good, but not for this.
    #[error("these credentials do not have the scope {0}")]
    Forbidden(Scope),
    /// HTTP 403: nobody may do that here, whatever the credentials.
    #[error("this server only reads what another one has stored (--read-only): it stores and deletes nothing")]
    ReadOnly,
    /// HTTP 503: too many passwords are being checked.
    #[error("too many passwords are being checked, come back later")]
    Busy,
}

impl Denial {
    /// The values of `WWW-Authenticate`, one for each way to say who one is (RFC 9110, section 11.6.1).
    pub fn challenges(&self) -> impl Iterator<Item = &'static str> {
        let (basic, bearer) = match self {
            Self::Unauthenticated { basic, bearer } => (*basic, *bearer),
            Self::Forbidden(_) | Self::ReadOnly | Self::Busy => (false, false),
        };
        let basic = basic.then_some("Basic realm=\"mytsdb\", charset=\"UTF-8\"");
        basic.into_iter().chain(bearer.then_some("Bearer realm=\"mytsdb\""))
    }
}
