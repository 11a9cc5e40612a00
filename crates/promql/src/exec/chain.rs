//! Chains of operators: evaluated from the left, without a call on the stack for each of them.

use super::planned::{eval_planned, eval_planned_scalar, hold_scalar};
use super::{Run, eval_on, eval_scalar, eval_vector};
use crate::error::EvalError;
use crate::kernels::grid::Grid;
use crate::kernels::scalar::Scalar;
use crate::operators::binary::{Operation, Union, operate_scalars};
use crate::plan::{NodeId, Operator, is_link};
use crate::rows::context::{Context, Held};
use crate::rows::vector::Vector;
use mytsdb_promql_syntax::ValueType;
use std::iter::Peekable;
use std::time::Instant;

/// Rows that are read one within the other at most; more are kept in memory. A call on each thread's stack.
const HEIGHT_MAX: usize = 256;

/// An operator of a chain: its node, and the right operand.
#[derive(Clone, Copy)]
struct Link<'a> {
    id: NodeId,
    operator: Operator,
    operation: &'a Operation,
    right: NodeId,
}

/// The operator `id` if it follows another one, and nothing special is noted about it.
fn link<'a>(run: &'a Run<'_>, id: NodeId) -> Option<Link<'a>> {
    let operation = run.tree().operation(id)?;
    let right = run.tree().sides(id).1;
    is_link(run.tree(), id).then_some(Link { id, operator: run.node(id).operator, operation, right })
}

/// The operand that is evaluated first, and the operators on it.
fn links<'a>(run: &'a Run<'_>, mut id: NodeId) -> (NodeId, Vec<Link<'a>>) {
    let mut links = Vec::new();
    while let Some(found) = link(run, id) {
        links.push(found);
        id = run.tree().sides(id).0;
    }
    links.reverse();
    (id, links)
}

/// Evaluates a vector as planned.
pub(super) fn eval_chain<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let (first, links) = links(run, id);
    if links.is_empty() {
        let vector = eval_planned(run, first, grid)?;
        return lowered(&run.context, vector, None);
    }
    let began = Instant::now();
    // No other part of the query is computing, and no result is kept for later.
    let before = run.kept.keys().is_empty().then(|| run.context.held());
    let mut vector = lowered(&run.context, eval_planned(run, first, grid)?, None)?;
    let mut links = links.into_iter().peekable();
    while let Some(link) = links.next() {
        run.context.cancel.check()?;
        if matches!(link.operator, Operator::Union) {
            vector = union(run, vector, link, &mut links, (grid, began))?;
            continue;
        }
        vector = lowered(
            &run.context,
            eval_on(run, (link.operator, link.operation), vector, link.right, grid)?,
            before.as_ref(),
        )?;
        note(run, link.id, began, vector.len());
    }
    Ok(vector)
}

/// Whether `next` is an `or` of the same union as `before`.
fn continues(before: Link<'_>, next: Link<'_>) -> bool {
    matches!(next.operator, Operator::Union) && before.operation.matching == next.operation.matching
}

/// `a or b or c`: what was seen before is looked up once for each row, however many operands there are.
fn union<'a>(
    run: &'a Run<'a>,
    first: Vector<'a>,
    link: Link<'a>,
    links: &mut Peekable<impl Iterator<Item = Link<'a>>>,
    (grid, began): (Grid, Instant),
) -> Result<Vector<'a>, EvalError> {
    let mut union = Union::new(&run.context, link.operation, grid);
    union.add(first)?;
    let mut next = Some(link);
    while let Some(Link { id, right, .. }) = next {
        union.add(eval_vector(run, right, grid)?)?;
        note(run, id, began, union.len());
        next = links.next_if(|next| continues(link, *next));
    }
    union.finish()
}

fn note(run: &Run<'_>, id: NodeId, began: Instant, rows: usize) {
    if let Some(meter) = run.meter(id) {
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
pub(super) fn eval_scalar_chain<'a>(run: &'a Run<'a>, id: NodeId, grid: Grid) -> Result<Scalar, EvalError> {
    debug_assert_eq!(run.node(id).value, ValueType::Scalar);
    let (first, links) = links(run, id);
    let began = Instant::now();
    let mut scalar = eval_planned_scalar(run, first, grid)?;
    if links.is_empty() {
        return Ok(scalar);
    }
    for Link { id, operation, right, .. } in links {
        run.context.cancel.check()?;
        let right = eval_scalar(run, right, grid)?;
        scalar = operate_scalars(operation.op, &scalar, &right, grid.count);
        note(run, id, began, 1);
    }
    hold_scalar(&run.context, &scalar)?;
    Ok(scalar)
}
