//! Parts of a query that are the same at every step: everything they select is pinned by `@`.

use super::address;
use mytsdb_promql_syntax::{AggregateOp, Expr};
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
        Expr::Call(call) => match call.function.name {
            "time" | "predict_linear" => false,
            // Of an order that only a single step has.
            "sort" | "sort_desc" | "info" if ordered => false,
            // Of the metrics that give more labels there are other samples, but the first ones are taken.
            "info" => is_pinned(&call.args[0], ordered),
            "timestamp" => matches!(call.args[0].unwrap_parens(), Expr::Vector(s) if s.timestamp_ms.is_some()),
            "day_of_month" | "day_of_week" | "day_of_year" | "days_in_month" | "hour" | "minute" | "month" | "year"
                // Prometheus takes all of them to look at the time.
                if call.args.is_empty() || !ordered =>
            {
                false
            }
            _ => call.args.iter().all(|arg| is_pinned(arg, ordered)),
        },
        // What is chosen by a number of each step is so by that of the first one.
        Expr::Aggregate(aggregate) if !ordered => is_pinned(&aggregate.expr, ordered),
        _ => expr.children().into_iter().all(|child| is_pinned(child, ordered)),
    }
}
