//! Results of an evaluation.

use crate::annotations::Annotations;
use crate::error::EvalError;
use crate::plan::Plan;
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::Labels;
use std::sync::Arc;

/// What a query evaluates to.
#[derive(Debug, Clone)]
pub struct QueryResult {
    /// The value.
    pub value: QueryValue,
    /// Warnings and infos that came up on the way.
    pub annotations: Annotations,
    /// What it took.
    pub stats: QueryStats,
    /// How it was evaluated and what each part took, if [`QueryOptions::profile`](crate::QueryOptions) asked for it.
    pub plan: Option<Plan>,
}

/// What there is to say of an evaluation whose series went into a [`SeriesSink`].
#[derive(Debug, Clone)]
pub struct Summary {
    /// Warnings and infos that came up on the way.
    pub annotations: Annotations,
    /// What it took.
    pub stats: QueryStats,
    /// How it was evaluated and what each part took, if [`QueryOptions::profile`](crate::QueryOptions) asked for it.
    pub plan: Option<Plan>,
}

/// Takes the series of a range query while they are computed.
pub trait SeriesSink {
    /// The next series, in ascending order of labels. Each comes once and has at least one sample.
    ///
    /// # Errors
    /// Ends the evaluation, which returns the error. [`EvalError::Canceled`] if nobody wants the rest.
    fn series(&mut self, series: SeriesView<'_>) -> Result<(), EvalError>;
}

/// A series of a range result that its sink may look at: as [`Series`], but borrowed.
#[derive(Debug, Clone, Copy)]
pub struct SeriesView<'s> {
    /// The series.
    pub labels: &'s Labels,
    /// Times of `values`.
    pub timestamps_ms: &'s [i64],
    /// Float samples.
    pub values: &'s [f64],
    /// Times of `histograms`, disjoint from `timestamps_ms`.
    pub histogram_timestamps_ms: &'s [i64],
    /// Histogram samples.
    pub histograms: &'s [Arc<FloatHistogram>],
}

impl Series {
    /// The same, borrowed.
    pub fn view(&self) -> SeriesView<'_> {
        SeriesView {
            labels: &self.labels,
            timestamps_ms: &self.timestamps_ms,
            values: &self.values,
            histogram_timestamps_ms: &self.histogram_timestamps_ms,
            histograms: &self.histograms,
        }
    }
}

impl SeriesView<'_> {
    /// A copy that lasts.
    pub fn to_series(self) -> Series {
        Series {
            labels: self.labels.clone(),
            timestamps_ms: self.timestamps_ms.to_vec(),
            values: self.values.to_vec(),
            histogram_timestamps_ms: self.histogram_timestamps_ms.to_vec(),
            histograms: self.histograms.to_vec(),
        }
    }
}

/// What an evaluation took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueryStats {
    /// Samples read from the storage; histograms count by their size.
    pub samples_read: u64,
    /// Most samples held at the same time.
    pub samples_peak: u64,
    /// Series read from the storage.
    pub series_read: u64,
    /// What came from kept results.
    pub results: ResultUse,
}

/// What an evaluation had of [`QueryOptions::results`](crate::QueryOptions), by parts of the plan that may be kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResultUse {
    /// Parts of which every step was kept and still exact.
    pub hits: u64,
    /// Parts of which some were.
    pub partial: u64,
    /// Parts of which none was.
    pub misses: u64,
    /// Steps that were kept.
    pub steps_kept: u64,
    /// Steps that were computed.
    pub steps_computed: u64,
}

/// A value of one of the four types.
#[derive(Debug, Clone)]
pub enum QueryValue {
    /// A time in ms and a number.
    Scalar(i64, f64),
    /// A time in ms and a text.
    String(i64, String),
    /// One sample per series.
    Vector(Vec<VectorSample>),
    /// Series of samples, in ascending order of labels.
    Matrix(Vec<Series>),
}

/// A sample of an instant vector.
#[derive(Debug, Clone)]
pub struct VectorSample {
    /// The series.
    pub labels: Labels,
    /// The evaluation time.
    pub timestamp_ms: i64,
    /// The sample's value.
    pub value: SampleValue,
}

/// A float or a native histogram.
#[derive(Debug, Clone)]
pub enum SampleValue {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<FloatHistogram>),
}

/// A series of a range result: floats and histograms in columns of their own, each ascending in time.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// The series.
    pub labels: Labels,
    /// Times of `values`.
    pub timestamps_ms: Vec<i64>,
    /// Float samples.
    pub values: Vec<f64>,
    /// Times of `histograms`, disjoint from `timestamps_ms`.
    pub histogram_timestamps_ms: Vec<i64>,
    /// Histogram samples.
    pub histograms: Vec<Arc<FloatHistogram>>,
}
