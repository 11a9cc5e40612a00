//! Aggregations that choose series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use super::best;
use super::cells::{Cells, EMPTY, FLOAT, HISTOGRAM, Row};
use super::context::Context;
use super::expr::{Scalar, eval_scalar, eval_vector};
use super::functions::go_max;
use super::grid::Grid;
use super::groups::Groups;
use super::remarks;
use super::rows::Vector;
use crate::ast::{AggregateExpr, AggregateOp};
use crate::error::EvalError;
use mytsdb_model::Labels;

struct Input {
    rows: Vec<Row>,
    members: Vec<Vec<usize>>,
    param: Scalar,
}

fn parameter<'a>(context: &'a Context<'a>, aggregate: &'a AggregateExpr, grid: Grid) -> Result<Scalar, EvalError> {
    let param = aggregate.param.as_ref().ok_or_else(|| EvalError::execution("aggregation needs a parameter"))?;
    eval_scalar(context, param, grid)
}

fn kept_input<'a>(
    context: &'a Context<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
    param: Scalar,
) -> Result<Input, EvalError> {
    let rows = eval_vector(context, &aggregate.expr, grid)?.keep(context)?;
    let vector = Vector::Kept(rows);
    let members = Groups::new(context, &vector, aggregate)?.members();
    let Vector::Kept(rows) = vector else { return Err(EvalError::execution("rows are kept")) };
    Ok(Input { rows, members, param })
}

/// The integer parameter of each step.
fn counts(param: &Scalar, grid: Grid) -> Result<Vec<usize>, EvalError> {
    let all = param.distinct(grid.count);
    let largest = all.iter().copied().fold(f64::NEG_INFINITY, go_max);
    if all.iter().any(|v| v.is_nan()) {
        return Err(EvalError::execution("Parameter value is NaN"));
    }
    let smallest = all.iter().copied().fold(f64::INFINITY, f64::min);
    if largest >= 9_223_372_036_854_775_807.0 {
        return Err(EvalError::Execution(format!(
            "Scalar value {} overflows int64",
            crate::number_text::format_general(largest)
        )));
    }
    if smallest <= -9_223_372_036_854_775_808.0 {
        return Err(EvalError::Execution(format!(
            "Scalar value {} underflows int64",
            crate::number_text::format_general(smallest)
        )));
    }
    Ok((0..grid.count).map(|i| param.at(i).max(0.0) as usize).collect())
}

/// The rows with only the chosen cells; rows without any go away.
fn chosen(rows: Vec<Row>, keep: &[Vec<bool>]) -> Vec<Row> {
    let mut out = Vec::new();
    for (mut row, keep) in rows.into_iter().zip(keep) {
        for (i, &keep) in keep.iter().enumerate() {
            if !keep {
                row.cells.clear(i);
            }
        }
        if !row.cells.is_blank() {
            out.push(row);
        }
    }
    out
}

/// More than this are chosen from kept rows: a sorted array a step is too slow for them.
const STREAMED_COUNT_MAX: f64 = 65.0;

pub(super) fn topk<'a>(
    context: &'a Context<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let top = aggregate.op == AggregateOp::Topk;
    let param = parameter(context, aggregate, grid)?;
    if context.options.optimise
        && let Scalar::Constant(count) = param
        && (1.0..STREAMED_COUNT_MAX).contains(&count)
    {
        return best::stream(context, aggregate, grid, count as usize);
    }
    let Input { mut rows, members, param } = kept_input(context, aggregate, grid, param)?;
    let counts = counts(&param, grid)?;
    let mut keep = vec![vec![false; grid.count]; rows.len()];
    let mut ranked: Vec<(f64, usize)> = Vec::new();
    let mut order = Vec::new();
    let mut ignored = false;
    for members in &members {
        for step in 0..grid.count {
            ranked.clear();
            for &row in members {
                match rows[row].cells.kinds[step] {
                    FLOAT if counts[step] > 0 => ranked.push((rows[row].cells.values[step], row)),
                    HISTOGRAM if counts[step] > 0 => ignored = true,
                    _ => {}
                }
            }
            // Stable: of equal values the earlier series stay.
            ranked.sort_by(|a, b| super::functions::nan_last(a.0, b.0, top));
            ranked.truncate(counts[step]);
            for &(_, row) in &ranked {
                keep[row][step] = true;
            }
            if grid.count == 1 {
                order.extend(ranked.iter().map(|&(_, row)| row));
            }
        }
    }
    if ignored {
        context.annotate(|a| remarks::ignored_in_aggregation(a, aggregate.op.as_str(), aggregate.expr.pos()));
    }
    if grid.count == 1 {
        let mut slots: Vec<Option<Row>> = rows.drain(..).map(Some).collect();
        return Ok(Vector::Kept(order.into_iter().filter_map(|row| slots[row].take()).collect()));
    }
    Ok(Vector::Kept(chosen(rows, &keep)))
}

/// Clears the cells of a row for which `keep` does not hold, and adds the row to `out` if any is left.
fn keep_some(
    context: &Context<'_>,
    out: &mut Vec<Row>,
    (vector, row): (&Vector<'_>, usize),
    cells: &mut Cells,
    mut keep: impl FnMut(usize) -> bool,
) -> Result<(), EvalError> {
    for step in 0..cells.len() {
        if cells.kinds[step] != EMPTY && !keep(step) {
            cells.clear(step);
        }
    }
    if !cells.is_blank() {
        context.hold(cells.weight())?;
        out.push(Row { labels: vector.labels(row), drop_name: vector.drop_name(row), cells: std::mem::take(cells) });
    }
    Ok(())
}

pub(super) fn limitk<'a>(
    context: &'a Context<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let param = parameter(context, aggregate, grid)?;
    let vector = eval_vector(context, &aggregate.expr, grid)?;
    let groups = Groups::new(context, &vector, aggregate)?;
    let counts = counts(&param, grid)?;
    context.hold((groups.len() * grid.count) as u64)?;
    let mut taken = vec![0usize; groups.len() * grid.count];
    let mut out = Vec::new();
    vector.each(context, |row, cells, _| {
        let taken = &mut taken[groups.of_row[row] as usize * grid.count..][..grid.count];
        keep_some(context, &mut out, (&vector, row), cells, |step| {
            taken[step] += 1;
            taken[step] <= counts[step]
        })
    })?;
    Ok(Vector::Kept(out))
}

/// Where a series stands between 0 and 1, the same in every query: as Prometheus, by the XXH64 of its labels, each name
/// and value behind its length, which is one byte, or 255 and three bytes if that is not below 255.
fn position(labels: &Labels) -> f64 {
    let mut bytes = Vec::with_capacity(labels.as_bytes().len() + 16);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < u8::MAX => bytes.push(length),
            _ => {
                bytes.push(u8::MAX);
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes()[..3]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0) as f64 / u64::MAX as f64
}

pub(super) fn limit_ratio<'a>(
    context: &'a Context<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let param = parameter(context, aggregate, grid)?;
    let vector = eval_vector(context, &aggregate.expr, grid)?;
    let mut ratios = Vec::with_capacity(grid.count);
    for step in 0..grid.count {
        let ratio = param.at(step);
        if ratio.is_nan() {
            return Err(EvalError::execution("Ratio value is NaN"));
        }
        let capped = ratio.clamp(-1.0, 1.0);
        if capped != ratio {
            let pos = aggregate.param.as_ref().map_or(aggregate.pos, crate::ast::Expr::pos);
            context.annotate(|a| remarks::invalid_ratio(a, ratio, capped, pos));
        }
        ratios.push(capped);
    }
    let mut out = Vec::new();
    let position = |row: usize, _: &mut Cells| position(&vector.labels(row));
    vector.each_tagged(context, position, |row, at, cells, _| {
        // A negative ratio is the complement of the positive one that is 1 larger.
        let keeps = |r: f64| if r >= 0.0 { at < r || r == 1.0 } else { at >= 1.0 + r };
        keep_some(context, &mut out, (&vector, row), cells, |step| keeps(ratios[step]))
    })?;
    Ok(Vector::Kept(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complementary_ratios_split_the_series() {
        for i in 0..100 {
            let labels = Labels::from_pairs([("i", i.to_string())]);
            let at = position(&labels);
            assert!((0.0..=1.0).contains(&at));
            assert!((at < 0.3) != (at >= 1.0 + -0.7), "{at}");
        }
    }

    #[test]
    fn positions_are_those_of_prometheus() {
        // Found by bisection: the ratio from which on Prometheus 3.15 picks the series.
        for (letter, length, at) in [
            ("a", 1, 0.49298),
            ("a", 20, 0.14075),
            ("b", 130, 0.22394),
            ("a", 254, 0.79272),
            ("a", 255, 0.84106),
            ("b", 300, 0.98389),
        ] {
            let labels = Labels::from_pairs([("b", "zz"), ("l", &letter.repeat(length))]);
            assert!((position(&labels) - at).abs() < 1e-4, "{letter} {length}");
        }
    }
}
