//! Appends that are timed while something else goes on: shared by the examples that measure that.

use mytsdb_engine::{Batch, Engine, EngineError};
use mytsdb_model::SeriesRef;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

pub const HOUR_MS: i64 = 3_600_000;

/// The beginning of a day.
pub const START_MS: i64 = 19_675 * 24 * HOUR_MS;

/// Samples of an append that is timed.
pub const ROWS: usize = 1_000;

/// What is appended next, and how much has been.
pub struct Appends {
    /// The time of the next samples; of all series in turn, then a second later.
    pub time_ms: i64,
    /// Samples so far.
    pub count: u64,
}

impl Appends {
    pub fn from(time_ms: i64) -> Self {
        Self { time_ms, count: 0 }
    }
}

/// Appends until told to stop; tells how long each took, ascending.
fn append(
    engine: &Engine,
    refs: &[SeriesRef],
    appends: &mut Appends,
    stop: &AtomicBool,
) -> Result<Vec<Duration>, EngineError> {
    let mut waits = Vec::new();
    loop {
        for some in refs.chunks(ROWS) {
            let mut batch = Batch::with_capacity(ROWS);
            for &series in some {
                batch.push(series, appends.time_ms, 1.0);
            }
            let begun = Instant::now();
            assert_eq!(engine.append(batch)?.stored as usize, some.len(), "every sample is stored");
            waits.push(begun.elapsed());
            appends.count += some.len() as u64;
            // Relaxed, as below: a flag that orders nothing.
            if stop.load(Ordering::Relaxed) {
                appends.time_ms += 1_000;
                waits.sort_unstable();
                return Ok(waits);
            }
        }
        appends.time_ms += 1_000;
    }
}

/// Does something while samples are appended from a time on, one batch after the other; prints how long these waited, and the most memory.
pub fn beside<T: Send>(
    (engine, refs): (&Engine, &[SeriesRef]),
    appends: &mut Appends,
    what: &str,
    work: impl FnOnce() -> Result<T, EngineError> + Send,
) -> Result<T, Failure> {
    let (stop, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let (done, waits) = std::thread::scope(|scope| {
        let working = scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(100));
            let done = work();
            std::thread::sleep(Duration::from_millis(100));
            stop.store(true, Ordering::Relaxed);
            done
        });
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                most.fetch_max(resident_bytes(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        let waits = append(engine, refs, appends, &stop);
        stop.store(true, Ordering::Relaxed);
        (working.join().expect("the work does not panic"), waits)
    });
    let (done, waits) = (done?, waits?);
    let ms = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
    println!(
        "{what:24} {:8.2} {:8.2} {:8.2}   {:6} appends, {:6} MiB at most",
        ms(0.5),
        ms(0.99),
        ms(1.0),
        waits.len(),
        most.into_inner() >> 20
    );
    Ok(done)
}

/// Memory of this process but for mapped files; 0 where that is not known.
fn resident_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: Vec<u64> = text.split(' ').map_while(|number| number.parse().ok()).collect();
    if let [_, resident, of_files, ..] = pages[..] { resident.saturating_sub(of_files) * 4_096 } else { 0 }
}

/// Bytes of all blocks of a data folder.
pub fn block_bytes(dir: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir.join("blocks"))? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
