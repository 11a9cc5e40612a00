//! Version 1 of the format, `docs/format/block.md`: read, and written for comparison.

mod block;
mod footer;
mod series_entry;
mod verify;
mod writer;

pub(crate) use block::BlockV1;
pub(crate) use footer::{Footer, VERSION};
pub use writer::BlockWriterV1;
