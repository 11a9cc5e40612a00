//! Function calls: each is mapped to the rows that compute it.

mod absent;
mod columns;
mod date;
pub(crate) mod extended;
mod histogram;
mod histogram_quantile;
mod info;
mod integral;
mod label;
mod math;
pub(crate) mod over_time;
pub(crate) mod range;
mod rate;
mod sliding;
mod sort;

pub(crate) use columns::KnownFactor;
pub(crate) use math::{go_max, go_min};

use super::cells::{Cells, FLOAT, Row};
use super::context::Context;
use super::expr::{Scalar, eval_scalar, eval_vector, map_rows};
use super::grid::Grid;
use super::groups::unique_without_names;
use super::rows::{Vector, merge_equal};
use super::selector::{SampleField, select_instant};
use crate::error::EvalError;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::{Call, Expr};
use std::collections::HashSet;

/// Where names are dropped at once, joins the rows of `vector` that became equal, if it is `nameless`.
pub(crate) fn settle_names<'a>(context: &Context<'a>, vector: Vector<'a>) -> Result<Vector<'a>, EvalError> {
    if context.options.delayed_name_removal {
        return Ok(vector);
    }
    let unique = if context.options.optimise {
        unique_without_names(context, &vector)?
    } else {
        let mut seen = HashSet::with_capacity(vector.len());
        (0..vector.len()).all(|i| seen.insert(vector.labels(i)))
    };
    if unique { Ok(vector) } else { Ok(Vector::Kept(merge_equal(context, vector.keep(context)?)?)) }
}

/// Evaluates a call that gives a scalar.
pub(crate) fn eval_scalar_call<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Scalar, EvalError> {
    let seconds = |ms: i64| Scalar::Constant(ms as f64 / 1000.0);
    Ok(match call.function.name {
        "pi" => Scalar::Constant(std::f64::consts::PI),
        "time" => Scalar::Steps((0..grid.count).map(|i| grid.time(i) as f64 / 1000.0).collect()),
        "start" => seconds(context.query_start_ms),
        "end" => seconds(context.query_end_ms),
        "step" => seconds(context.query_step_ms),
        "range" => seconds(context.query_end_ms - context.query_start_ms),
        "max_of" | "min_of" => {
            let (a, b) = (eval_scalar(context, &call.args[0], grid)?, eval_scalar(context, &call.args[1], grid)?);
            a.zip(&b, grid.count, if call.function.name == "max_of" { go_max } else { go_min })
        }
        "scalar" => {
            let mut values = vec![f64::NAN; grid.count];
            let mut seen = vec![0u8; grid.count];
            eval_vector(context, &call.args[0], grid)?.each(context, |_, cells, _| {
                for i in 0..cells.len() {
                    // Histograms do not count.
                    if cells.kinds[i] != FLOAT {
                        continue;
                    }
                    seen[i] = seen[i].saturating_add(1);
                    values[i] = if seen[i] == 1 { cells.values[i] } else { f64::NAN };
                }
                Ok(())
            })?;
            Scalar::Steps(values)
        }
        _ => return Err(EvalError::Unsupported(call.function.name)),
    })
}

/// Evaluates a call that gives an instant vector.
pub(crate) fn eval_call<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    if let Some(rows) = range::eval_range_function(context, call, grid)? {
        return Ok(rows);
    }
    let name = call.function.name;
    if let Some(f) = math::elementwise(name) {
        let vector = eval_vector(context, &call.args[0], grid)?;
        return map_rows(context, vector, true, move |cells, _, _| {
            cells.drop_histograms();
            for value in &mut cells.values {
                *value = f(*value);
            }
        });
    }
    if let Some(f) = date::field(name) {
        let Some(arg) = call.args.first() else {
            let mut cells = Cells::empty(grid.count);
            (0..grid.count).for_each(|i| cells.set(i, f(grid.time(i) as f64 / 1000.0)));
            return Ok(Vector::Kept(vec![Row { labels: Labels::empty(), drop_name: false, cells }]));
        };
        let vector = eval_vector(context, arg, grid)?;
        return map_rows(context, vector, true, move |cells, _, _| {
            cells.drop_histograms();
            for value in &mut cells.values {
                *value = f(*value);
            }
        });
    }
    if let Some(f) = histogram::summary(name) {
        let vector = eval_vector(context, &call.args[0], grid)?;
        return map_rows(context, vector, true, move |cells, _, _| histogram::summarise(cells, f));
    }
    match name {
        "absent" => absent::absent(context, call, grid),
        "absent_over_time" => absent::absent_over_time(context, call, grid),
        "clamp" | "clamp_max" | "clamp_min" | "round" => math::bounded(context, call, grid),
        "histogram_fraction" => histogram_quantile::fraction(context, call, grid),
        "histogram_quantile" => histogram_quantile::quantile(context, call, grid),
        "histogram_quantiles" => histogram_quantile::quantiles(context, call, grid),
        "info" => info::info(context, call, grid),
        "label_join" => label::join(context, call, grid),
        "label_replace" => label::replace(context, call, grid),
        "sort" | "sort_desc" => sort::by_value(context, call, grid),
        "sort_by_label" | "sort_by_label_desc" => sort::by_label(context, call, grid),
        "start_timestamp" => match call.args[0].unwrap_parens() {
            Expr::Vector(selector) => sample_field(context, selector, grid, SampleField::StartTimestamp),
            other => {
                eval_vector(context, other, grid)?.each(context, |_, _, _| Ok(()))?;
                Ok(Vector::none())
            }
        },
        "timestamp" => {
            if let Expr::Vector(selector) = call.args[0].unwrap_parens() {
                sample_field(context, selector, grid, SampleField::Timestamp)
            } else {
                let vector = eval_vector(context, &call.args[0], grid)?;
                map_rows(context, vector, true, move |cells, _, _| {
                    for i in 0..cells.len() {
                        if cells.kinds[i] != super::cells::EMPTY {
                            cells.set(i, grid.time(i) as f64 / 1000.0);
                        }
                    }
                    cells.histograms.clear();
                })
            }
        }
        "vector" => {
            let scalar = eval_scalar(context, &call.args[0], grid)?;
            let mut cells = Cells::empty(grid.count);
            (0..grid.count).for_each(|i| cells.set(i, scalar.at(i)));
            Ok(Vector::Kept(vec![Row { labels: Labels::empty(), drop_name: false, cells }]))
        }
        _ => Err(EvalError::Unsupported(name)),
    }
}

fn sample_field<'a>(
    context: &'a Context<'a>,
    selector: &mytsdb_promql_syntax::VectorSelector,
    grid: Grid,
    field: SampleField,
) -> Result<Vector<'a>, EvalError> {
    let rows = select_instant(context, selector, grid, field, Some("timestamp"))?;
    map_rows(context, rows, true, |_, _, _| {})
}

/// The text of a string argument.
pub(super) fn string_arg(expr: &Expr) -> Result<&[u8], EvalError> {
    match expr.unwrap_parens() {
        Expr::String(text) => Ok(&text.value),
        _ => Err(EvalError::execution("expected a string literal")),
    }
}
