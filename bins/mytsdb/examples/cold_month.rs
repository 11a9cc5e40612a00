//! A month of samples in the cold tier: how fast days are demoted and one metric is scanned, what it takes in files and in memory, and what a range
//! query over all of it takes with nothing near, with L2 and with L1. Every answer is compared with what the counters say.
//!
//! `cargo run --profile ci -p mytsdb --example cold_month [SERIES] [DAYS]`. Data: counters at 15 s in 20 groups, on the real disk below the
//! folder for temporary files. "All cold" is with both caches off, a new process' footers, and files that the page cache of the system does not have.
#![expect(clippy::disallowed_methods, reason = "an example looks at its files and at its own memory")]

use mytsdb_cold::{Cold, ColdOptions};
use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_io::RealDisk;
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_parquet_tier::{DayReader, Store, StoreOptions, TierError};
use mytsdb_promql::{Cancel, QueryOptions, QueryValue, WorkerPool, range};
use mytsdb_promql_syntax::parse;
use mytsdb_query::EngineStorage;
use mytsdb_stop::StopSign;
use mytsdb_telemetry::Registry;
use std::error::Error;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const STEP_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;
const START_MS: i64 = 20_000 * DAY_MS;
const GROUPS: usize = 20;
const QUERY: &str = "sum by (group) (rate(month_total[5m]))";
/// Most bytes of the caches.
const CACHE_BYTES: usize = 8 << 30;

/// Grows by at least 1 a step, and not evenly.
fn value(series: usize, at: i64) -> f64 {
    (at * (series as i64 % 83 + 14) + (at * 7_919 + series as i64) % 13) as f64
}

fn labels(series: usize) -> Labels {
    Labels::from_pairs([
        ("__name__", "month_total"),
        ("group", &format!("group-{}", series % GROUPS)),
        ("instance", &format!("10.0.{}.{}:9100", series >> 8, series & 255)),
        ("job", "month"),
    ])
}

struct World {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
    series: usize,
    days: i64,
}

/// An open data folder and its tier.
struct Node {
    engine: Arc<Engine>,
    cold: Cold,
}

fn main() -> Result<()> {
    let mut numbers = std::env::args().skip(1);
    let series: usize = numbers.next().map_or(Ok(1_000), |text| text.parse())?;
    let days: i64 = numbers.next().map_or(Ok(30), |text| text.parse())?;
    let clock = Arc::new(ManualClock::new(START_MS + (days + 2) * DAY_MS));
    let world = World { dir: tempfile::tempdir()?, clock, series, days };
    world.fill()?;
    world.scan()?;
    world.memory()?;
    let expected = world.expected();
    for (name, l1_bytes, l2_bytes) in
        [("all of it cold", 0, 0), ("L2 warm", 0, CACHE_BYTES as u64), ("L1 warm", CACHE_BYTES, 0)]
    {
        let mut took = Vec::new();
        if l1_bytes == 0 && l2_bytes == 0 {
            for _ in 0..3 {
                world.drop_page_cache()?;
                took.push(world.ask(&world.open(0, 0)?, &expected)?);
            }
        } else {
            let node = world.open(l1_bytes, l2_bytes)?;
            world.ask(&node, &expected)?;
            for _ in 0..3 {
                took.push(world.ask(&node, &expected)?);
            }
        }
        took.sort();
        println!(
            "{QUERY} over {days} days, step 1 h, {name}: median {:.0} ms, least {:.0} ms",
            ms(took[1]),
            ms(took[0])
        );
    }
    Ok(())
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}

impl World {
    fn store(&self) -> Result<Store> {
        Ok(Store::local(self.dir.path().join("store"), StoreOptions::default())?)
    }

    fn open(&self, l1_bytes: usize, l2_bytes: u64) -> Result<Node> {
        let (disk, registry) = (Arc::new(RealDisk), Registry::new());
        let options = EngineOptions {
            retention_ms: 10_000 * DAY_MS,
            disk_floor_bytes: Some(0),
            ..EngineOptions::new(self.dir.path().join("data"))
        };
        let engine = Arc::new(Engine::open(disk.clone(), self.clock.clone(), options, &registry)?.0);
        let mut options = ColdOptions::new(self.dir.path().join("spool"));
        (options.cache_l1_bytes, options.cache_l2_bytes) = (l1_bytes, l2_bytes);
        let cold = Cold::open(engine.clone(), disk, self.clock.clone(), &self.store()?, options, &registry)?;
        Ok(Node { engine, cold })
    }

    /// Stores all samples and demotes all days.
    fn fill(&self) -> Result<()> {
        let node = self.open(0, 0)?;
        let references: Vec<_> = (0..self.series)
            .map(|series| node.engine.resolve(&labels(series)))
            .collect::<std::result::Result<_, _>>()?;
        let steps_of_day = DAY_MS / STEP_MS;
        let (mut demoted, mut took) = (0, Duration::ZERO);
        // Two more days, of which little is written: how old days are is told by the newest sample.
        for day in 0..self.days + 2 {
            let last = day >= self.days;
            for hour in 0..if last { 1 } else { 24 } {
                let mut batch = Batch::default();
                let first = day * steps_of_day + hour * (HOUR_MS / STEP_MS);
                for at in first..first + if last { 1 } else { HOUR_MS / STEP_MS } {
                    for (series, reference) in references.iter().enumerate() {
                        batch.push(*reference, START_MS + at * STEP_MS, value(series, at));
                    }
                }
                node.engine.append(batch)?;
                node.engine.flush_before(START_MS + first * STEP_MS)?;
            }
            loop {
                let begun = Instant::now();
                let done = node.cold.step(StopSign::NEVER)?;
                if done.demoted_blocks == 0 {
                    break;
                }
                took += begun.elapsed();
                demoted += done.demoted_samples;
            }
        }
        let manifest = node.cold.manifest().ok_or("no manifest")?;
        let samples = self.series as u64 * (self.days * steps_of_day) as u64;
        assert!(demoted >= samples, "{demoted} samples were demoted of {samples}");
        let bytes: u64 = manifest.days.iter().map(mytsdb_parquet_tier::LiveDay::bytes).sum();
        println!(
            "demoted {demoted} samples in {:.1} s: {:.1} M samples/s; {:.1} MB, {:.2} B a sample, {} days",
            took.as_secs_f64(),
            demoted as f64 / took.as_secs_f64() / 1e6,
            bytes as f64 / 1e6,
            bytes as f64 / demoted as f64,
            manifest.days.len(),
        );
        Ok(())
    }

    /// Reads all rows of the metric from the files, two days at a time.
    fn scan(&self) -> Result<()> {
        let node = self.open(0, 0)?;
        let manifest = node.cold.manifest().ok_or("no manifest")?;
        let prefix = mytsdb_cold::nodes(&self.store()?, StopSign::NEVER)?;
        let store = Arc::new(self.store()?.below(&mytsdb_cold::node_prefix(&prefix[0]))?);
        let mut least = f64::INFINITY;
        let mut rows = 0;
        for _ in 0..3 {
            let begun = Instant::now();
            rows = std::thread::scope(|scope| {
                let halves = [0, 1].map(|half| {
                    let (days, store) = (&manifest.days, &store);
                    scope.spawn(move || -> std::result::Result<u64, TierError> {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                        let runtime = runtime.map_err(|source| TierError::Io { operation: "start threads", source })?;
                        let mut rows = 0;
                        for day in days.iter().skip(half).step_by(2) {
                            rows += runtime.block_on(async {
                                let reader = DayReader::open(store.clone(), day).await?;
                                let found = reader.select(&[Matcher::metric("month_total")], TimeRange::ALL).await?;
                                let mut rows = 0;
                                let count = |_, columns: &mut mytsdb_columns::Columns| {
                                    rows += columns.values.len() as u64;
                                    Ok::<_, TierError>(())
                                };
                                reader.read(&found, TimeRange::ALL, count).await?;
                                Ok::<_, TierError>(rows)
                            })?;
                        }
                        Ok(rows)
                    })
                });
                halves
                    .into_iter()
                    .map(|half| half.join().expect("a thread that reads"))
                    .sum::<std::result::Result<u64, _>>()
            })?;
            least = least.min(begun.elapsed().as_secs_f64());
        }
        let stored: u64 = manifest.days.iter().map(|day| day.samples).sum();
        assert_eq!(rows, stored, "not all rows were read");
        println!(
            "scanned {rows} rows of one metric in {least:.2} s: {:.0} M rows/s on two threads",
            rows as f64 / least / 1e6
        );
        Ok(())
    }

    /// What the tier takes in memory: when it is open, and when every day was asked for a series.
    fn memory(&self) -> Result<()> {
        let before = anonymous_bytes()?;
        let node = self.open(0, 0)?;
        let opened = anonymous_bytes()?;
        let one = [Matcher::metric("month_total"), Matcher::equal("instance", "10.0.0.7:9100")];
        let found = node.engine.select(TimeRange::ALL, &one)?;
        assert_eq!(found.len(), 1);
        drop(found);
        // Lists and footers are read beside the question.
        std::thread::sleep(Duration::from_millis(500));
        let asked = anonymous_bytes()?;
        let manifest = node.cold.manifest().ok_or("no manifest")?;
        let gigabytes = manifest.days.iter().map(mytsdb_parquet_tier::LiveDay::bytes).sum::<u64>() as f64 / 1e9;
        let per_gb = |bytes: u64| bytes.saturating_sub(before) as f64 / 1e6 / gigabytes;
        println!(
            "memory for {gigabytes:.3} GB: {:.2} MB a GB when open, {:.2} MB a GB when a series of all days was asked for",
            per_gb(opened),
            per_gb(asked)
        );
        Ok(())
    }

    /// Takes the files of the store out of the page cache.
    fn drop_page_cache(&self) -> Result<()> {
        let mut folders = vec![self.dir.path().join("store")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    drop_file(&path)?;
                }
            }
        }
        Ok(())
    }

    /// The sums of rates of each group: within five minutes a counter has 20 samples, which are 285 s apart.
    fn expected(&self) -> Vec<Vec<f64>> {
        let steps = self.steps();
        let rate = |series: usize, time_ms: i64| {
            let last = (time_ms - START_MS) / STEP_MS;
            (value(series, last) - value(series, last - 19)) / 285.0
        };
        let sum = |group: usize, time_ms: i64| (group..self.series).step_by(GROUPS).map(|s| rate(s, time_ms)).sum();
        (0..GROUPS.min(self.series)).map(|group| steps.clone().map(|time_ms| sum(group, time_ms)).collect()).collect()
    }

    fn steps(&self) -> std::iter::StepBy<std::ops::RangeInclusive<i64>> {
        (START_MS + HOUR_MS..=START_MS + self.days * DAY_MS - HOUR_MS).step_by(HOUR_MS as usize)
    }

    /// Asks the question and compares the answer; tells what it took.
    fn ask(&self, node: &Node, expected: &[Vec<f64>]) -> Result<Duration> {
        let storage = EngineStorage::new(node.engine.clone());
        let options =
            QueryOptions { pool: Some(WorkerPool::new(1)?), max_samples: u64::MAX, ..QueryOptions::default() };
        let (expr, begun) = (parse(QUERY)?, Instant::now());
        let (start_ms, end_ms) = (START_MS + HOUR_MS, START_MS + self.days * DAY_MS - HOUR_MS);
        let answer = range(&storage, &expr, start_ms, end_ms, HOUR_MS, &options, &Cancel::default())?;
        let took = begun.elapsed();
        let QueryValue::Matrix(found) = answer.value else { return Err("no matrix".into()) };
        assert_eq!(found.len(), expected.len());
        for series in found {
            let group: usize = series.labels.get("group").ok_or("no group")?.trim_start_matches("group-").parse()?;
            assert_eq!(series.values.len(), expected[group].len(), "group {group}");
            for (found, expected) in series.values.iter().zip(&expected[group]) {
                assert!((found - expected).abs() <= 1e-9 * expected, "group {group}: {found}, expected {expected}");
            }
        }
        Ok(took)
    }
}

fn drop_file(path: &Path) -> Result<()> {
    // GNU's dd asks the system to forget what it has of the file.
    let mut dd = Command::new("dd");
    let status = dd.arg(format!("if={}", path.display())).args(["iflag=nocache", "count=0", "status=none"]).status()?;
    if status.success() { Ok(()) } else { Err(format!("dd {}: {status}", path.display()).into()) }
}

/// Memory of this process that is no file.
fn anonymous_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).ok_or("no RssAnon")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
}
