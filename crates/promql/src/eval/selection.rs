//! Aggregations that choose series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use super::aggregate::Groups;
use super::best;
use super::cells::{EMPTY, FLOAT, HISTOGRAM, Row};
use super::context::Context;
use super::expr::{Scalar, eval_scalar, eval_vector};
use super::functions::go_max;
use super::grid::Grid;
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

fn input<'a>(context: &'a Context<'a>, aggregate: &'a AggregateExpr, grid: Grid) -> Result<Input, EvalError> {
    let param = parameter(context, aggregate, grid)?;
    kept_input(context, aggregate, grid, param)
}

fn kept_input<'a>(
    context: &'a Context<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
    param: Scalar,
) -> Result<Input, EvalError> {
    let rows = eval_vector(context, &aggregate.expr, grid)?.keep(context)?;
    let vector = Vector::Kept(rows);
    let groups = Groups::new(&vector, aggregate);
    let mut members: Vec<Vec<usize>> = vec![Vec::new(); groups.labels.len()];
    groups.of_row.iter().enumerate().for_each(|(row, &group)| members[group].push(row));
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

pub(super) fn limitk<'a>(
    context: &'a Context<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let Input { rows, members, param } = input(context, aggregate, grid)?;
    let counts = counts(&param, grid)?;
    let mut keep = vec![vec![false; grid.count]; rows.len()];
    for members in &members {
        for (step, &count) in counts.iter().enumerate() {
            let present = members.iter().filter(|&&row| rows[row].cells.kinds[step] != EMPTY);
            for &row in present.take(count) {
                keep[row][step] = true;
            }
        }
    }
    Ok(Vector::Kept(chosen(rows, &keep)))
}

/// Where a series stands between 0 and 1, the same in every query: its hash.
fn position(labels: &Labels) -> f64 {
    xxhash_rust::xxh64::xxh64(labels.as_bytes(), 0) as f64 / u64::MAX as f64
}

pub(super) fn limit_ratio<'a>(
    context: &'a Context<'a>,
    aggregate: &'a AggregateExpr,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let Input { rows, param, .. } = input(context, aggregate, grid)?;
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
    let keep: Vec<Vec<bool>> = rows
        .iter()
        .map(|row| {
            let at = position(&row.labels);
            // A negative ratio is the complement of the positive one that is 1 larger.
            ratios.iter().map(|&r| if r >= 0.0 { at < r || r == 1.0 } else { at >= 1.0 + r }).collect()
        })
        .collect();
    Ok(Vector::Kept(chosen(rows, &keep)))
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
}
