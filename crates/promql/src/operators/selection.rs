//! Aggregations that choose series: `topk`, `bottomk`, `limitk`, `limit_ratio`.

use super::aggregate::Aggregation;
use super::blocks::{Input, Outcomes, in_blocks};
use super::functions::go_max;
use super::groups::Groups;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, FLOAT, HISTOGRAM, Row};
use crate::kernels::grid::Grid;
use crate::kernels::ranks::{self, Ranked};
use crate::kernels::remarks;
use crate::kernels::scalar::Scalar;
use crate::rows::context::{Context, Hold, Scratch};
use crate::rows::vector::{Rows, Vector};
use crate::rows::workers::{CANCEL_ROWS, list_in_parts};
use mytsdb_model::Labels;
use mytsdb_promql_syntax::AggregateOp;

/// The integer parameter of each step.
fn counts(param: &Scalar, grid: Grid) -> Result<Vec<usize>, EvalError> {
    let all = param.distinct(grid.count);
    let largest = all.iter().copied().fold(f64::NEG_INFINITY, go_max);
    if all.iter().any(|v| v.is_nan()) {
        return Err(EvalError::execution("Parameter value is NaN"));
    }
    if largest < 1.0 {
        // Nothing is chosen at any step; negative numbers count as 0.
        return Ok(vec![0; grid.count]);
    }
    let smallest = all.iter().copied().fold(f64::INFINITY, f64::min);
    if smallest <= -9_223_372_036_854_775_808.0 {
        return Err(EvalError::Execution(format!(
            "Scalar value {} underflows int64",
            mytsdb_promql_syntax::format_general(smallest)
        )));
    }
    if largest >= 9_223_372_036_854_775_807.0 {
        return Err(EvalError::Execution(format!(
            "Scalar value {} overflows int64",
            mytsdb_promql_syntax::format_general(largest)
        )));
    }
    Ok((0..grid.count).map(|i| param.at(i).max(0.0) as usize).collect())
}

/// Fails for a parameter, after what is wrong with the operand, which is evaluated first.
fn refuse<'a>(context: &'a Context<'a>, operand: &Vector<'a>, error: EvalError) -> Result<Vector<'a>, EvalError> {
    operand.each(context, |_, _, _| Ok(()))?;
    Err(error)
}

/// `topk` and `bottomk` of any number. `input` evaluates what they choose from.
pub(crate) fn topk<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    param: &Scalar,
    input: &mut Input<'_, 'a>,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let counts = match counts(param, grid) {
        Ok(counts) => counts,
        Err(error) => return refuse(context, &input(grid)?, error),
    };
    in_blocks(context, input, grid, |vector, steps| chosen(context, aggregate, vector, &counts[steps], grid.count == 1))
}

/// The best cells of each group of `vector` at each step, as many as `counts` says; in the order of their ranks if they
/// are to be `ranked`, which is about one step.
fn chosen<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    vector: Vector<'a>,
    counts: &[usize],
    ranked: bool,
) -> Result<Outcomes, EvalError> {
    let top = aggregate.op == AggregateOp::Topk;
    let (rows, places) = vector.keep_placed(context)?;
    let vector = Vector::Kept(rows);
    let members = Groups::new(context, &vector, aggregate.by)?.members();
    let Vector::Kept(mut rows) = vector else { return Ok(Outcomes::default()) };
    let steps = counts.len();
    let _keep = context.hold_table((rows.len() * steps) as u64)?;
    let mut keep = vec![false; rows.len() * steps];
    let mut best: Vec<Ranked> = Vec::new();
    let mut order = Vec::new();
    let mut ignored = false;
    for group in 0..members.len() {
        for (step, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            best.clear();
            context.stoppable(|looks| {
                for &row in members.of(group) {
                    looks.before(1)?;
                    let cells = &rows[row as usize].cells;
                    match cells.kinds[step] {
                        FLOAT if best.len() < count => {
                            best.push((cells.values[step], row));
                            ranks::push(&mut best, top);
                        }
                        FLOAT => ranks::replace(&mut best, (cells.values[step], row), top),
                        HISTOGRAM => ignored = true,
                        _ => {}
                    }
                }
                Ok(())
            })?;
            for &(_, row) in &best {
                keep[row as usize * steps + step] = true;
            }
            if ranked {
                ranks::sort_until(&mut best, top, &|| context.cancel.check().is_err());
                order.extend(best.iter().map(|&(_, row)| row as usize));
            }
        }
    }
    if ignored {
        context.annotate(|a| remarks::ignored_in_aggregation(a, aggregate.op.as_str(), aggregate.pos));
    }
    context.release(&rows)?;
    let order = if ranked { order } else { (0..rows.len()).collect() };
    let mut out = Outcomes::with_capacity(order.len());
    for (looked, at) in order.into_iter().enumerate() {
        if steps >= CANCEL_ROWS || looked % CANCEL_ROWS == 0 {
            context.cancel.check()?;
        }
        let (row, keep) = (&mut rows[at], &keep[at * steps..(at + 1) * steps]);
        let unwanted = keep.iter().enumerate().filter(|(_, keep)| !**keep);
        unwanted.for_each(|(step, _)| row.cells.clear(step));
        if !row.cells.is_blank() {
            context.hold_row(&row.labels, &row.cells)?;
            let cells = std::mem::take(&mut row.cells);
            out.push(places[at], Row { labels: row.labels.clone(), drop_name: row.drop_name, cells });
        }
    }
    context.give_back(rows)?;
    Ok(out)
}

/// Clears the cells of a row for which `keep` does not hold, and adds the row to `out` if any is left.
fn keep_some(
    context: &Context<'_>,
    out: &mut Vec<Row>,
    (vector, row): (&Vector<'_>, usize),
    cells: &mut Cells,
    mut keep: impl FnMut(usize) -> bool,
) -> Result<(), EvalError> {
    for step in 0..cells.len() {
        if cells.kinds[step] != EMPTY && !keep(step) {
            cells.clear(step);
        }
    }
    if !cells.is_blank() {
        let labels = vector.labels(row);
        context.hold_row(&labels, cells)?;
        out.push(Row { labels, drop_name: vector.drop_name(row), cells: std::mem::take(cells) });
    }
    Ok(())
}

/// `limitk`: the first series of each group.
pub(crate) fn limitk<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    param: &Scalar,
    vector: &Vector<'a>,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let groups = Groups::new(context, vector, aggregate.by)?;
    let counts = match counts(param, grid) {
        Ok(counts) => counts,
        Err(error) => return refuse(context, vector, error),
    };
    context.hold((groups.len() * grid.count) as u64)?;
    let mut taken = vec![0usize; groups.len() * grid.count];
    let mut out = Vec::new();
    vector.each(context, |row, cells, _| {
        let taken = &mut taken[groups.of_row[row] as usize * grid.count..][..grid.count];
        keep_some(context, &mut out, (vector, row), cells, |step| {
            taken[step] += 1;
            taken[step] <= counts[step]
        })
    })?;
    Ok(Vector::Kept(out))
}

/// Where a series stands between 0 and 1, the same in every query: as Prometheus, by the XXH64 of its labels, each name
/// and value behind its length, which is one byte, or 255 and three bytes if that is not below 255.
fn position(labels: &Labels) -> f64 {
    let mut bytes = Vec::with_capacity(labels.as_bytes().len() + 16);
    for text in labels.iter().flat_map(|(name, value)| [name, value]) {
        match u8::try_from(text.len()) {
            Ok(length) if length < u8::MAX => bytes.push(length),
            _ => {
                bytes.push(u8::MAX);
                bytes.extend_from_slice(&(text.len() as u32).to_le_bytes()[..3]);
            }
        }
        bytes.extend_from_slice(text.as_bytes());
    }
    xxhash_rust::xxh64::xxh64(&bytes, 0) as f64 / u64::MAX as f64
}

/// `limit_ratio`: a share of the series, the same in every query. Of `remarkable` rows there may be something to remark,
/// whether they are chosen or not.
pub(crate) fn limit_ratio<'a>(
    context: &'a Context<'a>,
    aggregate: &Aggregation<'_>,
    param: &Scalar,
    (vector, remarkable): (Vector<'a>, bool),
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let mut ratios = Vec::with_capacity(grid.count);
    for step in 0..grid.count {
        let ratio = param.at(step);
        if ratio.is_nan() {
            return refuse(context, &vector, EvalError::execution("Ratio value is NaN"));
        }
        ratios.push(ratio.clamp(-1.0, 1.0));
    }
    let pos = aggregate.param;
    for ratio in param.worst(grid.count, -1.0, 1.0) {
        context.annotate(|a| remarks::invalid_ratio(a, ratio, pos, aggregate.pos));
    }
    // A ratio that never changes chooses among the series before any of them is read.
    let find = |row| {
        let at = position(&vector.labels(row));
        ratios.iter().any(|&ratio| keeps(ratio, at)).then_some((row, at))
    };
    let rows = list_in_parts(context, vector.len(), |rows| rows.filter_map(find).collect())?;
    if remarkable {
        let mut chosen = rows.iter().map(|(row, _)| *row).peekable();
        let left_out = (0..vector.len()).filter(|row| chosen.next_if_eq(row).is_none()).collect();
        Vector::Lazy(Box::new(LeftOut { inner: &vector, rows: left_out })).each(context, |_, _, _| Ok(()))?;
    }
    let held = context.hold_table(size_of_val(&rows[..]) as u64)?;
    Ok(Vector::Lazy(Box::new(SampledRows { inner: vector, rows, ratios, steps: grid.count, _held: held })))
}

/// Rows that are read for the sake of what there is to remark.
struct LeftOut<'v, 'a> {
    inner: &'v Vector<'a>,
    rows: Vec<usize>,
}

impl Rows for LeftOut<'_, '_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn steps(&self) -> usize {
        self.inner.steps()
    }

    fn height(&self) -> usize {
        1 + self.inner.height()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.source_labels(self.rows[index])
    }

    fn drop_name(&self, index: usize) -> bool {
        self.inner.drop_name(self.rows[index])
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        self.inner.read(self.rows[index], scratch, out)
    }
}

/// Whether a series at `position` belongs to the share `ratio`. A negative one is the complement of the positive one that
/// is 1 larger.
fn keeps(ratio: f64, position: f64) -> bool {
    if ratio >= 0.0 { position < ratio || ratio == 1.0 } else { position >= 1.0 + ratio }
}

/// The rows that `limit_ratio` chooses.
struct SampledRows<'a> {
    inner: Vector<'a>,
    /// Rows of `inner` that are chosen at some step, and their positions.
    rows: Vec<(usize, f64)>,
    ratios: Vec<f64>,
    steps: usize,
    _held: Hold<'a>,
}

impl Rows for SampledRows<'_> {
    fn give_back(self: Box<Self>, context: &Context<'_>) -> Result<(), EvalError> {
        self.inner.give_back(context)
    }

    fn len(&self) -> usize {
        self.rows.len()
    }

    fn steps(&self) -> usize {
        self.steps
    }

    fn height(&self) -> usize {
        1 + self.inner.height()
    }

    fn labels(&self, index: usize) -> &Labels {
        self.inner.source_labels(self.rows[index].0)
    }

    fn nameless(&self) -> bool {
        self.inner.nameless()
    }

    fn same_schema(&self) -> bool {
        self.inner.same_schema()
    }

    fn drop_name(&self, index: usize) -> bool {
        self.inner.drop_name(self.rows[index].0)
    }

    fn read(&self, index: usize, scratch: &mut Scratch<'_>, out: &mut Cells) -> Result<(), EvalError> {
        let (row, position) = self.rows[index];
        self.inner.read(row, scratch, out)?;
        for (step, &ratio) in self.ratios.iter().enumerate() {
            if out.kinds[step] != EMPTY && !keeps(ratio, position) {
                out.clear(step);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complementary_ratios_split_the_series() {
        for i in 0..100 {
            let labels = Labels::from_pairs([("i", i.to_string())]);
            let at = position(&labels);
            assert!((0.0..=1.0).contains(&at));
            assert!((at < 0.3) != (at >= 1.0 + -0.7), "{at}");
        }
    }

    #[test]
    fn positions_are_those_of_prometheus() {
        // Found by bisection: the ratio from which on Prometheus 3.15 picks the series.
        for (letter, length, at) in [
            ("a", 1, 0.49298),
            ("a", 20, 0.14075),
            ("b", 130, 0.22394),
            ("a", 254, 0.79272),
            ("a", 255, 0.84106),
            ("b", 300, 0.98389),
        ] {
            let labels = Labels::from_pairs([("b", "zz"), ("l", &letter.repeat(length))]);
            assert!((position(&labels) - at).abs() < 1e-4, "{letter} {length}");
        }
    }
}
