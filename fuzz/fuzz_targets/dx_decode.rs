//! Arbitrary bytes as a DX chunk: no panic, as many samples as announced, times that ascend, and the same samples
//! after encoding them again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_codec::{DxChunk, DxEncoder};

fuzz_target!(|data: &[u8]| {
    let Ok(chunk) = DxChunk::parse(data) else { return };
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let (read_times, read_values) = (chunk.decode_times(&mut times), chunk.decode_values(&mut values));
    assert_eq!(times.len(), if read_times.is_ok() { chunk.sample_count() } else { 0 });
    assert_eq!(values.len(), if read_values.is_ok() { chunk.sample_count() } else { 0 });
    if read_times.is_err() || read_values.is_err() {
        return;
    }
    assert!(times.is_sorted_by(|a, b| a < b));
    let mut bytes = Vec::new();
    DxEncoder::default().encode(&times, &values, &mut bytes).expect("times ascend");
    let again = DxChunk::parse(&bytes).expect("just encoded");
    let (mut same_times, mut same_values) = (Vec::new(), Vec::new());
    again.decode_times(&mut same_times).expect("just encoded");
    again.decode_values(&mut same_values).expect("just encoded");
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert!(same_times == times && bits(&same_values) == bits(&values));
});
