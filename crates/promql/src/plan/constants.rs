//! Constant folding, and idioms that stand for something simpler.

use super::text::shortened;
use super::tree::{Kind, NodeId, Tree};
use super::{Facts, Notes};
use crate::names::is_schema;
use crate::operators::binary::arithmetic;
use crate::operators::functions::{Compute, ScalarCompute, VectorCompute, compute};
use crate::operators::groups::GroupBy;
use mytsdb_promql_syntax::{AggregateOp, BinaryOp, Function};

/// Replaces scalar expressions whose value is known by their value. They keep their place in the query.
pub(super) fn fold(tree: &mut Tree, id: NodeId, facts: Facts, notes: &mut Notes) {
    if matches!(tree[id].kind, Kind::Binary(_)) {
        fold_chain(tree, id, facts, notes);
        return;
    }
    // Of what is folded, the whole is told and no part.
    match constant(tree, id, facts) {
        Some(value) => replace(tree, id, value, notes),
        None => tree.inputs(id).into_iter().for_each(|input| fold(tree, input, facts, notes)),
    }
}

/// Folds as many operators of a chain as have a known value, from the left, and the operands of all others.
fn fold_chain(tree: &mut Tree, id: NodeId, facts: Facts, notes: &mut Notes) {
    let (leftmost, operators) = tree.chain(id);
    let mut known = constant(tree, leftmost, facts);
    if known.is_none() {
        fold(tree, leftmost, facts, notes);
    }
    let mut left = leftmost;
    for operator in operators {
        let right = tree.sides(operator).1;
        let value = known.and_then(|left| Some((left, constant(tree, right, facts)?)));
        if let (Some(value), None) = (known, value) {
            replace(tree, left, value, notes);
        }
        let op = tree.operation(operator).map(|operation| operation.op);
        known = value.zip(op).map(|((left, right), op)| arithmetic(op, left, right));
        if known.is_none() {
            fold(tree, right, facts, notes);
        }
        left = operator;
    }
    if let Some(value) = known {
        replace(tree, id, value, notes);
    }
}

fn replace(tree: &mut Tree, id: NodeId, value: f64, notes: &mut Notes) {
    let node = &tree[id];
    let is_number = matches!(node.kind, Kind::Number { .. });
    if is_number && node.pos == node.outer {
        return;
    }
    let before = (!is_number && notes.has_room()).then(|| shortened(tree, id));
    tree.put_number(id, value);
    if let Some(before) = before {
        notes.push(|| format!("constant: {before} is {}", shortened(tree, id)));
    }
}

/// The value of a scalar expression that is the same in all steps, by the evaluator's own arithmetic.
fn constant(tree: &Tree, id: NodeId, facts: Facts) -> Option<f64> {
    let node = &tree[id];
    match &node.kind {
        Kind::Number { value, .. } => Some(*value),
        Kind::Sign { negative } => {
            let value = constant(tree, node.inputs[0], facts)?;
            Some(if *negative { -value } else { value })
        }
        Kind::Binary(_) => {
            let (leftmost, operators) = tree.chain(id);
            operators.into_iter().try_fold(constant(tree, leftmost, facts)?, |left, operator| {
                Some(arithmetic(tree.operation(operator)?.op, left, constant(tree, tree.sides(operator).1, facts)?))
            })
        }
        Kind::Call(function) => constant_call(tree, id, *function, facts),
        _ => None,
    }
}

fn constant_call(tree: &Tree, id: NodeId, function: Function, facts: Facts) -> Option<f64> {
    let inputs = &tree[id].inputs;
    match compute(function) {
        Compute::Scalar(ScalarCompute::Query(f)) => Some(f(facts.times)),
        Compute::Scalar(ScalarCompute::Pair(f)) => {
            Some(f(constant(tree, inputs[0], facts)?, constant(tree, inputs[1], facts)?))
        }
        Compute::Scalar(ScalarCompute::Only) => match &tree[inputs[0]].kind {
            Kind::Call(inner) if matches!(compute(*inner), Compute::Vector(VectorCompute::Number)) => {
                constant(tree, tree[inputs[0]].inputs[0], facts)
            }
            _ => None,
        },
        Compute::Scalar(ScalarCompute::StepTime) | Compute::Vector(_) => None,
    }
}

/// Takes away `* 1` and `/ 1` where there is neither a name nor a histogram that they would change.
pub(super) fn simplify(tree: &mut Tree, id: NodeId, notes: &mut Notes) {
    let (leftmost, operators) = tree.chain(id);
    tree.inputs(leftmost).into_iter().for_each(|input| simplify(tree, input, notes));
    for operator in operators {
        simplify(tree, tree.sides(operator).1, notes);
        simplify_operator(tree, operator, notes);
    }
}

fn simplify_operator(tree: &mut Tree, id: NodeId, notes: &mut Notes) {
    let (left, right) = tree.sides(id);
    let is_one = |side: NodeId| {
        let node = &tree[side];
        matches!(node.kind, Kind::Number { value, .. } if value == 1.0) && node.pos == node.outer
    };
    let Some(op) = tree.operation(id).map(|operation| operation.op) else { return };
    let kept = match op {
        BinaryOp::Mul | BinaryOp::Div if is_one(right) => left,
        BinaryOp::Mul if is_one(left) => right,
        _ => return,
    };
    if !tree.is_vector(kept) || !is_nameless(tree, kept) {
        return;
    }
    notes.push(|| {
        let [a, b, same] = [left, right, kept].map(|side| shortened(tree, side));
        format!("same value: {a} {} {b} is {same}", op.as_str())
    });
    tree.put_up(id, kept);
}

fn is_nameless(tree: &Tree, id: NodeId) -> bool {
    matches!(&tree[id].kind, Kind::Aggregate(op, by) if groups_lack_names(*op, by))
}

/// An aggregation into new series that have no metric name.
pub(super) fn groups_lack_names(op: AggregateOp, by: &GroupBy) -> bool {
    folds(op) && (by.without || !by.labels.iter().any(|label| is_schema(label)))
}

/// One series per group, with the labels of the group.
pub(super) fn folds(op: AggregateOp) -> bool {
    matches!(
        op,
        AggregateOp::Sum
            | AggregateOp::Avg
            | AggregateOp::Count
            | AggregateOp::Min
            | AggregateOp::Max
            | AggregateOp::Group
            | AggregateOp::Stddev
            | AggregateOp::Stdvar
            | AggregateOp::Quantile
    )
}
