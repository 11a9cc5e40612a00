//! The `quantile` aggregation over kept rows: a block of steps is transposed, then each step selects its two ranks.

use super::cells::{Cells, FLOAT, Row};
use super::context::Context;
use super::expr::Scalar;
use super::functions::over_time::quantile;
use super::workers::in_parts_of;
use crate::error::EvalError;

/// Steps that are transposed at once: two cache lines of a row.
const BLOCK_STEPS: usize = 16;

/// A number for each float, in the order in which quantiles rank them: NaN first, then ascending.
#[inline]
fn key(value: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = value.to_bits();
    let ordered = if bits & SIGN == 0 { bits | SIGN } else { !bits };
    if value.is_nan() { 0 } else { ordered }
}

#[inline]
fn value(key: u64) -> f64 {
    const SIGN: u64 = 1 << 63;
    if key == 0 { f64::NAN } else { f64::from_bits(if key & SIGN == 0 { !key } else { key & !SIGN }) }
}

/// The key of -0.
const NEGATIVE_ZERO: u64 = (1 << 63) - 1;

/// The quantile of floats given by their keys, as [`quantile`] computes it; `None` if that has to be asked.
fn select(q: f64, keys: &mut [u64], negative_zeros: bool) -> Option<f64> {
    if keys.is_empty() || !(0.0..=1.0).contains(&q) {
        return None;
    }
    let n = keys.len() as f64;
    let rank = q * (n - 1.0);
    let lower = rank.floor().max(0.0);
    let upper = (lower + 1.0).min(n - 1.0);
    let weight = rank - rank.floor();
    let (_, &mut at_lower, above) = keys.select_nth_unstable(lower as usize);
    let at_upper = if upper > lower { above.iter().copied().min()? } else { at_lower };
    let (a, b) = (value(at_lower), value(at_upper));
    // Zeros of both signs are equal, so which of them has a rank depends on the sort.
    if negative_zeros && (a == 0.0 || b == 0.0) { None } else { Some(a * (1.0 - weight) + b * weight) }
}

/// The quantile of each group at each step; `members` are the rows of the groups.
pub(super) fn of_groups(
    context: &Context<'_>,
    rows: &[Row],
    members: &[Vec<usize>],
    q: &Scalar,
    steps: usize,
) -> Result<Vec<Cells>, EvalError> {
    let blocks = steps.div_ceil(BLOCK_STEPS);
    // A part is a block of a large group, or as many blocks of small groups as are worth a thread.
    let block_cells = rows.len() * BLOCK_STEPS / members.len().max(1);
    let part_blocks = (PART_CELLS_MIN / block_cells.max(1)).clamp(1, 1 << 12);
    let parts = in_parts_of(context, blocks * members.len(), part_blocks, |part| {
        let mut columns = Vec::new();
        part.map(|item| block(rows, &members[item / blocks], q, item % blocks * BLOCK_STEPS, steps, &mut columns))
            .collect::<Vec<_>>()
    })?;
    let mut found = parts.into_iter().flatten();
    let group = |_| {
        let mut cells = Cells::empty(steps);
        for (block, values) in found.by_ref().take(blocks).enumerate() {
            for (offset, value) in values.into_iter().enumerate() {
                if let Some(value) = value {
                    cells.set(block * BLOCK_STEPS + offset, value);
                }
            }
        }
        cells
    };
    Ok(members.iter().map(group).collect())
}

/// Cells that are worth a thread.
const PART_CELLS_MIN: usize = 1 << 14;

/// The quantiles of up to [`BLOCK_STEPS`] steps from `start` on.
fn block(
    rows: &[Row],
    members: &[usize],
    q: &Scalar,
    start: usize,
    steps: usize,
    columns: &mut Vec<u64>,
) -> [Option<f64>; BLOCK_STEPS] {
    let steps = start..steps.min(start + BLOCK_STEPS);
    let height = members.len();
    columns.resize(height * BLOCK_STEPS, 0);
    let mut known = [0; BLOCK_STEPS];
    let mut negative_zeros = false;
    for &row in members {
        let cells = &rows[row].cells;
        let values = cells.kinds[steps.clone()].iter().zip(&cells.values[steps.clone()]);
        for (offset, (&kind, &value)) in values.enumerate() {
            // Written in any case; what is not counted is written over.
            let key = key(value);
            negative_zeros |= key == NEGATIVE_ZERO;
            columns[offset * height + known[offset]] = key;
            known[offset] += usize::from(kind == FLOAT);
        }
    }
    let mut out = [None; BLOCK_STEPS];
    for (offset, step) in steps.enumerate() {
        if known[offset] == 0 {
            continue;
        }
        let keys = &mut columns[offset * height..][..known[offset]];
        out[offset] = Some(select(q.at(step), keys, negative_zeros).unwrap_or_else(|| {
            let present = members.iter().map(|&row| &rows[row].cells).filter(|cells| cells.kinds[step] == FLOAT);
            quantile(q.at(step), &mut present.map(|cells| cells.values[step]).collect::<Vec<_>>())
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn selection_agrees_with_sorting(
            values in prop::collection::vec(
                prop_oneof![4 => -9.0..9.0f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(-0.0), 1 => Just(2.0)],
                1..40,
            ),
            q in prop_oneof![0.0..=1.0f64, Just(0.0), Just(0.5), Just(1.0)],
        ) {
            let mut keys: Vec<u64> = values.iter().map(|&v| key(v)).collect();
            for (&key, &v) in keys.iter().zip(&values) {
                prop_assert!(value(key).to_bits() == v.to_bits() || v.is_nan());
            }
            if let Some(found) = select(q, &mut keys, values.iter().any(|v| v.to_bits() == (-0.0f64).to_bits())) {
                let expected = quantile(q, &mut values.clone());
                prop_assert!(found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()), "{found} {expected}");
            }
        }
    }
}
