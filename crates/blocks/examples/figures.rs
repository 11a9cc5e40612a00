//! Bytes per sample of real scrapes in blocks, and how fast blocks are written, opened and searched.
//!
//! `cargo run --release -p mytsdb-blocks --example figures -- FILE` takes scrapes as text, packed with zstd: a line `##TS <ms>`
//! starts one. Every sample is read back and compared bit for bit. `-- --series N` measures instead a block of N series
//! with 480 samples each, made up, in both versions.

use mytsdb_blocks::{Block, BlockWriter, BlockWriterV1, ChunkRef, Compaction, compact};
use mytsdb_codec::{ChunkEncoding, DxEncoder};
use mytsdb_columns::Columns;
use mytsdb_io::{Disk, RealDisk};
use mytsdb_model::MatchOp::{Equal, NotRegex, Regex};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const BLOCK_MS: i64 = 2 * 3_600_000;
const CHUNK_SAMPLES: usize = 1_024;

type Samples = BTreeMap<Labels, (Vec<i64>, Vec<f64>)>;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["--series", count] => speed(count.parse().expect("a number of series")),
        [path] => size(Path::new(path)),
        _ => size(Path::new("../shared/data/node-exporter-1s.txt.zst")),
    }
}

fn size(path: &Path) {
    let samples = scrapes(path);
    let first = samples.values().map(|(times, _)| times[0]).min().expect("samples");
    let last = samples.values().map(|(times, _)| times[times.len() - 1]).max().expect("samples");
    let mut spans = Vec::new();
    let mut start = first.div_euclid(BLOCK_MS) * BLOCK_MS;
    while start <= last {
        spans.push(TimeRange::new(start, start + BLOCK_MS - 1));
        start += BLOCK_MS;
    }
    report("flushed, 2 h a block", &samples, &spans);
    report("one block", &samples, &[TimeRange::ALL]);
    let copies = 12;
    report(&format!("one block, the scrapes {copies} times over"), &repeated(&samples, copies), &[TimeRange::ALL]);
    compacted(&samples, copies);
}

/// What remains of the blocks of a day when they are merged: the scrapes again and again, a block for each time.
fn compacted(samples: &Samples, copies: i64) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let all = repeated(samples, copies);
    let range = range(&all);
    let span = (range.maxt - range.mint) / copies + 1;
    let inputs: Vec<_> = (0..copies)
        .map(|copy| {
            let mut writer = BlockWriter::new(disk.clone(), dir.path(), copy as u64).expect("a directory");
            let from = range.mint + copy * span;
            for (labels, (times, values)) in &all {
                let (from, to): (usize, usize) =
                    [from, from + span].map(|end| times.partition_point(|&t| t < end)).into();
                let chunks = encode(&times[from..to], &values[from..to]);
                writer.add_series(labels, refs(&chunks)).expect("sorted series");
            }
            writer.finish().expect("a sound disk")
        })
        .collect();
    let start = Instant::now();
    let mut writer = BlockWriter::new(disk, dir.path(), copies as u64).expect("a directory");
    let how =
        &mut Compaction { range: TimeRange::ALL, hidden: &|_, _, _| (), stop: StopSign::NEVER, pace: &mut |_| () };
    let done = compact(&inputs, &mut writer, how).expect("sound blocks");
    let merged = start.elapsed().as_secs_f64();
    let block = writer.finish().expect("a sound disk");
    let (count, _) = check(&block, &all, TimeRange::ALL);
    assert_eq!(count, done.samples_written);
    let before: u64 = inputs.iter().map(|block| block.meta().bytes).sum();
    let per_sample = |bytes: u64| bytes as f64 / count as f64;
    println!(
        "compacted, {copies} blocks of the scrapes into one: {} chunks, {count} samples",
        block.meta().chunk_count
    );
    println!("  before         {before:9} B  {:.4} B/sample", per_sample(before));
    println!("  all            {:9} B  {:.4} B/sample", block.meta().bytes, per_sample(block.meta().bytes));
    println!("  merge: {merged:.2} s, {:.1} M samples/s, then verified", count as f64 / merged / 1e6);
}

fn range(samples: &Samples) -> TimeRange {
    samples
        .values()
        .fold(TimeRange::EMPTY, |range, (times, _)| range.cover(TimeRange::new(times[0], times[times.len() - 1])))
}

/// The same again and again, later each time: what a longer block of such a machine would hold.
fn repeated(samples: &Samples, copies: i64) -> Samples {
    let range = range(samples);
    let length = range.maxt - range.mint + 1_000;
    let repeat = |(times, values): &(Vec<i64>, Vec<f64>)| {
        let times = (0..copies).flat_map(|copy| times.iter().map(move |time| time + copy * length)).collect();
        (times, values.repeat(copies as usize))
    };
    samples.iter().map(|(labels, columns)| (labels.clone(), repeat(columns))).collect()
}

/// Writes a block for each span, reads everything back, and prints what takes how much.
fn report(what: &str, samples: &Samples, spans: &[TimeRange]) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let (mut total, mut count, mut headers) = (0, 0, 0);
    let (mut stats, mut chunks) = (0, 0);
    let mut sections: BTreeMap<&str, u64> = BTreeMap::new();
    for (id, span) in spans.iter().enumerate() {
        let mut writer = BlockWriter::new(disk.clone(), dir.path(), id as u64).expect("a directory");
        for (labels, (times, values)) in samples {
            let from = times.partition_point(|&time| time < span.mint);
            let to = times.partition_point(|&time| time <= span.maxt);
            let chunks = encode(&times[from..to], &values[from..to]);
            writer.add_series(labels, refs(&chunks)).expect("sorted series");
        }
        let block = writer.finish().expect("a sound disk");
        let mut own = 0;
        for (name, bytes) in block.sections() {
            *sections.entry(name).or_default() += bytes;
            own += bytes;
        }
        let (read, with_stats) = check(&block, samples, *span);
        assert_eq!(read, block.meta().sample_count);
        count += read;
        stats += with_stats;
        chunks += block.meta().chunk_count;
        total += block.meta().bytes;
        headers += block.meta().bytes - own;
    }
    assert_eq!(count, samples.values().map(|(times, _)| times.len() as u64).sum::<u64>());
    println!(
        "{what}: {} blocks, {} series, {chunks} chunks ({stats} with statistics), {count} samples",
        spans.len(),
        samples.len()
    );
    let per_sample = |bytes: u64| bytes as f64 / count as f64;
    for (name, bytes) in &sections {
        println!("  {name:14} {bytes:9} B  {:.4} B/sample", per_sample(*bytes));
    }
    println!("  {:14} {headers:9} B  {:.4} B/sample", "header, footer", per_sample(headers));
    println!("  {:14} {total:9} B  {:.4} B/sample", "all", per_sample(total));
}

/// Reads a block and compares every bit; tells how many samples there were, and how many chunks have statistics.
fn check(block: &Block, samples: &Samples, span: TimeRange) -> (u64, u64) {
    let (mut count, mut with_stats) = (0, 0);
    for (labels, (times, values)) in samples {
        let from = times.partition_point(|&time| time < span.mint);
        let to = times.partition_point(|&time| time <= span.maxt);
        let mut read = Columns::default();
        if let Some(ordinal) = block.find(labels).expect("a sound block") {
            for chunk in block.chunks(ordinal, TimeRange::ALL).expect("a sound block") {
                block.read_samples(&chunk, &mut read).expect("a sound block");
                with_stats += u64::from(block.chunk_stats(&chunk).expect("a sound block").is_some());
            }
        }
        assert_eq!(read.timestamps_ms, times[from..to], "{labels}");
        assert!(read.values.iter().map(|v| v.to_bits()).eq(values[from..to].iter().map(|v| v.to_bits())), "{labels}");
        count += read.len() as u64;
    }
    (count, with_stats)
}

struct Chunk {
    range: TimeRange,
    sample_count: u32,
    bytes: Vec<u8>,
}

fn encode(times: &[i64], values: &[f64]) -> Vec<Chunk> {
    let mut encoder = DxEncoder::default();
    let parts = times.chunks(CHUNK_SAMPLES).zip(values.chunks(CHUNK_SAMPLES));
    let encode = |(times, values): (&[i64], &[f64])| {
        let mut bytes = Vec::new();
        encoder.encode(times, values, &mut bytes).expect("times ascend");
        let range = TimeRange::new(times[0], times[times.len() - 1]);
        Chunk { range, sample_count: times.len() as u32, bytes }
    };
    parts.map(encode).collect()
}

fn refs(chunks: &[Chunk]) -> impl Iterator<Item = ChunkRef<'_>> {
    let encoding = ChunkEncoding::Dx.number();
    chunks.iter().map(move |c| ChunkRef { range: c.range, sample_count: c.sample_count, encoding, bytes: &c.bytes })
}

fn scrapes(path: &Path) -> Samples {
    let packed = RealDisk.map(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    zstd::stream::read::Decoder::new(&packed[..])
        .expect("zstd")
        .read_to_string(&mut text)
        .expect("UTF-8 packed by zstd");
    let mut samples = Samples::new();
    let mut by_line: std::collections::HashMap<String, Labels> = std::collections::HashMap::new();
    let mut now = 0;
    for line in text.lines() {
        if let Some(time) = line.strip_prefix("##TS ") {
            now = time.trim().parse().expect("a time in ms");
        } else if !line.starts_with('#')
            && let Some((series, value)) = line.rsplit_once(' ')
        {
            let labels = by_line.entry(series.to_owned()).or_insert_with(|| labels(series)).clone();
            let (times, values) = samples.entry(labels).or_default();
            times.push(now);
            values.push(value.parse().expect("a number"));
        }
    }
    samples
}

/// `name{a="b",c="d"}`, with what a scrape adds.
fn labels(series: &str) -> Labels {
    let (name, rest) = series.split_once('{').unwrap_or((series, ""));
    let mut pairs = vec![("__name__", name), ("job", "node"), ("instance", "localhost:9100")];
    let mut rest = rest.trim_end_matches('}');
    while let Some((name, behind)) = rest.split_once("=\"") {
        let Some((value, behind)) = behind.split_once('"') else { break };
        pairs.push((name.trim_start_matches(','), value));
        rest = behind;
    }
    Labels::from_pairs(pairs)
}

/// A block of sealed chunks in both versions: write, open, find, select.
fn speed(series_count: usize) {
    const SAMPLES: i64 = 480;
    let times: Vec<i64> = (0..SAMPLES).map(|i| i * 15_000).collect();
    let sealed: Vec<Vec<Chunk>> = (0..64u64)
        .map(|kind| {
            let values: Vec<f64> = (0..SAMPLES as u64).map(|i| (i * (kind + 3) + i * i * kind % 17) as f64).collect();
            encode(&times, &values)
        })
        .collect();
    let mut series: Vec<Labels> = (0..series_count)
        .map(|n| {
            Labels::from_pairs([
                ("__name__", format!("metric_{}_total", n % 1_000)),
                ("instance", format!("10.0.{}.{}:9100", n / 1_000 / 250, n / 1_000 % 250)),
                ("job", format!("job-{}", n % 20)),
                ("pod", format!("pod-{:x}", n * 7_919 % series_count)),
            ])
        })
        .collect();
    series.sort();
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let samples = series_count as f64 * SAMPLES as f64;
    for version in [1, 2] {
        let start = Instant::now();
        let block = if version == 1 {
            let mut writer = BlockWriterV1::new(disk.clone(), dir.path(), version).expect("a directory");
            for (n, labels) in series.iter().enumerate() {
                writer.add_series(labels, refs(&sealed[n % sealed.len()])).expect("sorted series");
            }
            writer.finish()
        } else {
            let mut writer = BlockWriter::new(disk.clone(), dir.path(), version).expect("a directory");
            for (n, labels) in series.iter().enumerate() {
                writer.add_series(labels, refs(&sealed[n % sealed.len()])).expect("sorted series");
            }
            writer.finish()
        };
        let block = block.expect("a sound disk");
        let seconds = start.elapsed().as_secs_f64();
        println!(
            "version {version}: {} bytes, {:.3} B/sample",
            block.meta().bytes,
            block.meta().bytes as f64 / samples
        );
        println!("  {:?}", block.sections());
        println!("  write and verify: {seconds:.2} s, {:.1} M samples/s", samples / seconds / 1e6);
        let start = Instant::now();
        let block = Block::open(&*disk, block.path()).expect("a sound block");
        println!("  open: {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
        let timed = |what: &str, times: usize, mut run: Box<dyn FnMut(usize) + '_>| {
            let start = Instant::now();
            (0..times).for_each(&mut run);
            println!("  {what}: {:.2} us", start.elapsed().as_secs_f64() * 1e6 / times as f64);
        };
        let (block, series) = (&block, &series);
        timed(
            "find a series",
            20_000,
            Box::new(|n| {
                let at = n * 7_919 % series.len();
                assert_eq!(block.find(&series[at]).expect("a sound block"), Some(at as u32));
            }),
        );
        timed(
            "labels of a series",
            20_000,
            Box::new(|n| {
                let at = n * 7_919 % series.len();
                assert_eq!(block.labels(at as u32).expect("a sound block"), series[at]);
            }),
        );
        let mut out = Vec::new();
        timed(
            "chunks of a series",
            20_000,
            Box::new(|n| {
                out.clear();
                block.chunks_into((n * 7_919 % series.len()) as u32, TimeRange::ALL, &mut out).expect("a sound block");
                assert_eq!(out.len(), 1);
            }),
        );
        let of = |op, name: &str, value: &str| Matcher::new(op, name, value).expect("a pattern");
        for matchers in [
            vec![of(Equal, "__name__", "metric_7_total")],
            vec![of(Equal, "__name__", "metric_7_total"), of(Equal, "job", "job-7")],
            vec![of(Equal, "__name__", "metric_7_total"), of(Regex, "instance", ".*1.*")],
            vec![of(Equal, "job", "job-7"), of(NotRegex, "pod", ".*a.*")],
            vec![of(Regex, "pod", ".*ff.*")],
            vec![of(Regex, "pod", "pod-ab.*")],
        ] {
            let text = matchers.iter().map(Matcher::to_string).collect::<Vec<_>>().join(",");
            let found = block.select(&matchers, StopSign::NEVER).expect("a sound block").len();
            timed(
                &format!("select {{{text}}} -> {found}"),
                20,
                Box::new(|_| {
                    block.select(&matchers, StopSign::NEVER).expect("a sound block");
                }),
            );
        }
        let among = block.select(&[of(Equal, "job", "job-7")], StopSign::NEVER).expect("a sound block");
        timed(
            "values of pod among a job",
            20,
            Box::new(|_| {
                block.label_values_of("pod", &among, StopSign::NEVER).expect("a sound block");
            }),
        );
    }
}
