//! `and`, `unless` and `or`: one side is folded into steps at which there is anything, which choose cells of the other.

use super::arithmetic::Operation;
use super::signatures::signature_key;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, Row};
use crate::kernels::grid::Grid;
use crate::operators::groups::{Keyed, all_unique};
use crate::rows::context::{Context, Hold, Scratch};
use crate::rows::label_key::LabelKey;
use crate::rows::numbers::Numbers;
use crate::rows::vector::{Rows, Vector, merge_equal};
use crate::rows::workers::list_in_parts;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::{BinaryOp, VectorMatching};

/// `a and b`: the cells of `a` at whose steps a matching row of `b` is present; `a unless b`: the others.
pub(crate) fn restrict<'a>(
    context: &'a Context<'a>,
    binary: &'a Operation,
    (a, b): (Vector<'a>, Vector<'a>),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let rows = chosen(context, binary.matching(), (a, &b), binary.op == BinaryOp::And, grid)?;
    b.give_back(context)?;
    Ok(rows)
}

/// `a or b`: all of `a`, and the cells of `b` at whose steps no matching row of `a` is present.
pub(crate) fn unite<'a>(
    context: &'a Context<'a>,
    binary: &'a Operation,
    (a, b): (Vector<'a>, Vector<'a>),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let a = Vector::Kept(a.keep(context)?);
    let mut rest = chosen(context, binary.matching(), (b, &a), false, grid)?.keep(context)?;
    let Vector::Kept(mut rows) = a else { return Ok(Vector::none()) };
    rows.append(&mut rest);
    if all_unique(context, rows.iter().map(|row| &row.labels))? {
        return Ok(Vector::Kept(rows));
    }
    merge_equal(context, rows).map(Vector::Kept)
}

/// Keeps the cells of `chosen` at whose steps a matching row of `by` is present, or is not if none is `wanted`.
fn chosen<'a>(
    context: &'a Context<'a>,
    matching: &'a VectorMatching,
    (chosen, by): (Vector<'a>, &Vector<'a>),
    wanted: bool,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let (key, by_key) = (signature_key(matching, chosen.nameless()), signature_key(matching, by.nameless()));
    let Keyed { numbers, of_row } = Keyed::new(context, by, &by_key)?;
    let match_bytes = chosen.len() * size_of::<Option<u32>>() + size_of_val(&of_row[..]);
    let held = context.hold_table((numbers.len() * grid.count + match_bytes) as u64)?;
    let mut present = vec![EMPTY; numbers.len() * grid.count];
    by.each(context, |row, cells, _| {
        let present = &mut present[of_row[row] as usize * grid.count..][..grid.count];
        present.iter_mut().zip(&cells.kinds).for_each(|(present, &kind)| *present |= kind);
        Ok(())
    })?;
    let find = |row: usize| {
        let labels = chosen.source_labels(row);
        let same = |other: u32| key.equals(labels, &by_key, by.source_labels(other as usize));
        numbers.find(key.hash(labels), same)
    };
    let matches = list_in_parts(context, chosen.len(), |rows| rows.map(find).collect())?;
    Ok(Vector::Lazy(Box::new(RestrictedRows { inner: chosen, matches, present, wanted, grid, _held: held })))
}

struct RestrictedRows<'a> {
    inner: Vector<'a>,
    /// The number of each row's key on the other side.
    matches: Vec<Option<u32>>,
    /// Kinds of the cells that each key of the other side has at each step.
    present: Vec<u8>,
    wanted: bool,
    grid: Grid,
    _held: Hold<'a>,
}

impl Rows for RestrictedRows<'_> {
    fn give_back(self: Box<Self>, context: &Context<'_>) -> Result<(), EvalError> {
        self.inner.give_back(context)
    }

    fn len(&self) -> usize {
        self.inner.len()
    }

    fn steps(&self) -> usize {
        self.grid.count
    }

    fn height(&self) -> usize {
        1 + self.inner.height()
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

/// Memory of a group beside what is present.
const GROUP_BYTES: usize = 16;

/// The rows of some operands, each without the cells at whose steps a matching row of an operand before is present.
///
/// What an operand loses is present in its match group already, so the groups know all that was present anywhere.
pub(crate) struct Union<'a> {
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
    pub fn new(context: &'a Context<'a>, binary: &'a Operation, grid: Grid) -> Self {
        Self {
            context,
            key: signature_key(binary.matching(), false),
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
