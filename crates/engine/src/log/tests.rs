//! The log alone, over a disk that fails on demand.

use super::*;
use mytsdb_io::{Call, FaultDisk, SimDisk};
use mytsdb_wal::{Record, WalOptions, replay};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

const DIR: &str = "/wal";

struct Fixture {
    disk: Arc<FaultDisk<SimDisk>>,
    log: Log,
}

fn fixture(staged_samples_max: usize) -> Fixture {
    let disk = Arc::new(FaultDisk::new(SimDisk::new()));
    mytsdb_io::Disk::create_dir_all(&*disk, Path::new(DIR)).unwrap();
    let report = replay(&*disk, Path::new(DIR), &mut |_| ()).unwrap();
    let wal = Wal::open(disk.clone(), Path::new(DIR), WalOptions::default(), &report).unwrap();
    let metrics = Metrics::new(&mytsdb_telemetry::Registry::new());
    Fixture { disk, log: Log::new(wal, Durability::Fsync, staged_samples_max, metrics) }
}

fn batch(series: u64, rows: i64) -> Batch {
    let mut batch = Batch::default();
    (0..rows).for_each(|row| batch.push(SeriesRef(series), row, 0.5));
    batch
}

/// What the log has, as text: definitions by name, samples by series and time.
fn logged(disk: &FaultDisk<SimDisk>) -> Vec<String> {
    let mut found = Vec::new();
    replay(disk, Path::new(DIR), &mut |record| match record {
        Record::Series { series, labels } => found.push(format!("{} is {labels}", series.0)),
        Record::Samples { refs, timestamps_ms, .. } => {
            found.extend(refs.iter().zip(timestamps_ms).map(|(series, time)| format!("{} at {time}", series.0)));
        }
        Record::Rows(_) => found.push("rows".to_owned()),
        Record::Metadata { family, .. } => found.push(format!("{family} is known")),
        Record::Exemplars { series, .. } => found.push(format!("exemplars of {series}")),
    })
    .unwrap();
    found
}

impl Fixture {
    fn commit(&self) -> Result<usize, EngineError> {
        let mut writer = self.log.writer();
        let staged = self.log.take(&mut writer);
        let written = self.log.write(&mut writer, staged.iter().map(|staged| &staged.batch), |_| ());
        written.map(|()| staged.len())
    }

    fn submit(&self, batch: Batch) -> Option<EngineError> {
        let (tell, hear) = channel();
        self.log.submit(batch, Box::new(move |result| tell.send(result).unwrap()));
        hear.try_recv().ok().and_then(Result::err)
    }
}

#[test]
fn a_definition_that_a_failed_commit_took_is_in_the_log_with_the_next_one() {
    let f = fixture(100);
    f.log.define(SeriesRef(1), &Labels::from_pairs([("__name__", "a")])).unwrap();
    assert!(f.submit(batch(1, 1)).is_none());
    f.disk.fail_nth(Call::Write, f.disk.count(Call::Write) + 1, 28);
    assert!(f.commit().is_err());
    assert_eq!(f.log.poisoned(), None, "a write that fails can be tried again");
    assert!(f.submit(batch(1, 2)).is_none());
    assert_eq!(f.commit().unwrap(), 1, "the batch that failed was told so and is gone");
    let logged = logged(&f.disk);
    assert_eq!(logged.len(), 3, "{logged:?}");
    assert!(logged[0].starts_with("1 is"), "{logged:?}");
}

#[test]
fn syncs_and_waits_are_measured() {
    let f = fixture(100);
    assert!(f.submit(batch(1, 4)).is_none());
    f.commit().unwrap();
    let times = |histogram: &mytsdb_telemetry::Histogram| histogram.cumulative().last().copied();
    assert_eq!(times(&f.log.metrics.sync_seconds), Some(1));
    assert_eq!(times(&f.log.metrics.writer_wait_seconds), Some(1));
    assert_eq!(f.log.metrics.staged_samples.get(), 4.0);
}

#[test]
fn too_many_staged_samples_are_refused_until_room_is_given_back() {
    let f = fixture(10);
    assert!(f.submit(batch(1, 20)).is_none(), "one is taken however large");
    assert!(matches!(f.submit(batch(1, 1)), Some(EngineError::Overloaded { limit: 10 })));
    assert_eq!(f.commit().unwrap(), 1);
    f.log.release(20);
    assert!(f.submit(batch(1, 4)).is_none());
    assert!(f.submit(batch(1, 6)).is_none());
    assert!(f.submit(batch(1, 1)).is_some());
}

#[test]
fn a_closed_log_commits_what_was_staged_and_takes_nothing_more() {
    let f = fixture(100);
    assert!(f.submit(batch(7, 3)).is_none());
    f.log.close();
    assert!(matches!(f.submit(batch(7, 1)), Some(EngineError::Stopped)));
    let rounds = std::cell::Cell::new(0);
    f.log.run(|| {
        rounds.set(rounds.get() + 1);
        f.commit().unwrap() > 0
    });
    assert_eq!(rounds.get(), 1, "what is staged is committed before it ends");
    assert_eq!(logged(&f.disk), ["7 at 0", "7 at 1", "7 at 2"]);
}

#[test]
fn a_failed_sync_is_told_to_whoever_asks_while_another_has_the_writer() {
    let f = fixture(100);
    let empty = f.log.bytes();
    assert!(f.submit(batch(1, 1)).is_none());
    f.commit().unwrap();
    f.disk.fail_nth(Call::Sync, f.disk.count(Call::Sync) + 1, 5);
    assert!(f.submit(batch(1, 1)).is_none());
    assert!(f.commit().is_err());
    let _writer = f.log.writer();
    assert!(f.log.bytes() > empty);
    assert!(f.log.poisoned().is_some_and(|reason| reason.contains("sync")));
}

#[test]
fn a_thread_that_syncs_and_panics_leaves_syncs_to_the_one_that_commits() {
    let Fixture { log, .. } = fixture(10);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _here = Syncing::begin(&log);
        assert!(log.syncer.lock().is_some());
        panic!("in a sync");
    }));
    assert!(panicked.is_err() && log.syncer.lock().is_none());
}
