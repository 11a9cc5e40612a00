//! The queries of the Kubernetes workload: the 49 of the original's mix, as valid PromQL, in a form that a model can answer too.

use std::fmt::{self, Display, Formatter};

/// A function of one series' samples within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    /// The newest sample.
    Instant,
    /// When the newest sample was taken.
    Timestamp,
    Rate,
    Increase,
    Sum,
    Avg,
    Min,
    Max,
    Count,
    Resets,
    Idelta,
}

impl Function {
    const fn name(self) -> &'static str {
        match self {
            Self::Instant => "",
            Self::Timestamp => "timestamp",
            Self::Rate => "rate",
            Self::Increase => "increase",
            Self::Sum => "sum_over_time",
            Self::Avg => "avg_over_time",
            Self::Min => "min_over_time",
            Self::Max => "max_over_time",
            Self::Count => "count_over_time",
            Self::Resets => "resets",
            Self::Idelta => "idelta",
        }
    }
}

/// How series of a group become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregate {
    Sum,
    Avg,
    Min,
    Max,
    Count,
}

/// What is done with the vector of an expression.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outer {
    Nothing,
    Quantile(f64),
    Top(usize),
    Bottom(usize),
    /// The maximum over a range, at every step of it.
    MaxOver {
        range_s: i64,
        step_s: i64,
    },
}

/// A matcher: the value of a label, wholly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Matcher {
    /// Begins with this: `=~"x.*"`.
    Prefix(&'static str, &'static str),
    /// Is this letter and number 0, and nothing that another number would make: `!~"x-[1-9].*"`.
    NotNumbered(&'static str, &'static str),
}

/// An expression: `outer(aggregate by (labels) (function(metric{matchers}[window])))`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expression {
    pub(crate) outer: Outer,
    pub(crate) aggregate: Option<(Aggregate, &'static [&'static str])>,
    pub(crate) function: Function,
    pub(crate) metric: &'static str,
    pub(crate) matchers: &'static [Matcher],
    pub(crate) window_s: i64,
}

/// When it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    /// At the newest data.
    Now,
    /// Halfway between the oldest and the newest.
    Past,
    /// Up to the newest data, over so many seconds at every so many.
    Range { range_s: i64, step_s: i64 },
}

/// A query, and how often it comes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    pub(crate) expression: Expression,
    pub(crate) times: Times,
    /// Hot queries are four of five.
    pub(crate) hot: bool,
}

impl Display for Expression {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.outer {
            Outer::Nothing => {}
            Outer::Quantile(q) => write!(f, "histogram_quantile({q}, ")?,
            Outer::Top(k) => write!(f, "topk({k}, ")?,
            Outer::Bottom(k) => write!(f, "bottomk({k}, ")?,
            Outer::MaxOver { .. } => write!(f, "max_over_time(")?,
        }
        if let Some((aggregate, by)) = self.aggregate {
            let name = format!("{aggregate:?}").to_lowercase();
            let by = if by.is_empty() { String::new() } else { format!("by ({}) ", by.join(", ")) };
            write!(f, "{name} {by}(")?;
        }
        if self.function != Function::Instant {
            write!(f, "{}(", self.function.name())?;
        }
        f.write_str(self.metric)?;
        if !self.matchers.is_empty() {
            let matchers = self.matchers.iter().map(|matcher| match matcher {
                Matcher::Prefix(label, prefix) => format!("{label}=~\"{prefix}.*\""),
                Matcher::NotNumbered(label, prefix) => format!("{label}!~\"{prefix}-[1-9].*\""),
            });
            write!(f, "{{{}}}", matchers.collect::<Vec<_>>().join(","))?;
        }
        if self.window_s > 0 {
            write!(f, "[{}s]", self.window_s)?;
        }
        if self.function != Function::Instant {
            f.write_str(")")?;
        }
        if self.aggregate.is_some() {
            f.write_str(")")?;
        }
        match self.outer {
            Outer::Nothing => Ok(()),
            Outer::MaxOver { range_s, step_s } => write!(f, "[{range_s}s:{step_s}s])"),
            _ => f.write_str(")"),
        }
    }
}

const MINUTES: i64 = 60;
const HOURS: i64 = 3_600;

const fn plain(function: Function, metric: &'static str, window_s: i64) -> Expression {
    Expression { outer: Outer::Nothing, aggregate: None, function, metric, matchers: &[], window_s }
}

const fn rate(metric: &'static str) -> Expression {
    plain(Function::Rate, metric, 5 * MINUTES)
}

const fn metric(name: &'static str) -> Expression {
    plain(Function::Instant, name, 0)
}

impl Expression {
    const fn by(self, aggregate: Aggregate, by: &'static [&'static str]) -> Self {
        Self { aggregate: Some((aggregate, by)), ..self }
    }

    const fn sum_by(self, by: &'static [&'static str]) -> Self {
        self.by(Aggregate::Sum, by)
    }

    const fn outer(self, outer: Outer) -> Self {
        Self { outer, ..self }
    }

    const fn matching(self, matchers: &'static [Matcher]) -> Self {
        Self { matchers, ..self }
    }

    const fn hot(self) -> Question {
        Question { expression: self, times: Times::Now, hot: true }
    }

    const fn past(self) -> Question {
        Question { expression: self, times: Times::Past, hot: false }
    }

    const fn hot_hour(self) -> Question {
        Question { expression: self, times: Times::Range { range_s: HOURS, step_s: MINUTES }, hot: true }
    }

    const fn cold(self, range_s: i64, step_s: i64) -> Question {
        Question { expression: self, times: Times::Range { range_s, step_s }, hot: false }
    }
}

const CPU: &str = "container_cpu_usage_seconds_total";
const MEMORY: &str = "container_memory_working_set_bytes";
const REQUESTS: &str = "http_requests_total";
const BUCKETS: &str = "http_request_duration_seconds_bucket";
const READY: &str = "kube_pod_status_ready";
const NAMESPACE: &[&str] = &["namespace"];
const SERVICE: &[&str] = &["service"];
const REGION: &[&str] = &["region"];
const NODE: &[&str] = &["node"];
const SERVER_ERRORS: &[Matcher] = &[Matcher::Prefix("status", "5")];
const FIRST_POD: Matcher = Matcher::NotNumbered("pod", "pod");
const FIRST_NAMESPACE: Matcher = Matcher::NotNumbered("namespace", "ns");

use Aggregate::{Avg, Count, Max, Min};

/// The mix, in the original's order.
pub(crate) const QUESTIONS: [Question; 49] = [
    rate(CPU).sum_by(NAMESPACE).hot(),
    metric(MEMORY).sum_by(NAMESPACE).hot(),
    metric("kube_pod_status_phase").by(Count, &["namespace", "phase"]).hot(),
    rate("container_network_receive_bytes_total").sum_by(&[]).hot(),
    rate("container_fs_reads_bytes_total").sum_by(&[]).hot(),
    rate(CPU).sum_by(NAMESPACE).hot_hour(),
    metric(MEMORY).sum_by(NAMESPACE).hot_hour(),
    rate(REQUESTS).sum_by(SERVICE).hot_hour(),
    rate(REQUESTS).matching(SERVER_ERRORS).sum_by(&[]).hot_hour(),
    rate(BUCKETS).outer(Outer::Quantile(0.99)).hot_hour(),
    plain(Function::Sum, CPU, HOURS).hot(),
    plain(Function::Sum, REQUESTS, 30 * MINUTES).sum_by(SERVICE).hot(),
    plain(Function::Avg, MEMORY, HOURS).hot(),
    plain(Function::Avg, "http_request_duration_seconds", 30 * MINUTES).by(Avg, SERVICE).hot(),
    plain(Function::Min, MEMORY, HOURS).by(Min, NAMESPACE).hot(),
    plain(Function::Min, "node_cpu_seconds_total", HOURS).by(Min, NODE).hot(),
    plain(Function::Max, MEMORY, HOURS).by(Max, NAMESPACE).hot(),
    plain(Function::Max, "node_load5", 6 * HOURS).by(Max, NODE).past(),
    plain(Function::Count, REQUESTS, HOURS).sum_by(SERVICE).hot(),
    plain(Function::Count, READY, 30 * MINUTES).sum_by(NAMESPACE).hot(),
    plain(Function::Resets, REQUESTS, HOURS).sum_by(SERVICE).hot(),
    plain(Function::Resets, "error_count_total", 6 * HOURS).sum_by(SERVICE).past(),
    plain(Function::Idelta, REQUESTS, 5 * MINUTES).hot(),
    plain(Function::Idelta, "error_count_total", 5 * MINUTES).sum_by(SERVICE).hot(),
    plain(Function::Timestamp, REQUESTS, 0).hot(),
    plain(Function::Timestamp, READY, 0).by(Max, NAMESPACE).hot(),
    rate(BUCKETS).outer(Outer::Quantile(0.5)).hot(),
    rate(BUCKETS).outer(Outer::Quantile(0.9)).hot(),
    rate(BUCKETS).outer(Outer::Quantile(0.95)).hot(),
    rate(BUCKETS).outer(Outer::Quantile(0.999)).hot(),
    rate(BUCKETS).sum_by(&["service", "le"]).outer(Outer::Quantile(0.99)).hot(),
    rate(CPU).by(Avg, REGION).cold(6 * HOURS, 5 * MINUTES),
    metric(MEMORY).by(Avg, REGION).cold(6 * HOURS, 5 * MINUTES),
    rate("container_network_transmit_bytes_total").sum_by(&["cluster"]).cold(6 * HOURS, 5 * MINUTES),
    plain(Function::Increase, "kube_pod_container_status_restarts_total", HOURS)
        .sum_by(NAMESPACE)
        .cold(6 * HOURS, 5 * MINUTES),
    metric("node_load5").by(Avg, NODE).cold(6 * HOURS, 5 * MINUTES),
    plain(Function::Rate, CPU, HOURS).by(Avg, REGION).cold(24 * HOURS, 30 * MINUTES),
    metric(MEMORY).by(Avg, REGION).cold(24 * HOURS, 30 * MINUTES),
    plain(Function::Avg, MEMORY, 24 * HOURS).cold(24 * HOURS, HOURS),
    rate(CPU).sum_by(&[]).outer(Outer::MaxOver { range_s: 24 * HOURS, step_s: HOURS }).cold(24 * HOURS, HOURS),
    plain(Function::Increase, REQUESTS, 24 * HOURS).matching(SERVER_ERRORS).sum_by(SERVICE).cold(24 * HOURS, HOURS),
    rate(CPU).sum_by(&["pod"]).outer(Outer::Top(10)).hot(),
    metric(MEMORY).outer(Outer::Bottom(10)).hot(),
    metric(READY).by(Count, NAMESPACE).hot(),
    metric("up").sum_by(&["job"]).hot(),
    metric(CPU).sum_by(&["cluster", "region"]).hot(),
    rate(REQUESTS).sum_by(&["namespace", "service", "method", "status"]).hot(),
    rate(CPU).sum_by(&["pod", "namespace", "node"]).outer(Outer::Top(5)).hot(),
    metric(MEMORY).sum_by(&["namespace", "region", "cluster"]).hot(),
];

/// The original's mix of negative matchers.
pub(crate) const NEGATIVE: [Question; 5] = [
    rate(CPU).matching(&[FIRST_POD]).sum_by(&[]).hot(),
    rate(CPU).matching(&[FIRST_NAMESPACE]).sum_by(&[]).hot(),
    rate(CPU).matching(&[FIRST_NAMESPACE, FIRST_POD]).sum_by(&[]).hot(),
    rate(CPU).matching(&[FIRST_NAMESPACE]).sum_by(NAMESPACE).cold(HOURS, MINUTES),
    rate(CPU).matching(&[FIRST_POD]).by(Avg, NAMESPACE).cold(6 * HOURS, 5 * MINUTES),
];

impl Question {
    /// The seconds at which it is asked for, first, last and step, for data from `oldest_s` to `newest_s`.
    pub(crate) fn steps(&self, oldest_s: i64, newest_s: i64) -> (i64, i64, i64) {
        match self.times {
            Times::Now => (newest_s, newest_s, 1),
            Times::Past => {
                let middle_s = i64::midpoint(oldest_s, newest_s);
                (middle_s, middle_s, 1)
            }
            Times::Range { range_s, step_s } => (newest_s - range_s, newest_s, step_s),
        }
    }

    /// The path to ask and its parameters.
    pub(crate) fn request(&self, oldest_s: i64, newest_s: i64) -> (&'static str, Vec<(&'static str, String)>) {
        let (first_s, last_s, step_s) = self.steps(oldest_s, newest_s);
        let query = ("query", self.expression.to_string());
        if !matches!(self.times, Times::Range { .. }) {
            return ("/api/v1/query", vec![query, ("time", last_s.to_string())]);
        }
        let times = [("start", first_s), ("end", last_s), ("step", step_s)];
        let times = times.map(|(name, value)| (name, value.to_string()));
        ("/api/v1/query_range", std::iter::once(query).chain(times).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hot_and_cold_are_as_many_as_in_the_original() {
        assert_eq!(QUESTIONS.iter().filter(|q| q.hot).count(), 37);
    }

    #[test]
    fn expressions_are_written_as_promql() {
        let text = |at: usize| QUESTIONS[at].expression.to_string();
        assert_eq!(text(0), "sum by (namespace) (rate(container_cpu_usage_seconds_total[300s]))");
        assert_eq!(text(8), "sum (rate(http_requests_total{status=~\"5.*\"}[300s]))");
        assert_eq!(text(24), "timestamp(http_requests_total)");
        assert_eq!(
            text(30),
            "histogram_quantile(0.99, sum by (service, le) (rate(http_request_duration_seconds_bucket[300s])))"
        );
        assert_eq!(text(39), "max_over_time(sum (rate(container_cpu_usage_seconds_total[300s]))[86400s:3600s])");
        assert_eq!(text(42), "bottomk(10, container_memory_working_set_bytes)");
        assert_eq!(
            NEGATIVE[2].expression.to_string(),
            "sum (rate(container_cpu_usage_seconds_total{namespace!~\"ns-[1-9].*\",pod!~\"pod-[1-9].*\"}[300s]))"
        );
    }
}
