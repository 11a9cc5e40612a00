//! Histograms that an engine gives as tables are answered as those that it gives one by one, bit for bit.
//!
//! The reference operators never ask for tables, all others do where they can. `MYTSDB_TABLE_CASES` sets the number of
//! engines, `MYTSDB_SEED` the seed, which is printed.

use mytsdb_engine::{Batch, Engine, EngineOptions, ManualClock};
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, FloatHistogram, Span};
use mytsdb_io::SimDisk;
use mytsdb_model::{Labels, stale_nan};
use mytsdb_promql::{Cancel, QueryOptions, QueryValue, Series, range};
use mytsdb_query::EngineStorage;
use mytsdb_telemetry::Registry;
use mytsdb_testkit::{Random, seed, setting};
use std::sync::Arc;

const HOUR_MS: i64 = 3_600_000;
const BEGIN_MS: i64 = 100 * HOUR_MS;
const SPAN_MS: i64 = 3 * HOUR_MS;

const QUERIES: [&str; 32] = [
    "rate(m[5m])",
    "increase(m[3m])",
    "delta(m[5m])",
    "rate(m[90s] offset 2m)",
    "increase(m[1h])",
    "rate(m[5m] @ 363000)",
    "irate(m[5m])",
    "idelta(m[3m])",
    "resets(m[10m])",
    "sum(rate(m[5m]))",
    "sum by (kind) (increase(m[4m]))",
    "avg by (kind) (rate(m[5m]))",
    "histogram_quantile(0.9, sum by (kind) (rate(m[5m])))",
    "histogram_quantile(0.5, m)",
    "histogram_quantile(0.99, rate(m[5m]))",
    "histogram_fraction(0, 4, rate(m[5m]))",
    "histogram_quantiles(rate(m[5m]), \"q\", 0.1, 0.9)",
    "histogram_count(m)",
    "histogram_sum(rate(m[5m]))",
    "histogram_avg(increase(m[5m]))",
    "histogram_fraction(0, 4, m)",
    "histogram_stddev(rate(m[5m]))",
    "m",
    "m offset 7m",
    "sum by (kind) (m)",
    "count(m) + count(rate(m[2m]))",
    "histogram_count(rate(m[5m]))",
    "histogram_avg(m)",
    "sum by (kind) (histogram_sum(m))",
    "histogram_count(sum by (kind) (increase(m[3m])))",
    "rate(m[10m] smoothed)",
    "increase(m[10m] anchored)",
];

/// How the histograms of a series come one after the other.
struct Shape {
    schema: i32,
    bounds: Vec<f64>,
    are_floats: bool,
    hint: CounterResetHint,
    /// One of so many samples changes the layout, resets, is stale, is missing.
    layouts: u64,
    resets: u64,
    stale: u64,
    gaps: u64,
    /// One of so many is a float, comes late.
    floats: u64,
    late: u64,
    has_starts: bool,
}

fn shape(random: &mut Random) -> Shape {
    let is_custom = random.one_in(4);
    let rare = |random: &mut Random| if random.one_in(2) { u64::MAX } else { 5 + random.below(80) };
    Shape {
        schema: if is_custom { CUSTOM_SCHEMA } else { random.below(4) as i32 },
        bounds: if is_custom { vec![0.5, 1.0, 2.5, 5.0, 10.0, 20.0] } else { Vec::new() },
        are_floats: random.one_in(4),
        hint: if random.one_in(5) { CounterResetHint::Gauge } else { CounterResetHint::Unknown },
        layouts: rare(random),
        resets: rare(random),
        stale: rare(random),
        gaps: rare(random),
        floats: if random.one_in(8) { 30 } else { u64::MAX },
        late: if random.one_in(6) { 30 } else { u64::MAX },
        has_starts: random.one_in(4),
    }
}

/// A histogram of some layout whose buckets are `0` or grow from call to call.
fn next(random: &mut Random, shape: &Shape, buckets: &mut [f64; 7], layout: &[Span]) -> FloatHistogram {
    for bucket in buckets.iter_mut() {
        if !random.one_in(3) {
            *bucket += if shape.are_floats { random.unit() * 9.0 } else { random.below(9) as f64 };
        }
    }
    let positive: usize = layout.iter().map(|span| span.length as usize).sum();
    let is_custom = !shape.bounds.is_empty();
    let negative = if is_custom || positive > 5 { 0 } else { 2 };
    let zero_count = if is_custom { 0.0 } else { buckets[6] };
    let (positive_buckets, negative_buckets) = (buckets[..positive].to_vec(), buckets[4..4 + negative].to_vec());
    FloatHistogram {
        counter_reset_hint: shape.hint,
        schema: shape.schema,
        zero_threshold: if is_custom { 0.0 } else { 0.001 },
        zero_count,
        count: zero_count + positive_buckets.iter().sum::<f64>() + negative_buckets.iter().sum::<f64>(),
        sum: random.unit() * 100.0,
        positive_spans: layout.to_vec(),
        negative_spans: if negative > 0 { vec![Span { offset: 1, length: 2 }] } else { Vec::new() },
        positive_buckets,
        negative_buckets,
        custom_values: shape.bounds.clone(),
    }
}

fn layout(random: &mut Random) -> Vec<Span> {
    let spans: [&[(i32, u32)]; 6] =
        [&[(0, 6)], &[(0, 2), (1, 3)], &[(1, 1), (0, 2), (2, 1)], &[(2, 3)], &[], &[(0, 3), (0, 0), (1, 2)]];
    let picked = spans[random.index(spans.len())];
    picked.iter().map(|&(offset, length)| Span { offset, length }).collect()
}

/// An engine with some series, part of which are in a block.
fn engine(random: &mut Random) -> Engine {
    let clock = Arc::new(ManualClock::new(BEGIN_MS + SPAN_MS));
    let engine = Engine::open(Arc::new(SimDisk::new()), clock, EngineOptions::new("/data"), &Registry::new())
        .expect("an empty disk")
        .0;
    let (mut batch, mut late) = (Batch::default(), Batch::default());
    for number in 0..=random.below(6) {
        let shape = shape(random);
        let labels =
            [("__name__", "m"), ("kind", if shape.bounds.is_empty() { "e" } else { "c" }), ("n", &number.to_string())];
        let series = engine.resolve(&Labels::from_pairs(labels)).expect("a valid series");
        let (mut buckets, mut spans) = ([0.0; 7], layout(random));
        let (mut start_ms, mut at) = (BEGIN_MS - 1, BEGIN_MS + random.below(400_000) as i64);
        while at < BEGIN_MS + SPAN_MS {
            if random.one_in(shape.layouts) {
                spans = layout(random);
            }
            if random.one_in(shape.resets) {
                buckets = [0.0; 7];
                start_ms = at - 1;
            }
            let mut histogram = next(random, &shape, &mut buckets, &spans);
            if random.one_in(shape.stale) {
                histogram = FloatHistogram { sum: stale_nan(), ..FloatHistogram::default() };
            }
            let to = if random.one_in(shape.late) { &mut late } else { &mut batch };
            if random.one_in(shape.floats) {
                to.push(series, at, random.unit());
            } else {
                to.push_histogram(series, at, if shape.has_starts { start_ms } else { 0 }, &histogram)
                    .expect("it is valid");
            }
            at += 15_000;
            if random.one_in(shape.gaps) {
                at += random.below(900_000) as i64;
            }
        }
    }
    engine.append(batch).expect("in order");
    if random.one_in(2) {
        engine.flush_before(BEGIN_MS + random.below(SPAN_MS as u64) as i64).expect("the disk has room");
    }
    if !late.is_empty() {
        engine.append(late).expect("within the retention");
    }
    engine
}

/// Everything of a series, floats by their bits; a line for each histogram.
fn bits(series: &Series) -> Vec<String> {
    let of = |floats: &[f64]| floats.iter().map(|f| if f.is_nan() { 1 } else { f.to_bits() }).collect::<Vec<_>>();
    let head = format!("{:?} {:?} {:?}", series.labels, series.timestamps_ms, of(&series.values));
    let histograms = series.histogram_timestamps_ms.iter().zip(&series.histograms).map(|(time, h)| {
        let singles = of(&[h.zero_threshold, h.zero_count, h.count, h.sum]);
        let buckets = [of(&h.positive_buckets), of(&h.negative_buckets), of(&h.custom_values)];
        let (hint, spans) = (h.counter_reset_hint, [&h.positive_spans, &h.negative_spans]);
        format!("{time}: {hint:?} {} {singles:?} {spans:?} {buckets:?}", h.schema)
    });
    std::iter::once(head).chain(histograms).collect()
}

#[test]
fn tables_and_single_histograms_give_the_same_answers() {
    let (seed, cases) = (seed(1), setting("MYTSDB_TABLE_CASES", 12));
    for case in 0..cases {
        let mut random = Random::of_case(seed, case);
        let storage = EngineStorage::new(Arc::new(engine(&mut random)));
        let start_ms = BEGIN_MS + random.below(SPAN_MS as u64) as i64;
        let step_ms = random.pick(&[15_000, 60_000, 61_007, 400_000]);
        let end_ms = (BEGIN_MS + SPAN_MS + 60_000).min(start_ms + 100 * step_ms);
        for query in QUERIES {
            let expr = mytsdb_promql_syntax::parse(query).expect("a valid query");
            for use_start_timestamps in [false, true] {
                let ask = |optimise: bool| {
                    let options = QueryOptions { optimise, use_start_timestamps, ..QueryOptions::default() };
                    let found = range(&storage, &expr, start_ms, end_ms, step_ms, &options, &Cancel::default());
                    let found = found.expect("within the limits");
                    let QueryValue::Matrix(series) = found.value else { panic!("a range query gives a matrix") };
                    let mut remarks = [found.annotations.warnings("", 0), found.annotations.infos("", 0)].concat();
                    remarks.sort_unstable();
                    (series.iter().map(bits).collect::<Vec<_>>(), remarks, found.stats.samples_read)
                };
                let (found, expected) = (ask(true), ask(false));
                let place = format!("MYTSDB_SEED={seed}, case {case}, {query} from {start_ms} each {step_ms}");
                assert_eq!(found.0.len(), expected.0.len(), "{place}");
                for (found, expected) in found.0.iter().zip(&expected.0) {
                    assert_eq!(found, expected, "{place}");
                }
                assert_eq!(found.1, expected.1, "{place}");
                assert_eq!(found.2, expected.2, "samples read: {place}");
            }
        }
    }
}
