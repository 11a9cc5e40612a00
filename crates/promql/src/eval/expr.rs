//! The walk over the syntax tree: which node becomes which rows.

use super::aggregate::eval_aggregate;
use super::binary::{Union, eval_on, eval_scalars, eval_vector_scalar};
use super::cells::Cells;
use super::context::{Context, Held, Scratch};
use super::functions::{eval_call, settle_names};
use super::grid::Grid;
use super::rows::{Rows, Vector};
use super::selector::{SampleField, select_instant};
use super::shared::{eval_planned, eval_planned_scalar, hold_scalar};
use crate::error::EvalError;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::{BinaryExpr, BinaryOp, Expr, UnaryExpr, ValueType};
use std::iter::Peekable;
use std::ops::Range;
use std::time::Instant;

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
        Expr::Vector(selector) => select_instant(context, selector, grid, SampleField::Value),
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

/// Rows that are read one within the other at most; more are kept in memory. A call on each thread's stack.
const HEIGHT_MAX: usize = 256;

/// The operator of `expr` if it follows another one, and nothing special was decided about it.
fn link<'a>(context: &Context<'_>, expr: &'a Expr) -> Option<&'a BinaryExpr> {
    let Expr::Binary(binary) = expr else { return None };
    let follows = matches!(binary.lhs, Expr::Binary(_)) && binary.lhs.value_type() == binary.value_type();
    let plain = || context.decisions.of(expr).is_none_or(|decision| !decision.once && decision.share.is_none());
    (follows && plain()).then_some(binary)
}

/// The operand that is evaluated first, and the operators on it.
fn links<'a>(context: &Context<'_>, mut expr: &'a Expr) -> (&'a Expr, Vec<(&'a Expr, &'a BinaryExpr)>) {
    let mut links = Vec::new();
    while let Some(binary) = link(context, expr) {
        links.push((expr, binary));
        expr = &binary.lhs;
    }
    links.reverse();
    (expr, links)
}

/// Evaluates a vector as planned.
fn eval_chain<'a>(context: &'a Context<'a>, expr: &'a Expr, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let (first, links) = links(context, expr);
    if links.is_empty() {
        let vector = eval_planned(context, first, grid)?;
        return lowered(context, vector, None);
    }
    let began = Instant::now();
    // Nobody else is computing, and nothing is kept for later.
    let before = context.kept.keys().is_empty().then(|| context.held());
    let mut vector = lowered(context, eval_planned(context, first, grid)?, None)?;
    let mut links = links.into_iter().peekable();
    while let Some((expr, binary)) = links.next() {
        context.cancel.check()?;
        if context.options.optimise && links.peek().is_some_and(|(_, next)| continues(binary, next)) {
            vector = union(context, vector, (expr, binary), &mut links, (grid, began))?;
            continue;
        }
        vector = lowered(context, eval_on(context, binary, vector, grid)?, before.as_ref())?;
        note(context, expr, began, vector.len());
    }
    Ok(vector)
}

/// Whether `next` is an `or` like `before`.
fn continues(before: &BinaryExpr, next: &BinaryExpr) -> bool {
    before.op == BinaryOp::Or && next.op == BinaryOp::Or && before.matching == next.matching
}

/// `a or b or c`: what was seen before is looked up once for each row, however many operands there are.
fn union<'a>(
    context: &'a Context<'a>,
    first: Vector<'a>,
    (expr, binary): (&'a Expr, &'a BinaryExpr),
    links: &mut Peekable<impl Iterator<Item = (&'a Expr, &'a BinaryExpr)>>,
    (grid, began): (Grid, Instant),
) -> Result<Vector<'a>, EvalError> {
    let mut union = Union::new(context, binary, grid);
    union.add(first)?;
    let mut next = Some((expr, binary));
    while let Some((expr, operator)) = next {
        union.add(eval_vector(context, &operator.rhs, grid)?)?;
        note(context, expr, began, union.len());
        next = links.next_if(|(_, next)| continues(binary, next));
    }
    union.finish()
}

fn note(context: &Context<'_>, expr: &Expr, began: Instant, rows: usize) {
    let decision = context.decisions.of(expr);
    if let Some(meter) = decision.and_then(|decision| context.decisions.meter(decision)) {
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
fn eval_scalar_chain<'a>(context: &'a Context<'a>, expr: &'a Expr, grid: Grid) -> Result<Scalar, EvalError> {
    debug_assert_eq!(expr.value_type(), ValueType::Scalar);
    let (first, links) = links(context, expr);
    let began = Instant::now();
    let mut scalar = eval_planned_scalar(context, first, grid)?;
    if links.is_empty() {
        return Ok(scalar);
    }
    for (expr, binary) in links {
        context.cancel.check()?;
        let rhs = eval_scalar(context, &binary.rhs, grid)?;
        scalar = eval_scalars(binary.op, &scalar, &rhs, grid.count);
        note(context, expr, began, 1);
    }
    hold_scalar(context, &scalar)?;
    Ok(scalar)
}
