//! The `quantile` aggregation over kept rows: a block of steps is transposed, then each step selects its two ranks.

use super::groups::Members;
use crate::error::EvalError;
use crate::kernels::cells::{Cells, EMPTY, FLOAT, Row};
use crate::kernels::over_time::{Rank, quantile};
use crate::kernels::scalar::Scalar;
use crate::rows::context::Context;
use crate::rows::workers::{CANCEL_ROWS, in_parts_of};
use smallvec::SmallVec;
use std::ops::Range;

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
    let rank = Rank::new(q, keys.len());
    let (_, &mut at_lower, above) = keys.select_nth_unstable(rank.lower);
    let at_upper = if rank.upper > rank.lower { above.iter().copied().min()? } else { at_lower };
    let (a, b) = (value(at_lower), value(at_upper));
    // Zeros of both signs are equal, so which of them has a rank depends on the sort.
    if negative_zeros && (a == 0.0 || b == 0.0) { None } else { Some(rank.between(a, b)) }
}

/// A quantile of each group at each step.
pub(super) struct Quantiles {
    steps: usize,
    /// Those of group 0, then those of group 1, and so on.
    kinds: Vec<u8>,
    values: Vec<f64>,
}

impl Quantiles {
    pub fn of(&self, group: usize) -> Cells {
        let at = group * self.steps..(group + 1) * self.steps;
        Cells {
            kinds: SmallVec::from_slice(&self.kinds[at.clone()]),
            values: SmallVec::from_slice(&self.values[at]),
            histograms: Vec::new(),
        }
    }
}

/// The quantile of each group at each step; `members` are the rows of the groups.
pub(super) fn of_groups(
    context: &Context<'_>,
    rows: &[Row],
    members: &Members,
    q: &Scalar,
    steps: usize,
) -> Result<Quantiles, EvalError> {
    let blocks = steps.div_ceil(BLOCK_STEPS);
    // A part is a block of a large group, or as many blocks of small groups as are worth a thread.
    let block_cells = rows.len() * BLOCK_STEPS / members.len().max(1);
    let part_blocks = (PART_CELLS_MIN / block_cells.max(1)).clamp(1, 1 << 12);
    let parts = in_parts_of(context, blocks * members.len(), part_blocks, |part| {
        let mut found = Quantiles { steps, kinds: Vec::new(), values: Vec::new() };
        let mut columns = Vec::new();
        for item in part {
            let start = item % blocks * BLOCK_STEPS;
            let steps = start..steps.min(start + BLOCK_STEPS);
            block(context, rows, members.of(item / blocks), q, steps, &mut columns, &mut found)?;
        }
        Ok(found)
    })?;
    let cells = members.len() * steps;
    let mut all = Quantiles { steps, kinds: Vec::with_capacity(cells), values: Vec::with_capacity(cells) };
    for part in parts {
        context.cancel.check()?;
        all.kinds.extend_from_slice(&part.kinds);
        all.values.extend_from_slice(&part.values);
    }
    Ok(all)
}

/// Cells that are worth a thread.
const PART_CELLS_MIN: usize = 1 << 14;

/// Adds the quantiles of up to [`BLOCK_STEPS`] steps to `out`.
fn block(
    context: &Context<'_>,
    rows: &[Row],
    members: &[u32],
    q: &Scalar,
    steps: Range<usize>,
    columns: &mut Vec<u64>,
    out: &mut Quantiles,
) -> Result<(), EvalError> {
    let height = members.len();
    columns.resize(height * steps.len(), 0);
    let mut known = [0; BLOCK_STEPS];
    let mut negative_zeros = false;
    for members in members.chunks(CANCEL_ROWS * BLOCK_STEPS) {
        context.cancel.check()?;
        for &row in members {
            let cells = &rows[row as usize].cells;
            let values = cells.kinds[steps.clone()].iter().zip(&cells.values[steps.clone()]);
            for (offset, (&kind, &value)) in values.enumerate() {
                // Written in any case; what is not counted is written over.
                let key = key(value);
                negative_zeros |= key == NEGATIVE_ZERO;
                columns[offset * height + known[offset]] = key;
                known[offset] += usize::from(kind == FLOAT);
            }
        }
    }
    for (offset, step) in steps.enumerate() {
        if known[offset] == 0 {
            out.kinds.push(EMPTY);
            out.values.push(0.0);
            continue;
        }
        if height >= CANCEL_ROWS {
            context.cancel.check()?;
        }
        let keys = &mut columns[offset * height..][..known[offset]];
        out.kinds.push(FLOAT);
        out.values.push(select(q.at(step), keys, negative_zeros).unwrap_or_else(|| {
            let present = members.iter().map(|&row| &rows[row as usize].cells);
            let values = present.filter(|cells| cells.kinds[step] == FLOAT).map(|cells| cells.values[step]);
            quantile(q.at(step), &mut values.collect::<Vec<_>>())
        }));
    }
    Ok(())
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
