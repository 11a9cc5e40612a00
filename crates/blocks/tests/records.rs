//! Small files beside the blocks, byte for byte as they were released.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use mytsdb_blocks::{CompactionRecord, CompactionState, Tombstone};
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use std::path::Path;

const DIR: &str = "/data";

fn disk() -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk
}

#[test]
fn a_compaction_record_has_the_bytes_of_its_format() {
    let golden = include_bytes!("golden/compaction-v1.rec");
    let record = CompactionRecord { id: 9, state: CompactionState::Done, outputs: vec![9, 10], inputs: vec![1, 4, 7] };
    let disk = disk();
    record.publish(&disk, Path::new(DIR)).unwrap();
    assert_eq!(*disk.map(&Path::new(DIR).join("c-0000000000000009.rec")).unwrap(), golden[..]);
    let read = CompactionRecord::read_all(&disk, Path::new(DIR)).unwrap();
    assert_eq!(read[0].1.as_ref(), Ok(&record));
}

#[test]
fn a_tombstone_has_the_bytes_of_its_format() {
    let golden = include_bytes!("golden/tombstone-v1.tomb");
    let matcher = |op, name: &str, value: &str| Matcher::new(op, name, value).unwrap();
    let tombstone = Tombstone {
        id: 3,
        blocks_below: 17,
        segments_below: 5,
        range: TimeRange::new(-1_000, 1_700_000_000_000),
        selectors: vec![
            vec![matcher(MatchOp::Equal, "__name__", "up"), matcher(MatchOp::Regex, "job", "a|b.*")],
            vec![matcher(MatchOp::NotEqual, "ü", ""), matcher(MatchOp::NotRegex, "x", ".+")],
        ],
    };
    let (disk, path) = (disk(), Path::new(DIR).join("t-0000000000000003.tomb"));
    tombstone.publish(&disk, Path::new(DIR)).unwrap();
    assert_eq!(*disk.map(&path).unwrap(), golden[..]);
    let read = &Tombstone::read_all(&disk, Path::new(DIR)).unwrap()[0];
    assert_eq!(format!("{read:?}"), format!("{tombstone:?}"));
    let hits = |pairs: &[(&str, &str)]| read.matches(&Labels::from_pairs(pairs.iter().copied()));
    assert!(hits(&[("__name__", "up"), ("job", "bcd")]));
    assert!(hits(&[("ü", "1")]));
    assert!(!hits(&[("__name__", "up"), ("job", "c")]));
}
