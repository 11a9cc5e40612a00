//! The planner: rewrites a settled syntax tree and notes how its nodes are evaluated, without changing any answer.
//!
//! Passes, in order, each with a switch in [`Optimisations`](crate::Optimisations): [`constants`] and idioms become
//! simpler nodes, [`push`] hands matchers across binary operators, [`invariant`] finds what is the same at every step,
//! [`shared`] finds subtrees that occur more than once, [`order`] finds selectors whose order does not matter. The
//! first three change the tree, the others say things about nodes; nodes are named by their address, which does not
//! change while the tree is evaluated.

mod constants;
mod explain;
mod invariant;
mod order;
mod prepare;
mod push;
mod shared;
mod shift;
mod tree;

pub(crate) use explain::{estimated, plan_of};
pub(crate) use prepare::{TIME_MS_MAX, prepare, summarised_selectors};
pub(crate) use shared::{Share, positions};
pub(crate) use shift::shift;
pub use tree::{Plan, PlanNode};

pub(crate) use invariant::is_pinned;

use crate::eval::grid::Bounds;
use crate::eval::meter::Meter;
use crate::options::QueryOptions;
use mytsdb_promql_syntax::{Expr, VectorSelector};
use std::collections::{HashMap, HashSet};

/// What the passes may rely on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// The step of an instant query is 0.
    pub times: Bounds,
    /// A query at a single time, whose result shows the order of series.
    pub instant: bool,
    /// See [`Storage::is_plain`](crate::Storage::is_plain).
    pub plain: bool,
}

/// How one node is evaluated.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Decision {
    /// Once, at the first step, for all steps.
    pub once: bool,
    /// The result is kept for other nodes like it.
    pub share: Option<Share>,
    /// Number of the node's meter.
    meter: Option<usize>,
}

/// What the passes found, for the evaluator.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    nodes: HashMap<usize, Decision>,
    /// Selectors whose series may come in any order.
    any_order: HashSet<usize>,
    /// Meters of selectors.
    selectors: HashMap<usize, usize>,
    meters: Vec<Meter>,
    /// What the rewriting passes did, for people.
    rewrites: Vec<String>,
    /// Matchers that were handed to selectors.
    pushed: Vec<(usize, String)>,
}

/// What the passes did that change the tree.
#[derive(Debug, Default)]
pub(crate) struct Rewrites {
    notes: Notes,
    /// Selectors, which stay where they are when the tree is moved, and the matchers handed to them.
    pushed: Vec<(usize, String)>,
}

/// What was done, in words.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    texts: Vec<String>,
    bytes: usize,
}

impl Notes {
    /// Adds what `text` makes, unless there is much already.
    fn push(&mut self, text: impl FnOnce() -> String) {
        if self.bytes < NOTES_BYTES_MAX {
            let text = text();
            self.bytes += text.len();
            self.texts.push(text);
        }
    }
}

/// What is done later to a query of thousands of operators nobody reads.
const NOTES_BYTES_MAX: usize = 64 << 10;

/// The text of an expression, as far as people read it.
fn shortened(expr: &Expr) -> String {
    expr.text_within(TEXT_BYTES_MAX)
}

const TEXT_BYTES_MAX: usize = 4 << 10;

/// Higher or larger trees are evaluated as they are, but for constants: the passes compare nodes with each other, and
/// call themselves for each level, operators of chains included.
const PLANNED_HEIGHT_MAX: usize = 600;
const PLANNED_NODES_MAX: usize = 20_000;

/// Whether the passes look at `expr`. Cost: a visit of each node.
fn is_planned(expr: &Expr) -> bool {
    let (mut next, mut nodes) = (vec![(expr, 1)], 0);
    while let Some((expr, height)) = next.pop() {
        nodes += 1;
        if height > PLANNED_HEIGHT_MAX || nodes > PLANNED_NODES_MAX {
            return false;
        }
        next.extend(expr.children().into_iter().map(|child| (child, height + 1)));
    }
    true
}

/// The name of a node: where it is.
fn address<T>(node: &T) -> usize {
    std::ptr::from_ref(node).addr()
}

/// Rewrites `expr`; returns what was done.
pub(crate) fn rewrite(expr: &mut Expr, options: &QueryOptions, facts: Facts) -> Rewrites {
    let mut done = Rewrites::default();
    if !options.optimise {
        return done;
    }
    if options.optimisations.fold_constants {
        constants::fold(expr, facts, &mut done.notes);
    }
    if options.optimisations.simplify && facts.plain && !options.delayed_name_removal {
        constants::simplify(expr, &mut done.notes);
    }
    if options.optimisations.push_matchers && is_planned(expr) {
        push::push_matchers(expr, facts.plain, &mut done);
    }
    done
}

/// Decides how the nodes of `expr` are evaluated. The tree must stay where it is as long as the decisions are used.
pub(crate) fn decide(
    expr: &Expr,
    options: &QueryOptions,
    facts: Facts,
    summarised: &HashSet<mytsdb_promql_syntax::PosRange>,
    rewrites: Rewrites,
) -> Decisions {
    let mut decisions = Decisions { rewrites: rewrites.notes.texts, pushed: rewrites.pushed, ..Decisions::default() };
    if options.optimise && is_planned(expr) {
        let once = if options.optimisations.once { invariant::roots(expr) } else { HashSet::new() };
        if options.optimisations.share_subtrees {
            for (node, share) in shared::shares(expr, &once, summarised) {
                decisions.nodes.entry(node).or_default().share = Some(share);
            }
        }
        for node in once {
            decisions.nodes.entry(node).or_default().once = true;
        }
        if options.optimisations.any_order {
            decisions.any_order = order::unordered_selectors(expr, !facts.instant);
        }
    }
    if options.profile {
        decisions.measure(expr);
    }
    decisions
}

impl Decisions {
    /// What was decided about `expr`; most nodes are nothing special.
    pub fn of(&self, expr: &Expr) -> Option<Decision> {
        if self.nodes.is_empty() { None } else { self.nodes.get(&address(expr)).copied() }
    }

    pub fn any_order(&self, selector: &VectorSelector) -> bool {
        self.any_order.contains(&address(selector))
    }

    pub fn meter(&self, decision: Decision) -> Option<&Meter> {
        decision.meter.map(|at| &self.meters[at])
    }

    pub fn selector_meter(&self, selector: &VectorSelector) -> Option<&Meter> {
        self.selectors.get(&address(selector)).map(|&at| &self.meters[at])
    }

    /// Gives every node a meter.
    fn measure(&mut self, expr: &Expr) {
        expr.walk(&mut |node| {
            let meter = self.meters.len();
            self.meters.push(Meter::default());
            self.nodes.entry(address(node)).or_default().meter = Some(meter);
            match node {
                Expr::Vector(selector) => self.selectors.insert(address(&**selector), meter),
                Expr::Matrix(matrix) => self.selectors.insert(address(&matrix.selector), meter),
                _ => None,
            };
            true
        });
    }
}

#[cfg(test)]
mod tests;
