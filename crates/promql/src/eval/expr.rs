//! The walk over the syntax tree: which node becomes which rows.

use super::aggregate::eval_aggregate;
use super::binary::{eval_on, eval_scalars, eval_vector_scalar};
use super::cells::Cells;
use super::chain::{eval_chain, eval_scalar_chain};
use super::context::{Context, Scratch};
use super::functions::{eval_call, settle_names};
use super::grid::Grid;
use super::rows::{Rows, Vector};
use super::selector::{SampleField, select_instant};
use crate::ast::{BinaryExpr, Expr, UnaryExpr, ValueType};
use crate::error::EvalError;
use mytsdb_model::Labels;
use std::ops::Range;

/// A number for each step.
#[derive(Debug, Clone)]
pub(crate) enum Scalar {
    Constant(f64),
    Steps(Vec<f64>),
}

impl Scalar {
    #[inline]
    pub fn at(&self, index: usize) -> f64 {
        match self {
            Scalar::Constant(value) => *value,
            Scalar::Steps(values) => values[index],
        }
    }

    /// The values of all steps, or the constant once.
    pub fn distinct(&self, count: usize) -> Vec<f64> {
        match self {
            Scalar::Constant(_) if count == 0 => Vec::new(),
            Scalar::Constant(value) => vec![*value],
            Scalar::Steps(values) => values.clone(),
        }
    }

    /// The values of some steps.
    pub fn part(&self, steps: &Range<usize>) -> Scalar {
        match self {
            Scalar::Constant(value) => Scalar::Constant(*value),
            Scalar::Steps(values) => Scalar::Steps(values[steps.clone()].to_vec()),
        }
    }

    /// Of the values that are not within bounds, those that a remark shows: NaN if there is one, else
    /// the largest and the smallest.
    pub fn worst(&self, count: usize, lowest: f64, highest: f64) -> Vec<f64> {
        let all = self.distinct(count);
        if all.iter().any(|value| value.is_nan()) {
            return vec![f64::NAN];
        }
        let largest = all.iter().copied().reduce(f64::max).filter(|&value| value > highest);
        let smallest = all.iter().copied().reduce(f64::min).filter(|&value| value < lowest);
        largest.into_iter().chain(smallest).collect()
    }

    pub fn map(self, f: impl Fn(f64) -> f64) -> Scalar {
        match self {
            Scalar::Constant(value) => Scalar::Constant(f(value)),
            Scalar::Steps(values) => Scalar::Steps(values.into_iter().map(f).collect()),
        }
    }

    pub fn zip(&self, other: &Scalar, count: usize, f: impl Fn(f64, f64) -> f64) -> Scalar {
        if let (Scalar::Constant(a), Scalar::Constant(b)) = (self, other) {
            return Scalar::Constant(f(*a, *b));
        }
        Scalar::Steps((0..count).map(|i| f(self.at(i), other.at(i))).collect())
    }
}

/// Evaluates an expression of type scalar.
pub(crate) fn eval_scalar<'a>(context: &'a Context<'a>, expr: &'a Expr, grid: Grid) -> Result<Scalar, EvalError> {
    eval_scalar_chain(context, expr, grid)
}

/// The same without a look at the plan for `expr` itself.
pub(super) fn eval_scalar_node<'a>(context: &'a Context<'a>, expr: &'a Expr, grid: Grid) -> Result<Scalar, EvalError> {
    match expr {
        Expr::Number(number) => Ok(Scalar::Constant(number.value)),
        Expr::Paren(paren) => eval_scalar(context, &paren.expr, grid),
        Expr::Unary(unary) => {
            let value = eval_scalar(context, &unary.expr, grid)?;
            Ok(if unary.negative { value.map(|v| -v) } else { value })
        }
        Expr::Binary(binary) => {
            let lhs = eval_scalar(context, &binary.lhs, grid)?;
            let rhs = eval_scalar(context, &binary.rhs, grid)?;
            Ok(eval_scalars(binary.op, &lhs, &rhs, grid.count))
        }
        Expr::Call(call) => super::functions::eval_scalar_call(context, call, grid),
        _ => Err(EvalError::execution("expected a scalar")),
    }
}

/// Evaluates an expression of type instant vector.
pub(crate) fn eval_vector<'a>(context: &'a Context<'a>, expr: &'a Expr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    context.cancel.check()?;
    eval_chain(context, expr, grid)
}

/// The same without a look at the plan for `expr` itself.
pub(super) fn eval_node<'a>(context: &'a Context<'a>, expr: &'a Expr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    match expr {
        Expr::Vector(selector) => select_instant(context, selector, grid, SampleField::Value, None),
        Expr::Paren(paren) => eval_vector(context, &paren.expr, grid),
        Expr::Aggregate(aggregate) => eval_aggregate(context, aggregate, grid),
        Expr::Call(call) => eval_call(context, call, grid),
        Expr::Unary(unary) => eval_unary(context, unary, grid),
        Expr::Binary(binary) => eval_binary(context, binary, grid),
        Expr::Number(_) | Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_) => {
            Err(EvalError::execution("expected an instant vector"))
        }
    }
}

fn eval_binary<'a>(context: &'a Context<'a>, binary: &'a BinaryExpr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    if binary.lhs.value_type() == ValueType::Vector {
        let vector = eval_vector(context, &binary.lhs, grid)?;
        return eval_on(context, binary, vector, grid);
    }
    let scalar = eval_scalar(context, &binary.lhs, grid)?;
    let vector = eval_vector(context, &binary.rhs, grid)?;
    eval_vector_scalar(context, binary, vector, scalar, true)
}

fn eval_unary<'a>(context: &'a Context<'a>, unary: &'a UnaryExpr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let vector = eval_vector(context, &unary.expr, grid)?;
    if !unary.negative {
        return Ok(vector);
    }
    map_rows(context, vector, true, |cells, _, _| {
        for value in &mut cells.values {
            *value = -*value;
        }
        for histogram in cells.histograms.iter_mut().flatten() {
            let negated = std::sync::Arc::make_mut(histogram);
            negated.mul(-1.0);
            negated.counter_reset_hint = mytsdb_histogram::CounterResetHint::Gauge;
        }
    })
}

struct MappedRows<'a, F> {
    inner: Vector<'a>,
    drops_name: bool,
    /// Names are dropped at the end of the evaluation.
    delayed: bool,
    f: F,
}

impl<F: Fn(&mut Cells, &mut Scratch<'_>, usize) + Sync> Rows for MappedRows<'_, F> {
    fn give_back(self: Box<Self>, context: &Context<'_>) -> Result<(), EvalError> {
        self.inner.give_back(context)
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn steps(&self) -> usize {
        self.inner.steps()
    }

    fn height(&self) -> usize {
        1 + self.inner.height()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.source_labels(index)
    }

    fn nameless(&self) -> bool {
        self.inner.nameless() || (self.drops_name && !self.delayed)
    }

    fn same_schema(&self) -> bool {
        self.inner.same_schema()
    }

    fn drop_name(&self, index: usize) -> bool {
        if self.drops_name { self.delayed } else { self.inner.drop_name(index) }
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        self.inner.read(index, scratch, out)?;
        (self.f)(out, scratch, index);
        Ok(())
    }
}

/// Applies `f` to the cells of every row; `drops_name` says whether the metric name survives.
pub(crate) fn map_rows<'a>(
    context: &'a Context<'a>,
    inner: Vector<'a>,
    drops_name: bool,
    f: impl Fn(&mut Cells, &mut Scratch<'_>, usize) + Sync + 'a,
) -> Result<Vector<'a>, EvalError> {
    // Rows that had no names before were told apart without.
    let settled = !drops_name || inner.nameless();
    let delayed = context.options.delayed_name_removal;
    let rows = Vector::Lazy(Box::new(MappedRows { inner, drops_name, delayed, f }));
    if settled { Ok(rows) } else { settle_names(context, rows) }
}
