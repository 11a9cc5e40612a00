//! Vectors as rows that are computed when somebody reads them, or kept in memory.

use super::cells::{Cells, Row};
use super::context::{Context, Scratch};
use super::workers;
use crate::error::EvalError;
use mytsdb_model::Labels;
use std::collections::HashMap;

/// Series whose cells are computed on demand; reading one does not touch the others.
pub(crate) trait Rows: Sync {
    fn len(&self) -> usize;
    fn labels(&self, index: usize) -> &Labels;
    fn drop_name(&self, index: usize) -> bool;
    /// Fills `out`, whatever it held, with the cells of row `index`.
    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError>;
}

/// An instant vector over a grid.
pub(crate) enum Vector<'a> {
    Lazy(Box<dyn Rows + 'a>),
    Kept(Vec<Row>),
}

impl<'a> Vector<'a> {
    pub const fn none() -> Self {
        Vector::Kept(Vec::new())
    }

    pub fn len(&self) -> usize {
        match self {
            Vector::Lazy(rows) => rows.len(),
            Vector::Kept(rows) => rows.len(),
        }
    }

    pub fn labels(&self, index: usize) -> &Labels {
        match self {
            Vector::Lazy(rows) => rows.labels(index),
            Vector::Kept(rows) => &rows[index].labels,
        }
    }

    pub fn drop_name(&self, index: usize) -> bool {
        match self {
            Vector::Lazy(rows) => rows.drop_name(index),
            Vector::Kept(rows) => rows[index].drop_name,
        }
    }

    pub fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        match self {
            Vector::Lazy(rows) => rows.read(index, scratch, out),
            Vector::Kept(rows) => {
                out.clone_from(&rows[index].cells);
                Ok(())
            }
        }
    }

    /// All rows that hold anything, in memory.
    pub fn keep(self, context: &Context<'a>) -> Result<Vec<Row>, EvalError> {
        if let Vector::Kept(mut rows) = self {
            rows.retain(|row| !row.cells.is_blank());
            return Ok(rows);
        }
        let mut out = Vec::new();
        self.each(context, |index, cells, _| {
            if !cells.is_blank() {
                context.hold(cells.weight())?;
                let (labels, drop_name) = (self.labels(index).clone(), self.drop_name(index));
                out.push(Row { labels, drop_name, cells: std::mem::take(cells) });
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// Calls `fold` with every row in order; the cells may be changed or taken.
    ///
    /// With more than one thread, rows are computed in parallel and folded in order nevertheless, so the result does not
    /// depend on the number of threads.
    pub fn each(
        &self,
        context: &Context<'a>,
        mut fold: impl FnMut(usize, &mut Cells, &mut Scratch<'_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        let threads = context.threads();
        if threads < 2 || self.len() < PARALLEL_ROWS_MIN || matches!(self, Vector::Kept(_)) {
            let mut scratch = context.scratch();
            let mut cells = Cells::default();
            for index in 0..self.len() {
                context.cancel.check()?;
                self.read(index, &mut scratch, &mut cells)?;
                fold(index, &mut cells, &mut scratch)?;
            }
            return Ok(());
        }
        workers::fold_in_order(context, self, threads, fold)
    }
}

/// Fewer rows are not worth a thread.
const PARALLEL_ROWS_MIN: usize = 64;

/// Joins rows of equal labels whose cells do not overlap.
///
/// # Errors
/// Two rows with equal labels that have a value at the same step.
pub(crate) fn merge_equal(rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    let mut seen: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut out: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match seen.get(&row.labels) {
            None => {
                seen.insert(row.labels.clone(), out.len());
                out.push(row);
            }
            Some(&at) => {
                if !out[at].cells.merge(&row.cells) {
                    return Err(same_labelset());
                }
                out[at].drop_name |= row.drop_name;
            }
        }
    }
    Ok(out)
}

pub(crate) fn same_labelset() -> EvalError {
    EvalError::execution("vector cannot contain metrics with the same labelset")
}
