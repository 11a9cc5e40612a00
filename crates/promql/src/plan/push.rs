//! Matchers handed across binary operators: what one side cannot have, the other side need not read.
//!
//! A matcher `m` on label `x` of one operand is added to selectors of the other one if `x` takes part in the matching,
//! so that whatever fails `m` finds no partner. Nobody may notice but by the time saved:
//!
//! - Only operands that give output for matched series alone: not with `fill`, not for `or`, not the left of `unless`.
//! - Not if the labels that are matched do not tell all series of the "one" side apart: duplicates are refused even
//!   without a partner, and only where the other side has anything.
//! - Only through nodes that keep the label, or group by it, and whose remarks and errors do not depend on the series
//!   left out. Where samples may be histograms, that is hardly any node; see `Storage::is_plain`.

use super::constants::{folds, groups_lack_names};
use super::{Rewrites, address, shortened};
use crate::eval::binary::changes_quantity;
use crate::names::{is_counter_name, is_schema};
use mytsdb_model::{LABEL_NAME, MatchOp, Matcher};
use mytsdb_promql_syntax::{
    AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, Call, Cardinality, Expr, LabelUse, ValueType, VectorMatching,
    VectorSelector,
};

/// More matchers are not handed on: each costs a look at an index.
const PUSHED_MAX: usize = 16;

/// Adds matchers to the selectors below every binary operator of `expr`.
pub(super) fn push_matchers(expr: &mut Expr, plain: bool, done: &mut Rewrites) {
    if let Expr::Binary(binary) = expr {
        across(binary, plain, done);
    }
    for child in expr.children_mut() {
        push_matchers(child, plain, done);
    }
}

fn across(binary: &mut BinaryExpr, plain: bool, done: &mut Rewrites) {
    let both = binary.lhs.value_type() == ValueType::Vector && binary.rhs.value_type() == ValueType::Vector;
    let matching = binary.matching.clone().unwrap_or_default();
    if !both || matching.fill_left.is_some() || matching.fill_right.is_some() {
        return;
    }
    let (into_left, into_right) = match binary.op {
        BinaryOp::And => (true, true),
        BinaryOp::Unless => (false, true),
        BinaryOp::Or | BinaryOp::TrimLower | BinaryOp::TrimUpper => return,
        _ => {
            let one = if matching.cardinality == Cardinality::OneToMany { &binary.lhs } else { &binary.rhs };
            let unique = is_unique(one, &matching);
            (unique, unique)
        }
    };
    let (left, right) = (useful(&binary.lhs, &matching), useful(&binary.rhs, &matching));
    let mut hand_on = |matchers: Vec<Matcher>, expr: &mut Expr| {
        for matcher in matchers.into_iter().take(PUSHED_MAX) {
            let before = shortened(expr);
            if accepts(expr, matcher.name(), plain) && add(expr, &matcher, &mut done.pushed) {
                done.notes.push(|| format!("matcher: {matcher} handed to {before}"));
            }
        }
    };
    if into_left {
        hand_on(right, &mut binary.lhs);
    }
    if into_right {
        hand_on(left, &mut binary.rhs);
    }
}

/// Whether `label` takes part in the matching.
fn takes_part(label: &str, matching: &VectorMatching) -> bool {
    label != LABEL_NAME && matching.labels.iter().any(|l| l == label) == matching.on
}

/// The matchers of `expr` that are worth to be handed to the other side.
fn useful(expr: &Expr, matching: &VectorMatching) -> Vec<Matcher> {
    let mut out: Vec<Matcher> = Vec::new();
    for matcher in guaranteed(expr) {
        let positive = matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex) && !matcher.matches_empty();
        if positive && takes_part(matcher.name(), matching) && !out.contains(matcher) {
            out.push(matcher.clone());
        }
    }
    out
}

/// Matchers that hold for every series of the result.
fn guaranteed(expr: &Expr) -> Vec<&Matcher> {
    match expr {
        Expr::Vector(selector) => selector.matchers.iter().collect(),
        Expr::Matrix(matrix) => matrix.selector.matchers.iter().collect(),
        Expr::Paren(paren) => guaranteed(&paren.expr),
        Expr::Unary(unary) => guaranteed(&unary.expr),
        Expr::Subquery(subquery) => guaranteed(&subquery.expr),
        Expr::Aggregate(aggregate) => {
            let mut out = guaranteed(&aggregate.expr);
            match aggregate.op {
                AggregateOp::CountValues => out.clear(),
                op if folds(op) => out.retain(|m| groups_by(aggregate, m.name())),
                // The others choose among series.
                _ => {}
            }
            out
        }
        Expr::Call(call) => labelled_argument(call).map(guaranteed).unwrap_or_default(),
        Expr::Binary(binary) => guaranteed_by_both(binary),
        Expr::Number(_) | Expr::String(_) => Vec::new(),
    }
}

fn guaranteed_by_both(binary: &BinaryExpr) -> Vec<&Matcher> {
    match (binary.lhs.value_type(), binary.rhs.value_type()) {
        (ValueType::Vector, ValueType::Vector) => {}
        (ValueType::Vector, _) => return guaranteed(&binary.lhs),
        (_, ValueType::Vector) => return guaranteed(&binary.rhs),
        _ => return Vec::new(),
    }
    let Some(matching) = &binary.matching else { return Vec::new() };
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        return Vec::new();
    }
    let (mut left, mut right) = (guaranteed(&binary.lhs), guaranteed(&binary.rhs));
    match binary.op {
        BinaryOp::Or => Vec::new(),
        BinaryOp::Unless => left,
        _ => {
            // A partner has the same labels as far as they take part; all others are those of the "many" side.
            match (binary.op, matching.cardinality) {
                (BinaryOp::And, _) | (_, Cardinality::ManyToOne) => {
                    right.retain(|m| takes_part(m.name(), matching));
                }
                (_, Cardinality::OneToMany) => left.retain(|m| takes_part(m.name(), matching)),
                _ => {
                    left.retain(|m| takes_part(m.name(), matching));
                    right.retain(|m| takes_part(m.name(), matching));
                }
            }
            left.append(&mut right);
            left.retain(|m| !matching.include.iter().any(|label| label == m.name()));
            left
        }
    }
}

/// The vector argument of functions that change nothing about labels but the metric name.
fn labelled_argument(call: &Call) -> Option<&Expr> {
    let at = labelled_index(call)?;
    call.args.get(at)
}

fn labelled_index(call: &Call) -> Option<usize> {
    match call.function.row().labels {
        LabelUse::Makes | LabelUse::Nothing => None,
        LabelUse::Keeps | LabelUse::DropsName => {
            call.args.iter().position(|arg| matches!(arg.value_type(), ValueType::Vector | ValueType::Matrix))
        }
    }
}

/// Whether all series of a group have the same value of `label`, which is also the group's.
fn groups_by(aggregate: &AggregateExpr, label: &str) -> bool {
    !is_schema(label) && aggregate.grouping.iter().any(|l| l == label) != aggregate.without
}

/// Whether no two series of `expr` can have the same labels as far as they are matched.
fn is_unique(expr: &Expr, matching: &VectorMatching) -> bool {
    match expr {
        Expr::Paren(paren) => is_unique(&paren.expr, matching),
        // Of one metric, series differ in the labels that the default matching looks at.
        Expr::Vector(selector) => one_metric(selector) && !matching.on && matching.labels.is_empty(),
        Expr::Aggregate(aggregate) if folds(aggregate.op) => {
            let grouping = &aggregate.grouping;
            match (aggregate.without, matching.on) {
                (false, true) => grouping.iter().all(|l| matching.labels.contains(l)),
                (false, false) => grouping.iter().all(|l| l != LABEL_NAME && !matching.labels.contains(l)),
                (true, false) => matching.labels.iter().all(|l| grouping.contains(l)),
                (true, true) => false,
            }
        }
        Expr::Call(call) => match call.function.row().labels {
            LabelUse::Keeps => labelled_argument(call).is_some_and(|arg| is_unique(arg, matching)),
            LabelUse::DropsName => labelled_argument(call).is_some_and(|arg| is_unique_without_name(arg, matching)),
            LabelUse::Makes | LabelUse::Nothing => false,
        },
        Expr::Unary(unary) => is_unique_without_name(&unary.expr, matching),
        Expr::Binary(binary) => match (binary.lhs.value_type(), binary.rhs.value_type()) {
            (ValueType::Vector, ValueType::Vector) => false,
            (ValueType::Vector, _) => is_unique_without_name(&binary.lhs, matching),
            _ => is_unique_without_name(&binary.rhs, matching),
        },
        _ => false,
    }
}

/// The same for what functions make of `expr`: they drop the name.
fn is_unique_without_name(expr: &Expr, matching: &VectorMatching) -> bool {
    match expr.unwrap_parens() {
        Expr::Matrix(matrix) => one_metric(&matrix.selector) && !matching.on && matching.labels.is_empty(),
        Expr::Aggregate(aggregate) => groups_lack_names(aggregate) && is_unique(expr, matching),
        _ => is_unique(expr, matching),
    }
}

fn one_metric(selector: &VectorSelector) -> bool {
    selector.matchers.iter().any(|m| m.name() == LABEL_NAME && m.op() == MatchOp::Equal && !m.value().is_empty())
}

/// Whether a matcher on `label` at the selectors below takes away exactly the series of the result that fail it, and
/// nothing else that could be noticed.
fn accepts(expr: &Expr, label: &str, plain: bool) -> bool {
    match expr {
        Expr::Vector(selector) => !is_schema(label) && !selector.smoothed && !selector.anchored,
        Expr::Paren(paren) => accepts(&paren.expr, label, plain),
        Expr::Unary(unary) => plain && keeps_apart(&unary.expr) && accepts(&unary.expr, label, plain),
        Expr::Aggregate(aggregate) => accepts_aggregate(aggregate, label, plain),
        Expr::Call(call) => plain && accepts_call(call, label),
        Expr::Binary(binary) => plain && accepts_binary(binary, label),
        Expr::Number(_) | Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_) => false,
    }
}

fn accepts_aggregate(aggregate: &AggregateExpr, label: &str, plain: bool) -> bool {
    // The only ones that have nothing to say about histograms.
    let silent = matches!(aggregate.op, AggregateOp::Count | AggregateOp::Group);
    aggregate.op != AggregateOp::CountValues
        && (plain || silent)
        && groups_by(aggregate, label)
        && accepts(&aggregate.expr, label, plain)
}

/// Functions of plain floats that say nothing about single series.
fn accepts_call(call: &Call, label: &str) -> bool {
    let row = call.function.row();
    let Some(arg) = labelled_argument(call) else { return false };
    if row.order_sensitive {
        return false;
    }
    match arg.unwrap_parens() {
        Expr::Matrix(matrix) => {
            let selector = &matrix.selector;
            let metric = selector.matchers.iter().find(|m| m.name() == LABEL_NAME && m.op() == MatchOp::Equal);
            let trusted = metric.is_some_and(|m| !row.wants_counter || is_counter_name(m.value()));
            trusted && one_metric(selector) && !is_schema(label) && !selector.anchored && !selector.smoothed
        }
        // What a function makes of results is judged by the metric name too.
        Expr::Subquery(subquery) => {
            !row.wants_counter && keeps_apart(&subquery.expr) && accepts(&subquery.expr, label, true)
        }
        _ => keeps_apart(arg) && accepts(arg, label, true),
    }
}

fn accepts_binary(binary: &BinaryExpr, label: &str) -> bool {
    if matches!(binary.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
        return false;
    }
    let drops_name = binary.return_bool || changes_quantity(binary.op);
    let one_vector = |vector: &Expr| (!drops_name || keeps_apart(vector)) && accepts(vector, label, true);
    match (binary.lhs.value_type(), binary.rhs.value_type()) {
        (ValueType::Vector, ValueType::Vector) => {}
        (ValueType::Vector, _) => return one_vector(&binary.lhs),
        _ => return one_vector(&binary.rhs),
    }
    let Some(matching) = &binary.matching else { return false };
    if matching.fill_left.is_some() || matching.fill_right.is_some() {
        return false;
    }
    match binary.op {
        // Series come from the left, and none is refused.
        BinaryOp::And | BinaryOp::Unless => accepts(&binary.lhs, label, true),
        BinaryOp::Or => false,
        // Series that are left out might be refused as duplicates, unless there can be none.
        _ => {
            matching.cardinality == Cardinality::OneToOne
                && takes_part(label, matching)
                && is_unique(&binary.lhs, matching)
                && is_unique(&binary.rhs, matching)
                && accepts(&binary.lhs, label, true)
                && accepts(&binary.rhs, label, true)
        }
    }
}

/// Whether series stay distinct when a function drops the metric name, so that it never has to refuse or join any.
/// Relies on plain series, which have no other labels that would go with the name.
fn keeps_apart(expr: &Expr) -> bool {
    match expr {
        Expr::Vector(selector) => one_metric(selector),
        Expr::Matrix(matrix) => one_metric(&matrix.selector),
        Expr::Paren(paren) => keeps_apart(&paren.expr),
        Expr::Unary(unary) => keeps_apart(&unary.expr),
        Expr::Subquery(subquery) => keeps_apart(&subquery.expr),
        Expr::Aggregate(aggregate) => {
            if folds(aggregate.op) {
                groups_lack_names(aggregate)
            } else {
                aggregate.op != AggregateOp::CountValues && keeps_apart(&aggregate.expr)
            }
        }
        Expr::Call(call) => labelled_argument(call).is_some_and(keeps_apart),
        Expr::Binary(binary) => match (binary.lhs.value_type(), binary.rhs.value_type()) {
            (ValueType::Vector, ValueType::Vector) => {
                matches!(binary.op, BinaryOp::And | BinaryOp::Unless) && keeps_apart(&binary.lhs)
            }
            (ValueType::Vector, _) => keeps_apart(&binary.lhs),
            _ => keeps_apart(&binary.rhs),
        },
        Expr::Number(_) | Expr::String(_) => false,
    }
}

/// Adds the matcher to the selectors that [`accepts`] spoke of; `false` if all of them have it.
fn add(expr: &mut Expr, matcher: &Matcher, to: &mut Vec<(usize, String)>) -> bool {
    match expr {
        Expr::Vector(selector) => add_to(selector, matcher, to),
        Expr::Matrix(matrix) => add_to(&mut matrix.selector, matcher, to),
        Expr::Paren(paren) => add(&mut paren.expr, matcher, to),
        Expr::Unary(unary) => add(&mut unary.expr, matcher, to),
        Expr::Subquery(subquery) => add(&mut subquery.expr, matcher, to),
        Expr::Aggregate(aggregate) => add(&mut aggregate.expr, matcher, to),
        Expr::Call(call) => labelled_index(call).is_some_and(|at| add(&mut call.args[at], matcher, to)),
        Expr::Binary(binary) => match (binary.lhs.value_type(), binary.rhs.value_type()) {
            (ValueType::Vector, ValueType::Vector) if binary.op.is_set() => add(&mut binary.lhs, matcher, to),
            (ValueType::Vector, ValueType::Vector) => {
                let left = add(&mut binary.lhs, matcher, to);
                add(&mut binary.rhs, matcher, to) || left
            }
            (ValueType::Vector, _) => add(&mut binary.lhs, matcher, to),
            _ => add(&mut binary.rhs, matcher, to),
        },
        Expr::Number(_) | Expr::String(_) => false,
    }
}

fn add_to(selector: &mut VectorSelector, matcher: &Matcher, to: &mut Vec<(usize, String)>) -> bool {
    let known = selector.matchers.contains(matcher);
    if !known {
        // The matcher of the name stays the last one.
        selector.matchers.insert(0, matcher.clone());
        to.push((address(selector), matcher.to_string()));
    }
    !known
}
