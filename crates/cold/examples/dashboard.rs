//! The hit rate of the caches under a dashboard: refreshes every 15 s of windows of 6 h that slide over days of the cold tier, with a working set
//! twice as large as L1; with and without reading ahead.
//!
//! `cargo run --profile ci -p mytsdb-cold --example dashboard [HOURS]`. Data: 120 counters in 12 metrics, three days of 15 s, in a store in
//! memory; every fourth refresh the samples of one panel are compared with what was stored. Time is simulated: after each refresh the threads
//! of the tier get what they would have in 15 s, as far as they want it.

use mytsdb_cold::{Cold, ColdOptions};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_parquet_tier::Store;
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::sync::Arc;
use std::time::Duration;

const SERIES: i64 = 120;
const METRICS: i64 = 12;
const STEP_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const START_MS: i64 = 20_000 * DAY_MS;

/// A day of a series as columns.
const SERIES_DAY_BYTES: usize = (DAY_MS / STEP_MS) as usize * 16;

fn value(series: i64, time_ms: i64) -> f64 {
    ((time_ms - START_MS) / STEP_MS * (series % 7 + 1)) as f64
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hours: i64 = std::env::args().nth(1).map_or(Ok(12), |text| text.parse())?;
    for prefetch_windows in [0, 8] {
        run(prefetch_windows, hours)?;
    }
    Ok(())
}

fn run(prefetch_windows: u32, hours: i64) -> Result<(), Box<dyn std::error::Error>> {
    let (disk, clock) = (Arc::new(mytsdb_io::SimDisk::new()), Arc::new(ManualClock::new(START_MS + 5 * DAY_MS)));
    let registry = Registry::new();
    let options = EngineOptions { retention_ms: 1_000 * DAY_MS, ..EngineOptions::new("/data") };
    let (engine, _) = Engine::open(disk.clone(), clock.clone(), options, &registry)?;
    let engine = Arc::new(engine);
    fill(&engine)?;
    let spool = tempfile::tempdir()?;
    let mut options = ColdOptions::new(spool.path());
    // Refreshes need one day of all series, and two around midnight.
    options.cache_l1_bytes = SERIES as usize * SERIES_DAY_BYTES / 2;
    options.cache_l2_bytes = 1 << 30;
    options.prefetch_windows = prefetch_windows;
    let cold = Cold::open(engine.clone(), disk, clock, &Store::memory(), options, &registry)?;
    while cold.step(StopSign::NEVER)?.demoted_blocks > 0 {}

    let metric = |name: &str| -> f64 {
        let families = registry.gather();
        let found = families.iter().find(|family| family.name == name);
        found.map_or(0.0, |family| family.samples.iter().map(|sample| sample.value).sum())
    };
    let level = |name: &str, level: &str| -> f64 {
        let families = registry.gather();
        let samples = families.iter().filter(|family| family.name == name).flat_map(|family| family.samples.clone());
        samples.filter(|sample| sample.labels.get("level") == Some(level)).map(|sample| sample.value).sum()
    };
    // Up to the end of the second day, and on over midnight.
    let first_end_ms = START_MS + 2 * DAY_MS - hours * HOUR_MS + HOUR_MS;
    let refreshes = hours * HOUR_MS / STEP_MS;
    let (mut reads, mut columns) = (0u64, Columns::default());
    for refresh in 0..refreshes {
        let end_ms = first_end_ms + refresh * STEP_MS;
        let range = TimeRange::new(end_ms - 6 * HOUR_MS, end_ms);
        for panel in 0..METRICS {
            let found = engine.select(range, &[Matcher::metric(format!("m{panel}"))])?;
            assert_eq!(found.len() as i64, SERIES / METRICS);
            for index in 0..found.len() {
                columns.clear();
                found.read(index, range, &mut columns)?;
                reads += 1;
                if refresh % 4 == 0 && panel == 0 {
                    let series: i64 = found.labels(index).get("series").ok_or("no label")?.parse()?;
                    assert_eq!(columns.len() as i64, 6 * HOUR_MS / STEP_MS + 1);
                    let same = |(time, found): (&i64, &f64)| *found == value(series, *time);
                    assert!(columns.timestamps_ms.iter().zip(&columns.values).all(same));
                }
            }
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    let hits = metric("mytsdb_cache_hits_total");
    let misses = level("mytsdb_cache_misses_total", "l2");
    println!(
        "prefetch {prefetch_windows}: {refreshes} refreshes, {reads} reads; L1 {:.2} %, L1 and L2 {:.3} %, {misses} read from files; \
         {} read ahead, {} of them used, {} bytes in vain",
        100.0 * level("mytsdb_cache_hits_total", "l1") / (hits + misses),
        100.0 * hits / (hits + misses),
        metric("mytsdb_cache_prefetched_total"),
        metric("mytsdb_cache_prefetch_hits_total"),
        metric("mytsdb_cache_prefetch_wasted_bytes_total"),
    );
    assert!(hits / (hits + misses) >= 0.95, "the caches had less than 95 % of the reads");
    Ok(())
}

/// Three days of all series, in blocks, and a sample of today.
fn fill(engine: &Engine) -> Result<(), Box<dyn std::error::Error>> {
    let mut references = Vec::new();
    for series in 0..SERIES {
        let (name, number) = (format!("m{}", series % METRICS), series.to_string());
        references.push(engine.resolve(&Labels::from_pairs([("__name__", &*name), ("series", &*number)]))?);
    }
    for from_ms in (START_MS..START_MS + 3 * DAY_MS).step_by(HOUR_MS as usize) {
        let mut batch = Batch::default();
        for time_ms in (from_ms..from_ms + HOUR_MS).step_by(STEP_MS as usize) {
            for (series, reference) in (0..).zip(&references) {
                batch.push(*reference, time_ms, value(series, time_ms));
            }
        }
        engine.append(batch)?;
        engine.flush_before(from_ms)?;
    }
    let mut batch = Batch::default();
    batch.push(references[0], START_MS + 5 * DAY_MS, 0.0);
    engine.append(batch)?;
    engine.flush_before(START_MS + 3 * DAY_MS)?;
    Ok(())
}
