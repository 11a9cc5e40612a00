//! The plan of a query for people: a tree of what is evaluated, how, and what it took.

use super::constants::folds;
use super::{Decisions, Facts, address, is_planned, shortened};
use crate::error::EvalError;
use crate::options::{Cancel, QueryOptions};
use crate::storage::{SelectHints, Storage};
use mytsdb_model::TimeRange;
use mytsdb_promql_syntax::{AggregateExpr, AggregateOp, BinaryExpr, Call, Expr, ValueType, VectorSelector};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// How a query is evaluated, and after it ran, what that took. Displays as an indented tree.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What the planner changed in the query, one sentence each.
    pub rewrites: Vec<String>,
    /// The outermost node.
    pub root: PlanNode,
    /// Wall time of planning and evaluation; `None` if the query did not run.
    pub took: Option<Duration>,
}

/// One node of a [`Plan`]. Parentheses, numbers and texts are part of the nodes around them.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanNode {
    /// Number of the node in the plan, from 1.
    pub id: usize,
    /// What it does, e.g. `aggregate sum by (job)`.
    pub operator: String,
    /// The PromQL it evaluates, rewritten and with all times settled.
    pub expression: String,
    /// Matchers that other parts of the query handed to this selector.
    pub pushed_matchers: Vec<String>,
    /// How it is evaluated, in a few words each.
    pub strategies: Vec<String>,
    /// Series that the selectors of this node and below find, before the query runs.
    pub estimated_series: Option<u64>,
    /// Series that they found. Like all below, `None` if the node was not evaluated.
    pub series: Option<u64>,
    /// Rows that the node gave; for a range vector, its series.
    pub rows: Option<u64>,
    /// Samples read by the selectors of this node and below. Histograms count as one.
    pub samples: Option<u64>,
    /// Wall time until the result stood, with everything below. What is computed while somebody reads it counts there.
    pub took: Option<Duration>,
    /// The nodes whose results this one works on.
    pub children: Vec<PlanNode>,
}

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

impl Plan {
    /// The plan of `expr`, with what its meters have counted.
    pub(crate) fn of(expr: &Expr, decisions: &Decisions, options: &QueryOptions) -> Plan {
        let mut builder = Builder { decisions, options, next: 1, whole: is_planned(expr), ids: HashMap::new() };
        let root = builder.node(expr.unwrap_parens(), true);
        Plan { rewrites: decisions.rewrites.clone(), root, took: None }
    }

    pub(crate) fn after(mut self, took: Duration) -> Plan {
        self.took = Some(took);
        self
    }

    /// Looks up how many series there are for the selectors, in the order in which they are shown.
    pub(crate) fn estimated(
        mut self,
        storage: &dyn Storage,
        expr: &Expr,
        facts: Facts,
        options: &QueryOptions,
        cancel: &Cancel,
    ) -> Result<Plan, EvalError> {
        if !is_planned(expr) {
            return Ok(self);
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
        self.root.estimate(&mut found.into_iter());
        Ok(self)
    }

    /// All nodes, in the order of their numbers.
    pub fn nodes(&self) -> Vec<&PlanNode> {
        let mut out = Vec::new();
        self.root.collect(&mut out);
        out
    }
}

/// The time that a selector looks at, subqueries around it left out.
fn selected(selector: &VectorSelector, range_ms: i64, facts: Facts) -> TimeRange {
    let (first, last) = selector.timestamp_ms.map_or((facts.start_ms, facts.end_ms), |at| (at, at));
    let (first, last) = (first.saturating_sub(selector.offset_ms), last.saturating_sub(selector.offset_ms));
    TimeRange::new(first.saturating_sub(range_ms).saturating_add(1), last)
}

impl PlanNode {
    fn collect<'p>(&'p self, out: &mut Vec<&'p PlanNode>) {
        out.push(self);
        self.children.iter().for_each(|child| child.collect(out));
    }

    fn estimate(&mut self, found: &mut impl Iterator<Item = u64>) {
        if self.children.is_empty() && self.operator == SELECTOR {
            self.estimated_series = found.next();
            return;
        }
        self.children.iter_mut().for_each(|child| child.estimate(found));
        self.estimated_series = sum(self.children.iter().map(|child| child.estimated_series));
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        write!(f, "{:width$}#{} {}", "", self.id, self.operator, width = 2 * depth)?;
        if self.children.is_empty() {
            write!(f, " {}", self.expression)?;
        }
        if !self.strategies.is_empty() {
            write!(f, ": {}", self.strategies.join(", "))?;
        }
        let mut facts = Vec::new();
        if !self.pushed_matchers.is_empty() {
            facts.push(format!("handed {}", self.pushed_matchers.join(", ")));
        }
        facts.extend(self.estimated_series.map(|n| format!("about {n} series")));
        facts.extend(self.series.map(|n| format!("{n} series")));
        facts.extend(self.samples.map(|n| format!("{n} samples")));
        facts.extend(self.rows.map(|n| format!("{n} rows")));
        facts.extend(self.took.map(milliseconds));
        if !facts.is_empty() {
            write!(f, " ({})", facts.join(", "))?;
        }
        writeln!(f)?;
        self.children.iter().try_for_each(|child| child.write(f, depth + 1))
    }
}

fn milliseconds(took: Duration) -> String {
    format!("{:.3} ms", took.as_secs_f64() * 1e3)
}

fn sum(all: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    all.flatten().reduce(|a, b| a + b)
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rewrite in &self.rewrites {
            writeln!(f, "{rewrite}")?;
        }
        self.root.write(f, 0)?;
        if let Some(took) = self.took {
            writeln!(f, "total {}", milliseconds(took))?;
        }
        Ok(())
    }
}

const SELECTOR: &str = "select";

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
        let took = meter.and_then(super::Meter::took);
        let selects = matches!(expr, Expr::Vector(_) | Expr::Matrix(_));
        let own = |count: fn(&super::Meter) -> u64| meter.filter(|_| took.is_some()).map(count);
        PlanNode {
            id,
            operator: operator(expr),
            expression: shortened(expr),
            pushed_matchers: self.pushed(expr),
            strategies,
            estimated_series: None,
            series: if selects { own(super::Meter::series) } else { sum(children.iter().map(|c| c.series)) },
            rows: own(super::Meter::rows),
            samples: if selects { own(super::Meter::samples) } else { sum(children.iter().map(|c| c.samples)) },
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
        if meter.is_some_and(super::Meter::was_reused) {
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
        Expr::Call(call) => format!("call {}", call.function.name),
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
    if call.args.iter().any(|arg| arg.value_type() == ValueType::Matrix) {
        return if call.function.name == "absent_over_time" { "series by series" } else { "window kernel, streamed" };
    }
    match call.function.name {
        "absent" | "scalar" => "series by series",
        "info" | "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => "rows kept",
        "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => "rows kept, then grouped by histogram",
        "label_join" | "label_replace" => "labels at once, rows streamed",
        _ if call.args.iter().any(|arg| arg.value_type() == ValueType::Vector) => "cell by cell while rows are read",
        _ => "number by number",
    }
}

/// Whether the result is complete when the evaluation of the node returns.
fn is_eager(expr: &Expr) -> bool {
    match expr {
        Expr::Aggregate(_) => true,
        Expr::Binary(binary) => {
            binary.lhs.value_type() == ValueType::Vector && binary.rhs.value_type() == ValueType::Vector
        }
        Expr::Call(call) => {
            matches!(call_strategy(call), "series by series" | "number by number")
                || call_strategy(call).starts_with("rows kept")
        }
        _ => expr.value_type() == ValueType::Scalar,
    }
}
