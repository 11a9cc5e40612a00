//! A question asked again, with what was found before remembered and not; both find the same.
//!
//! `cargo bench -p mytsdb-engine --bench cache`. Data: 20,000 series in a block, and in the head again.

use criterion::{Criterion, criterion_group, criterion_main};
use mytsdb_columns::Columns;
use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_model::{Labels, MatchOp, Matcher, TimeRange};
use std::hint::black_box;
use std::sync::Arc;

const SERIES: usize = 20_000;
const START_MS: i64 = 1_700_000_000_000;
const STEP_MS: i64 = 15_000;

fn engine(selection_cache_bytes: usize) -> Engine {
    let options = EngineOptions { selection_cache_bytes, ..EngineOptions::new("/data") };
    let clock = Arc::new(ManualClock::new(START_MS + 2 * STEP_MS));
    let disk = Arc::new(mytsdb_io::SimDisk::new());
    let registry = mytsdb_telemetry::Registry::new();
    let (engine, _) = Engine::open(disk, clock, options, &registry).expect("opens");
    let labels = |i: usize| {
        let (pod, job) = (format!("pod-{i:x}"), format!("job-{}", i % 50));
        Labels::from_pairs([("__name__", "m"), ("job", &job), ("pod", &pod)])
    };
    let refs: Vec<_> = (0..SERIES).map(|i| engine.resolve(&labels(i)).expect("a new series")).collect();
    for round in 0..2 {
        let mut batch = Batch::with_capacity(SERIES);
        for (i, &series) in refs.iter().enumerate() {
            batch.push(series, START_MS + round * STEP_MS, i as f64);
        }
        engine.append(batch).expect("stored");
        engine.flush_before(START_MS + 1).expect("a block");
    }
    engine
}

/// Labels and samples, in order.
fn answer(engine: &Engine, matchers: &[Matcher]) -> Vec<(Labels, Vec<f64>)> {
    let found = engine.select(TimeRange::ALL, matchers).expect("found");
    let read = |index: usize| {
        let mut columns = Columns::default();
        found.read(index, TimeRange::ALL, &mut columns).expect("read");
        (found.labels(index).clone(), columns.values)
    };
    (0..found.len()).map(read).collect()
}

fn cache(c: &mut Criterion) {
    let (remembering, forgetting) = (engine(64 << 20), engine(0));
    let regex = Matcher::new(MatchOp::Regex, "pod", "pod-.*0f").expect("a valid pattern");
    let mut group = c.benchmark_group("asked again");
    for (name, matchers, count) in [
        ("job", vec![Matcher::equal("__name__", "m"), Matcher::equal("job", "job-7")], SERIES / 50),
        ("regex", vec![Matcher::equal("__name__", "m"), regex], 78),
    ] {
        let expected = answer(&forgetting, &matchers);
        assert!(expected.iter().all(|(_, values)| values.len() == 2), "a sample of the block, a sample of the head");
        assert_eq!(expected.len(), count);
        assert!((0..2).all(|_| answer(&remembering, &matchers) == expected));
        for (how, engine) in [("remembered", &remembering), ("forgotten", &forgetting)] {
            group.bench_function(format!("{name}, {how}"), |b| {
                b.iter(|| {
                    let found = engine.select(TimeRange::ALL, black_box(&matchers)).expect("found");
                    assert_eq!(found.len(), count);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, cache);
criterion_main!(benches);
