//! Pairs the series of two vectors and operates on each pair, step by step.

use super::fill;
use crate::annotations::Annotations;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, Row};
use crate::kernels::grid::Grid;
use crate::operators::binary::arithmetic::{Operation, arithmetic, changes_quantity};
use crate::operators::binary::operate::{Outcome, operate, set_outcome};
use crate::operators::binary::result_labels::{drops_name_late, result_labels};
use crate::operators::binary::signatures::{Signatures, shown, signature_labels};
use crate::rows::context::Context;
use crate::rows::vector::{Vector, in_order_of, merge_equal};
use mytsdb_model::Labels;
use mytsdb_promql_syntax::{Cardinality, VectorMatching};
use std::collections::HashMap;

/// Operates on two vectors in memory.
pub(crate) fn pair<'a>(
    context: &'a Context<'a>,
    binary: &Operation,
    (lhs, rhs): (Vec<Row>, Vec<Row>),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let mut scratch = context.scratch();
    let rows = paired(context, binary, (&lhs, &rhs), grid.count, &mut scratch.annotations)?;
    context.give_back_rows(lhs)?;
    context.give_back_rows(rhs)?;
    Ok(Vector::Kept(rows))
}

/// The rows of one signature on both sides.
#[derive(Default, Clone)]
struct MatchGroup {
    left: Vec<usize>,
    right: Vec<usize>,
}

fn paired(
    context: &Context<'_>,
    binary: &Operation,
    (lhs, rhs): (&[Row], &[Row]),
    count: usize,
    notes: &mut Annotations,
) -> Result<Vec<Row>, EvalError> {
    let matching = binary.matching();
    let mut signatures = Signatures::new(matching);
    let mut groups: Vec<MatchGroup> = Vec::with_capacity(lhs.len() + rhs.len());
    for (rows, is_left) in [(lhs, true), (rhs, false)] {
        let of_rows = signatures.of_all(context, rows)?;
        context.stoppable(|looks| {
            for (i, signature) in of_rows.into_iter().enumerate() {
                looks.before(2)?;
                if signature == groups.len() {
                    groups.push(MatchGroup::default());
                }
                let group = &mut groups[signature];
                if is_left { group.left.push(i) } else { group.right.push(i) }
            }
            Ok(())
        })?;
    }
    // With group_right the right side is the "many" side.
    let many_is_right = matching.cardinality == Cardinality::OneToMany;
    let (many_rows, one_rows) = if many_is_right { (rhs, lhs) } else { (lhs, rhs) };
    let (left_fill, right_fill) = (matching.fill_left, matching.fill_right);
    let (many_fill, one_fill) = if many_is_right { (right_fill, left_fill) } else { (left_fill, right_fill) };
    let fills = many_fill.is_some() || one_fill.is_some();
    let mut possible = possible_steps(context, many_rows, fills, count)?;
    let possible_ones = possible_steps(context, one_rows, fills, count)?;
    possible.iter_mut().zip(possible_ones).for_each(|(possible, one)| *possible &= one);
    let mut duplicate: Option<Duplicate> = None;
    context.stoppable(|looks| {
        for group in &groups {
            let one = if many_is_right { &group.left } else { &group.right };
            looks.before(1 + one.len() / 8)?;
            let found = first_duplicate(one, one_rows, &possible).into_iter();
            duplicate = found.chain(duplicate.take()).min_by_key(|found| (found.step, found.second));
        }
        Ok(())
    })?;
    // The first step at which something is wrong tells; duplicates are found before anything else of a step.
    let mut failure: Option<(usize, &'static str)> = duplicate.as_ref().map(|found| (found.step, ""));
    let mut fail = |step: Option<usize>, message| {
        if let Some(step) = step.filter(|&step| failure.is_none_or(|(before, _)| step < before)) {
            failure = Some((step, message));
        }
    };
    // Of each step only the remark on the last pair is shown.
    let mut remarks: Vec<Option<(usize, Annotations)>> = vec![None; count];
    let mut out: Vec<Row> = Vec::new();
    let mut places: Vec<usize> = Vec::new();
    for group in &groups {
        context.cancel.check()?;
        let (many, one) = if many_is_right { (&group.right, &group.left) } else { (&group.left, &group.right) };
        let mut manies: Vec<&Row> = many.iter().map(|&i| &many_rows[i]).collect();
        let mut ones: Vec<&Row> = one.iter().map(|&i| &one_rows[i]).collect();
        let labels = &manies.first().or(ones.first()).ok_or_else(|| EvalError::execution("empty match group"))?.labels;
        // Matches at each step: samples that cannot be operated on together do not match.
        let mut results = vec![0u32; count];
        let mut taken: HashMap<Labels, Vec<bool>> = HashMap::new();
        let manies_count = manies.len();
        let mut operate_on = |many: &Row, one: &Row, at: usize, results: &mut [u32]| {
            let both = if many_is_right { (one, many) } else { (many, one) };
            let (row, matched) = combine(context, binary, matching, both, count, &mut |step, found| {
                let last = &mut remarks[step];
                if last.as_ref().is_none_or(|(before, _)| *before <= at) {
                    *last = Some((at, found));
                }
            });
            results.iter_mut().zip(&matched).for_each(|(results, &matched)| *results += u32::from(matched));
            if matching.cardinality != Cardinality::OneToOne && manies_count > 1 {
                fail(
                    note_labels(&mut taken, &row.labels, &matched),
                    "multiple matches for labels: grouping labels must ensure unique matches",
                );
            }
            if !row.cells.is_blank() {
                context.hold_row(&row.labels, &row.cells)?;
                out.push(row);
                places.push(at);
            }
            Ok::<(), EvalError>(())
        };
        let stand_in = one_fill.and_then(|value| {
            fill::stand_in(
                labels,
                matching,
                value,
                |step| {
                    ones.iter().all(|row| row.cells.kinds[step] == EMPTY)
                        && manies.iter().any(|row| row.cells.kinds[step] != EMPTY)
                },
                count,
            )
        });
        let real_ones = ones.clone();
        ones.extend(stand_in.as_ref());
        for (&at, many) in many.iter().zip(&manies) {
            for one in &ones {
                operate_on(many, one, at, &mut results)?;
            }
        }
        let stand_in = many_fill.and_then(|value| {
            fill::stand_in(
                labels,
                matching,
                value,
                |step| results[step] == 0 && real_ones.iter().any(|row| row.cells.kinds[step] != EMPTY),
                count,
            )
        });
        manies.clear();
        manies.extend(stand_in.as_ref());
        for many in &manies {
            for one in &real_ones {
                operate_on(many, one, usize::MAX, &mut results)?;
            }
        }
        if matching.cardinality == Cardinality::OneToOne {
            fail(
                results.iter().position(|&results| results > 1),
                "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)",
            );
        }
    }
    match (failure, duplicate) {
        (Some((step, _)), Some(duplicate)) if step == duplicate.step => {
            return Err(duplicate.error(one_rows, matching, many_is_right));
        }
        (Some((_, message)), _) => return Err(EvalError::execution(message)),
        _ => {}
    }
    remarks.into_iter().flatten().for_each(|(_, found)| notes.merge(found));
    // In the order of the "many" side; what stands in for missing series comes last.
    merge_equal(context, in_order_of(context, out, &places)?)
}

/// The steps at which there is something on one side: where that is not so on both sides, nothing is even looked at,
/// unless something may stand in on either of them.
fn possible_steps(context: &Context<'_>, rows: &[Row], fills: bool, count: usize) -> Result<Vec<bool>, EvalError> {
    context.stoppable(|looks| {
        let mut any = vec![fills; count];
        for row in rows {
            looks.before(1 + count / 64)?;
            any.iter_mut().zip(&row.cells.kinds).for_each(|(any, &kind)| *any |= kind != EMPTY);
        }
        Ok(any)
    })
}

/// Two series of the "one" side that match the same.
struct Duplicate {
    step: usize,
    first: usize,
    second: usize,
}

/// The first step, and the first rows there, at which more than one of `rows` is present.
fn first_duplicate(rows: &[usize], all: &[Row], possible: &[bool]) -> Option<Duplicate> {
    if rows.len() < 2 {
        return None;
    }
    (0..possible.len()).filter(|&step| possible[step]).find_map(|step| {
        let mut present = rows.iter().copied().filter(|&row| all[row].cells.kinds[step] != EMPTY);
        Some(Duplicate { step, first: present.next()?, second: present.next()? })
    })
}

impl Duplicate {
    fn error(&self, rows: &[Row], matching: &VectorMatching, one_is_left: bool) -> EvalError {
        let (first, second) = (&rows[self.first].labels, &rows[self.second].labels);
        let group = shown(&signature_labels(first, matching));
        let mut both = [shown(first), shown(second)];
        both.sort();
        let side = if one_is_left { "left" } else { "right" };
        EvalError::Execution(format!(
            "found duplicate series for the match group {group} on the {side} hand-side of the operation: \
             [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
            both[0], both[1]
        ))
    }
}

/// Within one match group, the results must be told apart by the labels of the "many" side: the first step at which they
/// are not.
fn note_labels(taken: &mut HashMap<Labels, Vec<bool>>, labels: &Labels, matched: &[bool]) -> Option<usize> {
    let Some(known) = taken.get_mut(labels) else {
        taken.insert(labels.clone(), matched.to_vec());
        return None;
    };
    let mut again = None;
    for (step, (known, &matched)) in known.iter_mut().zip(matched).enumerate() {
        if matched && std::mem::replace(known, true) {
            again = again.or(Some(step));
        }
    }
    again
}

/// The results of two rows, and the steps at which there is something to operate on, whatever comes out.
fn combine(
    context: &Context<'_>,
    binary: &Operation,
    matching: &VectorMatching,
    (left, right): (&Row, &Row),
    count: usize,
    remark: &mut dyn FnMut(usize, Annotations),
) -> (Row, Vec<bool>) {
    let pos = binary.pos;
    let mut cells = Cells::empty(count);
    let mut matched = vec![false; count];
    let arithmetic_only = !left.cells.has_histograms() && !right.cells.has_histograms() && changes_quantity(binary.op);
    for (step, matched) in matched.iter_mut().enumerate() {
        if left.cells.kinds[step] == EMPTY || right.cells.kinds[step] == EMPTY {
            continue;
        }
        if arithmetic_only {
            cells.set(step, arithmetic(binary.op, left.cells.values[step], right.cells.values[step]));
            *matched = true;
            continue;
        }
        let (Some(a), Some(b)) = (left.cells.get(step), right.cells.get(step)) else { continue };
        let mut found = Annotations::default();
        let outcome = operate(binary.op, &a, &b, &mut found, pos);
        if !found.is_empty() {
            remark(step, found);
        }
        *matched = !matches!(outcome, Outcome::Undefined);
        set_outcome(&mut cells, step, outcome, binary.op, binary.return_bool, a);
    }
    let (many, one) = if matching.cardinality == Cardinality::OneToMany { (right, left) } else { (left, right) };
    let labels = result_labels(context, binary, matching, (&many.labels, false), &one.labels);
    (Row { labels, drop_name: drops_name_late(context, binary), cells }, matched)
}
