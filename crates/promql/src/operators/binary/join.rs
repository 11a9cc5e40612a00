//! Operators between two vectors: the "one" side is kept, the rows of the "many" side are combined as they are read.

use super::arithmetic::Operation;
use super::columns::{self, Operand};
use super::operate::{operate, set_outcome};
use super::result_labels::{drops_name, drops_name_late, result_labels};
use super::signatures::signature_key;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, Row};
use crate::kernels::grid::Grid;
use crate::operators::groups::{Keyed, all_unique};
use crate::operators::reference::pair::pair;
use crate::rows::context::{Context, Hold, Scratch};
use crate::rows::vector::{Rows, Vector};
use crate::rows::workers::list_in_parts;
use mytsdb_model::Labels;
use mytsdb_promql_syntax::{BinaryOp, Cardinality, VectorMatching};

/// Operates on two vectors, `lhs` and `rhs`, without stand-ins for missing series.
pub(crate) fn join<'a>(
    context: &'a Context<'a>,
    binary: &'a Operation,
    (lhs, rhs): (Vector<'a>, Vector<'a>),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let matching = binary.matching();
    let many_is_right = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if many_is_right { (rhs, lhs) } else { (lhs, rhs) };
    let one = one.keep(context)?;
    let planned = if context.any_histograms(&one)? { None } else { plan(context, binary, matching, &many, &one)? };
    let Some((pairs, names)) = planned else {
        // Series that come and go: which of them match has to be found out step by step, as has which remark on
        // histograms is shown.
        let many = many.keep(context)?;
        let both = if many_is_right { (one, many) } else { (many, one) };
        return pair(context, binary, both, grid);
    };
    let (many, pairs) = keep_few(context, many, pairs)?;
    let mut name_bytes = 0;
    context.stoppable(|looks| {
        names.iter().flatten().try_for_each(|labels| {
            name_bytes += labels.as_bytes().len() + NAME_BYTES;
            looks.before(1)
        })
    })?;
    let held = context.hold_table((size_of_val(&pairs[..]) + name_bytes) as u64)?;
    let rows = JoinedRows { context, binary, many, one, pairs, names, many_is_right, grid, _held: held };
    Ok(Vector::Lazy(Box::new(rows)))
}

/// A row of the "many" side and the row of the "one" side that it matches.
#[derive(Debug, Clone, Copy)]
struct Pair {
    many: u32,
    one: u32,
}

/// The pairs in the order of the "many" side, and the labels of the results if they are not those of that side.
type Plan = (Vec<Pair>, Option<Vec<Labels>>);

/// Pairs rows by their labels; `None` if their values have to be looked at for that.
fn plan(
    context: &Context<'_>,
    binary: &Operation,
    matching: &VectorMatching,
    many: &Vector<'_>,
    one: &[Row],
) -> Result<Option<Plan>, EvalError> {
    let (one_key, many_key) = (signature_key(matching, false), signature_key(matching, many.nameless()));
    let ones = Keyed::of_rows(context, one, &one_key)?;
    if ones.numbers.len() < one.len() {
        return Ok(None);
    }
    let find = |row: usize| {
        let labels = many.source_labels(row);
        let same = |other: u32| many_key.equals(labels, &one_key, &one[other as usize].labels);
        // No two rows have the same key, so its number is that of the row.
        let one = ones.numbers.find(many_key.hash(labels), same)?;
        Some(Pair { many: row as u32, one })
    };
    let pairs = list_in_parts(context, many.len(), |rows| rows.filter_map(find).collect())?;
    if matching.cardinality == Cardinality::OneToOne {
        let mut taken = vec![false; one.len()];
        if pairs.iter().any(|pair| std::mem::replace(&mut taken[pair.one as usize], true)) {
            return Ok(None);
        }
    } else if matching.include.is_empty() && !many.nameless() && !drops_name(context, binary) {
        return Ok(Some((pairs, None)));
    }
    let name = |pair: &Pair| {
        let labels = (many.source_labels(pair.many as usize), many.nameless());
        result_labels(context, binary, matching, labels, &one[pair.one as usize].labels)
    };
    let names = list_in_parts(context, pairs.len(), |part| pairs[part].iter().map(name).collect())?;
    Ok(all_unique(context, names.iter())?.then_some((pairs, Some(names))))
}

/// Reads the "many" side now if most of it matches nothing, so that all threads read what is thrown away.
fn keep_few<'a>(
    context: &Context<'a>,
    many: Vector<'a>,
    mut pairs: Vec<Pair>,
) -> Result<(Vector<'a>, Vec<Pair>), EvalError> {
    if pairs.len() * 2 >= many.len() {
        return Ok((many, pairs));
    }
    let mut rows = Vec::new();
    let mut at = 0;
    let mut kept = Vec::new();
    many.each(context, |row, cells, _| {
        if let Some(&pair) = pairs.get(at).filter(|pair| pair.many as usize == row) {
            at += 1;
            kept.push(Pair { many: rows.len() as u32, ..pair });
            let (labels, drop_name) = (many.labels(row), many.drop_name(row));
            context.hold_row(&labels, cells)?;
            rows.push(Row { labels, drop_name, cells: std::mem::take(cells) });
        }
        Ok(())
    })?;
    pairs = kept;
    Ok((Vector::Kept(rows), pairs))
}

/// What a label set takes beside its text: its reference, and the head of its allocation.
const NAME_BYTES: usize = 32;

struct JoinedRows<'a> {
    context: &'a Context<'a>,
    binary: &'a Operation,
    many: Vector<'a>,
    one: Vec<Row>,
    pairs: Vec<Pair>,
    names: Option<Vec<Labels>>,
    many_is_right: bool,
    grid: Grid,
    /// What pairs and names count for.
    _held: Hold<'a>,
}

impl Drop for JoinedRows<'_> {
    fn drop(&mut self) {
        let many = if let Vector::Kept(rows) = &self.many { &rows[..] } else { &[] };
        self.one.iter().chain(many).for_each(|row| self.context.release_row(&row.labels, &row.cells));
    }
}

impl Rows for JoinedRows<'_> {
    fn give_back(mut self: Box<Self>, context: &Context<'_>) -> Result<(), EvalError> {
        context.give_back_rows(std::mem::take(&mut self.one))?;
        match std::mem::replace(&mut self.many, Vector::none()) {
            Vector::Kept(rows) => context.give_back_rows(rows)?,
            lazy @ Vector::Lazy(_) => lazy.give_back(context)?,
        }
        self.names.take().map_or(Ok(()), |names| context.give_back(names))
    }

    fn len(&self) -> usize {
        self.pairs.len()
    }

    fn steps(&self) -> usize {
        self.grid.count
    }

    fn height(&self) -> usize {
        1 + self.many.height()
    }

    fn labels(&self, index: usize) -> &Labels {
        match &self.names {
            Some(names) => &names[index],
            None => self.many.source_labels(self.pairs[index].many as usize),
        }
    }

    fn drop_name(&self, _index: usize) -> bool {
        drops_name_late(self.context, self.binary)
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        let Pair { many, one } = self.pairs[index];
        // Rows that match nothing are read too: what is wrong with them is told, and they count.
        let before = index.checked_sub(1).map_or(0, |i| self.pairs[i].many + 1);
        let behind = if index + 1 == self.pairs.len() { many + 1..self.many.len() as u32 } else { 0..0 };
        for unmatched in (before..many).chain(behind) {
            self.context.cancel.check()?;
            self.many.read(unmatched as usize, scratch, out)?;
        }
        self.many.read(many as usize, scratch, out)?;
        self.combine(&self.one[one as usize].cells, scratch, out);
        Ok(())
    }
}

impl JoinedRows<'_> {
    /// Operates on `out`, a row of the "many" side, and `one`.
    fn combine(&self, one: &Cells, scratch: &mut Scratch<'_>, out: &mut Cells) {
        let (op, return_bool) = (self.binary.op, self.binary.return_bool);
        let trims = matches!(op, BinaryOp::TrimLower | BinaryOp::TrimUpper);
        if !trims && !out.has_histograms() && !one.has_histograms() {
            out.kinds.iter_mut().zip(&one.kinds).for_each(|(kind, &other)| *kind &= other);
            columns::operate(out, op, return_bool, Operand::Column(&one.values), self.many_is_right);
            if self.many_is_right && op.is_comparison() && !return_bool {
                // What a comparison leaves is the value on the left.
                out.values.copy_from_slice(&one.values);
            }
            return;
        }
        let many = std::mem::replace(out, scratch.take_cells());
        out.reset(many.len());
        let (left, right) = if self.many_is_right { (one, &many) } else { (&many, one) };
        let pos = self.binary.pos;
        for step in 0..many.len() {
            if left.kinds[step] == EMPTY || right.kinds[step] == EMPTY {
                continue;
            }
            let (Some(a), Some(b)) = (left.get(step), right.get(step)) else { continue };
            let outcome = operate(op, &a, &b, &mut scratch.annotations, pos);
            set_outcome(out, step, outcome, op, return_bool, a);
        }
        scratch.give_cells(many);
    }
}
