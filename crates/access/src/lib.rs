//! Who may do what: certificates, passwords and tokens, from one file that is read again when it changes.
//!
//! The file is the web-config file that Prometheus users know, with bearer tokens and scopes in addition; docs/security.md
//! has all of its keys. A server asks [`Access`] two things: how to speak TLS on a new connection, and whether the
//! credentials of a request are good for what it asks for. Sockets and HTTP answers are *not* its business (that is
//! `mytsdb-listener`).
//!
//! Invariant S: no password, hash, token or key is in an error, in a log line or in a `Debug` form.
//!
//! ```
//! use mytsdb_access::{Access, Scope};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let access = Access::default(); // no file: everybody may do everything, without TLS
//! assert!(access.tls().is_none());
//! assert!(access.check(&http::HeaderMap::new(), Scope::Admin).await.is_ok());
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
#![forbid(unsafe_code)]

mod access;
mod denial;
mod error;
mod file;
mod passwords;
mod rules;
mod scope;
mod source;
mod tls;
mod tokens;

pub use access::Access;
pub use denial::Denial;
pub use error::AccessError;
pub use scope::Scope;

/// Compiles the README's example.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
