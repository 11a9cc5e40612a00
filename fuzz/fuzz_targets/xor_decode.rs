//! Arbitrary bytes as an XOR chunk: no panic, times that ascend, and the same samples after encoding them again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mytsdb_codec::{XorAppender, decode};

fuzz_target!(|data: &[u8]| {
    let (mut times, mut values) = (Vec::new(), Vec::new());
    let resumed = XorAppender::resume(data.to_vec());
    if decode(data, &mut times, &mut values).is_err() {
        assert!(times.is_empty() && values.is_empty() && resumed.is_err());
        return;
    }
    assert!(times.is_sorted_by(|a, b| a < b) && times.len() == values.len());
    assert_eq!(resumed.expect("what decodes can be continued").sample_count(), times.len());
    let mut again = XorAppender::new();
    for (&time, &value) in times.iter().zip(&values) {
        again.push(time, value).expect("times ascend");
    }
    let (mut same_times, mut same_values) = (Vec::new(), Vec::new());
    decode(again.bytes(), &mut same_times, &mut same_values).expect("just encoded");
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert!(same_times == times && bits(&same_values) == bits(&values));
});
