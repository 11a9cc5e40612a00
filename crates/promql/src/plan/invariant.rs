//! Parts of a query that are the same at every step: everything they select is pinned by `@`.

use super::tree::{Kind, NodeId, Tree};

/// Marks the largest such parts, except bare selectors, which look at one time anyway.
pub(super) fn mark_once(tree: &mut Tree, root: NodeId) {
    let mut next = vec![(root, false)];
    while let Some((id, inside)) = next.pop() {
        let node = &mut tree[id];
        let works = matches!(node.kind, Kind::Aggregate(..) | Kind::Binary(_) | Kind::Call(_) | Kind::Sign { .. });
        node.once = !inside && works && node.traits.invariant && node.traits.selects;
        // A subquery has steps of its own.
        let inside = (inside || node.once) && !matches!(node.kind, Kind::Subquery(_));
        next.extend(node.inputs.iter().map(|input| (*input, inside)));
    }
}
