//! `and` and `unless`: the right side is folded into steps at which there is anything, the left side is never kept.

use super::matching::signature_key;
use crate::ast::VectorMatching;
use crate::error::EvalError;
use crate::eval::cells::{Cells, EMPTY};
use crate::eval::context::{Context, Hold, Scratch};
use crate::eval::grid::Grid;
use crate::eval::groups::Keyed;
use crate::eval::rows::{Rows, Vector};
use crate::eval::workers::in_parts;
use mytsdb_model::Labels;

/// Keeps the cells of `lhs` at whose steps a matching row of `rhs` is present, or is not if none is `wanted`.
pub(super) fn restrict<'a>(
    context: &'a Context<'a>,
    matching: &'a VectorMatching,
    (lhs, rhs): (Vector<'a>, Vector<'a>),
    wanted: bool,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let (left_key, right_key) = (signature_key(matching, lhs.nameless()), signature_key(matching, rhs.nameless()));
    let Keyed { numbers, of_row } = Keyed::new(context, &rhs, &right_key)?;
    let match_bytes = lhs.len() * size_of::<Option<u32>>() + size_of_val(&of_row[..]);
    let held = context.hold_table((numbers.len() * grid.count + match_bytes) as u64)?;
    let mut present = vec![EMPTY; numbers.len() * grid.count];
    rhs.each(context, |row, cells, _| {
        let present = &mut present[of_row[row] as usize * grid.count..][..grid.count];
        present.iter_mut().zip(&cells.kinds).for_each(|(present, &kind)| *present |= kind);
        Ok(())
    })?;
    let find = |row: usize| {
        let labels = lhs.source_labels(row);
        let same = |other: u32| left_key.equals(labels, &right_key, rhs.source_labels(other as usize));
        numbers.find(left_key.hash(labels), same)
    };
    let matches = in_parts(context, lhs.len(), |rows| rows.map(find).collect::<Vec<_>>())?.concat();
    Ok(Vector::Lazy(Box::new(RestrictedRows { inner: lhs, matches, present, wanted, grid, _held: held })))
}

struct RestrictedRows<'a> {
    inner: Vector<'a>,
    /// The number of each row's key on the right side.
    matches: Vec<Option<u32>>,
    /// Kinds of the cells that each key of the right side has at each step.
    present: Vec<u8>,
    wanted: bool,
    grid: Grid,
    _held: Hold<'a>,
}

impl Rows for RestrictedRows<'_> {
    fn len(&self) -> usize {
        self.inner.len()
    }

    fn steps(&self) -> usize {
        self.grid.count
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.source_labels(index)
    }

    fn nameless(&self) -> bool {
        self.inner.nameless()
    }

    fn drop_name(&self, index: usize) -> bool {
        self.inner.drop_name(index)
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        self.inner.read(index, scratch, out)?;
        let Some(number) = self.matches[index] else {
            if self.wanted {
                out.reset(self.grid.count);
            }
            return Ok(());
        };
        let present = &self.present[number as usize * self.grid.count..][..self.grid.count];
        if out.has_histograms() {
            let unwanted = |&step: &usize| (present[step] != EMPTY) != self.wanted;
            (0..out.len()).filter(unwanted).for_each(|step| out.clear(step));
        } else {
            for (kind, &present) in out.kinds.iter_mut().zip(present) {
                *kind = if (present != EMPTY) == self.wanted { *kind } else { EMPTY };
            }
        }
        Ok(())
    }
}
