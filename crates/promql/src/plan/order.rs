//! Selectors whose series are folded into sums and the like, so that their order does not matter.

use super::tree::{Kind, NodeId, Tree};
use mytsdb_model::{LABEL_NAME, MatchOp};
use mytsdb_promql_syntax::{AggregateOp, ValueType};

/// Marks them. `free`: the order of the whole result does not matter.
pub(super) fn mark_any_order(tree: &mut Tree, root: NodeId, free: bool) {
    let mut next = vec![(root, free)];
    while let Some((id, free)) = next.pop() {
        match &tree[id].kind {
            Kind::Aggregate(op, by) => {
                // A single group has no order.
                let single = by.labels.is_empty() && !by.without;
                let free = folds_any_order(*op) && (free || single);
                let (param, operand) = (tree.param(id), tree.operand(id));
                next.extend(param.map(|param| (param, true)));
                next.push((operand, free));
                if free
                    && let Some(at) = selector_below(tree, operand)
                    && let Some(selection) = tree.selection_mut(at)
                {
                    selection.selector.any_order = true;
                }
            }
            Kind::Call(function) => {
                let row = function.row();
                let inner = row.returns == ValueType::Scalar || (free && !row.order_sensitive);
                next.extend(tree[id].inputs.iter().map(|input| (*input, inner)));
            }
            _ => next.extend(tree[id].inputs.iter().map(|input| (*input, free))),
        }
    }
}

fn folds_any_order(op: AggregateOp) -> bool {
    matches!(
        op,
        AggregateOp::Sum
            | AggregateOp::Avg
            | AggregateOp::Count
            | AggregateOp::Min
            | AggregateOp::Max
            | AggregateOp::Group
    )
}

/// The selector whose series are folded as they come. Only of one metric: remarks about many come in their order.
fn selector_below(tree: &Tree, id: NodeId) -> Option<NodeId> {
    let at = match &tree[id].kind {
        Kind::Select(_) => id,
        Kind::Call(_) => {
            let ranges = |input: &&NodeId| matches!(tree[**input].kind, Kind::Range(..));
            *tree[id].inputs.iter().find(ranges)?
        }
        _ => return None,
    };
    let mut matchers = tree.selection(at)?.selector.matchers.iter();
    matchers.any(|m| m.name() == LABEL_NAME && m.op() == MatchOp::Equal).then_some(at)
}
