//! `a or b or c`, in time linear in the rows of all operands.

use super::matching::{PLAIN_MATCHING, signature_key};
use crate::ast::BinaryExpr;
use crate::error::EvalError;
use crate::eval::cells::{Cells, EMPTY, Row};
use crate::eval::context::{Context, Hold};
use crate::eval::grid::Grid;
use crate::eval::groups::{Numbers, all_unique};
use crate::eval::label_key::LabelKey;
use crate::eval::rows::{Vector, merge_equal};

/// Memory of a group beside what is present.
const GROUP_BYTES: usize = 16;

/// The rows of some operands, each without the cells at whose steps a matching row of an operand before is present.
///
/// What an operand loses is present in its match group already, so the groups know all that was present anywhere.
pub(in crate::eval) struct Union<'a> {
    context: &'a Context<'a>,
    key: LabelKey<'a>,
    steps: usize,
    rows: Vec<Row>,
    groups: Numbers,
    /// Kinds of the cells that each group has at each step.
    present: Vec<u8>,
    held: Vec<Hold<'a>>,
}

impl<'a> Union<'a> {
    /// Nothing yet; `binary` tells what matches.
    pub fn new(context: &'a Context<'a>, binary: &'a BinaryExpr, grid: Grid) -> Self {
        let matching = binary.matching.as_ref().unwrap_or(&PLAIN_MATCHING);
        Self {
            context,
            key: signature_key(matching, false),
            steps: grid.count,
            rows: Vec::new(),
            groups: Numbers::default(),
            present: Vec::new(),
            held: Vec::new(),
        }
    }

    /// The number of rows so far.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Adds an operand. Its rows do not take cells from each other.
    pub fn add(&mut self, operand: Vector<'a>) -> Result<(), EvalError> {
        let Self { context, key, steps, rows, groups, present, held } = self;
        let added = operand.keep(context)?;
        let (first, known) = (rows.len(), groups.len());
        context.stoppable(|looks| {
            for mut row in added {
                looks.before(2 + *steps / 64)?;
                let same = |other: u32| key.equals(&row.labels, key, &rows[other as usize].labels);
                if let Some(group) = groups.find(key.hash(&row.labels), same) {
                    let (labels, before) = (&row.labels, &present[group as usize * *steps..][..*steps]);
                    context.release_row(labels, &row.cells);
                    clear(&mut row.cells, before);
                    if row.cells.is_blank() {
                        continue;
                    }
                    context.count_row(labels, &row.cells);
                }
                rows.push(row);
            }
            for (at, row) in rows.iter().enumerate().skip(first) {
                looks.before(2 + *steps / 64)?;
                let same = |other: u32| key.equals(&row.labels, key, &rows[other as usize].labels);
                let start = groups.of(key.hash(&row.labels), at as u32, same) as usize * *steps;
                present.resize(present.len().max(start + *steps), EMPTY);
                present[start..].iter_mut().zip(&row.cells.kinds).for_each(|(present, &kind)| *present |= kind);
            }
            Ok(())
        })?;
        held.push(context.hold_table(((groups.len() - known) * (*steps + GROUP_BYTES)) as u64)?);
        Ok(())
    }

    /// All rows. Those of equal labels become one.
    pub fn finish(self) -> Result<Vector<'a>, EvalError> {
        if all_unique(self.context, self.rows.iter().map(|row| &row.labels))? {
            return Ok(Vector::Kept(self.rows));
        }
        merge_equal(self.context, self.rows).map(Vector::Kept)
    }
}

/// Takes away the cells at whose steps something is present.
fn clear(cells: &mut Cells, present: &[u8]) {
    if cells.has_histograms() {
        (0..cells.len()).filter(|&step| present[step] != EMPTY).for_each(|step| cells.clear(step));
    } else {
        for (kind, &present) in cells.kinds.iter_mut().zip(present) {
            *kind = if present == EMPTY { *kind } else { EMPTY };
        }
    }
}
