//! Every call to the disk fails once, in every way that matters; nothing acknowledged is lost and no sync is repeated.

use crate::support::{DIR, Model, Replayed, labels, read};
use mytsdb_io::{Call, FaultDisk, SimDisk};
use mytsdb_model::SeriesRef;
use mytsdb_testkit::Random;
use mytsdb_wal::{Durability, Wal, WalError, WalOptions};
use std::path::Path;
use std::sync::Arc;

const EIO: i32 = 5;
const EINTR: i32 = 4;
const ENOSPC: i32 = 28;
const STEPS: u64 = 30;

/// Rows of refused commits may come back after a crash; all else must be as the model says.
fn check(model: &Model, replayed: &Replayed, context: &str) {
    assert!(replayed.report.is_clean(), "{context}: {:#?}", replayed.report);
    assert_eq!(replayed.unknown_refs, 0, "{context}: samples without a series");
    let checkpoint = replayed.report.checkpoint.map_or(0, |id| id.0);
    assert!(checkpoint >= model.published, "{context}: a published checkpoint is gone");
    let rows: Vec<_> = replayed.rows.iter().filter(|row| !model.refused.contains(row)).copied().collect();
    let none = vec![0];
    let watermarks = if checkpoint == 0 { &none } else { &model.watermarks[&checkpoint] };
    let matches = watermarks.iter().any(|&from| model.rows.get(from..) == Some(&rows));
    assert!(matches, "{context}: {} rows replayed, {} acknowledged, from {watermarks:?}", rows.len(), model.rows.len());
}

/// Works through errors as an engine would: refuses what failed, goes on, stops when poisoned.
fn work(disk: &FaultDisk<SimDisk>, model: &mut Model, random: &mut Random) -> Result<(), WalError> {
    let seen = read(disk)?;
    let mut wal = Wal::open(Arc::new(disk.clone()), Path::new(DIR), model.options, &seen.report)?;
    for _ in 0..STEPS {
        let outcome = model.step(&mut wal, random);
        if wal.poisoned().is_some() {
            assert!(matches!(outcome, Err(WalError::Poisoned { .. })), "{outcome:?}");
            let syncs = disk.count(Call::Sync);
            assert!(matches!(model.commit(&mut wal, random), Err(WalError::Poisoned { .. })));
            assert!(matches!(wal.commit(), Err(WalError::Poisoned { .. })), "an empty commit is no acknowledgement");
            assert!(matches!(wal.sync(), Err(WalError::Poisoned { .. })));
            assert!(matches!(wal.rotate(), Err(WalError::Poisoned { .. })));
            assert_eq!(disk.count(Call::Sync), syncs, "poisoned logs do not sync");
            break;
        }
        if let Err(error) = outcome {
            assert!(error.to_string().contains("/data/wal"), "no path in {error}");
        }
        model.in_flight.clear();
    }
    Ok(())
}

/// Runs the scenario with one fault; whether the fault was reached.
fn scenario(seed: u64, context: &str, plan: impl Fn(&FaultDisk<SimDisk>)) -> bool {
    let disk = FaultDisk::new(SimDisk::new());
    let mut model = Model::new(Durability::Fsync);
    let mut random = Random::new(seed);
    work(&disk, &mut model, &mut random).unwrap();
    plan(&disk);
    let fired = disk.fired();
    // The second life begins with a replay, so that replay and open meet the fault too.
    if let Err(error) = work(&disk, &mut model, &mut random) {
        assert!(disk.fired() > fired, "{context}: {error}");
    }
    assert_eq!(disk.retried_syncs(), 0, "{context}: a failed sync was repeated");
    check(&model, &read(disk.inner()).unwrap(), context);
    for image in 0..4 {
        let context = format!("{context}, power cut {image}");
        let crashed = disk.inner().crash(seed + image);
        check(&model, &read(&crashed).unwrap(), &context);
        model.clone().go_on(&crashed, &context);
    }
    disk.fired() > fired
}

impl Model {
    /// The log can be opened, written and read again.
    fn go_on(&mut self, disk: &SimDisk, context: &str) {
        let seen = read(disk).unwrap();
        self.live = seen.series.keys().copied().collect();
        let mut wal = Wal::open(Arc::new(disk.clone()), Path::new(DIR), self.options, &seen.report).unwrap();
        for _ in 0..3 {
            self.commit(&mut wal, &mut Random::new(7)).unwrap();
        }
        check(self, &read(disk).unwrap(), context);
    }
}

#[test]
fn any_failing_call_costs_nothing_acknowledged() {
    let mut runs = 0;
    for call in Call::ALL {
        for errno in [EIO, ENOSPC, EINTR] {
            for seed in 1..=3 {
                for n in 1.. {
                    let context = format!("{call:?} call {n} fails with {errno}, seed {seed}");
                    runs += 1;
                    if !scenario(seed, &context, |disk| disk.fail_nth(call, disk.count(call) + n, errno)) {
                        break;
                    }
                }
            }
        }
    }
    println!("{runs} runs");
}

#[test]
fn a_write_cut_anywhere_costs_nothing_acknowledged_even_if_the_cut_cannot_be_undone() {
    for bytes in [0, 1, 31, 32, 33, 39, 40, 100, 512, usize::MAX] {
        for truncate_fails in [false, true] {
            for seed in 1..=3 {
                for n in 1.. {
                    let context = format!("write {n} cut at {bytes}, truncate fails: {truncate_fails}, seed {seed}");
                    let reached = scenario(seed, &context, |disk| {
                        disk.cut_nth_write(disk.count(Call::Write) + n, bytes, ENOSPC);
                        if truncate_fails {
                            disk.fail_range(Call::Truncate, 0, u64::MAX, EIO);
                        }
                    });
                    if !reached {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    for capacity in (200..9_000).step_by(97) {
        let disk = FaultDisk::new(SimDisk::new());
        disk.inner().set_capacity(capacity);
        let mut model = Model::new(Durability::Fsync);
        if let Err(error) = work(&disk, &mut model, &mut Random::new(capacity)) {
            assert!(error.to_string().contains("wal"), "{error}");
        }
        check(&model, &read(disk.inner()).unwrap(), "full");
        disk.inner().set_capacity(u64::MAX);
        model.go_on(disk.inner(), "after space came back");
    }
}

#[test]
fn series_of_a_failed_commit_stay_pending() {
    let disk = FaultDisk::new(SimDisk::new());
    let seen = read(&disk).unwrap();
    let model = Model::new(Durability::Fsync);
    let mut wal = Wal::open(Arc::new(disk.clone()), Path::new(DIR), model.options, &seen.report).unwrap();
    wal.log_series(mytsdb_model::SeriesRef(9), &crate::support::labels(9));
    wal.log_samples(&[mytsdb_model::SeriesRef(9)], &[1], &[1.0]);
    disk.fail_nth(Call::Write, disk.count(Call::Write) + 1, ENOSPC);
    assert!(wal.commit().is_err());
    wal.log_samples(&[mytsdb_model::SeriesRef(9)], &[2], &[2.0]);
    wal.commit().unwrap();
    let replayed = read(&disk).unwrap();
    assert_eq!(replayed.unknown_refs, 0);
    assert_eq!(replayed.rows, [(9, 2, 2.0f64.to_bits())]);
}

/// A log that syncs beside its writer, with one group.
fn interval_log(disk: &FaultDisk<SimDisk>) -> Wal {
    let options = WalOptions { durability: Durability::Interval, ..WalOptions::default() };
    let seen = read(disk).unwrap();
    let mut wal = Wal::open(Arc::new(disk.clone()), Path::new(DIR), options, &seen.report).unwrap();
    wal.log_series(SeriesRef(1), &labels(1));
    wal.commit().unwrap();
    wal
}

fn put(wal: &mut Wal, time: i64) {
    wal.log_samples(&[SeriesRef(1)], &[time], &[1.0]);
    wal.commit().unwrap();
}

#[test]
fn a_sync_beside_the_log_that_fails_poisons_it_and_is_not_repeated() {
    let disk = FaultDisk::new(SimDisk::new());
    let mut wal = interval_log(&disk);
    let begun = wal.begin_sync().unwrap().unwrap();
    put(&mut wal, 1);
    assert!(wal.begin_sync().unwrap().is_none(), "one at a time");
    let syncs = disk.count(Call::Sync);
    disk.fail_nth(Call::Sync, syncs + 1, EIO);
    assert!(matches!(wal.end_sync(begun.run()), Err(WalError::Poisoned { .. })));
    assert!(matches!(wal.begin_sync(), Err(WalError::Poisoned { .. })));
    assert!(matches!(wal.commit(), Err(WalError::Poisoned { .. })));
    assert_eq!((disk.count(Call::Sync), disk.retried_syncs()), (syncs + 1, 0));
}

#[test]
fn a_sync_beside_the_log_is_of_what_was_committed_before_it() {
    let disk = FaultDisk::new(SimDisk::new());
    let mut wal = interval_log(&disk);
    let begun = wal.begin_sync().unwrap().unwrap();
    put(&mut wal, 1);
    wal.end_sync(begun.run()).unwrap();
    let begun = wal.begin_sync().unwrap().expect("a group came meanwhile");
    // The segment is closed meanwhile, which syncs it.
    wal.rotate().unwrap();
    wal.end_sync(begun.run()).unwrap();
    assert!(wal.begin_sync().unwrap().is_none(), "all of it is durable");
    put(&mut wal, 2);
    let begun = wal.begin_sync().unwrap().expect("the next segment has a handle of its own");
    wal.end_sync(begun.run()).unwrap();
    assert_eq!(read(&disk.inner().crash_losing_everything_unsynced()).unwrap().rows.len(), 2);
    put(&mut wal, 3);
    wal.sync().unwrap();
    assert!(wal.begin_sync().unwrap().is_none());
}
