//! The nodes of a plan.
//!
//! Invariant N: a node's inputs have smaller numbers than the node. Build makes them so, and passes only put a node in
//! the place of one that stands above it. So properties that follow from those of the inputs take one pass over the list.

use super::choose::Operator;
use super::shared::Share;
use crate::operators::binary::Operation;
use crate::operators::groups::GroupBy;
use crate::operators::selector::{Selector, SubqueryWidth, Width};
use mytsdb_promql_syntax::{AggregateOp, Function, PosRange, ValueType};
use smallvec::SmallVec;
use std::ops::{Index, IndexMut};

/// The number of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a node works on, in the order of evaluation.
pub(crate) type Inputs = SmallVec<[NodeId; 2]>;

/// One expression of a query. Long queries have millions of them, so what is rare stands behind a pointer.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub kind: Kind,
    pub inputs: Inputs,
    pub value: ValueType,
    /// The bytes of the query that it was read from.
    pub pos: PosRange,
    /// The same with the parentheses around it.
    pub outer: PosRange,
    pub traits: Traits,
    /// It is evaluated at the first step, for all steps.
    pub once: bool,
    /// Its steps may be kept for later queries.
    pub kept: bool,
    /// The result is kept for other nodes like it.
    pub share: Option<Share>,
    /// What computes it.
    pub operator: Operator,
}

/// What a node computes.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Number {
        value: f64,
        duration: bool,
    },
    Text(Vec<u8>),
    Select(Box<Selection>),
    Range(Box<Selection>, Width),
    Subquery(Box<SubqueryWidth>),
    Sign {
        negative: bool,
    },
    Binary(Operation),
    /// Inputs: the parameter, if there is one, and what is aggregated.
    Aggregate(AggregateOp, GroupBy),
    Call(Function),
}

/// A selector and what only a plan has to know about it.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    pub selector: Selector,
    /// The name before the braces; empty if there is none.
    pub name: String,
    /// The second argument of `info`, which selects nothing by itself.
    pub labels_only: bool,
    /// Matchers that other parts of the query handed to it.
    pub handed: Vec<String>,
}

/// What follows from a node and its inputs alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traits {
    /// There is a selector in it.
    pub selects: bool,
    /// No step has other samples.
    pub pinned: bool,
    /// No step has other samples or another order of them.
    pub invariant: bool,
}

/// All nodes of a plan. Those that are not below the root are not used any more.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
}

/// Bytes of a node at most: a query of 4 MiB has four million nodes.
const NODE_BYTES_MAX: usize = 160;
const _: () = assert!(size_of::<Node>() <= NODE_BYTES_MAX);

impl Tree {
    /// A tree with room for `nodes`.
    pub fn with_capacity(nodes: usize) -> Self {
        Self { nodes: Vec::with_capacity(nodes) }
    }

    pub fn push(&mut self, kind: Kind, inputs: Inputs, value: ValueType, (pos, outer): (PosRange, PosRange)) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        debug_assert!(inputs.iter().all(|input| *input < id), "invariant N");
        let traits = Traits::default();
        self.nodes.push(Node {
            kind,
            inputs,
            value,
            pos,
            outer,
            traits,
            once: false,
            kept: false,
            share: None,
            operator: Operator::Literal,
        });
        id
    }

    /// The outermost node.
    pub fn root(&self) -> NodeId {
        NodeId((self.nodes.len() - 1) as u32)
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.nodes.len() as u32).map(NodeId)
    }

    /// What the aggregation or function `id` works on.
    pub fn inputs(&self, id: NodeId) -> Inputs {
        self[id].inputs.clone()
    }

    /// What an aggregation aggregates, and what a sign or a subquery stands at.
    pub fn operand(&self, id: NodeId) -> NodeId {
        self[id].inputs[self[id].inputs.len() - 1]
    }

    /// The parameter of an aggregation.
    pub fn param(&self, id: NodeId) -> Option<NodeId> {
        let inputs = &self[id].inputs;
        (inputs.len() > 1).then(|| inputs[0])
    }

    /// The two operands of a binary operator.
    pub fn sides(&self, id: NodeId) -> (NodeId, NodeId) {
        (self[id].inputs[0], self[id].inputs[1])
    }

    /// The operator of a binary node.
    pub fn operation(&self, id: NodeId) -> Option<&Operation> {
        if let Kind::Binary(operation) = &self[id].kind { Some(operation) } else { None }
    }

    /// The selection of a selector, with a range or without.
    pub fn selection(&self, id: NodeId) -> Option<&Selection> {
        match &self[id].kind {
            Kind::Select(selection) | Kind::Range(selection, _) => Some(selection),
            _ => None,
        }
    }

    pub fn selection_mut(&mut self, id: NodeId) -> Option<&mut Selection> {
        match &mut self[id].kind {
            Kind::Select(selection) | Kind::Range(selection, _) => Some(selection),
            _ => None,
        }
    }

    pub fn is_vector(&self, id: NodeId) -> bool {
        self[id].value == ValueType::Vector
    }

    /// A chain of operators: its leftmost operand, and the operators from the one on it to `id`. What is no operator is an
    /// operand without operators.
    pub fn chain(&self, id: NodeId) -> (NodeId, Vec<NodeId>) {
        let (mut operand, mut operators) = (id, Vec::new());
        while matches!(self[operand].kind, Kind::Binary(_)) {
            operators.push(operand);
            operand = self.sides(operand).0;
        }
        operators.reverse();
        (operand, operators)
    }

    /// Calls `visit` for `start` and, where it returns `true`, for the nodes below, outer ones first.
    pub fn walk(&self, start: NodeId, visit: &mut dyn FnMut(NodeId, &Node) -> bool) {
        let mut next = vec![start];
        while let Some(id) = next.pop() {
            let node = &self[id];
            if visit(id, node) {
                next.extend(node.inputs.iter().rev());
            }
        }
    }

    /// Whether any node from `start` down satisfies `wanted`.
    pub fn any(&self, start: NodeId, wanted: impl Fn(&Node) -> bool) -> bool {
        let mut found = false;
        self.walk(start, &mut |_, node| {
            found |= wanted(node);
            !found
        });
        found
    }

    /// Puts a number in the place of a node, and what was in parentheses has none.
    pub fn put_number(&mut self, id: NodeId, value: f64) {
        let node = &mut self[id];
        node.kind = Kind::Number { value, duration: false };
        node.inputs.clear();
        node.value = ValueType::Scalar;
        node.pos = node.outer;
    }

    /// Puts `below`, a node below `id`, in the place of `id`: in parentheses, which are where that was.
    pub fn put_up(&mut self, id: NodeId, below: NodeId) {
        let outer = self[id].outer;
        self[id] = Node { outer, ..self[below].clone() };
    }
}

impl Index<NodeId> for Tree {
    type Output = Node;

    fn index(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }
}

impl IndexMut<NodeId> for Tree {
    fn index_mut(&mut self, id: NodeId) -> &mut Node {
        &mut self.nodes[id.index()]
    }
}
