//! Describes a plan for people: what is evaluated, how, and what it took.

use super::shown::{Plan, PlanNode, SELECTOR, sum};
use super::text::{aggregation, operator, shortened_bare, window};
use super::tree::{Kind, NodeId, Tree};
use super::{Facts, Planned};
use crate::error::EvalError;
use crate::operators::selector::Selector;
use crate::options::{Cancel, QueryOptions};
use crate::rows::meter::Meter;
use crate::storage::{SelectHints, Storage};
use mytsdb_model::TimeRange;
use std::collections::HashMap;

/// Builds nodes in the order of their numbers.
struct Builder<'d> {
    tree: &'d Tree,
    /// By node; none if the query did not run.
    meters: &'d [Meter],
    next: usize,
    /// All nodes are shown; else only the outermost one.
    whole: bool,
    /// Number of each node that is shown.
    ids: HashMap<NodeId, usize>,
}

/// The plan for people, with what its meters have counted.
pub(crate) fn plan_of(planned: &Planned, meters: &[Meter]) -> Plan {
    let (tree, whole) = (&planned.tree, planned.whole);
    let mut builder = Builder { tree, meters, next: 1, whole, ids: HashMap::new() };
    Plan { rewrites: planned.rewrites.clone(), root: builder.node(planned.root, true), took: None }
}

/// Looks up how many series there are for the selectors, in the order in which they are shown.
pub(crate) fn estimated(
    mut plan: Plan,
    storage: &dyn Storage,
    planned: &Planned,
    options: &QueryOptions,
    cancel: &Cancel,
) -> Result<Plan, EvalError> {
    if !planned.whole {
        return Ok(plan);
    }
    let mut found = Vec::new();
    let mut error = None;
    planned.tree.walk(planned.root, &mut |_, node| {
        let (selection, range_ms) = match &node.kind {
            Kind::Select(selection) => (selection, options.lookback_ms),
            Kind::Range(selection, width) => (selection, width.range_ms),
            _ => return error.is_none(),
        };
        let range = selected(&selection.selector, range_ms, planned.facts);
        let hints = SelectHints { range_ms, ..SelectHints::new(range, cancel) };
        match storage.select(&hints, &selection.selector.matchers) {
            Ok(set) => found.push(set.len() as u64),
            Err(e) => error = Some(cancel.check().err().unwrap_or(EvalError::Storage(e))),
        }
        error.is_none()
    });
    if let Some(error) = error {
        return Err(error);
    }
    plan.root.estimate(&mut found.into_iter());
    Ok(plan)
}

/// The time that a selector looks at, subqueries around it left out.
fn selected(selector: &Selector, range_ms: i64, facts: Facts) -> TimeRange {
    let (first, last) = selector.timestamp_ms.map_or((facts.times.start_ms, facts.times.end_ms), |at| (at, at));
    let (first, last) = (first.saturating_sub(selector.offset_ms), last.saturating_sub(selector.offset_ms));
    TimeRange::new(first.saturating_sub(range_ms).saturating_add(1), last)
}

impl Builder<'_> {
    fn node(&mut self, id: NodeId, root: bool) -> PlanNode {
        let number = self.next;
        self.next += 1;
        self.ids.insert(id, number);
        let strategies = self.strategies(id, root);
        let node = &self.tree[id];
        let shown = |input: &NodeId| !matches!(self.tree[*input].kind, Kind::Number { .. } | Kind::Text(_));
        let below: Vec<NodeId> =
            if self.whole { node.inputs.iter().copied().filter(shown).collect() } else { Vec::new() };
        let children: Vec<PlanNode> = below.into_iter().map(|input| self.node(input, false)).collect();
        let meter = self.meters.get(id.index());
        let took = meter.and_then(Meter::took);
        let selects = self.tree.selection(id).is_some();
        let own = |count: fn(&Meter) -> u64| meter.filter(|_| took.is_some()).map(count);
        PlanNode {
            id: number,
            operator: operator_of(&node.kind),
            expression: shortened_bare(self.tree, id),
            pushed_matchers: self.tree.selection(id).map(|selection| selection.handed.clone()).unwrap_or_default(),
            strategies,
            estimated_series: None,
            series: if selects { own(Meter::series) } else { sum(children.iter().map(|c| c.series)) },
            rows: own(Meter::rows),
            samples: if selects { own(Meter::samples) } else { sum(children.iter().map(|c| c.samples)) },
            took,
            children,
        }
    }

    fn strategies(&self, id: NodeId, root: bool) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let node = &self.tree[id];
        if node.once {
            out.push("once, step-invariant".into());
        }
        if let Some(share) = node.share {
            match self.ids.get(&share.first) {
                Some(first) if share.first != id => out.push(format!("shared with #{first}")),
                _ => out.push(format!("kept for {} places", share.uses)),
            }
        }
        if self.meters.get(id.index()).is_some_and(Meter::was_reused) {
            out.push("taken from there".into());
            return out;
        }
        let how = match self.tree.selection(id).map(|selection| &selection.selector) {
            Some(selector) if selector.timestamp_ms.is_some() => "at one time, repeated for all steps",
            Some(selector) if selector.any_order => "series in any order",
            _ => node.operator.words(),
        };
        out.extend((!how.is_empty()).then(|| how.to_owned()));
        out.extend((!self.whole).then(|| "not planned and not shown in full, there are too many nodes".to_owned()));
        out.extend((root && !node.operator.is_eager()).then(|| "rows made for the result".to_owned()));
        out
    }
}

fn operator_of(kind: &Kind) -> String {
    match kind {
        Kind::Aggregate(op, by) => format!("aggregate {}", aggregation(*op, by).trim_end()),
        Kind::Binary(operation) => format!("operate {}", operator(operation)),
        Kind::Call(function) => format!("call {}", function.name()),
        Kind::Sign { .. } => "negate".into(),
        Kind::Subquery(width) => format!("subquery {}", window(**width)),
        Kind::Select(_) | Kind::Range(..) => SELECTOR.into(),
        Kind::Number { .. } => "number".into(),
        Kind::Text(_) => "text".into(),
    }
}
