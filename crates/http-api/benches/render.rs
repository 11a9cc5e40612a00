//! Points as JSON: the writer of answers beside the plain one, for values of different make.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on stops")]

#[expect(dead_code, unused_imports, reason = "the writer as the crate has it, of which only points are measured")]
#[path = "../src/json/mod.rs"]
mod json;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use json::{Chunks, PointStart, number_reference};
use std::hint::black_box;

const POINTS: usize = 361;
const SERIES: usize = 100;

/// Pseudo-random numbers below `bound`.
fn noise(bound: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(1_u64), |x| Some(x.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407)))
        .map(move |x| (x >> 33) % bound)
}

/// The obvious way: a string for each number, and each part behind the one before.
fn write_plain(starts: &[Vec<u8>], values: &[f64], out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, (start, &value)) in starts.iter().zip(values).enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(start);
        out.extend_from_slice(number_reference::format_value(value).as_bytes());
        out.extend_from_slice(b"\"]");
    }
    out.push(b']');
}

fn points(c: &mut Criterion) {
    let timestamps_ms: Vec<i64> = (0..POINTS as i64).map(|i| 1_760_000_000_000 + i * 60_000).collect();
    let starts: Vec<PointStart> = timestamps_ms.iter().map(|&t| PointStart::new(t)).collect();
    let plain_starts: Vec<Vec<u8>> = timestamps_ms.iter().map(|t| format!("[{},\"", t / 1000).into_bytes()).collect();
    let count = POINTS * SERIES;
    let data: [(&str, Vec<f64>); 4] = [
        ("integers", noise(10_000_000).take(count).map(|n| n as f64).collect()),
        ("two_decimals", noise(40_000).take(count).map(|n| n as f64 / 100.0).collect()),
        ("rates", noise(1_000_000).take(count).map(|n| n as f64 / 285.0).collect()),
        ("tiny", noise(1_000_000).take(count).map(|n| (n + 1) as f64 * 1.3e-12).collect()),
    ];
    let mut group = c.benchmark_group("points");
    group.throughput(Throughput::Elements(count as u64));
    for (name, values) in &data {
        let plain = |out: &mut Vec<u8>| {
            out.clear();
            values.chunks(POINTS).for_each(|values| write_plain(&plain_starts, values, out));
        };
        let fast = || {
            let mut out = Chunks::new();
            for values in values.chunks(POINTS) {
                out.raw("[");
                out.points_and_commas(&starts, values);
                out.end_points();
            }
            out.finish()
        };
        // Both write into memory that is there already.
        let mut out = Vec::new();
        plain(&mut out);
        assert_eq!(String::from_utf8(out.clone()).unwrap(), String::from_utf8(fast().concat()).unwrap());
        group.bench_function(format!("plain/{name}"), |b| b.iter(|| plain(black_box(&mut out))));
        group.bench_function(format!("chunks/{name}"), |b| b.iter(|| black_box(fast())));
    }
    group.finish();
}

criterion_group!(benches, points);
criterion_main!(benches);
