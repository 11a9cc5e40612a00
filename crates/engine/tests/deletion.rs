//! Deletion: what was there is gone at once and for good, what comes later stays, and the space is freed.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineError, EngineOptions, Lookup, ManualClock};
use mytsdb_io::{Disk, DiskFile, DiskLock, Mapped, SimDisk};
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const BLOCK_MS: i64 = 1_000;
const DAY_MS: i64 = 12 * BLOCK_MS;

fn options() -> EngineOptions {
    EngineOptions {
        block_ms: BLOCK_MS,
        flush_delay_ms: BLOCK_MS / 8,
        retention_ms: 15 * DAY_MS,
        ..EngineOptions::new("/data")
    }
}

fn open(disk: &SimDisk) -> Engine {
    let clock = Arc::new(ManualClock::new(3 * DAY_MS));
    let (engine, recovery) = Engine::open(Arc::new(disk.clone()), clock, options(), &Registry::new()).unwrap();
    assert!(recovery.quarantined.is_empty());
    engine
}

fn labels(series: usize) -> Labels {
    Labels::from_pairs([("__name__", "m"), ("series", &series.to_string())])
}

fn append(engine: &Engine, series: usize, times: impl IntoIterator<Item = i64>, value: f64) -> (u32, usize) {
    let mut batch = Batch::default();
    let reference = engine.resolve(&labels(series)).unwrap();
    for time in times {
        batch.push(reference, time, value);
    }
    let outcome = engine.append(batch).unwrap();
    (outcome.stored, outcome.refused.len())
}

fn read(engine: &Engine, series: usize) -> Vec<(i64, f64)> {
    let found = engine.select(TimeRange::ALL, &[Matcher::equal("series", series.to_string())]).unwrap();
    let mut columns = Columns::default();
    if found.len() == 1 {
        found.read(0, TimeRange::ALL, &mut columns).unwrap();
    }
    assert!(columns.timestamps_ms.is_sorted_by(|a, b| a < b));
    columns.timestamps_ms.into_iter().zip(columns.values).collect()
}

fn times(samples: &[(i64, f64)]) -> Vec<i64> {
    samples.iter().map(|(time, _)| *time).collect()
}

fn delete(engine: &Engine, series: usize, range: TimeRange) -> Result<(), EngineError> {
    engine.delete_series(&[vec![Matcher::equal("series", series.to_string())]], range)
}

fn tombstones(disk: &SimDisk) -> usize {
    disk.list(Path::new("/data/tombstones")).unwrap().len()
}

fn clean(engine: &Engine) -> usize {
    engine.clean_tombstones(StopSign::NEVER, &mut |_| ()).unwrap()
}

/// Two series: 0 to 199 in a block, 200 to 399 in the head, and late samples in both.
fn filled(disk: &SimDisk) -> Engine {
    let engine = open(disk);
    for series in 0..2 {
        append(&engine, series, (0..200).map(|i| i * 10), 1.0);
        append(&engine, series, [5, 705, 1_505], 1.0);
    }
    engine.flush_before(2_000).unwrap();
    for series in 0..2 {
        append(&engine, series, (200..400).map(|i| i * 10), 1.0);
        append(&engine, series, [15, 715, 2_505, 3_005], 1.0);
    }
    engine
}

#[test]
fn samples_are_gone_at_once_from_blocks_head_and_late_runs_and_after_every_kind_of_restart() {
    let disk = SimDisk::new();
    let engine = filled(&disk);
    let untouched = read(&engine, 1);
    assert_eq!(untouched.len(), 407);
    delete(&engine, 0, TimeRange::new(700, 3_000)).unwrap();
    let expected: Vec<i64> = times(&untouched).into_iter().filter(|time| !(700..=3_000).contains(time)).collect();
    let check = |engine: &Engine, when: &str| {
        assert_eq!(times(&read(engine, 0)), expected, "{when}");
        assert_eq!(read(engine, 1), untouched, "{when}");
    };
    check(&engine, "at once");
    check(&open(&disk.crash_losing_everything_unsynced()), "after a power cut");
    engine.flush_before(3_500).unwrap();
    check(&engine, "after a flush");
    check(&open(&disk.crash_losing_everything_unsynced()), "after a flush and a power cut");
    assert_eq!(tombstones(&disk), 1);
    assert_eq!(clean(&engine), 1, "the one block with samples that are hidden");
    check(&engine, "cleaned");
    assert_eq!(tombstones(&disk), 0);
    drop(engine);
    let engine = open(&disk);
    check(&engine, "cleaned and opened again");
    assert_eq!(clean(&engine), 0);
}

#[test]
fn what_is_appended_after_a_deletion_is_stored_whatever_was_there() {
    let disk = SimDisk::new();
    let engine = filled(&disk);
    assert_eq!(append(&engine, 0, [100, 2_500], 7.0), (0, 2), "in conflict with what is there");
    delete(&engine, 0, TimeRange::ALL).unwrap();
    assert_eq!(read(&engine, 0), []);
    // Where a block, the head, and late samples had some; old and new times in turn.
    let again = [2_500, 100, 705, 3_990, 2_505, 101, 4_000];
    assert_eq!(append(&engine, 0, again, 7.0), (7, 0));
    assert_eq!(append(&engine, 0, again, 7.0), (0, 0), "twice the same is once");
    assert_eq!(append(&engine, 0, again, 8.0), (0, 7));
    let mut expected: Vec<(i64, f64)> = again.iter().map(|&time| (time, 7.0)).collect();
    expected.sort_by_key(|sample| sample.0);
    assert_eq!(read(&engine, 0), expected);
    assert_eq!(read(&open(&disk.crash_losing_everything_unsynced()), 0), expected, "from the log");
    // Deleted again in part, flushed above the old block, merged with it.
    delete(&engine, 0, TimeRange::new(100, 100)).unwrap();
    expected.remove(0);
    assert_eq!(append(&engine, 0, [100], 9.0), (1, 0));
    expected.insert(0, (100, 9.0));
    assert_eq!(read(&engine, 0), expected);
    engine.flush_before(4_500).unwrap();
    assert_eq!(read(&engine, 0), expected, "flushed");
    assert_eq!(read(&open(&disk.crash_losing_everything_unsynced()), 0), expected, "flushed, and a power cut");
    clean(&engine);
    assert_eq!(read(&engine, 0), expected, "merged");
    assert_eq!((tombstones(&disk), read(&engine, 1).len()), (0, 407));
    drop(engine);
    assert_eq!(read(&open(&disk), 0), expected);
}

#[test]
fn a_series_without_samples_is_not_found_and_its_texts_leave_with_it() {
    let disk = SimDisk::new();
    let engine = filled(&disk);
    engine.flush_before(10_000).unwrap();
    let series = |engine: &Engine| engine.select(TimeRange::ALL, &[Matcher::metric("m")]).unwrap().len();
    let values = |engine: &Engine| engine.label_values("series", &Lookup::new(TimeRange::new(0, 5_000), &[])).unwrap();
    assert_eq!((series(&engine), values(&engine)), (2, vec!["0".to_owned(), "1".to_owned()]));
    delete(&engine, 0, TimeRange::ALL).unwrap();
    assert_eq!((series(&engine), values(&engine)), (1, vec!["1".to_owned()]));
    // Everything goes: no block remains.
    engine.delete_series(&[vec![Matcher::metric("none")], vec![Matcher::metric("m")]], TimeRange::ALL).unwrap();
    assert_eq!(series(&engine), 0);
    engine.flush_before(10_000).unwrap();
    clean(&engine);
    assert_eq!(disk.list(Path::new("/data/blocks")).unwrap(), Vec::<String>::new());
    assert_eq!(tombstones(&disk), 0);
    drop(engine);
    assert_eq!(series(&open(&disk)), 0);
}

#[test]
fn the_background_merge_applies_deletions_and_frees_the_space() {
    let disk = SimDisk::new();
    let engine = filled(&disk);
    let bytes = |disk: &SimDisk| -> usize {
        let dir = Path::new("/data/blocks");
        disk.list(dir).unwrap().iter().map(|name| disk.map(&dir.join(name)).unwrap().len()).sum()
    };
    engine.flush_before(10_000).unwrap();
    let before = bytes(&disk);
    let odd = Matcher::new(MatchOp::Regex, "series", "[13579]").unwrap();
    engine.delete_series(&[vec![odd]], TimeRange::ALL).unwrap();
    while engine.compact(StopSign::NEVER, &mut |_| ()).unwrap().is_some() {}
    assert!(bytes(&disk) < before, "{} of {before}", bytes(&disk));
    assert_eq!((read(&engine, 0).len(), read(&engine, 1).len()), (407, 0));
    engine.flush_before(10_000).unwrap();
    engine.maintain().unwrap();
    assert_eq!(tombstones(&disk), 0);
}

#[test]
fn a_damaged_tombstone_stops_the_start_and_names_its_file() {
    let disk = SimDisk::new();
    let engine = filled(&disk);
    delete(&engine, 0, TimeRange::ALL).unwrap();
    drop(engine);
    let name = &disk.list(Path::new("/data/tombstones")).unwrap()[0];
    disk.corrupt(&Path::new("/data/tombstones").join(name), 50, 4).unwrap();
    let clock = Arc::new(ManualClock::new(0));
    let failed = Engine::open(Arc::new(disk.clone()), clock, options(), &Registry::new()).map(|_| ());
    let text = failed.unwrap_err().to_string();
    assert!(text.contains(name) && text.contains("tombstone"), "{text}");
}

#[test]
fn nothing_is_deleted_without_a_selector_and_deletions_are_bounded() {
    let disk = SimDisk::new();
    let engine = filled(&disk);
    engine.delete_series(&[], TimeRange::ALL).unwrap();
    delete(&engine, 0, TimeRange::EMPTY).unwrap();
    assert_eq!((read(&engine, 0).len(), tombstones(&disk)), (407, 0));
    for at in 0..1_000 {
        delete(&engine, 9, TimeRange::new(at, at)).unwrap();
    }
    let refused = delete(&engine, 9, TimeRange::ALL).unwrap_err().to_string();
    assert!(refused.contains("1000 deletions"), "{refused}");
    append(&engine, 0, [4_500], 1.0);
    engine.flush_before(4_000).unwrap();
    clean(&engine);
    assert_eq!(tombstones(&disk), 0);
    delete(&engine, 9, TimeRange::ALL).unwrap();
}

/// What happens while a tombstone gets its name.
type Meanwhile = Box<dyn FnMut() + Send>;

/// A disk on which something else happens while a tombstone gets its name.
struct Slow {
    disk: SimDisk,
    meanwhile: Arc<Mutex<Option<Meanwhile>>>,
}

impl Disk for Slow {
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if to.starts_with("/data/tombstones")
            && let Some(meanwhile) = &mut *self.meanwhile.lock().unwrap()
        {
            meanwhile();
        }
        self.disk.rename(from, to)
    }
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.create(path)
    }
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path)
    }
    fn map(&self, path: &Path) -> io::Result<Mapped> {
        self.disk.map(path)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir_all(dir)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.disk.lock(path)
    }
    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_bytes(dir)
    }
    fn total_bytes(&self, dir: &Path) -> io::Result<u64> {
        self.disk.total_bytes(dir)
    }
}

#[test]
fn appends_go_on_while_a_tombstone_is_written_and_are_deleted_with_the_rest() {
    // How many appends come, and whether each of them fills a segment of the log, so that the tombstone has to be written anew.
    for (appends, rows, published) in [(1, 1, 1), (1, 900, 2), (3, 900, 4)] {
        let disk = SimDisk::new();
        drop(filled(&disk));
        let meanwhile = Arc::new(Mutex::new(None));
        let slow = Arc::new(Slow { disk: disk.clone(), meanwhile: meanwhile.clone() });
        let options = EngineOptions { segment_bytes_max: 500, ..options() };
        let clock = Arc::new(ManualClock::new(3 * DAY_MS));
        let engine = Arc::new(Engine::open(slow, clock, options, &Registry::new()).unwrap().0);
        // The first append comes behind this one, in its segment.
        append(&engine, 1, [4_100], 1.0);
        let (calls, beside) = (Arc::new(AtomicI64::new(0)), engine.clone());
        let count = calls.clone();
        *meanwhile.lock().unwrap() = Some(Box::new(move || {
            let call = count.fetch_add(1, Ordering::SeqCst) + 1;
            if call > appends {
                return;
            }
            let (tell, hear) = sync_channel(1);
            let beside = beside.clone();
            std::thread::spawn(move || {
                let from = 4_200 + call * 1_000;
                tell.send(append(&beside, 0, from..from + rows, 3.0)).unwrap();
            });
            let stored = hear.recv_timeout(Duration::from_mins(1)).expect("an append waits for the tombstone");
            assert_eq!(stored, (rows as u32, 0));
        }) as Meanwhile);
        delete(&engine, 0, TimeRange::ALL).unwrap();
        *meanwhile.lock().unwrap() = None;
        assert_eq!((read(&engine, 0), calls.load(Ordering::SeqCst)), (vec![], published));
        append(&engine, 0, [5_200, 9_000], 4.0);
        let check = |engine: &Engine| {
            assert_eq!(read(engine, 0), [(5_200, 4.0), (9_000, 4.0)], "{appends} appends of {rows} rows");
            assert_eq!(read(engine, 1).len(), 408);
        };
        check(&engine);
        let image = disk.crash_losing_everything_unsynced();
        check(&open(&image));
    }
}
