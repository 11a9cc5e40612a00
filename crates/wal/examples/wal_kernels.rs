//! The log's encoding and replay of 10,000 rows, for counting their instructions, on a disk in memory.
//!
//! `cargo xtask bench instructions`

use mytsdb_io::SimDisk;
use mytsdb_model::SeriesRef;
use mytsdb_testkit::{kernels, measured};
use mytsdb_wal::{Wal, WalOptions, replay};
use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

const ROWS: u64 = 10_000;
const DIR: &str = "/wal";

fn open(disk: &SimDisk) -> Wal {
    let seen = replay(disk, Path::new(DIR), &mut |_| {}).expect("an empty disk replays");
    Wal::open(Arc::new(disk.clone()), Path::new(DIR), WalOptions::default(), &seen).expect("a disk in memory opens")
}

struct Rows {
    refs: Vec<SeriesRef>,
    timestamps_ms: Vec<i64>,
    values: Vec<f64>,
}

fn rows() -> Rows {
    Rows {
        refs: (1..=ROWS).map(SeriesRef).collect(),
        timestamps_ms: vec![1_700_000_000_000; ROWS as usize],
        values: (0..ROWS).map(|i| (i * i % 1_000_003) as f64).collect(),
    }
}

fn log(wal: &mut Wal, rows: &Rows) {
    wal.log_samples(black_box(&rows.refs), black_box(&rows.timestamps_ms), black_box(&rows.values));
    wal.commit().expect("a disk in memory commits");
}

fn log_samples(times: u64) {
    let (mut wal, rows) = (open(&SimDisk::new()), rows());
    log(&mut wal, &rows);
    let one = wal.bytes();
    measured(times, || {
        log(&mut wal, &rows);
    });
    assert!(wal.bytes() > one * (times / 2 + 1));
}

fn replay_rows(times: u64) {
    let disk = SimDisk::new();
    log(&mut open(&disk), &rows());
    measured(times, || {
        let report = replay(&disk, Path::new(DIR), &mut |record| {
            black_box(&record);
        });
        assert_eq!(report.expect("a disk in memory replays").samples, ROWS);
    });
}

fn main() -> ExitCode {
    kernels(&[("log-10k-rows", log_samples), ("replay-10k-rows", replay_rows)])
}
