//! DX chunks of 120 and 480 samples: encode and decode, with XOR beside them; sizes printed, round trips asserted.
//!
//! `cargo bench -p mytsdb-codec --bench dx`; the throughput is in samples.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_codec::{DxChunk, DxEncoder, XorAppender, decode, dx_kernel};
use std::hint::black_box;

const KINDS: [&str; 6] = ["counter", "gauge_2dec", "hist_bucket", "constant", "latency_15dig", "full_entropy"];

/// 15 s apart, with 5 ms of jitter or none, seeded.
fn columns(kind: &str, count: usize, jitter: bool) -> (Vec<i64>, Vec<f64>) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state >> 8
    };
    let mut counter = 1e6;
    (0..count as i64)
        .map(|i| {
            let late = if jitter { (random() % 11) as i64 - 5 } else { 0 };
            let unit = random() as f64 / (1u64 << 56) as f64;
            let value = match kind {
                "counter" => {
                    counter += (random() % 200) as f64;
                    counter
                }
                "gauge_2dec" => (random() % 10_000) as f64 / 100.0,
                "hist_bucket" => {
                    counter += f64::from(u8::from(random() % 20 == 0));
                    counter
                }
                "latency_15dig" => (unit * 1e15).round() / 1e15,
                "full_entropy" => unit * 1e9,
                _ => 42.0,
            };
            (1_700_000_000_000 + i * 15_000 + late, value)
        })
        .unzip()
}

fn encode_xor(times: &[i64], values: &[f64]) -> XorAppender {
    let mut chunk = XorAppender::new();
    for (&time, &value) in times.iter().zip(values) {
        chunk.push(time, value).expect("times ascend");
    }
    chunk
}

fn bench(c: &mut Criterion) {
    println!("kernel: {}", dx_kernel());
    for count in [120, 480] {
        for kind in KINDS {
            bench_kind(c, kind, count);
        }
        bench_times(c, count);
    }
}

fn bench_kind(c: &mut Criterion, kind: &str, count: usize) {
    let (times, values) = columns(kind, count, true);
    let regular = columns(kind, count, false).0;
    let mut encoder = DxEncoder::default();
    let mut bytes = Vec::new();
    encoder.encode(&times, &values, &mut bytes).expect("times ascend");
    let chunk = DxChunk::parse(&bytes).expect("just encoded");
    let xor = encode_xor(&times, &values).finish();
    let (mut read_times, mut read) = (Vec::new(), Vec::new());
    chunk.decode_times(&mut read_times).expect("just encoded");
    chunk.decode_values(&mut read).expect("just encoded");
    assert!(read_times == times && read.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits())));
    let time_bytes = chunk.time_column().len();
    println!(
        "{kind}/{count}: {:.2} B/sample of values, {:.2} of times; XOR {:.2} of both",
        (bytes.len() - time_bytes - 1) as f64 / count as f64,
        time_bytes as f64 / count as f64,
        xor.len() as f64 / count as f64,
    );

    let mut group = c.benchmark_group(format!("dx/{kind}/{count}"));
    group.throughput(Throughput::Elements(count as u64));
    group.bench_function("decode_values", |b| {
        b.iter(|| {
            read.clear();
            let chunk = DxChunk::parse(black_box(&bytes)).expect("just encoded");
            chunk.decode_values(&mut read).expect("just encoded");
            read.len()
        });
    });
    group.bench_function("decode_values_scalar", |b| {
        b.iter(|| {
            read.clear();
            let chunk = DxChunk::parse(black_box(&bytes)).expect("just encoded");
            chunk.decode_values_scalar(&mut read).expect("just encoded");
            read.len()
        });
    });
    group.bench_function("xor_decode", |b| {
        b.iter(|| {
            read_times.clear();
            read.clear();
            decode(black_box(&xor), &mut read_times, &mut read).expect("just encoded");
            read.len()
        });
    });
    for (name, times) in [("encode_regular", &regular), ("encode_jittered", &times)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                bytes.clear();
                encoder.encode(black_box(times), black_box(&values), &mut bytes).expect("times ascend");
                bytes.len()
            });
        });
    }
    group.bench_function("xor_append", |b| b.iter(|| encode_xor(black_box(&times), black_box(&values))));
    group.finish();
}

fn bench_times(c: &mut Criterion, count: usize) {
    let mut group = c.benchmark_group(format!("dx/times/{count}"));
    group.throughput(Throughput::Elements(count as u64));
    for (name, jitter) in [("decode_regular", false), ("decode_jittered", true)] {
        let (times, values) = columns("constant", count, jitter);
        let mut bytes = Vec::new();
        DxEncoder::default().encode(&times, &values, &mut bytes).expect("times ascend");
        let mut read = Vec::new();
        group.bench_function(name, |b| {
            b.iter(|| {
                read.clear();
                let chunk = DxChunk::parse(black_box(&bytes)).expect("just encoded");
                chunk.decode_times(&mut read).expect("just encoded");
                read.len()
            });
        });
        assert_eq!(read, times);
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
