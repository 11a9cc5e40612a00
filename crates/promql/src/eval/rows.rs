//! Vectors as rows that are computed when somebody reads them, or kept in memory.

use super::cells::{Cells, Row};
use super::context::{Context, Scratch, drop_schema};
use super::workers;
use crate::error::EvalError;
use crate::storage::SeriesSet;
use mytsdb_model::Labels;
use std::cmp::Ordering;
use std::collections::HashMap;

/// Series whose cells are computed on demand; reading one does not touch the others.
pub(crate) trait Rows: Sync {
    fn len(&self) -> usize;
    /// Steps of each row.
    fn steps(&self) -> usize;
    /// Labels of row `index`, without those that describe the metric if the rows are [`Rows::nameless`].
    fn labels(&self, index: usize) -> &Labels;
    /// The labels that describe the metric are gone, although [`Rows::labels`] may have them.
    fn nameless(&self) -> bool {
        false
    }
    /// All rows have the same metric name, and none has another label that describes the metric: without these labels
    /// the rows still differ. `false` if that is not known.
    fn same_schema(&self) -> bool {
        false
    }
    /// The selection whose series are the rows, one by one, if there is one.
    fn series_set(&self) -> Option<&dyn SeriesSet> {
        None
    }
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

    /// Steps of each row; 0 if there are none.
    pub fn steps(&self) -> usize {
        match self {
            Vector::Lazy(rows) => rows.steps(),
            Vector::Kept(rows) => rows.first().map_or(0, |row| row.cells.len()),
        }
    }

    /// Labels of row `index`; if the rows are [`Vector::nameless`], some may have to go yet.
    pub fn source_labels(&self, index: usize) -> &Labels {
        match self {
            Vector::Lazy(rows) => rows.labels(index),
            Vector::Kept(rows) => &rows[index].labels,
        }
    }

    /// The labels that describe the metric are gone, although [`Vector::source_labels`] may have them.
    pub fn nameless(&self) -> bool {
        match self {
            Vector::Lazy(rows) => rows.nameless(),
            Vector::Kept(_) => false,
        }
    }

    /// [`Rows::same_schema`].
    pub fn same_schema(&self) -> bool {
        match self {
            Vector::Lazy(rows) => rows.same_schema(),
            Vector::Kept(_) => false,
        }
    }

    /// [`Rows::series_set`].
    pub fn series_set(&self) -> Option<&dyn SeriesSet> {
        match self {
            Vector::Lazy(rows) => rows.series_set(),
            Vector::Kept(_) => None,
        }
    }

    /// Labels of row `index`. Cost: a new label set if the rows are nameless.
    pub fn labels(&self, index: usize) -> Labels {
        let labels = self.source_labels(index);
        if self.nameless() { drop_schema(labels) } else { labels.clone() }
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
        Ok(self.keep_placed(context)?.0)
    }

    /// The same, and where in the vector each of them stood.
    pub fn keep_placed(self, context: &Context<'a>) -> Result<(Vec<Row>, Vec<usize>), EvalError> {
        let (mut rows, mut places) = (Vec::new(), Vec::new());
        let mut add = |index: usize, row: Row| {
            places.push(index);
            rows.push(row);
        };
        if let Vector::Kept(all) = self {
            let filled = all.into_iter().enumerate().filter(|(_, row)| !row.cells.is_blank());
            filled.for_each(|(index, row)| add(index, row));
            return Ok((rows, places));
        }
        let labels = |index: usize, cells: &mut Cells| (!cells.is_blank()).then(|| self.labels(index));
        self.each_tagged(context, labels, |index, labels, cells, _| {
            if let Some(labels) = labels {
                context.hold_row(&labels, cells)?;
                add(index, Row { labels, drop_name: self.drop_name(index), cells: std::mem::take(cells) });
            }
            Ok(())
        })?;
        Ok((rows, places))
    }

    /// Calls `fold` with every row in order; the cells may be changed or taken.
    ///
    /// With a pool of threads, rows are computed in parallel and folded in order nevertheless, so the result does not
    /// depend on the number of threads.
    pub fn each(
        &self,
        context: &Context<'a>,
        mut fold: impl FnMut(usize, &mut Cells, &mut Scratch<'_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        self.each_tagged(context, |_, _| (), |index, (), cells, scratch| fold(index, cells, scratch))
    }

    /// [`Vector::each`]; what `tag` makes of a row, on the thread that computed it, goes to `fold`.
    pub fn each_tagged<T: Send>(
        &self,
        context: &Context<'a>,
        tag: impl Fn(usize, &mut Cells) -> T + Sync,
        fold: impl FnMut(usize, T, &mut Cells, &mut Scratch<'_>) -> Result<(), EvalError>,
    ) -> Result<(), EvalError> {
        match context.pool() {
            Some(pool) if self.len() >= PARALLEL_ROWS_MIN && matches!(self, Vector::Lazy(_)) => {
                workers::fold_in_order(context, pool, self, tag, fold)
            }
            _ => workers::fold_alone(context, self, tag, fold),
        }
    }
}

/// Fewer rows are not worth a thread.
const PARALLEL_ROWS_MIN: usize = 64;

/// Puts rows or series in order; equal ones stay as they are.
pub(crate) fn sorted<T>(
    context: &Context<'_>,
    rows: Vec<T>,
    compare: impl Fn(&T, &T) -> Ordering,
) -> Result<Vec<T>, EvalError> {
    context.stoppable(|looks| {
        let order = |&a: &u32, &b: &u32| compare(&rows[a as usize], &rows[b as usize]).then(a.cmp(&b));
        let order = looks.sort_by((0..rows.len() as u32).collect(), order)?;
        let mut slots: Vec<Option<T>> = rows.into_iter().map(Some).collect();
        let mut sorted = Vec::with_capacity(slots.len());
        for at in order {
            looks.before(1)?;
            sorted.extend(slots[at as usize].take());
        }
        Ok(sorted)
    })
}

/// Joins rows of equal labels whose cells do not overlap.
///
/// # Errors
/// Two rows with equal labels that have a value at the same step.
pub(crate) fn merge_equal(context: &Context<'_>, rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    let mut seen: HashMap<Labels, usize> = HashMap::with_capacity(rows.len());
    let mut out: Vec<Row> = Vec::with_capacity(rows.len());
    let often = rows.first().is_some_and(|row| row.cells.len() >= workers::CANCEL_ROWS);
    for (index, row) in rows.into_iter().enumerate() {
        if often || index % workers::CANCEL_ROWS == 0 {
            context.cancel.check()?;
        }
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
