//! What late samples cost those who are in time: how long appends wait beside a sender of late ones, and how fast that is.
//!
//! `cargo run --profile ci -p mytsdb-engine --example late_beside [-- series [hours]]`. 10,000 counters over 6 hours by default, a sample
//! every 15 s, on the disk of the temporary folder. The second sender appends 1,000 samples at a time, without a pause: first some that are in
//! time, then some between those in blocks. Timed appends are of 1,000 samples too; each is synced. Every sample is counted in the end.
#![expect(clippy::disallowed_methods, reason = "it measures and removes the folder that it had the engine fill")]

mod beside;
#[path = "beside/counters.rs"]
mod counters;

use beside::{Appends, Failure, HOUR_MS, ROWS, START_MS, beside, block_bytes};
use counters::{STEP_MS, count, fill, references};
use mytsdb_engine::{Batch, Durability, Engine, EngineError, EngineOptions, ManualClock};
use mytsdb_model::{Matcher, SeriesRef};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long each way is measured, and how often.
const MEASURED: Duration = Duration::from_secs(4);
const TURNS: usize = 3;

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Appends samples of all series at one time after the other, for a while; tells how many.
fn send(engine: &Engine, refs: &[SeriesRef], times: &mut impl Iterator<Item = i64>) -> Result<u64, EngineError> {
    let (begun, mut sent) = (Instant::now(), 0);
    while begun.elapsed() < MEASURED {
        let time = times.next().expect("there are more times than can be sent");
        for some in refs.chunks(ROWS) {
            let mut batch = Batch::with_capacity(ROWS);
            for &series in some {
                batch.push(series, time, 2.0);
            }
            assert_eq!(engine.append(batch)?.stored as usize, some.len(), "every sample is stored");
            sent += some.len() as u64;
        }
    }
    Ok(sent)
}

fn main() -> Result<(), Failure> {
    let mut numbers = std::env::args().skip(1).map_while(|n| n.parse::<usize>().ok());
    let (series, hours) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(6));
    let dir = std::env::temp_dir().join(format!("mytsdb-late-beside-{}", std::process::id()));
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
    // The timed sender and the other one have halves of their own, so that the times of each ascend.
    let (timed, other) = refs.split_at(series / 2);

    let end_ms = START_MS + rounds * STEP_MS;
    // All that are in time are a second apart, and none may be far ahead of the clock.
    clock.set(end_ms + 6 * HOUR_MS);
    let mut appends = Appends::from(end_ms);
    let mut in_time = (end_ms..).step_by(1_000);
    // In the first hours, which are in blocks; a millisecond further each time that all of them were used.
    let late_ms = START_MS..START_MS + (rounds / 2) * STEP_MS;
    let mut late = (1..STEP_MS).flat_map(|more| late_ms.clone().step_by(STEP_MS as usize).map(move |ms| ms + more));
    println!("{} MiB of blocks", block_bytes(&dir)? >> 20);
    println!("{series} series, {hours} h; an append of {ROWS} samples waits: median, 99 %, longest, in ms");
    let (mut sent_in_time, mut sent_late) = (0, 0);
    for _ in 0..TURNS {
        beside((&engine, timed), &mut appends, "alone", || {
            std::thread::sleep(MEASURED);
            Ok(())
        })?;
        let of = (&engine, timed);
        sent_in_time += beside(of, &mut appends, "beside one in time", || send(&engine, other, &mut in_time))?;
        sent_late += beside(of, &mut appends, "beside a late one", || send(&engine, other, &mut late))?;
    }
    let seconds = MEASURED.as_secs_f64() * TURNS as f64;
    println!(
        "the other sender: {:.0} samples/s in time, {:.0} late",
        sent_in_time as f64 / seconds,
        sent_late as f64 / seconds
    );
    let all = count(&engine, Matcher::metric("requests_total"), i64::MAX - 1)? as u64;
    assert_eq!(all, series as u64 * rounds as u64 + appends.count + sent_in_time + sent_late, "every sample once");
    drop(engine);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
