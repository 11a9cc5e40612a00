//! Random series of every kind that PromQL treats in a way of its own.

use anyhow::Context;
use mytsdb_histogram::{CUSTOM_SCHEMA, CounterResetHint, FloatHistogram, Span};
use mytsdb_model::{Labels, stale_nan};
use mytsdb_promql_syntax::parse_duration_ms;
use mytsdb_promql_testkit::{Judge, SequenceItem, TestStorage, Words, parse_series_description};
use mytsdb_testkit::Random;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The first sample is not before this time.
pub const START_MS: i64 = 1_700_000_003_000;
/// The samples lie within this time, short enough for the peer's window of accepted times.
pub const SPAN_MS: i64 = 50 * 60_000;

/// What the random data have.
pub const VOCABULARY: Words = Words {
    judge: Judge::OtherProgram,
    names: &["c_total", "c_total", "g", "g", "i", "i", "w", "h", "h", "hg", "hc", "hc", "hx", "hx", "b_bucket", "t"],
    rare: &["typed", "{\"odd.name\"}", "nothing", "{__name__=~\"c_total|g\"}", "{__name__=~\"h|hc\"}", "target_info"],
    histograms: &["h", "hg", "hc", "hx", "b_bucket"],
    integers: "i",
    times: "t",
    infos: &[
        "{version=~\".+\"}",
        "{__name__=\"build_info\"}",
        "{__name__=~\".*_info\"}",
        "{zone=\"z1\"}",
        "{version=\"1.9\"}",
        "{commit=~\".*\"}",
        "{__name__=~\".*_info\", commit=~\".+\"}",
        "{version!=\"1.9\"}",
    ],
    from_s: START_MS / 1_000,
    span_s: SPAN_MS as u64 / 1_000,
};

/// A sample of either kind.
pub enum Point {
    Float(f64),
    Histogram(FloatHistogram),
}

/// Series in ascending order of labels: the peer then finds them in the order in which ours are kept.
pub type Data = BTreeMap<Labels, Vec<(i64, Point)>>;

#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Counter,
    Gauge,
    Integers,
    Wild,
    Timestamps,
    One,
    Exponential,
    GaugeExponential,
    Custom,
    Mixed,
}

/// All series of a seed.
pub fn random_data(seed: u64) -> Data {
    let random = &mut Random::of_case(seed, u64::MAX);
    let mut data = Data::new();
    for (name, shape, series) in [
        ("c_total", Shape::Counter, 6),
        ("g", Shape::Gauge, 6),
        ("i", Shape::Integers, 7),
        ("w", Shape::Wild, 5),
        ("t", Shape::Timestamps, 2),
        ("h", Shape::Exponential, 5),
        ("hg", Shape::GaugeExponential, 3),
        ("hc", Shape::Custom, 4),
        ("hx", Shape::Mixed, 4),
    ] {
        for i in 0..series {
            let (job, instance) = (format!("j{}", i % 3), i.to_string());
            let labels = Labels::from_pairs([("__name__", name), ("job", &job), ("instance", &instance)]);
            let points = points(random, shape);
            data.insert(labels, points);
        }
    }
    let odd = [("__name__", "odd.name"), ("dotted.label", "ü"), ("job", "j0"), ("instance", "0")];
    let typed = [("__name__", "typed"), ("__type__", "counter"), ("__unit__", "s"), ("job", "j1"), ("instance", "1")];
    data.insert(Labels::from_pairs(odd), points(random, Shape::Gauge));
    data.insert(Labels::from_pairs(typed), points(random, Shape::Counter));
    for (name, instance, version) in [
        ("target_info", "0", "1.10"),
        ("target_info", "1", "1.9"),
        ("target_info", "3", "2"),
        ("build_info", "1", "b1"),
    ] {
        let job = ["j0", "j1", "", "j0"][instance.parse::<usize>().unwrap_or(0)];
        let extra = if name == "build_info" { "commit" } else { "version" };
        let pairs = [("__name__", name), ("job", job), ("instance", instance), (extra, version), ("zone", "z1")];
        data.insert(Labels::from_pairs(pairs), points(random, Shape::One));
    }
    classic(random, &mut data);
    data
}

/// The series of a `load` block, the first samples at [`START_MS`].
pub fn loaded_data(block: &str) -> anyhow::Result<Data> {
    let mut lines = block.lines().map(str::trim).filter(|line| !line.is_empty());
    let head = lines.next().and_then(|line| line.strip_prefix("load ")).context("no `load STEP`")?;
    let step_ms = parse_duration_ms(head.trim()).map_err(anyhow::Error::msg)?;
    let mut data = Data::new();
    for line in lines {
        let series = parse_series_description(line).with_context(|| line.to_owned())?;
        let points = data.entry(series.labels).or_default();
        for (i, item) in series.values.into_iter().enumerate() {
            let point = match item {
                SequenceItem::Gap => continue,
                SequenceItem::Float(value) => Point::Float(value),
                SequenceItem::Histogram(item) => Point::Histogram(FloatHistogram::clone(&item.histogram)),
            };
            points.push((START_MS + step_ms * i as i64, point));
        }
    }
    Ok(data)
}

/// The same series in the storage of ours.
pub fn storage(data: &Data) -> Result<TestStorage, mytsdb_promql::StorageError> {
    let mut storage = TestStorage::new();
    for (labels, points) in data {
        for (time, point) in points {
            match point {
                Point::Float(value) => storage.append(labels, *time, *value, 0)?,
                Point::Histogram(h) => storage.append_histogram(labels, *time, &Arc::new(h.clone()), 0)?,
            }
        }
    }
    Ok(storage)
}

/// The times of a series: regular or not, with gaps or without, from the start or later.
fn times(random: &mut Random) -> Vec<i64> {
    let step = random.pick(&[15_000, 30_000, 60_000, 90_000]);
    let (regular, gaps) = (random.one_in(2), random.one_in(2));
    let mut at = random.below(60_000) as i64;
    if random.one_in(4) {
        at += random.below(900_000) as i64;
    }
    if random.one_in(3) {
        at -= at % 1_000;
    }
    let mut out = Vec::new();
    while at < SPAN_MS {
        out.push(START_MS + at);
        at += if regular { step } else { step / 2 + random.below(step as u64) as i64 };
        if gaps && random.one_in(15) {
            at += random.below(600_000) as i64;
        }
    }
    out
}

fn points(random: &mut Random, shape: Shape) -> Vec<(i64, Point)> {
    let stale = random.one_in(3);
    let mut value = 0.0;
    let mut last: Option<FloatHistogram> = None;
    let mut out = Vec::new();
    for time in times(random) {
        let histogram = match shape {
            Shape::Exponential | Shape::GaugeExponential | Shape::Custom => true,
            Shape::Mixed => !random.one_in(4),
            _ => false,
        };
        if stale && random.one_in(20) {
            let marker = FloatHistogram { sum: stale_nan(), ..FloatHistogram::default() };
            out.push((time, if histogram { Point::Histogram(marker) } else { Point::Float(stale_nan()) }));
            continue;
        }
        if histogram {
            let next = next_histogram(random, shape, last.as_ref());
            out.push((time, Point::Histogram(next.clone())));
            last = Some(next);
            continue;
        }
        value = match shape {
            Shape::Counter if random.one_in(25) => random.unit(),
            Shape::Counter if random.one_in(4) => value,
            Shape::Counter => value + (random.unit() * 1e4).round() / 1e3,
            Shape::Integers => random.below(9) as f64 - 3.0,
            Shape::Timestamps => (random.unit() - 0.4) * random.pick(&[1e6, 1e10, 1e12, 4e9]),
            Shape::One => 1.0,
            Shape::Wild if random.one_in(3) => {
                // The smallest is not subnormal: Prometheus' logarithm of such numbers depends on the processor.
                random.pick(&[f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, -1e300, 0.0, -0.0, 3e-308, 1e-7, 1e21])
            }
            Shape::Wild => random.unit() * 100.0,
            _ => (random.unit() - 0.5) * 1e3,
        };
        out.push((time, Point::Float(value)));
    }
    out
}

fn next_histogram(random: &mut Random, shape: Shape, last: Option<&FloatHistogram>) -> FloatHistogram {
    let gauge = shape == Shape::GaugeExponential || (shape == Shape::Mixed && random.one_in(8));
    let fresh = match shape {
        Shape::Mixed => random.one_in(4),
        _ => random.one_in(20),
    };
    let mut h = match last {
        // In Prometheus all gauge histograms of a chunk have the buckets of any of them, if empty ones, and where there
        // are negative buckets the zero bucket reaches below zero: no new layout for them.
        Some(last) if shape == Shape::GaugeExponential && !last.positive_buckets.is_empty() => last.clone(),
        Some(last) if !fresh && !last.positive_buckets.is_empty() => last.clone(),
        _ if shape == Shape::Custom || (shape == Shape::Mixed && random.one_in(3)) => custom(random),
        _ => exponential(random),
    };
    let grow = |random: &mut Random, count: &mut f64| {
        *count += if random.one_in(3) { 0.0 } else { random.below(6) as f64 };
        if random.one_in(40) {
            *count += 0.5;
        }
    };
    h.positive_buckets.iter_mut().for_each(|count| grow(random, count));
    h.negative_buckets.iter_mut().for_each(|count| grow(random, count));
    if h.schema != CUSTOM_SCHEMA {
        grow(random, &mut h.zero_count);
    }
    if gauge && random.one_in(6) {
        h.positive_buckets.iter_mut().for_each(|count| *count = (*count - 3.0).max(0.0));
    }
    h.count = h.zero_count + h.positive_buckets.iter().sum::<f64>() + h.negative_buckets.iter().sum::<f64>();
    h.sum += (random.unit() * 400.0).round() / 8.0 - if h.negative_buckets.is_empty() { 0.0 } else { 20.0 };
    // No sums of NaN: where counts are below zero beside them, quantiles are not yet those of Prometheus.
    h.counter_reset_hint = if gauge { CounterResetHint::Gauge } else { CounterResetHint::Unknown };
    h
}

fn spans(random: &mut Random, first: i32) -> (Vec<Span>, Vec<f64>) {
    let count = 1 + random.below(3);
    let (mut spans, mut length_all) = (Vec::new(), 0);
    for i in 0..count {
        let offset = if i == 0 { first } else { 1 + random.below(3) as i32 };
        let length = 1 + random.below(3) as u32;
        spans.push(Span { offset, length });
        length_all += length;
    }
    let buckets = (0..length_all).map(|_| random.below(5) as f64).collect();
    (spans, buckets)
}

fn exponential(random: &mut Random) -> FloatHistogram {
    let schema = random.pick(&[-4, -3, -2, -1, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]);
    let first = random.below(9) as i32 - 4;
    let (positive_spans, positive_buckets) = spans(random, first);
    let mut h = FloatHistogram { schema, positive_spans, positive_buckets, ..FloatHistogram::default() };
    if random.one_in(3) {
        let first = random.below(9) as i32 - 4;
        (h.negative_spans, h.negative_buckets) = spans(random, first);
    }
    if random.one_in(2) {
        // The zero bucket ends far below the others: Prometheus counts observations twice where a zero bucket grows into
        // what is a part of a bucket at the resolution of a sum, so that the buckets hold more than the count.
        let first = h.positive_spans.iter().chain(&h.negative_spans).map(|s| s.offset).filter(|o| *o < 9).min();
        let lowest = mytsdb_histogram::bucket_bound(schema, i64::from(first.unwrap_or(0)) - 1, &[]);
        let threshold = random.pick(&[1e-128, 1e-128, 1e-40]);
        h.zero_threshold = if threshold <= lowest { threshold } else { 1e-128 };
        h.zero_count = random.below(4) as f64;
    }
    h
}

fn custom(random: &mut Random) -> FloatHistogram {
    let all: [&[f64]; 5] =
        [&[1.0, 2.0, 5.0], &[0.5, 1.0, 2.0, 5.0, 10.0], &[-5.0, 0.0, 5.0], &[1.0, 2.0, 5.0], &[10.0]];
    let bounds = random.pick(&all);
    let length = bounds.len() as u32 + 1;
    FloatHistogram {
        schema: CUSTOM_SCHEMA,
        positive_spans: vec![Span { offset: 0, length }],
        positive_buckets: (0..length).map(|_| random.below(5) as f64).collect(),
        custom_values: bounds.to_vec(),
        ..FloatHistogram::default()
    }
}

/// Classic histograms: whole, without `+Inf`, with bounds that are none, and not monotonic.
fn classic(random: &mut Random, data: &mut Data) {
    for i in 0..4usize {
        let mut bounds = vec!["0.1", "0.5", "1", "2.5", "+Inf"];
        match i {
            1 => bounds = vec!["-1", "0", "1.0", "1", "+Inf"],
            2 => drop(bounds.pop()),
            3 => bounds.push("abc"),
            _ => {}
        }
        let times = times(random);
        let mut counts = vec![0.0; bounds.len()];
        let mut columns: Vec<Vec<(i64, Point)>> = bounds.iter().map(|_| Vec::new()).collect();
        for time in times {
            let mut below = 0.0;
            for (count, column) in counts.iter_mut().zip(&mut columns) {
                *count += random.below(4) as f64;
                below += *count;
                let shown = if random.one_in(60) { below - 3.0 } else { below };
                column.push((time, Point::Float(shown)));
            }
        }
        for (bound, column) in bounds.iter().zip(columns) {
            let (job, instance) = (format!("j{}", i % 2), i.to_string());
            let pairs = [("__name__", "b_bucket"), ("job", &job), ("instance", &instance), ("le", bound)];
            data.insert(Labels::from_pairs(pairs), column);
        }
    }
}
