//! What a sample costs in the log: encoding a scrape-shaped group, committing it, replaying it.
//!
//! Data sets, fixed seeds: `counters` (integers that grow), `random` (floats with 52 random bits), 10,000 series per
//! group, references ascending, one timestamp per group. The disk is simulated, so no device is measured.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_io::SimDisk;
use mytsdb_model::SeriesRef;
use mytsdb_wal::{Record, Wal, WalOptions, replay};
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROWS: u64 = 10_000;
const DIR: &str = "/wal";

struct Group {
    refs: Vec<SeriesRef>,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

fn group(value: impl Fn(u64) -> f64) -> Group {
    Group {
        refs: (1..=ROWS).map(SeriesRef).collect(),
        timestamps_ms: vec![1_700_000_000_000; ROWS as usize],
        values: (0..ROWS).map(value).collect(),
    }
}

fn open(disk: &SimDisk) -> Wal {
    let seen = replay(disk, Path::new(DIR), &mut |_| {}).expect("an empty disk replays");
    Wal::open(Arc::new(disk.clone()), Path::new(DIR), WalOptions::default(), &seen).expect("a disk in memory opens")
}

/// Writes one group and checks that replay gives it back; returns bytes per sample.
fn check(data: &Group) -> f64 {
    let disk = SimDisk::new();
    let mut wal = open(&disk);
    wal.log_samples(&data.refs, &data.timestamps_ms, &data.values);
    wal.commit().expect("a disk in memory commits");
    let (mut refs, mut times, mut bits) = (Vec::new(), Vec::new(), Vec::new());
    replay(&disk, Path::new(DIR), &mut |record| {
        if let Record::Samples { refs: r, timestamps_ms, values } = record {
            refs.extend_from_slice(r);
            times.extend_from_slice(timestamps_ms);
            bits.extend(values.iter().map(|v| v.to_bits()));
        }
    })
    .expect("a disk in memory replays");
    assert!(refs == data.refs && times == data.timestamps_ms, "replayed rows differ");
    assert!(bits.iter().eq(data.values.iter().map(|v| v.to_bits()).collect::<Vec<_>>().iter()), "values differ");
    wal.bytes() as f64 / ROWS as f64
}

/// The time of `n` groups on a log whose buffers are warm; the disk starts anew now and then, untimed.
fn time(data: &Group, n: u64, with_commit: bool) -> Duration {
    let mut spent = Duration::ZERO;
    let mut wal = open(&SimDisk::new());
    let mut timed = 0;
    for i in 0u64.. {
        if timed == n {
            break;
        }
        if i % 64 == 0 {
            wal = open(&SimDisk::new());
        }
        let warm = i % 64 > 1;
        let begin = Instant::now();
        wal.log_samples(black_box(&data.refs), black_box(&data.timestamps_ms), black_box(&data.values));
        let encoded = begin.elapsed();
        wal.commit().expect("a disk in memory commits");
        if warm {
            timed += 1;
            spent += if with_commit { begin.elapsed() } else { encoded };
        }
    }
    spent
}

fn benches(c: &mut Criterion) {
    let sets = [
        ("counters", group(|i| (i * i % 1_000_003) as f64)),
        ("random", group(|i| f64::from_bits((i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 12 | 0x3ff0 << 48))),
    ];
    for (name, data) in &sets {
        // The best of many runs shows the cost of the code. Criterion's mean below also contains the noise of the machine.
        let best = (0..500).map(|_| time(data, 1, false)).min().expect("500 runs");
        let best_ns = best.as_nanos() as f64 / ROWS as f64;
        println!("{name}: {:.2} bytes per sample, encoded in {best_ns:.2} ns at best", check(data));
        let mut bench = c.benchmark_group(*name);
        bench.throughput(Throughput::Elements(ROWS));
        bench.bench_function("encode", |b| b.iter_custom(|n| time(data, n, false)));
        bench.bench_function("encode_and_commit", |b| b.iter_custom(|n| time(data, n, true)));
        let disk = SimDisk::new();
        let mut wal = open(&disk);
        for _ in 0..10 {
            wal.log_samples(&data.refs, &data.timestamps_ms, &data.values);
            wal.commit().expect("a disk in memory commits");
        }
        bench.throughput(Throughput::Elements(10 * ROWS));
        bench.bench_function("replay", |b| {
            b.iter(|| {
                let report = replay(&disk, Path::new(DIR), &mut |record| {
                    black_box(&record);
                })
                .expect("a disk in memory replays");
                assert_eq!(report.samples, 10 * ROWS);
            });
        });
        bench.finish();
    }
}

criterion_group!(group_commit, benches);
criterion_main!(group_commit);
