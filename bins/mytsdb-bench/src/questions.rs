//! The questions of the query benchmark: what is asked of every server, and whose answers are comparable.

use std::ops::Range;

/// What a question asks for.
pub(crate) enum Ask {
    /// Values of an expression: over `hours` at every `step_s` seconds, or at the end of the data if `step_s` is 0.
    Values { query: &'static str, hours: i64, step_s: i64 },
    /// Names, values or series that there were over `hours`, by path and selector (`""` for none).
    Labels { path: &'static str, selector: &'static str, hours: i64 },
}

/// A question, and how answers to it are compared with Prometheus'.
pub(crate) struct Question {
    pub(crate) name: &'static str,
    pub(crate) ask: Ask,
    /// VictoriaMetrics means the same by it.
    pub(crate) same_in_victoria: bool,
    /// Equal values may stand at other series.
    pub(crate) ties: bool,
    /// One of those that dashboards are made of; they get a median of their own, in which label lookups are one.
    pub(crate) core: bool,
    /// It is about native histograms.
    pub(crate) native: bool,
}

const fn values(name: &'static str, query: &'static str, hours: i64, step_s: i64) -> Question {
    let ask = Ask::Values { query, hours, step_s };
    Question { name, ask, same_in_victoria: true, ties: false, core: false, native: false }
}

const fn labels(name: &'static str, path: &'static str, selector: &'static str) -> Question {
    let ask = Ask::Labels { path, selector, hours: 6 };
    Question { name, ask, same_in_victoria: true, ties: false, core: true, native: false }
}

impl Question {
    const fn core(self) -> Self {
        Self { core: true, ..self }
    }

    /// VictoriaMetrics has no such thing.
    const fn native(self) -> Self {
        Self { native: true, same_in_victoria: false, ..self }
    }

    const fn other_in_victoria(self) -> Self {
        Self { same_in_victoria: false, ..self }
    }

    const fn ties(self) -> Self {
        Self { ties: true, ..self }
    }

    /// Whether labels are asked for.
    pub(crate) const fn is_lookup(&self) -> bool {
        matches!(self.ask, Ask::Labels { .. })
    }

    /// What is asked for, over how long a time and at which steps.
    pub(crate) fn shown(&self) -> String {
        match &self.ask {
            Ask::Values { query, step_s: 0, .. } => format!("{query}, instant"),
            Ask::Values { query, hours, step_s } => format!("{query}, {hours} h / {step_s} s"),
            Ask::Labels { path, selector, .. } => format!("{path} {selector}").trim_end().to_owned(),
        }
    }

    /// The path to ask and its parameters, for data that ends at `end_s`.
    pub(crate) fn request(&self, end_s: i64) -> (&'static str, Vec<(&'static str, String)>) {
        let over = |hours: i64| (end_s - hours * 3_600)..end_s;
        match &self.ask {
            Ask::Values { query, step_s: 0, .. } => {
                ("/api/v1/query", vec![("query", (*query).to_owned()), ("time", end_s.to_string())])
            }
            Ask::Values { query, hours, step_s } => {
                let parameters = vec![("query", (*query).to_owned()), ("step", step_s.to_string())];
                ("/api/v1/query_range", with_times(parameters, &over(*hours)))
            }
            Ask::Labels { path, selector, hours } => {
                let selectors = if selector.is_empty() { None } else { Some(("match[]", (*selector).to_owned())) };
                (path, with_times(selectors.into_iter().collect(), &over(*hours)))
            }
        }
    }
}

fn with_times(mut parameters: Vec<(&'static str, String)>, seconds: &Range<i64>) -> Vec<(&'static str, String)> {
    parameters.extend([("start", seconds.start.to_string()), ("end", seconds.end.to_string())]);
    parameters
}

const SUM_BY_RATE: &str = "sum by (job) (rate(bench_requests_total[5m]))";
const QUANTILE_OF_BUCKETS: &str = "histogram_quantile(0.99, sum by (le) (rate(bench_latency_bucket[5m])))";
const JOIN: &str = "bench_requests_total * on (instance) group_left (version) bench_info";
const QUANTILE_OVER_TIME: &str = "quantile(0.99, quantile_over_time(0.9, bench_depth[10m]))";
const ONE_SERIES: &str = "bench_depth{instance=\"10.0.0.7:8080\",route=\"/api/v1/resource3\"}";

/// All questions, in the order of asking. VictoriaMetrics has its own idea of `rate`, keeps the name after
/// `max_over_time`, and counts its range of labels in whole days, which is the same for series that live all day.
pub(crate) const QUESTIONS: [Question; 19] = [
    values("native quantile", "histogram_quantile(0.99, sum(rate(bench_sizes[5m])))", 1, 60).native(),
    values("native quantile by", "histogram_quantile(0.9, sum by (job) (rate(bench_sizes[5m])))", 1, 60).native(),
    values("native of each", "histogram_quantile(0.5, bench_sizes{job=\"job-3\"})", 1, 60).native(),
    values("native instant", "histogram_quantile(0.99, sum by (zone) (rate(bench_sizes[5m])))", 0, 0).native(),
    values("sum by rate", SUM_BY_RATE, 6, 60).other_in_victoria().core(),
    values("quantile of buckets", QUANTILE_OF_BUCKETS, 6, 60).other_in_victoria().core(),
    values("topk", "topk(10, bench_depth)", 6, 60).ties().core(),
    values("max over time", "max_over_time(bench_depth[1h])", 6, 60).other_in_victoria().core(),
    values("sum of max over time", "sum(max_over_time(bench_depth[1h]))", 6, 60),
    values("many-to-one join", JOIN, 6, 60).core(),
    values("avg by, 24 h", "avg by (route) (bench_depth)", 24, 60),
    values("quantile over time", QUANTILE_OVER_TIME, 6, 60),
    values("one series, 24 h", ONE_SERIES, 24, 15).core(),
    values("instant sum by rate", SUM_BY_RATE, 0, 0).other_in_victoria(),
    values("instant count of all", "count({__name__=~\"bench_.+\"})", 0, 0),
    labels("label names", "/api/v1/labels", ""),
    labels("label values", "/api/v1/label/instance/values", ""),
    labels("label values of metric", "/api/v1/label/instance/values", "bench_depth"),
    labels("series of a job", "/api/v1/series", "bench_requests_total{job=\"job-3\"}"),
];
