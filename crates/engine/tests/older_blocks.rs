//! Blocks as earlier versions wrote them.

use mytsdb_blocks::{BlockWriterV1, ChunkRef};
use mytsdb_codec::{ChunkEncoding, XorAppender};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::{Labels, Matcher, TimeRange};
use std::path::Path;
use std::sync::Arc;

const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 15_000;

#[test]
fn a_block_of_xor_chunks_is_read_together_with_what_came_later() {
    let disk = Arc::new(SimDisk::new());
    let blocks = Path::new("/data/blocks");
    disk.create_dir_all(blocks).unwrap();
    let labels = Labels::from_pairs([("__name__", "m")]);
    let mut writer = BlockWriterV1::new(disk.clone(), blocks, 1).unwrap();
    let mut expected = Vec::new();
    let mut chunks = Vec::new();
    for i in 0..300i64 {
        if i % 120 == 0 {
            chunks.push(XorAppender::new());
        }
        let sample = (START_MS + i * STEP_MS, (i * 7 % 31) as f64 / 4.0);
        chunks.last_mut().unwrap().push(sample.0, sample.1).unwrap();
        expected.push(sample);
    }
    let refs = chunks.iter().map(|c| ChunkRef {
        range: c.time_range(),
        sample_count: c.sample_count() as u32,
        encoding: ChunkEncoding::Xor.number(),
        bytes: c.bytes(),
    });
    writer.add_series(&labels, refs).unwrap();
    writer.finish().unwrap();

    let clock = Arc::new(ManualClock::new(START_MS + 1_000 * STEP_MS));
    let registry = mytsdb_telemetry::Registry::new();
    let (engine, _) = Engine::open(disk, clock, EngineOptions::new("/data"), &registry).unwrap();
    let series = engine.resolve(&labels).unwrap();
    let mut batch = Batch::default();
    for i in 290..500i64 {
        let sample = (START_MS + i * STEP_MS, (i * 7 % 31) as f64 / 4.0);
        batch.push(series, sample.0, sample.1);
        if i >= 300 {
            expected.push(sample);
        }
    }
    let outcome = engine.append(batch).unwrap();
    assert_eq!((outcome.stored, outcome.duplicates), (200, 10), "what the block has is known");
    engine.flush_before(START_MS + 450 * STEP_MS).unwrap();

    let found = engine.select(TimeRange::ALL, &[Matcher::equal("__name__", "m")]).unwrap();
    let mut columns = Columns::default();
    found.read(0, TimeRange::ALL, &mut columns).unwrap();
    let Columns { timestamps_ms: timestamps, values, .. } = columns;
    assert_eq!(timestamps.into_iter().zip(values).collect::<Vec<_>>(), expected);
}
