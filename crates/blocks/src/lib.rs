//! Immutable chunk blocks: one checksummed file per block, its writer and its reader.
//!
//! [`BlockWriter`] streams series and publishes the file whole or not at all; [`Block`] answers from the mapped bytes;
//! [`compact`] merges several blocks into one.
//! The format is in `docs/format/block-v2.md`; version 1 (`docs/format/block.md`) is still read. The crate does not know
//! which blocks there should be, and never changes a published file.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod block;
mod block_file;
mod bytes;
mod chunk;
mod compact;
mod compaction_record;
mod error;
mod layout;
mod output;
mod tombstone;
mod v1;
mod v2;

pub use block::{Block, BlockMeta};
pub use block_file::{block_file_name, list_blocks, parse_block_file_name, sweep_unpublished};
pub use chunk::{ChunkData, ChunkMeta, ChunkRef, ChunkStats};
pub use compact::{Compacted, Compaction, Hidden, compact, keep};
pub use compaction_record::{CompactionRecord, CompactionState};
pub use error::BlockError;
pub use tombstone::Tombstone;
pub use v1::BlockWriterV1;
pub use v2::BlockWriter;
