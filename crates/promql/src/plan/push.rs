//! Hands matchers across binary operators: series that can find no partner on one side are not read on the other.
//!
//! A matcher `m` on label `x` of one operand is added to selectors of the other one if `x` takes part in the matching,
//! so that whatever fails `m` finds no partner. The only visible effect may be the time saved:
//!
//! - Only operands that give output for matched series alone: not with `fill`, not for `or`, not the left of `unless`.
//! - Not if the labels that are matched do not tell all series of the "one" side apart: duplicates are refused even
//!   without a partner, and only where the other side has anything.
//! - Only through nodes that keep the label, or group by it, and whose remarks and errors do not depend on the series
//!   left out. Where samples may be histograms, that is hardly any node; see `Storage::is_plain`.

use super::Notes;
use super::constants::{folds, groups_lack_names};
use super::text::shortened;
use super::tree::{Kind, NodeId, Selection, Tree};
use crate::names::{is_counter_name, is_schema};
use crate::operators::binary::{Operation, changes_quantity};
use crate::operators::groups::GroupBy;
use mytsdb_model::{LABEL_NAME, MatchOp, Matcher};
use mytsdb_promql_syntax::{AggregateOp, BinaryOp, Cardinality, LabelUse, ValueType, VectorMatching};

/// More matchers are not handed on: each costs a look at an index.
const PUSHED_MAX: usize = 16;

/// Adds matchers to the selectors below every binary operator from `id` down.
pub(super) fn push_matchers(tree: &mut Tree, id: NodeId, plain: bool, notes: &mut Notes) {
    if matches!(tree[id].kind, Kind::Binary(_)) {
        across(tree, id, plain, notes);
    }
    for input in tree.inputs(id) {
        push_matchers(tree, input, plain, notes);
    }
}

fn across(tree: &mut Tree, id: NodeId, plain: bool, notes: &mut Notes) {
    let Operands::Vectors(left, right) = operands(tree, id) else { return };
    let Some(operation) = tree.operation(id) else { return };
    let (op, matching) = (operation.op, operation.matching().clone());
    if has_fill(&matching) {
        return;
    }
    let (into_left, into_right) = match op {
        BinaryOp::And => (true, true),
        BinaryOp::Unless => (false, true),
        BinaryOp::Or | BinaryOp::TrimLower | BinaryOp::TrimUpper => return,
        _ => {
            let one = if matching.cardinality == Cardinality::OneToMany { left } else { right };
            let unique = is_unique(tree, one, &matching);
            (unique, unique)
        }
    };
    let (of_left, of_right) = (useful(tree, left, &matching), useful(tree, right, &matching));
    let mut hand_on = |matchers: Vec<Matcher>, to: NodeId| {
        for matcher in matchers.into_iter().take(PUSHED_MAX) {
            let before = notes.has_room().then(|| shortened(tree, to));
            if accepts(tree, to, matcher.name(), plain) && add(tree, to, &matcher) {
                notes.push(|| format!("matcher: {matcher} handed to {}", before.unwrap_or_default()));
            }
        }
    };
    if into_left {
        hand_on(of_right, left);
    }
    if into_right {
        hand_on(of_left, right);
    }
}

/// What an operator stands between.
enum Operands {
    Vectors(NodeId, NodeId),
    /// One is a vector, the other one a number.
    One(NodeId),
    Numbers,
}

fn operands(tree: &Tree, id: NodeId) -> Operands {
    let (left, right) = tree.sides(id);
    match (tree[left].value, tree[right].value) {
        (ValueType::Vector, ValueType::Vector) => Operands::Vectors(left, right),
        (ValueType::Vector, _) => Operands::One(left),
        (_, ValueType::Vector) => Operands::One(right),
        _ => Operands::Numbers,
    }
}

fn has_fill(matching: &VectorMatching) -> bool {
    matching.fill_left.is_some() || matching.fill_right.is_some()
}

/// Whether `label` takes part in the matching.
fn takes_part(label: &str, matching: &VectorMatching) -> bool {
    label != LABEL_NAME && matching.labels.iter().any(|l| l == label) == matching.on
}

/// The matchers of `id` that are worth to be handed to the other side.
fn useful(tree: &Tree, id: NodeId, matching: &VectorMatching) -> Vec<Matcher> {
    let mut out: Vec<Matcher> = Vec::new();
    for matcher in guaranteed(tree, id) {
        let positive = matches!(matcher.op(), MatchOp::Equal | MatchOp::Regex) && !matcher.matches_empty();
        if positive && takes_part(matcher.name(), matching) && !out.contains(matcher) {
            out.push(matcher.clone());
        }
    }
    out
}

/// Matchers that hold for every series of the result.
fn guaranteed(tree: &Tree, id: NodeId) -> Vec<&Matcher> {
    let node = &tree[id];
    match &node.kind {
        Kind::Select(selection) | Kind::Range(selection, _) => selection.selector.matchers.iter().collect(),
        Kind::Sign { .. } | Kind::Subquery(_) => guaranteed(tree, node.inputs[0]),
        Kind::Aggregate(op, by) => {
            let mut out = guaranteed(tree, tree.operand(id));
            match op {
                AggregateOp::CountValues => out.clear(),
                op if folds(*op) => out.retain(|m| groups_by(by, m.name())),
                // The others choose among series.
                _ => {}
            }
            out
        }
        Kind::Call(_) => labelled_argument(tree, id).map(|arg| guaranteed(tree, arg)).unwrap_or_default(),
        Kind::Binary(operation) => guaranteed_by_both(tree, id, operation),
        Kind::Number { .. } | Kind::Text(_) => Vec::new(),
    }
}

fn guaranteed_by_both<'t>(tree: &'t Tree, id: NodeId, operation: &Operation) -> Vec<&'t Matcher> {
    let (left, right) = match operands(tree, id) {
        Operands::Vectors(left, right) => (left, right),
        Operands::One(side) => return guaranteed(tree, side),
        Operands::Numbers => return Vec::new(),
    };
    let Some(matching) = &operation.matching else { return Vec::new() };
    if has_fill(matching) {
        return Vec::new();
    }
    let (mut left, mut right) = (guaranteed(tree, left), guaranteed(tree, right));
    match operation.op {
        BinaryOp::Or => Vec::new(),
        BinaryOp::Unless => left,
        _ => {
            // A partner has the same labels as far as they take part; all others are those of the "many" side.
            match (operation.op, matching.cardinality) {
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
fn labelled_argument(tree: &Tree, id: NodeId) -> Option<NodeId> {
    let Kind::Call(function) = &tree[id].kind else { return None };
    match function.row().labels {
        LabelUse::Makes | LabelUse::Nothing => None,
        LabelUse::Keeps | LabelUse::DropsName => {
            let is_vector = |input: &&NodeId| matches!(tree[**input].value, ValueType::Vector | ValueType::Matrix);
            tree[id].inputs.iter().find(is_vector).copied()
        }
    }
}

/// Whether all series of a group have the same value of `label`, which is also the group's.
fn groups_by(by: &GroupBy, label: &str) -> bool {
    !is_schema(label) && by.labels.iter().any(|l| l == label) != by.without
}

/// Whether no two series of `id` can have the same labels as far as they are matched.
fn is_unique(tree: &Tree, id: NodeId, matching: &VectorMatching) -> bool {
    let node = &tree[id];
    match &node.kind {
        // Of one metric, series differ in the labels that the default matching looks at.
        Kind::Select(selection) => one_metric(selection) && !matching.on && matching.labels.is_empty(),
        Kind::Aggregate(op, by) if folds(*op) => match (by.without, matching.on) {
            (false, true) => by.labels.iter().all(|l| matching.labels.contains(l)),
            (false, false) => by.labels.iter().all(|l| l != LABEL_NAME && !matching.labels.contains(l)),
            (true, false) => matching.labels.iter().all(|l| by.labels.contains(l)),
            (true, true) => false,
        },
        Kind::Call(function) => {
            let arg = labelled_argument(tree, id);
            match function.row().labels {
                LabelUse::Keeps => arg.is_some_and(|arg| is_unique(tree, arg, matching)),
                LabelUse::DropsName => arg.is_some_and(|arg| is_unique_without_name(tree, arg, matching)),
                LabelUse::Makes | LabelUse::Nothing => false,
            }
        }
        Kind::Sign { .. } => is_unique_without_name(tree, node.inputs[0], matching),
        Kind::Binary(_) => match operands(tree, id) {
            Operands::Vectors(..) | Operands::Numbers => false,
            Operands::One(side) => is_unique_without_name(tree, side, matching),
        },
        Kind::Number { .. } | Kind::Text(_) | Kind::Range(..) | Kind::Subquery(_) | Kind::Aggregate(..) => false,
    }
}

/// The same for what functions make of `id`: they drop the name.
fn is_unique_without_name(tree: &Tree, id: NodeId, matching: &VectorMatching) -> bool {
    match &tree[id].kind {
        Kind::Range(selection, _) => one_metric(selection) && !matching.on && matching.labels.is_empty(),
        Kind::Aggregate(op, by) => groups_lack_names(*op, by) && is_unique(tree, id, matching),
        _ => is_unique(tree, id, matching),
    }
}

fn one_metric(selection: &Selection) -> bool {
    let named = |m: &Matcher| m.name() == LABEL_NAME && m.op() == MatchOp::Equal && !m.value().is_empty();
    selection.selector.matchers.iter().any(named)
}

/// Whether a matcher on `label` at the selectors below takes away exactly the series of the result that fail it, and
/// nothing else that could be noticed.
fn accepts(tree: &Tree, id: NodeId, label: &str, plain: bool) -> bool {
    let node = &tree[id];
    match &node.kind {
        Kind::Select(selection) => is_plainly_selected(selection, label),
        Kind::Sign { .. } => plain && keeps_apart(tree, node.inputs[0]) && accepts(tree, node.inputs[0], label, plain),
        Kind::Aggregate(op, by) => {
            // The only operators that give no remarks about histograms.
            let silent = matches!(op, AggregateOp::Count | AggregateOp::Group);
            *op != AggregateOp::CountValues
                && (plain || silent)
                && groups_by(by, label)
                && accepts(tree, tree.operand(id), label, plain)
        }
        Kind::Call(_) => plain && accepts_call(tree, id, label),
        Kind::Binary(operation) => plain && accepts_binary(tree, id, operation, label),
        Kind::Number { .. } | Kind::Text(_) | Kind::Range(..) | Kind::Subquery(_) => false,
    }
}

fn is_plainly_selected(selection: &Selection, label: &str) -> bool {
    !is_schema(label) && !selection.selector.smoothed && !selection.selector.anchored
}

/// Functions of plain floats that say nothing about single series.
fn accepts_call(tree: &Tree, id: NodeId, label: &str) -> bool {
    let Kind::Call(function) = &tree[id].kind else { return false };
    let row = function.row();
    let Some(arg) = labelled_argument(tree, id) else { return false };
    if row.order_sensitive {
        return false;
    }
    match &tree[arg].kind {
        Kind::Range(selection, _) => {
            let mut matchers = selection.selector.matchers.iter();
            let metric = matchers.find(|m| m.name() == LABEL_NAME && m.op() == MatchOp::Equal);
            let trusted = metric.is_some_and(|m| !row.wants_counter || is_counter_name(m.value()));
            trusted && one_metric(selection) && is_plainly_selected(selection, label)
        }
        // What a function makes of results is judged by the metric name too.
        Kind::Subquery(_) => {
            let inner = tree.operand(arg);
            !row.wants_counter && keeps_apart(tree, inner) && accepts(tree, inner, label, true)
        }
        _ => keeps_apart(tree, arg) && accepts(tree, arg, label, true),
    }
}

fn accepts_binary(tree: &Tree, id: NodeId, operation: &Operation, label: &str) -> bool {
    if matches!(operation.op, BinaryOp::TrimLower | BinaryOp::TrimUpper) {
        return false;
    }
    let drops_name = operation.return_bool || changes_quantity(operation.op);
    let (left, right) = match operands(tree, id) {
        Operands::Vectors(left, right) => (left, right),
        Operands::One(vector) => {
            return (!drops_name || keeps_apart(tree, vector)) && accepts(tree, vector, label, true);
        }
        Operands::Numbers => return false,
    };
    let Some(matching) = &operation.matching else { return false };
    if has_fill(matching) {
        return false;
    }
    match operation.op {
        // Series come from the left, and none is refused.
        BinaryOp::And | BinaryOp::Unless => accepts(tree, left, label, true),
        BinaryOp::Or => false,
        // Series that are left out might be refused as duplicates, unless there can be none.
        _ => {
            matching.cardinality == Cardinality::OneToOne
                && takes_part(label, matching)
                && [left, right].into_iter().all(|side| is_unique(tree, side, matching))
                && [left, right].into_iter().all(|side| accepts(tree, side, label, true))
        }
    }
}

/// Whether series stay distinct when a function drops the metric name, so that it never has to refuse or join any.
/// Relies on plain series, which have no other labels that would go with the name.
fn keeps_apart(tree: &Tree, id: NodeId) -> bool {
    let node = &tree[id];
    match &node.kind {
        Kind::Select(selection) | Kind::Range(selection, _) => one_metric(selection),
        Kind::Sign { .. } | Kind::Subquery(_) => keeps_apart(tree, node.inputs[0]),
        Kind::Aggregate(op, by) if folds(*op) => groups_lack_names(*op, by),
        Kind::Aggregate(op, _) => *op != AggregateOp::CountValues && keeps_apart(tree, tree.operand(id)),
        Kind::Call(_) => labelled_argument(tree, id).is_some_and(|arg| keeps_apart(tree, arg)),
        Kind::Binary(operation) => match operands(tree, id) {
            Operands::Vectors(left, _) => {
                matches!(operation.op, BinaryOp::And | BinaryOp::Unless) && keeps_apart(tree, left)
            }
            Operands::One(side) => keeps_apart(tree, side),
            Operands::Numbers => false,
        },
        Kind::Number { .. } | Kind::Text(_) => false,
    }
}

/// Adds the matcher to the selectors that [`accepts`] spoke of; `false` if all of them have it.
fn add(tree: &mut Tree, id: NodeId, matcher: &Matcher) -> bool {
    match &mut tree[id].kind {
        Kind::Select(selection) | Kind::Range(selection, _) => add_to(selection, matcher),
        Kind::Sign { .. } | Kind::Subquery(_) | Kind::Aggregate(..) => {
            let operand = tree.operand(id);
            add(tree, operand, matcher)
        }
        Kind::Call(_) => labelled_argument(tree, id).is_some_and(|arg| add(tree, arg, matcher)),
        Kind::Binary(operation) => {
            let is_set = operation.op.is_set();
            match operands(tree, id) {
                Operands::Vectors(left, _) if is_set => add(tree, left, matcher),
                Operands::Vectors(left, right) => {
                    let left = add(tree, left, matcher);
                    add(tree, right, matcher) || left
                }
                Operands::One(side) => add(tree, side, matcher),
                Operands::Numbers => false,
            }
        }
        Kind::Number { .. } | Kind::Text(_) => false,
    }
}

fn add_to(Selection { selector, handed, .. }: &mut Selection, matcher: &Matcher) -> bool {
    let known = selector.matchers.contains(matcher);
    if !known {
        // The matcher of the name stays the last one.
        selector.matchers.insert(0, matcher.clone());
        handed.push(matcher.to_string());
    }
    !known
}
