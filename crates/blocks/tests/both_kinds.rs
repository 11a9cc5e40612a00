//! Blocks with native histograms and start times: what comes back, what is shared, and who can tell.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_blocks::{Block, BlockError, BlockWriter, BlockWriterV1, ChunkRef, block_file_name};
use mytsdb_codec::{ChunkEncoding, DxEncoder, DxStartsEncoder, HistogramEncoder};
use mytsdb_columns::{Columns, Mark};
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_io::{Disk, RealDisk, SimDisk};
use mytsdb_model::{Labels, TimeRange};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/blocks";
const GOLDEN_ID: u64 = 0x0123_4567_89ab_cdef;

fn disk() -> Arc<dyn Disk> {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    Arc::new(disk)
}

fn histogram(number: i64) -> Arc<FloatHistogram> {
    let count = number as f64;
    Arc::new(FloatHistogram {
        schema: 1,
        count: 3.0 * count,
        sum: 0.5 * count,
        positive_spans: vec![Span { offset: 1, length: 2 }],
        positive_buckets: vec![count, 2.0 * count],
        ..FloatHistogram::default()
    })
}

/// Twenty samples at `from` and every 15 s; of a series of floats, of floats with start times, of histograms.
fn samples(kind: ChunkEncoding, from: i64) -> Columns {
    let mut columns = Columns::default();
    for i in 0..20 {
        let time = from + i * 15_000 + i % 3;
        match kind {
            ChunkEncoding::Histogram => columns.push_histogram_since(time, from - 1_000, histogram(i)),
            ChunkEncoding::DxStarts => columns.push_float_since(time, from - 1_000, i as f64),
            _ => columns.push_float(time, i as f64),
        }
    }
    columns
}

fn encode(kind: ChunkEncoding, c: &Columns) -> Vec<u8> {
    let mut bytes = Vec::new();
    match kind {
        ChunkEncoding::Histogram => {
            let (times, starts) = (&c.histogram_timestamps_ms, &c.histogram_start_timestamps_ms);
            let taken = HistogramEncoder::default().encode(times, starts, &c.histograms, &mut bytes).unwrap();
            assert_eq!(taken, times.len());
        }
        ChunkEncoding::DxStarts => {
            let starts = &c.start_timestamps_ms;
            DxStartsEncoder::default().encode(&c.timestamps_ms, starts, &c.values, &mut bytes).unwrap();
        }
        _ => DxEncoder::default().encode(&c.timestamps_ms, &c.values, &mut bytes).unwrap(),
    }
    bytes
}

const KINDS: [ChunkEncoding; 3] = [ChunkEncoding::Dx, ChunkEncoding::DxStarts, ChunkEncoding::Histogram];

fn labels(kind: ChunkEncoding) -> Labels {
    Labels::from_pairs([("kind", kind.number().to_string())])
}

fn chunk(kind: ChunkEncoding, c: &Columns, bytes: &'static [u8]) -> ChunkRef<'static> {
    let range = c.range(Mark::default());
    ChunkRef { range, sample_count: c.len() as u32, encoding: kind.number(), bytes }
}

fn write(disk: &Arc<dyn Disk>, kinds: &[ChunkEncoding]) -> Arc<Block> {
    let mut writer = BlockWriter::new(Arc::clone(disk), Path::new(DIR), GOLDEN_ID).unwrap();
    let mut kinds = kinds.to_vec();
    kinds.sort_by_key(|kind| kind.number());
    for kind in kinds {
        let all = [0, 400_000].map(|from| samples(kind, 1_700_000_000_000 + from));
        let chunks = all.iter().map(|c| chunk(kind, c, encode(kind, c).leak()));
        writer.add_series(&labels(kind), chunks).unwrap();
    }
    writer.finish().unwrap()
}

fn assert_reads_back(block: &Block, kind: ChunkEncoding) {
    let ordinal = block.find(&labels(kind)).unwrap().unwrap();
    let chunks = block.chunks(ordinal, TimeRange::ALL).unwrap();
    assert_eq!(chunks.len(), 2);
    for (chunk, from) in chunks.iter().zip([0, 400_000]) {
        let expected = samples(kind, 1_700_000_000_000 + from);
        let mut read = Columns::default();
        block.read_samples(chunk, &mut read).unwrap();
        assert_eq!((&read.timestamps_ms, &read.values), (&expected.timestamps_ms, &expected.values));
        assert_eq!(read.histogram_timestamps_ms, expected.histogram_timestamps_ms);
        assert_eq!(read.histograms, expected.histograms);
        assert_eq!(read.start_timestamps_ms, expected.start_timestamps_ms);
        assert_eq!(read.histogram_start_timestamps_ms, expected.histogram_start_timestamps_ms);
        let mut times = vec![7];
        assert!(block.read_times(chunk, &mut times).unwrap());
        let all = [&read.timestamps_ms[..], &read.histogram_timestamps_ms[..]].concat();
        assert_eq!(times, [&[7], &all[..]].concat());
        let stats = block.chunk_stats(chunk).unwrap();
        assert_eq!(stats.map(|stats| stats.max), (kind != ChunkEncoding::Histogram).then_some(19.0));
    }
}

#[test]
fn all_kinds_come_back_and_share_their_times() {
    let block = write(&disk(), &KINDS);
    block.verify().unwrap();
    assert!(!block.is_plain());
    for kind in KINDS {
        assert_reads_back(&block, kind);
    }
    let times = block.sections().into_iter().find(|(name, _)| *name == "time columns").unwrap().1;
    assert_eq!(times, 2 * 40, "two columns for six chunks");
}

#[test]
fn a_block_says_whether_it_is_plain() {
    assert!(write(&disk(), &KINDS[..1]).is_plain());
    for kind in &KINDS[1..] {
        let disk = disk();
        assert!(!write(&disk, &[*kind]).is_plain());
        // What tells an earlier release to leave the block alone.
        let file = disk.map(&Path::new(DIR).join(block_file_name(GOLDEN_ID))).unwrap();
        assert_eq!(file[file.len() - 184 + 156], 3);
    }
    let mut old = BlockWriterV1::new(disk(), Path::new(DIR), 1).unwrap();
    let c = samples(ChunkEncoding::Histogram, 0);
    let bytes = encode(ChunkEncoding::Histogram, &c).leak();
    old.add_series(&labels(ChunkEncoding::Histogram), [chunk(ChunkEncoding::Histogram, &c, bytes)]).unwrap();
    let old = old.finish().unwrap();
    let chunks = old.chunks(0, TimeRange::ALL).unwrap();
    let refused = old.read_samples(&chunks[0], &mut Columns::default());
    assert!(old.is_plain() && matches!(refused, Err(BlockError::UnknownEncoding { encoding: 3, .. })), "{refused:?}");
}

#[test]
fn a_chunk_that_is_not_what_it_is_said_to_be_is_refused() {
    let c = samples(ChunkEncoding::Histogram, 0);
    let good = chunk(ChunkEncoding::Histogram, &c, encode(ChunkEncoding::Histogram, &c).leak());
    for bad in [
        ChunkRef { sample_count: 19, ..good },
        ChunkRef { range: TimeRange::new(0, 5), ..good },
        ChunkRef { encoding: ChunkEncoding::Dx.number(), ..good },
        ChunkRef { encoding: ChunkEncoding::DxStarts.number(), ..good },
        ChunkRef { bytes: &good.bytes[..good.bytes.len() - 1], ..good },
    ] {
        let mut writer = BlockWriter::new(disk(), Path::new(DIR), 1).unwrap();
        let added = writer.add_series(&labels(ChunkEncoding::Histogram), [bad]);
        assert!(matches!(added, Err(BlockError::InvalidChunk { .. })), "{bad:?}");
    }
}

/// The file stays readable, and the writer still writes it byte for byte.
#[test]
fn golden_file_with_all_kinds() {
    let disk = disk();
    let path = Path::new(DIR).join(block_file_name(GOLDEN_ID));
    drop(write(&disk, &KINDS));
    let bytes = disk.map(&path).unwrap().to_vec();
    if std::env::var_os("MYTSDB_WRITE_GOLDEN").is_some() {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/block-v2-kinds.blk");
        RealDisk.create(Path::new(golden)).unwrap().append(&bytes).unwrap();
    }
    let golden: &[u8] = include_bytes!("golden/block-v2-kinds.blk");
    assert_eq!(bytes, golden, "the writer writes what it wrote");
    disk.create(&path).unwrap().append(golden).unwrap();
    let block = Block::open(&*disk, &path).unwrap();
    block.verify().unwrap();
    for kind in KINDS {
        assert_reads_back(&block, kind);
    }
}
