//! What quantiles of native histograms cost: 300 series of 160 buckets over a day, in blocks and head.
//!
//! `cargo run --profile ci -p mytsdb-query --example natives [-- series [hours]]`. Each query is asked 15 times; the least and the median time
//! are printed, in ms.
#![expect(clippy::disallowed_methods, reason = "it measures and removes the folder that it had the engine fill")]

use mytsdb_engine::{Batch, Durability, Engine, EngineOptions, ManualClock};
use mytsdb_histogram::{FloatHistogram, Span};
use mytsdb_io::RealDisk;
use mytsdb_model::Labels;
use mytsdb_promql::{Cancel, QueryOptions, instant, range};
use mytsdb_promql_syntax::parse;
use mytsdb_query::EngineStorage;
use mytsdb_stop::StopSign;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BUCKETS: usize = 160;
const STEP_MS: i64 = 15_000;
const START_MS: i64 = 1_699_920_000_000;
const HOUR_MS: i64 = 3_600_000;

/// Each with the hours that it is asked over; 0 for an instant.
const QUERIES: [(&str, i64); 5] = [
    ("histogram_quantile(0.99, sum(rate(m[5m])))", 1),
    ("histogram_quantile(0.9, sum by (job) (rate(m[5m])))", 1),
    ("histogram_quantile(0.5, m)", 1),
    ("histogram_quantile(0.99, rate(m[5m]))", 1),
    ("histogram_quantile(0.99, sum by (zone) (rate(m[5m])))", 0),
];

type Failure = Box<dyn std::error::Error>;

fn histogram(series: usize, round: usize) -> FloatHistogram {
    let bucket = |bucket: usize| {
        let noise = (series * 31 + bucket * 17 + round).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60;
        ((round + 1) * ((series + bucket * 7) % 11 + 3) + noise % 3) as f64
    };
    let positive_buckets: Vec<f64> = (0..BUCKETS).map(bucket).collect();
    FloatHistogram {
        schema: 3,
        count: positive_buckets.iter().sum(),
        sum: round as f64 * 1.25 + series as f64,
        positive_spans: vec![Span { offset: -79, length: BUCKETS as u32 }],
        positive_buckets,
        ..FloatHistogram::default()
    }
}

fn fill(engine: &Engine, clock: &ManualClock, series: usize, rounds: usize) -> Result<(), Failure> {
    for round in 0..rounds {
        let time = START_MS + round as i64 * STEP_MS;
        clock.set(time);
        let mut batch = Batch::with_capacity(series);
        for i in 0..series {
            let labels = [
                ("__name__", "m".to_owned()),
                ("i", i.to_string()),
                ("job", format!("job-{}", i % 10)),
                ("zone", format!("zone-{}", i % 3)),
            ];
            batch.push_histogram(engine.resolve(&Labels::from_pairs(labels))?, time, 0, &histogram(i, round))?;
        }
        engine.append(batch)?;
        if round % 240 == 0 {
            engine.maintain()?;
        }
    }
    while engine.compact(StopSign::NEVER, &mut |_| ())?.is_some() {}
    // A server has a thread that does it all the time.
    engine.seal_waiting()?;
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut numbers = std::env::args().skip(1).map_while(|n| n.parse::<usize>().ok());
    let (series, hours) = (numbers.next().unwrap_or(300), numbers.next().unwrap_or(24));
    let dir = std::env::temp_dir().join(format!("mytsdb-natives-{}", std::process::id()));
    let clock = Arc::new(ManualClock::new(START_MS));
    let options = EngineOptions { durability: Durability::Buffered, ..EngineOptions::new(&dir) };
    let (engine, _) = Engine::open(Arc::new(RealDisk), clock.clone(), options, &mytsdb_telemetry::Registry::new())?;
    let rounds = hours * HOUR_MS as usize / STEP_MS as usize;
    let begun = Instant::now();
    fill(&engine, &clock, series, rounds)?;
    println!("{series} series, {hours} h, stored in {:.1} s", begun.elapsed().as_secs_f64());
    let storage = EngineStorage::new(Arc::new(engine));
    let end_ms = START_MS + rounds as i64 * STEP_MS;
    for (query, hours) in QUERIES {
        let expr = parse(query)?;
        let mut times: Vec<Duration> = Vec::new();
        for _ in 0..15 {
            let (begun, options, cancel) = (Instant::now(), QueryOptions::default(), Cancel::default());
            let answer = if hours == 0 {
                instant(&storage, &expr, end_ms, &options, &cancel)
            } else {
                range(&storage, &expr, end_ms - hours * HOUR_MS, end_ms, 60_000, &options, &cancel)
            };
            answer?;
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        let ms = |at: usize| times[at].as_secs_f64() * 1e3;
        println!("{query:56} {:8.2} {:8.2}", ms(0), ms(7));
    }
    drop(storage);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
