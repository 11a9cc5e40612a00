//! `query` and `query_range`.

use crate::answer::{Frame, Outcome, Remarks};
use crate::asked::Asked;
use crate::error::{ApiError, quoted};
use crate::job::Run;
use crate::json::Chunks;
use crate::params::Params;
use crate::plan::write_plan;
use crate::queries::Queries;
use crate::query_metrics::Stages;
use crate::render::{MatrixWriter, truncate, write_value};
use crate::time::now_ms;
use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, Response};
use mytsdb_promql::{EvalError, Plan, QueryOptions, QueryResult, QueryStats, ResultUse, Summary};
use mytsdb_promql_syntax::Expr;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NS_PER_MS: i64 = 1_000_000;
/// Says for one query whether start timestamps are used; overrides the option.
const USE_START_TIMESTAMPS: &str = "X-Prometheus-Use-Start-Timestamps";

/// Times of an evaluation.
enum When {
    At { timestamp_ms: i64 },
    Steps { start_ms: i64, end_ms: i64, step_ms: i64 },
}

/// A request with its parameters read; only the query's text is not looked at yet.
struct QueryRequest {
    /// With the text of the query, and what its form takes of the budget for forms.
    params: Params,
    when: When,
    limit: usize,
    timeout: Duration,
    options: QueryOptions,
    stats: Stats,
}

/// The `stats` parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stats {
    No,
    Yes,
    /// With the plan of the query, which Prometheus does not have.
    All,
    /// Neither `true` nor `all`, which is taken for `true` with a warning.
    Deprecated,
}

pub(crate) async fn instant(State(queries): State<Arc<Queries>>, asked: Asked) -> Result<Response<Body>, ApiError> {
    answer(&queries, asked, |params| Ok(When::At { timestamp_ms: params.time_ms_or("time", now_ms())? })).await
}

pub(crate) async fn range(State(queries): State<Arc<Queries>>, asked: Asked) -> Result<Response<Body>, ApiError> {
    answer(&queries, asked, |params| {
        let (start_ms, end_ms) = (params.step_time_ms("start")?, params.step_time_ms("end")?);
        if end_ms < start_ms {
            return Err(ApiError::parameter("end", "end timestamp must not be before start time"));
        }
        let step_ns = crate::time::parse_duration_ns(params.get("step")).map_err(|e| ApiError::parameter("step", e))?;
        if step_ns < NS_PER_MS {
            let reason = "zero or negative query resolution step widths are not accepted. Try a positive integer";
            return Err(ApiError::parameter("step", reason));
        }
        let points = i128::from(end_ms - start_ms) * i128::from(NS_PER_MS) / i128::from(step_ns);
        if points > i128::from(queries.range_points_max) {
            return Err(ApiError::bad_data(format!(
                "exceeded maximum resolution of {} points per timeseries. Try decreasing the query resolution (?step=XX)",
                thousands(queries.range_points_max)
            )));
        }
        Ok(When::Steps { start_ms, end_ms, step_ms: step_ns / NS_PER_MS })
    })
    .await
}

/// What the header says, if it is there and says anything; the words for true and false are Go's.
fn use_start_timestamps(headers: &HeaderMap) -> Result<Option<bool>, ApiError> {
    let value = headers.get(USE_START_TIMESTAMPS).map_or(&b""[..], |value| value.as_bytes());
    match value {
        b"" => Ok(None),
        b"1" | b"t" | b"T" | b"true" | b"TRUE" | b"True" => Ok(Some(true)),
        b"0" | b"f" | b"F" | b"false" | b"FALSE" | b"False" => Ok(Some(false)),
        _ => {
            let got = quoted(value);
            let reason = format!("strconv.ParseBool: parsing {got}: invalid syntax");
            Err(ApiError::bad_data(format!("error parsing {USE_START_TIMESTAMPS} header: {reason}")))
        }
    }
}

/// `11,000`
fn thousands(n: i64) -> String {
    if n < 1000 { n.to_string() } else { format!("{},{:03}", thousands(n / 1000), n % 1000) }
}

async fn answer(
    queries: &Queries,
    asked: Asked,
    when: impl FnOnce(&Params) -> Result<When, ApiError>,
) -> Result<Response<Body>, ApiError> {
    let framed = (asked.encoding, Frame::Envelope);
    let query = QueryRequest::read(asked, queries, when)?;
    let storage = Arc::clone(&queries.storage);
    let (timeout, metrics) = (query.timeout, queries.metrics.clone());
    let work = move |run: &Run, out: &mut Chunks| {
        let began = Instant::now();
        let expr = query.params.expression().map_err(|error| ApiError::parse("query", &error))?;
        let parsed = began.elapsed();
        out.raw("{");
        let (summary, evaluated, truncated) = query.evaluate(&*storage, &expr, run, began, out)?;
        let QueryStats { samples_read, series_read, results, .. } = summary.stats;
        let mut remarks = Remarks::truncated(truncated);
        remarks.warnings.extend(summary.annotations.warnings(query.params.get("query"), 0));
        remarks.infos.extend(summary.annotations.infos(query.params.get("query"), 0));
        if query.stats != Stats::No {
            let timings = Timings { queued: run.queued, parsed, evaluated };
            write_stats(out, summary.stats, &timings, summary.plan.as_ref());
        }
        if query.stats == Stats::Deprecated {
            let value = query.params.get("stats");
            let rest = "is deprecated and will be rejected in the next major release, use \"true\" or \"all\"";
            remarks.warnings.push(format!("value {value:?} for parameter \"stats\" {rest}"));
        }
        out.raw("}");
        metrics.samples_read.add(samples_read);
        metrics.series_read.add(series_read);
        metrics.observe_results(results, query.options.results.as_ref());
        metrics.observe(Stages {
            queue: run.queued,
            parse: parsed,
            evaluate: evaluated.saturating_sub(parsed),
            write: began.elapsed().saturating_sub(evaluated),
        });
        Ok(Outcome::Data(remarks))
    };
    Ok(queries.query(timeout, framed, work).await)
}

impl QueryRequest {
    fn read(
        Asked { params, headers, .. }: Asked,
        queries: &Queries,
        when: impl FnOnce(&Params) -> Result<When, ApiError>,
    ) -> Result<Self, ApiError> {
        let limit = params.limit()?.unwrap_or(0);
        let when = when(&params)?;
        let timeout = match params.duration_ns("timeout")? {
            Some(ns @ ..=0) => {
                let got = crate::time::format_go_duration(ns);
                return Err(ApiError::parameter("timeout", format!("timeout must be positive, got {got}")));
            }
            ns => ns.map(|ns| Duration::from_nanos(ns.unsigned_abs())),
        };
        let mut options = queries.options.clone();
        let lookback_ns = params.duration_ns_with("lookback_delta", |reason| {
            ApiError::bad_data(format!("error parsing lookback delta duration: {reason}"))
        })?;
        if let Some(lookback_ns) = lookback_ns
            && lookback_ns >= NS_PER_MS
        {
            options.lookback_ms = lookback_ns / NS_PER_MS;
        }
        let stats = match params.get("stats") {
            "" => Stats::No,
            "true" => Stats::Yes,
            "all" => Stats::All,
            _ => Stats::Deprecated,
        };
        options.profile = stats == Stats::All;
        if matches!(params.get("nocache"), "1" | "true") {
            options.results = None;
        }
        if let Some(use_start_timestamps) = use_start_timestamps(&headers)? {
            options.use_start_timestamps = use_start_timestamps;
        }
        let timeout = timeout.map_or(queries.timeout, |t| t.min(queries.timeout));
        Ok(Self { params, when, limit, timeout, options, stats })
    }

    /// Evaluates the query and writes its value. Says when the evaluation had ended, counted from `began`, and whether
    /// the limit cut anything off.
    fn evaluate(
        &self,
        storage: &dyn mytsdb_promql::Storage,
        expr: &Expr,
        run: &Run,
        began: Instant,
        out: &mut Chunks,
    ) -> Result<(Summary, Duration, bool), EvalError> {
        match self.when {
            When::At { timestamp_ms } => {
                let result = mytsdb_promql::instant(storage, expr, timestamp_ms, &self.options, &run.cancel)?;
                let evaluated = began.elapsed();
                let QueryResult { mut value, annotations, stats, plan } = result;
                let truncated = truncate(&mut value, self.limit);
                write_value(out, value);
                Ok((Summary { annotations, stats, plan }, evaluated, truncated))
            }
            When::Steps { start_ms, end_ms, step_ms } => {
                let times = (start_ms, end_ms, step_ms);
                let mut writer = MatrixWriter::new(out, times, self.limit);
                let summary = mytsdb_promql::range_into(storage, expr, times, &self.options, &run.cancel, &mut writer)?;
                Ok((summary, began.elapsed(), writer.end()))
            }
        }
    }
}

struct Timings {
    queued: Duration,
    /// Until the syntax tree stood.
    parsed: Duration,
    /// Until the result stood; with the rendering of series that are written while others are computed.
    evaluated: Duration,
}

/// Seconds.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names that clients know")]
struct TimingStats {
    eval_total_time: f64,
    result_sort_time: f64,
    query_preparation_time: f64,
    inner_eval_time: f64,
    exec_queue_time: f64,
    exec_total_time: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleStats {
    total_queryable_samples: u64,
    samples_read: u64,
    peak_samples: u64,
}

/// Parts of the plan whose steps may be kept, and their steps.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResultCacheStats {
    hits: u64,
    partial: u64,
    misses: u64,
    steps_kept: u64,
    steps_computed: u64,
}

/// `,"stats":{…}`. What the evaluator does not tell apart is counted once, under the name that comes nearest.
fn write_stats(out: &mut Chunks, stats: QueryStats, timings: &Timings, plan: Option<&Plan>) {
    out.raw(",\"stats\":{\"timings\":");
    out.data(&TimingStats {
        eval_total_time: timings.evaluated.as_secs_f64(),
        result_sort_time: 0.0,
        query_preparation_time: timings.parsed.as_secs_f64(),
        inner_eval_time: timings.evaluated.saturating_sub(timings.parsed).as_secs_f64(),
        exec_queue_time: timings.queued.as_secs_f64(),
        exec_total_time: (timings.queued + timings.evaluated).as_secs_f64(),
    });
    out.raw(",\"samples\":");
    out.data(&SampleStats {
        total_queryable_samples: stats.samples_read,
        samples_read: stats.samples_read,
        peak_samples: stats.samples_peak,
    });
    if let Some(plan) = plan {
        let ResultUse { hits, partial, misses, steps_kept, steps_computed } = stats.results;
        out.raw(",\"resultCache\":");
        out.data(&ResultCacheStats { hits, partial, misses, steps_kept, steps_computed });
        out.raw(",\"plan\":");
        write_plan(out, plan);
    }
    out.raw("}");
}
