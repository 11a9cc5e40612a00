//! The cold tier: days of samples as Parquet files that any SQL engine reads, on a local folder or an object store.
//!
//! [`DayWriter`] makes the files of a day, [`Tier`] uploads them, says by its manifest which are live and reads them. It is
//! *not* a storage engine: what goes into the tier and when, and what is read from it, somebody else decides.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod buckets_reader;
mod buckets_writer;
mod chunks_writer;
mod collect;
mod day;
mod day_reader;
mod day_writer;
mod deletion;
mod error;
mod file_id;
mod histograms_reader;
mod histograms_writer;
mod labels_writer;
mod manifest;
mod numbers;
mod pace;
mod pages;
mod remote;
mod runs;
mod samples_writer;
mod schema;
mod selection;
mod sink;
mod store;
mod table;
mod tier;

pub use collect::Collected;
pub use day::{DAY_MS, Day};
pub use day_reader::{DayReader, Series};
pub use day_writer::{DayWriter, WriteOptions, WrittenDay, compare_series};
pub use deletion::Deletion;
pub use error::TierError;
pub use file_id::FileId;
pub use manifest::{LiveDay, Manifest};
pub use schema::FileKind;
pub use selection::Selection;
pub use sink::{Digest, FileDigest};
pub use store::{Store, StoreOptions};
pub use tier::{Tier, Uploaded};
