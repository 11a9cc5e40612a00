//! XOR chunks of 120 samples: append and decode, ns per chunk; round trip asserted.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_codec::{XorAppender, decode};
use std::hint::black_box;

const SAMPLE_COUNT: usize = 120;

/// A counter, a gauge of two decimals and a constant; 15 s apart with 5 ms of jitter, seeded.
fn columns(kind: &str) -> Vec<(i64, f64)> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut counter = 1e6;
    (0..SAMPLE_COUNT as i64)
        .map(|i| {
            let time = 1_700_000_000_000 + i * 15_000 + (random() % 11) as i64 - 5;
            counter += (random() % 200) as f64;
            let value = match kind {
                "counter" => counter,
                "gauge_2dec" => (random() % 10_000) as f64 / 100.0,
                _ => 42.0,
            };
            (time, value)
        })
        .collect()
}

fn encode(samples: &[(i64, f64)]) -> XorAppender {
    let mut chunk = XorAppender::new();
    for &(time, value) in samples {
        chunk.push(time, value).expect("times ascend");
    }
    chunk
}

fn bench(c: &mut Criterion) {
    for kind in ["counter", "gauge_2dec", "constant"] {
        let samples = columns(kind);
        let bytes = encode(&samples).finish();
        let (mut times, mut values) = (Vec::new(), Vec::new());
        decode(&bytes, &mut times, &mut values).expect("just encoded");
        assert!(times.iter().copied().zip(values.iter().copied()).eq(samples.iter().copied()));

        let mut group = c.benchmark_group(format!("xor/{kind}"));
        group.throughput(Throughput::Elements(SAMPLE_COUNT as u64));
        group.bench_function("append", |b| b.iter(|| encode(black_box(&samples))));
        group.bench_function("decode", |b| {
            b.iter(|| {
                times.clear();
                values.clear();
                decode(black_box(&bytes), &mut times, &mut values).expect("just encoded");
                values.len()
            });
        });
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
