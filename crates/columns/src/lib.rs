//! Samples of one series as columns, of both kinds: floats and native histograms.
//!
//! [`Columns`] is what everything that reads samples fills and everything that evaluates them takes. It is *not* a
//! store: nothing is looked up in it, and its columns are public for those who compute.
//!
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod columns;
mod order;
mod outline;
mod table;

pub use columns::{Columns, Mark};
pub use outline::{Outline, Outlining, Stretch};
pub use table::{HistogramRows, HistogramRun, HistogramTable};
