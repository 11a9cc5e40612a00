//! How soon queries over many series see that they are cancelled, and how soon they end.
//!
//! `cargo run --profile ci -p mytsdb-promql --example cancel -- [SERIES]`. Seen: the longest time between two looks at the
//! handle, on one thread and with a pool. Ended: cancelled at many moments, with all memory given back.
#![expect(clippy::unwrap_used, reason = "an example that cannot go on stops")]

use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, Finding, QueryOptions, SelectHints, SeriesSet, Storage, StorageError, WorkerPool, instant, range,
};
use mytsdb_promql_syntax::parse;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Moments at which each query is cancelled.
const MOMENTS: u32 = 24;

/// Runs of which the looks are noted.
const RUNS: usize = 5;

struct Many(Vec<Labels>);

impl SeriesSet for &Many {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn labels(&self, index: usize) -> &Labels {
        &self.0[index]
    }
    fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        let times = (0..20).map(|i| range.maxt - (19 - i) * 15_000);
        out.timestamps_ms.extend(times.filter(|&t| t >= range.mint));
        out.values.resize(out.timestamps_ms.len(), (index.wrapping_mul(2_654_435_761) % 1_000_003) as f64);
        Ok(())
    }

    fn may_have_label(&self, _: &str) -> bool {
        true
    }

    fn recall(&self, _: &[u8]) -> Option<Finding> {
        None
    }

    fn remember(&self, _: &[u8], _: Finding, _: usize) {}

    fn read_table(&self, _: usize, _: TimeRange, _: bool, _: &mut HistogramTable) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn read_outline(&self, _: usize, _: TimeRange, _: &Outlining<'_>, _: &mut Outline) -> Result<bool, StorageError> {
        Ok(false)
    }
}

impl Storage for Many {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        Ok(Box::new(self))
    }

    fn is_plain(&self) -> bool {
        false
    }
}

const QUERIES: [&str; 22] = [
    "m",
    "rate(m[5m])",
    "sum by (job) (rate(m[5m]))",
    "sum by (i) (m)",
    "sum without (job) (m)",
    "topk(10, m)",
    "topk(1000, m)",
    "quantile(0.9, m)",
    "count_values(\"v\", m)",
    "m * on (i) group_left () m",
    "m or m * 2",
    "m and on (i) m",
    "m unless on (job) m",
    "m * on (i) m",
    "limitk(100000, m)",
    "limit_ratio(0.5, m)",
    "histogram_quantile(0.9, label_replace(m, \"le\", \"$1\", \"i\", \"0*(.*)\"))",
    "quantile by (i) (0.9, m)",
    "absent(m)",
    "sort(m)",
    "sort_by_label(m, \"i\")",
    "label_replace(m, \"x\", \"$1\", \"i\", \"(.*)\")",
];

/// Evaluates `query` once at one step, or as a range query of so many.
struct Question<'s> {
    storage: &'s Many,
    query: &'s str,
    steps: i64,
    pool: Option<WorkerPool>,
}

impl Question<'_> {
    fn ask(&self, cancel: &Cancel) -> bool {
        let expr = parse(self.query).unwrap();
        let options = QueryOptions { pool: self.pool.clone(), ..QueryOptions::default() };
        let start_ms = 1_000_000;
        if self.steps == 1 {
            return instant(self.storage, &expr, start_ms, &options, cancel).is_ok();
        }
        let end_ms = start_ms + (self.steps - 1) * 15_000;
        range(self.storage, &expr, start_ms, end_ms, 15_000, &options, cancel).is_ok()
    }

    /// The time until each look at the handle, and until the answer's memory is given back.
    fn looks(&self) -> Vec<Duration> {
        let looks = Arc::new(Mutex::new(Vec::with_capacity(1 << 20)));
        let (noted, began) = (Arc::clone(&looks), Instant::now());
        let cancel = Cancel::new().unless(move || {
            noted.lock().unwrap().push(began.elapsed());
            true
        });
        assert!(self.ask(&cancel), "{}", self.query);
        let mut looks = std::mem::take(&mut *looks.lock().unwrap());
        looks.push(began.elapsed());
        looks
    }

    /// The longest time between two looks but the last, and that from the last look to the end.
    ///
    /// On one thread a query does the same between the same two looks each time, so of each gap the shortest of a few runs
    /// counts: what the machine did meanwhile is left out. With several threads it is the shortest of the longest.
    fn gaps(&self) -> (Duration, Duration) {
        let runs: Vec<Vec<Duration>> = (0..RUNS)
            .map(|_| {
                let looks = self.looks();
                looks
                    .iter()
                    .scan(Duration::ZERO, |last, &look| Some(look.saturating_sub(std::mem::replace(last, look))))
                    .collect()
            })
            .collect();
        let last = runs.iter().filter_map(|gaps| gaps.last()).min().unwrap();
        let longest = if self.pool.is_none() {
            (0..runs[0].len() - 1).map(|at| runs.iter().map(|gaps| gaps[at]).min().unwrap()).max()
        } else {
            runs.iter().filter_map(|gaps| gaps[..gaps.len() - 1].iter().copied().max()).min()
        };
        (longest.unwrap(), *last)
    }

    /// How long the query went on after it was cancelled at many moments, in order.
    fn late(&self) -> Vec<Duration> {
        let began = Instant::now();
        assert!(self.ask(&Cancel::new()));
        let whole = began.elapsed();
        let after = |moment| {
            let cancel = Cancel::new();
            std::thread::scope(|scope| {
                let canceller = cancel.clone();
                let waited = scope.spawn(move || {
                    std::thread::sleep(whole * moment / MOMENTS);
                    canceller.cancel();
                    Instant::now()
                });
                self.ask(&cancel);
                let ended = Instant::now();
                ended.saturating_duration_since(waited.join().unwrap())
            })
        };
        let mut late: Vec<Duration> = (0..MOMENTS).map(after).collect();
        late.sort();
        late
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let series: usize = args.next().map_or(150_000, |text| text.parse().unwrap());
    let steps: i64 = args.next().map_or(1, |text| text.parse().unwrap());
    let labels =
        |i: usize| Labels::from_pairs([("__name__", "m"), ("i", &format!("{i:07}")), ("job", &format!("j{}", i % 50))]);
    let storage = Many((0..series).map(labels).collect());
    println!("{series} series, {steps} steps; ms");
    println!("  longest between looks     last look to end    cancelled to end");
    println!("one thread  two threads  one thread  two threads  median  longest");
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    for query in QUERIES {
        let alone = Question { storage: &storage, query, steps, pool: None };
        let (gap, last) = alone.gaps();
        let helped = Question { pool: Some(WorkerPool::new(1).unwrap()), ..alone };
        let (helped_gap, helped_last) = helped.gaps();
        let late = helped.late();
        println!(
            "{:10.2} {:12.2} {:11.2} {:12.2} {:7.2} {:8.2}  {query}",
            ms(gap),
            ms(helped_gap),
            ms(last),
            ms(helped_last),
            ms(late[late.len() / 2]),
            ms(late[late.len() - 1]),
        );
    }
}
