//! The walk over a plan: evaluates the inputs of each node and hands them to the operator that works on them.

mod aggregates;
mod calls;
mod chain;
mod kept;
mod planned;
mod results;

use crate::error::EvalError;
use crate::kernels::grid::Grid;
use crate::kernels::scalar::Scalar;
use crate::operators::binary::{Operation, join, operate_scalars, operate_with_scalar, restrict, unite};
use crate::operators::mapped::{map_rows, negated};
use crate::operators::reference::pair::pair;
use crate::operators::reference::sets::sets;
use crate::operators::sample_field::SampleField;
use crate::operators::selector::{Asked, SubqueryWidth, select_instant, select_range, subquery, subquery_grid};
use crate::plan::{Kind, Node, NodeId, Operator, Planned, Tree};
use crate::rows::context::Context;
use crate::rows::meter::Meter;
use crate::rows::range_vector::RangeVector;
use crate::rows::vector::Vector;
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
    match (node.operator, &node.kind) {
        (Operator::Literal, Kind::Number { value, .. }) => Ok(Scalar::Constant(*value)),
        (Operator::Sign, Kind::Sign { negative }) => {
            let value = eval_scalar(run, node.inputs[0], grid)?;
            Ok(if *negative { value.map(|v| -v) } else { value })
        }
        (Operator::Scalars, Kind::Binary(operation)) => {
            let (left, right) = run.tree().sides(id);
            let (left, right) = (eval_scalar(run, left, grid)?, eval_scalar(run, right, grid)?);
            Ok(operate_scalars(operation.op, &left, &right, grid.count))
        }
        (Operator::Scalar(how), Kind::Call(_)) => calls::eval_scalar_call(run, how, &node.inputs, grid),
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
    let (context, node) = (&run.context, run.node(id));
    match (node.operator, &node.kind) {
        (Operator::Select, _) => select_instant(context, run.asked(id)?, grid, SampleField::Value),
        (Operator::Sign, Kind::Sign { negative }) => {
            let vector = eval_vector(run, node.inputs[0], grid)?;
            if *negative { map_rows(context, vector, true, |cells, _, _| negated(cells)) } else { Ok(vector) }
        }
        (Operator::CellByCell { swapped: true }, Kind::Binary(operation)) => {
            let (left, right) = run.tree().sides(id);
            let scalar = eval_scalar(run, left, grid)?;
            operate_with_scalar(context, operation, eval_vector(run, right, grid)?, scalar, true)
        }
        (operator, Kind::Binary(operation)) => {
            let (left, right) = run.tree().sides(id);
            let left = eval_vector(run, left, grid)?;
            eval_on(run, (operator, operation), left, right, grid)
        }
        (operator, Kind::Aggregate(op, by)) => aggregates::eval_aggregate(run, (id, operator), (*op, by), grid),
        (Operator::Vector(how), Kind::Call(function)) => calls::eval_call(run, id, (*function, how), grid),
        _ => Err(EvalError::execution("expected an instant vector")),
    }
}

/// Evaluates the right operand, and operates on `left`, a vector, and it.
fn eval_on<'a>(
    run: &'a Run<'a>,
    (operator, operation): (Operator, &'a Operation),
    left: Vector<'a>,
    right: NodeId,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let context = &run.context;
    match operator {
        Operator::CellByCell { .. } => {
            operate_with_scalar(context, operation, left, eval_scalar(run, right, grid)?, false)
        }
        Operator::Restrict => restrict(context, operation, (left, eval_vector(run, right, grid)?), grid),
        Operator::Unite | Operator::Union => unite(context, operation, (left, eval_vector(run, right, grid)?), grid),
        Operator::Join => join(context, operation, (left, eval_vector(run, right, grid)?), grid),
        Operator::Pair | Operator::Sets => {
            // Read before the right side is evaluated: what is wrong with it comes first.
            let left = left.keep(context)?;
            let both = (left, eval_vector(run, right, grid)?.keep(context)?);
            if matches!(operator, Operator::Sets) {
                return sets(context, operation, both, grid);
            }
            pair(context, operation, both, grid)
        }
        _ => Err(EvalError::execution("expected an operator on vectors")),
    }
}

/// Evaluates a node of type range vector.
pub(crate) fn eval_range<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<RangeVector<'a>, EvalError> {
    let node = run.node(id);
    match &node.kind {
        Kind::Range(_, width) => select_range(&run.context, *width, run.asked(id)?, grid),
        Kind::Subquery(width) => eval_subquery(run, **width, node.inputs[0], grid),
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
