//! Where the parts of an expression look, as `info` has to know.

use super::tree::{Kind, NodeId, Tree};
use crate::operators::functions::info::Shift;
use mytsdb_promql_syntax::ValueType;

/// Where all of an expression that gives a vector looks, subqueries around it included; if its parts do not agree, at the
/// step itself.
pub(crate) fn shift(tree: &Tree, id: NodeId) -> Shift {
    let mut all = Vec::new();
    shifts(tree, id, Shift::default(), &mut all);
    let first = all.first().copied().unwrap_or_default();
    if all.iter().all(|shift| *shift == first) { first } else { Shift::default() }
}

fn shifts(tree: &Tree, id: NodeId, around: Shift, out: &mut Vec<Shift>) {
    let within = |timestamp_ms: Option<i64>, offset_ms: i64| match timestamp_ms {
        Some(at) => (Some(at - offset_ms), 0),
        None => around.0.map_or((None, around.1 + offset_ms), |at| (Some(at - offset_ms), 0)),
    };
    let node = &tree[id];
    // Expressions that give only numbers or texts shift nothing.
    if matches!(node.value, ValueType::Scalar | ValueType::String) {
        return;
    }
    match &node.kind {
        Kind::Select(selection) if selection.labels_only => {}
        Kind::Select(selection) | Kind::Range(selection, _) => {
            out.push(within(selection.selector.timestamp_ms, selection.selector.offset_ms));
        }
        Kind::Subquery(width) => shifts(tree, node.inputs[0], within(width.timestamp_ms, width.offset_ms), out),
        Kind::Binary(_) => {
            let before = out.len();
            let (leftmost, operators) = tree.chain(id);
            shifts(tree, leftmost, around, out);
            for operator in operators.into_iter().filter(|operator| tree.is_vector(*operator)) {
                shifts(tree, tree.sides(operator).1, around, out);
                if out.len() == before {
                    out.push(around);
                }
            }
        }
        Kind::Number { .. } | Kind::Text(_) | Kind::Sign { .. } | Kind::Aggregate(..) | Kind::Call(_) => {
            let before = out.len();
            node.inputs.iter().for_each(|input| shifts(tree, *input, around, out));
            if out.len() == before {
                // A vector without a selector is one of the step itself.
                out.push(around);
            }
        }
    }
}
