//! Arbitrary bytes as an OTLP/JSON request: no panic, the limit holds, and what comes out is always a readable request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_histogram::FloatHistogram;
use mytsdb_model::{Labels, SeriesRef};
use mytsdb_otlp::{Exemplar, Options, OtlpError, Refused, Sink, TargetInfo, Translator};
use mytsdb_otlp_json::{Problem, transcode};

struct Nowhere;

impl Sink for Nowhere {
    fn resolve(&mut self, _: &Labels) -> Result<SeriesRef, Refused> {
        Ok(SeriesRef(1))
    }
    fn touch(&mut self, _: SeriesRef) -> bool {
        true
    }
    fn append(&mut self, _: SeriesRef, _: i64, _: i64, _: f64) {}
    fn append_delta(&mut self, _: SeriesRef, _: i64, _: i64, _: f64) {}
    fn append_histogram(&mut self, _: SeriesRef, _: i64, _: i64, _: FloatHistogram, _: bool) -> Result<(), Refused> {
        Ok(())
    }
    fn wants_exemplars(&self) -> bool {
        true
    }
    fn append_exemplar(&mut self, _: Exemplar) {}
    fn end_point(&mut self) {}
    fn end_resource(&mut self, _: Option<TargetInfo>) {}
}

fuzz_target!(|data: &[u8]| {
    let Ok(protobuf) = transcode(data, 8 * data.len()) else { return };
    let read = Translator::new(Options::default()).translate(&protobuf, 0, &mut Nowhere);
    assert!(matches!(read, Ok(_) | Err(OtlpError::Nesting { .. })), "{read:?}");
    if let Some(limit) = protobuf.len().checked_sub(1) {
        let problem = transcode(data, limit).expect_err("one byte too few").problem;
        assert_eq!(problem, Problem::TooLarge { limit });
    }
});
