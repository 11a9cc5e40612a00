//! Where translated samples go.

use crate::Refused;
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

    /// Takes one sample of the current point.
    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, value: f64);

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
