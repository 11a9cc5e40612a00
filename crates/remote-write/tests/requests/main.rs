//! Requests that prost built: what arrives at the sink, what is refused in which words, and what hostile bytes do.
#![expect(clippy::unwrap_used, reason = "helpers of tests, which clippy does not take for tests")]

mod histograms;
mod hostile;
mod proto;
mod random;
mod rows;

use mytsdb_histogram::FloatHistogram;
use mytsdb_intake::{Limits, Metadata, RefusalReason, Refused, SeriesCache};
use mytsdb_model::{Exemplar, Labels, SeriesRef};
use mytsdb_remote_write::{Options, Receiver, RemoteWriteError, Sink, Version, Written};
use prost::Message;
use proto::{Label, Sample, TimeSeries, WriteRequest, as_v2};
use std::sync::Arc;

/// A store that remembers everything as text, and may refuse.
#[derive(Default)]
struct Store {
    series: Vec<String>,
    rows: Vec<String>,
    histograms: Vec<FloatHistogram>,
    exemplars: Vec<String>,
    /// Series that may be made.
    series_max: Option<usize>,
    /// References of an earlier epoch are no good any more.
    forgetful: bool,
}

impl Sink for Store {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused> {
        if self.series_max == Some(self.series.len()) {
            return Err(Refused::new(RefusalReason::SeriesLimit, "no more series"));
        }
        self.series.push(labels.to_string());
        Ok(SeriesRef(self.series.len() as u64))
    }

    fn touch(&mut self, _: SeriesRef) -> bool {
        !self.forgetful
    }

    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
        let series = &self.series[series.0 as usize - 1];
        let since = if start_ms == 0 { String::new() } else { format!(" since {start_ms}") };
        self.rows.push(format!("{series} {timestamp_ms} {:x}{since}", value.to_bits()));
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp_ms: i64,
        start_ms: i64,
        histogram: FloatHistogram,
    ) -> Result<(), Refused> {
        assert_eq!(histogram.validate(), Ok(()));
        let series = &self.series[series.0 as usize - 1];
        self.rows.push(format!("{series} {timestamp_ms} {histogram} since {start_ms}"));
        self.histograms.push(histogram);
        Ok(())
    }

    fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar) {
        let series = &self.series[series.0 as usize - 1];
        self.exemplars.push(format!("{series} {} {} {}", exemplar.timestamp_ms, exemplar.value, exemplar.labels));
    }
}

fn options() -> Options {
    Options {
        limits: Limits::default(),
        cache: Arc::new(SeriesCache::new(1000)),
        metadata: Arc::new(Metadata::new(10)),
        fingerprint_seed: 5,
    }
}

fn receiver() -> Receiver {
    Receiver::new(options())
}

/// The bytes of a request in one of the versions.
fn encode(request: &WriteRequest, version: Version) -> Vec<u8> {
    match version {
        Version::V1 => request.encode_to_vec(),
        Version::V2 => as_v2(request).encode_to_vec(),
    }
}

fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    let label = |(name, value): &(&str, &str)| Label { name: (*name).to_owned(), value: (*value).to_owned() };
    let sample = |&(timestamp, value): &(i64, f64)| Sample { timestamp, value, start_timestamp: 0 };
    TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: samples.iter().map(sample).collect(),
        ..TimeSeries::default()
    }
}

fn request(timeseries: impl IntoIterator<Item = TimeSeries>) -> WriteRequest {
    WriteRequest { timeseries: timeseries.into_iter().collect(), metadata: Vec::new() }
}

/// Translates by a fresh receiver.
fn translate(request: &WriteRequest, version: Version) -> (Store, Result<Written, RemoteWriteError>) {
    let mut rows = Store::default();
    let written = receiver().translate(version, &encode(request, version), 0, &mut rows);
    (rows, written)
}
