//! A sink as cheap as a real one's columns: for the bench of the walk, and for the example that counts its instructions.

use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_otlp::{Exemplar, Refused, Sink, TargetInfo};

/// The columns a real sink fills.
#[derive(Default)]
pub struct Columns {
    pub series: u64,
    pub refs: Vec<SeriesRef>,
    pub timestamps_ms: Vec<i64>,
    pub values: Vec<f64>,
    pub ends: Vec<u32>,
}

impl Sink for Columns {
    fn resolve(&mut self, _: &Labels) -> Result<SeriesRef, Refused> {
        self.series += 1;
        Ok(SeriesRef(self.series))
    }
    fn touch(&mut self, _: SeriesRef) -> bool {
        true
    }
    fn append_delta(&mut self, _: SeriesRef, _: i64, _: i64, _: f64) {}
    fn append_histogram(&mut self, _: SeriesRef, _: i64, _: i64, _: FloatHistogram, _: bool) -> Result<(), Refused> {
        Ok(())
    }
    fn wants_exemplars(&self) -> bool {
        false
    }
    fn append_exemplar(&mut self, _: Exemplar) {}
    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, _: i64, value: f64) {
        self.refs.push(series);
        self.timestamps_ms.push(timestamp_ms);
        self.values.push(value);
    }
    fn end_point(&mut self) {
        self.ends.push(self.refs.len() as u32);
    }
    fn end_resource(&mut self, _: Option<TargetInfo>) {}
}
