//! Constant folding, and idioms that stand for something simpler.

use super::{Facts, Notes, shortened};
use crate::eval::binary::arithmetic;
use crate::eval::functions::{Compute, ScalarCompute, VectorCompute, compute};
use crate::names::is_schema;
use mytsdb_promql_syntax::{
    AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, Expr, NumberLiteral, ParenExpr, ValueType,
};

/// Replaces scalar expressions whose value is known by their value. They keep their place in the query.
pub(super) fn fold(expr: &mut Expr, facts: Facts, notes: &mut Notes) {
    if matches!(expr, Expr::Binary(_)) {
        fold_chain(expr, facts, notes);
        return;
    }
    // Who is folded as a whole is told as a whole.
    match constant(expr, facts) {
        Some(value) => replace(expr, value, notes),
        None => expr.children_mut().into_iter().for_each(|child| fold(child, facts, notes)),
    }
}

/// Folds as many operators of a chain as have a known value, from the left, and the operands of all others.
fn fold_chain(expr: &mut Expr, facts: Facts, notes: &mut Notes) {
    let (mut operand, mut operators) = expr.take_apart();
    let mut known = constant(&operand, facts);
    if known.is_none() {
        fold(&mut operand, facts, notes);
    }
    while let Some(mut operator) = operators.pop() {
        let value = known.and_then(|left| Some((left, constant(&operator.rhs, facts)?)));
        if let (Some(value), None) = (known, value) {
            replace(&mut operand, value, notes);
        }
        known = value.map(|(left, right)| arithmetic(operator.op, left, right));
        if known.is_none() {
            fold(&mut operator.rhs, facts, notes);
        }
        operator.lhs = operand;
        operand = Expr::Binary(operator);
    }
    if let Some(value) = known {
        replace(&mut operand, value, notes);
    }
    *expr = operand;
}

fn replace(expr: &mut Expr, value: f64, notes: &mut Notes) {
    if matches!(expr, Expr::Number(_)) {
        return;
    }
    let folded = Expr::Number(NumberLiteral { value, duration: false, pos: expr.pos() });
    if !matches!(expr.unwrap_parens(), Expr::Number(_)) {
        notes.push(|| format!("constant: {} is {folded}", shortened(expr)));
    }
    *expr = folded;
}

/// The value of a scalar expression that is the same in all steps, by the evaluator's own arithmetic.
fn constant(expr: &Expr, facts: Facts) -> Option<f64> {
    match expr {
        Expr::Number(number) => Some(number.value),
        Expr::Paren(paren) => constant(&paren.expr, facts),
        Expr::Unary(unary) => {
            let value = constant(&unary.expr, facts)?;
            Some(if unary.negative { -value } else { value })
        }
        Expr::Binary(binary) => {
            let (leftmost, operators) = binary.chain();
            operators.into_iter().try_fold(constant(leftmost, facts)?, |left, operator| {
                Some(arithmetic(operator.op, left, constant(&operator.rhs, facts)?))
            })
        }
        Expr::Call(call) => match compute(call.function) {
            Compute::Scalar(ScalarCompute::Query(f)) => Some(f(facts.times)),
            Compute::Scalar(ScalarCompute::Pair(f)) => {
                Some(f(constant(&call.args[0], facts)?, constant(&call.args[1], facts)?))
            }
            Compute::Scalar(ScalarCompute::Only) => match call.args[0].unwrap_parens() {
                Expr::Call(inner) if matches!(compute(inner.function), Compute::Vector(VectorCompute::Number)) => {
                    constant(&inner.args[0], facts)
                }
                _ => None,
            },
            Compute::Scalar(ScalarCompute::StepTime) | Compute::Vector(_) => None,
        },
        _ => None,
    }
}

/// Takes away `* 1` and `/ 1` where there is neither a name nor a histogram that they would change.
pub(super) fn simplify(expr: &mut Expr, notes: &mut Notes) {
    let (mut operand, mut operators) = expr.take_apart();
    operand.children_mut().into_iter().for_each(|child| simplify(child, notes));
    while let Some(mut operator) = operators.pop() {
        operator.lhs = operand;
        simplify(&mut operator.rhs, notes);
        operand = simpler(operator, notes);
    }
    *expr = operand;
}

fn simpler(mut binary: Box<BinaryExpr>, notes: &mut Notes) -> Expr {
    let is_one = |side: &Expr| matches!(side, Expr::Number(number) if number.value == 1.0);
    let keeps_left = match binary.op {
        BinaryOp::Mul | BinaryOp::Div if is_one(&binary.rhs) => true,
        BinaryOp::Mul if is_one(&binary.lhs) => false,
        _ => return Expr::Binary(binary),
    };
    let pos = binary.pos();
    let kept = if keeps_left { &binary.lhs } else { &binary.rhs };
    if kept.value_type() != ValueType::Vector || !is_nameless(kept) {
        return Expr::Binary(binary);
    }
    notes.push(|| {
        let sides = [&binary.lhs, &binary.rhs].map(shortened);
        format!("same value: {} {} {} is {}", sides[0], binary.op.as_str(), sides[1], shortened(kept))
    });
    let kept = if keeps_left { &mut binary.lhs } else { &mut binary.rhs }.take();
    // Parentheses in the operation's place, which remarks may point at; never more than one pair, however long the chain.
    match kept {
        Expr::Paren(mut paren) => {
            paren.pos = pos;
            Expr::Paren(paren)
        }
        expr => Expr::Paren(Box::new(ParenExpr { expr, pos })),
    }
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
