//! The blocks alone: opened, served, hidden, expired, over a simulated disk.

use super::stored::read_series;
use super::*;
use crate::source::{Manifest, Source};
use mytsdb_blocks::ChunkRef;
use mytsdb_codec::{ChunkEncoding, DxEncoder};
use mytsdb_columns::{Columns, Mark};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, Matcher};
use std::path::Path;

const HOUR_MS: i64 = 3_600_000;

/// Of version 2: `docs/format/block-v2.md`.
const FOOTER_BYTES: usize = 184;

fn options() -> EngineOptions {
    EngineOptions { retention_ms: 24 * HOUR_MS, ..EngineOptions::new("/data") }
}

fn shared() -> (Arc<Manifest>, Arc<MetricChanges>) {
    (Arc::new(Manifest::new()), Arc::new(MetricChanges::new()))
}

fn open(disk: &Arc<SimDisk>) -> Blocks {
    for dir in ["/data/blocks", "/data/tombstones"] {
        disk.create_dir_all(Path::new(dir)).unwrap();
    }
    let metrics = Metrics::new(&mytsdb_telemetry::Registry::new());
    let (blocks, quarantined) = Blocks::open(disk.clone(), options(), 0, shared(), metrics).unwrap();
    assert_eq!(quarantined, []);
    blocks
}

/// A block of one series with some samples, served.
fn add(blocks: &Blocks, name: &str, times: &[i64], value: f64) -> u64 {
    let id = blocks.ids().set_aside(1);
    let mut bytes = Vec::new();
    DxEncoder::default().encode(times, &vec![value; times.len()], &mut bytes).unwrap();
    let chunk = ChunkRef {
        range: TimeRange::new(times[0], times[times.len() - 1]),
        sample_count: times.len() as u32,
        encoding: ChunkEncoding::Dx.number(),
        bytes: &bytes,
    };
    let mut writer = blocks.writer(id).unwrap();
    writer.add_series(&labels(name), [chunk]).unwrap();
    blocks.serve_new(vec![writer.finish().unwrap()]).unwrap();
    id
}

fn labels(name: &str) -> Labels {
    Labels::from_pairs([("__name__", name)])
}

fn times(blocks: &Blocks, name: &str) -> Vec<i64> {
    let mut columns = Columns::default();
    for block in blocks.list().iter() {
        read_series(block, &labels(name), TimeRange::ALL, &mut columns, Mark::default()).unwrap();
    }
    columns.timestamps_ms
}

fn delete(blocks: &Blocks, name: &str, range: TimeRange) {
    let mut deletions = blocks.deletions();
    let tombstone = Tombstone {
        id: deletions.next_id,
        blocks_below: blocks.ids().next(),
        segments_below: 0,
        range,
        selectors: vec![vec![Matcher::equal("__name__", name)]],
    };
    let hiding = blocks.hiding(&tombstone).unwrap();
    blocks.publish_tombstone(&tombstone).unwrap();
    hiding.hide();
    deletions.next_id += 1;
    deletions.tombstones.push(tombstone);
}

#[test]
fn a_deletion_hides_at_once_and_after_opening_and_until_nothing_of_it_is_left() {
    let disk = Arc::new(SimDisk::new());
    let blocks = open(&disk);
    add(&blocks, "a", &[1, 2, 3, 4], 0.5);
    let listed = blocks.list();
    delete(&blocks, "a", TimeRange::new(2, 3));
    assert_ne!(blocks.list()[0].version(), listed[0].version());
    assert_eq!(times(&blocks, "a"), [1, 4]);
    let mut columns = Columns::default();
    read_series(&listed[0], &labels("a"), TimeRange::ALL, &mut columns, Mark::default()).unwrap();
    assert_eq!(columns.timestamps_ms, [1, 2, 3, 4], "a list that was taken before does not change");
    add(&blocks, "a", &[2, 5], 0.5);
    assert_eq!(times(&blocks, "a"), [1, 4, 2, 5], "what comes later is not hidden");
    let blocks = open(&disk);
    assert_eq!(times(&blocks, "a"), [1, 4, 2, 5]);

    let keep = |blocks: &Blocks, is_behind| {
        let mut deletions = blocks.deletions();
        blocks.retire_tombstones(&mut deletions, |_| is_behind).unwrap();
        deletions.tombstones.len()
    };
    assert_eq!(keep(&blocks, true), 1, "a block has samples that are hidden");
    blocks.compact(Wanted::Deleted, 0, mytsdb_stop::StopSign::NEVER, &mut |_| ()).unwrap().unwrap();
    assert_eq!(times(&blocks, "a"), [1, 2, 4, 5]);
    assert_eq!((keep(&blocks, false), keep(&blocks, true)), (1, 0), "the log may have some");
}

#[test]
fn expiry_takes_what_is_too_old_then_what_is_too_much_and_tells_which() {
    let disk = Arc::new(SimDisk::new());
    let mut blocks = open(&disk);
    let ids: Vec<u64> = (0..4).map(|hour| add(&blocks, "a", &[hour * HOUR_MS, hour * HOUR_MS + 1], 0.5)).collect();
    let gone = std::cell::RefCell::new(Vec::new());
    let expire = |blocks: &Blocks, now_ms: i64| {
        let count = blocks.expire(now_ms, 100, |id| gone.borrow_mut().push(id)).unwrap();
        assert_eq!(count, gone.borrow().len());
        gone.take()
    };
    assert_eq!(expire(&blocks, 24 * HOUR_MS), [0u64; 0]);
    assert_eq!(expire(&blocks, 25 * HOUR_MS), [ids[0]]);
    let bytes = blocks.list().iter().map(|block| block.meta().bytes).max().unwrap();
    blocks.options.retention_bytes = Some(2 * bytes + 100);
    assert_eq!(expire(&blocks, 25 * HOUR_MS), [ids[1]]);
    assert_eq!(times(&blocks, "a").len(), 4);
    assert_eq!(times(&open(&disk), "a").len(), 4);
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[test]
fn what_a_later_release_wrote_is_refused_with_its_version_and_stays_where_it_is() {
    let disk = Arc::new(SimDisk::new());
    let id = add(&open(&disk), "a", &[1, 2], 0.5);
    let block = Path::new("/data/blocks").join(mytsdb_blocks::block_file_name(id));
    let mut header = disk.map(&block).unwrap()[..32].to_vec();
    header[8] = 9;
    let crc = crc32c(&header[..28]);
    header[28..].copy_from_slice(&crc.to_le_bytes());
    let mut later = disk.map(&block).unwrap().to_vec();
    later[..32].copy_from_slice(&header);
    // The footer has a version of its own, and a checksum behind what it is about.
    let mut later_footer = disk.map(&block).unwrap().to_vec();
    let (end, footer_at) = (later_footer.len(), later_footer.len() - FOOTER_BYTES);
    later_footer[footer_at + 156] = 9;
    let crc = crc32c(&later_footer[footer_at..end - 12]);
    later_footer[end - 12..end - 8].copy_from_slice(&crc.to_le_bytes());
    let other = |magic: &[u8]| {
        let mut bytes = [magic, &9u32.to_le_bytes(), &[7; 40][..]].concat();
        bytes.extend_from_slice(&crc32c(&bytes).to_le_bytes());
        bytes
    };
    for (path, bytes) in [
        (block.clone(), later),
        (block, later_footer),
        (PathBuf::from("/data/blocks/c-0000000000000005.rec"), other(b"mytscmp\0")),
        (PathBuf::from("/data/tombstones/t-0000000000000005.tomb"), other(b"mytstmb\0")),
    ] {
        let disk = Arc::new(SimDisk::new());
        drop(open(&disk));
        disk.create(&path).unwrap().append(&bytes).unwrap();
        let metrics = Metrics::new(&mytsdb_telemetry::Registry::new());
        let error = Blocks::open(disk.clone(), options(), 0, shared(), metrics).err().unwrap().to_string();
        assert!(error.contains("version 9") && error.contains(path.to_str().unwrap()), "{error}");
        assert!(disk.exists(&path).unwrap() && !disk.exists(Path::new("/data/quarantine")).unwrap());
        // With a checksum that does not hold it is damage.
        disk.open(&path).unwrap().write_at(9, &[1]).unwrap();
        let metrics = Metrics::new(&mytsdb_telemetry::Registry::new());
        let opened = Blocks::open(disk.clone(), options(), 0, shared(), metrics);
        assert!(opened.err().is_none_or(|error| !error.to_string().contains("version")));
    }
}

#[test]
fn stored_values_are_those_of_the_oldest_block() {
    let disk = Arc::new(SimDisk::new());
    let blocks = open(&disk);
    add(&blocks, "a", &[1, 2], 0.5);
    add(&blocks, "a", &[2, 3], 1.5);
    let mut values = blocks.stored_values();
    values.begin(blocks.list());
    let get = |values: &mut StoredValues, time| match values.get(1, &labels("a"), time) {
        Some(crate::value::Value::Float(value)) => Some(value),
        _ => None,
    };
    // Twice, since what was found is kept.
    for _ in 0..2 {
        assert_eq!([1, 2, 3, 4].map(|time| get(&mut values, time)), [Some(0.5), Some(0.5), Some(1.5), None]);
        assert_eq!(values.newest_ms(&labels("a")), Some(3));
        assert_eq!((values.newest_ms(&labels("b")), values.end()), (None, 0));
        assert_eq!(get(&mut values, 1), None, "it has let go of the blocks");
        values.begin(blocks.list());
    }
    add(&blocks, "a", &[4, 6], 2.5);
    values.begin(blocks.list());
    assert_eq!([4, 5, 6].map(|time| get(&mut values, time)), [Some(2.5), None, Some(2.5)]);
    assert_eq!(values.end(), 0);
}

#[test]
fn windows_of_stored_values_are_bounded_by_their_bytes() {
    let disk = Arc::new(SimDisk::new());
    let blocks = open(&disk);
    let window_ms = 2 * 3_600_000;
    let times: Vec<i64> = (0..100).map(|at| at * window_ms / 10).collect();
    add(&blocks, "a", &times, 0.5);
    let mut values = blocks.stored_values();
    values.begin(blocks.list());
    let ask_all = |values: &mut StoredValues| {
        for time in &times {
            assert!(values.get(1, &labels("a"), *time).is_some());
        }
        values.windows()
    };
    let (count, bytes) = ask_all(&mut values);
    assert!(count == 10 && bytes > 10 * 160, "{count} windows, {bytes} bytes");
    values.end();
    assert_eq!(values.windows(), (0, 0));
    values.begin(blocks.list());
    values.window_bytes_max = bytes / 4;
    let (count, kept) = ask_all(&mut values);
    assert!(count < 5 && kept < bytes / 2, "{count} windows, {kept} bytes");
}
