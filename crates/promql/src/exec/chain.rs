//! Chains of operators: evaluated from the left, without a call on the stack for each of them.

use super::planned::{eval_planned, eval_planned_scalar, hold_scalar};
use super::{Run, eval_on, eval_scalar, eval_vector};
use crate::error::EvalError;
use crate::eval::binary::{Union, operate_scalars};
use crate::eval::context::{Context, Held};
use crate::eval::grid::Grid;
use crate::eval::rows::Vector;
use crate::eval::scalar::Scalar;
use mytsdb_promql_syntax::{BinaryExpr, BinaryOp, Expr, ValueType};
use std::iter::Peekable;
use std::time::Instant;

/// Rows that are read one within the other at most; more are kept in memory. A call on each thread's stack.
const HEIGHT_MAX: usize = 256;

/// The operator of `expr` if it follows another one, and nothing special was decided about it.
fn link<'a>(run: &Run<'_>, expr: &'a Expr) -> Option<&'a BinaryExpr> {
    let Expr::Binary(binary) = expr else { return None };
    let follows = matches!(binary.lhs, Expr::Binary(_)) && binary.lhs.value_type() == binary.value_type();
    let plain = || run.decisions.of(expr).is_none_or(|decision| !decision.once && decision.share.is_none());
    (follows && plain()).then_some(binary)
}

/// The operand that is evaluated first, and the operators on it.
fn links<'a>(run: &Run<'_>, mut expr: &'a Expr) -> (&'a Expr, Vec<(&'a Expr, &'a BinaryExpr)>) {
    let mut links = Vec::new();
    while let Some(binary) = link(run, expr) {
        links.push((expr, binary));
        expr = &binary.lhs;
    }
    links.reverse();
    (expr, links)
}

/// Evaluates a vector as planned.
pub(super) fn eval_chain<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let (first, links) = links(run, expr);
    if links.is_empty() {
        let vector = eval_planned(run, first, grid)?;
        return lowered(&run.context, vector, None);
    }
    let began = Instant::now();
    // Nobody else is computing, and nothing is kept for later.
    let before = run.kept.keys().is_empty().then(|| run.context.held());
    let mut vector = lowered(&run.context, eval_planned(run, first, grid)?, None)?;
    let mut links = links.into_iter().peekable();
    while let Some((expr, binary)) = links.next() {
        run.context.cancel.check()?;
        if run.context.options.optimise && links.peek().is_some_and(|(_, next)| continues(binary, next)) {
            vector = union(run, vector, (expr, binary), &mut links, (grid, began))?;
            continue;
        }
        vector = lowered(&run.context, eval_on(run, binary, vector, grid)?, before.as_ref())?;
        note(run, expr, began, vector.len());
    }
    Ok(vector)
}

/// Whether `next` is an `or` like `before`.
fn continues(before: &BinaryExpr, next: &BinaryExpr) -> bool {
    before.op == BinaryOp::Or && next.op == BinaryOp::Or && before.matching == next.matching
}

/// `a or b or c`: what was seen before is looked up once for each row, however many operands there are.
fn union<'a>(
    run: &'a Run<'a>,
    first: Vector<'a>,
    (expr, binary): (&'a Expr, &'a BinaryExpr),
    links: &mut Peekable<impl Iterator<Item = (&'a Expr, &'a BinaryExpr)>>,
    (grid, began): (Grid, Instant),
) -> Result<Vector<'a>, EvalError> {
    let mut union = Union::new(&run.context, binary, grid);
    union.add(first)?;
    let mut next = Some((expr, binary));
    while let Some((expr, operator)) = next {
        union.add(eval_vector(run, &operator.rhs, grid)?)?;
        note(run, expr, began, union.len());
        next = links.next_if(|(_, next)| continues(binary, next));
    }
    union.finish()
}

fn note(run: &Run<'_>, expr: &Expr, began: Instant, rows: usize) {
    let decision = run.decisions.of(expr);
    if let Some(meter) = decision.and_then(|decision| run.decisions.meter(decision)) {
        meter.evaluated(began.elapsed(), rows);
    }
}

/// The same rows, in memory if they are made of too many others. Then all that is held since `before` are those.
fn lowered<'a>(context: &'a Context<'a>, vector: Vector<'a>, before: Option<&Held>) -> Result<Vector<'a>, EvalError> {
    if vector.height() <= HEIGHT_MAX {
        return Ok(vector);
    }
    let rows = vector.keep(context)?;
    if let Some(before) = before {
        context.back_to(before);
        for row in &rows {
            context.hold_row(&row.labels, &row.cells)?;
        }
    }
    Ok(Vector::Kept(rows))
}

/// Evaluates a scalar as planned.
pub(super) fn eval_scalar_chain<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<Scalar, EvalError> {
    debug_assert_eq!(expr.value_type(), ValueType::Scalar);
    let (first, links) = links(run, expr);
    let began = Instant::now();
    let mut scalar = eval_planned_scalar(run, first, grid)?;
    if links.is_empty() {
        return Ok(scalar);
    }
    for (expr, binary) in links {
        run.context.cancel.check()?;
        let rhs = eval_scalar(run, &binary.rhs, grid)?;
        scalar = operate_scalars(binary.op, &scalar, &rhs, grid.count);
        note(run, expr, began, 1);
    }
    hold_scalar(&run.context, &scalar)?;
    Ok(scalar)
}
