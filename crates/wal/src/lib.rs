//! The write-ahead log: group commit, checksummed frames, segments, checkpoints, replay.
//!
//! It is *not* a store: it knows series definitions, samples, metadata and exemplars as records to be given back in order, and
//! nothing about queries. It has no threads and no clock; one owner writes it. The files are described,
//! byte by byte, in `docs/format/wal.md`.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod beside;
mod checkpoint;
mod error;
mod frame;
mod header;
mod log;
mod notes;
mod reader;
mod record;
mod replay;
mod report;
mod rows;
mod samples;
mod segment;

pub use beside::{BegunSync, EndedSync};
pub use checkpoint::CheckpointWriter;
pub use error::WalError;
pub use log::{Durability, Wal, WalOptions};
pub use notes::EXEMPLARS_MAX as RECORD_EXEMPLARS_MAX;
pub use record::Record;
pub use replay::{LogFile, replay, replay_files};
pub use report::{Damage, DamageKind, ReplayReport};
pub use rows::Rows;
pub use samples::ROWS_MAX as RECORD_ROWS_MAX;
pub use segment::SegmentId;
