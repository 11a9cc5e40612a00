//! The walk over a query: evaluates the inputs of each node and hands them to the operator that works on them.

mod aggregates;
mod calls;
mod chain;
mod kept;
mod planned;

use crate::error::EvalError;
use crate::eval::binary::{operate_scalars, operate_vectors, operate_with_scalar};
use crate::eval::context::Context;
use crate::eval::grid::Grid;
use crate::eval::mapped::{map_rows, negated};
use crate::eval::range_vector::RangeVector;
use crate::eval::rows::Vector;
use crate::eval::scalar::Scalar;
use crate::eval::selector::{Asked, SampleField, select_instant, select_range, subquery, subquery_grid};
use crate::plan::Decisions;
use chain::{eval_chain, eval_scalar_chain};
use kept::Kept;
use mytsdb_promql_syntax::{BinaryExpr, Expr, PosRange, SubqueryExpr, UnaryExpr, ValueType, VectorSelector};
use std::collections::HashSet;

/// One evaluation of a plan.
pub(crate) struct Run<'a> {
    pub context: Context<'a>,
    pub decisions: Decisions,
    /// Places of selectors whose histograms are only summarised.
    summarised: HashSet<PosRange>,
    /// Results that several nodes share.
    kept: Kept,
}

impl<'a> Run<'a> {
    pub fn new(context: Context<'a>, decisions: Decisions, summarised: HashSet<PosRange>) -> Self {
        Self { context, decisions, summarised, kept: Kept::default() }
    }

    fn asked<'s>(&'a self, selector: &'s VectorSelector) -> Asked<'s, 'a> {
        Asked {
            selector,
            any_order: self.decisions.any_order(selector),
            summarised: self.summarised.contains(&selector.pos),
            meter: self.decisions.selector_meter(selector),
        }
    }
}

/// Evaluates an expression of type scalar.
pub(crate) fn eval_scalar<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<Scalar, EvalError> {
    eval_scalar_chain(run, expr, grid)
}

/// The same without a look at the plan for `expr` itself.
fn eval_scalar_node<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<Scalar, EvalError> {
    match expr {
        Expr::Number(number) => Ok(Scalar::Constant(number.value)),
        Expr::Paren(paren) => eval_scalar(run, &paren.expr, grid),
        Expr::Unary(unary) => {
            let value = eval_scalar(run, &unary.expr, grid)?;
            Ok(if unary.negative { value.map(|v| -v) } else { value })
        }
        Expr::Binary(binary) => {
            let lhs = eval_scalar(run, &binary.lhs, grid)?;
            let rhs = eval_scalar(run, &binary.rhs, grid)?;
            Ok(operate_scalars(binary.op, &lhs, &rhs, grid.count))
        }
        Expr::Call(call) => calls::eval_scalar_call(run, call, grid),
        _ => Err(EvalError::execution("expected a scalar")),
    }
}

/// Evaluates an expression of type instant vector.
pub(crate) fn eval_vector<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    run.context.cancel.check()?;
    eval_chain(run, expr, grid)
}

/// The same without a look at the plan for `expr` itself.
fn eval_node<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    match expr {
        Expr::Vector(selector) => select_instant(&run.context, run.asked(selector), grid, SampleField::Value),
        Expr::Paren(paren) => eval_vector(run, &paren.expr, grid),
        Expr::Aggregate(aggregate) => aggregates::eval_aggregate(run, aggregate, grid),
        Expr::Call(call) => calls::eval_call(run, call, grid),
        Expr::Unary(unary) => eval_unary(run, unary, grid),
        Expr::Binary(binary) => eval_binary(run, binary, grid),
        Expr::Number(_) | Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_) => {
            Err(EvalError::execution("expected an instant vector"))
        }
    }
}

fn eval_binary<'a>(run: &'a Run<'a>, binary: &'a BinaryExpr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    if binary.lhs.value_type() == ValueType::Vector {
        let vector = eval_vector(run, &binary.lhs, grid)?;
        return eval_on(run, binary, vector, grid);
    }
    let scalar = eval_scalar(run, &binary.lhs, grid)?;
    let vector = eval_vector(run, &binary.rhs, grid)?;
    operate_with_scalar(&run.context, binary, vector, scalar, true)
}

/// Evaluates the right operand, and operates on `lhs`, a vector, and it.
fn eval_on<'a>(
    run: &'a Run<'a>,
    binary: &'a BinaryExpr,
    mut lhs: Vector<'a>,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let context = &run.context;
    if binary.rhs.value_type() != ValueType::Vector {
        let scalar = eval_scalar(run, &binary.rhs, grid)?;
        return operate_with_scalar(context, binary, lhs, scalar, false);
    }
    if !context.options.optimise {
        lhs = Vector::Kept(lhs.keep(context)?);
    }
    let rhs = eval_vector(run, &binary.rhs, grid)?;
    operate_vectors(context, binary, (lhs, rhs), grid)
}

fn eval_unary<'a>(run: &'a Run<'a>, unary: &'a UnaryExpr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let vector = eval_vector(run, &unary.expr, grid)?;
    if unary.negative { map_rows(&run.context, vector, true, |cells, _, _| negated(cells)) } else { Ok(vector) }
}

/// Evaluates an expression of type range vector.
pub(crate) fn eval_range<'a>(run: &'a Run<'a>, expr: &'a Expr, grid: Grid) -> Result<RangeVector<'a>, EvalError> {
    match expr.unwrap_parens() {
        Expr::Matrix(matrix) => select_range(&run.context, matrix, run.asked(&matrix.selector), grid),
        Expr::Subquery(subquery) => eval_subquery(run, subquery, grid),
        _ => Err(EvalError::execution("expected a range vector")),
    }
}

fn eval_subquery<'a>(run: &'a Run<'a>, expr: &'a SubqueryExpr, grid: Grid) -> Result<RangeVector<'a>, EvalError> {
    let inner_grid = subquery_grid(&run.context, expr, grid)?;
    let inner = if inner_grid.count == 0 { Vector::none() } else { eval_vector(run, &expr.expr, inner_grid)? };
    Ok(subquery(&run.context, expr, (inner, inner_grid), grid))
}
