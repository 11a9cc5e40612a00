//! A day of 100 series at 15 s: written to memory, and one metric of it selected and scanned; counts asserted.
//!
//! `cargo bench -p mytsdb-parquet-tier --bench tier`; the throughput is in samples. The example `figures` measures sizes.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_columns::Columns;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_parquet_tier::{
    DAY_MS, Day, DayWriter, FileId, Store, Tier, TierError, WriteOptions, WrittenDay, compare_series,
};
use mytsdb_testkit::Random;
use std::io::Cursor;
use std::sync::Arc;

const STEPS: i64 = DAY_MS / 15_000;

fn series() -> Vec<(Labels, Columns)> {
    let mut all: Vec<(Labels, Columns)> = (0..100u64)
        .map(|number| {
            let labels = Labels::from_pairs([
                ("__name__", format!("metric_{}_total", number / 50)),
                ("instance", format!("10.0.0.{}:9100", number % 50)),
                ("job", format!("job-{}", number % 10)),
            ]);
            let (mut columns, mut value) = (Columns::default(), 0.0);
            let mut random = Random::of_case(1, number);
            for at in 0..STEPS {
                value += random.below(100) as f64;
                columns.push_float(at * 15_000 + number as i64, value);
            }
            (labels, columns)
        })
        .collect();
    all.sort_by(|a, b| compare_series(&a.0, &b.0));
    all
}

fn write(series: &[(Labels, Columns)]) -> WrittenDay<Cursor<Vec<u8>>> {
    let names = ["__name__", "instance", "job"];
    let day = Day::of(0).expect("a day");
    let open = |_| Ok(Cursor::new(Vec::new()));
    let mut writer = DayWriter::new(day, names, WriteOptions::default(), open).expect("three labels");
    for (labels, columns) in series {
        writer.push(labels, columns, None).expect("series in order");
    }
    writer.finish().expect("memory takes everything")
}

fn bench(c: &mut Criterion) {
    let series = series();
    let samples = series.len() as u64 * STEPS as u64;
    let mut group = c.benchmark_group("parquet-tier");
    group.sample_size(10);
    group.throughput(Throughput::Elements(samples));
    group.bench_function("write", |b| b.iter(|| assert_eq!(write(&series).samples, samples)));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let tier = runtime.block_on(async {
        let tier = Tier::open(Arc::new(Store::memory()), 0).await.expect("an empty store");
        let uploaded = tier.upload(write(&series), FileId::new(1, 1)).await.expect("a sound store");
        tier.commit(vec![uploaded], &[], 1).await.expect("one writer");
        tier
    });
    println!("parquet-tier: {} bytes for {samples} samples", tier.manifest().days[0].bytes());
    group.throughput(Throughput::Elements(samples / 2));
    group.bench_function("select and scan one metric", |b| {
        b.iter(|| {
            let read = runtime.block_on(async {
                let found = tier.select(&[Matcher::metric("metric_1_total")], TimeRange::ALL).await?;
                let mut read = 0;
                found
                    .read(TimeRange::ALL, |_, columns| {
                        read += columns.len() as u64;
                        Ok::<(), TierError>(())
                    })
                    .await?;
                Ok::<u64, TierError>(read)
            });
            assert_eq!(read.expect("a sound store"), samples / 2);
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
