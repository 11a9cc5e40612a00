//! Append, flush, compact, delete, query and expire at once: no answer is one that no order of events explains.
//!
//! Writers send floats and histograms, in order, late, twice and in conflict, alone and as points of several rows. `MYTSDB_SEED` sets
//! what each thread does, not when; `MYTSDB_THREADS_SECONDS` how long (20; by hand 600).
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod history;
mod work;

use history::{Asked, History};
use mytsdb_columns::Columns;
use mytsdb_engine::{Durability, Engine, EngineError, EngineOptions, ManualClock};
use mytsdb_io::RealDisk;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use mytsdb_testkit::{Random, seed, setting};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Series that every writer writes to, and those that it has for itself.
const SHARED: usize = 6;
const OWN: usize = 5;
const WRITERS: usize = 3;
const SERIES: usize = SHARED + OWN * WRITERS;

const BLOCK_MS: i64 = 1_000;
const RETENTION_MS: i64 = 60 * BLOCK_MS;

/// How long the threads run before everything is compared, and compared again after a restart.
const ROUND: Duration = Duration::from_secs(5);

/// What all threads see.
struct Shared {
    engine: Engine,
    clock: Arc<ManualClock>,
    history: Arc<History>,
    stop: AtomicBool,
    /// The first things that went wrong.
    wrong: Mutex<Vec<String>>,
    next_value: Arc<AtomicU64>,
    counts: [AtomicU64; 6],
}

/// Indices of `Shared::counts`.
const APPENDS: usize = 0;
const FLUSHES: usize = 1;
const MERGES: usize = 2;
const DELETIONS: usize = 3;
const QUERIES: usize = 4;
const EXPIRED: usize = 5;

impl Shared {
    fn go_on(&self) -> bool {
        !self.stop.load(Ordering::SeqCst)
    }

    fn count(&self, what: usize, count: usize) {
        self.counts[what].fetch_add(count as u64, Ordering::SeqCst);
    }

    fn complain(&self, what: String) {
        self.stop.store(true, Ordering::SeqCst);
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }
}

fn labels(series: usize) -> Labels {
    let group = if series < SHARED { "shared".to_owned() } else { ((series - SHARED) / OWN).to_string() };
    Labels::from_pairs([("__name__", "m"), ("group", &group), ("series", &series.to_string())])
}

fn open(dir: &Path, clock: &Arc<ManualClock>, durability: Durability) -> Engine {
    let options = EngineOptions {
        durability,
        block_ms: BLOCK_MS,
        flush_delay_ms: BLOCK_MS / 4,
        flush_part_bytes: 2 << 10,
        retention_ms: RETENTION_MS,
        late_samples_max: 500,
        segment_bytes_max: 64 << 10,
        disk_floor_bytes: Some(0),
        selection_cache_bytes: 64 << 10,
        ..EngineOptions::new(dir)
    };
    let registry = mytsdb_telemetry::Registry::new();
    let (engine, recovery) = Engine::open(Arc::new(RealDisk), clock.clone(), options, &registry).unwrap();
    assert_eq!((recovery.quarantined.len(), recovery.unknown_samples), (0, 0), "{recovery:?}");
    engine
}

/// The value of a sample of either kind.
fn samples(columns: &Columns) -> Vec<(i64, u32)> {
    let floats = columns.timestamps_ms.iter().zip(&columns.values).map(|(time, value)| (*time, *value as u32));
    let histograms = columns.histogram_timestamps_ms.iter().zip(&columns.histograms);
    let mut all: Vec<_> = floats.chain(histograms.map(|(time, histogram)| (*time, histogram.count as u32))).collect();
    all.sort_unstable();
    all
}

/// Asks for some series and checks the answer of each, found or not.
fn ask(engine: &Engine, history: &History, range: TimeRange, matchers: &[Matcher]) -> Result<(), String> {
    let begin = history.tick();
    let selection = engine.select(range, matchers).map_err(|error| error.to_string())?;
    let mut answers: Vec<Vec<(i64, u32)>> = vec![Vec::new(); SERIES];
    for row in 0..selection.len() {
        let mut columns = Columns::default();
        selection.read(row, range, &mut columns).map_err(|error| error.to_string())?;
        let series: usize = selection.labels(row).get("series").unwrap().parse().unwrap();
        answers[series] = samples(&columns);
    }
    let asked = Asked { begin, end: history.tick(), kept_from_ms: history.kept_from_ms() };
    let wanted = (0..SERIES).filter(|series| matchers.iter().all(|m| m.matches_labels(&labels(*series))));
    for series in wanted {
        history.check(series, range, &answers[series], asked)?;
    }
    Ok(())
}

/// Runs a job again and again until the round ends; what it returns is how often something was done.
fn repeat(shared: &Shared, what: usize, pause: Duration, mut job: impl FnMut() -> Result<usize, EngineError>) {
    while shared.go_on() {
        match job() {
            Ok(count) => shared.count(what, count),
            Err(EngineError::Canceled) => {}
            Err(error) => shared.complain(format!("job {what}: {error}")),
        }
        thread::sleep(pause);
    }
}

fn round(shared: &Shared, random: &mut Random) {
    let go_on = || shared.go_on();
    thread::scope(|scope| {
        scope.spawn(|| shared.engine.run_committer());
        scope.spawn(|| shared.engine.run_syncer());
        scope.spawn(|| shared.engine.run_sealer(|error| shared.complain(format!("sealer: {error}"))));
        scope.spawn(|| {
            repeat(shared, FLUSHES, Duration::from_millis(3), || {
                let done = shared.engine.maintain()?;
                shared.count(EXPIRED, done.expired_blocks);
                Ok(usize::from(done.flushed_samples > 0))
            });
        });
        scope.spawn(|| {
            repeat(shared, MERGES, Duration::from_millis(2), || {
                Ok(usize::from(shared.engine.compact(StopSign::new(&go_on), &mut |_| ())?.is_some()))
            });
        });
        let workers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let random = Random::new(random.bits());
                scope.spawn(move || work::write(shared, writer, random))
            })
            .collect();
        let deleter = Random::new(random.bits());
        scope.spawn(move || work::delete(shared, deleter));
        for _ in 0..2 {
            let reader = Random::new(random.bits());
            scope.spawn(move || work::read(shared, reader));
        }
        let until = Instant::now() + ROUND;
        while Instant::now() < until && shared.go_on() {
            thread::sleep(Duration::from_millis(20));
        }
        shared.stop.store(true, Ordering::SeqCst);
        for worker in workers {
            worker.join().unwrap();
        }
        shared.engine.stop().unwrap();
    });
}

#[test]
fn threads_see_only_what_some_order_of_events_explains() {
    let (seed, seconds) = (seed(1), setting("MYTSDB_THREADS_SECONDS", 20));
    let mut random = Random::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::new(0));
    let history = Arc::new(History::new(SERIES, 100 * RETENTION_MS, RETENTION_MS));
    let next_value = Arc::new(AtomicU64::new(1));
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut totals = [0; 6];
    for number in 0.. {
        clock.set(history.now_ms());
        let durability = random.pick(&[Durability::Fsync, Durability::Interval]);
        let shared = Shared {
            engine: open(dir.path(), &clock, durability),
            clock: clock.clone(),
            history: history.clone(),
            stop: AtomicBool::new(false),
            wrong: Mutex::default(),
            next_value: next_value.clone(),
            counts: Default::default(),
        };
        let all = |shared: &Shared, when: &str| {
            if let Err(wrong) = ask(&shared.engine, &history, TimeRange::ALL, &[]) {
                shared.complain(format!("{when}: {wrong}"));
            }
        };
        all(&shared, "after opening");
        if shared.go_on() {
            round(&shared, &mut random);
            all(&shared, "at rest");
        }
        let wrong = shared.wrong.lock().unwrap();
        assert!(
            wrong.is_empty(),
            "MYTSDB_SEED={seed}, round {number}, {durability:?}: {:#?}",
            &wrong[..wrong.len().min(5)]
        );
        for (total, count) in totals.iter_mut().zip(&shared.counts) {
            *total += count.load(Ordering::SeqCst);
        }
        history.forget();
        if Instant::now() >= until && number > 0 {
            break;
        }
    }
    let [appends, flushes, merges, deletions, queries, expired] = totals;
    println!(
        "{appends} samples, {flushes} flushes, {merges} merges, {deletions} deletions, {queries} queries, {expired} blocks expired"
    );
    assert!(totals.iter().all(|count| *count > 0), "something was never done: {totals:?}");
}
