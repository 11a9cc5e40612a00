//! Constant folding, and idioms that stand for something simpler.

use super::{Facts, children_mut, is_schema};
use crate::ast::{AggregateExpr, AggregateOp, BinaryOp, Expr, NumberLiteral, ParenExpr, ValueType};
use crate::eval::{largest, operate_on_numbers, smallest};

/// Replaces scalar expressions whose value is known by their value. They keep their place in the query.
pub(super) fn fold(expr: &mut Expr, facts: Facts, notes: &mut Vec<String>) {
    // Who is folded as a whole is told as a whole.
    let Some(value) = constant(expr, facts) else {
        for child in children_mut(expr) {
            fold(child, facts, notes);
        }
        return;
    };
    if matches!(expr, Expr::Number(_)) {
        return;
    }
    let folded = Expr::Number(NumberLiteral { value, duration: false, pos: expr.pos() });
    if !matches!(expr.unwrap_parens(), Expr::Number(_)) {
        notes.push(format!("constant: {expr} is {folded}"));
    }
    *expr = folded;
}

/// The value of a scalar expression that is the same in all steps, by the evaluator's own arithmetic.
fn constant(expr: &Expr, facts: Facts) -> Option<f64> {
    let seconds = |ms: i64| ms as f64 / 1000.0;
    match expr {
        Expr::Number(number) => Some(number.value),
        Expr::Paren(paren) => constant(&paren.expr, facts),
        Expr::Unary(unary) => {
            let value = constant(&unary.expr, facts)?;
            Some(if unary.negative { -value } else { value })
        }
        Expr::Binary(binary) => {
            Some(operate_on_numbers(binary.op, constant(&binary.lhs, facts)?, constant(&binary.rhs, facts)?))
        }
        Expr::Call(call) => match call.function.name {
            "pi" => Some(std::f64::consts::PI),
            "start" => Some(seconds(facts.start_ms)),
            "end" => Some(seconds(facts.end_ms)),
            "step" => Some(seconds(facts.step_ms)),
            "range" => Some(seconds(facts.end_ms - facts.start_ms)),
            "max_of" => Some(largest(constant(&call.args[0], facts)?, constant(&call.args[1], facts)?)),
            "min_of" => Some(smallest(constant(&call.args[0], facts)?, constant(&call.args[1], facts)?)),
            "scalar" => match call.args[0].unwrap_parens() {
                Expr::Call(inner) if inner.function.name == "vector" => constant(&inner.args[0], facts),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// Takes away `* 1` and `/ 1` where there is neither a name nor a histogram that they would change.
pub(super) fn simplify(expr: &mut Expr, notes: &mut Vec<String>) {
    for child in children_mut(expr) {
        simplify(child, notes);
    }
    let Expr::Binary(binary) = &*expr else { return };
    let is_one = |side: &Expr| matches!(side, Expr::Number(number) if number.value == 1.0);
    let kept = match binary.op {
        BinaryOp::Mul | BinaryOp::Div if is_one(&binary.rhs) => &binary.lhs,
        BinaryOp::Mul if is_one(&binary.lhs) => &binary.rhs,
        _ => return,
    };
    if kept.value_type() != ValueType::Vector || !is_nameless(kept) {
        return;
    }
    notes.push(format!("same value: {expr} is {kept}"));
    // Parentheses in the operation's place, which remarks may point at.
    *expr = Expr::Paren(Box::new(ParenExpr { pos: expr.pos(), expr: kept.clone() }));
}

fn is_nameless(expr: &Expr) -> bool {
    matches!(expr.unwrap_parens(), Expr::Aggregate(aggregate) if groups_lack_names(aggregate))
}

/// An aggregation into new series that have no metric name.
pub(super) fn groups_lack_names(aggregate: &AggregateExpr) -> bool {
    folds(aggregate.op) && (aggregate.without || !aggregate.grouping.iter().any(|label| is_schema(label)))
}

/// One series per group, with the labels of the group.
pub(super) fn folds(op: AggregateOp) -> bool {
    matches!(
        op,
        AggregateOp::Sum
            | AggregateOp::Avg
            | AggregateOp::Count
            | AggregateOp::Min
            | AggregateOp::Max
            | AggregateOp::Group
            | AggregateOp::Stddev
            | AggregateOp::Stdvar
            | AggregateOp::Quantile
    )
}
