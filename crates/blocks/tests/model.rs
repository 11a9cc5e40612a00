//! Blocks against a sorted map of samples, and what the writer refuses.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_blocks::{Block, BlockError, BlockWriter, BlockWriterV1, ChunkRef, block_file_name};
use mytsdb_codec::{ChunkEncoding, DxEncoder, XorAppender};
use mytsdb_columns::Columns;
use mytsdb_index::TextList;
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/blocks";
const XOR: ChunkEncoding = ChunkEncoding::Xor;
const DX: ChunkEncoding = ChunkEncoding::Dx;
const GOLDEN_ID: u64 = 0x0123_4567_89ab_cdef;

#[derive(Debug, Clone)]
struct Chunk {
    times: Vec<i64>,
    values: Vec<f64>,
    encoding: ChunkEncoding,
    bytes: Vec<u8>,
}

type Model = BTreeMap<Labels, Vec<Chunk>>;

fn chunk(times: Vec<i64>, values: Vec<f64>, encoding: ChunkEncoding) -> Chunk {
    let mut bytes = Vec::new();
    if encoding == DX {
        DxEncoder::default().encode(&times, &values, &mut bytes).unwrap();
    } else {
        let mut xor = XorAppender::new();
        times.iter().zip(&values).for_each(|(&time, &value)| xor.push(time, value).unwrap());
        bytes.extend_from_slice(xor.bytes());
    }
    Chunk { times, values, encoding, bytes }
}

impl Chunk {
    fn range(&self) -> TimeRange {
        TimeRange::new(self.times[0], self.times[self.times.len() - 1])
    }

    fn as_ref(&self) -> ChunkRef<'_> {
        let sample_count = self.times.len() as u32;
        ChunkRef { range: self.range(), sample_count, encoding: self.encoding.number(), bytes: &self.bytes }
    }
}

fn disk() -> Arc<dyn Disk> {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    Arc::new(disk)
}

fn write(disk: &Arc<dyn Disk>, id: u64, model: &Model) -> Arc<Block> {
    let mut writer = BlockWriter::new(Arc::clone(disk), Path::new(DIR), id).unwrap();
    for (labels, chunks) in model {
        writer.add_series(labels, chunks.iter().map(Chunk::as_ref)).unwrap();
    }
    writer.finish().unwrap()
}

fn write_v1(disk: &Arc<dyn Disk>, id: u64, model: &Model) -> Arc<Block> {
    let mut writer = BlockWriterV1::new(Arc::clone(disk), Path::new(DIR), id).unwrap();
    for (labels, chunks) in model {
        writer.add_series(labels, chunks.iter().map(Chunk::as_ref)).unwrap();
    }
    writer.finish().unwrap()
}

fn value() -> impl Strategy<Value = f64> {
    let special = vec![0.0, -0.0, f64::NAN, f64::from_bits(0x7ff0_0000_0000_0002), f64::INFINITY, 1e300];
    prop_oneof![6 => (-50i64..50).prop_map(|i| i as f64 / 4.0), 1 => any::<f64>(), 1 => prop::sample::select(special)]
}

fn values(count: usize) -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        2 => prop::collection::vec(value(), count),
        1 => value().prop_map(move |value| vec![value; count]),
        1 => Just((0..count).map(|i| i as f64).collect()),
    ]
}

/// Few starts and lengths, so that series share times.
fn chunks() -> impl Strategy<Value = Chunk> {
    let start = prop_oneof![4 => (0i64..4).prop_map(|n| n * 700), 1 => Just(i64::MIN), 1 => Just(i64::MAX - 40_000)];
    let shape =
        (start, prop::sample::select(&[1usize, 2, 15, 16, 40][..]), prop::sample::select(&[1i64, 15, 1_000][..]));
    (shape, prop::bool::weighted(0.8)).prop_flat_map(|((start, count, step), is_dx)| {
        let encoding = if is_dx { DX } else { XOR };
        values(count)
            .prop_map(move |values| chunk((0..count as i64).map(|i| start + i * step).collect(), values, encoding))
    })
}

fn model() -> impl Strategy<Value = Model> {
    let pair = (prop::sample::select(&["a", "b", "job"][..]), prop::sample::select(&["1", "2", "foo", "bar", "ü"][..]));
    let labels = prop::collection::vec(pair, 0..4).prop_map(Labels::from_pairs);
    prop::collection::btree_map(labels, prop::collection::vec(chunks(), 1..5), 0..25)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop::sample::select(&[MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex][..]);
    let value = prop::sample::select(&["", "1", "foo", ".*", ".+", "f.*|2", "1|"][..]);
    (op, prop::sample::select(&["a", "b", "job", "none"][..]), value)
        .prop_map(|(op, name, value)| Matcher::new(op, name, value).unwrap())
}

fn texts(list: &TextList) -> Vec<String> {
    list.iter().map(str::to_owned).collect()
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// What must be known of a chunk's values.
fn check_stats(block: &Block, meta: &mytsdb_blocks::ChunkMeta, values: &[f64]) {
    let stats = block.chunk_stats(meta).unwrap();
    let same = values.iter().all(|value| value.to_bits() == values[0].to_bits());
    let plain = values.iter().all(|value| !value.is_nan());
    assert_eq!(stats.is_some(), plain && (same || values.len() >= 16));
    let Some(stats) = stats else { return };
    let least = values.iter().copied().reduce(|a, b| if b < a { b } else { a }).unwrap();
    let greatest = values.iter().copied().reduce(|a, b| if b > a { b } else { a }).unwrap();
    let found = [stats.first, stats.last, stats.min, stats.max];
    assert_eq!(bits(&found), bits(&[values[0], values[values.len() - 1], least, greatest]));
    assert_eq!(stats.resets as usize, values.windows(2).filter(|pair| pair[1] < pair[0]).count());
}

proptest! {
    #[test]
    fn a_block_answers_as_the_map_and_version_1_do(
        model in model(),
        queries in prop::collection::vec(prop::collection::vec(matcher(), 0..3), 6),
        from in -1_000i64..4_000,
        length in 0i64..500,
    ) {
        let disk = disk();
        let (block, old) = (write(&disk, 7, &model), write_v1(&disk, 8, &model));
        let series: Vec<(&Labels, &Vec<Chunk>)> = model.iter().collect();
        let meta = block.meta();
        let range = model.values().flatten().fold(TimeRange::EMPTY, |range, chunk| range.cover(chunk.range()));
        prop_assert_eq!((meta.id, meta.series_count as usize, meta.range), (7, model.len(), range));
        prop_assert_eq!(meta.sample_count, model.values().flatten().map(|c| c.times.len() as u64).sum::<u64>());
        prop_assert_eq!(meta.bytes, disk.map(block.path()).unwrap().len() as u64);
        for matchers in &queries {
            let fits = |l: &Labels| matchers.iter().all(|m| m.matches(l.get(m.name()).unwrap_or("")));
            let expected: Vec<u32> = (0..series.len()).filter(|&i| fits(series[i].0)).map(|i| i as u32).collect();
            prop_assert_eq!(&block.select(matchers, StopSign::NEVER).unwrap(), &expected, "{:?}", matchers);
            let (new_names, names) = (block.label_names_of(&expected, StopSign::NEVER), old.label_names_of(&expected, StopSign::NEVER));
            prop_assert_eq!(texts(&new_names.unwrap()), texts(&names.unwrap()));
            for name in ["a", "job", "none"] {
                let of = |block: &Block| block.label_values_of(name, &expected, StopSign::NEVER).unwrap();
                prop_assert_eq!(texts(&of(&block)), texts(&of(&old)));
                let all = |block: &Block| block.label_values(name, StopSign::NEVER).unwrap();
                prop_assert_eq!(texts(&all(&block)), texts(&all(&old)));
                prop_assert_eq!(block.has_label_name(name).unwrap(), old.has_label_name(name).unwrap());
            }
        }
        let range = TimeRange::new(from, from + length);
        for (ordinal, (labels, chunks)) in series.iter().enumerate() {
            prop_assert_eq!(&block.labels(ordinal as u32).unwrap(), *labels);
            prop_assert_eq!(block.find(labels).unwrap(), Some(ordinal as u32));
            let other = Labels::from_pairs(labels.iter().chain([("zz", "not there")]));
            prop_assert_eq!(block.find(&other).unwrap(), None);
            for range in [range, TimeRange::ALL, TimeRange::EMPTY] {
                let expected: Vec<&Chunk> = chunks.iter().filter(|c| c.range().overlaps(range)).collect();
                for block in [&block, &old] {
                    let found = block.chunks(ordinal as u32, range).unwrap();
                    prop_assert_eq!(found.len(), expected.len());
                    for (meta, chunk) in found.iter().zip(&expected) {
                        prop_assert_eq!((meta.range, meta.sample_count as usize), (chunk.range(), chunk.times.len()));
                        // Behind what is there.
                        let mut columns = Columns::default();
                        columns.push_float(9, 9.0);
                        block.read_samples(meta, &mut columns).unwrap();
                        prop_assert_eq!(&columns.timestamps_ms[1..], &chunk.times);
                        prop_assert_eq!(bits(&columns.values[1..]), bits(&chunk.values));
                        let mut part = Columns::default();
                        part.push_float(9, 9.0);
                        block.read_samples_within(meta, range, &mut part).unwrap();
                        let at = chunk.times.partition_point(|time| Some(time) < part.timestamps_ms.get(1));
                        let places = at..at + part.timestamps_ms.len() - 1;
                        prop_assert_eq!(&part.timestamps_ms[1..], &chunk.times[places.clone()]);
                        prop_assert_eq!(bits(&part.values[1..]), bits(&chunk.values[places.clone()]));
                        let is_missed = |at: usize| range.contains(chunk.times[at]) && !places.contains(&at);
                        prop_assert!(!(0..chunk.times.len()).any(is_missed), "{:?} of {:?}", range, chunk.times);
                        let mut times = vec![9];
                        if block.read_times(meta, &mut times).unwrap() {
                            prop_assert_eq!(&times[1..], &chunk.times);
                        } else {
                            prop_assert_eq!((chunk.encoding, times), (ChunkEncoding::Xor, vec![9]));
                        }
                    }
                }
                for (meta, chunk) in block.chunks(ordinal as u32, range).unwrap().iter().zip(&expected) {
                    check_stats(&block, meta, &chunk.values);
                }
            }
        }
        let unknown = block.labels(model.len() as u32);
        let refused = matches!(unknown, Err(BlockError::UnknownSeries { .. }));
        prop_assert!(refused);
    }
}

fn times(from: i64) -> Vec<i64> {
    (0..20).map(|i| from + i * 15_000 + i % 3).collect()
}

fn golden_model() -> Model {
    let up = |job: &str| Labels::from_pairs([("__name__", "up"), ("job", job)]);
    let start = 1_700_000_000_000;
    let counter = || (0..20).map(|i| f64::from(i * 7 % 30)).collect();
    let stale = |mut values: Vec<f64>| {
        values[19] = f64::from_bits(0x7ff0_0000_0000_0002);
        values
    };
    Model::from([
        (Labels::from_pairs([("__name__", "build_info"), ("ü", "ß")]), vec![chunk(vec![-5, 5], vec![1.0, 2.0], XOR)]),
        (up("api"), vec![chunk(times(start), counter(), DX), chunk(times(start + 300_000), vec![1.0; 20], DX)]),
        (up("db"), vec![chunk(times(start), vec![0.1; 20], DX), chunk(times(start + 300_000), stale(counter()), DX)]),
        (up("extreme"), vec![chunk(vec![i64::MIN, i64::MAX], vec![0.5, -0.0], DX)]),
    ])
}

/// Version 2 of the format stays readable, and the writer still writes it byte for byte.
#[test]
fn golden_file_of_version_2() {
    let golden: &[u8] = include_bytes!("golden/block-v2.blk");
    let disk = disk();
    let model = golden_model();
    let written = write(&disk, GOLDEN_ID, &model);
    let path = Path::new(DIR).join(block_file_name(GOLDEN_ID));
    let bytes = disk.map(&path).unwrap().to_vec();
    let meta = written.meta();
    drop(written);
    disk.create(&path).unwrap().append(golden).unwrap();
    let block = Block::open(&*disk, &path).unwrap();
    block.verify().unwrap();
    assert_eq!(block.meta(), meta);
    for (ordinal, (labels, chunks)) in model.iter().enumerate() {
        assert_eq!(block.labels(ordinal as u32).unwrap(), *labels);
        for (meta, chunk) in block.chunks(ordinal as u32, TimeRange::ALL).unwrap().iter().zip(chunks) {
            let mut columns = Columns::default();
            block.read_samples(meta, &mut columns).unwrap();
            assert_eq!((columns.timestamps_ms, bits(&columns.values)), (chunk.times.clone(), bits(&chunk.values)));
        }
    }
    assert_eq!(bytes, golden, "the writer writes what it wrote");
}

#[test]
fn times_are_stored_once_for_all_series_that_have_them() {
    let disk = disk();
    let jagged: Vec<i64> = (0..1_000i64).map(|i| i * 1_000 + i * i * 7 % 613).collect();
    let model: Model = (0..50)
        .map(|n| {
            let values = (0..1_000).map(|i| f64::from(i % 2 + n)).collect();
            (Labels::from_pairs([("n", n.to_string())]), vec![chunk(jagged.clone(), values, DX)])
        })
        .collect();
    let (block, old) = (write(&disk, 1, &model), write_v1(&disk, 2, &model));
    assert!(block.meta().bytes * 3 < old.meta().bytes, "{} {}", block.meta().bytes, old.meta().bytes);
}

#[test]
fn an_encoding_that_is_not_known_is_named_and_harms_nobody_else() {
    let disk = disk();
    let mut writer = BlockWriter::new(disk, Path::new(DIR), 1).unwrap();
    let known = chunk(times(0), vec![1.0; 20], DX);
    let unknown = ChunkRef { encoding: 77, bytes: b"histograms", ..known.as_ref() };
    writer.add_series(&Labels::from_pairs([("a", "1")]), [unknown, known.as_ref()]).unwrap();
    let block = writer.finish().unwrap();
    let chunks = block.chunks(0, TimeRange::ALL).unwrap();
    assert_eq!(block.read_chunk(&chunks[0]).unwrap().bytes, b"histograms");
    let mut columns = Columns::default();
    let error = block.read_samples(&chunks[0], &mut columns).unwrap_err();
    assert!(matches!(error, BlockError::UnknownEncoding { encoding: 77, .. }), "{error}");
    assert!(error.to_string().contains("encoding 77"));
    assert!(block.chunk_stats(&chunks[0]).unwrap().is_none());
    block.read_samples(&chunks[1], &mut columns).unwrap();
    assert_eq!(columns.values, known.values);
}

#[test]
fn series_out_of_order_are_refused_and_the_writer_goes_on() {
    let model = golden_model();
    let mut writer = BlockWriter::new(disk(), Path::new(DIR), 1).unwrap();
    for (labels, chunks) in &model {
        writer.add_series(labels, chunks.iter().map(Chunk::as_ref)).unwrap();
        let again = writer.add_series(labels, chunks.iter().map(Chunk::as_ref));
        assert!(matches!(again, Err(BlockError::OutOfOrder { .. })));
    }
    let block = writer.finish().unwrap();
    assert_eq!(block.meta().series_count, 4);
    assert_eq!(texts(&block.label_values("__name__", StopSign::NEVER).unwrap()), ["build_info", "up"]);
}

#[test]
fn a_chunk_that_is_not_what_it_is_said_to_be_abandons_the_block() {
    let good = chunk(times(0), vec![1.0; 20], DX);
    let bad = [
        ChunkRef { range: TimeRange::new(5, 0), ..good.as_ref() },
        ChunkRef { range: TimeRange::new(0, 5), ..good.as_ref() },
        ChunkRef { sample_count: 0, ..good.as_ref() },
        ChunkRef { sample_count: 19, ..good.as_ref() },
        ChunkRef { encoding: 0, ..good.as_ref() },
        ChunkRef { encoding: XOR.number(), ..good.as_ref() },
        ChunkRef { bytes: &good.bytes[1..], ..good.as_ref() },
        ChunkRef { bytes: &[], ..good.as_ref() },
    ];
    for bad in bad {
        // Alone, and behind a chunk whose times it claims to share.
        for before in [&[][..], &[good.as_ref()]] {
            let disk = disk();
            let mut writer = BlockWriter::new(Arc::clone(&disk), Path::new(DIR), 1).unwrap();
            let labels = Labels::from_pairs([("a", "1")]);
            let added = writer.add_series(&labels, before.iter().copied().chain([bad]));
            assert!(matches!(added, Err(BlockError::InvalidChunk { .. })), "{bad:?}");
            assert!(matches!(writer.finish(), Err(BlockError::Abandoned { .. })));
            assert!(disk.list(Path::new(DIR)).unwrap().is_empty(), "nothing is left behind");
        }
    }
}

#[test]
fn a_series_without_chunks_is_left_out() {
    let mut writer = BlockWriter::new(disk(), Path::new(DIR), 1).unwrap();
    writer.add_series(&Labels::from_pairs([("a", "1")]), []).unwrap();
    let block = writer.finish().unwrap();
    assert_eq!(block.meta().series_count, 0);
    assert!(block.meta().range.is_empty());
    assert!(block.select(&[], StopSign::NEVER).unwrap().is_empty());
    assert_eq!(block.find(&Labels::from_pairs([("a", "1")])).unwrap(), None);
}
