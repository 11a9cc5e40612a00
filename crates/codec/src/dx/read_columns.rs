//! Reads columns one by one, for chunks that are made of the same columns.
#![expect(clippy::inline_always, reason = "compiled anew for each instruction set, which only inlined code is")]

use super::integers::IntegerColumn;
use super::kernels::{Kernel, Work};
use super::values;
use crate::CodecError;
use std::ops::Range;

/// Appends `count >= 1` integers from the front of `rest` and advances it; on error some may have been appended.
///
/// Allocates for `count` integers, from two bytes: the caller has a bound for it.
#[inline]
pub(crate) fn take_integers(rest: &mut &[u8], count: usize, out: &mut Vec<i64>) -> Result<(), CodecError> {
    let column = IntegerColumn::parse_front(rest, count)?;
    if let Some((start, step)) = column.exact_line() {
        out.extend((0..count as i64).map(|i| start.wrapping_add(step.wrapping_mul(i))));
        *rest = column.behind_front();
        return Ok(());
    }
    out.reserve(count);
    *rest = column.walk_blocks(Kernel::best(), |lanes, count| {
        out.extend_from_slice(&lanes.0[..count]);
        Ok(())
    })?;
    Ok(())
}

/// Appends `count >= 1` values from the front of `rest` and advances it; on error some may have been appended.
///
/// Allocates as [`take_integers`] does.
#[inline]
pub(crate) fn take_values(rest: &mut &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), CodecError> {
    *rest = values::decode_front(rest, count, 0..count, Kernel::best(), out)?;
    Ok(())
}

/// Reads `count >= 1` integers; appends those of some rows as floats, and adds each to its sum: there are as many of these as rows.
/// Returns a negative number if any integer of the rows is negative.
///
/// # Errors
/// As [`take_integers`]; of what lies behind the rows only its length is looked at.
#[inline]
pub(crate) fn take_counts(
    rest: &mut &[u8],
    count: usize,
    rows: Range<usize>,
    sums: &mut [i64],
    out: &mut Vec<f64>,
) -> Result<i64, CodecError> {
    let (column, kernel) = (IntegerColumn::parse_front(rest, count)?, Kernel::best());
    let mut signs = 0;
    if let Some((start, step)) = column.exact_line() {
        let mut integer = start.wrapping_add(step.wrapping_mul(rows.start as i64));
        out.extend(sums.iter_mut().map(|sum| {
            let own = integer;
            integer = integer.wrapping_add(step);
            *sum = sum.wrapping_add(own);
            signs |= own;
            own as f64
        }));
        *rest = column.behind_front();
        return Ok(signs);
    }
    let mut sums = sums;
    *rest = column.walk_blocks_with(rows.clone(), kernel, |lanes, first, count| {
        // Of this block, the lanes of the rows.
        let from = rows.start.saturating_sub(first).min(count);
        let to = (rows.end - first).min(count);
        if from >= to {
            return Ok(());
        }
        let (own, others) = std::mem::take(&mut sums).split_at_mut(to - from);
        sums = others;
        signs |= kernel.run(AddUp { integers: &lanes.0[from..to], sums: own });
        kernel.quotients(count, 1.0, lanes);
        out.extend(lanes.0[from..to].iter().map(|&bits| f64::from_bits(bits as u64)));
        Ok(())
    })?;
    Ok(signs)
}

/// Adds each integer to its sum; negative if any integer is.
struct AddUp<'a> {
    integers: &'a [i64],
    sums: &'a mut [i64],
}

impl Work for AddUp<'_> {
    type Output = i64;

    #[inline(always)]
    fn run(self) -> i64 {
        let mut signs = 0;
        for (sum, &integer) in self.sums.iter_mut().zip(self.integers) {
            *sum = sum.wrapping_add(integer);
            signs |= integer;
        }
        signs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dx::ColumnWriter;
    use mytsdb_testkit::{Random, seed};

    /// The integer of a row, by sums that are kept from row to row.
    type Kind = dyn Fn(&mut Random, i64, &mut [i64; 2]) -> i64;

    #[test]
    fn counts_of_some_rows_are_those_of_all_rows_and_what_follows_is_found() {
        let mut random = Random::new(seed(1));
        // A line, one with noise, sums of noise, sums of sums, noise with large outliers, nothing but one value.
        let kinds: [&Kind; 6] = [
            &|_, at, _| at * 7,
            &|random, at, _| at * 7 + random.below(3) as i64,
            &|random, _, sum| {
                sum[0] += random.below(90) as i64;
                sum[0]
            },
            &|random, _, sum| {
                sum[0] += random.below(3) as i64;
                sum[1] += sum[0];
                sum[1]
            },
            &|random, _, _| if random.one_in(9) { 1 << 40 } else { random.below(2) as i64 },
            &|_, _, _| 5,
        ];
        for kind in kinds {
            for count in [1, 5, 127, 128, 129, 300, 1_024] {
                let mut sum = [0; 2];
                let integers: Vec<i64> = (0..count).map(|at| kind(&mut random, at, &mut sum)).collect();
                let mut bytes = Vec::new();
                ColumnWriter::default().put_integers(&integers, &mut bytes);
                bytes.push(0xaa);
                for _ in 0..20 {
                    let from = random.index(integers.len() + 1);
                    let rows = from..from + random.index(integers.len() - from + 1);
                    let (mut rest, mut sums, mut out) = (&bytes[..], vec![1; rows.len()], vec![0.5]);
                    let signs = take_counts(&mut rest, integers.len(), rows.clone(), &mut sums, &mut out);
                    assert_eq!((signs.unwrap() < 0, rest), (false, &[0xaa][..]));
                    let own = &integers[rows];
                    assert_eq!(out[1..], own.iter().map(|&own| own as f64).collect::<Vec<_>>());
                    assert_eq!(sums, own.iter().map(|own| own + 1).collect::<Vec<_>>());
                }
            }
        }
    }
}
