//! Caches of samples from slow tiers: decoded columns in memory (L1), packed chunks in files that survive a restart (L2).
//!
//! [`Caches`] is all of it: both levels behind one question. It is *not* a store: it may have forgotten anything at any time, and whoever
//! asks can always get it elsewhere. What it gives back is what was put in, bit for bit, or nothing: it never decides an answer.
//! `docs/caches.md` says who asks it and why that is right; the files are `docs/format/cache-segment.md`.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod caches;
mod directory;
mod error;
mod key;
mod l1;
mod l2;
mod metrics;
mod options;
mod payload;
mod queues;
mod refreshes;
mod segment;

pub use caches::{Caches, Origin};
pub use error::CacheError;
pub use key::ChunkKey;
pub use options::CacheOptions;
pub use payload::{decode_entry, encode_entry};
pub use refreshes::Refreshes;
pub use segment::{EntryRow, SegmentTable, SegmentWriter};
