//! A block of 20,000 series and 4.8 million samples on the real disk: write, open, select and read; counts asserted.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_blocks::{Block, BlockWriter, ChunkRef};
use mytsdb_codec::{ChunkEncoding, XorAppender};
use mytsdb_columns::Columns;
use mytsdb_io::{Disk, RealDisk};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::path::Path;
use std::sync::Arc;

const METRICS: usize = 200;
const INSTANCES: usize = 100;
const CHUNKS: i64 = 2;
const CHUNK_SAMPLES: i64 = 120;

fn series() -> Vec<Labels> {
    let mut all: Vec<Labels> = (0..METRICS * INSTANCES)
        .map(|number| {
            let (metric, instance) = (number / INSTANCES, number % INSTANCES);
            Labels::from_pairs([
                ("__name__", format!("metric_{metric}_total")),
                ("env", "prod".to_owned()),
                ("instance", format!("10.0.0.{instance}:9100")),
                ("job", format!("job-{}", instance % 10)),
                ("pod", format!("pod-{number:x}")),
            ])
        })
        .collect();
    all.sort();
    all
}

fn chunks() -> Vec<(TimeRange, Box<[u8]>)> {
    let chunk = |c: i64| {
        let mut chunk = XorAppender::new();
        for i in c * CHUNK_SAMPLES..(c + 1) * CHUNK_SAMPLES {
            chunk.push(i * 15_000, (i * 37 % 1_000) as f64).expect("times ascend");
        }
        (chunk.time_range(), chunk.finish())
    };
    (0..CHUNKS).map(chunk).collect()
}

fn write(
    disk: &Arc<dyn Disk>,
    dir: &Path,
    id: u64,
    series: &[Labels],
    chunks: &[(TimeRange, Box<[u8]>)],
) -> Arc<Block> {
    let mut writer = BlockWriter::new(Arc::clone(disk), dir, id).expect("an empty directory");
    for labels in series {
        let sample_count = CHUNK_SAMPLES as u32;
        let encoding = ChunkEncoding::Xor.number();
        let chunks = chunks.iter().map(|(range, bytes)| ChunkRef { range: *range, sample_count, encoding, bytes });
        writer.add_series(labels, chunks).expect("sorted series");
    }
    writer.finish().expect("a sound disk")
}

fn bench(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (series, chunks) = (series(), chunks());
    let block = write(&disk, dir.path(), 0, &series, &chunks);
    let meta = block.meta();
    assert_eq!(meta.sample_count, (series.len() as i64 * CHUNKS * CHUNK_SAMPLES) as u64);
    let chunk_bytes: usize = chunks.iter().map(|(_, bytes)| bytes.len() * series.len()).sum();
    println!("block: {} bytes for {} samples, {chunk_bytes} in chunks", meta.bytes, meta.sample_count);

    let mut group = c.benchmark_group("block");
    group.sample_size(10);
    group.throughput(Throughput::Elements(meta.sample_count));
    let mut id = 0;
    group.bench_function("write and verify", |b| {
        b.iter(|| {
            id += 1;
            let block = write(&disk, dir.path(), id, &series, &chunks);
            disk.remove(block.path()).expect("just written");
        });
    });
    group.bench_function("open", |b| b.iter(|| Block::open(&*disk, block.path()).expect("a sound block").meta()));
    group.bench_function("verify", |b| b.iter(|| block.verify().expect("a sound block")));
    group.finish();

    let metric = [Matcher::equal("__name__", "metric_7_total")];
    let mut group = c.benchmark_group("block/read");
    group.throughput(Throughput::Elements((INSTANCES as i64 * CHUNKS * CHUNK_SAMPLES) as u64));
    group.bench_function("one metric, labels and samples", |b| {
        let mut columns = Columns::default();
        b.iter(|| {
            let mut count = 0;
            for ordinal in block.select(&metric, StopSign::NEVER).expect("a sound block") {
                columns.clear();
                assert!(!block.labels(ordinal).expect("a sound block").is_empty());
                for chunk in block.chunks(ordinal, TimeRange::ALL).expect("a sound block") {
                    block.read_samples(&chunk, &mut columns).expect("a sound block");
                }
                count += columns.len();
            }
            assert_eq!(count as i64, INSTANCES as i64 * CHUNKS * CHUNK_SAMPLES);
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
