//! Subtrees that occur more than once and give few series: they are evaluated once.

use super::address;
use mytsdb_promql_syntax::{Expr, Function, PosRange, ValueType};
use std::collections::{HashMap, HashSet};

/// Membership in a group of equal subtrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Number of the group.
    pub group: usize,
    /// Members that are evaluated or answered from the kept result.
    pub uses: usize,
    /// The member that comes first in the tree.
    pub first: usize,
}

/// Most bytes of text that subtrees are compared by; what comes later is not looked at.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// What tells one subtree from another: its text with all times settled, the steps it is evaluated at, and which of
/// its histograms are only summarised.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    text: String,
    scope: String,
    summarised: Vec<bool>,
}

#[derive(Default)]
struct Search<'e> {
    members: Vec<Vec<&'e Expr>>,
    known: HashMap<Key, usize>,
    text_bytes: usize,
}

/// The members of all groups of at least two.
pub(super) fn shares(expr: &Expr, once: &HashSet<usize>, summarised: &HashSet<PosRange>) -> Vec<(usize, Share)> {
    let mut candidates = 0;
    expr.walk(&mut |node| {
        candidates += usize::from(is_candidate(node));
        true
    });
    if candidates < 2 {
        return Vec::new();
    }
    let mut search = Search::default();
    search.visit(expr, "", once, summarised);
    let mut out = Vec::new();
    for (group, members) in search.members.iter().enumerate().filter(|(_, members)| members.len() > 1) {
        let share = Share { group, uses: members.len(), first: address(members[0]) };
        out.extend(members.iter().map(|member| (address(*member), share)));
    }
    out
}

impl<'e> Search<'e> {
    fn visit(&mut self, expr: &'e Expr, scope: &str, once: &HashSet<usize>, summarised: &HashSet<PosRange>) {
        if is_candidate(expr) && self.text_bytes < TEXT_BYTES_MAX {
            let key = Key { text: expr.to_string(), scope: scope.to_owned(), summarised: marks(expr, summarised) };
            self.text_bytes += key.text.len();
            if let Some(&group) = self.known.get(&key) {
                // What is below is not evaluated again.
                self.members[group].push(expr);
                return;
            }
            self.known.insert(key, self.members.len());
            self.members.push(vec![expr]);
        }
        let inner = match expr {
            Expr::Subquery(subquery) => Some(format!("{scope}{}", subquery.window())),
            _ if once.contains(&address(expr)) => Some(format!("{scope} once")),
            _ => None,
        };
        for child in expr.children() {
            self.visit(child, inner.as_deref().unwrap_or(scope), once, summarised);
        }
    }
}

/// For each selector, whether its histograms are only summarised.
fn marks(expr: &Expr, summarised: &HashSet<PosRange>) -> Vec<bool> {
    let mut out = Vec::new();
    expr.walk(&mut |node| {
        match node {
            Expr::Vector(selector) => out.push(summarised.contains(&selector.pos)),
            Expr::Matrix(matrix) => out.push(summarised.contains(&matrix.selector.pos)),
            _ => {}
        }
        true
    });
    out
}

/// Whether the result is complete when the node's evaluation returns, small, and worth to be kept.
fn is_candidate(expr: &Expr) -> bool {
    let kept = match expr {
        Expr::Aggregate(_) => true,
        Expr::Call(call) => call.function == Function::Scalar,
        Expr::Binary(binary) => {
            let both = [&binary.lhs, &binary.rhs];
            both.iter().all(|side| side.value_type() == ValueType::Vector && is_small(side))
        }
        _ => false,
    };
    let mut selects = false;
    if kept {
        expr.walk(&mut |node| {
            selects |= matches!(node, Expr::Vector(_) | Expr::Matrix(_));
            !selects
        });
    }
    selects
}

/// Made of aggregations, so that there are far fewer series than were read.
fn is_small(expr: &Expr) -> bool {
    match expr {
        Expr::Aggregate(_) | Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(_) | Expr::Matrix(_) | Expr::Subquery(_) => false,
        Expr::Call(call) if call.function.row().returns == ValueType::Scalar => true,
        _ => expr.children().into_iter().all(is_small),
    }
}

/// The places of a subtree's nodes, in an order that is the same for equal subtrees.
pub(crate) fn positions(expr: &Expr) -> Vec<PosRange> {
    let mut out = Vec::new();
    expr.walk(&mut |node| {
        out.push(node.pos());
        if let Expr::Matrix(matrix) = node {
            out.push(matrix.selector.pos);
        }
        true
    });
    out
}
