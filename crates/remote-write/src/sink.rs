//! Where translated samples go.

use mytsdb_histogram::FloatHistogram;
use mytsdb_intake::Refused;
use mytsdb_model::{Exemplar, Labels, SeriesRef};

/// Takes the samples of one request, in the order in which they were sent. Each is a row: it is stored or refused by itself.
pub trait Sink {
    /// The reference of a series, new or known. Called only for series the cache does not know.
    ///
    /// # Errors
    /// If the series cannot be had; its samples are then refused with that message.
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused>;

    /// Whether `series`, resolved in an earlier epoch, is still good; if so it stays good through this one.
    fn touch(&mut self, series: SeriesRef) -> bool;

    /// Takes one float. What is counted began at `start_ms`; 0 if that is not known.
    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64);

    /// Takes one native histogram, which is [valid](FloatHistogram::validate). `start_ms` is as for [`append`](Self::append).
    ///
    /// # Errors
    /// If histograms, or this one, are not stored; it is no row then.
    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp_ms: i64,
        start_ms: i64,
        histogram: FloatHistogram,
    ) -> Result<(), Refused>;

    /// Takes an exemplar of a series, which is no row. What becomes of it costs no sample.
    fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar);
}
