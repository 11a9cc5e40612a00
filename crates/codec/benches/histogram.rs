//! Histogram chunks of 120 samples of 160 buckets: encode and decode; sizes printed, round trips asserted.
//!
//! `cargo bench -p mytsdb-codec --bench histogram`; the throughput is in histograms. The data: latencies of a service,
//! log-normal with sigma 1.5 over 160 buckets of schema 3, the median in the middle; each interval of 15 s adds a Poisson number
//! of observations to each bucket, `rate * 15` in all; it has been counting for a day. Seeded by `SplitMix64`, 1.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_codec::{DxChunk, DxEncoder, HistogramChunk, HistogramEncoder, put_histogram, take_histogram};
use mytsdb_columns::Columns;
use mytsdb_histogram::{CounterResetHint, FloatHistogram, Span};
use mytsdb_testkit::Random;
use std::hint::black_box;
use std::sync::Arc;

const SAMPLES: usize = 120;
const BUCKETS: usize = 160;
const INTERVAL_S: f64 = 15.0;
const INTERVALS_BEFORE: f64 = 5_760.0;

/// A Poisson number: by products of uniform ones (Knuth), in parts small enough for `exp`.
fn poisson(random: &mut Random, mut mean: f64) -> f64 {
    let mut count = 0.0;
    while mean > 0.0 {
        let limit = (-mean.min(30.0)).exp();
        mean -= 30.0;
        let mut product = random.unit();
        while product > limit {
            count += 1.0;
            product *= random.unit();
        }
    }
    count
}

/// Observations in each bucket in an interval, on average.
fn means(rate: f64) -> Vec<f64> {
    let width = std::f64::consts::LN_2 / 8.0; // of a bucket, in the logarithm
    let density = |bucket: usize| (-((bucket as f64 - 79.5) * width / 1.5).powi(2) / 2.0).exp();
    let all: f64 = (0..BUCKETS).map(density).sum();
    (0..BUCKETS).map(|bucket| rate * INTERVAL_S * density(bucket) / all).collect()
}

fn growing(rate: f64) -> Vec<Arc<FloatHistogram>> {
    let mut random = Random::new(1);
    let means = means(rate);
    let mut buckets: Vec<f64> = means.iter().map(|mean| (mean * INTERVALS_BEFORE).ceil()).collect();
    let mut sum = 0.0;
    (0..SAMPLES)
        .map(|_| {
            for (number, (bucket, &mean)) in buckets.iter_mut().zip(&means).enumerate() {
                let more = poisson(&mut random, mean);
                *bucket += more;
                sum += more * 2f64.powf((number as f64 - 79.5) / 8.0) * random.unit();
            }
            Arc::new(FloatHistogram {
                counter_reset_hint: CounterResetHint::NotCounterReset,
                schema: 3,
                zero_threshold: 2f64.powi(-128),
                count: buckets.iter().sum(),
                sum,
                positive_spans: vec![Span { offset: -79, length: BUCKETS as u32 }],
                positive_buckets: buckets.clone(),
                ..FloatHistogram::default()
            })
        })
        .collect()
}

/// Bytes of the bucket columns alone; `of_neighbour` as the difference to the bucket below.
fn bucket_bytes(histograms: &[Arc<FloatHistogram>], of_neighbour: bool) -> f64 {
    let times: Vec<i64> = (0..SAMPLES as i64).collect();
    let mut bytes = Vec::new();
    let columns = (0..BUCKETS).map(|bucket| {
        let below = |h: &FloatHistogram| if of_neighbour && bucket > 0 { h.positive_buckets[bucket - 1] } else { 0.0 };
        let entries: Vec<f64> = histograms.iter().map(|h| h.positive_buckets[bucket] - below(h)).collect();
        bytes.clear();
        DxEncoder::default().encode(&times, &entries, &mut bytes).expect("times ascend");
        let chunk = DxChunk::parse(&bytes).expect("just encoded");
        chunk.value_column().len() - 1 // an integer column has no kind
    });
    columns.sum::<usize>() as f64 / (SAMPLES * BUCKETS) as f64
}

fn bench(c: &mut Criterion) {
    let times: Vec<i64> = (0..SAMPLES as i64).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    for rate in [1.0, 10.0, 100.0, 1_000.0] {
        let histograms = growing(rate);
        let thirds: Vec<_> = histograms.iter().map(|histogram| thirds(histogram)).collect();
        for (kind, histograms) in [("integers", &histograms), ("values", &thirds)] {
            bench_one(c, &format!("{kind}/{rate}_per_s"), &times, histograms);
        }
        let (time, neighbour) = (bucket_bytes(&histograms, false), bucket_bytes(&histograms, true));
        println!("integers/{rate}_per_s: bucket columns {time:.3} B/bucket over time, {neighbour:.3} of neighbours");
    }
}

/// Counts that are no integers, as rates are.
fn thirds(histogram: &FloatHistogram) -> Arc<FloatHistogram> {
    let mut histogram = histogram.clone();
    histogram.count /= 3.0;
    for bucket in &mut histogram.positive_buckets {
        *bucket /= 3.0;
    }
    Arc::new(histogram)
}

fn bench_one(c: &mut Criterion, name: &str, times: &[i64], histograms: &[Arc<FloatHistogram>]) {
    let mut encoder = HistogramEncoder::default();
    let mut bytes = Vec::new();
    assert_eq!(encoder.encode(times, &[], histograms, &mut bytes).expect("valid"), SAMPLES);
    let mut columns = Columns::default();
    HistogramChunk::parse(&bytes).and_then(|chunk| chunk.decode(&mut columns)).expect("just encoded");
    assert!(columns.histogram_timestamps_ms == times && columns.histograms == histograms);
    let mut records = Vec::new();
    for histogram in histograms {
        put_histogram(histogram, &mut records).expect("valid");
    }
    let mut rest = records.as_slice();
    for histogram in histograms {
        assert_eq!(take_histogram(&mut rest).expect("just written"), **histogram);
    }
    println!(
        "{name}: {:.3} B/bucket in a chunk, {:.2} in a log",
        bytes.len() as f64 / (SAMPLES * BUCKETS) as f64,
        records.len() as f64 / (SAMPLES * BUCKETS) as f64
    );

    let mut group = c.benchmark_group(format!("histogram/{name}"));
    group.throughput(Throughput::Elements(SAMPLES as u64));
    group.bench_function("encode", |b| {
        b.iter(|| {
            bytes.clear();
            encoder.encode(black_box(times), &[], black_box(histograms), &mut bytes).expect("valid")
        });
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            columns.clear();
            let chunk = HistogramChunk::parse(black_box(&bytes)).expect("just encoded");
            chunk.decode(&mut columns).expect("just encoded");
            columns.len()
        });
    });
    group.bench_function("put", |b| {
        b.iter(|| {
            records.clear();
            for histogram in histograms {
                put_histogram(black_box(histogram), &mut records).expect("valid");
            }
            records.len()
        });
    });
    group.bench_function("take", |b| {
        b.iter(|| {
            let mut rest = black_box(records.as_slice());
            let mut buckets = 0;
            while !rest.is_empty() {
                buckets += take_histogram(&mut rest).expect("just written").positive_buckets.len();
            }
            buckets
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
