//! Rows whose cells are changed one by one as they are read.

use super::groups::unique_without_names;
use super::reference::groups::differ_without_names;
use crate::error::EvalError;
use crate::kernels::cells::Cells;
use crate::options::Kernels;
use crate::rows::context::{Context, Scratch};
use crate::rows::vector::{Rows, Vector, merge_equal};
use mytsdb_histogram::CounterResetHint;
use mytsdb_model::Labels;
use std::sync::Arc;

struct MappedRows<'a, F> {
    inner: Vector<'a>,
    drops_name: bool,
    /// Names are dropped at the end of the evaluation.
    delayed: bool,
    f: F,
}

impl<F: Fn(&mut Cells, &mut Scratch<'_>, usize) + Sync> Rows for MappedRows<'_, F> {
    fn give_back(self: Box<Self>, context: &Context<'_>) -> Result<(), EvalError> {
        self.inner.give_back(context)
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn steps(&self) -> usize {
        self.inner.steps()
    }

    fn height(&self) -> usize {
        1 + self.inner.height()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.source_labels(index)
    }

    fn nameless(&self) -> bool {
        self.inner.nameless() || (self.drops_name && !self.delayed)
    }

    fn same_schema(&self) -> bool {
        self.inner.same_schema()
    }

    fn drop_name(&self, index: usize) -> bool {
        if self.drops_name { self.delayed } else { self.inner.drop_name(index) }
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        self.inner.read(index, scratch, out)?;
        (self.f)(out, scratch, index);
        Ok(())
    }
}

/// Applies `f` to the cells of every row; `drops_name` says whether the metric name survives.
pub(crate) fn map_rows<'a>(
    context: &'a Context<'a>,
    inner: Vector<'a>,
    drops_name: bool,
    f: impl Fn(&mut Cells, &mut Scratch<'_>, usize) + Sync + 'a,
) -> Result<Vector<'a>, EvalError> {
    // Rows that had no names before were told apart without.
    let settled = !drops_name || inner.nameless();
    let delayed = context.options.delayed_name_removal;
    let rows = Vector::Lazy(Box::new(MappedRows { inner, drops_name, delayed, f }));
    if settled { Ok(rows) } else { settle_names(context, rows) }
}

/// Changes the sign of every cell.
pub(crate) fn negated(cells: &mut Cells) {
    for value in &mut cells.values {
        *value = -*value;
    }
    for histogram in cells.histograms.iter_mut().flatten() {
        let negated = Arc::make_mut(histogram);
        negated.mul(-1.0);
        negated.counter_reset_hint = CounterResetHint::Gauge;
    }
}

/// Where names are dropped at once, joins the rows of `vector` that became equal, if it is `nameless`.
pub(crate) fn settle_names<'a>(context: &Context<'a>, vector: Vector<'a>) -> Result<Vector<'a>, EvalError> {
    if context.options.delayed_name_removal {
        return Ok(vector);
    }
    let unique = match context.kernels {
        Kernels::Columnar => unique_without_names(context, &vector)?,
        Kernels::Reference => differ_without_names(&vector),
    };
    if unique { Ok(vector) } else { Ok(Vector::Kept(merge_equal(context, vector.keep(context)?)?)) }
}
