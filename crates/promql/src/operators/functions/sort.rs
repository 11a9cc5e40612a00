//! `sort` and its variants, which only the order of an instant result can show.

use crate::error::EvalError;
use crate::kernels::cells::FLOAT;
use crate::kernels::go_sort;
use crate::kernels::grid::Grid;
use crate::kernels::ranks;
use crate::kernels::remarks;
use crate::rows::context::Context;
use crate::rows::vector::{Vector, arrange};
use mytsdb_model::Labels;
use mytsdb_promql_syntax::PosRange;
use std::cmp::Ordering;

/// Where a sort stands, and whether all that it sorts is pinned to one time.
#[derive(Clone, Copy)]
pub(crate) struct Sorted {
    pub descending: bool,
    pub pinned: bool,
    pub pos: PosRange,
}

impl Sorted {
    /// A remark if the order is lost.
    fn note_range_query(self, context: &Context<'_>) {
        if !context.instant && !self.pinned {
            context.annotate(|a| remarks::sort_in_range_query(a, self.pos));
        }
    }
}

/// `sort` and `sort_desc`.
pub(crate) fn by_value<'a>(
    context: &'a Context<'a>,
    sort: Sorted,
    vector: Vector<'a>,
    grid: Grid,
) -> Result<Vector<'a>, EvalError> {
    let mut rows = vector.keep(context)?;
    sort.note_range_query(context);
    if context.any_histograms(&rows)? {
        for row in &mut rows {
            row.cells.drop_histograms();
        }
        rows = Vector::Kept(rows).keep(context)?;
    }
    if grid.count == 1 && context.instant {
        debug_assert!(rows.iter().all(|row| row.cells.kinds[0] == FLOAT));
        let mut ranked: Vec<_> = rows.iter().enumerate().map(|(at, row)| (row.cells.values[0], at as u32)).collect();
        ranks::sort_until(&mut ranked, sort.descending, &|| context.cancel.check().is_err());
        let order = ranked.into_iter().map(|(_, at)| at).collect();
        context.stoppable(|looks| arrange(looks, &mut rows, order))?;
    }
    Ok(Vector::Kept(rows))
}

/// A run of digits or of anything else, and what follows it.
fn split_chunk(text: &str) -> Option<(&str, &str)> {
    let digits = text.as_bytes().first()?.is_ascii_digit();
    let end = text.bytes().position(|c| c.is_ascii_digit() != digits).unwrap_or(text.len());
    Some(text.split_at(end))
}

/// Whether Prometheus finds `a` before `b` in its natural order, which it asks of two different texts.
///
/// Texts are cut into chunks, where a chunk is a run of digits or of anything else. Two chunks compare as numbers if both
/// are 64-bit integers, else as text. It is no order:
/// - an empty text is neither before nor behind another one;
/// - of texts whose chunks are all equal (`7` and `07`) each is before the other;
/// - with numbers beyond 64 bits `10` is before `12345678901234567890`, that before `9`, and that before `10`.
fn naturally_before(a: &str, b: &str) -> bool {
    let (mut a_rest, mut b_rest) = (a, b);
    loop {
        let Some((x, a_tail)) = split_chunk(a_rest) else { return false };
        let Some((y, b_tail)) = split_chunk(b_rest) else { return false };
        let order = match (x.parse::<i64>(), y.parse::<i64>()) {
            // A sign is never part of the chunk of digits.
            (Ok(x_value), Ok(y_value)) => x_value.cmp(&y_value),
            _ => x.cmp(y),
        };
        if order != Ordering::Equal {
            return order.is_lt();
        }
        if a_tail.is_empty() {
            return true;
        }
        (a_rest, b_rest) = (a_tail, b_tail);
    }
}

/// Whether `sort_by_label` (or `sort_by_label_desc`) puts a series before another one.
fn labels_before(names: &[String], descending: bool, a: &Labels, b: &Labels) -> bool {
    for name in names {
        let (a, b) = (a.get(name).unwrap_or(""), b.get(name).unwrap_or(""));
        if a != b {
            return naturally_before(a, b) != descending;
        }
    }
    let order = a.cmp(b);
    if descending { order.is_gt() } else { order.is_lt() }
}

/// `sort_by_label` and `sort_by_label_desc`, by the labels `names`.
pub(crate) fn by_label<'a>(
    context: &'a Context<'a>,
    sort: Sorted,
    vector: Vector<'a>,
    names: &[String],
) -> Result<Vector<'a>, EvalError> {
    let mut rows = vector.keep(context)?;
    sort.note_range_query(context);
    let mut order: Vec<u32> = (0..rows.len() as u32).collect();
    let before =
        |&a: &u32, &b: &u32| labels_before(names, sort.descending, &rows[a as usize].labels, &rows[b as usize].labels);
    go_sort::sort_until(&mut order, &before, &|| context.cancel.check().is_err());
    context.cancel.check()?;
    context.stoppable(|looks| arrange(looks, &mut rows, order))?;
    Ok(Vector::Kept(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn ascend(texts: &[&str]) {
        for (i, a) in texts.iter().enumerate() {
            for (j, b) in texts.iter().enumerate() {
                assert!(i == j || naturally_before(a, b) == (i < j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn chunks_of_digits_compare_as_numbers_and_all_others_as_text() {
        ascend(&["team", "team1", "team2", "team10", "team-", "team-a", "team-b"]);
        ascend(&["eth", "eth0", "eth0.30", "eth0.200", "eth1"]);
        ascend(&["007a", "7b", "8", "10", "10.1", "10.1.2", "10.10", "a", "é1", "é02"]);
        ascend(&["-1", "-2", "0", "9223372036854775807"]);
        // Beyond 64 bits a number is text.
        ascend(&["10", "9223372036854775808"]);
        ascend(&["9223372036854775808", "93"]);
    }

    #[test]
    fn some_texts_have_no_order() {
        assert!(!naturally_before("", "a") && !naturally_before("a", ""));
        assert!(naturally_before("x07y", "x7y") && naturally_before("x7y", "x07y"));
        let beyond = "12345678901234567890";
        assert!(naturally_before("10", beyond) && naturally_before(beyond, "9") && naturally_before("9", "10"));
    }
}
