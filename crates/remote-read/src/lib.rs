//! Prometheus remote read: requests to queries, samples to sampled answers or to streamed chunks.
//!
//! Pure: bytes and columns come in, bytes go out. This crate is *not* a server: it undoes no compression, selects nothing, and
//! leaves it to the caller how much is written. Every length of a request is checked before it is believed.
//!
//! Source: the remote read specification of Prometheus, and the answers of a running Prometheus 3.16.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod error;
mod histogram;
mod put;
mod request;
mod sampled;
mod streamed;

pub use error::RemoteReadError;
pub use request::{Query, ReadRequest, ResponseType};
pub use sampled::Sampled;
pub use streamed::Streamed;
