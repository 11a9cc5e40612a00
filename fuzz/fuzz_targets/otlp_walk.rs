//! Arbitrary bytes as a metrics request: no panic, one outcome per point, and the same outcome when the cache knows it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_otlp::{Options, Refused, Sink, TargetInfo, Translator};

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
    fn append(&mut self, series: SeriesRef, timestamp_ms: i64, value: f64) {
        assert!((1..=self.series).contains(&series.0));
        self.samples.push((timestamp_ms, value.to_bits()));
    }
    fn end_point(&mut self) {
        self.points += 1;
    }
    fn end_resource(&mut self, _: Option<TargetInfo>) {}
}

fuzz_target!(|data: &[u8]| {
    let promote_scope_metadata = data.len() % 2 == 1;
    let translator = Translator::new(Options { promote_scope_metadata, ..Options::default() });
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
