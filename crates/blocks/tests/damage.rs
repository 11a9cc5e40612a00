//! Power cuts while a block is written, refusals of the disk, and damage afterwards.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_blocks::{
    Block, BlockError, BlockWriter, BlockWriterV1, ChunkRef, block_file_name, list_blocks, sweep_unpublished,
};
use mytsdb_codec::{ChunkEncoding, DxEncoder, XorAppender};
use mytsdb_columns::Columns;
use mytsdb_io::{Call, Disk, FaultDisk, SimDisk};
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const DIR: &str = "/blocks";
const ID: u64 = 3;

fn path() -> PathBuf {
    Path::new(DIR).join(block_file_name(ID))
}

fn new_disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk
}

/// Two chunks of each of four series; those of version 2 have times that are shared, and statistics.
fn write_v2(disk: Arc<dyn Disk>, samples: i64) -> Result<Arc<Block>, BlockError> {
    let mut writer = BlockWriter::new(disk, Path::new(DIR), ID)?;
    for series in 0..4i64 {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &series.to_string())]);
        let chunks = [0, 1].map(|half| {
            // Full of digits, so that many samples take many bytes.
            let value = |i: i64| ((i + series) as f64).sin();
            let times: Vec<i64> = (half * samples..(half + 1) * samples).map(|i| i * 10).collect();
            let values: Vec<f64> = times.iter().map(|&time| if half == 0 { value(time) } else { 7.0 }).collect();
            let mut bytes = Vec::new();
            DxEncoder::default().encode(&times, &values, &mut bytes).unwrap();
            (TimeRange::new(times[0], times[times.len() - 1]), bytes)
        });
        let refs = chunks.iter().map(|(range, bytes)| ChunkRef {
            range: *range,
            sample_count: samples as u32,
            encoding: ChunkEncoding::Dx.number(),
            bytes,
        });
        writer.add_series(&labels, refs)?;
    }
    writer.finish()
}

fn write_v1(disk: Arc<dyn Disk>) -> Result<Arc<Block>, BlockError> {
    let mut writer = BlockWriterV1::new(disk, Path::new(DIR), ID)?;
    for series in 0..4u8 {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &series.to_string())]);
        let mut chunks = [XorAppender::new(), XorAppender::new()];
        for i in 0..20i64 {
            chunks[(i / 10) as usize].push(i * 10, f64::from(series)).unwrap();
        }
        let refs = chunks.iter().map(|chunk| ChunkRef {
            range: chunk.time_range(),
            sample_count: 10,
            encoding: ChunkEncoding::Xor.number(),
            bytes: chunk.bytes(),
        });
        writer.add_series(&labels, refs)?;
    }
    writer.finish()
}

/// Few samples, and statistics all the same.
const SAMPLES: i64 = 20;

/// Everything that a block can be asked.
type Answers = Vec<(Labels, Vec<ChunkAnswer>)>;
type ChunkAnswer = (TimeRange, u32, Vec<i64>, Vec<u64>, Option<String>);

fn answers(block: &Block) -> Result<(Answers, Vec<u32>, Vec<String>), BlockError> {
    let mut all = Answers::new();
    for ordinal in block.select(&[], StopSign::NEVER)? {
        let mut chunks = Vec::new();
        for chunk in block.chunks(ordinal, TimeRange::ALL)? {
            let mut columns = Columns::default();
            block.read_samples(&chunk, &mut columns)?;
            let stats = block.chunk_stats(&chunk)?.map(|stats| format!("{stats:?}"));
            let bits = columns.values.into_iter().map(f64::to_bits).collect();
            chunks.push((chunk.range, chunk.sample_count, columns.timestamps_ms, bits, stats));
        }
        let labels = block.labels(ordinal)?;
        if block.find(&labels)? != Some(ordinal) {
            all.push((Labels::empty(), Vec::new())); // a wrong answer, which the caller notices
        }
        all.push((labels, chunks));
    }
    let matchers = [Matcher::new(MatchOp::NotRegex, "i", "[01]").unwrap(), Matcher::equal("__name__", "m")];
    let chosen = block.select(&matchers, StopSign::NEVER)?;
    let values = block.label_values("i", StopSign::NEVER)?.iter().map(str::to_owned).collect();
    Ok((all, chosen, values))
}

#[test]
fn a_power_cut_at_any_moment_leaves_a_whole_block_or_none() {
    // Chunks larger than the writer's buffer make the file reach the disk in many writes.
    let samples = 20_000;
    let whole = answers(&write_v2(Arc::new(new_disk()), samples).unwrap()).unwrap();
    let total = {
        let disk = new_disk();
        let before = disk.op_count();
        write_v2(Arc::new(disk.clone()), samples).unwrap();
        disk.op_count() - before
    };
    assert!(total > 6, "create, several writes, sync, rename, sync of the directory: {total}");
    for ops in 0..=total {
        let disk = new_disk();
        disk.stop_after(ops);
        let written = write_v2(Arc::new(disk.clone()), samples);
        assert_eq!(written.is_ok(), ops == total, "after {ops} calls of {total}");
        for seed in 0..40 {
            let after = disk.crash(seed);
            sweep_unpublished(&after, Path::new(DIR)).unwrap();
            let ids = list_blocks(&after, Path::new(DIR)).unwrap();
            assert_eq!(after.list(Path::new(DIR)).unwrap().len(), ids.len(), "the sweep leaves blocks only");
            assert!(written.is_err() || ids == [ID], "an acknowledged block is there: seed {seed}");
            if !ids.is_empty() {
                let block = Block::open(&after, &path()).unwrap();
                block.verify().unwrap();
                assert_eq!(answers(&block).unwrap(), whole, "after {ops} calls, seed {seed}");
            }
        }
    }
}

#[test]
fn a_refusing_disk_publishes_nothing() {
    const EIO: i32 = 5;
    for call in [Call::Create, Call::Write, Call::Sync, Call::Rename, Call::SyncDir, Call::Open] {
        let disk = Arc::new(FaultDisk::new(new_disk()));
        disk.fail_nth(call, disk.count(call) + 1, EIO);
        let error = write_v2(disk.clone(), SAMPLES).unwrap_err();
        assert!(matches!(error, BlockError::Io { .. }), "{call:?}: {error}");
        assert_eq!(disk.fired(), 1, "{call:?}");
        assert!(disk.list(Path::new(DIR)).unwrap().is_empty(), "{call:?} leaves nothing behind");
        write_v2(disk, SAMPLES).unwrap();
    }
}

fn sound(error: &BlockError, bytes: u64) -> bool {
    match error {
        BlockError::Corrupt { offset, .. } | BlockError::DamagedChunk { offset, .. } => *offset <= bytes,
        _ => false,
    }
}

#[test]
fn any_flipped_bit_gives_the_right_answer_or_an_error_that_names_the_place() {
    for version in [1, 2] {
        let disk = new_disk();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        let block = if version == 1 { write_v1(shared) } else { write_v2(shared, SAMPLES) }.unwrap();
        let whole = answers(&block).unwrap();
        let bytes = disk.map(&path()).unwrap().len() as u64;
        for bit in 0..bytes * 8 {
            disk.corrupt(&path(), bit / 8, 1 << (bit % 8)).unwrap();
            match Block::open(&disk, &path()) {
                Err(error) => assert!(sound(&error, bytes), "bit {bit}: {error}"),
                Ok(block) => {
                    let error = block.verify().expect_err("every bit is covered by a checksum");
                    assert!(sound(&error, bytes), "bit {bit}: {error}");
                    match answers(&block) {
                        Ok(answers) => assert_eq!(answers, whole, "bit {bit}"),
                        Err(error) => assert!(sound(&error, bytes), "bit {bit}: {error}"),
                    }
                }
            }
            disk.corrupt(&path(), bit / 8, 1 << (bit % 8)).unwrap();
        }
        Block::open(&disk, &path()).unwrap().verify().unwrap();
    }
}

#[test]
fn a_damaged_chunk_fails_alone() {
    let disk = new_disk();
    let block = write_v2(Arc::new(disk.clone()), SAMPLES).unwrap();
    let chunks: Vec<_> = (0..4).flat_map(|ordinal| block.chunks(ordinal, TimeRange::ALL).unwrap()).collect();
    let read = |block: &Block| -> Vec<bool> {
        let read = |chunk| match block.read_samples(chunk, &mut Columns::default()) {
            Ok(()) => true,
            Err(BlockError::DamagedChunk { offset, .. }) => {
                assert_eq!(offset, chunk.offset);
                false
            }
            Err(error) => panic!("{error}"),
        };
        chunks.iter().map(read).collect()
    };
    for (number, chunk) in chunks.iter().enumerate() {
        // The last byte belongs to the values; the second one, in the first two chunks, to times that others share.
        disk.corrupt(&path(), chunk.offset + u64::from(chunk.bytes) - 1, 1).unwrap();
        let block = Block::open(&disk, &path()).unwrap();
        let expected: Vec<bool> = (0..chunks.len()).map(|other| other != number).collect();
        assert_eq!(read(&block), expected, "chunk {number}");
        disk.corrupt(&path(), chunk.offset + u64::from(chunk.bytes) - 1, 1).unwrap();
    }
    disk.corrupt(&path(), chunks[0].offset + 1, 1).unwrap();
    let block = Block::open(&disk, &path()).unwrap();
    assert_eq!(read(&block), [false, true, false, true, false, true, false, true], "those that share its times");
}

#[test]
fn a_file_cut_or_grown_at_any_byte_is_corrupt() {
    for version in [1, 2] {
        let disk = new_disk();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        if version == 1 { write_v1(shared) } else { write_v2(shared, SAMPLES) }.unwrap();
        let bytes = disk.map(&path()).unwrap().to_vec();
        let check = |bytes: &[u8]| {
            disk.create(&path()).unwrap().append(bytes).unwrap();
            assert!(matches!(Block::open(&disk, &path()), Err(BlockError::Corrupt { .. })), "{} bytes", bytes.len());
        };
        (0..bytes.len()).for_each(|cut| check(&bytes[..cut]));
        check(&[&bytes[..], &[0]].concat());
        check(&[&[0], &bytes[..]].concat());
    }
}

/// Damage whose checksums match: only the structure can reveal it. Nothing may panic.
#[test]
fn damage_with_valid_checksums_never_panics() {
    for (version, sections, footer_bytes) in [(1, 4, 160), (2, 5, 184)] {
        let disk = new_disk();
        let shared: Arc<dyn Disk> = Arc::new(disk.clone());
        if version == 1 { write_v1(shared) } else { write_v2(shared, SAMPLES) }.unwrap();
        let bytes = disk.map(&path()).unwrap().to_vec();
        let footer_at = bytes.len() - footer_bytes;
        let crc_at = bytes.len() - 12;
        let field = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
        let (mut survived, mut refused) = (0, 0);
        for section in 1..sections {
            let entry = footer_at + 24 * section;
            let (start, len) = (field(&bytes, entry), field(&bytes, entry + 8));
            for at in start..start + len {
                for xor in [1u8, 0x80, 0xff] {
                    let mut hostile = bytes.clone();
                    hostile[at] ^= xor;
                    let crc = crc32c::crc32c(&hostile[start..start + len]);
                    hostile[entry + 16..entry + 20].copy_from_slice(&crc.to_le_bytes());
                    let crc = crc32c::crc32c(&hostile[footer_at..crc_at]);
                    hostile[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
                    disk.create(&path()).unwrap().append(&hostile).unwrap();
                    let verified = Block::open(&disk, &path()).is_ok_and(|block| {
                        let verified = block.verify().is_ok();
                        let _answered = answers(&block);
                        verified
                    });
                    *if verified { &mut survived } else { &mut refused } += 1;
                }
            }
        }
        // Times, counts, statistics and label texts can be changed into others that are as good; lengths and orders cannot.
        assert!(survived > 0 && refused > survived, "{survived} {refused}");
    }
}
