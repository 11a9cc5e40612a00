//! Selectors whose series are folded into sums and the like, so that their order does not matter.

use super::address;
use mytsdb_model::{LABEL_NAME, MatchOp};
use mytsdb_promql_syntax::{AggregateOp, Expr, ValueType, VectorSelector};
use std::collections::HashSet;

/// Their addresses. `free`: the order of the whole result does not matter.
pub(super) fn unordered_selectors(expr: &Expr, free: bool) -> HashSet<usize> {
    let mut out = HashSet::new();
    visit(expr, free, &mut out);
    out
}

fn visit(expr: &Expr, free: bool, out: &mut HashSet<usize>) {
    match expr {
        Expr::Aggregate(aggregate) => {
            if let Some(param) = &aggregate.param {
                visit(param, true, out);
            }
            let folds = matches!(
                aggregate.op,
                AggregateOp::Sum
                    | AggregateOp::Avg
                    | AggregateOp::Count
                    | AggregateOp::Min
                    | AggregateOp::Max
                    | AggregateOp::Group
            );
            // A single group has no order.
            let single = aggregate.grouping.is_empty() && !aggregate.without;
            let free = folds && (free || single);
            if free && let Some(selector) = selector_below(&aggregate.expr) {
                out.insert(address(selector));
            }
            visit(&aggregate.expr, free, out);
        }
        Expr::Call(call) => {
            let row = call.function.row();
            let inner = row.returns == ValueType::Scalar || (free && !row.order_sensitive);
            call.args.iter().for_each(|arg| visit(arg, inner, out));
        }
        _ => expr.children().into_iter().for_each(|child| visit(child, free, out)),
    }
}

/// The selector whose series are folded as they come. Only of one metric: remarks about many come in their order.
fn selector_below(expr: &Expr) -> Option<&VectorSelector> {
    let selector = match expr.unwrap_parens() {
        Expr::Vector(selector) => &**selector,
        Expr::Call(call) => call.args.iter().find_map(|arg| match arg.unwrap_parens() {
            Expr::Matrix(matrix) => Some(&matrix.selector),
            _ => None,
        })?,
        _ => return None,
    };
    let one_metric = selector.matchers.iter().any(|m| m.name() == LABEL_NAME && m.op() == MatchOp::Equal);
    one_metric.then_some(selector)
}
