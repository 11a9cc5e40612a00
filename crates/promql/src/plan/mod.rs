//! The plan of a query: a list of nodes, built once from the syntax tree, rewritten by passes, never evaluated here.
//!
//! Passes, in order, each with a switch in [`Optimisations`](crate::Optimisations): [`constants`] and idioms become
//! simpler nodes, [`push`] hands matchers across binary operators, [`invariant`] finds what is the same at every step,
//! [`shared`] finds subtrees that occur more than once, [`order`] finds selectors whose order does not matter, [`results`] finds what may be
//! kept for later queries. The
//! first three change the tree, the others set properties of nodes. None changes an answer. Then [`choose`] gives each
//! node its operator.

mod build;
mod choose;
mod constants;
mod explain;
mod invariant;
mod order;
mod push;
mod results;
mod settle;
mod shared;
mod shift;
mod shown;
mod text;
mod traits;
mod tree;

pub(crate) use build::TIME_MS_MAX;
pub(crate) use choose::{Operator, is_link};
pub(crate) use explain::{estimated, plan_of};
pub(crate) use results::{Reach, key, reaches};
pub(crate) use shared::{Share, positions};
pub(crate) use shift::shift;
pub use shown::{Plan, PlanNode};
pub(crate) use tree::{Kind, Node, NodeId, Tree};

use crate::error::EvalError;
use crate::kernels::grid::Bounds;
use crate::options::QueryOptions;
use crate::storage::Storage;
use mytsdb_model::TimeRange;
use mytsdb_promql_syntax::{BinaryOp, Expr};

/// What the passes may rely on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The step of an instant query is 0.
    pub times: Bounds,
    /// A query at a single time, whose result shows the order of series.
    pub instant: bool,
    /// See [`Storage::is_plain`].
    pub plain: bool,
}

/// A plan that is ready to be evaluated.
#[derive(Debug)]
pub(crate) struct Planned {
    pub tree: Tree,
    pub root: NodeId,
    facts: Facts,
    /// The passes looked at all of it; if they did not, it is not shown in full either.
    whole: bool,
    /// What the rewriting passes did, in words.
    rewrites: Vec<String>,
}

/// What was done, in words.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    texts: Vec<String>,
    bytes: usize,
}

impl Notes {
    fn has_room(&self) -> bool {
        self.bytes < NOTES_BYTES_MAX
    }

    /// Adds what `text` makes, unless there is much already.
    fn push(&mut self, text: impl FnOnce() -> String) {
        if self.has_room() {
            let text = text();
            self.bytes += text.len();
            self.texts.push(text);
        }
    }
}

/// Nobody reads the later notes on a query of thousands of operators.
const NOTES_BYTES_MAX: usize = 64 << 10;

/// Higher or larger trees are evaluated as they are, but for constants: the passes compare nodes with each other, and
/// call themselves for each level, operators of chains included.
const PLANNED_HEIGHT_MAX: usize = 600;
const PLANNED_NODES_MAX: usize = 20_000;

/// Whether the passes look at the tree. Cost: a visit of each node.
fn is_planned(tree: &Tree, root: NodeId) -> bool {
    let (mut next, mut nodes) = (vec![(root, 1)], 0);
    while let Some((id, height)) = next.pop() {
        nodes += 1;
        if height > PLANNED_HEIGHT_MAX || nodes > PLANNED_NODES_MAX {
            return false;
        }
        next.extend(tree[id].inputs.iter().map(|input| (*input, height + 1)));
    }
    true
}

/// Plans `expr` over `times`, of which an `instant` query has one.
///
/// # Errors
/// Durations that cannot be computed, and modifiers where they have no meaning.
pub(crate) fn plan(
    storage: &dyn Storage,
    expr: &Expr,
    (times, instant): (Bounds, bool),
    options: &QueryOptions,
) -> Result<Planned, EvalError> {
    let mut tree = build::build(expr, times)?;
    let root = tree.root();
    let span = TimeRange { mint: times.start_ms, maxt: times.end_ms };
    settle::check_extensions(&tree, root, span, options.default_step_ms)?;
    settle::mark_summarised(&mut tree, root);
    let facts = Facts { times, instant, plain: is_plain(storage, &tree, root, options) };
    let rewrites = rewrite(&mut tree, root, options, facts);
    traits::find(&mut tree);
    let whole = is_planned(&tree, root);
    if options.optimise && whole {
        mark(&mut tree, root, options, facts);
    } else {
        invariant::mark_once(&mut tree, root, true);
    }
    choose::choose(&mut tree, options.kernels());
    Ok(Planned { tree, root, facts, whole, rewrites })
}

/// Whether the storage is plain, if that makes a difference: it has to look at its labels to tell.
fn is_plain(storage: &dyn Storage, tree: &Tree, root: NodeId, options: &QueryOptions) -> bool {
    let passes = options.optimisations.push_matchers || options.optimisations.simplify;
    let matters = |node: &Node| match &node.kind {
        Kind::Binary(operation) => match operation.op {
            BinaryOp::Or => false,
            BinaryOp::Mul | BinaryOp::Div => true,
            // The operands are vectors.
            _ => operation.matching.is_some(),
        },
        _ => false,
    };
    options.optimise && passes && tree.any(root, matters) && storage.is_plain()
}

/// The passes that change the tree; returns what they did.
fn rewrite(tree: &mut Tree, root: NodeId, options: &QueryOptions, facts: Facts) -> Vec<String> {
    let mut notes = Notes::default();
    if !options.optimise {
        return vec!["reference: nothing is rewritten, every operator is the definition of its answers".to_owned()];
    }
    if options.optimisations.fold_constants {
        constants::fold(tree, root, facts, &mut notes);
    }
    if options.optimisations.simplify && facts.plain && !options.delayed_name_removal {
        constants::simplify(tree, root, &mut notes);
    }
    if options.optimisations.push_matchers && is_planned(tree, root) {
        push::push_matchers(tree, root, facts.plain, &mut notes);
    }
    notes.texts
}

/// The passes that set properties.
fn mark(tree: &mut Tree, root: NodeId, options: &QueryOptions, facts: Facts) {
    invariant::mark_once(tree, root, !options.optimisations.once);
    if options.optimisations.share_subtrees {
        shared::mark_shared(tree, root);
    }
    if options.optimisations.any_order {
        order::mark_any_order(tree, root, !facts.instant);
    }
    if !facts.instant && !options.delayed_name_removal {
        results::mark_kept(tree, root);
    }
}

#[cfg(test)]
mod tests;
