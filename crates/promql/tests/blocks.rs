//! Aggregations that need all rows of a step together: what they hold is bounded, and the answers are the same.

use mytsdb_columns::{Columns, HistogramTable, Outline, Outlining};
use mytsdb_model::{Labels, Matcher, TimeRange};
use mytsdb_promql::{
    Cancel, EvalError, Finding, QueryOptions, QueryResult, QueryValue, SelectHints, SeriesSet, Storage, StorageError,
    WorkerPool, range,
};
use mytsdb_promql_syntax::parse;

const STEPS: i64 = 60;
const STEP_MS: i64 = 60_000;

/// Series that come and go. Only those with samples in the range are found.
struct Coming {
    series: Vec<(Labels, TimeRange)>,
}

impl Coming {
    fn new() -> Self {
        let series = (0..240i64).map(|i| {
            let name = if i % 4 == 3 { "n" } else { "m" };
            let labels = [("__name__", name), ("i", &format!("{i:03}")), ("job", &format!("j{}", i % 7))];
            let from = (i * 37 % 40) * STEP_MS;
            let until = from + (3 + i * 53 % 60) * STEP_MS;
            (Labels::from_pairs(labels), TimeRange::new(from, until))
        });
        let mut series: Vec<_> = series.collect();
        series.sort_by(|a, b| a.0.cmp(&b.0));
        Self { series }
    }
}

struct Set<'a>(Vec<&'a (Labels, TimeRange)>);

impl SeriesSet for Set<'_> {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn labels(&self, index: usize) -> &Labels {
        &self.0[index].0
    }
    fn read(&self, index: usize, range: TimeRange, out: &mut Columns) -> Result<(), StorageError> {
        let (labels, own) = self.0[index];
        let salt: i64 = labels.get("i").expect("every series has it").parse().expect("a number");
        let times = (own.mint / 20_000..=own.maxt / 20_000).map(|n| n * 20_000);
        for time in times.filter(|t| (range.mint..=range.maxt).contains(t)) {
            out.timestamps_ms.push(time);
            // Few different values: there are ties.
            out.values.push((((time / 20_000) * 7 + salt * 13) % 11) as f64);
        }
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

impl Storage for Coming {
    fn select(&self, hints: &SelectHints, matchers: &[Matcher]) -> Result<Box<dyn SeriesSet + '_>, StorageError> {
        let found = |(labels, own): &&(Labels, TimeRange)| {
            own.overlaps(hints.range) && matchers.iter().all(|m| m.matches_labels(labels))
        };
        Ok(Box::new(Set(self.series.iter().filter(found).collect())))
    }

    fn is_plain(&self) -> bool {
        false
    }
}

fn run(query: &str, options: &QueryOptions) -> Result<QueryResult, EvalError> {
    let expr = parse(query).expect("the query is legal");
    range(&Coming::new(), &expr, 0, (STEPS - 1) * STEP_MS, STEP_MS, options, &Cancel::new())
}

fn points(result: &QueryResult) -> Vec<(String, &[i64], Vec<u64>)> {
    let QueryValue::Matrix(series) = &result.value else { panic!("a range query gives a matrix") };
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect();
    series.iter().map(|s| (s.labels.to_string(), &s.timestamps_ms[..], bits(&s.values))).collect()
}

const QUERIES: [&str; 14] = [
    "quantile(0.9, m)",
    "quantile by (job) (0.25, m)",
    "quantile without (i) (scalar(avg(m)) / 11, m)",
    "quantile by (job) (0.5, rate(m[5m]))",
    "quantile by (job) (0.5, max_over_time(m[7m:30s]))",
    "quantile by (job) (0.5, -m) + on (job) max by (job) (m)",
    "quantile(0.5, m * on (job) group_left () sum by (job) (m)) + on () sum(sum by (job) (m))",
    "topk(100, m)",
    "bottomk by (job) (scalar(count(m)) / 10, m)",
    "topk(3, quantile by (i) (0.5, m))",
    "topk(scalar(count(n) or vector(2)), quantile by (i) (0.5, {__name__=~'m|n'} offset 3m))",
    "quantile by (__name__) (0.5, {__name__=~'m|n'})",
    "sum(topk by (job) (70, m @ end()))",
    "quantile(0.5, limit_ratio(0.5, m))",
];

#[test]
fn blocks_of_steps_give_the_answers_of_the_whole() {
    let pool = WorkerPool::new(2).expect("threads");
    for query in QUERIES {
        for delayed_name_removal in [false, true] {
            let whole = QueryOptions { delayed_name_removal, ..QueryOptions::default() };
            let plain = run(query, &QueryOptions { optimise: false, ..whole.clone() }).expect(query);
            let expected = points(&plain);
            assert!(!expected.is_empty(), "{query}");
            for (helped, max_samples) in [(false, 50_000_000), (false, 11_000), (true, 24_000), (false, 13_000)] {
                let options = QueryOptions { pool: helped.then(|| pool.clone()), max_samples, ..whole.clone() };
                let found = run(query, &options).unwrap_or_else(|e| panic!("{query}, {max_samples}: {e}"));
                assert_eq!(points(&found), expected, "{query}, {max_samples}, helped: {helped}");
                assert_eq!(found.annotations.iter().count(), plain.annotations.iter().count(), "{query}");
            }
        }
    }
}

#[test]
fn a_quantile_holds_a_part_of_the_rows() {
    let peak = |max_samples| {
        let options = QueryOptions { max_samples, ..QueryOptions::default() };
        run("quantile(0.9, m)", &options).expect("it fits").stats.samples_peak
    };
    // 180 series are there at some time, 60 steps: more than an eighth of the second limit.
    let (whole, part) = (peak(50_000_000), peak(8_000));
    assert!(whole > 4_000, "{whole}");
    assert!(part < 1_200, "{part}");
}

#[test]
fn labels_and_tables_count_for_the_bytes_of_a_query() {
    // One step, at which most series are there: what is held is not its cells.
    const AT_MS: i64 = 30 * STEP_MS;
    let run = |query: &str, max_bytes| {
        let options = QueryOptions { max_bytes, ..QueryOptions::default() };
        range(&Coming::new(), &parse(query).expect("legal"), AT_MS, AT_MS, 1, &options, &Cancel::new())
    };
    for query in ["m", "sum by (i) (m)", "m * on (i) group_left (job) m", "topk(100, m)", "m and on (i) m"] {
        let error = run(query, 4_000).expect_err(query);
        assert!(matches!(error, EvalError::TooManyBytes { limit_bytes: 4_000 }), "{query}: {error}");
        assert!(run(query, 400_000).is_ok(), "{query}");
    }
}
