//! What queries take over blocks of two hours and over the day that they are merged into; and with the statistics of whole chunks and without.
//!
//! `cargo run --profile ci -p mytsdb-query --example whole_days [SERIES]`

use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_io::SimDisk;
use mytsdb_model::Labels;
use mytsdb_promql::{Cancel, Optimisations, QueryOptions, QueryValue, instant, range};
use mytsdb_promql_syntax::{Expr, parse};
use mytsdb_query::EngineStorage;
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::sync::Arc;
use std::time::Instant;

const HOUR_MS: i64 = 3_600_000;
/// A day begins here.
const BEGIN_MS: i64 = 480_000 * HOUR_MS;
const RUNS: usize = 15;

/// An engine with 28 hours of samples at 15 s, in blocks of two hours.
fn engine(series: usize) -> Engine {
    let clock = Arc::new(ManualClock::new(BEGIN_MS + 29 * HOUR_MS));
    let (disk, options) = (Arc::new(SimDisk::new()), EngineOptions::new("/data"));
    let engine = Engine::open(disk, clock, options, &Registry::new()).expect("an empty disk").0;
    let labels = |i: usize| {
        let (name, job, pod) = (["m_total", "g"][i % 2], format!("job-{}", i % 20), format!("pod-{i}"));
        Labels::from_pairs([("__name__", name), ("job", &job), ("pod", &pod)])
    };
    let resolve = || (0..series).map(|i| engine.resolve(&labels(i)).expect("there is room")).collect::<Vec<_>>();
    let mut references = resolve();
    for scrape in 0..28 * 240 {
        let mut batch = Batch::with_capacity(series);
        for (i, &reference) in (0..).zip(&references) {
            let noise = (scrape * 31 + i * 17) % 23;
            let value = if i % 2 == 0 { scrape * (20 + i % 7) + noise } else { noise * noise };
            batch.push(reference, BEGIN_MS + scrape * 15_000, value as f64);
        }
        engine.append(batch).expect("the disk works");
        if scrape % 480 == 479 {
            engine.flush_before(BEGIN_MS + (scrape + 1) * 15_000).expect("the disk works");
            // Series without samples have left the head.
            references = resolve();
        }
    }
    engine
}

/// The median of some runs, in ms.
fn median_ms(mut ask: impl FnMut()) -> f64 {
    let mut took: Vec<f64> = (0..RUNS)
        .map(|_| {
            let begun = Instant::now();
            ask();
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    took.sort_unstable_by(f64::total_cmp);
    took[RUNS / 2]
}

/// A question: from and to, in hours, and the step, in seconds; 0 if it is about the end alone.
type Times = (i64, i64, i64);

/// The answer, as what tells all answers apart.
fn ask(storage: &EngineStorage, expr: &Expr, (from_h, to_h, step_s): Times, options: &QueryOptions) -> Vec<u64> {
    let (start_ms, end_ms) = (BEGIN_MS + from_h * HOUR_MS, BEGIN_MS + to_h * HOUR_MS);
    let found = if step_s == 0 {
        instant(storage, expr, end_ms, options, &Cancel::default())
    } else {
        range(storage, expr, start_ms, end_ms, step_s * 1_000, options, &Cancel::default())
    };
    match found.expect("within the limits").value {
        QueryValue::Matrix(series) => series.iter().flat_map(|s| s.values.iter().map(|v| v.to_bits())).collect(),
        QueryValue::Vector(samples) => samples
            .iter()
            .map(|sample| match &sample.value {
                mytsdb_promql::SampleValue::Float(value) => value.to_bits(),
                mytsdb_promql::SampleValue::Histogram(_) => 0,
            })
            .collect(),
        _ => Vec::new(),
    }
}

fn main() {
    let series: usize = std::env::args().nth(1).map_or(2_000, |text| text.parse().expect("a number of series"));
    let engine = Arc::new(engine(series));
    let storage = EngineStorage::new(engine.clone());
    let options = QueryOptions::default();
    let plain = QueryOptions {
        optimisations: Optimisations { outlines: false, ..Optimisations::ALL },
        ..QueryOptions::default()
    };
    let questions: Vec<(&str, Times)> = vec![
        ("sum by (job) (rate(m_total[5m]))", (18, 24, 60)),
        ("sum by (job) (rate(m_total[5m]))", (20, 26, 60)),
        ("sum by (job) (rate(m_total[5m]))", (10, 11, 15)),
        ("max_over_time(g[1h])", (20, 26, 60)),
        ("topk(10, g)", (20, 26, 60)),
        ("avg by (job) (g)", (4, 28, 60)),
        ("max by (job) (max_over_time(g[1d]))", (0, 28, 0)),
        ("sum by (job) (increase(m_total[1d]))", (0, 28, 0)),
        ("sum(count_over_time(g[1d]))", (0, 28, 0)),
        ("sum by (job) (increase(m_total[12h]))", (12, 24, 12 * 3_600)),
    ];
    let asked: Vec<(&str, Expr, Times)> =
        questions.iter().map(|(text, times)| (*text, parse(text).expect("a valid query"), *times)).collect();
    println!("{series} series, 28 h at 15 s; ms over blocks of 2 h, over a merged day, over that without statistics");
    let of_all = |options: &QueryOptions| -> Vec<(f64, Vec<u64>)> {
        let one = |(_, expr, times): &(&str, Expr, Times)| {
            let answer = ask(&storage, expr, *times, options);
            (median_ms(|| drop(ask(&storage, expr, *times, options))), answer)
        };
        asked.iter().map(one).collect()
    };
    let apart = of_all(&options);
    while engine.compact(StopSign::NEVER, &mut |_| ()).expect("the disk works").is_some() {}
    let (merged, by_samples) = (of_all(&options), of_all(&plain));
    for (((text, _, times), (apart_ms, apart)), ((merged_ms, merged), (samples_ms, by_samples))) in
        asked.iter().zip(&apart).zip(merged.iter().zip(&by_samples))
    {
        assert!(apart == merged && merged == by_samples, "{text}");
        println!("{apart_ms:9.2} {merged_ms:9.2} {samples_ms:9.2}  {text} {times:?}");
    }
}
