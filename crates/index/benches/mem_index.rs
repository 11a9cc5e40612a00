//! The head's index at 1,000 metrics x 200 instances: add, and selections of several shapes; results asserted.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use mytsdb_index::MemIndex;
use mytsdb_model::{Labels, MatchOp, Matcher, SeriesRef};
use mytsdb_stop::StopSign;

const METRICS: usize = 1_000;
const INSTANCES: usize = 200;

fn series() -> Vec<Labels> {
    let mut out = Vec::with_capacity(METRICS * INSTANCES);
    for metric in 0..METRICS {
        for instance in 0..INSTANCES {
            let number = metric * INSTANCES + instance;
            out.push(Labels::from_pairs([
                ("__name__", format!("metric_{metric}_total")),
                ("cluster", format!("eu-{}", instance % 3)),
                ("env", "prod".to_owned()),
                ("instance", format!("10.0.{}.{}:9100", instance / 250, instance % 250)),
                ("job", format!("job-{}", instance % 20)),
                ("path", format!("/api/v1/resource/{}", number % 50_000)),
                ("pod", format!("pod-{number:x}")),
                ("zone", format!("z{}", instance % 4)),
            ]));
        }
    }
    out
}

fn bench(c: &mut Criterion) {
    let series = series();
    let fill = |index: &mut MemIndex| {
        series.iter().enumerate().for_each(|(i, labels)| index.add(SeriesRef(i as u64 + 1), labels));
    };
    let mut group = c.benchmark_group("mem_index");
    group.sample_size(10);
    group.throughput(Throughput::Elements(series.len() as u64));
    group.bench_function("add/200k", |b| {
        b.iter_batched_ref(MemIndex::new, fill, BatchSize::PerIteration);
    });
    group.finish();

    let mut index = MemIndex::new();
    fill(&mut index);
    println!("heap: {} bytes per series", index.heap_bytes() / series.len());
    let index = index.snapshot();
    let regex = |name: &str, pattern: &str| Matcher::new(MatchOp::Regex, name, pattern).expect("a valid pattern");
    let metric = || Matcher::equal("__name__", "metric_7_total");
    let cases = [
        ("metric and job", vec![metric(), Matcher::equal("job", "job-3")]),
        ("job and instance", vec![Matcher::equal("job", "job-3"), Matcher::equal("instance", "10.0.0.3:9100")]),
        ("metric and pod regex", vec![metric(), regex("pod", "pod-.*0")]),
        ("pod regex alone", vec![regex("pod", ".*-.*00f")]),
        ("pod prefix", vec![regex("pod", "pod-1ab.*")]),
        ("all but one zone", vec![Matcher::new(MatchOp::NotEqual, "zone", "z0").expect("plain")]),
    ];
    let mut group = c.benchmark_group("mem_index/select");
    for (name, matchers) in cases {
        let fits = |l: &&Labels| matchers.iter().all(|m| m.matches(l.get(m.name()).unwrap_or("")));
        let expected = series.iter().filter(fits).count();
        assert!(expected > 0, "{name}");
        assert_eq!(index.select(&matchers, StopSign::NEVER).map(|found| found.len()), Ok(expected), "{name}");
        group.bench_function(name, |b| b.iter(|| index.select(&matchers, StopSign::NEVER)));
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
