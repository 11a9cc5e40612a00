//! Runs scripts: each eval as written, with `@` at other times, and as the middle of a range query.

use super::compare;
use super::script::{Command, Eval, Expected};
use super::storage::ScriptStorage;
use crate::score::{Options, Score};
use anyhow::Context;
use mytsdb_promql::{
    Annotations, Cancel, EvalError, QueryOptions, QueryResult, QueryValue, SampleValue, Storage, VectorSample, instant,
    range,
};
use mytsdb_promql_syntax::{Expr, Function, ParseOptions, StepUse, parse_with};

const MINUTE_MS: i64 = 60_000;

/// Whether the result depends on the evaluation time or the query's bounds whatever the selectors say.
fn depends_on_time(function: Function) -> bool {
    match function.row().steps {
        StepUse::Query | StepUse::Time | StepUse::TimeWithoutArgument | StepUse::TimeUnlessSelector => true,
        StepUse::Arguments | StepUse::Order | StepUse::FirstArgument => false,
    }
}

/// What the suite's own parser accepts.
const LANGUAGE: ParseOptions = ParseOptions { unquoted_names: true, ..ParseOptions::ALL };

fn query_options() -> QueryOptions {
    QueryOptions {
        max_samples: 10_000,
        delayed_name_removal: true,
        use_start_timestamps: true,
        ..QueryOptions::default()
    }
}

/// Runs a script; every eval counts as one case.
pub fn run(file: &str, script: &[Command], options: &Options) -> anyhow::Result<Score> {
    let mut score = Score::default();
    let mut storage = ScriptStorage::new(options.storage)?;
    for command in script {
        match command {
            Command::Clear => storage = ScriptStorage::new(options.storage)?,
            Command::Load { line, block } => {
                storage.load(block).with_context(|| format!("{file}:{line}"))?;
            }
            Command::Eval(eval) => {
                let name = format!("{file}:{} {}", eval.line, eval.query);
                score.check(options, &name, &check_eval(storage.storage(), eval));
            }
        }
    }
    Ok(score)
}

fn check_eval(storage: &dyn Storage, eval: &Eval) -> Result<(), String> {
    let expr = parse_with(&eval.query, LANGUAGE).map_err(|e| e.to_string())?;
    if eval.step_ms > 0 {
        let result = run_range(storage, &expr, eval.start_ms, eval.end_ms, eval.step_ms);
        let Some(result) = check_failure(eval, result)? else { return Ok(()) };
        check_annotations(eval, &result.annotations)?;
        let QueryValue::Matrix(series) = result.value else { return Err("expected a matrix".into()) };
        return compare::matrix(&eval.series, eval.start_ms, eval.step_ms, &series);
    }
    check_instant(storage, eval, &expr, eval.start_ms)?;
    for (expr, time) in variants(&expr, eval.start_ms) {
        check_instant(storage, eval, &expr, time).map_err(|e| format!("with @ at {time} ms: {e}"))?;
    }
    Ok(())
}

fn run_range(storage: &dyn Storage, expr: &Expr, start: i64, end: i64, step: i64) -> Result<QueryResult, EvalError> {
    range(storage, expr, start, end, step, &query_options(), &Cancel::new())
}

/// The expression with `@ time` on every selector that has none, and the times at which it is evaluated.
fn variants(expr: &Expr, time: i64) -> Vec<(Expr, i64)> {
    let mut dependent = false;
    expr.walk(&mut |node| {
        if let Expr::Call(call) = node {
            dependent |= depends_on_time(call.function);
        }
        !dependent
    });
    if dependent {
        return Vec::new();
    }
    let mut pinned = expr.clone();
    pinned.walk_mut(&mut |node| {
        let (timestamp, at) = match node {
            Expr::Vector(e) => (&mut e.timestamp_ms, e.at),
            Expr::Matrix(e) => (&mut e.selector.timestamp_ms, e.selector.at),
            Expr::Subquery(e) => (&mut e.timestamp_ms, e.at),
            _ => return true,
        };
        if timestamp.is_none() && at.is_none() {
            *timestamp = Some(time);
        }
        // The walk does not enter a subquery: the time of the subquery holds for all inside.
        false
    });
    let times = if time == 0 { vec![-1000, 0, 1000] } else { vec![-10 * time, 0, time / 5, time, 10 * time] };
    times.into_iter().map(|at| (pinned.clone(), at)).collect()
}

fn check_instant(storage: &dyn Storage, eval: &Eval, expr: &Expr, time: i64) -> Result<(), String> {
    let result = instant(storage, expr, time, &query_options(), &Cancel::new());
    let Some(result) = check_failure(eval, result)? else { return Ok(()) };
    check_annotations(eval, &result.annotations)?;
    check_value(eval, result.value)?;
    let text = &eval.query;
    let bounds_dependent = ["start()", "end()", "range()", "step()"].iter().any(|call| text.contains(call));
    if eval.range_vector.is_some() || eval.string.is_some() || bounds_dependent {
        return Ok(());
    }
    let series = run_range(storage, expr, time - MINUTE_MS, time + MINUTE_MS, MINUTE_MS)
        .map_err(|e| format!("as a range query: {e}"))?
        .value;
    let QueryValue::Matrix(series) = series else { return Err("expected a matrix".into()) };
    if !series.is_sorted_by(|a, b| a.labels < b.labels) {
        return Err("as a range query: not sorted by labels".into());
    }
    if eval.ordered {
        return Ok(());
    }
    let mut middle = Vec::new();
    for series in series {
        let float = series.timestamps_ms.iter().position(|&t| t == time).map(|i| SampleValue::Float(series.values[i]));
        let histogram = series
            .histogram_timestamps_ms
            .iter()
            .position(|&t| t == time)
            .map(|i| SampleValue::Histogram(series.histograms[i].clone()));
        if let Some(value) = float.or(histogram) {
            middle.push(VectorSample { labels: series.labels, timestamp_ms: time, value });
        }
    }
    let value = match (&eval.scalar, middle.first().map(|s| &s.value)) {
        (Some(_), Some(SampleValue::Float(value))) => QueryValue::Scalar(time, *value),
        _ => QueryValue::Vector(middle),
    };
    check_value(eval, value).map_err(|e| format!("as a range query: {e}"))
}

fn check_value(eval: &Eval, value: QueryValue) -> Result<(), String> {
    match value {
        QueryValue::Scalar(_, actual) => match eval.scalar {
            Some(expected) if compare::almost(expected, actual) => Ok(()),
            expected => Err(format!("expected {expected:?}, got the scalar {actual}")),
        },
        QueryValue::String(_, actual) => match &eval.string {
            Some(expected) if *expected == actual => Ok(()),
            expected => Err(format!("expected {expected:?}, got {actual:?}")),
        },
        QueryValue::Vector(samples) => {
            if eval.scalar.is_some() || eval.string.is_some() {
                return Err(format!("got a vector: {samples:?}"));
            }
            compare::vector(&eval.series, eval.ordered, &samples)
        }
        QueryValue::Matrix(series) => match eval.range_vector {
            Some((start, _, step)) => compare::matrix(&eval.series, start, step, &series),
            None => Err("got a range vector".into()),
        },
    }
}

/// The result, unless the query was to fail and did.
fn check_failure(eval: &Eval, result: Result<QueryResult, EvalError>) -> Result<Option<QueryResult>, String> {
    match (&eval.fail, result) {
        (None, Ok(result)) => Ok(Some(result)),
        (None, Err(error)) => Err(format!("failed: {error}")),
        (Some(_), Ok(_)) => Err("did not fail".into()),
        (Some(expected), Err(error)) if expected.matches(&error.to_string()) => Ok(None),
        (Some(expected), Err(error)) => Err(format!("expected failure {expected:?}, got {error}")),
    }
}

fn check_annotations(eval: &Eval, annotations: &Annotations) -> Result<(), String> {
    let kinds = [
        ("warnings", annotations.warnings(&eval.query, 0), &eval.warn, eval.no_warn),
        ("infos", annotations.infos(&eval.query, 0), &eval.info, eval.no_info),
    ];
    for (kind, actual, expected, none) in kinds {
        if none && !actual.is_empty() {
            return Err(format!("unexpected {kind}: {actual:?}"));
        }
        if expected.is_empty() {
            continue;
        }
        let unmet: Vec<&Expected> = expected.iter().filter(|e| !actual.iter().any(|a| e.matches(a))).collect();
        if !unmet.is_empty() {
            return Err(format!("expected {kind} {unmet:?}, got {actual:?}"));
        }
        let extra: Vec<&String> = actual.iter().filter(|a| !expected.iter().any(|e| e.matches(a))).collect();
        if !extra.is_empty() {
            return Err(format!("unexpected {kind}: {extra:?}"));
        }
    }
    Ok(())
}
