//! Arbitrary bytes as one point of an exponential histogram, so that no input is lost on what is around it: no panic, valid
//! histograms, and the same outcome when the cache knows the series.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_otlp::{DeltaMode, Exemplar, Options, RefusalReason, Refused, Sink, TargetInfo, Translator};

#[derive(Default)]
struct Histograms {
    found: Vec<(i64, FloatHistogram)>,
}

impl Sink for Histograms {
    fn resolve(&mut self, _: &Labels) -> Result<SeriesRef, Refused> {
        Ok(SeriesRef(1))
    }
    fn touch(&mut self, _: SeriesRef) -> bool {
        true
    }
    fn append(&mut self, _: SeriesRef, _: i64, _: i64, _: f64) {
        panic!("an exponential histogram became a float");
    }
    fn append_delta(&mut self, _: SeriesRef, _: i64, _: i64, _: f64) {
        panic!("an exponential histogram became a float");
    }
    fn append_histogram(
        &mut self,
        _: SeriesRef,
        timestamp_ms: i64,
        _: i64,
        histogram: FloatHistogram,
        _: bool,
    ) -> Result<(), Refused> {
        if !histogram.is_stale() {
            assert_eq!(histogram.validate(), Ok(()));
            assert!((-4..=8).contains(&histogram.schema), "{}", histogram.schema);
            assert!(histogram.positive_buckets.len() + histogram.negative_buckets.len() <= 2 * 1024);
        }
        let checked = if histogram.is_stale() { Ok(()) } else { histogram.validate_integers() };
        self.found.push((timestamp_ms, histogram));
        checked.map_err(|error| Refused::new(RefusalReason::Invalid, error.to_string()))
    }
    fn wants_exemplars(&self) -> bool {
        true
    }
    fn append_exemplar(&mut self, _: Exemplar) {}
    fn end_point(&mut self) {}
    fn end_resource(&mut self, _: Option<TargetInfo>) {}
}

/// A field of protobuf with bytes in it.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(bytes);
    out
}

fuzz_target!(|data: &[u8]| {
    for temporality in [1, 2] {
        let histogram = [field(1, data), vec![0x10, temporality]].concat();
        let metric = [field(1, b"m"), field(10, &histogram)].concat();
        let request = field(1, &field(2, &field(2, &metric)));
        let translator = Translator::new(Options { delta: DeltaMode::Accumulate, ..Options::default() });
        let mut sink = Histograms::default();
        let Ok(first) = translator.translate(&request, 0, &mut sink) else { continue };
        assert_eq!(first.accepted_points + first.refused.total(), 1);
        let found = std::mem::take(&mut sink.found);
        let again = translator.translate(&request, 0, &mut sink).expect("it was read before");
        assert_eq!(again.accepted_points, first.accepted_points);
        assert_eq!(format!("{:?}", sink.found), format!("{found:?}"));
    }
});
