//! Merges against a sorted map of samples.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_blocks::{Block, BlockError, BlockWriter, BlockWriterV1, ChunkRef, Compaction, compact};
use mytsdb_codec::{ChunkEncoding, DxEncoder, DxStartsEncoder, HistogramEncoder, XorAppender};
use mytsdb_columns::{Columns, Mark};
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::{Labels, TimeRange};
use mytsdb_stop::StopSign;
use proptest::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/blocks";

/// Chunks of each series, in the order in which they are written.
type Input = BTreeMap<usize, Vec<Vec<(i64, f64)>>>;
type Samples = BTreeMap<(usize, i64), u64>;

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", &format!("{series:03}"))])
}

fn disk() -> Arc<dyn Disk> {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    Arc::new(disk)
}

/// Version 1 for ids that are odd, XOR for chunks that begin at odd times.
fn write(disk: &Arc<dyn Disk>, id: u64, input: &Input) -> Arc<Block> {
    let encoded: Vec<(usize, Vec<_>)> = input
        .iter()
        .map(|(&series, chunks)| {
            let encode = |samples: &Vec<(i64, f64)>| {
                let (times, values): (Vec<i64>, Vec<f64>) = samples.iter().copied().unzip();
                let mut bytes = Vec::new();
                if times[0] % 2 == 0 {
                    DxEncoder::default().encode(&times, &values, &mut bytes).unwrap();
                    (ChunkEncoding::Dx, times, bytes)
                } else {
                    let mut xor = XorAppender::new();
                    for &(time, value) in samples {
                        xor.push(time, value).unwrap();
                    }
                    (ChunkEncoding::Xor, times, xor.bytes().to_vec())
                }
            };
            (series, chunks.iter().map(encode).collect())
        })
        .collect();
    macro_rules! fill {
        ($writer:expr) => {{
            let mut writer = $writer;
            for (series, chunks) in &encoded {
                let chunks = chunks.iter().map(|(encoding, times, bytes)| ChunkRef {
                    range: TimeRange::new(times[0], times[times.len() - 1]),
                    sample_count: times.len() as u32,
                    encoding: encoding.number(),
                    bytes,
                });
                writer.add_series(&labels(*series), chunks).unwrap();
            }
            writer.finish().unwrap()
        }};
    }
    if id % 2 == 1 {
        fill!(BlockWriterV1::new(disk.clone(), Path::new(DIR), id).unwrap())
    } else {
        fill!(BlockWriter::new(disk.clone(), Path::new(DIR), id).unwrap())
    }
}

fn merge(
    disk: &Arc<dyn Disk>,
    inputs: &[Arc<Block>],
    range: TimeRange,
    hidden: &[(usize, u32, TimeRange)],
) -> (Arc<Block>, mytsdb_blocks::Compacted) {
    let mut writer = BlockWriter::new(disk.clone(), Path::new(DIR), 1_000).unwrap();
    let mut paced = 0;
    let done = compact(
        inputs,
        &mut writer,
        &mut Compaction {
            range,
            hidden: &|input, ordinal, out| {
                out.extend(hidden.iter().filter(|h| (h.0, h.1) == (input, ordinal)).map(|h| h.2));
            },
            stop: StopSign::NEVER,
            pace: &mut |bytes| {
                assert!(bytes >= paced);
                paced = bytes;
            },
        },
    );
    (writer.finish().unwrap(), done.unwrap())
}

fn read(block: &Block) -> Samples {
    let mut all = Samples::new();
    for ordinal in 0..block.meta().series_count {
        let labels = block.labels(ordinal).unwrap();
        let series: usize = labels.get("series").unwrap().parse().unwrap();
        let mut columns = Columns::default();
        for chunk in block.chunks(ordinal, TimeRange::ALL).unwrap() {
            assert!(chunk.sample_count <= 1_024);
            block.read_samples(&chunk, &mut columns).unwrap();
        }
        let times = &columns.timestamps_ms;
        assert!(times.is_sorted_by(|a, b| a < b), "{labels}: {times:?}");
        all.extend(times.iter().zip(&columns.values).map(|(&time, value)| ((series, time), value.to_bits())));
    }
    all
}

fn input() -> impl Strategy<Value = Input> {
    let value = prop_oneof![4 => (0i64..4).prop_map(|v| v as f64), 1 => any::<u64>().prop_map(f64::from_bits)];
    // Odd and even starts, few times, so that chunks of a series and of blocks overlap and share times.
    let chunk = (-20i64..40, 1usize..30, 1i64..4).prop_flat_map(move |(start, count, step)| {
        prop::collection::vec(value.clone(), count).prop_map(move |values| {
            values.iter().enumerate().map(|(i, &value)| (start + i as i64 * step, value)).collect()
        })
    });
    prop::collection::btree_map(0usize..6, prop::collection::vec(chunk, 1..4), 0..5)
}

proptest! {
    #[test]
    fn the_first_block_that_has_a_time_wins_and_nothing_is_lost_or_doubled(
        inputs in prop::collection::vec(input(), 0..5),
        ends in (-30i64..60, 0i64..150, any::<bool>()),
        hidden in prop::collection::vec((0usize..5, 0u32..5, -30i64..60, 0i64..40), 0..6),
    ) {
        let disk = disk();
        let range = if ends.2 { TimeRange::ALL } else { TimeRange::new(ends.0, ends.0 + ends.1) };
        let hidden: Vec<_> = hidden.iter().map(|&(input, ordinal, from, length)| (input, ordinal, TimeRange::new(from, from + length))).collect();
        let mut expected = Samples::new();
        for (index, input) in inputs.iter().enumerate() {
            for (ordinal, (&series, chunks)) in input.iter().enumerate() {
                for &(time, value) in chunks.iter().flatten() {
                    let hides = hidden.iter().any(|h| (h.0, h.1) == (index, ordinal as u32) && h.2.contains(time));
                    if range.contains(time) && !hides {
                        expected.entry((series, time)).or_insert(value.to_bits());
                    }
                }
            }
        }
        let blocks: Vec<_> = inputs.iter().enumerate().map(|(id, input)| write(&disk, id as u64, input)).collect();
        let (block, done) = merge(&disk, &blocks, range, &hidden);
        prop_assert_eq!(done.samples_written, expected.len() as u64);
        prop_assert_eq!(done.series_count, u64::from(block.meta().series_count));
        prop_assert_eq!(read(&block), expected);
    }
}

fn steady(series: std::ops::Range<usize>, times: impl Fn(usize, i64) -> bool, span: std::ops::Range<i64>) -> Input {
    let chunks = |series: usize| {
        let samples: Vec<_> =
            span.clone().filter(|&i| times(series, i)).map(|i| (i * 1_000 + i * 7 % 5, i as f64)).collect();
        samples.chunks(600).map(<[_]>::to_vec).collect()
    };
    series.map(|series| (series, chunks(series))).collect()
}

#[test]
fn chunks_are_full_and_series_that_miss_scrapes_still_share_times() {
    let disk = disk();
    // A tenth of the series miss a scrape, each another one.
    let has = |series: usize, i: i64| series % 10 != 3 || i != series as i64 * 11;
    let blocks: Vec<_> = (0..4)
        .map(|id| write(&disk, 2 * id, &steady(0..50, has, id as i64 * 2_000..(id as i64 + 1) * 2_000)))
        .collect();
    let (block, done) = merge(&disk, &blocks, TimeRange::ALL, &[]);
    assert_eq!((done.samples_read, done.samples_written), (399_995, 399_995));
    assert_eq!(block.meta().chunk_count, 50 * 8, "8,000 samples a series");
    let sections: BTreeMap<_, _> = block.sections().into_iter().collect();
    assert_eq!(sections["time columns"], 8 * 40, "only the chunks with a gap have times of their own");
}

#[test]
fn a_merge_stops_when_it_is_told_to_and_leaves_nothing() {
    let disk = disk();
    let blocks = [write(&disk, 2, &steady(0..50, |_, _| true, 0..2_000))];
    let asked = Cell::new(0);
    let mut writer = BlockWriter::new(disk.clone(), Path::new(DIR), 1_000).unwrap();
    let left = std::sync::atomic::AtomicI32::new(20);
    let go_on = || left.fetch_sub(1, std::sync::atomic::Ordering::Relaxed) > 0;
    let stopped = compact(
        &blocks,
        &mut writer,
        &mut Compaction {
            range: TimeRange::ALL,
            hidden: &|_, _, _| (),
            stop: StopSign::new(&go_on),
            pace: &mut |_| asked.set(asked.get() + 1),
        },
    );
    assert!(matches!(stopped, Err(BlockError::Canceled(_))), "{stopped:?}");
    assert!((1..20).contains(&asked.get()));
    drop(writer);
    assert_eq!(disk.list(Path::new(DIR)).unwrap(), ["b-0000000000000002.blk"]);
}

#[test]
fn a_damaged_chunk_fails_the_merge_and_is_named() {
    let sim = SimDisk::new();
    sim.create_dir_all(Path::new(DIR)).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(sim.clone());
    let sound = write(&disk, 2, &steady(0..3, |_, _| true, 0..2_000));
    sim.corrupt(sound.path(), 40, 1).unwrap();
    let damaged = Arc::new(Block::open(&*disk, sound.path()).unwrap());
    let mut writer = BlockWriter::new(disk.clone(), Path::new(DIR), 1_000).unwrap();
    let failed = compact(
        &[damaged],
        &mut writer,
        &mut Compaction { range: TimeRange::ALL, hidden: &|_, _, _| (), stop: StopSign::NEVER, pace: &mut |_| () },
    );
    assert!(matches!(failed, Err(BlockError::DamagedChunk { offset: 32, .. })), "{failed:?}");
}

fn histogram(count: f64) -> Arc<FloatHistogram> {
    Arc::new(FloatHistogram {
        schema: 1,
        count,
        sum: count / 2.0,
        positive_spans: vec![Span { offset: 1, length: 1 }],
        positive_buckets: vec![count],
        ..FloatHistogram::default()
    })
}

#[test]
fn samples_of_both_kinds_and_start_times_come_through_a_merge() {
    let disk = disk();
    // Two blocks that overlap: floats with and without start times, histograms, and a time that has one of each kind.
    let write = |id: u64, from: i64| {
        let mut columns = Columns::default();
        for i in from..from + 1_500 {
            match i % 3 {
                0 => columns.push_float_since(i, 7, i as f64),
                1 => columns.push_float(i, i as f64),
                _ => columns.push_histogram_since(i, 9, histogram(i as f64)),
            }
        }
        if id == 2 {
            columns.push_float(from + 1_502, 5.0);
        }
        let mut chunks = Vec::new();
        let mut at = 0;
        while at < columns.histograms.len() {
            let (times, starts) =
                (&columns.histogram_timestamps_ms[at..], &columns.histogram_start_timestamps_ms[at..]);
            let mut bytes = Vec::new();
            let taken =
                HistogramEncoder::default().encode(times, starts, &columns.histograms[at..], &mut bytes).unwrap();
            chunks.push((ChunkEncoding::Histogram, times[..taken].to_vec(), bytes));
            at += taken;
        }
        let (times, starts) = (&columns.timestamps_ms, &columns.start_timestamps_ms);
        let mut bytes = Vec::new();
        DxStartsEncoder::default().encode(times, starts, &columns.values, &mut bytes).unwrap();
        chunks.push((ChunkEncoding::DxStarts, times.clone(), bytes));
        let mut writer = BlockWriter::new(disk.clone(), Path::new(DIR), id).unwrap();
        let chunks = chunks.iter().map(|(encoding, times, bytes)| ChunkRef {
            range: TimeRange::new(times[0], times[times.len() - 1]),
            sample_count: times.len() as u32,
            encoding: encoding.number(),
            bytes,
        });
        writer.add_series(&labels(1), chunks).unwrap();
        (writer.finish().unwrap(), columns)
    };
    let ((first, mut expected), (second, later)) = (write(2, 0), write(4, 1_000));
    let begin = expected.mark();
    expected.append(&mut later.clone());
    expected.sort_and_dedup(&[Mark::default(), begin]);
    let (block, done) = merge(&disk, &[first, second], TimeRange::ALL, &[]);
    let mut read = Columns::default();
    for chunk in block.chunks(0, TimeRange::ALL).unwrap() {
        assert!(chunk.sample_count <= 1_024);
        block.read_samples(&chunk, &mut read).unwrap();
    }
    assert!(!block.is_plain());
    assert_eq!(done.samples_written, 2_500);
    assert_eq!(read.timestamps_ms, expected.timestamps_ms);
    assert_eq!(read.values, expected.values);
    assert_eq!(read.start_timestamps_ms, expected.start_timestamps_ms);
    assert_eq!(read.histogram_timestamps_ms, expected.histogram_timestamps_ms);
    assert_eq!(read.histograms, expected.histograms);
    assert_eq!(read.histogram_start_timestamps_ms, expected.histogram_start_timestamps_ms);
    assert!(expected.timestamps_ms.contains(&1_502), "the earlier block has a float there, the later one a histogram");
    assert!(!expected.histogram_timestamps_ms.contains(&1_502));
}
