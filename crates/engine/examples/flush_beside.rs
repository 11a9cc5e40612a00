//! What flushes and merges cost others: how long appends beside them wait, how much memory they take, and how fast blocks are written.
//!
//! `cargo run --profile ci -p mytsdb-engine --example flush_beside [-- series [rounds]]`. 1,000,000 counters by default, with 120 samples in
//! each two hours, of which there are four, on the disk of the temporary folder; every sample is read in the end. Appends are of 1,000
//! samples, one after the other, with a sync each. Rates are by the time that the thread had a processor, and by the clock.
#![expect(clippy::disallowed_methods, reason = "it measures and removes the folder that it had the engine fill")]

mod beside;

use beside::{Appends, Failure, HOUR_MS, ROWS, START_MS, beside, block_bytes};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, CompactionDone, Engine, EngineError, EngineOptions, Lookup, ManualClock};
use mytsdb_model::{Labels, Matcher, SeriesRef, TimeRange};
use mytsdb_stop::StopSign;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The server's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long appends are timed by themselves.
const ALONE: Duration = Duration::from_secs(5);

/// The span of a block.
const SPAN_MS: i64 = 2 * HOUR_MS;

/// Series whose values are compared in the end.
const COMPARED: usize = 1_000;

fn labels(i: usize) -> Labels {
    let (instance, path) = (format!("10.{}.{}.{}:8080", i >> 16, i >> 8 & 255, i & 255), format!("/path/{}", i % 50));
    Labels::from_pairs([("__name__", "requests_total"), ("instance", &instance), ("path", &path), ("job", "api")])
}

fn value(i: i64, time_ms: i64) -> f64 {
    let round = (time_ms - START_MS) / 15_000;
    (round * (3 + i % 97) + i * round % 11) as f64
}

/// An engine that is filled as time passes.
struct Filled {
    engine: Engine,
    clock: Arc<ManualClock>,
    refs: Vec<SeriesRef>,
    /// Samples of each series in a span.
    rounds: i64,
    /// When they were.
    times: Vec<i64>,
}

impl Filled {
    fn open(dir: &Path, series: usize, rounds: i64) -> Result<Self, EngineError> {
        let clock = Arc::new(ManualClock::new(START_MS));
        let options = EngineOptions { series_max: series, ..EngineOptions::new(dir) };
        let registry = mytsdb_telemetry::Registry::new();
        let (engine, _) = Engine::open(Arc::new(mytsdb_io::RealDisk), clock.clone(), options, &registry)?;
        let refs = (0..series).map(|i| engine.resolve(&labels(i))).collect::<Result<_, _>>()?;
        Ok(Self { engine, clock, refs, rounds, times: Vec::new() })
    }

    /// A sample of each series.
    fn round(&mut self, time_ms: i64) -> Result<(), EngineError> {
        self.clock.set(time_ms);
        for (part, some) in self.refs.chunks(100_000).enumerate() {
            let mut batch = Batch::with_capacity(some.len());
            for (i, &series) in some.iter().enumerate() {
                batch.push(series, time_ms, value((part * 100_000 + i) as i64, time_ms));
            }
            assert_eq!(self.engine.append(batch)?.stored as usize, some.len());
        }
        self.times.push(time_ms);
        Ok(())
    }

    /// All rounds of a span, from a time in it on.
    fn span_from(&mut self, from_ms: i64) -> Result<(), EngineError> {
        let step_ms = (SPAN_MS - (from_ms - START_MS) % SPAN_MS) / self.rounds;
        (0..self.rounds).try_for_each(|round| self.round(from_ms + round * step_ms))
    }

    /// Flushes everything before a time, and keeps series that have nothing left.
    fn flush(&self, cut_ms: i64, expected: u64) -> Result<(), EngineError> {
        assert!(self.refs.iter().all(|series| self.engine.touch(*series)));
        assert_eq!(self.engine.flush_before(cut_ms)?.0, expected);
        Ok(())
    }

    /// Reads every sample before a time: of some series all values are as they were appended, of all together there are so many.
    fn check(&self, end_ms: i64, expected: u64) -> Result<(), Failure> {
        let range = TimeRange::new(START_MS, end_ms - 1);
        let found = self.engine.stored(&Lookup::new(range, &[Matcher::metric("requests_total")]))?;
        assert_eq!(found.len(), self.refs.len());
        let step = found.len().div_ceil(COMPARED);
        let compared: HashMap<Labels, i64> = (0..found.len()).step_by(step).map(|i| (labels(i), i as i64)).collect();
        let (mut columns, mut count) = (Columns::default(), 0);
        for index in 0..found.len() {
            columns.clear();
            found.read(index, range, &mut columns)?;
            let samples =
                || columns.timestamps_ms.iter().zip(&columns.values).filter(|(time, _)| range.contains(**time));
            count += samples().count() as u64;
            if let Some(&i) = compared.get(found.labels(index)) {
                let own: HashMap<i64, f64> = samples().map(|(&time, &value)| (time, value)).collect();
                let mut times = self.times.iter().filter(|time| range.contains(**time));
                assert!(times.all(|time| own.get(time) == Some(&value(i, *time))), "{}", found.labels(index));
            }
        }
        assert_eq!(count, expected, "every sample once");
        Ok(())
    }
}

/// How long this thread has had a processor; 0 where that is not known.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or(0.0) / 1e9
}

/// How long something took.
struct Took {
    cpu: f64,
    clock: f64,
}

fn timed<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<(T, Took), EngineError> {
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let done = work()?;
    Ok((done, Took { cpu: cpu_seconds() - cpu, clock: begun.elapsed().as_secs_f64() }))
}

fn print_rate(what: &str, samples: u64, took: &Took) {
    let (millions, Took { cpu, clock }) = (samples as f64 / 1e6, took);
    let (by_cpu, by_clock) = (millions / cpu, millions / clock);
    println!(
        "{what}: {samples} samples; {by_cpu:.1} M/s in {cpu:.1} s of a processor, {by_clock:.1} M/s in {clock:.1} s"
    );
}

fn merge_all(engine: &Engine) -> Result<CompactionDone, EngineError> {
    let mut all = CompactionDone::default();
    while let Some(done) = engine.compact(StopSign::NEVER, &mut |_| ())? {
        all.samples += done.samples;
        all.blocks_in += done.blocks_in;
        all.blocks_out += done.blocks_out;
    }
    Ok(all)
}

fn print_blocks(dir: &Path) -> Result<(), Failure> {
    println!("{} blocks of {} MiB", std::fs::read_dir(dir.join("blocks"))?.count(), block_bytes(dir)? >> 20);
    Ok(())
}

fn main() -> Result<(), Failure> {
    let mut numbers = std::env::args().skip(1).map_while(|n| n.parse::<usize>().ok());
    let (series, rounds) = (numbers.next().unwrap_or(1_000_000), numbers.next().unwrap_or(120) as i64);
    let dir = std::env::temp_dir().join(format!("mytsdb-flush-beside-{}", std::process::id()));
    let of_span = series as u64 * rounds as u64;
    let [second_ms, third_ms, fourth_ms, end_ms] = [1, 2, 3, 4].map(|span| START_MS + span * SPAN_MS);
    let mut filled = Filled::open(&dir, series, rounds)?;
    filled.span_from(START_MS)?;
    filled.flush(second_ms, of_span)?;
    filled.span_from(second_ms)?;
    filled.flush(third_ms, of_span)?;
    filled.span_from(third_ms)?;
    println!("{series} series, {rounds} samples in two hours");
    println!("an append of {ROWS} samples waits: median, 99 %, longest, in ms");
    let alone = || {
        std::thread::sleep(ALONE);
        Ok(())
    };
    // So that all series have an open chunk while appends are timed.
    filled.round(fourth_ms)?;
    filled.clock.set(end_ms);
    let mut appends = Appends::from(fourth_ms + 1_000);
    let of = (&filled.engine, &filled.refs[..]);
    beside(of, &mut appends, "alone", alone)?;
    let ((flushed, _), took) =
        beside(of, &mut appends, "beside a flush", || timed(|| filled.engine.flush_before(fourth_ms)))?;
    assert_eq!(flushed, of_span);
    print_rate("flush", flushed, &took);
    print_blocks(&dir)?;

    let of_fourth = of_span + appends.count + series as u64;
    filled.span_from(appends.time_ms + 1_000)?;
    filled.round(end_ms)?;
    filled.clock.set(end_ms + SPAN_MS);
    let mut appends = Appends::from(end_ms + 1_000);
    let of = (&filled.engine, &filled.refs[..]);
    beside(of, &mut appends, "alone, later", alone)?;
    let (flush, merge) = beside(of, &mut appends, "beside flush and merge", || {
        std::thread::scope(|scope| {
            let merging = scope.spawn(|| timed(|| merge_all(&filled.engine)));
            let flush = timed(|| filled.engine.flush_before(end_ms));
            let merge = merging.join().expect("a merge does not panic");
            Ok((flush?, merge?))
        })
    })?;
    assert_eq!(flush.0.0, of_fourth);
    print_rate("flush", flush.0.0, &flush.1);
    print_rate("merge", merge.0.samples, &merge.1);
    assert!(merge.0.samples >= 3 * of_span, "{:?}", merge.0);
    print_blocks(&dir)?;
    filled.check(end_ms, 3 * of_span + of_fourth)?;
    drop(filled);
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
