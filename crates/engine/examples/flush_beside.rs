//! What a flush costs others: how long appends beside it wait, and how much memory it takes.
//!
//! `cargo run --profile ci -p mytsdb-engine --example flush_beside [-- series [rounds]]`. 1,000,000 counters with 260 samples 30 s apart by
//! default, on the disk of the temporary folder. Appends are of 1,000 samples, one after the other, with a sync each.
#![expect(clippy::disallowed_methods, reason = "it measures and removes the folder that it had the engine fill")]

mod beside;

use beside::{Failure, ROWS, START_MS, beside, block_bytes};
use mytsdb_engine::{Batch, Durability, Engine, EngineOptions, Lookup, ManualClock};
use mytsdb_model::{Labels, Matcher, SeriesRef, TimeRange};
use std::sync::Arc;
use std::time::{Duration, Instant};

const STEP_MS: i64 = 30_000;

/// How long appends are timed by themselves.
const ALONE: Duration = Duration::from_secs(5);

fn labels(i: usize) -> Labels {
    let (instance, path) = (format!("10.{}.{}.{}:8080", i >> 16, i >> 8 & 255, i & 255), format!("/path/{}", i % 50));
    Labels::from_pairs([("__name__", "requests_total"), ("instance", &instance), ("path", &path), ("job", "api")])
}

fn main() -> Result<(), Failure> {
    let mut numbers = std::env::args().skip(1).map_while(|n| n.parse::<usize>().ok());
    let (series, rounds) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(260) as i64);
    let dir = std::env::temp_dir().join(format!("mytsdb-flush-beside-{}", std::process::id()));
    let clock = Arc::new(ManualClock::new(START_MS));
    let options = EngineOptions { durability: Durability::Interval, series_max: series, ..EngineOptions::new(&dir) };
    let registry = mytsdb_telemetry::Registry::new;
    let (engine, _) = Engine::open(Arc::new(mytsdb_io::RealDisk), clock.clone(), options.clone(), &registry())?;
    let refs: Vec<SeriesRef> = (0..series).map(|i| engine.resolve(&labels(i))).collect::<Result<_, _>>()?;
    for round in 0..rounds {
        let time = START_MS + round * STEP_MS;
        clock.set(time);
        for (part, some) in refs.chunks(100_000).enumerate() {
            let mut batch = Batch::with_capacity(some.len());
            for (i, &series) in some.iter().enumerate() {
                let i = (part * 100_000 + i) as i64;
                batch.push(series, time, (round * (3 + i % 97) + i * round % 11) as f64);
            }
            engine.append(batch)?;
        }
    }
    drop(engine);
    let begun = Instant::now();
    let options = EngineOptions { durability: Durability::Fsync, ..options };
    let (engine, _) = Engine::open(Arc::new(mytsdb_io::RealDisk), clock.clone(), options, &registry())?;
    println!("{series} series of {rounds} samples, opened in {:.1} s", begun.elapsed().as_secs_f64());
    println!("an append of {ROWS} samples waits: median, 99 %, longest, in ms");
    let mut from_ms = START_MS + rounds * STEP_MS;
    clock.set(from_ms + 3_600_000);
    let of = (&engine, &refs[..]);
    beside(of, &mut from_ms, "alone", || {
        std::thread::sleep(ALONE);
        Ok(())
    })?;
    let cut_ms = START_MS + rounds * STEP_MS - 600_000;
    let (flushed, took) = beside(of, &mut from_ms, "beside the flush", || {
        let begun = Instant::now();
        let (flushed, _) = engine.flush_before(cut_ms)?;
        Ok((flushed, begun.elapsed().as_secs_f64()))
    })?;
    assert_eq!(flushed as i64, (rounds - 600_000 / STEP_MS) * series as i64, "all samples before the cut");
    let range = TimeRange::new(START_MS, cut_ms - 1);
    assert_eq!(engine.stored(&Lookup::new(range, &[Matcher::metric("requests_total")]))?.len(), series);
    println!("{flushed} samples into {} MiB in {took:.1} s", block_bytes(&dir)? >> 20);
    drop(engine);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
