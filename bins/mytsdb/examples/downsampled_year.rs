//! A year at steps of an hour over 1,000 downsampled series: writes the buckets of each day to a folder, and asks for them as a server does.
//!
//! `cargo run --profile ci -p mytsdb --example downsampled_year -- [SERIES] [DAYS]`
#![expect(clippy::unwrap_used, reason = "a measurement stops at the first surprise")]
#![expect(clippy::print_stdout, reason = "the figures")]

use mytsdb_cold::{Cold, ColdOptions, node_prefix};
use mytsdb_downsample::{Bucket, Buckets, Resolution};
use mytsdb_engine::{Engine, EngineOptions, ManualClock};
use mytsdb_io::SimDisk;
use mytsdb_model::Labels;
use mytsdb_parquet_tier::{DAY_MS, Day, FileId, Store, StoreOptions, Tier, WriteOptions, compare_series};
use mytsdb_promql::{Cancel, QueryOptions, QueryValue, WorkerPool, range};
use mytsdb_query::EngineStorage;
use mytsdb_telemetry::Registry;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const HOUR_MS: i64 = 3_600_000;
const FIRST_DAY: i64 = 20_000;
const NODE: &str = "0123456789abcdef";

/// An hour of a counter that is scraped every 15 s.
fn bucket(series: u64, end_ms: i64) -> Bucket {
    let hour = end_ms / HOUR_MS;
    let noise = (hour as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(series * 77) >> 40;
    let (first, rise) = (hour as f64 * 1e6, 1_000.0 + (noise % 1_000) as f64);
    Bucket {
        first_ms: end_ms - HOUR_MS + 1_000 + (series % 14_000) as i64,
        last_ms: end_ms - 14_000 + (series % 14_000) as i64,
        width_ms: HOUR_MS,
        count: 240,
        sum: 240.0 * (first + rise / 2.0),
        min: first,
        max: first + rise,
        first,
        last: first + rise,
        resets: 0.0,
    }
}

async fn write(folder: &Path, series: u64, days: i64) {
    let store = Store::local(folder, StoreOptions::default()).unwrap().below(&node_prefix(NODE)).unwrap();
    let tier = Tier::open(Arc::new(store), 0).await.unwrap();
    let mut all: Vec<(u64, Labels)> = (0..series)
        .map(|n| {
            let (job, instance) = (format!("job-{}", n % 10), format!("host-{n:05}:9100"));
            (n, Labels::from_pairs([("__name__", "requests_total"), ("instance", &*instance), ("job", &*job)]))
        })
        .collect();
    all.sort_by(|a, b| compare_series(&a.1, &b.1));
    let mut add = Vec::new();
    for day in FIRST_DAY..FIRST_DAY + days {
        let names = ["__name__", "instance", "job"];
        let mut writer = Tier::writer(Day::of(day * DAY_MS).unwrap(), names, WriteOptions::default(), folder).unwrap();
        for (n, labels) in &all {
            let mut buckets = Buckets::default();
            (1..=24).for_each(|hour| buckets.push(&bucket(*n, day * DAY_MS + hour * HOUR_MS)));
            writer.push_buckets(labels, (Resolution::Hour, &buckets), None).unwrap();
        }
        let id = FileId::new(day as u64, day as u128);
        add.push(tier.upload(writer.finish().unwrap(), id).await.unwrap().numbered(day as u64));
    }
    let bytes: u64 = add.iter().map(|added| added.day().bytes()).sum();
    let buckets = series as f64 * days as f64 * 24.0;
    println!(
        "{days} days, {series} series: {:.1} MiB, {:.1} bytes a bucket",
        bytes as f64 / 1048576.0,
        bytes as f64 / buckets
    );
    tier.commit(add, &[], 1).await.unwrap();
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<u64>().unwrap());
    let (series, days) = (args.next().unwrap_or(1_000), args.next().unwrap_or(365) as i64);
    let dir = tempfile::tempdir().unwrap();
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(write(
        dir.path(),
        series,
        days,
    ));
    let clock = Arc::new(ManualClock::new((FIRST_DAY + days + 1) * DAY_MS));
    let open = || {
        let options = EngineOptions { selection_cache_bytes: 256 << 20, ..EngineOptions::new("/") };
        let (engine, _) = Engine::open(Arc::new(SimDisk::new()), clock.clone(), options, &Registry::new()).unwrap();
        let engine = Arc::new(engine);
        let store = Store::local(dir.path(), StoreOptions::default()).unwrap();
        let (options, registry) = (ColdOptions::new(dir.path()), Registry::new());
        let cold = Cold::reader(engine.clone(), clock.clone(), &store, NODE, options, &registry).unwrap();
        (engine, cold)
    };
    let (start, end) = (FIRST_DAY * DAY_MS + HOUR_MS, (FIRST_DAY + days) * DAY_MS);
    for (query, step_ms) in [
        ("sum by (job) (rate(requests_total[1h]))", HOUR_MS),
        ("sum by (job) (requests_total)", HOUR_MS),
        ("max by (job) (max_over_time(requests_total[1d]))", DAY_MS),
    ] {
        let (engine, _cold) = open();
        let storage = EngineStorage::new(engine);
        let expr = mytsdb_promql_syntax::parse(query).unwrap();
        let options = QueryOptions { pool: Some(WorkerPool::new(1).unwrap()), ..QueryOptions::default() };
        for run in 0..4 {
            let begun = Instant::now();
            let found = range(&storage, &expr, start, end, step_ms, &options, &Cancel::default()).unwrap();
            let took = begun.elapsed();
            let QueryValue::Matrix(rows) = &found.value else { panic!("no matrix") };
            let steps: usize = rows.iter().map(|row| row.values.len()).sum();
            let infos = found.annotations.infos(query, 0);
            println!("{query}, run {run}: {took:.0?}, {} rows, {steps} values, {infos:?}", rows.len());
        }
    }
}
