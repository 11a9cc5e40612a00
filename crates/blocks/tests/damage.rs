//! Power cuts while a block is written, refusals of the disk, and damage afterwards.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_blocks::{
    Block, BlockError, BlockWriter, ChunkEncoding, ChunkRef, block_file_name, list_blocks, sweep_unpublished,
};
use mytsdb_io::{Call, Disk, FaultDisk, SimDisk};
use mytsdb_model::{Labels, MatchOp, Matcher, StopSign, TimeRange};
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

fn write(disk: Arc<dyn Disk>, chunk_bytes: usize) -> Result<Arc<Block>, BlockError> {
    let mut writer = BlockWriter::new(disk, Path::new(DIR), ID)?;
    for series in 0..4u8 {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &series.to_string())]);
        let bytes = vec![series; chunk_bytes];
        let chunk = |n: i64| ChunkRef {
            range: TimeRange::new(n * 10, n * 10 + 9),
            sample_count: 10,
            encoding: ChunkEncoding::XOR,
            bytes: &bytes,
        };
        writer.add_series(&labels, [chunk(0), chunk(1)])?;
    }
    writer.finish()
}

/// Everything that a block can be asked.
type Answers = Vec<(Labels, Vec<(TimeRange, u32, Vec<u8>)>)>;

fn answers(block: &Block) -> Result<(Answers, Vec<u32>, Vec<String>), BlockError> {
    let mut all = Answers::new();
    for ordinal in block.select(&[], StopSign::NEVER)? {
        let mut chunks = Vec::new();
        for chunk in block.chunks(ordinal, TimeRange::ALL)? {
            chunks.push((chunk.range, chunk.sample_count, block.read_chunk(&chunk)?.to_vec()));
        }
        all.push((block.labels(ordinal)?, chunks));
    }
    let matchers = [Matcher::new(MatchOp::NotRegex, "i", "[01]").unwrap(), Matcher::equal("__name__", "m")];
    let chosen = block.select(&matchers, StopSign::NEVER)?;
    let values = block.label_values("i", StopSign::NEVER)?.into_iter().map(str::to_owned).collect();
    Ok((all, chosen, values))
}

#[test]
fn a_power_cut_at_any_moment_leaves_a_whole_block_or_none() {
    // Chunks larger than the writer's buffer make the file reach the disk in many writes.
    let chunk_bytes = 100_000;
    let whole = answers(&write(Arc::new(new_disk()), chunk_bytes).unwrap()).unwrap();
    let total = {
        let disk = new_disk();
        let before = disk.op_count();
        write(Arc::new(disk.clone()), chunk_bytes).unwrap();
        disk.op_count() - before
    };
    assert!(total > 6, "create, several writes, sync, rename, sync of the directory: {total}");
    for ops in 0..=total {
        let disk = new_disk();
        disk.stop_after(ops);
        let written = write(Arc::new(disk.clone()), chunk_bytes);
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
        let error = write(disk.clone(), 10).unwrap_err();
        assert!(matches!(error, BlockError::Io { .. }), "{call:?}: {error}");
        assert_eq!(disk.fired(), 1, "{call:?}");
        assert!(disk.list(Path::new(DIR)).unwrap().is_empty(), "{call:?} leaves nothing behind");
        write(disk, 10).unwrap();
    }
}

#[test]
fn any_flipped_bit_gives_the_right_answer_or_corrupt() {
    let disk = new_disk();
    let block = write(Arc::new(disk.clone()), 10).unwrap();
    let whole = answers(&block).unwrap();
    let bytes = disk.map(&path()).unwrap().len() as u64;
    let sound = |error: &BlockError| matches!(error, BlockError::Corrupt { offset, .. } if *offset <= bytes);
    for bit in 0..bytes * 8 {
        disk.corrupt(&path(), bit / 8, 1 << (bit % 8)).unwrap();
        match Block::open(&disk, &path()) {
            Err(error) => assert!(sound(&error), "bit {bit}: {error}"),
            Ok(block) => {
                let error = block.verify().expect_err("every bit is covered by a checksum");
                assert!(sound(&error), "bit {bit}: {error}");
                match answers(&block) {
                    Ok(answers) => assert_eq!(answers, whole, "bit {bit}"),
                    Err(error) => assert!(sound(&error), "bit {bit}: {error}"),
                }
            }
        }
        disk.corrupt(&path(), bit / 8, 1 << (bit % 8)).unwrap();
    }
    Block::open(&disk, &path()).unwrap().verify().unwrap();
}

#[test]
fn a_file_cut_or_grown_at_any_byte_is_corrupt() {
    let disk = new_disk();
    write(Arc::new(disk.clone()), 10).unwrap();
    let bytes = disk.map(&path()).unwrap().to_vec();
    let check = |bytes: &[u8]| {
        disk.create(&path()).unwrap().append(bytes).unwrap();
        assert!(matches!(Block::open(&disk, &path()), Err(BlockError::Corrupt { .. })), "{} bytes", bytes.len());
    };
    (0..bytes.len()).for_each(|cut| check(&bytes[..cut]));
    check(&[&bytes[..], &[0]].concat());
    check(&[&[0], &bytes[..]].concat());
}

/// Damage that brings matching checksums along: structure alone has to hold. Nothing may panic.
#[test]
fn damage_with_valid_checksums_never_panics() {
    let disk = new_disk();
    write(Arc::new(disk.clone()), 3).unwrap();
    let bytes = disk.map(&path()).unwrap().to_vec();
    let footer_at = bytes.len() - 160;
    let field = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let mut survived = 0;
    for section in 1..4 {
        let entry = footer_at + 24 * section;
        let (start, len) = (field(&bytes, entry), field(&bytes, entry + 8));
        for at in start..start + len {
            for xor in [1u8, 0x80, 0xff] {
                let mut hostile = bytes.clone();
                hostile[at] ^= xor;
                let crc = crc32c::crc32c(&hostile[start..start + len]);
                hostile[entry + 16..entry + 20].copy_from_slice(&crc.to_le_bytes());
                let crc = crc32c::crc32c(&hostile[footer_at..footer_at + 148]);
                hostile[footer_at + 148..footer_at + 152].copy_from_slice(&crc.to_le_bytes());
                disk.create(&path()).unwrap().append(&hostile).unwrap();
                if let Ok(block) = Block::open(&disk, &path()) {
                    let (verified, answered) = (block.verify().is_ok(), answers(&block).is_ok());
                    assert!(answered || !verified, "what verifies can be read");
                    survived += usize::from(verified);
                }
            }
        }
    }
    // Times, counts and label texts can be changed into others that are as good; lengths, offsets and orders cannot.
    assert!(survived > 0);
}
