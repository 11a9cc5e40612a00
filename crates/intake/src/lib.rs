//! What the translations of all write protocols share: limits, refusals, the series cache, metadata of families.
//!
//! This crate is *not* a translation and reads no protocol; each of those has a crate of its own above this one.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod fingerprint;
mod limits;
mod metadata;
mod refusals;
mod series_cache;

pub use fingerprint::{chain, chain_number, hash};
pub use limits::{Limits, PointLimit};
pub use metadata::{Metadata, MetadataKeeper};
pub use refusals::{RefusalReason, Refusals, Refused, push_message};
pub use series_cache::{Found, SeriesCache, Shard, Slot};
