//! Native histograms to bytes and back: chunks in columns, and single ones for logs.
//!
//! Layout: `docs/format/histogram-chunk.md`. `plan` cuts samples into runs, `encode` writes and `decode` reads a chunk;
//! `table` reads
//! without building histograms; `parts` are the fields that chunks and single histograms share; `single` is the form without columns.

mod decode;
mod encode;
mod parts;
mod plan;
mod single;
mod singles;
mod table;

pub use decode::HistogramChunk;
pub use encode::HistogramEncoder;
pub use single::{put_histogram, take_histogram};
pub use singles::take_singles;

/// The largest number of samples in a histogram chunk.
pub const HISTOGRAM_SAMPLES_MAX: usize = 1_024;

/// The largest number of buckets, spans and custom bounds of one histogram, together.
pub const HISTOGRAM_PARTS_MAX: usize = 65_536;

/// Rows of a run times the entries that each of them takes: 2 MiB of them.
const RUN_CELLS_MAX: usize = 1 << 18;

/// The same of all runs of a chunk: 8 MiB.
const CHUNK_CELLS_MAX: usize = 1 << 20;

/// A run has at most twice as many columns as its widest histogram has buckets, and this many more.
const SPARE_COLUMNS: usize = 32;

/// Flags of a chunk.
const HAS_STARTS: u8 = 1;

/// Flags of a run, and of a single histogram.
mod flag {
    pub(super) const VALUES: u8 = 1;
    pub(super) const CUSTOM: u8 = 2;
    pub(super) const HINT_SHIFT: u32 = 2;
    pub(super) const HINT_BITS: u8 = 3;
    pub(super) const STALE: u8 = 16;
}

// A run of one row always has room, so an encoder always makes progress.
const _: () = assert!(HISTOGRAM_PARTS_MAX <= RUN_CELLS_MAX && RUN_CELLS_MAX <= CHUNK_CELLS_MAX);
