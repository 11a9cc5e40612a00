//! Parts of a range query whose steps may be kept for later queries: each step depends on its own windows alone, to the last bit.
//!
//! `docs/result-cache.md` says why each of the others may not. The marks do not depend on whether there is a cache: below them series
//! come in the order of labels, so that sums have the same bits with it and without.

use super::choose::{Operator, aggregate};
use super::text::own_text;
use super::tree::{Kind, NodeId, Tree};
use crate::kernels::kernel::Kernel;
use crate::operators::functions::{Compute, VectorCompute, compute};
use crate::options::{Kernels, QueryOptions};
use mytsdb_model::{LABEL_NAME, MatchOp, TimeRange};
use mytsdb_promql_syntax::PosRange;
use std::fmt::Write;

/// Longer keys are not worth it.
const KEY_BYTES_MAX: usize = 4 << 10;

/// What a selector of a kept part looks at.
#[derive(Debug, Clone)]
pub(crate) struct Reach {
    pub metric: String,
    /// Window of a step at `t`: `(t - offset - width, t - offset]`.
    pub width_ms: i64,
    pub offset_ms: i64,
    pub pos: PosRange,
}

impl Reach {
    /// The windows of some steps.
    pub fn range(&self, first_ms: i64, last_ms: i64) -> TimeRange {
        let start_ms = first_ms.saturating_sub(self.offset_ms).saturating_sub(self.width_ms).saturating_add(1);
        TimeRange::new(start_ms, last_ms.saturating_sub(self.offset_ms))
    }
}

/// Marks the outermost such parts of a range query.
pub(super) fn mark_kept(tree: &mut Tree, root: NodeId) {
    let mut marked = Vec::new();
    if is_row(tree, root) {
        marked.push(root);
    }
    let mut next = if marked.is_empty() { vec![root] } else { Vec::new() };
    while let Some(id) = next.pop() {
        let node = &tree[id];
        if is_fold(tree, id) {
            marked.push(id);
        } else if !node.once {
            next.extend(&node.inputs);
        }
    }
    for id in marked {
        tree[id].kept = true;
        let mut selectors = Vec::new();
        tree.walk(id, &mut |id, _| {
            selectors.push(id);
            true
        });
        for id in selectors {
            if let Some(selection) = tree.selection_mut(id) {
                selection.selector.any_order = false;
            }
        }
    }
}

/// Whether a node folds plain rows, one group after the other. That an aggregation folds depends on no kernels.
fn is_fold(tree: &Tree, id: NodeId) -> bool {
    let Kind::Aggregate(op, _) = tree[id].kind else { return false };
    let folds = matches!(aggregate(tree, id, op, Kernels::Columnar), Operator::Fold);
    folds && !tree[id].once && is_row(tree, tree.operand(id))
}

/// Whether each series by itself gives a row, and each step of it depends on the samples of its window alone.
fn is_row(tree: &Tree, id: NodeId) -> bool {
    let node = &tree[id];
    let is_number = |id: &NodeId| matches!(tree[*id].kind, Kind::Number { .. });
    if node.once {
        return false;
    }
    match &node.kind {
        Kind::Select(_) => is_plain_selector(tree, id),
        Kind::Sign { .. } => is_row(tree, node.inputs[0]),
        Kind::Binary(_) => {
            let (left, right) = tree.sides(id);
            is_number(&left) && is_row(tree, right) || is_number(&right) && is_row(tree, left)
        }
        Kind::Call(function) => match compute(*function) {
            Compute::Vector(VectorCompute::Elementwise(_) | VectorCompute::Date(_)) => {
                node.inputs.len() == 1 && is_row(tree, node.inputs[0])
            }
            Compute::Vector(VectorCompute::Bounded(_)) => node
                .inputs
                .split_first()
                .is_some_and(|(first, rest)| is_row(tree, *first) && rest.iter().all(is_number)),
            Compute::Vector(VectorCompute::Window(kernel)) => {
                let is_range = |id: &NodeId| matches!(tree[*id].kind, Kind::Range(..)) && is_plain_selector(tree, *id);
                is_exact(kernel) && node.inputs.iter().all(|input| is_number(input) || is_range(input))
            }
            _ => false,
        },
        Kind::Number { .. } | Kind::Text(_) | Kind::Range(..) | Kind::Subquery(_) | Kind::Aggregate(..) => false,
    }
}

/// Whether a window gives the same bits wherever the column begins.
fn is_exact(kernel: Kernel) -> bool {
    match kernel {
        // Differences of sums from the beginning of the column; errors that depend on all steps.
        Kernel::Avg | Kernel::Sum | Kernel::DoubleExponential => false,
        Kernel::Changes
        | Kernel::Count
        | Kernel::Deriv
        | Kernel::First
        | Kernel::Increase { .. }
        | Kernel::Instantaneous { .. }
        | Kernel::Integral
        | Kernel::Last
        | Kernel::Mad
        | Kernel::Max
        | Kernel::Min
        | Kernel::PredictLinear
        | Kernel::Present
        | Kernel::Quantile
        | Kernel::Resets
        | Kernel::Stddev
        | Kernel::Stdvar
        | Kernel::TimeOfFirst
        | Kernel::TimeOfLast
        | Kernel::TimeOfMax
        | Kernel::TimeOfMin => true,
    }
}

/// Whether a selector has windows that move with the steps, of one metric.
fn is_plain_selector(tree: &Tree, id: NodeId) -> bool {
    tree.selection(id).is_some_and(|selection| {
        let selector = &selection.selector;
        selector.timestamp_ms.is_none() && !selector.anchored && !selector.smoothed && !selection.labels_only
    }) && metric(tree, id).is_some()
}

/// The only metric that a selector is about.
fn metric(tree: &Tree, id: NodeId) -> Option<&str> {
    let mut matchers = tree.selection(id)?.selector.matchers.iter();
    let named = matchers.find(|m| m.name() == LABEL_NAME && m.op() == MatchOp::Equal && !m.value().is_empty())?;
    Some(named.value())
}

/// What the selectors of a kept part look at.
pub(crate) fn reaches(tree: &Tree, id: NodeId, options: &QueryOptions) -> Vec<Reach> {
    let mut out = Vec::new();
    tree.walk(id, &mut |id, node| {
        let width_ms = match &node.kind {
            Kind::Select(_) => options.lookback_ms,
            Kind::Range(_, width) => width.range_ms,
            _ => return true,
        };
        if let (Some(selection), Some(metric)) = (tree.selection(id), metric(tree, id)) {
            let (offset_ms, pos) = (selection.selector.offset_ms, selection.selector.pos);
            out.push(Reach { metric: metric.to_owned(), width_ms, offset_ms, pos });
        }
        true
    });
    out
}

/// What the steps of a kept part depend on beside the samples; `None` if it is too long.
pub(crate) fn key(tree: &Tree, id: NodeId, (start_ms, step_ms): (i64, i64), options: &QueryOptions) -> Option<String> {
    let (lookback_ms, starts) = (options.lookback_ms, options.use_start_timestamps);
    let mut key = format!("{step_ms} {} {lookback_ms} {starts} ", start_ms.rem_euclid(step_ms));
    write_key(tree, id, &mut key).then_some(key)
}

/// Adds a node and those below; tells whether there was room.
fn write_key(tree: &Tree, id: NodeId, key: &mut String) -> bool {
    let node = &tree[id];
    let written = match &node.kind {
        Kind::Number { value, .. } => write!(key, "{:x}", value.to_bits()),
        kind => write!(key, "{}", own_text(kind)),
    };
    key.push('(');
    let room = written.is_ok()
        && key.len() <= KEY_BYTES_MAX
        && node.inputs.iter().all(|input| {
            let room = write_key(tree, *input, key);
            key.push(',');
            room
        });
    key.push(')');
    room
}
