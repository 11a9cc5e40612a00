//! What holds for every plan, whatever passes run: where modifiers are allowed, and which histograms are only summarised.

use super::tree::{Kind, NodeId, Tree};
use crate::error::EvalError;
use crate::operators::selector::subquery_span;
use mytsdb_model::TimeRange;
use mytsdb_promql_syntax::{AggregateOp, BinaryOp, BucketUse, Function, FunctionRow};

/// `anchored` and `smoothed` only below functions that know them, unless a subquery without a single step within `span`
/// stands around.
pub(super) fn check_extensions(
    tree: &Tree,
    root: NodeId,
    span: TimeRange,
    default_step_ms: i64,
) -> Result<(), EvalError> {
    let mut next = vec![(root, None, span)];
    while let Some((id, function, span)) = next.pop() {
        let node = &tree[id];
        match &node.kind {
            Kind::Range(selection, _) => {
                if let Some(function) = function {
                    check_extension(function, selection.selector.anchored, selection.selector.smoothed)?;
                }
            }
            Kind::Call(function) => next.extend(node.inputs.iter().rev().map(|arg| (*arg, Some(*function), span))),
            Kind::Subquery(width) => {
                let span = subquery_span(**width, span, default_step_ms);
                if span.mint <= span.maxt {
                    next.push((node.inputs[0], None, span));
                }
            }
            _ => next.extend(node.inputs.iter().rev().map(|input| (*input, None, span))),
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

/// Marks the selectors of which only counts and sums of histograms are looked at.
///
/// There Prometheus decodes histograms without buckets and, as resets could not be found later, notes them in the hints.
pub(super) fn mark_summarised(tree: &mut Tree, root: NodeId) {
    let mut next = vec![(root, false)];
    while let Some((id, summarised)) = next.pop() {
        let node = &mut tree[id];
        match &mut node.kind {
            // Around any of these the buckets matter, and then they are taken to matter everywhere below, even to a
            // function that only counts.
            Kind::Subquery(_) | Kind::Aggregate(AggregateOp::CountValues, _) => {}
            Kind::Binary(operation) if compares_buckets(operation.op) => {}
            Kind::Call(function) if function.row().buckets == BucketUse::Buckets => {}
            Kind::Select(selection) | Kind::Range(selection, _) => selection.selector.summarised = summarised,
            Kind::Call(function) => {
                let inner = summarised || function.row().buckets == BucketUse::Summary;
                next.extend(node.inputs.iter().map(|input| (*input, inner)));
            }
            _ => next.extend(node.inputs.iter().map(|input| (*input, summarised))),
        }
    }
}

fn compares_buckets(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper | BinaryOp::Eq | BinaryOp::NotEq)
}
