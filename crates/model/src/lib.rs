//! The types that every mytsdb crate shares: labels, samples, exemplars, metadata, series references, matchers, time ranges.
//!
//! This crate is *not* a place for helpers: it holds only the nouns that more than one layer speaks,
//! and it imports nothing of ours.
//!
//! ```
//! use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
//!
//! let labels = Labels::from_pairs([("__name__", "up"), ("job", "node")]);
//! assert_eq!(labels.get("job"), Some("node"));
//! assert_eq!(labels.to_string(), r#"{__name__="up", job="node"}"#);
//!
//! let matcher = Matcher::new(MatchOp::Regex, "job", "n.*")?;
//! assert!(matcher.matches(labels.get("job").unwrap_or("")));
//!
//! assert!(TimeRange::new(0, 10).overlaps(TimeRange::new(10, 20)), "both ends are included");
//! # Ok::<(), mytsdb_model::ModelError>(())
//! ```
#![forbid(unsafe_code)]

mod companion;
mod error;
mod exemplar;
mod labels;
mod matcher;
mod metadata;
mod sample;
mod series_ref;
mod time_range;

pub use companion::companion_times;
pub use error::ModelError;
pub use exemplar::Exemplar;
pub use labels::{LABEL_NAME, Labels, LabelsBuilder, LabelsIter};
pub use matcher::{MatchOp, Matcher};
pub use metadata::{FamilyKind, FamilyMetadata};
pub use sample::{STALE_NAN_BITS, Sample, is_stale_nan, stale_nan};
pub use series_ref::SeriesRef;
pub use time_range::TimeRange;
