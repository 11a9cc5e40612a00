//! Arbitrary bytes as a metrics request: no panic, one outcome per point, and the same outcome when the cache knows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_histogram::{FloatHistogram, HistogramError};
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_otlp::{DeltaMode, Exemplar, Options, RefusalReason, Refused, Sink, TargetInfo, Translator};

#[derive(Default)]
struct Rows {
    series: u64,
    samples: Vec<(i64, u64)>,
    points: u64,
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
    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, _: i64, value: f64) {
        assert!((1..=self.series).contains(&series.0));
        self.samples.push((timestamp_ms, value.to_bits()));
    }
    fn append_delta(&mut self, series: SeriesRef, timestamp_ms: i64, start_ms: i64, value: f64) {
        self.append(series, timestamp_ms, start_ms, value);
    }

    fn append_histogram(
        &mut self,
        series: SeriesRef,
        timestamp_ms: i64,
        _: i64,
        histogram: FloatHistogram,
        _: bool,
    ) -> Result<(), Refused> {
        assert!((1..=self.series).contains(&series.0));
        assert!(histogram.is_stale() || histogram.validate().is_ok());
        self.samples.push((timestamp_ms, histogram.count.to_bits()));
        if histogram.is_stale() {
            return Ok(());
        }
        let refused = |error: HistogramError| Refused::new(RefusalReason::Invalid, error.to_string());
        histogram.validate_integers().map_err(refused)
    }
    fn wants_exemplars(&self) -> bool {
        true
    }
    fn append_exemplar(&mut self, exemplar: Exemplar) {
        assert!((1..=self.series).contains(&exemplar.series.0));
    }
    fn end_point(&mut self) {
        self.points += 1;
    }
    fn end_resource(&mut self, _: Option<TargetInfo>) {}
}

fuzz_target!(|data: &[u8]| {
    let options = Options {
        promote_scope_metadata: data.len() % 2 == 1,
        custom_bucket_histograms: data.len() % 3 == 1,
        type_and_unit_labels: data.len() % 5 == 1,
        delta: [DeltaMode::Refuse, DeltaMode::Keep, DeltaMode::Accumulate][data.len() % 7 % 3],
        ..Options::default()
    };
    let translator = Translator::new(options);
    let mut rows = Rows::default();
    let Ok(first) = translator.translate(data, 0, &mut rows) else { return };
    assert_eq!(first.accepted_points, rows.points);
    for epoch in [0, 1] {
        let samples = std::mem::take(&mut rows.samples);
        let again = translator.translate(data, epoch, &mut rows).expect("it was read before");
        assert_eq!((again.accepted_points, again.refused.total()), (first.accepted_points, first.refused.total()));
        assert!(samples == rows.samples, "the same samples from the cache");
    }
});
