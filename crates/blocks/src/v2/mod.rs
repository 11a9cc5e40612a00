//! Version 2 of the format, `docs/format/block-v2.md`.

mod block;
mod footer;
mod series_entry;
mod stats;
mod times;
mod verify;
mod writer;

pub(crate) use block::BlockV2;
pub(crate) use footer::{Footer, VERSION};
pub use writer::BlockWriter;
