//! Vectors as rows that are computed when somebody reads them, or kept in memory.

use super::context::{Context, Scratch, drop_schema};
use super::label_key::hash_all;
use super::numbers::Numbers;
use super::workers;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, Row};
use crate::storage::SeriesSet;
use mytsdb_model::Labels;
use mytsdb_stop::{Canceled, Looks};
use std::cmp::Ordering;

/// Series whose cells are computed on demand; reading one does not touch the others.
pub(crate) trait Rows: Sync {
    /// Gives back memory that rows hold one by one, and looks meanwhile whether anybody still waits.
    fn give_back(self: Box<Self>, _context: &Context<'_>) -> Result<(), EvalError> {
        Ok(())
    }
    fn len(&self) -> usize;
    /// Steps of each row.
    fn steps(&self) -> usize;
    /// How many rows are read one within the other to read one of these.
    fn height(&self) -> usize;
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

    /// How many rows are read one within the other to read one of these; 0 if they are in memory.
    pub fn height(&self) -> usize {
        match self {
            Vector::Lazy(rows) => rows.height(),
            Vector::Kept(_) => 0,
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
                out.copy_from(&rows[index].cells);
                Ok(())
            }
        }
    }

    /// All rows that hold anything, in memory.
    pub fn keep(self, context: &Context<'a>) -> Result<Vec<Row>, EvalError> {
        self.keep_each(context, |_| (), |_, ()| ())
    }

    /// The same, each row as `change` leaves it on the thread that computes it, which must not make it blank; with what it returns.
    pub fn keep_changed<T: Send>(
        self,
        context: &Context<'a>,
        change: impl Fn(&mut Cells) -> T + Sync,
    ) -> Result<(Vec<Row>, Vec<T>), EvalError> {
        let mut tags = Vec::with_capacity(self.len());
        let rows = self.keep_each(context, change, |_, tag| tags.push(tag))?;
        Ok((rows, tags))
    }

    /// The same, and where in the vector each of them stood.
    pub fn keep_placed(self, context: &Context<'a>) -> Result<(Vec<Row>, Vec<usize>), EvalError> {
        let mut places = Vec::with_capacity(self.len());
        let rows = self.keep_each(context, |_| (), |index, ()| places.push(index))?;
        Ok((rows, places))
    }

    fn keep_each<T: Send>(
        self,
        context: &Context<'a>,
        change: impl Fn(&mut Cells) -> T + Sync,
        mut place: impl FnMut(usize, T),
    ) -> Result<Vec<Row>, EvalError> {
        if let Vector::Kept(mut rows) = self {
            context.stoppable(|looks| {
                let mut kept = 0;
                for at in 0..rows.len() {
                    looks.before(1)?;
                    if !rows[at].cells.is_blank() {
                        place(at, change(&mut rows[at].cells));
                        rows.swap(kept, at);
                        kept += 1;
                    }
                }
                rows.truncate(kept);
                Ok(())
            })?;
            return Ok(rows);
        }
        // Memory that is not written to costs nothing; growing would copy all rows at once.
        let mut rows = Vec::with_capacity(self.len());
        let tag = |index: usize, cells: &mut Cells| (!cells.is_blank()).then(|| (self.labels(index), change(cells)));
        self.each_tagged(context, tag, |index, tag, cells, _| {
            if let Some((labels, tag)) = tag {
                context.hold_row(&labels, cells)?;
                place(index, tag);
                rows.push(Row { labels, drop_name: self.drop_name(index), cells: std::mem::take(cells) });
            }
            Ok(())
        })?;
        self.give_back(context)?;
        Ok(rows)
    }

    /// Gives back the memory of rows that nobody will read any more.
    pub fn give_back(self, context: &Context<'_>) -> Result<(), EvalError> {
        match self {
            Vector::Lazy(rows) => rows.give_back(context),
            Vector::Kept(rows) => context.give_back(rows),
        }
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
    let order = |rows: &[T], a: usize, b: usize| compare(&rows[a], &rows[b]);
    sorted_by_place(context, rows, order)
}

/// Puts rows in the order of their `keys`.
pub(crate) fn in_order_of<T>(context: &Context<'_>, rows: Vec<T>, keys: &[impl Ord]) -> Result<Vec<T>, EvalError> {
    sorted_by_place(context, rows, |_, a, b| keys[a].cmp(&keys[b]))
}

fn sorted_by_place<T>(
    context: &Context<'_>,
    mut rows: Vec<T>,
    compare: impl Fn(&[T], usize, usize) -> Ordering,
) -> Result<Vec<T>, EvalError> {
    context.stoppable(|looks| {
        let order = |&a: &u32, &b: &u32| compare(&rows, a as usize, b as usize).then(a.cmp(&b));
        let order = looks.sort_by((0..rows.len() as u32).collect(), order)?;
        arrange(looks, &mut rows, order)?;
        Ok(rows)
    })
}

/// Puts the item that is at `order[i]` in place `i`, for all `i`; `order` has each place once.
pub(crate) fn arrange<T>(looks: &mut Looks<'_>, items: &mut [T], mut order: Vec<u32>) -> Result<(), Canceled> {
    for start in 0..items.len() {
        // Around each circle of places; those that are done refer to themselves.
        let mut at = start;
        while order[at] as usize != start {
            looks.before(1)?;
            let from = std::mem::replace(&mut order[at], at as u32) as usize;
            items.swap(at, from);
            at = from;
        }
        order[at] = at as u32;
    }
    Ok(())
}

/// Joins rows of equal labels whose cells do not overlap.
///
/// # Errors
/// Two rows with equal labels that have a value at the same step.
pub(crate) fn merge_equal(context: &Context<'_>, rows: Vec<Row>) -> Result<Vec<Row>, EvalError> {
    let mut seen = Numbers::with_capacity(rows.len());
    let mut out: Vec<Row> = Vec::with_capacity(rows.len());
    let often = rows.first().is_some_and(|row| row.cells.len() >= workers::CANCEL_ROWS);
    for (index, row) in rows.into_iter().enumerate() {
        if often || index % workers::CANCEL_ROWS == 0 {
            context.cancel.check()?;
        }
        let same = |other: u32| out[other as usize].labels == row.labels;
        let at = seen.of(hash_all(&row.labels), out.len() as u32, same) as usize;
        if at == out.len() {
            out.push(row);
            continue;
        }
        if !out[at].cells.merge(&row.cells) {
            return Err(same_labelset());
        }
        out[at].drop_name |= row.drop_name;
    }
    Ok(out)
}

pub(crate) fn same_labelset() -> EvalError {
    EvalError::execution("vector cannot contain metrics with the same labelset")
}
