//! How soon queries over many series end after they are cancelled: each is cancelled at many moments of its evaluation.
//!
//! `cargo run --profile ci -p mytsdb-promql --example cancel -- [SERIES]`; the time includes giving back all memory.
#![expect(clippy::unwrap_used, reason = "an example that cannot go on stops")]

use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, Columns, QueryOptions, SelectHints, SeriesSet, Storage, StorageError, WorkerPool, instant, parse,
};
use std::time::{Duration, Instant};

/// As in the server.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Moments at which each query is cancelled.
const MOMENTS: u32 = 40;

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
}

impl Storage for Many {
    fn select(&self, _: &SelectHints, _: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        Ok(Box::new(self))
    }
}

const QUERIES: [&str; 14] = [
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
    "sort(m)",
    "sort_by_label(m, \"i\")",
    "label_replace(m, \"x\", \"$1\", \"i\", \"(.*)\")",
];

fn main() {
    let series: usize = std::env::args().nth(1).map_or(300_000, |text| text.parse().unwrap());
    let labels =
        |i: usize| Labels::from_pairs([("__name__", "m"), ("i", &format!("{i:07}")), ("job", &format!("j{}", i % 50))]);
    let storage = Many((0..series).map(labels).collect());
    let pool = WorkerPool::new(1).unwrap();
    println!("{series} series; ms: whole, then after cancelling: median, longest");
    for query in QUERIES {
        let expr = parse(query).unwrap();
        let run = |cancel: &Cancel| {
            let options = QueryOptions { pool: Some(pool.clone()), ..QueryOptions::default() };
            instant(&storage, &expr, 1_000_000, &options, cancel).is_ok()
        };
        let began = Instant::now();
        assert!(run(&Cancel::new()), "{query}");
        let whole = began.elapsed();
        let mut late: Vec<Duration> = (0..MOMENTS)
            .map(|moment| {
                let cancel = Cancel::new();
                std::thread::scope(|scope| {
                    let canceller = cancel.clone();
                    let waited = scope.spawn(move || {
                        std::thread::sleep(whole * moment / MOMENTS);
                        canceller.cancel();
                        Instant::now()
                    });
                    run(&cancel);
                    let ended = Instant::now();
                    ended.saturating_duration_since(waited.join().unwrap())
                })
            })
            .collect();
        late.sort();
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        println!("{:8.1} {:8.2} {:8.2}  {query}", ms(whole), ms(late[late.len() / 2]), ms(late[late.len() - 1]));
    }
}
