//! Parts of a query that are the same at every step: everything they select is pinned by `@`.

use super::address;
use mytsdb_promql_syntax::{AggregateOp, Expr, StepUse};
use std::collections::HashSet;

/// The largest such parts, except bare selectors, which look at one time anyway.
pub(super) fn roots(expr: &Expr) -> HashSet<usize> {
    let mut out = HashSet::new();
    visit(expr, false, &mut out);
    out
}

fn visit(expr: &Expr, inside: bool, out: &mut HashSet<usize>) {
    let works = matches!(expr, Expr::Aggregate(_) | Expr::Binary(_) | Expr::Call(_) | Expr::Unary(_));
    let found = !inside && works && is_invariant(expr) && selects(expr);
    if found {
        out.insert(address(expr));
    }
    for child in expr.children() {
        // A subquery has steps of its own.
        visit(child, (inside || found) && !matches!(expr, Expr::Subquery(_)), out);
    }
}

fn selects(expr: &Expr) -> bool {
    let mut found = false;
    expr.walk(&mut |node| {
        found |= matches!(node, Expr::Vector(_) | Expr::Matrix(_));
        !found
    });
    found
}

/// Whether no step is different, down to the order of series.
fn is_invariant(expr: &Expr) -> bool {
    is_pinned(expr, true)
}

/// Whether no step has other samples; `ordered`: nor another order of them.
pub(crate) fn is_pinned(expr: &Expr, ordered: bool) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(selector) => selector.timestamp_ms.is_some(),
        Expr::Matrix(matrix) => matrix.selector.timestamp_ms.is_some(),
        Expr::Subquery(subquery) => subquery.timestamp_ms.is_some(),
        // At a single step these give the order of values.
        Expr::Aggregate(aggregate) if ordered && matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk) => {
            false
        }
        Expr::Call(call) => {
            let all_pinned = || call.args.iter().all(|arg| is_pinned(arg, ordered));
            match call.function.row().steps {
                StepUse::Arguments | StepUse::Query => all_pinned(),
                StepUse::Time => false,
                // Prometheus takes all of them to look at the time.
                StepUse::TimeWithoutArgument => ordered && !call.args.is_empty() && all_pinned(),
                StepUse::TimeUnlessSelector => {
                    matches!(call.args[0].unwrap_parens(), Expr::Vector(s) if s.timestamp_ms.is_some())
                }
                StepUse::Order => !ordered && all_pinned(),
                // Of the metrics that give more labels there are other samples, but the first ones are taken.
                StepUse::FirstArgument => !ordered && is_pinned(&call.args[0], ordered),
            }
        }
        // What is chosen by a number of each step is so by that of the first one.
        Expr::Aggregate(aggregate) if !ordered => is_pinned(&aggregate.expr, ordered),
        _ => expr.children().into_iter().all(|child| is_pinned(child, ordered)),
    }
}
