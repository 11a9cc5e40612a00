//! The plan of a query as a tree for people. What fills it is in `explain.rs`.

use std::fmt;
use std::time::Duration;

/// What a node is called that selects series.
pub(super) const SELECTOR: &str = "select";

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

impl Plan {
    pub(crate) fn after(mut self, took: Duration) -> Plan {
        self.took = Some(took);
        self
    }

    /// All nodes, in the order of their numbers.
    pub fn nodes(&self) -> Vec<&PlanNode> {
        let mut out = Vec::new();
        self.root.collect(&mut out);
        out
    }
}

impl PlanNode {
    fn collect<'p>(&'p self, out: &mut Vec<&'p PlanNode>) {
        out.push(self);
        self.children.iter().for_each(|child| child.collect(out));
    }

    /// Hands out how many series were found for the selectors, in the order of the nodes.
    pub(super) fn estimate(&mut self, found: &mut impl Iterator<Item = u64>) {
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

/// The sum of what is known.
pub(super) fn sum(all: impl Iterator<Item = Option<u64>>) -> Option<u64> {
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
