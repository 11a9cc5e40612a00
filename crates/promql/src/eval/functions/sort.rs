//! `sort` and its variants, which only the order of an instant result can show.

use super::string_arg;
use crate::ast::Call;
use crate::error::EvalError;
use crate::eval::cells::FLOAT;
use crate::eval::context::Context;
use crate::eval::expr::eval_vector;
use crate::eval::grid::Grid;
use crate::eval::ranks;
use crate::eval::remarks;
use crate::eval::rows::{Vector, arrange, sorted};
use crate::plan::is_pinned;
use std::cmp::Ordering;

/// A remark if the order is lost, unless all is pinned to one time.
fn note_range_query(context: &Context<'_>, call: &Call) {
    if !context.instant && !is_pinned(&call.args[0], false) {
        context.annotate(|a| remarks::sort_in_range_query(a, call.pos));
    }
}

pub(super) fn by_value<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let descending = call.function.name == "sort_desc";
    let mut rows = eval_vector(context, &call.args[0], grid)?.keep(context)?;
    note_range_query(context, call);
    if context.any_histograms(&rows)? {
        for row in &mut rows {
            row.cells.drop_histograms();
        }
        rows = Vector::Kept(rows).keep(context)?;
    }
    if grid.count == 1 && context.instant {
        debug_assert!(rows.iter().all(|row| row.cells.kinds[0] == FLOAT));
        let mut ranked: Vec<_> = rows.iter().enumerate().map(|(at, row)| (row.cells.values[0], at as u32)).collect();
        ranks::sort_until(&mut ranked, descending, &|| context.cancel.check().is_err());
        let order = ranked.into_iter().map(|(_, at)| at).collect();
        context.stoppable(|looks| arrange(looks, &mut rows, order))?;
    }
    Ok(Vector::Kept(rows))
}

/// Runs of digits compare as numbers, all else as text.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (a.first(), b.first()) {
            (None, None) => return Ordering::Equal,
            (None, _) => return Ordering::Less,
            (_, None) => return Ordering::Greater,
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let digits = |s: &[u8]| s.iter().take_while(|c| c.is_ascii_digit()).count();
                let ((x, a_rest), (y, b_rest)) = (a.split_at(digits(a)), b.split_at(digits(b)));
                let trim = |s: &'_ [u8]| s.iter().take_while(|&&c| c == b'0').count();
                let (x_value, y_value) = (&x[trim(x)..], &y[trim(y)..]);
                let order = x_value
                    .len()
                    .cmp(&y_value.len())
                    .then_with(|| x_value.cmp(y_value))
                    .then_with(|| x.len().cmp(&y.len()));
                if order != Ordering::Equal {
                    return order;
                }
                (a, b) = (a_rest, b_rest);
            }
            (Some(x), Some(y)) => {
                if x != y {
                    return x.cmp(y);
                }
                (a, b) = (&a[1..], &b[1..]);
            }
        }
    }
}

pub(super) fn by_label<'a>(context: &'a Context<'a>, call: &'a Call, grid: Grid) -> Result<Vector<'a>, EvalError> {
    let descending = call.function.name == "sort_by_label_desc";
    let mut names = Vec::new();
    for arg in &call.args[1..] {
        names.push(String::from_utf8_lossy(string_arg(arg)?).into_owned());
    }
    let rows = eval_vector(context, &call.args[0], grid)?.keep(context)?;
    note_range_query(context, call);
    let rows = sorted(context, rows, |a, b| {
        let order = names
            .iter()
            .map(|name| natural(a.labels.get(name).unwrap_or(""), b.labels.get(name).unwrap_or("")))
            .find(|&order| order != Ordering::Equal)
            .unwrap_or_else(|| a.labels.cmp(&b.labels));
        if descending { order.reverse() } else { order }
    })?;
    Ok(Vector::Kept(rows))
}
