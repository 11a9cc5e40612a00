//! The store: head, group commit, flush to blocks, retention, recovery, and one read path over all of it.
//!
//! It is *not* a server and knows no query language: it takes samples by series, floats and native histograms, with start
//! times where they are known, and gives back columns of samples
//! by matchers and time range. Exemplars and what is known of metrics (type, unit, help) are kept beside them. Disk and clock arrive as arguments, so a test can lose either.
//!
//! ```
//! use mytsdb_columns::Columns;
//! use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
//! use mytsdb_model::{Labels, Matcher, TimeRange};
//! use std::sync::Arc;
//!
//! let disk = Arc::new(mytsdb_io::SimDisk::new());
//! let clock = Arc::new(ManualClock::new(60_000));
//! let (engine, _) = Engine::open(disk, clock, EngineOptions::new("/data"), &mytsdb_telemetry::Registry::new())?;
//!
//! let up = engine.resolve(&Labels::from_pairs([("__name__", "up"), ("job", "node")]))?;
//! let mut batch = Batch::default();
//! batch.push(up, 15_000, 1.0);
//! batch.push(up, 30_000, 0.0);
//! assert_eq!(engine.append(batch)?.stored, 2); // durable from here on
//!
//! let found = engine.select(TimeRange::new(0, 60_000), &[Matcher::equal("job", "node")])?;
//! let mut columns = Columns::default();
//! found.read(0, TimeRange::new(0, 20_000), &mut columns)?;
//! assert_eq!((columns.timestamps_ms, columns.values), (vec![15_000], vec![1.0]));
//! # Ok::<(), mytsdb_engine::EngineError>(())
//! ```
#![forbid(unsafe_code)]

mod ballast;
mod blocks;
mod changes;
mod clock;
mod engine;
mod error;
mod exemplars;
mod families;
mod head;
mod log;
mod metrics;
mod options;
mod reader;
mod room;
mod source;
mod value;

pub use blocks::{BlockSeries, CompactionDone, Scrubbed, StoredBlock, TakenOut};
pub use changes::EngineStamp;
pub use clock::{Clock, ManualClock};
pub use engine::{Engine, Maintenance, Recovery};
pub use error::EngineError;
pub use exemplars::SeriesExemplars;
pub use families::Described;
pub use log::{Batch, COMPANION_FILL_MIN, Companion, Done, Outcome, Refusal};
pub use options::{Durability, EngineOptions};
pub use reader::{Finding, Selection};
pub use source::{Ask, Asked, Coarse, Found, Known, Lookup, Moment, Source, SourceId, SourceSeries};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
