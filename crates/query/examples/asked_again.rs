//! What a range query takes that is asked every half minute, with the result cache and without; both must give the same.
//!
//! `cargo run --profile ci -p mytsdb-query --example asked_again [SERIES]`

use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_io::SimDisk;
use mytsdb_model::Labels;
use mytsdb_promql::{Cancel, QueryOptions, QueryValue, ResultCache, range};
use mytsdb_promql_syntax::parse;
use mytsdb_query::EngineStorage;
use mytsdb_telemetry::Registry;
use std::sync::Arc;
use std::time::{Duration, Instant};

const HOUR_MS: i64 = 3_600_000;
const BEGIN_MS: i64 = 480_000 * HOUR_MS;
const STEP_MS: i64 = 30_000;
const ROUNDS: i64 = 20;

/// An engine with six hours of samples at 15 s, of which four are in blocks.
fn engine(series: usize) -> Engine {
    let clock = Arc::new(ManualClock::new(BEGIN_MS + 7 * HOUR_MS));
    let (disk, options) = (Arc::new(SimDisk::new()), EngineOptions::new("/data"));
    let engine = Engine::open(disk, clock, options, &Registry::new()).expect("an empty disk").0;
    let labels = |i: usize| {
        let (job, pod) = (format!("job-{}", i % 20), format!("pod-{i}"));
        Labels::from_pairs([("__name__", "m_total"), ("job", &job), ("pod", &pod)])
    };
    let references: Vec<_> = (0..series).map(|i| engine.resolve(&labels(i)).expect("there is room")).collect();
    for scrape in 0..6 * HOUR_MS / 15_000 {
        let mut batch = Batch::with_capacity(series);
        for (i, &reference) in (0..).zip(&references) {
            batch.push(reference, BEGIN_MS + scrape * 15_000 + i % 100, (scrape * (1 + i % 7)) as f64);
        }
        engine.append(batch).expect("the disk works");
    }
    engine.flush_before(BEGIN_MS + 4 * HOUR_MS).expect("the disk works");
    engine
}

fn main() {
    let series: usize = std::env::args().nth(1).map_or(1_000, |text| text.parse().expect("a number of series"));
    let storage = EngineStorage::new(Arc::new(engine(series)));
    println!("{series} series, 6 hours at 15 s, step 30 s; ms without the cache, the first time with it, again");
    for query in [
        "sum by (job) (rate(m_total[5m]))",
        "topk(5, sum by (job) (rate(m_total[5m])))",
        "max by (job) (m_total)",
        "rate(m_total{job=\"job-7\"}[5m])",
    ] {
        let expr = parse(query).expect("a valid query");
        let ask = |end_ms: i64, results: Option<ResultCache>| {
            let options = QueryOptions { results, ..QueryOptions::default() };
            let (start_ms, begun) = (end_ms - 5 * HOUR_MS, Instant::now());
            let found = range(&storage, &expr, start_ms, end_ms, STEP_MS, &options, &Cancel::default());
            let took = begun.elapsed();
            let QueryValue::Matrix(found) = found.expect("within the limits").value else { panic!("no matrix") };
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            (found.iter().map(|series| bits(&series.values)).collect::<Vec<_>>(), took)
        };
        let cache = ResultCache::new(64 << 20);
        let (mut without, mut first, mut again) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
        for round in 0..ROUNDS {
            // Half a minute later each time.
            let end_ms = BEGIN_MS + 6 * HOUR_MS - (ROUNDS - round) * STEP_MS;
            let (expected, took) = ask(end_ms, None);
            without += took;
            let (found, took) = ask(end_ms, Some(cache.clone()));
            *if round == 0 { &mut first } else { &mut again } += took;
            assert_eq!(found, expected, "{query}");
        }
        let ms = |took: Duration, times: i64| took.as_secs_f64() * 1e3 / times as f64;
        println!("{:9.2} {:9.2} {:9.2}  {query}", ms(without, ROUNDS), ms(first, 1), ms(again, ROUNDS - 1));
    }
}
