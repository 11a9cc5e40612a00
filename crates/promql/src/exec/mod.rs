//! The walk over a plan: evaluates the inputs of each node and hands them to the operator that works on them.

mod aggregates;
mod calls;
mod chain;
mod kept;
mod planned;

use crate::error::EvalError;
use crate::eval::binary::{Operation, operate_scalars, operate_vectors, operate_with_scalar};
use crate::eval::context::Context;
use crate::eval::grid::Grid;
use crate::eval::mapped::{map_rows, negated};
use crate::eval::meter::Meter;
use crate::eval::range_vector::RangeVector;
use crate::eval::rows::Vector;
use crate::eval::scalar::Scalar;
use crate::eval::selector::{Asked, SampleField, SubqueryWidth, select_instant, select_range, subquery, subquery_grid};
use crate::plan::{Kind, Node, NodeId, Planned, Tree};
use chain::{eval_chain, eval_scalar_chain};
use kept::Kept;

/// One evaluation of a plan.
pub(crate) struct Run<'a> {
    pub context: Context<'a>,
    pub planned: Planned,
    /// By node; none if nobody wants to know.
    pub meters: Vec<Meter>,
    /// Results that several nodes share.
    kept: Kept,
}

impl<'a> Run<'a> {
    pub fn new(context: Context<'a>, planned: Planned) -> Self {
        let ids = planned.tree.ids();
        let meters = if context.options.profile { ids.map(|_| Meter::default()).collect() } else { Vec::new() };
        Self { context, planned, meters, kept: Kept::default() }
    }

    fn tree(&self) -> &Tree {
        &self.planned.tree
    }

    fn node(&self, id: NodeId) -> &Node {
        &self.planned.tree[id]
    }

    fn meter(&self, id: NodeId) -> Option<&Meter> {
        self.meters.get(id.index())
    }

    /// The selector `id` as its operator wants it.
    fn asked(&'a self, id: NodeId) -> Result<Asked<'a, 'a>, EvalError> {
        let selection = self.tree().selection(id).ok_or_else(|| EvalError::execution("expected a selector"))?;
        Ok(Asked { selector: &selection.selector, meter: self.meter(id) })
    }
}

/// Evaluates a node of type scalar.
pub(crate) fn eval_scalar<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Scalar, EvalError> {
    eval_scalar_chain(run, id, grid)
}

/// The same whatever is noted about the node itself.
fn eval_scalar_node<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Scalar, EvalError> {
    let node = run.node(id);
    match &node.kind {
        Kind::Number { value, .. } => Ok(Scalar::Constant(*value)),
        Kind::Sign { negative } => {
            let value = eval_scalar(run, node.inputs[0], grid)?;
            Ok(if *negative { value.map(|v| -v) } else { value })
        }
        Kind::Binary(operation) => {
            let (left, right) = run.tree().sides(id);
            let (left, right) = (eval_scalar(run, left, grid)?, eval_scalar(run, right, grid)?);
            Ok(operate_scalars(operation.op, &left, &right, grid.count))
        }
        Kind::Call(function) => calls::eval_scalar_call(run, *function, &node.inputs, grid),
        _ => Err(EvalError::execution("expected a scalar")),
    }
}

/// Evaluates a node of type instant vector.
pub(crate) fn eval_vector<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Vector<'a>, EvalError> {
    run.context.cancel.check()?;
    eval_chain(run, id, grid)
}

/// The same whatever is noted about the node itself.
fn eval_node<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let node = run.node(id);
    match &node.kind {
        Kind::Select(_) => select_instant(&run.context, run.asked(id)?, grid, SampleField::Value),
        Kind::Aggregate(op, by) => aggregates::eval_aggregate(run, id, (*op, by), grid),
        Kind::Call(function) => calls::eval_call(run, id, *function, grid),
        Kind::Sign { negative } => {
            let vector = eval_vector(run, node.inputs[0], grid)?;
            if *negative { map_rows(&run.context, vector, true, |cells, _, _| negated(cells)) } else { Ok(vector) }
        }
        Kind::Binary(operation) => eval_binary(run, id, operation, grid),
        Kind::Number { .. } | Kind::Text(_) | Kind::Range(..) | Kind::Subquery(_) => {
            Err(EvalError::execution("expected an instant vector"))
        }
    }
}

fn eval_binary<'a>(
    run: &'a Run<'a>,
    id: NodeId,
    operation: &'a Operation,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let (left, right) = run.tree().sides(id);
    if run.tree().is_vector(left) {
        let vector = eval_vector(run, left, grid)?;
        return eval_on(run, operation, vector, right, grid);
    }
    let scalar = eval_scalar(run, left, grid)?;
    let vector = eval_vector(run, right, grid)?;
    operate_with_scalar(&run.context, operation, vector, scalar, true)
}

/// Evaluates the right operand, and operates on `left`, a vector, and it.
fn eval_on<'a>(
    run: &'a Run<'a>,
    operation: &'a Operation,
    mut left: Vector<'a>,
    right: NodeId,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let context = &run.context;
    if !run.tree().is_vector(right) {
        let scalar = eval_scalar(run, right, grid)?;
        return operate_with_scalar(context, operation, left, scalar, false);
    }
    if !context.options.optimise {
        left = Vector::Kept(left.keep(context)?);
    }
    let right = eval_vector(run, right, grid)?;
    operate_vectors(context, operation, (left, right), grid)
}

/// Evaluates a node of type range vector.
pub(crate) fn eval_range<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<RangeVector<'a>, EvalError> {
    let node = run.node(id);
    match &node.kind {
        Kind::Range(_, width) => select_range(&run.context, *width, run.asked(id)?, grid),
        Kind::Subquery(width) => eval_subquery(run, *width, node.inputs[0], grid),
        _ => Err(EvalError::execution("expected a range vector")),
    }
}

fn eval_subquery<'a>(
    run: &'a Run<'a>,
    width: SubqueryWidth,
    inner: NodeId,
    grid: Grid,
) -> Result<RangeVector<'a>, EvalError> {
    let inner_grid = subquery_grid(&run.context, width, grid)?;
    let rows = if inner_grid.count == 0 { Vector::none() } else { eval_vector(run, inner, inner_grid)? };
    Ok(subquery(&run.context, width, (rows, inner_grid), grid))
}
