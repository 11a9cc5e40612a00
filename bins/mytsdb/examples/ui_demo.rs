//! The web page and API over a store in memory, filled with made-up services and with the server's own metrics.
//!
//! `cargo run -p mytsdb --example ui_demo [address] [empty]`, then open the address it prints.

use mytsdb_engine::{Batch, Clock, Engine, EngineOptions};
use mytsdb_http_api::{Api, ApiOptions, serve};
use mytsdb_model::Labels;
use mytsdb_query::EngineStorage;
use mytsdb_telemetry::Registry;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const STEP_MS: i64 = 15_000;
const PAST_MS: i64 = 6 * 3_600_000;

struct WallClock;

impl Clock for WallClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        i64::try_from(since.as_millis()).expect("the clock is before the year 292 million")
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let address = args.next().unwrap_or_else(|| "127.0.0.1:9099".to_owned());
    let empty = args.next().as_deref() == Some("empty");
    let registry = Registry::new();
    let disk = Arc::new(mytsdb_io::SimDisk::new());
    let (engine, _) = Engine::open(disk, Arc::new(WallClock), EngineOptions::new("/demo"), &registry)?;
    let engine = Arc::new(engine);
    if !empty {
        fill(&engine)?;
        let (engine, registry) = (Arc::clone(&engine), registry.clone());
        std::thread::spawn(move || {
            loop {
                if let Err(error) = scrape(&engine, &registry) {
                    eprintln!("{error}");
                }
                std::thread::sleep(Duration::from_secs(2));
            }
        });
    }
    let storage = Arc::new(EngineStorage::new(engine));
    let ready = Arc::new(AtomicBool::new(true));
    let api = Api::new(storage, Vec::new(), registry, ready, ApiOptions::default())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind(&address).await?;
        println!("http://{}/", listener.local_addr()?);
        serve(listener, api, std::future::pending()).await?;
        Ok(())
    })
}

/// Six hours of four services: requests, latencies, memory.
fn fill(engine: &Engine) -> Result<(), Box<dyn Error>> {
    let end_ms = WallClock.now_ms() / STEP_MS * STEP_MS;
    let mut noise = 7_u64;
    let mut random = move || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (noise >> 40) as f64 / (1_u64 << 24) as f64
    };
    for (number, service) in ["cart", "checkout", "frontend", "search"].into_iter().enumerate() {
        let series = |name: &str, extra: &[(&str, &str)]| {
            let fixed = [("__name__", name), ("job", "demo"), ("service", service)];
            engine.resolve(&Labels::from_pairs(fixed.into_iter().chain(extra.iter().copied())))
        };
        let bounds = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "+Inf"];
        let buckets = bounds
            .iter()
            .map(|le| series("http_server_request_duration_seconds_bucket", &[("le", le)]))
            .collect::<Result<Vec<_>, _>>()?;
        let ok = series("http_server_requests_total", &[("code", "200"), ("method", "GET")])?;
        let failed = series("http_server_requests_total", &[("code", "500"), ("method", "GET")])?;
        let memory = series("process_memory_usage_bytes", &[])?;
        let queue = series("work_queue_depth", &[("queue", "<default> & \"more\"")])?;
        let (mut oks, mut failures, mut counts) = (0.0, 0.0, vec![0.0; bounds.len()]);
        for start_ms in (end_ms - PAST_MS..end_ms).step_by(3_600_000) {
            let mut batch = Batch::default();
            for t in (start_ms..start_ms + 3_600_000).step_by(STEP_MS as usize) {
                let hour = t as f64 / 3_600_000.0;
                let load = 40.0 * (number as f64 + 1.5) * (1.3 + (hour * 2.1 + number as f64).sin()) + 25.0 * random();
                oks += load.floor();
                failures += (load * 0.02 * (1.2 + (hour * 5.0).sin()) * random()).floor();
                for (i, count) in counts.iter_mut().enumerate() {
                    let share = 1.0 - (-(i as f64 + 1.0) / (2.2 + number as f64 * 0.6 + (hour * 3.0).sin())).exp();
                    *count += if i + 1 == bounds.len() { load } else { load * share };
                }
                batch.push(ok, t, oks);
                batch.push(failed, t, failures);
                buckets.iter().zip(&counts).for_each(|(bucket, count)| batch.push(*bucket, t, count.floor()));
                let leak = (t - (end_ms - PAST_MS)) as f64 / PAST_MS as f64;
                batch.push(memory, t, (180.0 + 90.0 * leak * number as f64 + 12.0 * random()).floor() * 1_048_576.0);
                let outage = number == 2 && (-2.0..-1.2).contains(&((t - end_ms) as f64 / 3_600_000.0));
                if !outage {
                    batch.push(
                        queue,
                        t,
                        (30.0 + 28.0 * (hour * 4.0 + number as f64 * 2.0).sin() + 6.0 * random()).floor(),
                    );
                }
            }
            engine.append(batch)?;
        }
    }
    Ok(())
}

/// The server's own metrics, as samples of now.
fn scrape(engine: &Engine, registry: &Registry) -> Result<(), Box<dyn Error>> {
    let now_ms = WallClock.now_ms();
    let mut batch = Batch::default();
    for family in registry.gather().into_iter().chain(mytsdb_telemetry::process_families()) {
        for sample in family.samples {
            let name = format!("{}{}", family.name, sample.suffix);
            let fixed = [("__name__", name.as_str()), ("job", "mytsdb")];
            let series = engine.resolve(&Labels::from_pairs(fixed.into_iter().chain(sample.labels.iter())))?;
            batch.push(series, now_ms, sample.value);
        }
    }
    engine.append(batch)?;
    Ok(())
}
