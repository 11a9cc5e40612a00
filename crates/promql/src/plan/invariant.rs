//! Parts of a query that are the same at every step: everything they select is pinned by `@`.

use super::tree::{Kind, NodeId, Tree};
use mytsdb_promql_syntax::AggregateOp;

/// Marks the largest such parts, except bare selectors, which look at one time anyway.
///
/// `ranked_alone`: only `topk` and `bottomk` are marked. They are not evaluated once to save time: the result of a single
/// step is in the order of values, which an operator above shows where it takes the first row that does not fit.
pub(super) fn mark_once(tree: &mut Tree, root: NodeId, ranked_alone: bool) {
    let mut next = vec![(root, false)];
    while let Some((id, inside)) = next.pop() {
        let node = &mut tree[id];
        let works = match node.kind {
            Kind::Aggregate(AggregateOp::Topk | AggregateOp::Bottomk, _) => true,
            Kind::Aggregate(..) | Kind::Binary(_) | Kind::Call(_) | Kind::Sign { .. } => !ranked_alone,
            _ => false,
        };
        node.once = !inside && works && node.traits.invariant && node.traits.selects;
        // A subquery has steps of its own.
        let inside = (inside || node.once) && !matches!(node.kind, Kind::Subquery(_));
        next.extend(node.inputs.iter().map(|input| (*input, inside)));
    }
}
