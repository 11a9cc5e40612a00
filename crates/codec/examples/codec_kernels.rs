//! Kernels of the codec, for counting their instructions: 480 samples each, sizes and round trips asserted.
//!
//! `cargo xtask bench instructions`

use mytsdb_codec::{DxChunk, DxEncoder, XorAppender, decode};
use mytsdb_testkit::{Random, kernels, measured};
use std::hint::black_box;
use std::process::ExitCode;

const SAMPLES: i64 = 480;

/// A counter or a gauge of two decimals, 15 s apart, with 5 ms of jitter or none.
fn columns(counter: bool, jitter: bool) -> (Vec<i64>, Vec<f64>) {
    let mut random = Random::new(7);
    let mut sum = 1e6;
    let sample = |i: i64| {
        let late = if jitter { random.below(11) as i64 - 5 } else { 0 };
        sum += random.below(200) as f64;
        let value = if counter { sum } else { random.below(10_000) as f64 / 100.0 };
        (1_700_000_000_000 + i * 15_000 + late, value)
    };
    (0..SAMPLES).map(sample).unzip()
}

fn encoded(times: &[i64], values: &[f64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    DxEncoder::default().encode(times, values, &mut bytes).expect("times ascend");
    bytes
}

fn encode(counter: bool, times: u64) {
    let (at, values) = columns(counter, true);
    let (mut encoder, mut bytes) = (DxEncoder::default(), encoded(&at, &values));
    let expected = bytes.clone();
    measured(times, || {
        bytes.clear();
        encoder.encode(black_box(&at), black_box(&values), &mut bytes).expect("times ascend");
        assert_eq!(bytes.len(), expected.len());
    });
    assert_eq!(bytes, expected);
}

fn decode_values(counter: bool, scalar: bool, times: u64) {
    let (at, values) = columns(counter, true);
    let bytes = encoded(&at, &values);
    let mut read = Vec::with_capacity(values.len() + 64);
    DxChunk::parse(&bytes).expect("just encoded").decode_values(&mut read).expect("just encoded");
    measured(times, || {
        read.clear();
        let chunk = DxChunk::parse(black_box(&bytes)).expect("just encoded");
        let decoded = if scalar { chunk.decode_values_scalar(&mut read) } else { chunk.decode_values(&mut read) };
        decoded.expect("just encoded");
    });
    assert!(read.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
}

fn decode_times(jitter: bool, times: u64) {
    let (at, values) = columns(true, jitter);
    let bytes = encoded(&at, &values);
    let mut read = Vec::with_capacity(at.len() + 64);
    DxChunk::parse(&bytes).expect("just encoded").decode_times(&mut read).expect("just encoded");
    measured(times, || {
        read.clear();
        DxChunk::parse(black_box(&bytes)).expect("just encoded").decode_times(&mut read).expect("just encoded");
    });
    assert_eq!(read, at);
}

fn xor(at: &[i64], values: &[f64]) -> XorAppender {
    let mut chunk = XorAppender::new();
    for (&time, &value) in at.iter().zip(values) {
        chunk.push(time, value).expect("times ascend");
    }
    chunk
}

fn xor_append(times: u64) {
    let (at, values) = columns(true, true);
    measured(times, || {
        assert!(black_box(xor(black_box(&at), black_box(&values))).finish().len() > 480);
    });
}

fn xor_decode(times: u64) {
    let (at, values) = columns(true, true);
    let bytes = xor(&at, &values).finish();
    let (mut read_at, mut read) = (Vec::with_capacity(at.len()), Vec::with_capacity(at.len()));
    decode(&bytes, &mut read_at, &mut read).expect("just encoded");
    measured(times, || {
        read_at.clear();
        read.clear();
        decode(black_box(&bytes), &mut read_at, &mut read).expect("just encoded");
    });
    assert_eq!(read_at, at);
}

fn main() -> ExitCode {
    kernels(&[
        ("dx-encode-counter", |times| encode(true, times)),
        ("dx-encode-gauge", |times| encode(false, times)),
        ("dx-decode-counter", |times| decode_values(true, false, times)),
        ("dx-decode-gauge", |times| decode_values(false, false, times)),
        ("dx-decode-gauge-scalar", |times| decode_values(false, true, times)),
        ("dx-decode-times-regular", |times| decode_times(false, times)),
        ("dx-decode-times-jittered", |times| decode_times(true, times)),
        ("xor-append", xor_append),
        ("xor-decode", xor_decode),
    ])
}
