//! Sampled answers: one message with everything.

use crate::{histogram, put};
use mytsdb_columns::Columns;
use mytsdb_model::Labels;

/// A `prometheus.ReadResponse` in the making; its size is that of its samples, some 12 bytes each.
#[derive(Debug, Default)]
pub struct Sampled {
    out: Vec<u8>,
    result: Vec<u8>,
    series: Vec<u8>,
}

impl Sampled {
    /// Adds a series to the answer of the current query. One without samples adds nothing.
    pub fn series(&mut self, labels: &Labels, columns: &Columns) {
        if columns.timestamps_ms.is_empty() && columns.histograms.is_empty() {
            return;
        }
        let series = &mut self.series;
        series.clear();
        put::labels(series, labels);
        let mut sample = Vec::new();
        for (&timestamp_ms, &value) in columns.timestamps_ms.iter().zip(&columns.values) {
            sample.clear();
            put::double(&mut sample, 1, value);
            put::varint(&mut sample, 2, timestamp_ms as u64);
            put::bytes(series, 2, &sample);
        }
        for (&timestamp_ms, found) in columns.histogram_timestamps_ms.iter().zip(&columns.histograms) {
            put::bytes(series, 4, &histogram::message(found, timestamp_ms));
        }
        put::bytes(&mut self.result, 1, series);
    }

    /// Ends the answer of a query; each has one, also if it found nothing.
    pub fn end_query(&mut self) {
        put::bytes(&mut self.out, 1, &self.result);
        self.result.clear();
    }

    /// Bytes so far.
    pub fn bytes(&self) -> usize {
        self.out.len() + self.result.len()
    }

    /// The message, which goes into a snappy block.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}
