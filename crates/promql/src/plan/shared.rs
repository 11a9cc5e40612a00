//! Subtrees that occur more than once and give few series: they are evaluated once.

use super::text::own_text;
use super::tree::{Inputs, Kind, NodeId, Tree};
use mytsdb_promql_syntax::{Function, PosRange, ValueType};
use std::collections::HashMap;

/// Membership in a group of equal subtrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Number of the group.
    pub group: u32,
    /// Members that are evaluated or answered from the kept result.
    pub uses: u32,
    /// The member that comes first in the tree.
    pub first: NodeId,
}

/// What tells one subtree from another: its number, which equal subtrees have in common, and the steps it is evaluated at.
type Key = (u32, String);

#[derive(Default)]
struct Search {
    /// Numbers of subtrees by node.
    numbers: Vec<u32>,
    members: Vec<Vec<NodeId>>,
    known: HashMap<Key, usize>,
}

/// Marks the members of all groups of at least two.
pub(super) fn mark_shared(tree: &mut Tree, root: NodeId) {
    let mut candidates = 0;
    tree.walk(root, &mut |id, _| {
        candidates += usize::from(is_candidate(tree, id));
        true
    });
    if candidates < 2 {
        return;
    }
    let mut search = Search { numbers: numbers(tree), ..Search::default() };
    search.visit(tree, root, "");
    for (group, members) in search.members.iter().enumerate().filter(|(_, members)| members.len() > 1) {
        let share = Share { group: group as u32, uses: members.len() as u32, first: members[0] };
        for member in members {
            tree[*member].share = Some(share);
        }
    }
}

/// Numbers for subtrees: two have the same one if they are equal but for their places, with all times settled, and if the
/// same of their histograms are only summarised.
fn numbers(tree: &Tree) -> Vec<u32> {
    let mut known: HashMap<(String, Inputs), u32> = HashMap::new();
    let mut first_with: Vec<NodeId> = Vec::new();
    let mut numbers: Vec<u32> = Vec::with_capacity(tree.len());
    for id in tree.ids() {
        let node = &tree[id];
        let mut text = match node.kind {
            Kind::Number { value, .. } => format!("{:x}", value.to_bits()),
            _ => own_text(&node.kind),
        };
        if tree.selection(id).is_some_and(|selection| selection.selector.summarised) {
            text.push_str(" summarised");
        }
        // Equal inputs are named by the first of them.
        let inputs = node.inputs.iter().map(|input| first_with[numbers[input.index()] as usize]).collect();
        let next = known.len() as u32;
        let number = *known.entry((text, inputs)).or_insert(next);
        if number == next {
            first_with.push(id);
        }
        numbers.push(number);
    }
    numbers
}

impl Search {
    fn visit(&mut self, tree: &Tree, id: NodeId, scope: &str) {
        if is_candidate(tree, id) {
            let key = (self.numbers[id.index()], scope.to_owned());
            if let Some(&group) = self.known.get(&key) {
                // What is below is not evaluated again.
                self.members[group].push(id);
                return;
            }
            self.known.insert(key, self.members.len());
            self.members.push(vec![id]);
        }
        let node = &tree[id];
        let inner = match &node.kind {
            Kind::Subquery(_) => Some(format!("{scope}{}", own_text(&node.kind))),
            _ if node.once => Some(format!("{scope} once")),
            _ => None,
        };
        for input in &node.inputs {
            self.visit(tree, *input, inner.as_deref().unwrap_or(scope));
        }
    }
}

/// Whether the result is complete when the node's evaluation returns, small, and worth to be kept.
fn is_candidate(tree: &Tree, id: NodeId) -> bool {
    let node = &tree[id];
    let kept = match &node.kind {
        Kind::Aggregate(..) => true,
        Kind::Call(function) => *function == Function::Scalar,
        Kind::Binary(_) => node.inputs.iter().all(|side| tree.is_vector(*side) && is_small(tree, *side)),
        _ => false,
    };
    kept && node.traits.selects
}

/// Made of aggregations, so that there are far fewer series than were read.
fn is_small(tree: &Tree, id: NodeId) -> bool {
    let node = &tree[id];
    match &node.kind {
        Kind::Aggregate(..) | Kind::Number { .. } | Kind::Text(_) => true,
        Kind::Select(_) | Kind::Range(..) | Kind::Subquery(_) => false,
        Kind::Call(_) if node.value == ValueType::Scalar => true,
        Kind::Call(_) | Kind::Binary(_) | Kind::Sign { .. } => node.inputs.iter().all(|input| is_small(tree, *input)),
    }
}

/// The places of a subtree's nodes, in an order that is the same for equal subtrees.
pub(crate) fn positions(tree: &Tree, id: NodeId) -> Vec<PosRange> {
    let mut out = Vec::new();
    tree.walk(id, &mut |_, node| {
        out.extend([node.outer, node.pos]);
        if let Kind::Range(selection, _) = &node.kind {
            out.push(selection.selector.pos);
        }
        true
    });
    out
}
