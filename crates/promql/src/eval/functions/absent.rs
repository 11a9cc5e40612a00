//! `absent` and `absent_over_time`: a sample where there is none.

use crate::error::EvalError;
use crate::eval::cells::{Cell, Cells, EMPTY, Row};
use crate::eval::context::Context;
use crate::eval::expr::eval_vector;
use crate::eval::grid::Grid;
use crate::eval::rows::Vector;
use crate::eval::selector::range_vector;
use crate::eval::window::Remarks;
use crate::names::is_schema;
use mytsdb_model::{Labels, LabelsBuilder, MatchOp, Matcher};
use mytsdb_promql_syntax::{Call, Expr};

/// Labels that the absent series would surely have: those with exactly one matcher, an equality. What describes the
/// metric is none of them.
fn absent_labels(expr: &Expr) -> Labels {
    let matchers: &[Matcher] = match expr {
        Expr::Vector(selector) => &selector.matchers,
        Expr::Matrix(matrix) => &matrix.selector.matchers,
        _ => &[],
    };
    let mut labels = LabelsBuilder::new();
    let mut seen: Vec<&str> = Vec::new();
    for matcher in matchers.iter().filter(|m| !is_schema(m.name())) {
        if matcher.op() == MatchOp::Equal && !seen.contains(&matcher.name()) {
            labels.set(matcher.name(), matcher.value());
            seen.push(matcher.name());
        } else {
            labels.remove(matcher.name());
        }
    }
    labels.build()
}

fn row(expr: &Expr, present: &[bool]) -> Vector<'static> {
    let mut cells = Cells::empty(present.len());
    for (i, &present) in present.iter().enumerate() {
        if !present {
            cells.set(i, 1.0);
        }
    }
    Vector::Kept(vec![Row { labels: absent_labels(expr), drop_name: false, cells }])
}

pub(super) fn absent<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let mut present = vec![false; grid.count];
    eval_vector(context, &call.args[0], grid)?.each(context, |_, cells, _| {
        present.iter_mut().zip(&cells.kinds).for_each(|(p, &kind)| *p |= kind != EMPTY);
        Ok(())
    })?;
    Ok(row(call.args[0].unwrap_parens(), &present))
}

pub(super) fn absent_over_time<'a>(
    context: &'a Context<'a>,
    call: &'a Call,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let vector = range_vector(context, &call.args[0], grid)?;
    let mut present = vec![false; grid.count];
    let mut scratch = context.scratch();
    let mut cells = Cells::default();
    for index in 0..vector.samples.len() {
        context.cancel.check()?;
        let mut columns = scratch.take_columns();
        vector.samples.read(index, &mut scratch, &mut columns)?;
        let mut remarks =
            Remarks { annotations: &mut scratch.annotations, metric: "", pos: vector.pos, told_by: vector.told_by };
        vector.run(&columns, &mut cells, &mut remarks, false, |_, _| Some(Cell::Float(1.0)));
        present.iter_mut().zip(&cells.kinds).for_each(|(p, &kind)| *p |= kind != EMPTY);
        scratch.give_columns(columns);
    }
    Ok(row(call.args[0].unwrap_parens(), &present))
}
