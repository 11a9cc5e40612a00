//! Pairs the series of two vectors and operates on each pair, step by step.

use super::operate::operate;
use super::{changes_quantity, fill, join, restrict, set, set_outcome};
use crate::annotations::Annotations;
use crate::ast::{BinaryExpr, BinaryOp, Cardinality, VectorMatching};
use crate::error::EvalError;
use crate::eval::cells::{Cells, EMPTY, Row};
use crate::eval::context::{Context, is_schema};
use crate::eval::expr::eval_vector;
use crate::eval::grid::Grid;
use crate::eval::label_key::{LabelKey, with_labels};
use crate::eval::rows::{Vector, merge_equal};
use mytsdb_model::{LABEL_NAME, Labels};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The labels that have to be equal for two series to match.
pub(super) fn signature_labels(labels: &Labels, matching: &VectorMatching) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    if matching.on { labels.filter(listed) } else { labels.filter(|name| name != LABEL_NAME && !listed(name)) }
}

/// The key that has to be equal for two series to match.
pub(super) fn signature_key(matching: &VectorMatching, nameless: bool) -> LabelKey<'_> {
    if matching.on {
        LabelKey::only(&matching.labels, nameless)
    } else {
        LabelKey::ignoring(&matching.labels, nameless)
    }
}

/// Numbers for signatures.
pub(super) struct Signatures<'m> {
    matching: &'m VectorMatching,
    known: HashMap<Labels, usize>,
}

impl<'m> Signatures<'m> {
    pub fn new(matching: &'m VectorMatching) -> Self {
        Self { matching, known: HashMap::new() }
    }

    pub fn of(&mut self, labels: &Labels) -> usize {
        let next = self.known.len();
        *self.known.entry(signature_labels(labels, self.matching)).or_insert(next)
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }
}

/// Operates on two vectors.
pub(crate) fn eval_vectors<'a>(
    context: &'a Context<'a>,
    binary: &'a BinaryExpr,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let lhs = eval_vector(context, &binary.lhs, grid)?;
    let matching = binary.matching.as_ref().unwrap_or(&PLAIN_MATCHING);
    if !context.options.optimise {
        let lhs = lhs.keep(context)?;
        let rhs = eval_vector(context, &binary.rhs, grid)?.keep(context)?;
        return eval_kept(context, binary, matching, (lhs, rhs), grid);
    }
    let rhs = eval_vector(context, &binary.rhs, grid)?;
    match binary.op {
        BinaryOp::And | BinaryOp::Unless => {
            restrict::restrict(context, matching, (lhs, rhs), binary.op == BinaryOp::And, grid)
        }
        BinaryOp::Or => eval_kept(context, binary, matching, (lhs.keep(context)?, rhs.keep(context)?), grid),
        _ if matching.fill_left.is_some() || matching.fill_right.is_some() => {
            eval_kept(context, binary, matching, (lhs.keep(context)?, rhs.keep(context)?), grid)
        }
        _ => join::join(context, binary, matching, (lhs, rhs), grid),
    }
}

/// Matching without a word about it.
static PLAIN_MATCHING: LazyLock<VectorMatching> = LazyLock::new(VectorMatching::default);

/// Operates on two vectors in memory.
pub(super) fn eval_kept<'a>(
    context: &'a Context<'a>,
    binary: &'a BinaryExpr,
    matching: &VectorMatching,
    (lhs, rhs): (Vec<Row>, Vec<Row>),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    if binary.op.is_set() {
        return set::operate(binary.op, lhs, rhs, matching, grid.count).map(Vector::Kept);
    }
    let mut scratch = context.scratch();
    let rows = pair(context, binary, matching, (&lhs, &rhs), grid.count, &mut scratch.annotations)?;
    context.release(&lhs);
    context.release(&rhs);
    Ok(Vector::Kept(rows))
}

/// The rows of one signature on both sides.
#[derive(Default, Clone)]
struct MatchGroup {
    left: Vec<usize>,
    right: Vec<usize>,
}

fn pair(
    context: &Context<'_>,
    binary: &BinaryExpr,
    matching: &VectorMatching,
    (lhs, rhs): (&[Row], &[Row]),
    count: usize,
    notes: &mut Annotations,
) -> Result<Vec<Row>, EvalError> {
    let mut signatures = Signatures::new(matching);
    let mut groups: Vec<MatchGroup> = Vec::new();
    for (rows, is_left) in [(lhs, true), (rhs, false)] {
        for (i, row) in rows.iter().enumerate() {
            let signature = signatures.of(&row.labels);
            if signature == groups.len() {
                groups.push(MatchGroup::default());
            }
            let group = &mut groups[signature];
            if is_left { group.left.push(i) } else { group.right.push(i) }
        }
    }
    // With group_right the right side is the "many" side.
    let many_is_right = matching.cardinality == Cardinality::OneToMany;
    let mut out: Vec<(Row, usize, usize)> = Vec::new();
    for (signature, group) in groups.iter().enumerate() {
        context.cancel.check()?;
        let mut left: Vec<&Row> = group.left.iter().map(|&i| &lhs[i]).collect();
        let mut right: Vec<&Row> = group.right.iter().map(|&i| &rhs[i]).collect();
        let one = if many_is_right { &left } else { &right };
        check_one_side(one, matching, many_is_right, count)?;
        let labels = &left.first().or(right.first()).ok_or_else(|| EvalError::execution("empty match group"))?.labels;
        let left_fill =
            matching.fill_left.and_then(|value| fill::stand_in(labels, matching, value, &right, &left, count));
        let right_fill =
            matching.fill_right.and_then(|value| fill::stand_in(labels, matching, value, &left, &right, count));
        left.extend(left_fill.as_ref());
        right.extend(right_fill.as_ref());
        if matching.cardinality == Cardinality::OneToOne {
            check_one_to_one(&left, &right, count)?;
        }
        for (i, left) in left.iter().enumerate() {
            for (j, right) in right.iter().enumerate() {
                if let Some(row) = combine(context, binary, matching, (left, right), count, notes) {
                    context.hold_row(&row.labels, &row.cells)?;
                    let many = if many_is_right { group.right.get(j) } else { group.left.get(i) };
                    out.push((row, signature, many.copied().unwrap_or(usize::MAX)));
                }
            }
        }
    }
    // In the order of the "many" side; what stands in for missing series comes last.
    out.sort_by_key(|(_, _, many)| *many);
    settle(out, matching)
}

/// Joins the rows of equal labels; two values at one step mean that the matching is ambiguous.
fn settle(rows: Vec<(Row, usize, usize)>, matching: &VectorMatching) -> Result<Vec<Row>, EvalError> {
    if matching.cardinality != Cardinality::OneToOne {
        // Within one match group, the result must be told apart by the labels of the "many" side.
        let mut by_labels: HashMap<(usize, &Labels), Vec<&Row>> = HashMap::with_capacity(rows.len());
        for (row, signature, _) in &rows {
            by_labels.entry((*signature, &row.labels)).or_default().push(row);
        }
        for rows in by_labels.into_values().filter(|rows| rows.len() > 1) {
            if merge_equal(rows.into_iter().cloned().collect()).is_err() {
                return Err(EvalError::execution(
                    "multiple matches for labels: grouping labels must ensure unique matches",
                ));
            }
        }
    }
    merge_equal(rows.into_iter().map(|(row, ..)| row).collect())
}

fn check_one_side(rows: &[&Row], matching: &VectorMatching, one_is_left: bool, count: usize) -> Result<(), EvalError> {
    if rows.len() < 2 {
        return Ok(());
    }
    for step in 0..count {
        let mut present = rows.iter().filter(|row| row.cells.kinds[step] != EMPTY);
        if let (Some(first), Some(second)) = (present.next(), present.next()) {
            let group = shown(&signature_labels(&first.labels, matching));
            let mut both = [shown(&first.labels), shown(&second.labels)];
            both.sort();
            let side = if one_is_left { "left" } else { "right" };
            return Err(EvalError::Execution(format!(
                "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
                 [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                both[0], both[1]
            )));
        }
    }
    Ok(())
}

fn shown(labels: &Labels) -> String {
    labels.to_string()
}

fn check_one_to_one(left: &[&Row], right: &[&Row], count: usize) -> Result<(), EvalError> {
    if left.len() < 2 || right.is_empty() {
        return Ok(());
    }
    for step in 0..count {
        let present = |rows: &[&Row]| rows.iter().filter(|row| row.cells.kinds[step] != EMPTY).count();
        if present(left) > 1 && present(right) > 0 {
            return Err(EvalError::execution(
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            ));
        }
    }
    Ok(())
}

fn combine(
    context: &Context<'_>,
    binary: &BinaryExpr,
    matching: &VectorMatching,
    (left, right): (&Row, &Row),
    count: usize,
    notes: &mut Annotations,
) -> Option<Row> {
    let pos = binary.lhs.pos().to(binary.rhs.pos());
    let mut cells = Cells::empty(count);
    let arithmetic_only = !left.cells.has_histograms() && !right.cells.has_histograms() && changes_quantity(binary.op);
    for step in 0..count {
        if left.cells.kinds[step] == EMPTY || right.cells.kinds[step] == EMPTY {
            continue;
        }
        if arithmetic_only {
            cells.set(step, super::arithmetic(binary.op, left.cells.values[step], right.cells.values[step]));
            continue;
        }
        let (Some(a), Some(b)) = (left.cells.get(step), right.cells.get(step)) else { continue };
        let outcome = operate(binary.op, &a, &b, notes, pos);
        set_outcome(&mut cells, step, outcome, binary.op, binary.return_bool, a);
    }
    if cells.is_blank() {
        return None;
    }
    let (many, one) = if matching.cardinality == Cardinality::OneToMany { (right, left) } else { (left, right) };
    let labels = result_labels(context, binary, matching, (&many.labels, false), &one.labels);
    let drop_name = context.options.delayed_name_removal
        && (binary.return_bool || (many.drop_name && !changes_quantity(binary.op)));
    Some(Row { labels, drop_name, cells })
}

/// Labels of a result; the "many" side may be nameless.
pub(super) fn result_labels(
    context: &Context<'_>,
    binary: &BinaryExpr,
    matching: &VectorMatching,
    (many, nameless): (&Labels, bool),
    one: &Labels,
) -> Labels {
    let listed = |name: &str| matching.labels.iter().any(|l| l == name);
    let one_to_one = matching.cardinality == Cardinality::OneToOne;
    let drops_name = nameless || drops_name(context, binary);
    let keeps = |name: &str| (!drops_name || !is_schema(name)) && (!one_to_one || listed(name) == matching.on);
    let mut included: Vec<(&str, &str)> =
        matching.include.iter().map(|name| (name.as_str(), one.get(name).unwrap_or(""))).collect();
    included.sort_unstable();
    included.dedup();
    with_labels(many, keeps, &included)
}

/// Whether the metric name goes away at once.
pub(super) fn drops_name(context: &Context<'_>, binary: &BinaryExpr) -> bool {
    changes_quantity(binary.op) || (binary.return_bool && !context.options.delayed_name_removal)
}
