//! What every query must answer, computed from the workload's own functions and from no store.
//!
//! Two points of PromQL are not modelled because the workload has none of them: staleness markers, and samples that are
//! not finite.

use super::cluster::Cluster;
use super::metrics::{BOUND_TEXTS, BOUNDS, METRICS, Shape};
use super::questions::{Aggregate, Expression, Function, Matcher, Outer, Question};
use super::values::{classic_counts, histogram_sum, native_counts, number};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

/// How far back an instant selector looks.
const LOOKBACK_MS: i64 = 300_000;

/// Labels of a row of an answer.
pub(crate) type Labels = BTreeMap<String, String>;
/// Values at one time.
pub(crate) type Vector = BTreeMap<Labels, f64>;

/// Which number of a native histogram stands for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Component {
    Count,
    Sum,
}

/// A series: regular samples from `first_ms` on.
struct Series {
    labels: Labels,
    first_ms: i64,
    interval_ms: i64,
    values: Vec<f64>,
}

/// The workload up to a time.
pub(crate) struct Model<'a> {
    cluster: &'a Cluster,
    /// Nothing later is known.
    end_ms: i64,
    series: HashMap<(&'static str, Component), Rc<Vec<Series>>>,
}

impl<'a> Model<'a> {
    pub(crate) fn new(cluster: &'a Cluster, end_ms: i64) -> Self {
        Self { cluster, end_ms, series: HashMap::new() }
    }

    /// The answer to a question at one of its steps; native histograms as one of their numbers.
    pub(crate) fn answer(&mut self, question: &Question, at_s: i64, component: Component) -> Vector {
        let expression = &question.expression;
        let series = self.series(expression.metric, component);
        if let Outer::MaxOver { range_s, step_s } = expression.outer {
            let first_s = (at_s - range_s).div_euclid(step_s) * step_s + step_s;
            let steps = (first_s..=at_s).step_by(step_s as usize);
            let mut maxima = Vector::new();
            for (labels, value) in steps.flat_map(|step_s| evaluate(expression, &series, step_s * 1_000)) {
                maxima.entry(labels).and_modify(|max| *max = max.max(value)).or_insert(value);
            }
            return maxima;
        }
        let vector = evaluate(expression, &series, at_s * 1_000);
        match expression.outer {
            Outer::Quantile(q) => quantiles(q, vector),
            // The best are chosen by whoever compares: of equal ones any may be among them.
            _ => vector,
        }
    }

    /// All series of a metric.
    fn series(&mut self, metric: &'static str, component: Component) -> Rc<Vec<Series>> {
        let (cluster, end_ms) = (self.cluster, self.end_ms);
        let built = self.series.entry((metric, component));
        Rc::clone(built.or_insert_with(|| Rc::new(build(cluster, end_ms, metric, component))))
    }
}

fn build(cluster: &Cluster, end_ms: i64, name: &str, component: Component) -> Vec<Series> {
    let (mut all, interval_ms) = (Vec::new(), cluster.interval_ms);
    let shape = METRICS.iter().find(|m| m.name == name).map(|m| m.shape);
    for (number_of_unit, unit) in cluster.units.iter().enumerate() {
        let end_tick = cluster.tick_from(number_of_unit, end_ms + 1);
        for &row in unit.rows.iter().filter(|row| row.metric().name == name) {
            let mut tick = 0;
            while tick < end_tick {
                let generation = cluster.generation(number_of_unit, tick);
                let (born, first) = (cluster.born(number_of_unit, generation), tick);
                while tick < end_tick && cluster.generation(number_of_unit, tick) == generation {
                    tick += 1;
                }
                let seed = cluster.seed(number_of_unit, row, generation);
                let mut labels: Labels = cluster
                    .labels(number_of_unit, row, generation)
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect();
                labels.insert("__name__".to_owned(), name.to_owned());
                let first_ms = cluster.time_ms(number_of_unit, first);
                let ages = first - born..tick - born;
                let mut push =
                    |labels: Labels, values: Vec<f64>| all.push(Series { labels, first_ms, interval_ms, values });
                match shape {
                    Some(Shape::Classic) => {
                        for (bucket, le) in BOUND_TEXTS.iter().enumerate() {
                            let mut labels = labels.clone();
                            labels.insert("le".to_owned(), (*le).to_owned());
                            let value = |age| classic_counts(seed, age)[..=bucket].iter().sum::<u64>() as f64;
                            push(labels, ages.clone().map(value).collect());
                        }
                    }
                    Some(Shape::Native) => {
                        let value = |age| match component {
                            Component::Count => native_counts(seed, age).iter().sum::<u64>() as f64,
                            Component::Sum => histogram_sum(seed, age),
                        };
                        push(labels, ages.map(value).collect());
                    }
                    Some(shape) => push(labels, ages.map(|age| number(shape, seed, age)).collect()),
                    None => {}
                }
            }
        }
    }
    all
}

/// Everything below [`Outer`].
fn evaluate(expression: &Expression, series: &[Series], at_ms: i64) -> Vector {
    let mut groups: BTreeMap<Labels, Vec<f64>> = BTreeMap::new();
    for series in series.iter().filter(|s| expression.matchers.iter().all(|m| matches(m, &s.labels))) {
        let Some(value) = window(expression, series, at_ms) else { continue };
        let labels = match expression.aggregate {
            Some((_, by)) => {
                by.iter().filter_map(|name| Some(((*name).to_owned(), series.labels.get(*name)?.clone()))).collect()
            }
            None if expression.function == Function::Instant => series.labels.clone(),
            None => {
                let mut labels = series.labels.clone();
                labels.remove("__name__");
                labels
            }
        };
        groups.entry(labels).or_default().push(value);
    }
    let reduce = |values: Vec<f64>| match expression.aggregate {
        None => values[0],
        Some((Aggregate::Sum, _)) => values.iter().sum(),
        Some((Aggregate::Avg, _)) => values.iter().sum::<f64>() / values.len() as f64,
        Some((Aggregate::Min, _)) => values.iter().copied().fold(f64::INFINITY, f64::min),
        Some((Aggregate::Max, _)) => values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        Some((Aggregate::Count, _)) => values.len() as f64,
    };
    groups.into_iter().map(|(labels, values)| (labels, reduce(values))).collect()
}

fn matches(matcher: &Matcher, labels: &Labels) -> bool {
    let value = |name: &str| labels.get(name).map_or("", String::as_str);
    match matcher {
        Matcher::Prefix(name, prefix) => value(name).starts_with(prefix),
        Matcher::NotNumbered(name, prefix) => {
            let rest = value(name).strip_prefix(prefix).and_then(|rest| rest.strip_prefix('-'));
            !rest.is_some_and(|rest| rest.starts_with(|c: char| ('1'..='9').contains(&c)))
        }
    }
}

impl Series {
    fn time_ms(&self, number: usize) -> i64 {
        self.first_ms + number as i64 * self.interval_ms
    }

    /// Numbers of the samples in `(from, to]`.
    fn within(&self, from_ms: i64, to_ms: i64) -> std::ops::Range<usize> {
        let up_to = |time_ms: i64| {
            let count = (time_ms - self.first_ms).div_euclid(self.interval_ms) + 1;
            (count.max(0) as usize).min(self.values.len())
        };
        up_to(from_ms)..up_to(to_ms)
    }
}

/// A function of the samples of a window that ends at a time.
fn window(expression: &Expression, series: &Series, at_ms: i64) -> Option<f64> {
    let window_ms = if expression.window_s > 0 { expression.window_s * 1_000 } else { LOOKBACK_MS };
    let within = series.within(at_ms - window_ms, at_ms);
    let values = &series.values[within.clone()];
    let &last = values.last()?;
    match expression.function {
        Function::Instant => Some(last),
        Function::Timestamp => Some(series.time_ms(within.end - 1) as f64 / 1e3),
        Function::Rate => Some(increase(series, within, at_ms, window_ms)? / (window_ms as f64 / 1e3)),
        Function::Increase => increase(series, within, at_ms, window_ms),
        Function::Sum => Some(values.iter().sum()),
        Function::Avg => Some(values.iter().sum::<f64>() / values.len() as f64),
        Function::Min => values.iter().copied().reduce(f64::min),
        Function::Max => values.iter().copied().reduce(f64::max),
        Function::Count => Some(values.len() as f64),
        Function::Resets => Some(values.windows(2).filter(|pair| pair[1] < pair[0]).count() as f64),
        Function::Idelta => Some(last - values[values.len().checked_sub(2)?]),
    }
}

/// The growth of a counter over a window, extrapolated to its edges as Prometheus does.
fn increase(series: &Series, within: std::ops::Range<usize>, at_ms: i64, window_ms: i64) -> Option<f64> {
    let values = &series.values[within.clone()];
    let [first, .., last] = values else { return None };
    let resets = values.windows(2).filter(|pair| pair[1] < pair[0]).map(|pair| pair[0]);
    let grown = last - first + resets.sum::<f64>();
    let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms) as f64 / 1e3;
    let (first_ms, last_ms) = (series.time_ms(within.start), series.time_ms(within.end - 1));
    let sampled = seconds(first_ms, last_ms);
    let between = sampled / (values.len() - 1) as f64;
    // An edge is reached if a sample would have been due before it; else the series began or ended in the window.
    let to_edge = |gap: f64| if gap >= between * 1.1 { between / 2.0 } else { gap };
    let mut before = to_edge(seconds(at_ms - window_ms, first_ms));
    if grown > 0.0 && *first >= 0.0 {
        // A counter was never below zero.
        before = before.min(sampled * (first / grown));
    }
    Some(grown * ((sampled + before + to_edge(seconds(last_ms, at_ms))) / sampled))
}

/// Quantiles of classic histograms, whose buckets are the rows with `le`.
fn quantiles(q: f64, buckets: Vector) -> Vector {
    let mut histograms: BTreeMap<Labels, [f64; BOUND_TEXTS.len()]> = BTreeMap::new();
    for (mut labels, value) in buckets {
        let le = labels.remove("le");
        if let Some(bucket) = BOUND_TEXTS.iter().position(|text| Some(*text) == le.as_deref()) {
            histograms.entry(labels).or_default()[bucket] = value;
        }
    }
    histograms.into_iter().map(|(labels, counts)| (labels, quantile(q, &counts))).collect()
}

/// A quantile by linear interpolation in the bucket that holds it; counts are cumulative.
fn quantile(q: f64, counts: &[f64; BOUND_TEXTS.len()]) -> f64 {
    let all = counts[BOUNDS.len()];
    let rank = q * all;
    let bucket = counts[..BOUNDS.len()].iter().position(|&count| count >= rank);
    match bucket {
        _ if all == 0.0 => f64::NAN,
        None => BOUNDS[BOUNDS.len() - 1],
        Some(0) => BOUNDS[0] * (rank / counts[0]),
        Some(bucket) => {
            let (low, below) = (BOUNDS[bucket - 1], counts[bucket - 1]);
            low + (BOUNDS[bucket] - low) * ((rank - below) / (counts[bucket] - below))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k8s::questions::QUESTIONS;

    fn series(first_ms: i64, values: &[f64]) -> Series {
        Series { labels: Labels::new(), first_ms, interval_ms: 15_000, values: values.to_vec() }
    }

    #[track_caller]
    fn check(question: usize, first_ms: i64, values: &[f64], at_ms: i64, expected: Option<f64>) {
        let found = window(&QUESTIONS[question].expression, &series(first_ms, values), at_ms);
        let close = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
            (found, expected) => found == expected,
        };
        assert!(close, "{}: {found:?}, not {expected:?}", QUESTIONS[question].expression);
    }

    #[test]
    fn windows_are_open_on_the_left() {
        // A count over an hour: the sample at its very start is not in it.
        check(18, 0, &[1.0; 500], 3_600_000, Some(240.0));
        check(18, 1, &[1.0; 500], 3_600_000, Some(240.0));
        check(18, 3_600_001, &[1.0; 500], 3_600_000, None);
    }

    #[test]
    fn rates_are_those_of_prometheus() {
        // Samples over the whole window: extrapolated to its edges.
        let even: Vec<f64> = (100..200).map(f64::from).collect();
        check(0, 0, &even, 300_000, Some(20.0 / 300.0));
        // Two samples at the end of it: half an interval before the first, the gap behind the last.
        check(0, 280_000, &[1_000.0, 1_015.0], 300_000, Some(15.0 * (15.0 + 7.5 + 5.0) / 15.0 / 300.0));
        // A counter that would have been below zero begins at zero.
        check(0, 280_000, &[1.0, 16.0], 300_000, Some(15.0 * (15.0 + 1.0 + 5.0) / 15.0 / 300.0));
        check(0, 280_000, &[1.0], 300_000, None);
    }

    #[test]
    fn a_reset_counts_from_zero() {
        check(20, 0, &[5.0, 6.0, 1.0, 2.0, 0.0], 3_600_000, Some(2.0));
        check(22, 0, &[5.0, 6.0, 1.0], 60_000, Some(-5.0));
    }

    #[test]
    fn quantiles_interpolate_within_their_bucket() {
        let counts: [f64; 12] = std::array::from_fn(|bucket| (bucket + 1) as f64 * 10.0);
        assert_eq!(quantile(0.0, &counts), 0.0);
        assert!((quantile(0.125, &counts) - 0.0075).abs() < 1e-12);
        assert_eq!(quantile(0.99, &counts), 10.0);
    }
}
