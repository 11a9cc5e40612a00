//! What is settled before an evaluation: computed durations, `@ start()`, and where modifiers are allowed.

use crate::error::EvalError;
use crate::eval::grid::Bounds;
use crate::eval::selector::subquery_span;
use mytsdb_model::TimeRange;
use mytsdb_promql_syntax::PosRange;
use mytsdb_promql_syntax::{
    AggregateOp, AtBound, BinaryOp, BucketUse, DurationExpr, DurationOp, DurationOperation, Expr, Function,
    FunctionRow, VectorSelector,
};
use std::collections::HashSet;

/// Times of queries lie between this and its negative.
pub(crate) const TIME_MS_MAX: i64 = 1 << 60;

/// The expression with every duration and time settled.
pub(crate) fn prepare(expr: &Expr, bounds: Bounds, default_step_ms: i64) -> Result<Expr, EvalError> {
    let mut expr = expr.clone();
    let mut error = None;
    expr.walk_mut(&mut |node| {
        if error.is_some() {
            return false;
        }
        if let Err(e) = settle(node, bounds) {
            error = Some(e);
        }
        error.is_none()
    });
    if let Some(error) = error {
        Err(error)
    } else {
        let span = TimeRange { mint: bounds.start_ms, maxt: bounds.end_ms };
        check_extensions(&expr, span, default_step_ms)?;
        Ok(expr)
    }
}

fn settle(node: &mut Expr, bounds: Bounds) -> Result<(), EvalError> {
    match node {
        Expr::Vector(selector) => settle_selector(selector, bounds),
        Expr::Matrix(matrix) => {
            if let Some(range) = matrix.range_expr.take() {
                matrix.range_ms = milliseconds(&range, bounds, true)?;
            }
            settle_selector(&mut matrix.selector, bounds)
        }
        Expr::Subquery(subquery) => {
            if let Some(range) = subquery.range_expr.take() {
                subquery.range_ms = milliseconds(&range, bounds, true)?;
            }
            if let Some(step) = subquery.step_expr.take() {
                subquery.step_ms = milliseconds(&step, bounds, true)?;
            }
            if let Some(offset) = subquery.offset_expr.take() {
                subquery.offset_ms = milliseconds(&offset, bounds, false)?;
            }
            subquery.timestamp_ms = at(subquery.timestamp_ms, subquery.at.take(), bounds);
            Ok(())
        }
        _ => Ok(()),
    }
}

fn settle_selector(selector: &mut VectorSelector, bounds: Bounds) -> Result<(), EvalError> {
    if let Some(offset) = selector.offset_expr.take() {
        selector.offset_ms = milliseconds(&offset, bounds, false)?;
    }
    selector.timestamp_ms = at(selector.timestamp_ms, selector.at.take(), bounds);
    Ok(())
}

fn at(timestamp_ms: Option<i64>, bound: Option<AtBound>, bounds: Bounds) -> Option<i64> {
    match bound {
        Some(AtBound::Start) => Some(bounds.start_ms),
        Some(AtBound::End) => Some(bounds.end_ms),
        // Far beyond any sample; sums of times and durations stay in range.
        None => timestamp_ms.map(|t| t.clamp(-TIME_MS_MAX, TIME_MS_MAX)),
    }
}

fn milliseconds(expr: &DurationExpr, bounds: Bounds, positive: bool) -> Result<i64, EvalError> {
    let pos = expr.pos();
    let err = |message: &str| Err(EvalError::Query(format!("{}:{}: {message}", pos.start, pos.end)));
    let seconds = seconds(expr, bounds)?;
    if !seconds.is_finite() {
        return err("duration is NaN or infinite");
    }
    if positive && seconds <= 0.0 {
        return err("duration must be greater than 0");
    }
    if seconds.abs() > i64::MAX as f64 / 1e9 {
        return err("duration is out of range");
    }
    Ok((seconds * 1000.0) as i64)
}

fn seconds(expr: &DurationExpr, bounds: Bounds) -> Result<f64, EvalError> {
    let operation: &DurationOperation = match expr {
        DurationExpr::Number(number) => return Ok(number.value),
        DurationExpr::Operation(operation) => operation,
    };
    let side = |side: &Option<DurationExpr>| side.as_ref().map_or(Ok(0.0), |e| seconds(e, bounds));
    let (a, b) = (side(&operation.lhs)?, side(&operation.rhs)?);
    let pos = operation.pos;
    let by_zero = |what: &str| Err(EvalError::Query(format!("{}:{}: {what} by zero", pos.start, pos.end)));
    Ok(match operation.op {
        DurationOp::Step => bounds.step_ms as f64 / 1000.0,
        DurationOp::Range => (bounds.end_ms - bounds.start_ms) as f64 / 1000.0,
        DurationOp::Add => a + b,
        DurationOp::Sub => a - b,
        DurationOp::Mul => a * b,
        DurationOp::Div if b == 0.0 => return by_zero("division"),
        DurationOp::Mod if b == 0.0 => return by_zero("modulo"),
        DurationOp::Div => a / b,
        DurationOp::Mod => a % b,
        DurationOp::Pow => a.powf(b),
        DurationOp::MinOf => a.min(b),
        DurationOp::MaxOf => a.max(b),
    })
}

/// `anchored` and `smoothed` only below functions that know them, unless a subquery without a single step within `span`
/// stands around.
fn check_extensions(expr: &Expr, span: TimeRange, default_step_ms: i64) -> Result<(), EvalError> {
    let mut next = vec![(expr, None, span)];
    while let Some((expr, function, span)) = next.pop() {
        match expr {
            Expr::Matrix(matrix) => {
                if let Some(function) = function {
                    check_extension(function, matrix.selector.anchored, matrix.selector.smoothed)?;
                }
            }
            Expr::Call(call) => next.extend(call.args.iter().rev().map(|arg| (arg, Some(call.function), span))),
            Expr::Paren(paren) => next.push((&paren.expr, function, span)),
            Expr::Subquery(subquery) => {
                let span = subquery_span(subquery, span, default_step_ms);
                if span.mint <= span.maxt {
                    next.push((&subquery.expr, None, span));
                }
            }
            _ => next.extend(expr.children().into_iter().rev().map(|child| (child, None, span))),
        }
    }
    Ok(())
}

/// Refuses `anchored` and `smoothed` where they have no meaning.
fn check_extension(function: Function, anchored: bool, smoothed: bool) -> Result<(), EvalError> {
    let (word, allows): (_, fn(&FunctionRow) -> bool) = match (anchored, smoothed) {
        (true, _) => ("anchored", |row| row.anchored),
        (_, true) => ("smoothed", |row| row.smoothed),
        _ => return Ok(()),
    };
    if allows(function.row()) {
        return Ok(());
    }
    let allowed: Vec<&str> = Function::ALL.iter().filter(|f| allows(f.row())).map(|f| f.name()).collect();
    let (allowed, name) = (allowed.join(", "), function.name());
    Err(EvalError::Execution(format!("{word} modifier can only be used with: {allowed} - not with {name}")))
}

/// Places of the selectors of which only counts and sums of histograms are looked at.
///
/// There Prometheus decodes histograms without buckets and, as resets could not be found later, notes them in the hints.
pub(crate) fn summarised_selectors(expr: &Expr) -> HashSet<PosRange> {
    let mut out = HashSet::new();
    let mut next = vec![(expr, false)];
    while let Some((expr, summarised)) = next.pop() {
        match expr {
            // Around any of these the buckets matter, and then they are taken to matter everywhere below, even to a
            // function that only counts.
            Expr::Subquery(_) => {}
            Expr::Binary(binary) if compares_buckets(binary.op) => {}
            Expr::Aggregate(aggregate) if aggregate.op == AggregateOp::CountValues => {}
            Expr::Call(call) if call.function.row().buckets == BucketUse::Buckets => {}
            Expr::Vector(selector) if summarised => {
                out.insert(selector.pos);
            }
            Expr::Matrix(matrix) if summarised => {
                out.insert(matrix.selector.pos);
            }
            Expr::Call(call) => {
                let inner = summarised || call.function.row().buckets == BucketUse::Summary;
                next.extend(call.args.iter().map(|arg| (arg, inner)));
            }
            _ => next.extend(expr.children().into_iter().map(|child| (child, summarised))),
        }
    }
    out
}

fn compares_buckets(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper | BinaryOp::Eq | BinaryOp::NotEq)
}
