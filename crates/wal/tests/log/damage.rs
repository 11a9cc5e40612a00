//! Rotten, cut, zeroed, exchanged and missing files: never a wrong record, and never a silent loss but at the torn tail.

use crate::support::{DIR, Model, Replayed, labels, read};
use mytsdb_io::{Disk, SimDisk};
use mytsdb_model::SeriesRef;
use mytsdb_wal::{DamageKind, Durability, Wal, WalError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SERIES: u64 = 3;

fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// `groups` commits of two frames each in every segment; a checkpoint for the second segment if asked for.
fn log(segments: u64, groups: u64, checkpoint: bool) -> SimDisk {
    let disk = SimDisk::new();
    let options = Model::new(Durability::Fsync).options;
    let mut wal = Wal::open(Arc::new(disk.clone()), Path::new(DIR), options, &read(&disk).unwrap().report).unwrap();
    let mut time = 0;
    for reference in 1..=SERIES {
        wal.log_series(SeriesRef(reference), &labels(reference));
    }
    for segment in 1..=segments {
        for _ in 0..groups {
            for _ in 0..2 {
                time += 1;
                wal.log_samples(&[SeriesRef(1), SeriesRef(2)], &[time, time + 1_000], &[0.1, 2.0]);
            }
            wal.commit().unwrap();
        }
        if segment < segments {
            let next = wal.rotate().unwrap();
            if checkpoint && segment == 1 {
                let before = read(&disk).unwrap();
                let mut writer = wal.checkpoint(next).unwrap();
                for reference in 1..=SERIES {
                    writer.log_series(SeriesRef(reference), &labels(reference)).unwrap();
                }
                for row in &before.rows {
                    writer.log_samples(&[SeriesRef(row.0)], &[row.1], &[f64::from_bits(row.2)]).unwrap();
                }
                writer.publish().unwrap();
                wal.truncate_before(next).unwrap();
            }
        }
    }
    disk
}

fn copy(disk: &SimDisk) -> SimDisk {
    disk.crash_losing_everything_unsynced()
}

/// Nothing wrong, nothing new, order kept, and what is missing is told of.
#[track_caller]
fn check_damaged(whole: &Replayed, disk: &SimDisk, last_group: usize, context: &str) -> Replayed {
    let found = read(disk).unwrap();
    let mut rest = whole.rows.iter();
    for row in &found.rows {
        assert!(rest.any(|other| other == row), "{context}: row {row:?} is wrong, repeated or out of order");
    }
    for (reference, found) in &found.series {
        assert_eq!(whole.series.get(reference), Some(found), "{context}");
    }
    let torn = found.report.torn_tail && whole.rows.len() - last_group <= found.rows.len();
    let complete = found.rows == whole.rows && found.series.len() == whole.series.len();
    assert!(complete || !found.report.is_clean() || torn, "{context}: silent loss {:#?}", found.report);
    // Whatever was lost, the log goes on from there.
    let options = Model::new(Durability::Fsync).options;
    let mut wal = Wal::open(Arc::new(disk.clone()), Path::new(DIR), options, &found.report).unwrap();
    wal.log_series(SeriesRef(77), &labels(77));
    wal.log_samples(&[SeriesRef(77)], &[-1], &[7.0]);
    wal.commit().unwrap();
    let after = read(disk).unwrap();
    assert_eq!(after.rows.split_last().unwrap(), (&(77, -1, 7.0f64.to_bits()), &found.rows[..]), "{context}: going on");
    found
}

fn names(disk: &SimDisk) -> Vec<String> {
    disk.list(Path::new(DIR)).unwrap()
}

#[test]
fn every_flipped_bit_of_every_file_is_noticed_and_costs_one_frame() {
    for checkpoint in [false, true] {
        let disk = log(3, 3, checkpoint);
        let whole = read(&disk).unwrap();
        assert!(whole.report.is_clean() && !whole.report.torn_tail);
        for name in names(&disk) {
            for offset in 0..disk.map(&path(&name)).unwrap().len() as u64 {
                for bit in 0..8 {
                    let bad = copy(&disk);
                    bad.corrupt(&path(&name), offset, 1 << bit).unwrap();
                    let context = format!("{name} offset {offset} bit {bit}");
                    let found = check_damaged(&whole, &bad, 4, &context);
                    assert!(found.report.bytes_skipped > 0 || found.report.damage_count > 0, "{context}: not noticed");
                    let lost = whole.rows.len() - found.rows.len();
                    let frame_rows_max = if name.contains("checkpoint") { 8 } else { 4 };
                    assert!(lost <= frame_rows_max, "{context}: {lost} rows lost");
                }
            }
        }
    }
}

#[test]
fn every_cut_of_every_file_is_survived() {
    let disk = log(3, 3, true);
    let whole = read(&disk).unwrap();
    let names = names(&disk);
    let last = names.last().unwrap().clone();
    for name in names {
        for len in 0..disk.map(&path(&name)).unwrap().len() as u64 {
            let bad = copy(&disk);
            bad.open(&path(&name)).unwrap().truncate(len).unwrap();
            if name == last {
                // A cut between two groups of the newest segment leaves nothing that could tell.
                let found = read(&bad).unwrap();
                assert_eq!(found.rows, whole.rows[..found.rows.len()], "cut at {len}");
                assert!(found.report.is_clean(), "a torn tail is silent");
            } else {
                check_damaged(&whole, &bad, 0, &format!("{name} cut at {len}"));
            }
        }
    }
}

#[test]
fn zeroed_blocks_and_exchanged_blocks_are_noticed() {
    let disk = log(3, 6, true);
    let whole = read(&disk).unwrap();
    // At the end of the newest segment a block may take several groups at once, and no later frame tells of them.
    let tail_rows = 16;
    for name in names(&disk) {
        let bytes = disk.map(&path(&name)).unwrap();
        for block in [16usize, 64, 256] {
            for at in (0..bytes.len().saturating_sub(2 * block)).step_by(block / 2) {
                let bad = copy(&disk);
                let mut file = bad.open(&path(&name)).unwrap();
                file.write_at(at as u64, &vec![0; block]).unwrap();
                check_damaged(&whole, &bad, tail_rows, &format!("{name} zero {block} at {at}"));
                let bad = copy(&disk);
                let mut file = bad.open(&path(&name)).unwrap();
                file.write_at(at as u64, &bytes[at + block..at + 2 * block]).unwrap();
                file.write_at((at + block) as u64, &bytes[at..at + block]).unwrap();
                check_damaged(&whole, &bad, tail_rows, &format!("{name} swap {block} at {at}"));
            }
        }
    }
}

#[test]
fn missing_and_exchanged_files_are_noticed() {
    let disk = log(4, 2, true);
    let whole = read(&disk).unwrap();
    let names = names(&disk);
    for name in &names[..names.len() - 1] {
        let bad = copy(&disk);
        bad.remove(&path(name)).unwrap();
        let found = check_damaged(&whole, &bad, 0, &format!("{name} removed"));
        assert!(!found.report.is_clean(), "{name} removed");
        for other in names.iter().filter(|other| *other != name) {
            let bad = copy(&disk);
            let (a, b) = (bad.map(&path(name)).unwrap(), bad.map(&path(other)).unwrap());
            bad.create(&path(name)).unwrap().append(&b).unwrap();
            bad.create(&path(other)).unwrap().append(&a).unwrap();
            let found = check_damaged(&whole, &bad, 0, &format!("{name} and {other} exchanged"));
            assert!(!found.report.is_clean());
        }
    }
}

#[test]
fn damage_names_file_offset_and_lost_frames() {
    let disk = log(2, 3, false);
    let frame = 40 + 32 + 10;
    disk.corrupt(&path("00000001.wal"), frame, 0xff).unwrap();
    let report = read(&disk).unwrap().report;
    let [damage] = &report.damage[..] else { panic!("{report:#?}") };
    assert_eq!((damage.kind, damage.file.as_str(), damage.offset), (DamageKind::Frame, "00000001.wal", 40));
    assert_eq!((damage.lost_frames, report.lost_frames, report.damage_count), (1, 1, 1));
    assert!(damage.to_string().contains("00000001.wal at offset 40"), "{damage}");
}

#[test]
fn empty_and_short_segments_are_normal() {
    let disk = log(2, 2, false);
    let whole = read(&disk).unwrap();
    for len in [0, 1, 39, 40] {
        let disk = copy(&disk);
        disk.create(&path("00000003.wal")).unwrap().append(&vec![0; len]).unwrap();
        let found = read(&disk).unwrap();
        assert_eq!(found.rows, whole.rows);
        assert!(found.report.is_clean(), "{len} bytes: {:#?}", found.report);
        let mut wal =
            Wal::open(Arc::new(disk), Path::new(DIR), Model::new(Durability::Fsync).options, &found.report).unwrap();
        assert_eq!(wal.rotate().unwrap().0, 4, "an id is not used twice");
    }
}

#[test]
fn a_file_of_another_release_stops_the_replay() {
    let disk = log(1, 1, false);
    let mut header = disk.map(&path("00000001.wal")).unwrap()[..40].to_vec();
    header[8] = 4;
    let crc = crc32c::crc32c(&header[..36]).to_le_bytes();
    header[36..].copy_from_slice(&crc);
    disk.open(&path("00000001.wal")).unwrap().write_at(0, &header).unwrap();
    assert!(matches!(read(&disk), Err(WalError::Version { found: 4, .. })));
}

#[test]
fn truncation_needs_a_published_checkpoint() {
    let disk = SimDisk::new();
    let options = Model::new(Durability::Fsync).options;
    let mut wal = Wal::open(Arc::new(disk.clone()), Path::new(DIR), options, &read(&disk).unwrap().report).unwrap();
    wal.log_samples(&[SeriesRef(1)], &[1], &[1.0]);
    wal.commit().unwrap();
    let segment = wal.rotate().unwrap();
    assert!(matches!(wal.truncate_before(segment), Err(WalError::Segment { .. })));
    drop(wal.checkpoint(segment).unwrap());
    assert!(matches!(wal.truncate_before(segment), Err(WalError::Segment { .. })));
    assert_eq!(names(&disk), ["00000001.wal", "00000002.wal"], "an unpublished checkpoint removes its file");
    wal.checkpoint(segment).unwrap().publish().unwrap();
    wal.truncate_before(segment).unwrap();
    assert_eq!(names(&disk), ["00000002.checkpoint", "00000002.wal"]);
}
