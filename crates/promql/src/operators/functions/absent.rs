//! `absent` and `absent_over_time`: a sample where there is none.

use crate::error::EvalError;
use crate::kernels::cells::{Cell, Cells, EMPTY, Row};
use crate::kernels::grid::Grid;
use crate::kernels::window::Remarks;
use crate::names::is_schema;
use crate::rows::context::Context;
use crate::rows::range_vector::RangeVector;
use crate::rows::vector::Vector;
use mytsdb_model::{Labels, LabelsBuilder, MatchOp, Matcher};

/// Labels that the absent series would surely have: those with exactly one matcher, an equality. What describes the
/// metric is none of them.
fn absent_labels(matchers: &[Matcher]) -> Labels {
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

fn row(matchers: &[Matcher], present: &[bool]) -> Vector<'static> {
    let mut cells = Cells::empty(present.len());
    for (i, &present) in present.iter().enumerate() {
        if !present {
            cells.set(i, 1.0);
        }
    }
    Vector::Kept(vec![Row { labels: absent_labels(matchers), drop_name: false, cells }])
}

/// `absent(vector)`; `matchers` are those of the selector that the vector comes from.
pub(crate) fn absent<'a>(
    context: &'a Context<'a>,
    vector: &Vector<'a>,
    matchers: &[Matcher],
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let mut present = vec![false; grid.count];
    vector.each(context, |_, cells, _| {
        present.iter_mut().zip(&cells.kinds).for_each(|(p, &kind)| *p |= kind != EMPTY);
        Ok(())
    })?;
    Ok(row(matchers, &present))
}

/// `absent_over_time(vector)`; `matchers` are those of the selector that the vector comes from.
pub(crate) fn absent_over_time<'a>(
    context: &'a Context<'a>,
    vector: &RangeVector<'a>,
    matchers: &[Matcher],
) -> Result<Vector<'a>, EvalError> {
    let mut present = vec![false; vector.grid.count];
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
    Ok(row(matchers, &present))
}
