//! `sort` and its variants, which only the order of an instant result can show.

use crate::error::EvalError;
use crate::kernels::cells::FLOAT;
use crate::kernels::grid::Grid;
use crate::kernels::ranks;
use crate::kernels::remarks;
use crate::rows::context::Context;
use crate::rows::vector::{Vector, arrange, sorted};
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

/// The natural order of Prometheus: chunk by chunk, where a chunk is a run of digits or of anything else. Two chunks compare
/// as numbers if both are 64-bit integers, else as text. Texts whose chunks are all equal (`7` and `07`) compare as text.
///
/// With numbers beyond 64 bits it is no order: `10` is before `12345678901234567890`, that before `9`, and that before `10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    loop {
        match (split_chunk(a_rest), split_chunk(b_rest)) {
            (None, None) => return a.cmp(b),
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some((x, a_tail)), Some((y, b_tail))) => {
                let order = match (x.parse::<i64>(), y.parse::<i64>()) {
                    // A sign is never part of the chunk of digits.
                    (Ok(x_value), Ok(y_value)) => x_value.cmp(&y_value),
                    _ => x.cmp(y),
                };
                if order != Ordering::Equal {
                    return order;
                }
                (a_rest, b_rest) = (a_tail, b_tail);
            }
        }
    }
}

/// Whether a text has a run of digits that is no 64-bit integer, so that [`natural`] may be no order.
fn overflows(mut text: &str) -> bool {
    while let Some((chunk, rest)) = split_chunk(text) {
        if chunk.as_bytes()[0].is_ascii_digit() && chunk.parse::<i64>().is_err() {
            return true;
        }
        text = rest;
    }
    false
}

/// Sorts numbers below `count` by merging. It ends with some arrangement for any answers of `before`, where a sort of the
/// standard library may panic if they contradict each other.
fn merge_sorted(
    count: usize,
    check: impl Fn() -> Result<(), EvalError>,
    before: impl Fn(u32, u32) -> Ordering,
) -> Result<Vec<u32>, EvalError> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    let mut merged = Vec::with_capacity(count);
    let mut width = 1;
    while width < count {
        for pair in order.chunks(2 * width) {
            check()?;
            let (mut left, mut right) = pair.split_at(width.min(pair.len()));
            while let (Some(&a), Some(&b)) = (left.first(), right.first()) {
                let from = if before(a, b).is_gt() { &mut right } else { &mut left };
                merged.push(from[0]);
                *from = &from[1..];
            }
            merged.extend_from_slice(left);
            merged.extend_from_slice(right);
        }
        std::mem::swap(&mut order, &mut merged);
        merged.clear();
        width *= 2;
    }
    Ok(order)
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
    let compare = |a: &Labels, b: &Labels| {
        let order = names
            .iter()
            .map(|name| natural(a.get(name).unwrap_or(""), b.get(name).unwrap_or("")))
            .find(|&order| order != Ordering::Equal)
            .unwrap_or_else(|| a.cmp(b));
        if sort.descending { order.reverse() } else { order }
    };
    if rows.iter().any(|row| names.iter().any(|name| row.labels.get(name).is_some_and(overflows))) {
        let check = || context.cancel.check();
        let order =
            merge_sorted(rows.len(), check, |a, b| compare(&rows[a as usize].labels, &rows[b as usize].labels))?;
        context.stoppable(|looks| arrange(looks, &mut rows, order))?;
    } else {
        rows = sorted(context, rows, |a, b| compare(&a.labels, &b.labels))?;
    }
    Ok(Vector::Kept(rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn ascend(texts: &[&str]) {
        for (i, a) in texts.iter().enumerate() {
            for (j, b) in texts.iter().enumerate() {
                assert_eq!(natural(a, b), i.cmp(&j), "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn chunks_of_digits_compare_as_numbers_and_all_others_as_text() {
        ascend(&["", "team", "team1", "team2", "team10", "team-", "team-a", "team-b"]);
        ascend(&["eth", "eth0", "eth0.30", "eth0.200", "eth1"]);
        ascend(&["007a", "7b", "8", "10", "10.1", "10.1.2", "10.10", "a", "é1", "é02"]);
        ascend(&["07", "7"]);
        ascend(&["-1", "-2", "0", "9223372036854775807"]);
        // Beyond 64 bits a number is text.
        ascend(&["10", "9223372036854775808"]);
        ascend(&["9223372036854775808", "93"]);
    }

    #[test]
    fn an_order_that_contradicts_itself_gives_some_arrangement_of_all() {
        let texts = ["10", "12345678901234567890", "9", "99", "100"];
        assert!(overflows(texts[1]) && overflows("a12345678901234567890b1") && !overflows("9223372036854775807"));
        let compare = |a: u32, b: u32| natural(texts[a as usize % 5], texts[b as usize % 5]);
        let mut order = merge_sorted(1_000, || Ok(()), compare).unwrap();
        assert_eq!(order.len(), 1_000);
        order.sort_unstable();
        order.dedup();
        assert_eq!(order.len(), 1_000);
        assert!(merge_sorted(3, || Err(EvalError::Canceled), compare).is_err());
    }
}
