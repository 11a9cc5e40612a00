//! Properties that follow from a node and its inputs alone, whatever passes run.

use super::tree::{Kind, NodeId, Traits, Tree};
use mytsdb_promql_syntax::StepUse;

/// Finds the traits of all nodes. Cost: one look at each of them, by invariant N of the tree.
pub(super) fn find(tree: &mut Tree) {
    for id in tree.ids() {
        tree[id].traits = of(tree, id);
    }
}

fn of(tree: &Tree, id: NodeId) -> Traits {
    let node = &tree[id];
    let own = matches!(node.kind, Kind::Select(_) | Kind::Range(..));
    let selects = own || node.inputs.iter().any(|input| tree[*input].traits.selects);
    Traits { selects, pinned: is_pinned(tree, id, false), invariant: is_pinned(tree, id, true) }
}

/// Whether no step has other samples; `ordered`: nor another order of them. What inputs say is known.
fn is_pinned(tree: &Tree, id: NodeId, ordered: bool) -> bool {
    let node = &tree[id];
    let input = |id: NodeId| {
        let traits = tree[id].traits;
        if ordered { traits.invariant } else { traits.pinned }
    };
    let all_pinned = || node.inputs.iter().all(|id| input(*id));
    match &node.kind {
        Kind::Number { .. } | Kind::Text(_) => true,
        Kind::Select(selection) | Kind::Range(selection, _) => selection.selector.timestamp_ms.is_some(),
        Kind::Subquery(width) => width.timestamp_ms.is_some(),
        // What is chosen by a number of each step is so by that of the first one.
        Kind::Aggregate(..) if !ordered => input(tree.operand(id)),
        Kind::Call(function) => match function.row().steps {
            StepUse::Arguments | StepUse::Query => all_pinned(),
            StepUse::Time => false,
            // Prometheus takes all of them to look at the time.
            StepUse::TimeWithoutArgument => ordered && !node.inputs.is_empty() && all_pinned(),
            StepUse::TimeUnlessSelector => {
                matches!(&tree[node.inputs[0]].kind, Kind::Select(s) if s.selector.timestamp_ms.is_some())
            }
            StepUse::Order => !ordered && all_pinned(),
            // Of the metrics that give more labels there are other samples, but the first ones are taken.
            StepUse::FirstArgument => !ordered && input(node.inputs[0]),
        },
        Kind::Aggregate(..) | Kind::Binary(_) | Kind::Sign { .. } => all_pinned(),
    }
}
