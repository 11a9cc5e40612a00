//! The files of every released format version are read, and version 3 is still written byte for byte.
//!
//! `MYTSDB_WRITE_GOLDEN=1 cargo test -p mytsdb-wal --test golden` writes `tests/golden/v3/` anew; do so only
//! before version 3 is released.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use mytsdb_io::{Disk, RealDisk, SimDisk};
use mytsdb_model::{Exemplar, FamilyKind, FamilyMetadata, Labels, SeriesRef};
use mytsdb_wal::{Record, Rows, Wal, WalOptions, replay};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NAMES: [&str; 2] = ["00000002.checkpoint", "00000002.wal"];

fn golden_dir(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version)
}

/// Every record kind, both column encodings, every count of kept value bytes, a checkpoint and a segment.
fn write(dir: &Path) -> SimDisk {
    let disk = SimDisk::new();
    let seen = replay(&disk, dir, &mut |_| {}).unwrap();
    let mut wal = Wal::open(Arc::new(disk.clone()), dir, WalOptions::default(), &seen).unwrap();
    wal.log_series(SeriesRef(1), &Labels::from_pairs([("__name__", "up"), ("job", "node")]));
    wal.log_samples(&[SeriesRef(1)], &[1_700_000_000_000], &[1.0]);
    wal.commit().unwrap();
    let segment = wal.rotate().unwrap();
    let mut checkpoint = wal.checkpoint(segment).unwrap();
    checkpoint.log_series(SeriesRef(1), &Labels::from_pairs([("__name__", "up"), ("job", "node")])).unwrap();
    checkpoint.log_samples(&[SeriesRef(1)], &[1_700_000_000_000], &[1.0]).unwrap();
    let (family, metadata, series, exemplars) = notes();
    checkpoint.log_metadata(family, &metadata).unwrap();
    checkpoint.log_exemplars(&series, &exemplars.each_ref()).unwrap();
    checkpoint.publish().unwrap();
    wal.truncate_before(segment).unwrap();
    wal.log_series(SeriesRef(300), &Labels::from_pairs([("__name__", "grün"), ("e", "")]));
    let rows = sample_rows();
    wal.log_samples(&rows.0, &rows.1, &rows.2);
    wal.commit().unwrap();
    wal.log_samples(&[SeriesRef(1); 5], &[1, 2, 3, 4, 5], &[0.0; 5]);
    wal.commit().unwrap();
    for kinds in BOTH_KINDS {
        wal.log_rows(&kinds);
    }
    wal.log_metadata(family, &metadata);
    wal.log_exemplars(&series, &exemplars.each_ref());
    wal.commit().unwrap();
    disk
}

/// Once in the checkpoint and once in the segment.
fn notes() -> (&'static str, FamilyMetadata, Labels, [Exemplar; 2]) {
    let metadata = FamilyMetadata { kind: FamilyKind::Histogram, help: "How long.".into(), unit: "seconds".into() };
    let exemplar = |timestamp_ms, value, labels| Exemplar { timestamp_ms, value, labels };
    let exemplars = [
        exemplar(-1, 0.25, Labels::from_pairs([("span_id", "07"), ("trace_id", "4bf9")])),
        exemplar(1_700_000_000_000, -0.0, Labels::empty()),
    ];
    ("took", metadata, Labels::from_pairs([("__name__", "took_bucket"), ("le", "0.5")]), exemplars)
}

/// All flags of a rows record.
const BOTH_KINDS: [Rows<'static>; 3] = [
    Rows {
        refs: &[SeriesRef(1), SeriesRef(300), SeriesRef(1), SeriesRef(300)],
        timestamps_ms: &[10, 10, 20, 20],
        starts_ms: &[0, 5, 0, 5],
        values: &[1.5, 0.0, -0.0, 0.0],
        histograms: &[(1, &[0xff; 3]), (3, &[7])],
    },
    Rows { refs: &[SeriesRef(1)], timestamps_ms: &[30], starts_ms: &[], values: &[0.0], histograms: &[(0, &[0; 200])] },
    Rows {
        refs: &[SeriesRef(1), SeriesRef(300)],
        timestamps_ms: &[40, 40],
        starts_ms: &[39, 39],
        values: &[0.25, 3.0],
        histograms: &[],
    },
];

fn sample_rows() -> (Vec<SeriesRef>, Vec<i64>, Vec<f64>) {
    let refs = [1, 300, 1, 300, 1, 300, 1, 300, 1].map(SeriesRef).to_vec();
    let times = vec![i64::MIN, -1, 0, 5, 1_700_000_000_000, 1_700_000_015_000, 7, 8, i64::MAX];
    let values = (0..9u32).map(|kept| f64::from_bits(u64::MAX.checked_shl(64 - 8 * kept).unwrap_or(0))).collect();
    (refs, times, values)
}

#[test]
fn version_3_is_written_as_ever() {
    let dir = Path::new("/golden");
    let disk = write(dir);
    assert_eq!(disk.list(dir).unwrap(), NAMES);
    if std::env::var_os("MYTSDB_WRITE_GOLDEN").is_some() {
        RealDisk.create_dir_all(&golden_dir("v3")).unwrap();
        for name in NAMES {
            RealDisk.create(&golden_dir("v3").join(name)).unwrap().append(&disk.map(&dir.join(name)).unwrap()).unwrap();
        }
    }
    for name in NAMES {
        let golden = RealDisk.map(&golden_dir("v3").join(name)).unwrap();
        assert!(golden[..] == disk.map(&dir.join(name)).unwrap()[..], "{name} differs from the released format");
    }
}

#[test]
fn versions_1_to_3_are_read() {
    for version in ["v1", "v2", "v3"] {
        let mut series = Vec::new();
        let mut rows = (Vec::new(), Vec::new(), Vec::new());
        let (mut both_kinds, mut described, mut shown) = (0, 0, 0);
        let known = notes();
        let report = replay(&RealDisk, &golden_dir(version), &mut |record| match record {
            Record::Series { series: reference, labels } => series.push((reference.0, labels.to_string())),
            Record::Samples { refs, timestamps_ms, values } => {
                rows.0.extend_from_slice(refs);
                rows.1.extend_from_slice(timestamps_ms);
                rows.2.extend(values.iter().map(|v| v.to_bits()));
            }
            Record::Rows(read) => {
                assert_eq!(read, BOTH_KINDS[both_kinds]);
                both_kinds += 1;
            }
            Record::Metadata { family, metadata } => {
                assert_eq!((family, metadata), (known.0, known.1.clone()));
                described += 1;
            }
            Record::Exemplars { series, exemplars } => {
                assert!(series == known.2 && exemplars.iter().zip(&known.3).all(|(a, b)| a.is(b)));
                shown += exemplars.len();
            }
        })
        .unwrap();
        assert!(report.is_clean() && !report.torn_tail && report.checkpoint.map(|id| id.0) == Some(2), "{report:#?}");
        let up = r#"{__name__="up", job="node"}"#.to_owned();
        assert_eq!(series, [(1, up), (300, r#"{__name__="grün"}"#.to_owned())]);
        let middle = sample_rows();
        assert_eq!(rows.0[1..10], middle.0);
        assert_eq!(rows.1[1..10], middle.1);
        assert_eq!(rows.2[1..10], middle.2.iter().map(|v| v.to_bits()).collect::<Vec<_>>());
        assert_eq!((rows.1[0], rows.2[0]), (1_700_000_000_000, 1.0f64.to_bits()));
        assert_eq!((&rows.1[10..], &rows.2[10..]), (&[1, 2, 3, 4, 5][..], &[0; 5][..]));
        assert_eq!(both_kinds, if version == "v1" { 0 } else { BOTH_KINDS.len() });
        assert_eq!((described, shown), if version == "v3" { (2, 4) } else { (0, 0) });
    }
}
