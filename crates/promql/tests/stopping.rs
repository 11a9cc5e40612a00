//! A query stops at the first look at its handle that says so, whichever it is, and gives back what it held.

use mytsdb_model::Labels;
use mytsdb_promql::{Cancel, EvalError, MemoryBudget, QueryOptions, WorkerPool, instant, range};
use mytsdb_promql_syntax::parse;
use mytsdb_promql_testkit::TestStorage;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SERIES: usize = 6_000;
const STEP_MS: i64 = 60_000;

/// Moments of each query at which it is stopped.
const MOMENTS: usize = 16;

const QUERIES: [&str; 30] = [
    "m",
    "-m",
    "rate(m[5m])",
    "max_over_time(m[5m:1m])",
    "sum by (i) (m)",
    "avg without (job) (m)",
    "sum by (job) (m)",
    "topk(10, m)",
    "topk by (i) (2, m)",
    "bottomk(1000, m)",
    "limitk(3000, m)",
    "limit_ratio(0.5, -m)",
    "quantile(0.9, m)",
    "quantile by (i) (0.9, m)",
    "count_values(\"v\", m)",
    "m * on (i) group_left () m",
    "m * on (i) m",
    "m + on (i) fill (0) m",
    "m or m * 2",
    "m and on (i) m",
    "m unless on (i) m{job=\"1\"}",
    "sort(m)",
    "sort_desc(m)",
    "sort_by_label(m, \"i\")",
    "label_replace(m, \"x\", \"$1\", \"i\", \"(.*)\")",
    "label_join(m, \"x\", \"-\", \"i\", \"job\")",
    "histogram_quantile(0.9, label_replace(m, \"le\", \"$1\", \"i\", \"0*(.*)\"))",
    "info(m)",
    "absent(m)",
    "scalar(m)",
];

fn storage() -> TestStorage {
    let mut storage = TestStorage::new();
    for i in 0..SERIES {
        let labels = Labels::from_pairs([("__name__", "m"), ("i", &format!("{i:05}")), ("job", &(i % 7).to_string())]);
        for t in 0..8 {
            storage.append(&labels, t * STEP_MS, ((i * 7_919) % 5_003) as f64, 0).expect("times ascend");
        }
    }
    storage
}

/// Evaluates `query` until look number `last`, and says how it ended and how often it looked.
fn ask(
    storage: &TestStorage,
    query: &str,
    steps: i64,
    options: &QueryOptions,
    last: usize,
) -> (Option<EvalError>, usize) {
    let expr = parse(query).expect("a valid query");
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    let cancel = Cancel::new().unless(move || counted.fetch_add(1, Ordering::Relaxed) < last);
    let ended = if steps == 1 {
        instant(storage, &expr, 7 * STEP_MS, options, &cancel).err()
    } else {
        range(storage, &expr, 0, (steps - 1) * STEP_MS, STEP_MS, options, &cancel).err()
    };
    (ended, looks.load(Ordering::Relaxed))
}

fn every_look_is_obeyed(threads: usize, steps: i64) {
    let storage = storage();
    let memory = MemoryBudget::new(1 << 32, "the test's limit");
    let pool = (threads > 1).then(|| WorkerPool::new(threads - 1).expect("there are threads to be had"));
    let options = QueryOptions { pool, memory: Some(memory.clone()), ..QueryOptions::default() };
    for query in QUERIES {
        let (ended, looks) = ask(&storage, query, steps, &options, usize::MAX);
        assert!(ended.is_none(), "{query}: {ended:?}");
        // A look for every run of the longest that work goes without.
        assert!(looks >= SERIES / 4_096, "{query}: {looks} looks");
        for moment in 0..MOMENTS.min(looks) {
            let last = looks * moment / MOMENTS.min(looks);
            let (ended, looked) = ask(&storage, query, steps, &options, last);
            // Threads share the work anew each time, so the last of the looks may not come.
            if threads == 1 || moment < MOMENTS / 2 {
                assert!(matches!(ended, Some(EvalError::Canceled)), "{query} at look {last} of {looks}: {ended:?}");
            }
            // A thread that was told so may begin a few more chunks, which end at their first look.
            assert!(
                looked <= last + 16 * threads,
                "{query} looked {looked} times after look {last} of {looks} said no"
            );
        }
        assert_eq!(memory.used_bytes(), 0, "{query}");
    }
}

#[test]
fn one_thread_obeys_every_look() {
    every_look_is_obeyed(1, 1);
    every_look_is_obeyed(1, 5);
}

#[test]
fn several_threads_obey_every_look() {
    every_look_is_obeyed(3, 1);
    every_look_is_obeyed(3, 5);
}
