//! Where translated samples go.

use crate::Refused;
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Labels, SeriesRef};

/// Takes the samples of one request, in the order of its points.
pub trait Sink {
    /// The reference of a series, new or known. Called only for series the cache does not know.
    ///
    /// # Errors
    /// If the series cannot be had; the point is then refused with that message.
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused>;

    /// Whether `series`, resolved in an earlier epoch, is still good; if so it stays good through this one.
    fn touch(&mut self, series: SeriesRef) -> bool;

    /// Takes one sample of the current point. What is counted began at `start_ms`; 0 if that is not known.
    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64);

    /// Takes what was counted since the sample before, to be added to it. Samples of such a series are added up in the order
    /// of time; one that is not behind the newest has been counted, or comes too late to be.
    fn append_delta(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64);

    /// Takes a native histogram, which is the only sample of the current point, or the marker that ends a series.
    /// `start_ms` is as for [`append`](Self::append), `delta` says that it is to be added as by
    /// [`append_delta`](Self::append_delta). Its parts fit together, but nobody has added up its counts.
    ///
    /// # Errors
    /// If it cannot be stored; nothing is kept then, and the point is refused with that message.
    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp_ms: i64,
        start_ms: i64,
        histogram: FloatHistogram,
        delta: bool,
    ) -> Result<(), Refused>;

    /// Whether exemplars are kept; those of points are read only then.
    fn wants_exemplars(&self) -> bool;

    /// Takes an exemplar of the current point, after its samples. A bad exemplar never costs the point.
    fn append_exemplar(&mut self, exemplar: Exemplar);

    /// Ends the current point: all samples since the last end belong to it.
    fn end_point(&mut self);

    /// Ends the points of a resource: all since the last end are of it. Points without such an end are of none.
    ///
    /// Where any of them are accepted, by whoever decides that in the end, a sample of 1 is due in its `target_info`.
    fn end_resource(&mut self, target_info: Option<TargetInfo>);
}

/// The series that describes a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TargetInfo {
    /// Its reference.
    pub series: SeriesRef,
    /// The time from one of its samples to the next in milliseconds, > 0: half the lookback, so that none is missed.
    pub step_ms: i64,
}

/// One observation of a series, with what its labels do not say.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar {
    /// The series of the point; of a histogram with classic buckets that of the bucket into which the value falls.
    pub series: SeriesRef,
    /// Milliseconds since the Unix epoch; `None` if the sender did not say.
    pub timestamp_ms: Option<i64>,
    /// The observed value.
    pub value: f64,
    /// `trace_id`, `span_id` and attributes.
    pub labels: Labels,
}
