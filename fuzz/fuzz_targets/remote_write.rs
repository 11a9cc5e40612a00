//! Arbitrary bytes as a remote-write request of either version: no panic, valid histograms, one outcome per sample, and the
//! same outcome when the cache knows the series.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_histogram::FloatHistogram;
use mytsdb_intake::{Limits, Metadata, Refused, SeriesCache};
use mytsdb_model::{Exemplar, Labels, SeriesRef};
use mytsdb_remote_write::{Options, Receiver, Sink, Version};
use std::sync::Arc;

#[derive(Default)]
struct Rows {
    series: u64,
    samples: Vec<(i64, i64, u64)>,
    histograms: u64,
}

impl Sink for Rows {
    fn resolve(&mut self, labels: &Labels) -> Result<SeriesRef, Refused> {
        assert!(labels.len() <= 64 && !labels.metric_name().is_empty());
        self.series += 1;
        Ok(SeriesRef(self.series))
    }
    fn touch(&mut self, series: SeriesRef) -> bool {
        series.0 % 2 == 0
    }
    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
        assert!((1..=self.series).contains(&series.0));
        self.samples.push((timestamp_ms, start_ms, value.to_bits()));
    }
    fn append_histogram(
        &mut self,
        series: SeriesRef,
        _: i64,
        _: i64,
        histogram: FloatHistogram,
    ) -> Result<(), Refused> {
        assert!((1..=self.series).contains(&series.0));
        assert_eq!(histogram.validate(), Ok(()));
        self.histograms += 1;
        Ok(())
    }
    fn append_exemplar(&mut self, series: SeriesRef, exemplar: Exemplar) {
        assert!((1..=self.series).contains(&series.0));
        assert!(exemplar.labels.as_bytes().len() < 1024);
    }
}

fuzz_target!(|data: &[u8]| {
    for version in Version::ALL {
        let (cache, metadata) = (Arc::new(SeriesCache::new(1000)), Arc::new(Metadata::new(10)));
        let receiver = Receiver::new(Options { limits: Limits::default(), cache, metadata, fingerprint_seed: 1 });
        let mut rows = Rows::default();
        let Ok(mut first) = receiver.translate(version, data, 0, &mut rows) else { continue };
        assert_eq!((first.samples, first.histograms), (rows.samples.len() as u64, rows.histograms));
        assert!(first.refused.messages().iter().all(|message| message.len() <= 512));
        for epoch in [0, 1] {
            let samples = std::mem::take(&mut rows.samples);
            let again = receiver.translate(version, data, epoch, &mut rows).expect("it was read before");
            assert_eq!((again.samples, again.histograms), (first.samples, first.histograms));
            assert_eq!(again.refused, first.refused);
            assert!(samples == rows.samples, "the same samples from the cache");
        }
        let (refused, rows) = (first.refused.total(), (first.samples + first.histograms) as u32);
        first.refuse_rows(data, (0..rows).map(|row| (row, "refused".to_owned())));
        assert_eq!((first.samples, first.histograms, first.refused.total()), (0, 0, refused + u64::from(rows)));
    }
});
