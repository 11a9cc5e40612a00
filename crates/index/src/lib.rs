//! From matchers to series: symbols, postings, and the one algorithm that selects over them.
//!
//! [`MemIndex`] is the index of the head: it grows and shrinks. [`IndexWriter`] makes its frozen forms,
//! byte sections that a block embeds and reads in place: [`IndexReader`] reads the first (`docs/format/block.md`),
//! [`PackedIndex`] the second, which is smaller (`docs/format/block-v2.md`). All answer the same questions with the same
//! code; an absent label has the value `""`. Whatever may take long takes a stop sign. The crate does no I/O and takes no locks; where one guards the head's index, a [`Snapshot`] asks for
//! it again and again, a moment each time.
//!
//! ```
//! use mytsdb_index::MemIndex;
//! use mytsdb_model::{Labels, MatchOp, Matcher, SeriesRef};
//! use mytsdb_stop::StopSign;
//!
//! let mut index = MemIndex::new();
//! index.add(SeriesRef(1), &Labels::from_pairs([("__name__", "up"), ("job", "node")]));
//! index.add(SeriesRef(2), &Labels::from_pairs([("__name__", "up")]));
//!
//! let not_node = Matcher::new(MatchOp::NotEqual, "job", "node")?;
//! let found = index.snapshot().select(&[Matcher::equal("__name__", "up"), not_node], StopSign::NEVER)?;
//! assert_eq!(found, [SeriesRef(2)]);
//! assert!(index.snapshot().label_values("job", StopSign::NEVER)?.iter().eq(["node"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod bitset;
mod error;
mod inverted;
mod mem_index;
mod postings;
mod reader;
mod select;
mod snapshot;
mod symbols;
mod text_list;
mod v2;
mod value_table;
mod writer;

pub use error::IndexError;
pub use mem_index::MemIndex;
pub use reader::IndexReader;
pub use snapshot::{Lend, Snapshot, Version};
pub use text_list::TextList;
pub use v2::{PackedIndex, PackedSection};
pub use writer::{IndexSections, IndexWriter};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
