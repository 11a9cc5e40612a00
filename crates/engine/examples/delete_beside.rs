//! What a deletion of a tenth costs: how soon it is hidden, how long appends beside it wait, and how much of the disk it frees.
//!
//! `cargo run --profile ci -p mytsdb-engine --example delete_beside [-- series [hours]]`. 10,000 counters over 24 hours by default, a sample
//! every 15 s, on the disk of the temporary folder; checks what is left. Appends are of 1,000 samples, one after the other, with a sync each.
#![expect(clippy::disallowed_methods, reason = "it measures and removes the folder that it had the engine fill")]

mod beside;
#[path = "beside/counters.rs"]
mod counters;

use beside::{Appends, Failure, HOUR_MS, ROWS, START_MS, beside, block_bytes};
use counters::{STEP_MS, count, fill, references};
use mytsdb_engine::{Durability, Engine, EngineOptions, ManualClock};
use mytsdb_model::{MatchOp, Matcher, TimeRange};
use mytsdb_stop::StopSign;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long appends are timed by themselves.
const ALONE: Duration = Duration::from_secs(3);

fn main() -> Result<(), Failure> {
    let mut numbers = std::env::args().skip(1).map_while(|n| n.parse::<usize>().ok());
    let (series, hours) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(24));
    let dir = std::env::temp_dir().join(format!("mytsdb-delete-beside-{}", std::process::id()));
    let disk = Arc::new(mytsdb_io::RealDisk);
    let clock = Arc::new(ManualClock::new(START_MS));
    let options = EngineOptions { durability: Durability::Interval, ..EngineOptions::new(&dir) };
    let registry = mytsdb_telemetry::Registry::new;
    let (engine, _) = Engine::open(disk.clone(), clock.clone(), options.clone(), &registry())?;
    let rounds = hours as i64 * HOUR_MS / STEP_MS;
    fill(&engine, &clock, series, rounds)?;
    drop(engine);
    let options = EngineOptions { durability: Durability::Fsync, ..options };
    let (engine, _) = Engine::open(disk, clock.clone(), options, &registry())?;
    let refs = references(&engine, series)?;

    let end_ms = START_MS + rounds * STEP_MS;
    clock.set(end_ms);
    let until_ms = end_ms - 1;
    let mut appends = Appends::from(end_ms);
    let of = (&engine, &refs[..]);
    println!("{series} series, {hours} h; an append of {ROWS} samples waits: median, 99 %, longest, in ms");
    beside(of, &mut appends, "alone", || {
        std::thread::sleep(ALONE);
        Ok(())
    })?;
    let before = block_bytes(&dir)?;
    let tenth = Matcher::equal("tenth", "3");
    let begun = Instant::now();
    let took = beside(of, &mut appends, "beside the deletion", || {
        let begun = Instant::now();
        engine.delete_series(&[vec![tenth.clone()]], TimeRange::new(START_MS, until_ms))?;
        Ok(begun.elapsed())
    })?;
    assert_eq!(count(&engine, tenth.clone(), until_ms)?, 0, "hidden");
    println!("hidden after {:.0} ms; asked for after {:.1} s", took.as_secs_f64() * 1e3, begun.elapsed().as_secs_f64());
    let cleaned = beside(of, &mut appends, "beside the cleaning", || {
        let begun = Instant::now();
        engine.clean_tombstones(StopSign::NEVER, &mut |_| ())?;
        Ok(begun.elapsed())
    })?;
    let after = block_bytes(&dir)?;
    let others = Matcher::new(MatchOp::NotEqual, "tenth", "3")?;
    assert_eq!(
        count(&engine, others, until_ms)? as i64,
        (series - series / 10) as i64 * rounds,
        "the others are whole"
    );
    let freed = (before - after) as f64 / (before as f64 / 10.0);
    println!(
        "cleaned after {:.1} s: {before} bytes of blocks, then {after}: {freed:.2} of a tenth",
        cleaned.as_secs_f64()
    );
    drop(engine);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
