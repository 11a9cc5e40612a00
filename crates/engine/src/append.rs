//! What callers hand to the engine, and what they hear back.

use mytsdb_model::SeriesRef;

/// Samples of any number of series, column by column; the three columns have equal length.
///
/// Row order is the order of appending. Timestamps may come in any order, within and across series.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    /// The series of each sample, as [`Engine::resolve`](crate::Engine::resolve) named it.
    pub refs: Vec<SeriesRef>,
    /// Milliseconds since the Unix epoch.
    pub timestamps_ms: Vec<i64>,
    /// Any float; NaN payloads are kept.
    pub values: Vec<f64>,
}

impl Batch {
    /// A batch with room for `sample_count` samples.
    pub fn with_capacity(sample_count: usize) -> Self {
        Self {
            refs: Vec::with_capacity(sample_count),
            timestamps_ms: Vec::with_capacity(sample_count),
            values: Vec::with_capacity(sample_count),
        }
    }

    /// Adds one sample.
    #[inline]
    pub fn push(&mut self, series: SeriesRef, timestamp_ms: i64, value: f64) {
        self.refs.push(series);
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }

    /// The number of samples.
    pub fn len(&self) -> usize {
        self.refs.len()
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.refs.is_empty()
    }
}

/// Why a sample was refused for good; sending it again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Older than the retention (`--retention`).
    #[error("timestamp is older than the retention (--retention)")]
    TooOld,
    /// Further ahead of the server's clock than `--future-tolerance`.
    #[error("timestamp is too far in the future (--future-tolerance)")]
    TooFarAhead,
    /// The series already has another value at this time.
    #[error("a sample with the same timestamp but another value is already stored")]
    Conflict,
}

/// What became of a batch that is now as durable as the engine was told to make it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Samples that are new.
    pub stored: u32,
    /// Samples that were there already, with the same value.
    pub duplicates: u32,
    /// Rows of the batch that were refused, ascending, each with its reason. The other rows are stored.
    pub refused: Vec<(u32, Refusal)>,
}

/// Called once, with the outcome, when the batch is durable and visible to queries, or has failed as a whole.
///
/// Runs on the committer's thread: it must be short and must not call back into the engine.
pub type Done = Box<dyn FnOnce(Result<Outcome, crate::EngineError>) + Send>;
