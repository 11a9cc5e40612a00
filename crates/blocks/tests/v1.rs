//! Blocks of version 1 against a sorted map, and what their writer refuses.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_blocks::{
    Block, BlockError, BlockWriterV1, ChunkMeta, ChunkRef, block_file_name, list_blocks, sweep_unpublished,
};
use mytsdb_index::TextList;
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/blocks";

#[derive(Debug, Clone, PartialEq)]
struct Chunk {
    range: TimeRange,
    sample_count: u32,
    encoding: u8,
    bytes: Vec<u8>,
}

type Model = BTreeMap<Labels, Vec<Chunk>>;

fn disk() -> Arc<dyn Disk> {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    Arc::new(disk)
}

fn refs(chunks: &[Chunk]) -> impl Iterator<Item = ChunkRef<'_>> {
    chunks.iter().map(|c| ChunkRef {
        range: c.range,
        sample_count: c.sample_count,
        encoding: c.encoding,
        bytes: &c.bytes,
    })
}

fn write(disk: &Arc<dyn Disk>, id: u64, model: &Model) -> Arc<Block> {
    let mut writer = BlockWriterV1::new(Arc::clone(disk), Path::new(DIR), id).unwrap();
    for (labels, chunks) in model {
        writer.add_series(labels, refs(chunks)).unwrap();
    }
    writer.finish().unwrap()
}

fn texts(list: &TextList) -> Vec<String> {
    list.iter().map(str::to_owned).collect()
}

fn model() -> impl Strategy<Value = Model> {
    let pair = (prop::sample::select(&["a", "b", "job"][..]), prop::sample::select(&["1", "2", "foo", "bar", "ü"][..]));
    let labels = prop::collection::vec(pair, 0..4).prop_map(Labels::from_pairs);
    let time = prop_oneof![4 => -1_000i64..1_000, 1 => any::<i64>(), 1 => Just(i64::MIN), 1 => Just(i64::MAX)];
    let chunk = (time.clone(), time, 1u32.., 1u8.., prop::collection::vec(any::<u8>(), 1..40)).prop_map(
        |(a, b, sample_count, encoding, bytes)| Chunk {
            range: TimeRange::new(a.min(b), a.max(b)),
            sample_count,
            encoding,
            bytes,
        },
    );
    prop::collection::btree_map(labels, prop::collection::vec(chunk, 1..5), 0..25)
}

fn matcher() -> impl Strategy<Value = Matcher> {
    let op = prop::sample::select(&[MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex][..]);
    let value = prop::sample::select(&["", "1", "foo", ".*", ".+", "f.*|2", "1|"][..]);
    (op, prop::sample::select(&["a", "b", "job", "none"][..]), value)
        .prop_map(|(op, name, value)| Matcher::new(op, name, value).unwrap())
}

proptest! {
    #[test]
    fn a_block_answers_as_the_map_does(
        model in model(),
        queries in prop::collection::vec(prop::collection::vec(matcher(), 0..3), 6),
        from in -1_000i64..1_000,
        length in 0i64..500,
    ) {
        let disk = disk();
        let block = write(&disk, 7, &model);
        let series: Vec<(&Labels, &Vec<Chunk>)> = model.iter().collect();
        let meta = block.meta();
        prop_assert_eq!((meta.id, meta.series_count as usize), (7, model.len()));
        prop_assert_eq!(meta.sample_count, model.values().flatten().map(|c| u64::from(c.sample_count)).sum::<u64>());
        let range = model.values().flatten().fold(TimeRange::EMPTY, |r, c| r.cover(c.range));
        prop_assert_eq!(meta.range, range);
        for matchers in &queries {
            let fits = |l: &Labels| matchers.iter().all(|m| m.matches(l.get(m.name()).unwrap_or("")));
            let expected: Vec<u32> = (0..series.len()).filter(|&i| fits(series[i].0)).map(|i| i as u32).collect();
            prop_assert_eq!(&block.select(matchers, StopSign::NEVER).unwrap(), &expected, "{:?}", matchers);
            let chosen: Vec<&Labels> = expected.iter().map(|&i| series[i as usize].0).collect();
            let names: BTreeSet<&str> = chosen.iter().flat_map(|l| l.iter().map(|(n, _)| n)).collect();
            prop_assert_eq!(texts(&block.label_names_of(&expected, StopSign::NEVER).unwrap()), names.into_iter().collect::<Vec<_>>());
            let values: BTreeSet<&str> = chosen.iter().filter_map(|l| l.get("job")).collect();
            prop_assert_eq!(texts(&block.label_values_of("job", &expected, StopSign::NEVER).unwrap()), values.into_iter().collect::<Vec<_>>());
        }
        let range = TimeRange::new(from, from + length);
        for (ordinal, (labels, chunks)) in series.iter().enumerate() {
            prop_assert_eq!(&block.labels(ordinal as u32).unwrap(), *labels);
            prop_assert_eq!(block.find(labels).unwrap(), Some(ordinal as u32));
            let other = Labels::from_pairs(labels.iter().chain([("zz", "not there")]));
            prop_assert_eq!(block.find(&other).unwrap(), None);
            for range in [range, TimeRange::ALL, TimeRange::EMPTY] {
                let expected: Vec<Chunk> = chunks.iter().filter(|c| c.range.overlaps(range)).cloned().collect();
                let read = |m: &ChunkMeta| Chunk {
                    range: m.range,
                    sample_count: m.sample_count,
                    encoding: m.encoding,
                    bytes: block.read_chunk(m).unwrap().bytes.to_vec(),
                };
                let found: Vec<Chunk> = block.chunks(ordinal as u32, range).unwrap().iter().map(read).collect();
                prop_assert_eq!(found, expected);
            }
        }
        let unknown = block.labels(model.len() as u32);
        let refused = matches!(unknown, Err(BlockError::UnknownSeries { .. }));
        prop_assert!(refused);
    }
}

fn small() -> Model {
    let chunk = |n: u8| Chunk { range: TimeRange::new(0, 5), sample_count: 2, encoding: 1, bytes: vec![n; 9] };
    let labels = |v: &str| Labels::from_pairs([("__name__", v)]);
    BTreeMap::from([(labels("a"), vec![chunk(1), chunk(2)]), (labels("b"), vec![chunk(3)])])
}

#[test]
fn series_out_of_order_are_refused_and_the_writer_goes_on() {
    let disk = disk();
    let model = small();
    let mut writer = BlockWriterV1::new(Arc::clone(&disk), Path::new(DIR), 1).unwrap();
    for (labels, chunks) in &model {
        writer.add_series(labels, refs(chunks)).unwrap();
        assert!(matches!(writer.add_series(labels, refs(chunks)), Err(BlockError::OutOfOrder { .. })));
    }
    let block = writer.finish().unwrap();
    assert_eq!(block.meta().series_count, 2);
    assert!(block.label_values("__name__", StopSign::NEVER).unwrap().iter().eq(["a", "b"]));
    assert!(block.label_names(StopSign::NEVER).unwrap().iter().eq(["__name__"]));
}

#[test]
fn a_series_without_chunks_is_left_out() {
    let disk = disk();
    let mut writer = BlockWriterV1::new(disk, Path::new(DIR), 1).unwrap();
    writer.add_series(&Labels::from_pairs([("a", "1")]), []).unwrap();
    let block = writer.finish().unwrap();
    assert_eq!(block.meta().series_count, 0);
    assert!(block.meta().range.is_empty());
    assert!(block.select(&[], StopSign::NEVER).unwrap().is_empty());
}

#[test]
fn a_chunk_the_format_cannot_hold_abandons_the_block() {
    let good = Chunk { range: TimeRange::new(0, 5), sample_count: 2, encoding: 1, bytes: vec![1] };
    let bad = [
        Chunk { range: TimeRange::new(5, 0), ..good.clone() },
        Chunk { sample_count: 0, ..good.clone() },
        Chunk { encoding: 0, ..good.clone() },
        Chunk { bytes: vec![], ..good.clone() },
        Chunk { bytes: vec![0; ChunkMeta::BYTES_MAX + 1], ..good.clone() },
    ];
    for bad in bad {
        let disk = disk();
        let mut writer = BlockWriterV1::new(Arc::clone(&disk), Path::new(DIR), 1).unwrap();
        let labels = Labels::from_pairs([("a", "1")]);
        let chunks = [good.clone(), bad];
        assert!(matches!(writer.add_series(&labels, refs(&chunks)), Err(BlockError::InvalidChunk { .. })));
        assert!(matches!(writer.finish(), Err(BlockError::Abandoned { .. })));
        assert!(disk.list(Path::new(DIR)).unwrap().is_empty(), "nothing is left behind");
    }
}

#[test]
fn a_dropped_writer_leaves_nothing_and_a_published_block_is_not_replaced() {
    let disk = disk();
    drop(BlockWriterV1::new(Arc::clone(&disk), Path::new(DIR), 1).unwrap());
    assert!(disk.list(Path::new(DIR)).unwrap().is_empty());
    write(&disk, 1, &small());
    assert!(matches!(BlockWriterV1::new(Arc::clone(&disk), Path::new(DIR), 1), Err(BlockError::Exists { .. })));
    write(&disk, 0xff, &small());
    assert_eq!(list_blocks(&*disk, Path::new(DIR)).unwrap(), [1, 0xff]);
}

#[test]
fn the_sweep_removes_unpublished_blocks_and_nothing_else() {
    let disk = disk();
    let names = ["b-0000000000000001.blk", "b-0000000000000001.blk.tmp", "b-1.blk.tmp", "notes.tmp", "wal"];
    for name in names {
        disk.create(&Path::new(DIR).join(name)).unwrap().sync_data().unwrap();
    }
    assert_eq!(sweep_unpublished(&*disk, Path::new(DIR)).unwrap(), ["b-0000000000000001.blk.tmp"]);
    assert_eq!(disk.list(Path::new(DIR)).unwrap().len(), names.len() - 1);
}

#[test]
fn large_chunks_bypass_the_buffer_and_come_back() {
    let disk = disk();
    let chunk = |n: usize| Chunk {
        range: TimeRange::new(0, 5),
        sample_count: 2,
        encoding: 1,
        bytes: (0..n).map(|i| i as u8).collect(),
    };
    let sizes = [1, 300_000, 200_000, 100_000, 262_144, 7];
    let model = Model::from([(Labels::from_pairs([("a", "1")]), sizes.map(chunk).to_vec())]);
    let block = write(&disk, 1, &model);
    let metas = block.chunks(0, TimeRange::ALL).unwrap();
    for (meta, size) in metas.iter().zip(sizes) {
        assert_eq!(block.read_chunk(meta).unwrap().bytes, chunk(size).bytes);
    }
}

/// Version 1 of the format stays readable, and the writer still writes it byte for byte.
#[test]
fn golden_file_of_version_1() {
    let golden: &[u8] = include_bytes!("golden/block-v1.blk");
    let disk = disk();
    let path = Path::new(DIR).join(block_file_name(0x0123_4567_89ab_cdef));
    let mut file = disk.create(&path).unwrap();
    file.append(golden).unwrap();
    let block = Block::open(&*disk, &path).unwrap();
    block.verify().unwrap();
    let model = golden_model();
    assert_eq!(block.labels(0).unwrap(), *model.keys().next().unwrap());
    disk.remove(&path).unwrap();
    let written = write(&disk, 0x0123_4567_89ab_cdef, &model);
    assert_eq!(written.meta(), block.meta());
    assert_eq!(&*disk.map(&path).unwrap(), golden);
}

fn golden_model() -> Model {
    let chunk = |mint, maxt, n: u8| Chunk {
        range: TimeRange::new(mint, maxt),
        sample_count: n.into(),
        encoding: 1,
        bytes: vec![n; n.into()],
    };
    let up = |job: &str| Labels::from_pairs([("__name__", "up"), ("job", job)]);
    Model::from([
        (Labels::from_pairs([("__name__", "build_info"), ("ü", "ß")]), vec![chunk(-5, 5, 3)]),
        (
            up("api"),
            vec![chunk(1_700_000_000_000, 1_700_000_900_000, 4), chunk(1_700_000_500_000, 1_700_001_000_000, 1)],
        ),
        (up("db"), vec![chunk(i64::MIN, i64::MAX, 200)]),
    ])
}
