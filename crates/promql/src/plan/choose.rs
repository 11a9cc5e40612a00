//! The last pass: which operator computes each node. What is chosen here is what runs, and what `explain` prints.

use super::tree::{Kind, NodeId, Tree};
use crate::operators::functions::{Compute, ScalarCompute, VectorCompute, compute};
use crate::options::Kernels;
use mytsdb_promql_syntax::{AggregateOp, BinaryOp, ValueType};

/// What computes a node.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Operator {
    /// Nothing: it is a number or a text.
    Literal,
    /// The latest sample of each step.
    Select,
    /// The samples of each window.
    SelectWindows,
    /// Windows over rows of inner steps.
    Subquery,
    /// The same, or with the other sign.
    Sign,
    /// Number by number, of two scalars.
    Scalars,
    /// Cell by cell, of a vector and a scalar; `swapped` if the scalar stands on the left.
    CellByCell { swapped: bool },
    /// `and`, `unless`: one side is folded, and chooses cells of the other.
    Restrict,
    /// `or` of two vectors.
    Unite,
    /// `or` among others like it: one table for all of them.
    Union,
    /// One side is kept, and the rows of the other are combined with it as they are read.
    Join,
    /// Both sides are kept and paired step by step.
    Pair,
    /// `and`, `or`, `unless` of two sides that are kept.
    Sets,
    /// One accumulator for each group and step.
    Fold,
    /// So many best cells of each step.
    Best(usize),
    /// `topk` and `bottomk` of rows that are kept.
    Choose,
    /// Quantiles of rows that are kept.
    Quantiles,
    /// How often each value occurs.
    CountValues,
    /// The first series of each group.
    Limit,
    /// A share of the series, by their labels.
    Share,
    /// A function that gives numbers.
    Scalar(ScalarCompute),
    /// A function that gives an instant vector.
    Vector(VectorCompute),
}

/// More are chosen from kept rows: a heap a step takes too much room for them.
const BEST_MAX: f64 = 64.0;

/// Chooses the operators of all nodes.
pub(super) fn choose(tree: &mut Tree, kernels: Kernels) {
    for id in tree.ids() {
        tree[id].operator = operator(tree, id, kernels);
    }
    if kernels == Kernels::Columnar {
        for id in tree.ids() {
            join_unions(tree, id);
        }
    }
}

fn operator(tree: &Tree, id: NodeId, kernels: Kernels) -> Operator {
    match &tree[id].kind {
        Kind::Number { .. } | Kind::Text(_) => Operator::Literal,
        Kind::Select(_) => Operator::Select,
        Kind::Range(..) => Operator::SelectWindows,
        Kind::Subquery(_) => Operator::Subquery,
        Kind::Sign { .. } => Operator::Sign,
        Kind::Binary(_) => binary(tree, id, kernels),
        Kind::Aggregate(op, _) => aggregate(tree, id, *op, kernels),
        Kind::Call(function) => match compute(*function) {
            Compute::Scalar(how) => Operator::Scalar(how),
            Compute::Vector(VectorCompute::Date(f)) if tree[id].inputs.is_empty() => {
                Operator::Vector(VectorCompute::StepDate(f))
            }
            Compute::Vector(how) => Operator::Vector(how),
        },
    }
}

fn binary(tree: &Tree, id: NodeId, kernels: Kernels) -> Operator {
    let (left, right) = tree.sides(id);
    match (tree[left].value, tree[right].value) {
        (ValueType::Vector, ValueType::Vector) => {}
        (ValueType::Vector, _) => return Operator::CellByCell { swapped: false },
        (_, ValueType::Vector) => return Operator::CellByCell { swapped: true },
        _ => return Operator::Scalars,
    }
    let Some(operation) = tree.operation(id) else { return Operator::Literal };
    let fills = operation.matching.as_ref().is_some_and(|m| m.fill_left.is_some() || m.fill_right.is_some());
    match (operation.op, kernels) {
        (BinaryOp::And | BinaryOp::Or | BinaryOp::Unless, Kernels::Reference) => Operator::Sets,
        (BinaryOp::And | BinaryOp::Unless, Kernels::Columnar) => Operator::Restrict,
        (BinaryOp::Or, Kernels::Columnar) => Operator::Unite,
        (_, Kernels::Columnar) if !fills => Operator::Join,
        _ => Operator::Pair,
    }
}

/// An `or` that follows another operator of its chain and one like it: both are part of one union.
fn join_unions(tree: &mut Tree, id: NodeId) {
    let before = tree[id].inputs.first().copied();
    let Some(before) = before.filter(|before| is_link(tree, id) && is_link(tree, *before)) else { return };
    let same =
        tree.operation(id).zip(tree.operation(before)).is_some_and(|(a, b)| a.op == b.op && a.matching == b.matching);
    if same && matches!(tree[id].operator, Operator::Unite) {
        tree[before].operator = Operator::Union;
        tree[id].operator = Operator::Union;
    }
}

/// Whether `id` is an operator that follows another one, and is evaluated with it, since nothing special is noted about it.
pub(crate) fn is_link(tree: &Tree, id: NodeId) -> bool {
    let node = &tree[id];
    let follows = matches!(node.kind, Kind::Binary(_)) && {
        let before = &tree[tree.sides(id).0];
        matches!(before.kind, Kind::Binary(_)) && before.value == node.value
    };
    follows && !node.once && !node.kept && node.share.is_none()
}

/// What computes an aggregation, before anything is chosen too.
pub(super) fn aggregate(tree: &Tree, id: NodeId, op: AggregateOp, kernels: Kernels) -> Operator {
    match op {
        AggregateOp::Topk | AggregateOp::Bottomk => {
            let number = tree.param(id).map(|param| &tree[param].kind);
            match (number, kernels) {
                (Some(Kind::Number { value, .. }), Kernels::Columnar) if (1.0..BEST_MAX + 1.0).contains(value) => {
                    Operator::Best(*value as usize)
                }
                _ => Operator::Choose,
            }
        }
        AggregateOp::Quantile => Operator::Quantiles,
        AggregateOp::CountValues => Operator::CountValues,
        AggregateOp::Limitk => Operator::Limit,
        AggregateOp::LimitRatio => Operator::Share,
        AggregateOp::Avg
        | AggregateOp::Count
        | AggregateOp::Group
        | AggregateOp::Max
        | AggregateOp::Min
        | AggregateOp::Stddev
        | AggregateOp::Stdvar
        | AggregateOp::Sum => Operator::Fold,
    }
}

impl Operator {
    /// How it works, for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Operator::Literal => "",
            Operator::Select => "latest sample of each step",
            Operator::SelectWindows => "windows over each series",
            Operator::Subquery => "windows over rows of inner steps",
            Operator::Scalar(ScalarCompute::Only) => "series by series",
            Operator::Scalars | Operator::Scalar(_) => "number by number",
            Operator::Sign | Operator::CellByCell { .. } => "cell by cell while rows are read",
            Operator::Restrict => "right side folded, rows of the left side pass",
            Operator::Unite => "both sides kept, compared by labels",
            Operator::Union => "all operands kept, compared by labels in one table",
            Operator::Join => "one side kept, rows of the other pass, paired by labels",
            Operator::Pair => "both sides kept, paired step by step",
            Operator::Sets => "both sides kept, compared step by step",
            Operator::Fold => "streamed fold into groups",
            Operator::Best(_) => "best of each step kept while rows pass",
            Operator::Choose | Operator::Limit => "rows kept, then chosen",
            Operator::Quantiles => "rows kept, then ranked",
            Operator::CountValues => "streamed count of each value",
            Operator::Share => "rows chosen by their labels pass",
            Operator::Vector(how) => function_words(how),
        }
    }

    /// Whether the result is complete when the operator returns; other rows are computed while somebody reads them.
    pub(super) fn is_eager(self) -> bool {
        match self {
            Operator::Literal
            | Operator::Scalars
            | Operator::Unite
            | Operator::Union
            | Operator::Pair
            | Operator::Sets
            | Operator::Fold
            | Operator::Best(_)
            | Operator::Choose
            | Operator::Quantiles
            | Operator::CountValues
            | Operator::Limit
            | Operator::Scalar(_) => true,
            Operator::Select
            | Operator::SelectWindows
            | Operator::Subquery
            | Operator::Sign
            | Operator::CellByCell { .. }
            | Operator::Restrict
            | Operator::Join
            | Operator::Share => false,
            Operator::Vector(how) => match how {
                VectorCompute::Number
                | VectorCompute::StepDate(_)
                | VectorCompute::Absent { .. }
                | VectorCompute::Info
                | VectorCompute::Sort { .. }
                | VectorCompute::SortByLabel { .. }
                | VectorCompute::Histograms(_) => true,
                VectorCompute::Date(_)
                | VectorCompute::Elementwise(_)
                | VectorCompute::Figure(_)
                | VectorCompute::Window(_)
                | VectorCompute::Bounded(_)
                | VectorCompute::SampleTime(_)
                | VectorCompute::Labels(_) => false,
            },
        }
    }
}

fn function_words(how: VectorCompute) -> &'static str {
    match how {
        VectorCompute::Absent { .. } => "series by series",
        VectorCompute::Number | VectorCompute::StepDate(_) => "number by number",
        VectorCompute::Date(_)
        | VectorCompute::Elementwise(_)
        | VectorCompute::Figure(_)
        | VectorCompute::Bounded(_)
        | VectorCompute::SampleTime(_) => "cell by cell while rows are read",
        VectorCompute::Window(_) => "window kernel, streamed",
        VectorCompute::Info | VectorCompute::Sort { .. } | VectorCompute::SortByLabel { .. } => "rows kept",
        VectorCompute::Histograms(_) => "rows kept, then grouped by histogram",
        VectorCompute::Labels(_) => "labels at once, rows streamed",
    }
}
