//! Describes a plan for people: what is evaluated, how, and what it took.

use super::constants::folds;
use super::tree::{Plan, PlanNode, SELECTOR, sum};
use super::{Decisions, Facts, address, is_planned, shortened};
use crate::error::EvalError;
use crate::eval::functions::{Compute, ScalarCompute, VectorCompute, compute};
use crate::eval::meter::Meter;
use crate::options::{Cancel, QueryOptions};
use crate::storage::{SelectHints, Storage};
use mytsdb_model::TimeRange;
use mytsdb_promql_syntax::{AggregateExpr, AggregateOp, BinaryExpr, Call, Expr, ValueType, VectorSelector};
use std::collections::HashMap;

/// Builds nodes in the order of their numbers.
struct Builder<'d> {
    decisions: &'d Decisions,
    options: &'d QueryOptions,
    next: usize,
    /// All nodes are shown; else only the outermost one.
    whole: bool,
    /// Number of each node that is shown.
    ids: HashMap<usize, usize>,
}

/// The plan of `expr`, with what its meters have counted.
pub(crate) fn plan_of(expr: &Expr, decisions: &Decisions, options: &QueryOptions) -> Plan {
    let mut builder = Builder { decisions, options, next: 1, whole: is_planned(expr), ids: HashMap::new() };
    let root = builder.node(expr.unwrap_parens(), true);
    Plan { rewrites: decisions.rewrites.clone(), root, took: None }
}

/// Looks up how many series there are for the selectors, in the order in which they are shown.
pub(crate) fn estimated(
    mut plan: Plan,
    storage: &dyn Storage,
    expr: &Expr,
    facts: Facts,
    options: &QueryOptions,
    cancel: &Cancel,
) -> Result<Plan, EvalError> {
    if !is_planned(expr) {
        return Ok(plan);
    }
    let mut found = Vec::new();
    let mut error = None;
    expr.walk(&mut |node| {
        let (selector, range_ms) = match node {
            Expr::Vector(selector) => (&**selector, options.lookback_ms),
            Expr::Matrix(matrix) => (&matrix.selector, matrix.range_ms),
            _ => return error.is_none(),
        };
        let hints = SelectHints { range_ms, ..SelectHints::new(selected(selector, range_ms, facts), cancel) };
        match storage.select(&hints, &selector.matchers) {
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
fn selected(selector: &VectorSelector, range_ms: i64, facts: Facts) -> TimeRange {
    let (first, last) = selector.timestamp_ms.map_or((facts.times.start_ms, facts.times.end_ms), |at| (at, at));
    let (first, last) = (first.saturating_sub(selector.offset_ms), last.saturating_sub(selector.offset_ms));
    TimeRange::new(first.saturating_sub(range_ms).saturating_add(1), last)
}

impl Builder<'_> {
    fn node(&mut self, expr: &Expr, root: bool) -> PlanNode {
        let id = self.next;
        self.next += 1;
        self.ids.insert(address(expr), id);
        let strategies = self.strategies(expr, root);
        let shown = |child: &&Expr| !matches!(child, Expr::Number(_) | Expr::String(_));
        let below = if self.whole { expr.children() } else { Vec::new() };
        let children: Vec<PlanNode> =
            below.into_iter().map(Expr::unwrap_parens).filter(shown).map(|child| self.node(child, false)).collect();
        let decision = self.decisions.of(expr);
        let meter = decision.and_then(|decision| self.decisions.meter(decision));
        let took = meter.and_then(Meter::took);
        let selects = matches!(expr, Expr::Vector(_) | Expr::Matrix(_));
        let own = |count: fn(&Meter) -> u64| meter.filter(|_| took.is_some()).map(count);
        PlanNode {
            id,
            operator: operator(expr),
            expression: shortened(expr),
            pushed_matchers: self.pushed(expr),
            strategies,
            estimated_series: None,
            series: if selects { own(Meter::series) } else { sum(children.iter().map(|c| c.series)) },
            rows: own(Meter::rows),
            samples: if selects { own(Meter::samples) } else { sum(children.iter().map(|c| c.samples)) },
            took,
            children,
        }
    }

    fn pushed(&self, expr: &Expr) -> Vec<String> {
        let selector = match expr {
            Expr::Vector(selector) => address(&**selector),
            Expr::Matrix(matrix) => address(&matrix.selector),
            _ => return Vec::new(),
        };
        let here = self.decisions.pushed.iter().filter(|(to, _)| *to == selector);
        here.map(|(_, matcher)| matcher.clone()).collect()
    }

    fn strategies(&self, expr: &Expr, root: bool) -> Vec<String> {
        let mut out: Vec<String> = Vec::new();
        let decision = self.decisions.of(expr).unwrap_or_default();
        if decision.once {
            out.push("once, step-invariant".into());
        }
        if let Some(share) = decision.share {
            match self.ids.get(&share.first) {
                Some(first) if share.first != address(expr) => out.push(format!("shared with #{first}")),
                _ => out.push(format!("kept for {} places", share.uses)),
            }
        }
        let meter = self.decisions.meter(decision);
        if meter.is_some_and(Meter::was_reused) {
            out.push("taken from there".into());
            return out;
        }
        let how = match expr {
            Expr::Aggregate(aggregate) => aggregate_strategy(aggregate, self.options),
            Expr::Binary(binary) => binary_strategy(binary),
            Expr::Call(call) => call_strategy(call),
            Expr::Unary(_) => "cell by cell while rows are read",
            Expr::Vector(selector) => self.selector_strategy(selector, "latest sample of each step"),
            Expr::Matrix(matrix) => self.selector_strategy(&matrix.selector, "windows over each series"),
            Expr::Subquery(_) => "windows over rows of inner steps",
            Expr::Paren(_) | Expr::Number(_) | Expr::String(_) => "",
        };
        out.extend((!how.is_empty()).then(|| how.to_owned()));
        out.extend((!self.whole).then(|| "not planned and not shown in full, there are too many nodes".to_owned()));
        out.extend((root && !is_eager(expr)).then(|| "rows made for the result".to_owned()));
        out
    }

    fn selector_strategy(&self, selector: &VectorSelector, how: &'static str) -> &'static str {
        match (selector.timestamp_ms.is_some(), self.decisions.any_order(selector)) {
            (true, _) => "at one time, repeated for all steps",
            (_, true) => "series in any order",
            _ => how,
        }
    }
}

fn operator(expr: &Expr) -> String {
    match expr {
        Expr::Aggregate(aggregate) => format!("aggregate {}", aggregate.head().trim_end()),
        Expr::Binary(binary) => format!("operate {}", binary.operator()),
        Expr::Call(call) => format!("call {}", call.function.name()),
        Expr::Unary(_) => "negate".into(),
        Expr::Subquery(subquery) => format!("subquery {}", subquery.window()),
        Expr::Vector(_) | Expr::Matrix(_) => SELECTOR.into(),
        Expr::Paren(_) => "parentheses".into(),
        Expr::Number(_) => "number".into(),
        Expr::String(_) => "text".into(),
    }
}

fn aggregate_strategy(aggregate: &AggregateExpr, options: &QueryOptions) -> &'static str {
    let constant = matches!(aggregate.param, Some(Expr::Number(_)));
    match aggregate.op {
        AggregateOp::Topk | AggregateOp::Bottomk if constant && options.optimise => {
            "best of each step kept while rows pass"
        }
        AggregateOp::Quantile => "rows kept, then ranked",
        AggregateOp::CountValues => "streamed count of each value",
        op if folds(op) => "streamed fold into groups",
        _ => "rows kept, then chosen",
    }
}

fn binary_strategy(binary: &BinaryExpr) -> &'static str {
    match (binary.lhs.value_type(), binary.rhs.value_type()) {
        (ValueType::Scalar, ValueType::Scalar) => "number by number",
        (ValueType::Vector, ValueType::Vector) if binary.op.is_set() => "both sides kept, compared by labels",
        (ValueType::Vector, ValueType::Vector) => "both sides kept, paired by labels",
        _ => "cell by cell while rows are read",
    }
}

fn call_strategy(call: &Call) -> &'static str {
    match compute(call.function) {
        Compute::Scalar(ScalarCompute::Only) | Compute::Vector(VectorCompute::Absent { .. }) => "series by series",
        Compute::Scalar(ScalarCompute::Query(_) | ScalarCompute::StepTime | ScalarCompute::Pair(_))
        | Compute::Vector(VectorCompute::Number) => "number by number",
        Compute::Vector(VectorCompute::Date(_)) if call.args.is_empty() => "number by number",
        Compute::Vector(
            VectorCompute::Date(_)
            | VectorCompute::Elementwise(_)
            | VectorCompute::Figure(_)
            | VectorCompute::Bounded(_)
            | VectorCompute::SampleTime(_),
        ) => "cell by cell while rows are read",
        Compute::Vector(VectorCompute::Window(_)) => "window kernel, streamed",
        Compute::Vector(VectorCompute::Info | VectorCompute::Sort { .. } | VectorCompute::SortByLabel { .. }) => {
            "rows kept"
        }
        Compute::Vector(VectorCompute::Histograms(_)) => "rows kept, then grouped by histogram",
        Compute::Vector(VectorCompute::Labels(_)) => "labels at once, rows streamed",
    }
}

/// Whether the rows of a call are complete when its evaluation returns.
fn is_eager_call(call: &Call) -> bool {
    match compute(call.function) {
        Compute::Scalar(_) => true,
        Compute::Vector(how) => match how {
            VectorCompute::Number
            | VectorCompute::Absent { .. }
            | VectorCompute::Info
            | VectorCompute::Sort { .. }
            | VectorCompute::SortByLabel { .. }
            | VectorCompute::Histograms(_) => true,
            VectorCompute::Date(_) => call.args.is_empty(),
            VectorCompute::Elementwise(_)
            | VectorCompute::Figure(_)
            | VectorCompute::Window(_)
            | VectorCompute::Bounded(_)
            | VectorCompute::SampleTime(_)
            | VectorCompute::Labels(_) => false,
        },
    }
}

/// Whether the result is complete when the evaluation of the node returns.
fn is_eager(expr: &Expr) -> bool {
    match expr {
        Expr::Aggregate(_) => true,
        Expr::Binary(binary) => {
            binary.lhs.value_type() == ValueType::Vector && binary.rhs.value_type() == ValueType::Vector
        }
        Expr::Call(call) => is_eager_call(call),
        _ => expr.value_type() == ValueType::Scalar,
    }
}
